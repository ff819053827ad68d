"""Imports: what is wrong is named by line, field and reason; what is right goes in once, however often it is sent."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.facts import Fact
from core.importing import LONGEST_LINE
from core.principal import Principal, Role
from core.processes import start_leashed
from customers.importer import BATCH_ROWS, ImportBatch, Importer, SourceInvalid, rejections_of
from customers.personal import open_customers, personal_data_of
from customers.profiles import SIGN_IN, Customer, CustomerAlias, customer_id_of, sign_up
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.history import codes_of
from tests.conftest import Addresses
from tests.referrals.programs import claim, code_of, make_people, make_program
from worker.sweeps import sweep_graph
from worker.work import Stores

pytestmark = pytest.mark.anyio

HASH_KEY = "test"
AT = "2026-01-02T03:04:05+08:00"
Row = dict[str, Any]


def lines(*rows: Row | bytes) -> bytes:
    return b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows)


def customer(key: str, **more: Any) -> Row:
    return {"kind": "customer", "key": key, "display_name": f"客户{key}", **more}


def community(key: str, **more: Any) -> Row:
    return {"kind": "community", "key": key, "name_zh": "徒步", "name_en": "Hiking", **more}


def membership(who: str, where: str, **more: Any) -> Row:
    return {"kind": "membership", "customer": who, "community": where, **more}


def event(key: str, where: str, **more: Any) -> Row:
    times = {"starts_at": "2026-01-02T10:00:00+08:00", "ends_at": "2026-01-02T12:00:00+08:00"}
    return {"kind": "event", "key": key, "community": where, "title_zh": "活动", "title_en": "Event", **times, **more}


def registration(who: str, what: str, **more: Any) -> Row:
    return {"kind": "registration", "customer": who, "event": what, "registered_at": AT, **more}


class Imports:
    """Imports contents into the test's own source."""

    def __init__(self, database: Database, graph: GraphClient, source: str) -> None:
        self.database, self.graph, self.source = database, graph, source
        self.steps: list[int] = []

    async def run(
        self,
        content: bytes,
        *,
        kind: str | None = None,
        form: str = "jsonl",
        source: str = "",
        external: bool = False,
    ) -> ImportBatch:
        importer = Importer(self.database, self.graph, HASH_KEY, progress=self.steps.append)
        return await importer.run(
            io.BytesIO(content),
            file_name=f"rows.{form}",
            source=source or self.source,
            kind=kind,
            started_by="test",
            now=utc_now(),
            external=external,
        )

    async def rejections(self, report: ImportBatch) -> list[tuple[int, str, str]]:
        async with self.database.read() as session:
            page = await rejections_of(session, report.id, first=100, after=None)
        return [(row.line, row.field, row.reason) for row in page.rows]

    async def ids(self, source: str = "") -> dict[str, str]:
        """Our ids by the source's keys."""
        async with self.database.read() as session:
            found = await session.exec(select(CustomerAlias).where(CustomerAlias.source == (source or self.source)))
            return {alias.key: alias.customer_id for alias in found.all()}

    async def around(self) -> list[Row]:
        """The relationships of the source's customers with all that they say, and the counts on what they lead to."""
        return await self.graph.read(AROUND, timeout=60, ids=list((await self.ids()).values()))


AROUND = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
MATCH (c)-[r]->(x)
RETURN c.id AS id, type(r) AS type, properties(r) AS said, coalesce(x.id, x.key) AS other,
       x.member_count AS members, x.registered AS registered
ORDER BY id, type, other
"""


@pytest.fixture
def imports(database: Database, graph: GraphClient, unique: str) -> Imports:
    return Imports(database, graph, unique)


async def test_bad_rows_are_named_and_good_rows_go_in(imports: Imports) -> None:
    """Given good and bad rows mixed; when imported; then each bad one is named, the rest is in."""
    report = await imports.run(
        lines(
            customer("a"),
            customer("b", phone="12"),
            customer("c", nickname="x"),
            {"kind": "customer", "key": "d"},
            {"kind": "pet", "key": "e"},
            {"key": "f"},
            event("g", "nowhere", time_zone="Mars/Olympus"),
            event("h", "nowhere", ends_at="2026-01-02T09:00:00+08:00"),
            membership("a", "nowhere"),
            membership("stranger", "nowhere"),
            {"kind": "customer_tag", "customer": "a", "tag": f"no-{imports.source}"},
            {"kind": "acquaintance", "customer": "a", "other": "a"},
            {"kind": "fact", "key": "i", "fact_kind": "lower", "customer": "a", "occurred_at": AT},
            # As columns that are shifted would have it.
            {"kind": "欧阳晓明", "key": "j"},
            customer("k", **{"13900001111": "x"}),
            customer("l", tag="x"),
        )
    )

    assert [(line, field) for line, field, _ in await imports.rejections(report)] == [
        (2, "phone"),
        (3, ""),
        (4, "display_name"),
        (5, "kind"),
        (6, "kind"),
        (7, "time_zone"),
        (8, ""),
        (9, "community"),
        (10, "customer"),
        (11, "tag"),
        (12, "other"),
        (13, "fact_kind"),
        (14, "kind"),
        (15, ""),
        (16, "tag"),
    ]
    reasons = {line: reason for line, _, reason in await imports.rejections(report)}
    assert reasons[2] == "not a telephone number"
    assert reasons[5] == "unknown kind 'pet'"
    assert reasons[10] == "unknown customer"
    assert (reasons[14], reasons[15]) == ("unknown kind", "unknown field")
    assert (report.accepted, report.rejected) == (1, 15)
    assert list(await imports.ids()) == ["a"]


async def test_lines_that_cannot_be_read_are_named(imports: Imports) -> None:
    """Given lines that are no JSON, no object, no UTF-8, with NUL or too long; then each is named."""
    long = b'{"kind": "customer", "key": "' + b"x" * (2 * LONGEST_LINE) + b'"}'
    report = await imports.run(
        lines(b"{", b"[1]", b'{"key": "\xff"}', b'{"kind": "customer", "key": "a\\u0000"}', b"", long, customer("z"))
    )

    assert await imports.rejections(report) == [
        (1, "", "not JSON"),
        (2, "", "not a JSON object"),
        (3, "", "not JSON"),
        (4, "", "text contains the character NUL"),
        (6, "", f"the line is longer than {LONGEST_LINE} bytes"),
    ]
    assert list(await imports.ids()) == ["z"]


async def test_csv_says_the_same_as_json_lines(imports: Imports) -> None:
    """Given customers as CSV with a byte order mark, empty cells, a long row and bad bytes; then as with JSON Lines."""
    content = "\ufeffkey,display_name,phone\na,安,\nb,白,+86 139 1234 5678\nc,陈,12\nd,丁,,extra\n".encode()
    report = await imports.run(content + b"e,\xff,\nf,\x00,\n", kind="customer", form="csv")

    assert [(line, field) for line, field, _ in await imports.rejections(report)] == [
        (4, "phone"),
        (5, ""),
        (6, ""),
        (7, ""),
    ]
    ids = await imports.ids()
    async with imports.database.read() as session:
        found = {
            one.id: one for one in (await session.exec(select(Customer).where(col(Customer.id).in_(ids.values()))))
        }
        personal = await open_customers(session, list(found.values()))
    assert sorted(ids) == ["a", "b"]
    assert personal[ids["a"]].phone is None
    assert personal[ids["b"]].phone == "+8613912345678"


def whole_file(tag: str) -> bytes:
    """Rows of every kind that needs no programme."""
    return lines(
        {"kind": "tag", "key": tag, "name_zh": "徒步", "name_en": "Hiking", "family": "INTEREST"},
        customer("a", relationship_manager="rm", document="110-X"),
        customer("b", email="B+x@Example.com"),
        community("k", tags=[tag]),
        membership("a", "k", role="OWNER", since=AT),
        membership("b", "k", weight=2.5, since=AT),
        event("e", "k", capacity=5),
        registration("a", "e", status="ATTENDED"),
        registration("b", "e", status="CANCELLED"),
        {"kind": "customer_tag", "customer": "a", "tag": tag, "confidence": 0.5, "since": AT},
        {"kind": "acquaintance", "customer": "b", "other": "a"},
        {"kind": "fact", "key": "f", "fact_kind": "EVENT_ATTENDED", "customer": "a", "occurred_at": AT},
    )


async def test_the_same_file_twice_changes_nothing(imports: Imports) -> None:
    """Given a file with rows of every kind; when imported twice; then the graph and the tables stay as they were."""
    content = whole_file(f"t{imports.source[:8]}x")
    first = await imports.run(content)
    before, facts = await imports.around(), await count_facts(imports)
    again = await imports.run(content)

    assert (first.accepted, first.rejected) == (again.accepted, again.rejected) == (12, 0)
    assert await imports.around() == before
    assert await count_facts(imports) == facts == 1
    assert [row["members"] for row in before if row["type"] == "MEMBER_OF"] == [2, 2]
    assert [row["registered"] for row in before if row["type"] == "REGISTERED_FOR"] == [1, 1]


async def count_facts(imports: Imports) -> int:
    async with imports.database.read() as session:
        return (await session.exec(select(func.count()).where(Fact.source == imports.source))).one()


async def test_a_changed_row_changes_what_it_says_and_the_counts_follow(imports: Imports) -> None:
    """Given a registration that is cancelled later and a member who becomes owner; then one of each, counted anew."""
    await imports.run(
        lines(customer("a"), community("k"), event("e", "k"), membership("a", "k"), registration("a", "e"))
    )
    await imports.run(lines(membership("a", "k", role="OWNER"), registration("a", "e", status="CANCELLED")))

    found = {row["type"]: row for row in await imports.around()}
    assert len(found) == len(await imports.around()) == 2
    assert (found["MEMBER_OF"]["said"]["role"], found["MEMBER_OF"]["members"]) == ("OWNER", 1)
    assert (found["REGISTERED_FOR"]["said"]["status"], found["REGISTERED_FOR"]["registered"]) == ("CANCELLED", 0)


async def test_one_document_in_two_sources_is_one_customer_with_two_aliases(imports: Imports) -> None:
    """Given two sources that know one document number in two spellings; then one profile, completed by both."""
    document = f"id {imports.source}"
    other = f"{imports.source}-other"
    await imports.run(lines(customer("a", document=document, full_name="王一")))
    await imports.run(
        lines(customer("z", document=document.upper().replace(" ", ""), email="w@example.com")), source=other
    )

    one, two = (await imports.ids())["a"], (await imports.ids(other))["z"]
    async with imports.database.read() as session:
        found = await personal_data_of(session, one)
    assert one == two
    assert found is not None
    assert (found.full_name, found.email) == ("王一", "w@example.com")


async def test_who_has_signed_up_is_found_by_the_subject(imports: Imports) -> None:
    """Given a person who has signed up; when the bank tells its key for the subject; then it is the same customer."""
    subject = f"subject-{imports.source}"
    principal = Principal(subject, frozenset({Role.CUSTOMER}), frozenset(), 0)
    async with imports.database.write() as session:
        signed_up = await sign_up(session, principal, display_name="吴昕", hash_key=HASH_KEY, now=utc_now())
    await imports.run(lines(customer("other")))
    report = await imports.run(lines(customer("a", subject=subject), customer("other", subject=subject)))

    assert (await imports.ids())["a"] == signed_up.id
    assert await imports.rejections(report) == [
        (2, "key", "several customers may be meant: to be reviewed (alias, subject)")
    ]
    assert (report.accepted, report.rejected, report.reviewed) == (1, 0, 1)
    async with imports.database.read() as session:
        assert await customer_id_of(session, SIGN_IN, subject) == signed_up.id


async def test_rows_are_written_in_bounded_batches(imports: Imports) -> None:
    """Given more rows than a batch holds; when imported; then it goes batch by batch, none larger."""
    await imports.run(lines(*(customer(str(number)) for number in range(2 * BATCH_ROWS + 5))))

    assert imports.steps == [BATCH_ROWS, BATCH_ROWS, 5]


async def test_a_source_needs_a_name_of_its_own(imports: Imports) -> None:
    """Given the name of the sign-in as source; then it is refused and no report is kept."""
    with pytest.raises(SourceInvalid):
        await imports.run(lines(customer("a")), source="oidc")


async def test_an_import_that_is_killed_and_run_again_ends_as_one_that_was_not(
    imports: Imports, stores: Addresses, tmp_path: Path
) -> None:
    """Given the command killed after its first batch; when run again; then everything is there once."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines(*many_rows(3 * BATCH_ROWS)))
    command = [sys.executable, "-m", "customers.imports", str(path), "--source", imports.source]
    child = start_leashed(command, log=tmp_path / "log", env=stores.environment())
    while await accepted(imports) < BATCH_ROWS:
        assert child.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.01)  # noqa: ASYNC251 - nothing else runs here
    child.kill()
    child.wait()
    assert await accepted(imports) < 6 * BATCH_ROWS
    done = await imports.run(path.read_bytes())

    around = await imports.around()
    assert (done.accepted, done.rejected) == (6 * BATCH_ROWS + 1, 0)
    assert len(await imports.ids()) == 3 * BATCH_ROWS
    assert len(around) == 3 * BATCH_ROWS
    assert {row["members"] for row in around} == {3 * BATCH_ROWS}


def many_rows(count: int) -> Iterator[Row]:
    yield community("k")
    for number in range(count):
        yield customer(str(number))
        yield membership(str(number), "k")


async def accepted(imports: Imports) -> int:
    """How many rows the source's reports say went in."""
    async with imports.database.read() as session:
        statement = select(func.coalesce(func.sum(ImportBatch.accepted), 0))
        return (await session.exec(statement.where(ImportBatch.source == imports.source))).one()


def test_the_command_says_what_is_wrong_with_its_settings(tmp_path: Path) -> None:
    """Given no database; when the command runs; then one line names the setting, and it ends with 2."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"")
    command = [sys.executable, "-m", "customers.imports", str(path)]
    done = subprocess.run(command, env={"ENVIRONMENT": "nowhere"}, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "ENVIRONMENT" in done.stderr


def referral(referrer: str, referee: str, **more: Any) -> Row:
    return {"kind": "referral", "referrer": referrer, "referee": referee, "occurred_at": AT, **more}


async def conversions(imports: Imports, program: str) -> dict[str, str]:
    """Referrers by referees, both by the source's keys, as the conversions have them."""
    keys = {value: key for key, value in (await imports.ids()).items()}
    async with imports.database.read() as session:
        found: Sequence[Referral] = (await session.exec(select(Referral).where(Referral.program_id == program))).all()
    return {keys[row.referee_id]: keys[row.referrer_id] for row in found}


EDGES = """
MATCH (a:Customer)-[r:REFERRED {program_id: $program_id}]->(b:Customer)
RETURN a.id AS referrer, b.id AS referee, r.settled AS settled, r.code_id AS code_id
"""


async def test_referrals_are_drawn_and_recorded_once(imports: Imports) -> None:
    """Given a chain of referrals in any order; when imported twice; then one relationship and conversion of each."""
    program = await make_program(imports.database)
    content = lines(
        *(customer(key) for key in "abcd"),
        *(referral(*pair, program=program) for pair in ("cd", "bc", "ab", "ab")),
    )
    first = await imports.run(content)
    again = await imports.run(content)

    edges = await imports.graph.read(EDGES, program_id=program)
    assert first.rejected == again.rejected == 0
    assert await conversions(imports, program) == {"d": "c", "c": "b", "b": "a"}
    assert len(edges) == 3
    assert all(edge["settled"] for edge in edges)
    async with imports.database.read() as session:
        codes = await codes_of(session, program, [edge["referrer"] for edge in edges])
    assert {edge["referrer"]: edge["code_id"] for edge in edges} == codes


async def test_referrals_that_cannot_be_are_rejected_with_a_reason(imports: Imports) -> None:
    """Given a circle, a second referrer, oneself, the future and no programme; then each is rejected by its reason."""
    program = await make_program(imports.database)
    await imports.run(lines(*(customer(key) for key in "abcd"), referral("a", "b", program=program)))
    report = await imports.run(
        lines(
            referral("b", "c", program=program),
            referral("c", "a", program=program),
            referral("d", "b", program=program),
            referral("a", "a", program=program),
            referral("a", "d", program=program, occurred_at="2999-01-01T00:00:00Z"),
            referral("a", "d", program="none"),
            referral("a", "stranger", program=program),
        )
    )

    assert await imports.rejections(report) == [
        (2, "referee", "the referrer was referred by this customer"),
        (3, "referee", "somebody else already referred this customer"),
        (4, "referee", "the same customer"),
        (5, "occurred_at", "it lies in the future"),
        (6, "program", "unknown programme"),
        (7, "referee", "unknown customer"),
    ]
    assert (report.accepted, report.rejected) == (1, 6)
    assert await conversions(imports, program) == {"b": "a", "c": "b"}


async def test_an_imported_referral_stands_back_behind_a_claim(imports: Imports) -> None:
    """Given somebody who has claimed a referrer; when an import names another; then the claim stays."""
    program = await make_program(imports.database)
    await imports.run(lines(customer("a"), customer("b")))
    (friend,) = await make_people(imports.graph, 1)
    await claim(
        imports.database, imports.graph, await code_of(imports.database, program, friend), (await imports.ids())["b"]
    )
    report = await imports.run(lines(referral("a", "b", program=program)))

    assert await imports.rejections(report) == [(1, "referee", "somebody else already referred this customer")]
    edges = await imports.graph.read(EDGES, program_id=program)
    assert [edge["referrer"] for edge in edges] == [friend]


async def test_a_referral_whose_conversion_was_not_written_is_found_by_the_sweep(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an import that ends between the graph and SQL; when the worker sweeps; then the conversion is there."""
    program = await make_program(imports.database)
    with monkeypatch.context() as cut:
        cut.setattr("referrals.history.record_new", out_of_power)
        with pytest.raises(KeyboardInterrupt):
            await imports.run(lines(customer("a"), customer("b"), referral("a", "b", program=program)))
    assert await conversions(imports, program) == {}

    await sweep_graph(Stores(imports.database, imports.graph))

    assert await conversions(imports, program) == {"b": "a"}
    assert [edge["settled"] for edge in await imports.graph.read(EDGES, program_id=program)] == [True]


async def out_of_power(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
