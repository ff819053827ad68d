"""Documents that clients were built with: registered by their id before a release, and run by that id alone.

What an id means never changes, because an app in somebody's pocket asks by it for years; a document that must not be
run any more is withdrawn, and stays so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Field, SQLModel, col, select

from core.db import Session, instant
from core.errors import KinshipError

LONGEST_ID = 128


class DocumentChanged(KinshipError):
    """`path` names the ids."""

    code = "DOCUMENT_CHANGED"
    en = "A document of this id was registered with another text."
    zh = "该编号的查询文档已登记，且内容不同。"


class TrustedDocument(SQLModel, table=True):
    """A document by the id that its clients send; `client` is who registered it first, `name` that of its operation."""

    __tablename__ = "trusted_document"  # pyright: ignore[reportAssignmentType] - sqlmodel wants a directive

    id: str = Field(primary_key=True, max_length=LONGEST_ID)
    text: str
    name: str
    client: str
    registered_at: datetime = instant()
    withdrawn_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document of a manifest."""

    id: str
    name: str
    text: str


async def register_documents(
    session: Session, documents: Sequence[NewDocument], *, client: str, now: datetime
) -> Sequence[str]:
    """Register those that are new, and return their ids; raises DocumentChanged, and then none is registered."""
    known = await documents_by_id(session, [one.id for one in documents])
    changed = tuple(one.id for one in documents if one.id in known and known[one.id].text != one.text)
    if changed:
        raise DocumentChanged(path=changed, detail=", ".join(changed))
    new = [one for one in documents if one.id not in known]
    session.add_all(
        TrustedDocument(id=one.id, text=one.text, name=one.name, client=client, registered_at=now) for one in new
    )
    return [one.id for one in new]


async def withdraw_documents(session: Session, ids: Sequence[str], *, now: datetime) -> Sequence[str]:
    """Let nobody run these any more; returns those that could be run until now."""
    known = await documents_by_id(session, ids)
    ended = [row for row in known.values() if row.withdrawn_at is None]
    for row in ended:
        row.withdrawn_at = now
        session.add(row)
    return [row.id for row in ended]


async def documents_by_id(session: Session, ids: Sequence[str]) -> Mapping[str, TrustedDocument]:
    """Registered documents, withdrawn ones among them."""
    found = await session.exec(select(TrustedDocument).where(col(TrustedDocument.id).in_(ids)))
    return {row.id: row for row in found.all()}


async def trusted_text(session: Session, document_id: str) -> str | None:
    """The text that may be run by this id; None where there is none, or none any more."""
    row = (await documents_by_id(session, [document_id])).get(document_id)
    return row.text if row is not None and row.withdrawn_at is None else None
