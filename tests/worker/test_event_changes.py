"""What a change of an event owes: everybody concerned is told once and every absence marked once, whatever breaks."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import col, select

from community.event_changes import EVENT_CHANGED, EVENT_COMPLETED, cancel_event, complete_event, update_event
from community.event_series_edits import SeriesChange, cancel_this_and_following, update_this_and_following
from community.prices import EVENT_CANCELLED
from core.clock import parse_instant, utc_now
from core.db import Database
from core.outbox import Outbox
from graph.client import GraphClient
from service.notifications import Notification
from tests.community.happenings import make_managed, put_registrations, stored_event
from tests.community.places import make_customers, make_event
from tests.community.test_event_series import events_in, make, monday
from worker import handlers
from worker.handlers import HANDLERS
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores, Work

pytestmark = pytest.mark.anyio


async def notices_of(database: Database, ids: list[str]) -> Counter[tuple[str, str]]:
    """Customer and kind of the notices to these customers."""
    async with database.read() as session:
        rows = (await session.exec(select(Notification).where(col(Notification.customer_id).in_(ids)))).all()
    return Counter((row.customer_id, row.kind) for row in rows)


async def rows_about(database: Database, topic: str, event_id: str) -> list[Outbox]:
    async with database.read() as session:
        rows = (await session.exec(select(Outbox).where(Outbox.topic == topic))).all()
    return [row for row in rows if row.payload["event_id"] == event_id]


def breaking(topic: str, times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the handler of a topic do all its work and then die before the commit, so often."""
    left = [times]
    handler: Callable[[Work], object] = HANDLERS[topic]

    async def dying(work: Work) -> None:
        await handler(work)  # pyright: ignore[reportGeneralTypeIssues] - every handler is awaited
        if left[0]:
            left[0] -= 1
            raise ConnectionError("killed")

    monkeypatch.setitem(HANDLERS, topic, dying)
    return left


async def settle_all(stores: Stores) -> None:
    """Sweep until nothing of ours is postponed any more."""
    await relay_owed(stores)
    for _ in range(6):
        await sweep_outbox(stores)
        async with stores.database.write() as session:
            rows = await session.exec(select(Outbox).where(col(Outbox.failure).is_not(None)))
            for row in rows.all():
                row.available_at = utc_now()


async def test_everybody_is_told_once_page_by_page_although_it_dies(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 23 concerned, pages of 5 and three deaths before a commit, then each has one notice of each change."""
    monkeypatch.setattr(handlers, "PAGE", 5)
    community, manager, _ = await make_managed(graph)
    event = await make_event(graph, community)
    people = await make_customers(graph, 26)
    await put_registrations(graph, event, people[:20])
    await put_registrations(graph, event, people[20:23], status="WAITING")
    await put_registrations(graph, event, people[23:], status="CANCELLED")
    left = breaking(EVENT_CHANGED, 3, monkeypatch)
    stores = Stores(database, graph)
    await update_event(graph, event_id=event, changes={"venue": "Hall 2"}, manager_id=manager, now=utc_now())
    await cancel_event(graph, event_id=event, reason="Storm", manager_id=manager, now=utc_now())
    await settle_all(stores)
    assert left == [0]
    told = await notices_of(database, people)
    expected = {(person, kind): 1 for person in people[:23] for kind in ("EVENT_CHANGED", "EVENT_CANCELLED")}
    assert told == expected
    rows = await rows_about(database, EVENT_CHANGED, event)
    assert len(rows) == 10
    assert all(row.settled_at for row in rows)
    for row in rows:
        async with database.write() as session:
            await HANDLERS[row.topic](Work(session, graph, row.key, row.payload, utc_now()))
    assert await notices_of(database, people) == expected
    async with database.read() as session:
        notice = (await session.exec(select(Notification).where(Notification.customer_id == people[0]))).all()
    data = {one.kind: one.data for one in notice}
    assert data["EVENT_CHANGED"] == {"event_id": event, "community_id": community, "changed": ["venue"]}
    assert data["EVENT_CANCELLED"] == {"event_id": event, "community_id": community, "reason": "Storm"}


async def test_absences_are_marked_page_by_page_although_it_dies(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 12 registered, 3 of them there, and deaths between the stores, then 9 are absent and nobody else."""
    monkeypatch.setattr(handlers, "PAGE", 4)
    community, manager, _ = await make_managed(graph)
    event = await make_event(graph, community, starts_at=utc_now() - timedelta(hours=1))
    people = await make_customers(graph, 14)
    await put_registrations(graph, event, people[:9])
    await put_registrations(graph, event, people[9:12], status="ATTENDED")
    await put_registrations(graph, event, people[12:], status="CANCELLED")
    left = breaking(EVENT_COMPLETED, 2, monkeypatch)
    await complete_event(graph, event_id=event, manager_id=manager, now=utc_now())
    await settle_all(Stores(database, graph))
    assert left == [0]
    rows = await graph.read(
        "MATCH (:Event {id: $id})<-[r:REGISTERED_FOR]-() RETURN r.status AS status, count(r) AS found", id=event
    )
    assert {row["status"]: row["found"] for row in rows} == {"NO_SHOW": 9, "ATTENDED": 3, "CANCELLED": 2}
    assert (await stored_event(graph, event))["registered"] == 12


async def test_a_regular_of_a_series_is_told_once_of_its_move(graph: GraphClient, database: Database) -> None:
    """Given somebody registered for all of a series, when it moves an hour, then they have one notice and not six."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=6", monday(1))
    events = await events_in(graph, series)
    regular, guest = await make_customers(graph, 2)
    for event in events:
        await put_registrations(graph, event["id"], [regular])
    await put_registrations(graph, events[3]["id"], [guest])
    change = SeriesChange(schedule={"starts_at_local": monday(1, "20:00")})
    await update_this_and_following(graph, event_id=events[0]["id"], change=change, manager_id=manager, now=utc_now())
    await settle_all(Stores(database, graph))
    assert await notices_of(database, [regular, guest]) == {
        (regular, "EVENT_CHANGED"): 1,
        (guest, "EVENT_CHANGED"): 1,
    }
    assert parse_instant((await stored_event(graph, events[3]["id"]))["starts_at"]) == parse_instant(
        events[3]["starts_at"]
    ) + timedelta(hours=1)


async def test_a_regular_of_a_cancelled_series_is_told_once_and_paid_back_for_each(
    graph: GraphClient, database: Database
) -> None:
    """Given somebody registered for all of a series, when it is called off from the third on, then they hear once."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=6", monday(1))
    events = await events_in(graph, series)
    regular, guest, early = await make_customers(graph, 3)
    for event in events:
        await put_registrations(graph, event["id"], [regular])
    await put_registrations(graph, events[4]["id"], [guest])
    await put_registrations(graph, events[0]["id"], [early])
    await cancel_this_and_following(
        graph, event_id=events[2]["id"], reason="The hall closes", manager_id=manager, now=utc_now()
    )
    await settle_all(Stores(database, graph))
    told = await notices_of(database, [regular, guest, early])
    assert told == {(regular, "SERIES_CANCELLED"): 1, (guest, "SERIES_CANCELLED"): 1}
    async with database.read() as session:
        notices = (
            await session.exec(select(Notification).where(col(Notification.customer_id).in_([regular, guest])))
        ).all()
    about = {"event_id": events[2]["id"], "community_id": community, "reason": "The hall closes"}
    assert [notice.data for notice in notices] == [about, about]
    refunds = [len(await rows_about(database, EVENT_CANCELLED, event["id"])) for event in events]
    assert refunds == [0, 0, 1, 1, 1, 1]
