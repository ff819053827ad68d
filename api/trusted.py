"""Which text is run for an id, and who may send a text of their own.

An id is that of a trusted document (`core.trusted_documents`) or, where automatic documents are on, the SHA-256 of a
text that somebody sent with it before (Apollo's automatic persisted queries), kept for a day in Redis.
"""

import hashlib
import time
from collections import OrderedDict

from redis.asyncio import Redis

from core.db import Database
from core.errors import KinshipError
from core.outage import Outage
from core.principal import Principal, Role
from core.settings import Settings, TrustedDocumentsMode
from core.trusted_documents import trusted_text

PREFIX = "kinship:documents:"
DAY_SECONDS = 86_400
# A document that is withdrawn stops running after so long in each process.
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 2_000
STAFF = (Role.RELATIONSHIP_MANAGER, Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR)


class DocumentNotFound(KinshipError):
    # The code by which Apollo's clients know that they must send the text too.
    code = "PERSISTED_QUERY_NOT_FOUND"
    # And these words are what their older versions look at, in whichever language.
    en = "PersistedQueryNotFound"
    zh = "PersistedQueryNotFound"


class DocumentNotTrusted(KinshipError):
    code = "DOCUMENT_NOT_TRUSTED"
    en = "Only documents that were registered before are run here. Send a document's id."
    zh = "仅可执行已登记的查询文档，请发送文档编号。"


class DocumentIdWrong(KinshipError):
    code = "DOCUMENT_ID_WRONG"
    en = "The id is not the SHA-256 of the document."
    zh = "编号不是该查询文档的 SHA-256 值。"


class TrustedDocuments:
    """Texts by their ids for one process; safe to share between tasks."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self._settings = settings
        self._database = database
        self._redis = redis
        self._outage = Outage("automatic_documents")
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def text(self, query: str | None, document_id: str | None, bearer: Principal | None) -> str:
        """The text to run. Raises DocumentNotFound, DocumentNotTrusted or DocumentIdWrong."""
        if document_id is None:
            self._refuse_strangers(bearer)
            return query or ""
        found = await self._trusted(document_id)
        if found is not None and query in (None, found):
            return found
        if query is None:
            return await self._sent_before(document_id, bearer)
        self._refuse_strangers(bearer)
        if hashlib.sha256(query.encode()).hexdigest() != document_id:
            raise DocumentIdWrong
        await self._keep(document_id, query)
        return query

    def may_send(self, bearer: Principal | None) -> bool:
        """Whether somebody may have a text of their own run."""
        mode = self._settings.documents_mode
        is_staff = bearer is not None and bearer.has(*STAFF)
        return mode is TrustedDocumentsMode.OFF or (mode is TrustedDocumentsMode.STAFF and is_staff)

    def _refuse_strangers(self, bearer: Principal | None) -> None:
        if not self.may_send(bearer):
            raise DocumentNotTrusted

    async def _trusted(self, document_id: str) -> str | None:
        known = self._known.get(document_id)
        if known is not None and time.monotonic() - known[1] < REMEMBERED_SECONDS:
            return known[0]
        async with self._database.read() as session:
            text = await trusted_text(session, document_id)
        if text is None:
            self._known.pop(document_id, None)
            return None
        self._known[document_id] = (text, time.monotonic())
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return text

    async def _sent_before(self, document_id: str, bearer: Principal | None) -> str:
        """What was sent with this id by anybody who may; only who may send a text may have such a one run."""
        if not self._settings.automatic_documents or not self.may_send(bearer):
            raise DocumentNotFound
        found: bytes | None = await self._outage.asked(lambda: self._redis.get(PREFIX + document_id))
        if found is None:
            raise DocumentNotFound
        return found.decode()

    async def _keep(self, document_id: str, text: str) -> None:
        """Keep a text for a day; where Redis does not answer it is sent again next time."""
        if not self._settings.automatic_documents:
            return
        await self._outage.asked(lambda: self._redis.set(PREFIX + document_id, text, ex=DAY_SECONDS))
