"""Events that nobody completes: the worker does it once, and who turns up on a late list was there after all."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from community.acts import SYSTEM
from community.checkin import CheckInOutcome, Item, check_in_batch
from community.registrations import registrations_for
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.db import Database
from core.facts import Fact
from graph.client import GraphClient
from tests.community.happenings import make_managed, put_registrations, stored_event
from tests.community.places import make_customers, make_event
from worker import completion
from worker.completion import complete_forgotten_events
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def make_ended(graph: GraphClient, community: str, *, hours: float, status: str = "PUBLISHED") -> str:
    """An event that ended so many hours ago, after two of them."""
    return await make_event(graph, community, status=status, starts_at=utc_now() - timedelta(hours=hours + 2))


def no_codes(_: str, __: datetime) -> tuple[str, str]:
    raise AssertionError("these lists name customers")


async def test_forgotten_events_are_completed_once_page_by_page(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given events that ended in all ways and times; when two sweeps run; then the forgotten ones are completed."""
    monkeypatch.setattr(completion, "BATCH", 2)
    community, _, _ = await make_managed(graph)
    forgotten = [await make_ended(graph, community, hours=hours) for hours in (49, 50, 60, 100, 700)]
    left = {
        await make_ended(graph, community, hours=47): "PUBLISHED",
        await make_ended(graph, community, hours=24 * 40): "PUBLISHED",
        await make_ended(graph, community, hours=60, status="CANCELLED"): "CANCELLED",
        await make_ended(graph, community, hours=60, status="DRAFT"): "DRAFT",
    }
    people = await make_customers(graph, 3)
    await put_registrations(graph, forgotten[0], people[:1])
    await put_registrations(graph, forgotten[0], people[1:2], status="ATTENDED")
    await put_registrations(graph, forgotten[0], people[2:], status="WAITING")
    rung: list[str] = []

    async def ring(channel: str, _: object) -> None:
        rung.append(channel)

    stores = Stores(database, graph, ring)
    for _ in range(2):
        await complete_forgotten_events(stores, now=utc_now())
        await sweep_graph(stores)
        await sweep_outbox(stores)

    states = {event: (await stored_event(graph, event))["status"] for event in (*forgotten, *left)}
    assert states == {**dict.fromkeys(forgotten, "COMPLETED"), **left}
    counted = Counter(rung)
    assert all(counted[f"event:{event}"] == 1 for event in forgotten)
    kept = {one: (await registrations_for(graph, one, [forgotten[0]]))[forgotten[0]]["status"] for one in people}
    assert list(kept.values()) == ["NO_SHOW", "ATTENDED", "CANCELLED"]
    area = select(AuditEntry).where(AuditEntry.area == f"community:{community}")
    async with database.read() as session:
        entries = (await session.exec(area)).all()
    assert {(one.subject, one.action, one.actor) for one in entries} == {
        (f"Event:{event}", "EVENT_COMPLETED", SYSTEM) for event in forgotten
    }
    assert len(entries) == len(forgotten)


async def test_a_list_that_comes_after_it_makes_absences_attendance(graph: GraphClient, database: Database) -> None:
    """Given somebody whom the sweep marked as absent; when a phone's list comes; then they were there, at its time."""
    community, manager, _ = await make_managed(graph)
    event = await make_ended(graph, community, hours=50)
    there, absent = await make_customers(graph, 2)
    await put_registrations(graph, event, [there, absent])
    stores = Stores(database, graph)
    await complete_forgotten_events(stores, now=utc_now())
    await sweep_graph(stores)
    await sweep_outbox(stores)
    scanned = utc_now() - timedelta(hours=51)
    item = Item(key="1", scanned_at=scanned, event_id=event, customer_id=there)
    for _ in range(2):
        results = await check_in_batch(graph, [item], read=no_codes, manager_id=manager, now=utc_now())
        assert [result.outcome for result in results] == [CheckInOutcome.CHECKED_IN]
    await sweep_graph(stores)
    await complete_forgotten_events(stores, now=utc_now())
    await sweep_graph(stores)
    found = {one: (await registrations_for(graph, one, [event]))[event] for one in (there, absent)}
    assert [row["status"] for row in found.values()] == ["ATTENDED", "NO_SHOW"]
    assert found[there]["attended_at"] == iso(scanned)
    async with database.read() as session:
        (fact,) = (await session.exec(select(Fact).where(Fact.customer_id == there))).all()
    assert (fact.kind, fact.payload["checked_in_by"]) == ("EVENT_ATTENDED", manager)
