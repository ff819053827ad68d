"""Tags on customers: one life-cycle tag at a time under any concurrency, history as of, and what the graph shows."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.clock import iso, utc_now
from core.db import Database, insert_once
from core.outbox import Outbox
from customers.tag_backfill import BACKFILL, backfill_tags
from customers.tag_history import tag_history, tags_at
from customers.tagging import TAGS_CHANGED, NewTag, TaggingInvalid, on_tags_changed, tag_customers, untag_customer
from graph.client import GraphClient
from segments.condition_sql import matches
from segments.conditions import load_vocabulary, parse_condition
from segments.tagging import TagFamily
from tests.customers.tagged import edges_of, make_profiles, make_words, put_tag, rows_of
from tests.customers.test_imports import Imports, customer, imports, lines
from worker.handlers import settle
from worker.sweeps import sweep_outbox
from worker.work import Stores

__all__ = ["imports"]

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def owed_rows(database: Database, customer_id: str) -> list[str]:
    statement = select(Outbox).where(Outbox.topic == TAGS_CHANGED, Outbox.settled_at == None)  # noqa: E711
    async with database.read() as session:
        rows = (await session.exec(statement)).all()
    return [row.id for row in rows if customer_id in row.payload["customer_ids"]]


async def test_of_twenty_writers_one_tag_stands(database: Database, graph: GraphClient, unique: str) -> None:
    """Given five life-cycle tags; when 20 writers put one each at once; then one stands, and the graph shows it."""
    (me,) = await make_profiles(database, graph, 1)
    keys = [f"{name}-{unique}" for name in "abcde"]
    await make_words(database, graph, keys)
    await asyncio.gather(*(put_tag(database, me, keys[number % 5]) for number in range(20)))
    standing = [row.tag_key for row in await rows_of(database, me) if row.ended_at is None]
    assert len(standing) == 1
    stores = Stores(database, graph)
    effects = await owed_rows(database, me)
    Random(unique).shuffle(effects)
    await asyncio.gather(*(settle(stores, row_id) for row_id in effects))
    while late := await owed_rows(database, me):
        await asyncio.gather(*(settle(stores, row_id) for row_id in late))
    assert await edges_of(graph, me) == [(me, standing[0])]


async def test_saying_it_again_changes_nothing_and_saying_it_otherwise_is_a_new_row(
    database: Database, graph: GraphClient, unique: str
) -> None:
    (me,) = await make_profiles(database, graph, 1)
    await make_words(database, graph, [unique], TagFamily.NEED)
    now = utc_now()
    for when, changed in ((now, [me]), (now + DAY, [])):
        assert await put_tag(database, me, unique, family=TagFamily.NEED, now=when) == changed
    assert await put_tag(database, me, unique, family=TagFamily.NEED, now=now + 2 * DAY, confidence=0.5) == [me]
    rows = await rows_of(database, me)
    assert [(row.confidence, row.since, row.ended_at, row.end_reason) for row in rows] == [
        (1.0, now, now + 2 * DAY, "RESTATED"),
        (0.5, now + 2 * DAY, None, None),
    ]
    async with database.read() as session:
        for at, confidence in ((now, 1.0), (now + 2 * DAY - DAY / 2, 1.0), (now + 2 * DAY, 0.5)):
            assert [row.confidence for row, _ in await tags_at(session, me, at)] == [confidence]
        assert await tags_at(session, me, now - DAY) == []


async def test_what_is_said_later_of_before_prevails(database: Database, graph: GraphClient, unique: str) -> None:
    """Given a tag of the life cycle from today; when another is said to hold since last year; then as of any day one
    of the two stood, and the pages of the history have both."""
    (me,) = await make_profiles(database, graph, 1)
    young, old = f"young-{unique}", f"old-{unique}"
    await make_words(database, graph, [young, old])
    now = utc_now()
    await put_tag(database, me, young, now=now, since=now - 10 * DAY)
    await put_tag(database, me, old, now=now + DAY, since=now - 300 * DAY)
    async with database.read() as session:
        for days in (-299, -1, 0, 1, 2):
            assert [tag.key for _, tag in await tags_at(session, me, now + days * DAY)] == [old]
        first = await tag_history(session, me, first=1, after=None)
        second = await tag_history(session, me, first=1, after=first.cursors[0])
    assert [tag.key for _, tag in first.rows + second.rows] == [young, old]
    assert first.has_next and not second.has_next


async def test_a_tag_leaves_when_it_expires_without_anybody_touching_it(
    database: Database, graph: GraphClient, unique: str
) -> None:
    (me,) = await make_profiles(database, graph, 1)
    await make_words(database, graph, [unique])
    now = utc_now()
    await put_tag(database, me, unique, now=now, until=now + DAY)
    async with database.read() as session:
        condition = parse_condition({"tag": unique}, await load_vocabulary(session))
        moments = (now, now + DAY - timedelta(microseconds=1), now + DAY, now + 9 * DAY)
        assert [await matches(session, condition, me, now=at) for at in moments] == [True, True, False, False]
        assert await tags_at(session, me, now + DAY) == []
    with pytest.raises(TaggingInvalid):
        await put_tag(database, me, unique, now=now, since=now + DAY)
    # A tag whose time is over when it comes is history, and ends nothing that stands.
    await put_tag(database, me, unique, now=now + 2 * DAY)
    other = f"other-{unique}"
    await make_words(database, graph, [other])
    for _ in range(2):
        await put_tag(database, me, other, now=now + 3 * DAY, since=now, until=now + DAY)
    rows = await rows_of(database, me)
    assert [(row.tag_key, row.ended_at is None) for row in rows] == [(unique, False), (unique, True), (other, False)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_history_ends_no_tag_that_stands(
    database: Database, graph: GraphClient, unique: str, turned: bool, together: bool
) -> None:
    """Given a tag that stands and a span of it that is over, in either order and in one batch or two; then it stands,
    and as of then the span does. Said by the same source of the same beginning, it is the end of what stood."""
    (me,) = await make_profiles(database, graph, 1)
    await make_words(database, graph, [unique], TagFamily.NEED)
    now = utc_now()
    stands = NewTag(me, unique, TagFamily.NEED, "crm", since=now - DAY)
    past = NewTag(me, unique, TagFamily.NEED, "crm", since=now - 9 * DAY, until=now - 5 * DAY)
    tags = [past, stands] if turned else [stands, past]
    for batch in [tags] if together else [[one] for one in tags] * 2:
        async with database.write() as session:
            await tag_customers(session, batch, set_by="crm", now=now)
    rows = await rows_of(database, me)
    assert sorted((row.since, row.ended_at is None) for row in rows) == [(past.since, False), (stands.since, True)]
    async with database.read() as session:
        found = [len(await tags_at(session, me, now - days * DAY)) for days in (0, 3, 6)]
    assert found == [1, 0, 1]
    async with database.write() as session:
        ended = replace(stands, until=now - DAY / 2)
        await tag_customers(session, [ended], set_by="crm", now=now)
    assert all(row.ended_at is not None for row in await rows_of(database, me))


async def test_more_edges_are_owed_together_than_a_statement_takes_parameters(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given effects that name 33,000 customers, one of whom is there; then that one's edges are written."""
    (me,) = await make_profiles(database, graph, 1)
    await make_words(database, graph, [unique])
    await put_tag(database, me, unique)
    payloads = [{"customer_ids": [f"{unique}-{batch}-{number}" for number in range(500)]} for batch in range(66)]
    async with database.write() as session:
        await on_tags_changed(session, graph, [*payloads, {"customer_ids": [me]}], utc_now())
    assert await edges_of(graph, me) == [(me, unique)]


async def test_a_crash_before_the_edges_delays_them(database: Database, graph: GraphClient, unique: str) -> None:
    """Given a tag and its end that were committed, and no worker; when a sweep comes, twice; then the graph follows."""
    one, other = await make_profiles(database, graph, 2)
    await make_words(database, graph, [unique])
    for person in (one, other):
        await put_tag(database, person, unique)
    async with database.write() as session:
        await untag_customer(session, other, [unique], now=utc_now())
    assert await edges_of(graph, one, other) == []
    for _ in range(2):
        await sweep_outbox(Stores(database, graph))
        assert await edges_of(graph, one, other) == [(one, unique)]
    assert await owed_rows(database, one) == await owed_rows(database, other) == []


async def test_a_thousand_rows_are_a_handful_of_statements(imports: Imports, unique: str) -> None:
    """Given 500 customers; when a file tags each with two tags, twice; then it costs few statements, and nothing is
    left owed; a tag of the life cycle ends the other, and one that is over is no edge."""
    key = f"t{unique}"
    words = [f"{key}{name}" for name in "abc"]
    tags = [{"kind": "tag", "key": one, "name_zh": "标", "name_en": "T", "family": "LIFE_CYCLE"} for one in words]
    await imports.run(lines(*tags, *(customer(str(number)) for number in range(500))))
    people = await imports.ids()
    said = [
        *({"kind": "customer_tag", "customer": str(number), "tag": words[0]} for number in range(500)),
        *({"kind": "customer_tag", "customer": str(number), "tag": words[1]} for number in range(499)),
        {
            "kind": "customer_tag",
            "customer": "0",
            "tag": words[2],
            "since": "2020-01-01T00:00:00Z",
            "until": "2021-01-01T00:00:00Z",
        },
    ]
    for _ in range(2):
        before, trips = imports.database.statements, imports.graph.round_trips
        report = await imports.run(lines(*said))
        assert (report.accepted, report.rejected) == (1_000, 0)
        assert imports.database.statements - before <= 30
        assert imports.graph.round_trips - trips <= 2
    edges = await edges_of(imports.graph, *people.values())
    assert sorted(edges) == sorted(
        (person, words[0] if number == "499" else words[1]) for number, person in people.items()
    )
    assert await owed_rows(imports.database, people["0"]) == []
    rows = await rows_of(imports.database, people["0"])
    assert {(row.tag_key, row.end_reason) for row in rows} == {(words[1], None), (words[2], "EXPIRED")}
    assert len(rows) == 2


async def test_rows_that_cannot_be_are_named(imports: Imports, unique: str) -> None:
    key = f"t{unique}x"
    tag = {"kind": "tag", "key": key, "name_zh": "标", "name_en": "T", "family": "NEED"}
    said = {"kind": "customer_tag", "customer": "a", "tag": key}
    report = await imports.run(
        lines(
            customer("a"),
            tag,
            {**said, "since": iso(utc_now() + DAY)},
            {**said, "since": "2020-01-01T00:00:00Z", "until": "2020-01-01T00:00:00Z"},
            {**said, "tag": "no-such"},
            said,
        )
    )
    assert [(line, field) for line, field, _ in await imports.rejections(report)] == [
        (3, "since"),
        (4, "until"),
        (5, "tag"),
    ]
    report = await imports.run(lines({**tag, "family": "INTEREST"}, {**tag, "name_en": "Better"}))
    assert [(line, field) for line, field, _ in await imports.rejections(report)] == [(1, "family")]


OLD_EDGES = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.id}), (t:Tag {key: row.key})
CREATE (c)-[:TAGGED {source: row.source, confidence: row.confidence, since: row.since, until: row.until}]->(t)
"""


async def test_tags_of_before_are_brought_over_once(database: Database, graph: GraphClient, unique: str) -> None:
    """Given edges that stand in the graph alone, two of the life cycle on one customer; when they are brought over,
    twice; then SQL has them, the surer of the two stands, and a tag that SQL had already is not doubled."""
    one, other = await make_profiles(database, graph, 2)
    young, old, need = (f"{name}-{unique}" for name in ("young", "old", "need"))
    await make_words(database, graph, [young, old])
    await make_words(database, graph, [need], TagFamily.NEED)
    since = "2020-01-01T00:00:00.000000Z"
    said = {"source": None, "since": since, "until": None}
    rows = [
        {**said, "id": one, "key": young, "confidence": 0.5},
        {**said, "id": one, "key": old, "confidence": 0.9},
        {**said, "id": other, "key": need, "confidence": None},
        {**said, "id": other, "key": old, "confidence": 1.0},
    ]
    await graph.write(OLD_EDGES, rows=rows)
    async with database.write() as session:
        await session.exec(text("DELETE FROM tag WHERE key = :key").bindparams(key=need))  # pyright: ignore[reportCallIssue, reportArgumentType]
    await put_tag(database, other, old, since=utc_now() - DAY)
    for number in range(2):
        owed = {"id": f"{unique}{number}", "topic": BACKFILL, "key": f"{unique}{number}", "payload": {}}
        now = utc_now()
        async with database.write() as session:
            await insert_once(session, Outbox, {**owed, "created_at": now, "available_at": now, "attempts": 0}, "id")
        await backfill_tags(database, graph)
        assert await backfill_tags(database, graph) == 0
    found = [(row.customer_id, row.tag_key, row.end_reason, row.set_by) for row in await rows_of(database, one, other)]
    assert sorted(found, key=str) == sorted(
        [
            (one, old, None, "graph"),
            (one, young, "EXCLUDED", "graph"),
            (other, need, None, "graph"),
            (other, old, None, "zhou"),
        ],
        key=str,
    )
