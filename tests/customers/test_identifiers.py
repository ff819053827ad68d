"""Identifiers: drawn from imports and facts alike, and what they are made of is nowhere to be found."""

from typing import Any

import orjson
import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.facts import Fact, FactInvalid, NewFact, record_facts, seal_fact
from core.identifiers import IdentifierKind, identifier_key
from core.ids import new_id
from graph.client import GraphClient
from tests.customers.test_imports import HASH_KEY, Imports, customer, lines
from tests.customers.test_imports import imports as imports
from tests.referrals.programs import make_people
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

EARLY, LATE = "2026-01-02T03:04:05Z", "2026-03-02T03:04:05Z"
USES = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
MATCH (c)-[u:USES]->(i:Identifier)
RETURN c.id AS id, i.key AS key, i.kind AS kind, u.first_at AS first_at, u.last_at AS last_at, properties(i) AS said
ORDER BY kind, id
"""


def seen(who: str, kind: str, value: str, at: str = EARLY) -> dict[str, Any]:
    return {"kind": "identifier", "customer": who, "identifier_kind": kind, "value": value, "seen_at": at}


def test_spelling_makes_no_second_identifier_and_kinds_are_kept_apart() -> None:
    address = identifier_key("k", IdentifierKind.ADDRESS, "上海市 南京西路 100号 2-301")
    assert address == identifier_key("k", IdentifierKind.ADDRESS, "上海市南京西路１００号2 301")
    assert address != identifier_key("other", IdentifierKind.ADDRESS, "上海市南京西路100号2-301")
    assert identifier_key("k", IdentifierKind.DEVICE, "a1") != identifier_key("k", IdentifierKind.CARD, "a1")
    for empty in ("", " -- ", "x" * 501):
        with pytest.raises(ValueError, match="1 to 500 characters"):
            identifier_key("k", IdentifierKind.DEVICE, empty)


async def test_identifiers_are_drawn_once_from_the_first_to_the_last_sighting(imports: Imports) -> None:
    """Given one device of two customers told in three spellings and two files; then one node and the whole span."""
    device = f"D-{imports.source}"
    content = lines(
        customer("a"),
        customer("b"),
        seen("a", "DEVICE", device, LATE),
        seen("a", "DEVICE", device.lower().replace("-", "")),
        seen("b", "DEVICE", device),
        seen("a", "CARD", f"C-{imports.source}"),
        seen("a", "PET", "x"),
        seen("a", "CARD", "--"),
        seen("a", "CARD", "x", "2999-01-01T00:00:00Z"),
        seen("stranger", "CARD", "x"),
    )
    first = await imports.run(content)
    again = await imports.run(content)

    ids = await imports.ids()
    rows = await imports.graph.read(USES, ids=list(ids.values()))
    key = identifier_key(HASH_KEY, IdentifierKind.DEVICE, device)
    assert (first.accepted, first.rejected) == (again.accepted, again.rejected) == (6, 4)
    assert [(line, field) for line, field, _ in await imports.rejections(first)] == [
        (7, "identifier_kind"),
        (8, "value"),
        (9, "seen_at"),
        (10, "customer"),
    ]
    devices = {row["id"]: (row["key"], row["first_at"][:10], row["last_at"][:10]) for row in rows[1:]}
    assert [row["kind"] for row in rows] == ["CARD", "DEVICE", "DEVICE"]
    assert devices == {ids["a"]: (key, "2026-01-02", "2026-03-02"), ids["b"]: (key, "2026-01-02", "2026-01-02")}
    assert all(row["said"].keys() - {"@rid", "@type", "@cat"} == {"key", "kind"} for row in rows)


async def test_a_fact_draws_its_identifier_and_keeps_no_plain_value(graph: GraphClient, database: Database) -> None:
    """Given facts of a device, a card and an address; when settled twice; then three identifiers and no plain value."""
    (lin,) = await make_people(graph, 1)
    plain = new_id()
    kinds = {"DEVICE_SEEN": "DEVICE", "CARD_LINKED": "CARD", "ADDRESS_CHANGED": "ADDRESS"}
    facts = [
        seal_fact(NewFact("test", new_id(), kind, lin, utc_now(), {"value": plain}), hash_key="k") for kind in kinds
    ]
    async with database.write() as session:
        await record_facts(session, facts, now=utc_now())
    await sweep_outbox(Stores(database, graph))

    rows = await graph.read(USES, ids=[lin])
    async with database.read() as session:
        kept = (await session.exec(select(Fact).where(Fact.customer_id == lin))).all()
    assert {row["kind"]: row["key"] for row in rows} == {
        kind: identifier_key("k", IdentifierKind(kind), plain) for kind in kinds.values()
    }
    assert len(kept) == 3
    assert plain not in orjson.dumps([fact.payload for fact in kept]).decode()


@pytest.mark.parametrize(
    "payload", [{"value": 7}, {"value": ""}, {"street": "x"}, {"value": "x", "street": "y"}, {"value": "x" * 501}]
)
def test_a_fact_of_a_device_says_its_value_and_nothing_else(payload: dict[str, Any]) -> None:
    with pytest.raises(FactInvalid):
        seal_fact(NewFact("test", "k", "DEVICE_SEEN", "c", utc_now(), payload), hash_key="k")


async def test_a_fact_that_was_not_sealed_is_never_recorded(database: Database) -> None:
    fact = NewFact("test", new_id(), "DEVICE_SEEN", new_id(), utc_now(), {"value": "plain"})
    with pytest.raises(RuntimeError, match="sealed"):
        async with database.write() as session:
            await record_facts(session, [fact], now=utc_now())
    async with database.read() as session:
        assert await session.get(Fact, fact.id) is None


def test_other_facts_and_bare_ones_stay_as_they_are() -> None:
    for kind, payload in (("IDENTITY_VERIFIED", {"value": "x"}), ("CARD_LINKED", {})):
        fact = NewFact("test", "k", kind, "c", utc_now(), payload)
        assert seal_fact(fact, hash_key="k") == fact
