"""Trusted documents: registered by a manifest, run by their ids; who may send documents of their own."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.documents import Documents
from api.schema import build_schema
from api.tour import tour_documents
from core.settings import Settings, TrustedDocumentsMode
from ops.documents import ManifestInvalid, commands, fitting, read_manifest
from tests.api.conftest import Caller, System, running, settings_for
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

DOCUMENTS = Documents(build_schema().core, introspection=False)
SUBJECT = "query Subject { viewer { subject } }"
Start = Callable[..., AbstractAsyncContextManager[System]]


@pytest.fixture
def start(stores: Addresses, redis_url: str, tmp_path: Path) -> Start:
    """A system with some settings changed."""

    def started(**changed: Any) -> AbstractAsyncContextManager[System]:
        return running(settings_for(stores, redis_url, tmp_path).model_copy(update=changed))

    return started


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def command(stores: Addresses, tmp_path: Path) -> Command:
    """The operator's command; it has an event loop of its own, and so a thread."""

    def run(*arguments: str) -> Done:
        environment = {**stores.environment(), "DATA_DIR": str(tmp_path)}
        result = CliRunner().invoke(commands, arguments, env=environment)
        return Done(result.exit_code, result.stdout, result.stderr)

    async def in_thread(*arguments: str) -> Done:
        return await asyncio.to_thread(run, *arguments)

    return in_thread


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def manifest(path: Path, documents: dict[str, str], *, apollo: bool) -> str:
    """The file that the client's tool writes."""
    operations = [{"id": key, "name": "x", "type": "query", "body": text} for key, text in documents.items()]
    content = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    path.write_text(json.dumps(content if apollo else documents))
    return str(path)


async def send(caller: Caller, **body: Any) -> httpx.Response:
    return await caller.http.post("/graphql", json=body, headers=caller.headers)


def code(answer: httpx.Response) -> str:
    return answer.json()["errors"][0]["extensions"]["code"]


async def test_in_production_apps_run_what_was_registered_and_nothing_else(
    start: Start, command: Command, tmp_path: Path, unique: str
) -> None:
    """Given a registered document; then a customer runs it by its id in all forms, and no text; staff run any."""
    own = f"{SUBJECT} # {unique}"
    registered = await command(
        "register", manifest(tmp_path / "m.json", {sha256(own): own}, apollo=True), "--client", "ios@1"
    )
    assert (registered.returncode, registered.stdout) == (0, "1 registered, 0 known already\n"), registered.stderr
    async with start(trusted_documents=TrustedDocumentsMode.STAFF) as system:
        customer = system.caller(unique, "customer")
        persisted = {"persistedQuery": {"version": 1, "sha256Hash": sha256(own)}}
        for body in ({"documentId": sha256(own)}, {"doc_id": sha256(own)}, {"extensions": persisted}):
            answer = await send(customer, **body)
            assert answer.json()["data"] == {"viewer": {"subject": unique}}
        # A client that sends both runs what is registered.
        assert (await send(customer, query=own, documentId=sha256(own))).status_code == 200

        for document in (SUBJECT, f"{own} "):
            refused = await send(customer, query=document)
            assert (refused.status_code, code(refused)) == (403, "DOCUMENT_NOT_TRUSTED")
        refused = await send(customer, query=SUBJECT, documentId=sha256(SUBJECT))
        assert (refused.status_code, code(refused)) == (403, "DOCUMENT_NOT_TRUSTED")
        nobody = await send(system.caller(None), query=SUBJECT)
        assert (nobody.status_code, code(nobody)) == (403, "DOCUMENT_NOT_TRUSTED")
        unknown = await send(customer, documentId=sha256(unique))
        assert (unknown.status_code, code(unknown)) == (400, "PERSISTED_QUERY_NOT_FOUND")
        for role in ("relationship_manager", "complaints_officer", "administrator"):
            assert (await send(system.caller(unique, role), query=SUBJECT)).status_code == 200
        assert code(await send(system.caller(unique, "service"), query=SUBJECT)) == "DOCUMENT_NOT_TRUSTED"


async def test_where_only_registered_ones_run_staff_are_refused_too(start: Start, unique: str) -> None:
    async with start(trusted_documents=TrustedDocumentsMode.ONLY) as system:
        assert code(await send(system.caller(unique, "administrator"), query=SUBJECT)) == "DOCUMENT_NOT_TRUSTED"


def test_production_trusts_no_document_of_strangers_by_itself() -> None:
    def mode(**given: Any) -> TrustedDocumentsMode:
        return Settings.model_construct(**given).documents_mode

    assert mode(environment="production", trusted_documents=None) is TrustedDocumentsMode.STAFF
    assert mode(environment="development", trusted_documents=None) is TrustedDocumentsMode.OFF
    assert mode(environment="production", trusted_documents=TrustedDocumentsMode.OFF) is TrustedDocumentsMode.OFF


@pytest.mark.parametrize("apollo", [True, False])
async def test_an_id_keeps_its_meaning_until_it_is_withdrawn(
    start: Start, command: Command, tmp_path: Path, unique: str, apollo: bool
) -> None:
    """Given registered documents; then again is nothing new, another text is refused whole, a withdrawn id is gone."""
    one, other, third = (f"{SUBJECT} # {unique}{apollo}{n}" for n in range(3))
    ids = [f"{unique}-{apollo}-{n}" for n in range(3)]
    path = manifest(tmp_path / "m.json", {ids[0]: one, ids[1]: other}, apollo=apollo)
    assert (await command("register", path, "--client", "a")).stdout == "2 registered, 0 known already\n"
    assert (await command("register", path, "--client", "b")).stdout == "0 registered, 2 known already\n"
    changed = await command(
        "register", manifest(tmp_path / "c.json", {ids[2]: third, ids[1]: one}, apollo=apollo), "--client", "c"
    )
    assert changed.returncode == 2
    assert ids[1] in changed.stderr
    async with start() as system:
        caller = system.caller(unique, "customer")
        assert code(await send(caller, documentId=ids[2])) == "PERSISTED_QUERY_NOT_FOUND"
        assert (await send(caller, documentId=ids[0])).status_code == 200
        assert (await command("withdraw", ids[0], "no-such-id")).stdout == "1 withdrawn\n"
        assert (await command("withdraw", ids[0])).stdout == "0 withdrawn\n"
        # What a process remembers it asks for again after a minute.
        system.app.state.admission.trusted._known.clear()
        assert code(await send(caller, documentId=ids[0])) == "PERSISTED_QUERY_NOT_FOUND"
        assert (await send(caller, documentId=ids[1])).status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "a JSON object"),
        ('{"a": 1}', "a: the document is no text"),
        ('{"": "{ viewer { subject } }"}', "entry 0"),
        ('{"a": "{ viewer { nothing } }"}', "Cannot query field 'nothing'"),
        ('{"a": "{ viewer "}', "Syntax Error"),
        ('{"a": "query A { viewer { subject } } query B { viewer { subject } }"}', "one operation"),
        ('{"a": "{ __schema { queryType { name } } }"}', "introspection"),
        ('{"format": "apollo-persisted-query-manifest", "operations": 1}', "a list"),
        (
            '{"format": "apollo-persisted-query-manifest", "operations": '
            '[{"id": "a", "body": "{ viewer { subject } }"}, {"id": "a", "body": "{ viewer { subject } }"}]}',
            "twice",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_what_is_wrong(content: str, words: str) -> None:
    with pytest.raises(ManifestInvalid, match=words):
        fitting(read_manifest(json.loads(content)), DOCUMENTS.ready)


async def test_what_is_wrong_with_a_manifest_is_one_line(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    for content in ("{", '{"a": "{ viewer { nothing } }"}'):
        path.write_text(content)
        refused = await command("register", str(path), "--client", "x")
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


async def test_every_document_of_the_tour_can_be_registered(
    start: Start, command: Command, tmp_path: Path, unique: str
) -> None:
    """Given the tour as a manifest; then all of it is registered, and its first document runs by its id."""
    documents = {f"{unique}-{one['name']}": one["document"] for one in tour_documents()}
    done = await command("register", manifest(tmp_path / "m.json", documents, apollo=True), "--client", "tour")
    assert done.stdout == f"{len(documents)} registered, 0 known already\n", done.stderr
    async with start(trusted_documents=TrustedDocumentsMode.ONLY) as system:
        answer = await send(system.caller(unique, "customer"), documentId=f"{unique}-01-viewer")
        assert "errors" not in answer.json()


@pytest.fixture
async def automatic(start: Start) -> AsyncGenerator[System, None]:
    async with start(automatic_documents=True) as found:
        yield found


async def test_an_automatic_document_is_sent_once(automatic: System, unique: str) -> None:
    """Given a client of automatic documents; then an unknown hash asks for the text, which is known from then on."""
    caller = automatic.caller(unique, "customer")
    own = f"{SUBJECT} # {unique}"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256(own)}}
    unknown = await send(caller, extensions=extensions)
    assert code(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert (await send(caller, query=own, extensions=extensions)).json()["data"]["viewer"]["subject"] == unique
    assert (await send(caller, extensions=extensions)).json()["data"]["viewer"]["subject"] == unique

    wrong = {"persistedQuery": {"version": 1, "sha256Hash": sha256(SUBJECT)}}
    assert code(await send(caller, query=own, extensions=wrong)) == "DOCUMENT_ID_WRONG"


async def test_automatic_documents_are_off_by_themselves(system: System, unique: str) -> None:
    caller = system.caller(unique, "customer")
    own = f"{SUBJECT} # {unique}"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256(own)}}
    assert (await send(caller, query=own, extensions=extensions)).status_code == 200
    assert code(await send(caller, extensions=extensions)) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize("wrong", [1, "", "x" * 129, "é", [], {}])
async def test_an_id_that_is_none_is_a_400(system: System, wrong: Any) -> None:
    for body in ({"documentId": wrong}, {"extensions": {"persistedQuery": {"sha256Hash": wrong}}}):
        answer = await send(system.caller(None), **body)
        assert (answer.status_code, code(answer)) == (400, "BAD_REQUEST")
