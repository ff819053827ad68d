"""Reminders, feedback and digests: to whom, when, and each once whatever is killed or run twice."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from community.access import MemberRole
from core.clock import iso, utc_now
from core.db import Database, changed_rows
from core.ids import new_id
from core.notices import NOTICE_OWED, NoticeKind
from core.outbox import Outbox
from graph.client import GraphClient
from service.digests import week_to_tell
from service.notifications import Notification, set_preference
from tests.community.happenings import put_registrations, put_status
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.conftest import Addresses
from tests.worker.test_owed import run_killed
from worker import reminders
from worker.reminders import sweep_digests, sweep_reminders
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

MOVE = "MATCH (e:Event {id: $id}) SET e.starts_at = $starts_at, e.ends_at = $ends_at"


async def register(graph: GraphClient, event_id: str, people: list[str], status: str = "REGISTERED") -> None:
    await put_registrations(graph, event_id, people, status=status)


async def move(graph: GraphClient, event_id: str, starts_at: datetime) -> None:
    ends_at = starts_at + timedelta(hours=2)
    await graph.write(MOVE, id=event_id, starts_at=iso(starts_at), ends_at=iso(ends_at))


async def told(database: Database, people: list[str]) -> list[tuple[str, str]]:
    """Whom of these was told what, as often as it was."""
    statement = select(Notification.customer_id, Notification.kind).where(col(Notification.customer_id).in_(people))
    async with database.read() as session:
        return sorted((await session.exec(statement)).all())


async def keys_of(database: Database, event_id: str) -> list[str]:
    statement = select(Outbox.key).where(Outbox.topic == NOTICE_OWED, col(Outbox.key).contains(event_id))
    async with database.read() as session:
        return sorted((await session.exec(statement)).all())


async def work(stores: Stores, now: datetime) -> None:
    """Two runs, as if one were late."""
    for _ in range(2):
        await sweep_reminders(stores, now=now)
        await settle_notices(stores)


async def settle_notices(stores: Stores) -> None:
    """Store what is owed, as if its instant had come."""
    waiting = update(Outbox).where(col(Outbox.topic) == NOTICE_OWED, col(Outbox.available_at) > utc_now())
    async with stores.database.write() as session:
        await changed_rows(session, waiting.values(available_at=utc_now()))
    await sweep_outbox(stores)


async def test_the_registered_are_reminded_a_day_and_an_hour_before_and_nobody_else(
    graph: GraphClient, database: Database
) -> None:
    """Given one person of each status, when the day and the hour come, then who is registered is told twice."""
    now = utc_now()
    community = await make_community(graph)
    event = await make_event(graph, community, starts_at=now + timedelta(hours=30))
    statuses = ["REGISTERED", "WAITING", "OFFERED", "CANCELLED", "OFFER_EXPIRED"]
    people = await make_customers(graph, len(statuses))
    for person, status in zip(people, statuses, strict=True):
        await register(graph, event, [person], status)
    stores = Stores(database, graph)
    counts: list[int] = []
    for hours in (0, 5.9, 6.1, 20, 28.9, 29.1, 30.1):
        await work(stores, now + timedelta(hours=hours))
        counts.append(len(await told(database, people)))
    assert counts == [0, 0, 1, 1, 1, 2, 2]
    assert await told(database, people) == [(people[0], "EVENT_REMINDER")] * 2
    start = iso(now + timedelta(hours=30))
    assert await keys_of(database, event) == [f"reminder:{event}:{people[0]}:{start}:{name}" for name in ("1h", "24h")]


@pytest.mark.parametrize("status", ["DRAFT", "CANCELLED", "COMPLETED"])
async def test_what_does_not_take_place_is_not_reminded_of(graph: GraphClient, database: Database, status: str) -> None:
    now = utc_now()
    event = await make_event(graph, await make_community(graph), status=status, starts_at=now + timedelta(minutes=30))
    people = await make_customers(graph, 1)
    await register(graph, event, people)
    await work(Stores(database, graph), now)
    assert await told(database, people) == []


async def test_an_event_that_is_moved_reminds_anew_and_back_again_does_not(
    graph: GraphClient, database: Database
) -> None:
    """Given a reminder sent, when the event moves, then another is sent, and none when it moves back."""
    now = utc_now()
    first, second = now + timedelta(hours=20), now + timedelta(hours=22)
    event = await make_event(graph, await make_community(graph), starts_at=first)
    people = await make_customers(graph, 2)
    await register(graph, event, people)
    stores = Stores(database, graph)
    counts: list[int] = []
    for start in (first, second, first):
        await move(graph, event, start)
        await work(stores, now)
        counts.append(len(await told(database, people)))
    assert counts == [2, 4, 4]


async def test_an_event_announced_within_the_hour_reminds_once(graph: GraphClient, database: Database) -> None:
    now = utc_now()
    event = await make_event(graph, await make_community(graph), starts_at=now + timedelta(minutes=50))
    people = await make_customers(graph, 1)
    await register(graph, event, people)
    await work(Stores(database, graph), now)
    assert await told(database, people) == [(people[0], "EVENT_REMINDER")]


async def test_killed_half_way_everybody_is_reminded_once(
    stores: Addresses, graph: GraphClient, database: Database, tmp_path: Path
) -> None:
    """Given ten registered in pages of three, when the sweep dies twice on the way, then ten reminders."""
    event = await make_event(graph, await make_community(graph), starts_at=utc_now() + timedelta(minutes=40))
    people = await make_customers(graph, 10)
    await register(graph, event, people)
    await run_killed(stores, tmp_path, "remind", "before-commit", 2)
    assert len(await keys_of(database, event)) == 3
    await run_killed(stores, tmp_path, "remind", "after-commit", 3)
    assert len(await keys_of(database, event)) == 9
    worker = Stores(database, graph)
    await sweep_outbox(worker)
    await work(worker, utc_now())
    assert await told(database, people) == sorted((one, "EVENT_REMINDER") for one in people)


async def test_several_workers_at_once_remind_everybody_once(
    stores: Addresses, graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "PEOPLE", 7)
    now = utc_now()
    community = await make_community(graph)
    people = await make_customers(graph, 25)
    for _ in range(2):
        event = await make_event(graph, community, starts_at=now + timedelta(minutes=40))
        await register(graph, event, people)
    pools = [stores.database() for _ in range(5)]
    try:
        await asyncio.gather(*(sweep_reminders(Stores(pool, graph), now=now) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    await sweep_outbox(Stores(database, graph))
    assert Counter(await told(database, people)) == {(one, "EVENT_REMINDER"): 2 for one in people}


async def test_an_event_that_cannot_be_told_holds_up_no_other(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event whose telling fails, then the one after it is told, and the first one the next time."""
    now = utc_now()
    community = await make_community(graph)
    people = await make_customers(graph, 2)
    broken, good = [await make_event(graph, community, starts_at=now + timedelta(minutes=40 + n)) for n in range(2)]
    await register(graph, broken, people[:1])
    await register(graph, good, people[1:])
    whole = reminders.tell_people

    async def fail(stores: Stores, telling: Any, event: Any, *, now: datetime) -> int:
        if event["id"] == broken:
            raise LookupError("away")
        return await whole(stores, telling, event, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(reminders, "tell_people", fail)
        await work(Stores(database, graph), now)
    assert await told(database, people) == [(people[1], "EVENT_REMINDER")]
    await work(Stores(database, graph), now)
    assert len(await told(database, people)) == 2


async def test_feedback_is_asked_once_of_those_who_came_even_if_their_check_in_came_late(
    graph: GraphClient, database: Database
) -> None:
    """Given one who came and one whose check-in is synchronised hours later, then each is asked once."""
    now = utc_now()
    event = await make_event(graph, await make_community(graph), starts_at=now - timedelta(hours=3))
    came, late, absent = await make_customers(graph, 3)
    await register(graph, event, [came], "ATTENDED")
    await register(graph, event, [late, absent])
    stores = Stores(database, graph)
    await work(stores, now)
    assert await told(database, [came, late, absent]) == [(came, "FEEDBACK_ASKED")]
    await put_status(graph, event, late, "ATTENDED")
    await work(stores, now + timedelta(hours=24))
    await work(stores, now + timedelta(days=3))
    assert await told(database, [came, late, absent]) == sorted((one, "FEEDBACK_ASKED") for one in (came, late))


def test_a_week_ends_on_monday_morning_where_the_bank_is() -> None:
    """Given instants around Monday at eight in Shanghai, then the week told is the last one that is over."""
    monday = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
    assert week_to_tell(monday).name == "2026-W47"
    assert week_to_tell(monday - timedelta(seconds=1)).name == "2026-W46"
    week = week_to_tell(monday + timedelta(days=6, hours=23))
    assert (week.name, week.begins, week.ends) == (
        "2026-W47",
        datetime(2026, 11, 15, 16, tzinfo=UTC),
        datetime(2026, 11, 22, 16, tzinfo=UTC),
    )
    assert week_to_tell(datetime(2027, 1, 5, tzinfo=UTC)).name == "2026-W53"


PUT_POSTS = """
UNWIND $rows AS row
CREATE (:Post {id: row.id, order: $community_id + ':' + row.at + ':' + row.id, deleted_at: row.deleted_at})
"""
ANNOUNCE = "MATCH (e:Event {id: $id}) SET e.feed_order = e.community_id + ':' + $at + ':' + e.id"


async def put_posts(graph: GraphClient, community_id: str, *instants: datetime, deleted: bool = False) -> None:
    rows = [{"id": new_id(), "at": iso(at), "deleted_at": iso(at) if deleted else None} for at in instants]
    await graph.write(PUT_POSTS, community_id=community_id, rows=rows)


async def want_digest(database: Database, customer_id: str) -> None:
    async with database.write() as session:
        await set_preference(session, customer_id, NoticeKind.DIGEST, enabled=True, now=utc_now())


async def digests(database: Database, people: list[str]) -> dict[str, Any]:
    statement = select(Notification).where(col(Notification.customer_id).in_(people))
    async with database.read() as session:
        rows = (await session.exec(statement)).all()
    assert len({row.customer_id for row in rows}) == len(rows)
    return {row.customer_id: row.data for row in rows}


async def test_a_digest_counts_what_is_new_for_those_who_want_one(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given readers in pages of two and a run that stops half-way, then each has one digest with their own counts."""
    monkeypatch.setattr(reminders, "READERS", 2)
    # A week of this test's own: each digest is finished once.
    now = datetime(2031, 1, 1, tzinfo=UTC) + timedelta(weeks=int(new_id()[9:13], 16))
    week = week_to_tell(now)
    inside = week.begins + timedelta(days=3)
    busy, quiet = await make_community(graph), await make_community(graph)
    await put_posts(graph, busy, inside, inside, week.begins - timedelta(seconds=1), week.ends + timedelta(seconds=1))
    await put_posts(graph, busy, inside, deleted=True)
    await graph.write(ANNOUNCE, id=await make_event(graph, busy), at=iso(inside))
    people = await make_customers(graph, 5)
    reader, both, idle, silent, banned = people
    for person, community in ((reader, busy), (both, busy), (both, quiet), (idle, quiet), (silent, busy)):
        await add_member(graph, community, person, MemberRole.MEMBER)
    await add_member(graph, busy, banned, MemberRole.BANNED)
    for person in (reader, both, idle, banned):
        await want_digest(database, person)
    stores = Stores(database, graph)
    with monkeypatch.context() as patch:
        patch.setattr(reminders, "digests_for", cut_off_after(1))
        with pytest.raises(LookupError):
            await sweep_digests(stores, now=now)
    await asyncio.gather(*(sweep_digests(stores, now=now) for _ in range(4)))
    assert await sweep_digests(stores, now=now + timedelta(hours=1)) == 0
    await settle_notices(stores)
    counts = {"week": week.name, "posts": 2, "events": 1}
    assert await digests(database, people) == {reader: counts, both: counts}


def cut_off_after(pages: int) -> Any:
    """What makes digests, failing after so many pages."""
    whole, made = reminders.digests_for, [0]

    async def digests_for(*given: Any) -> dict[str, dict[str, Any]]:
        if made[0] == pages:
            raise LookupError("away")
        made[0] += 1
        return await whole(*given)

    return digests_for
