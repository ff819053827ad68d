"""What the worker takes away: seats of whoever may not come any more, and the events of a community that has closed."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from community.access import MemberRole
from community.bans import ban_member, remove_member, unban_member
from community.charters import archive_community, update_community
from community.event_changes import complete_event
from community.memberships import leave_community
from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient, Row
from service.notifications import Notification
from tests.community.happenings import put_registrations, put_status
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.waiting import make_list, register, snapshot, statuses
from worker import handlers
from worker.handlers import HANDLERS
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores, Work

pytestmark = pytest.mark.anyio


async def settle_all(stores: Stores) -> None:
    for _ in range(3):
        await relay_owed(stores)
        await sweep_outbox(stores)


async def kinds_told(database: Database, customer: str) -> list[str]:
    async with database.read() as session:
        statement = select(Notification.kind).where(Notification.customer_id == customer)
        return sorted((await session.exec(statement.order_by(col(Notification.created_at)))).all())


async def make_home(graph: GraphClient, visibility: str, count: int) -> tuple[str, str, list[str]]:
    """A community with its owner and some members."""
    owner, *members = await make_customers(graph, count + 1)
    community = await make_community(graph, owner_id=owner, visibility=visibility)
    for member in members:
        await add_member(graph, community, member, MemberRole.MEMBER)
    return community, owner, members


async def test_a_ban_frees_the_seats_that_were_held(graph: GraphClient, database: Database) -> None:
    """Given a seat, a place in a list and a past event, when their customer is banned, then the next move up."""
    community, owner, (banned, second, third) = await make_home(graph, "PUBLIC", 3)
    full, other = [await make_list(graph, capacity=1, community=community) for _ in range(2)]
    elsewhere = await make_list(graph, capacity=1)
    past = await make_event(graph, community, starts_at=utc_now() - timedelta(hours=1))
    await put_registrations(graph, past, [banned])
    for event, people in ((full, (banned, second)), (other, (third, banned, second)), (elsewhere, (banned,))):
        for person in people:
            await register(graph, event, person)
    stores = Stores(database, graph)
    await ban_member(
        graph, community_id=community, customer_id=banned, moderator_id=owner, reason="Rude", now=utc_now()
    )
    await settle_all(stores)
    assert await statuses(graph, full, [banned, second]) == ["CANCELLED", "REGISTERED"]
    assert await statuses(graph, other, [third, banned, second]) == ["REGISTERED", "CANCELLED", "WAITING"]
    assert await statuses(graph, elsewhere, [banned]) == ["REGISTERED"]
    assert await statuses(graph, past, [banned]) == ["REGISTERED"]
    assert (await snapshot(graph, full))[0]["registered"] == 1
    assert await kinds_told(database, second) == ["PLACE_GIVEN"]
    assert await kinds_told(database, banned) == ["BANNED", "REGISTRATION_CANCELLED", "REGISTRATION_CANCELLED"]


async def test_who_was_let_in_again_before_the_worker_came_keeps_the_seat(
    graph: GraphClient, database: Database
) -> None:
    community, owner, (member,) = await make_home(graph, "PUBLIC", 1)
    event = await make_list(graph, capacity=1, community=community)
    await register(graph, event, member)
    await ban_member(
        graph, community_id=community, customer_id=member, moderator_id=owner, reason="Rude", now=utc_now()
    )
    await unban_member(graph, community_id=community, customer_id=member, moderator_id=owner, now=utc_now())
    await settle_all(Stores(database, graph))
    assert await statuses(graph, event, [member]) == ["REGISTERED"]


@pytest.mark.parametrize("visibility", ["PUBLIC", "UNLISTED", "PRIVATE"])
async def test_who_leaves_loses_seats_only_where_outsiders_may_not_come(
    graph: GraphClient, database: Database, visibility: str
) -> None:
    community, owner, (gone, removed) = await make_home(graph, visibility, 2)
    event = await make_list(graph, capacity=2, community=community)
    for person in (gone, removed):
        await register(graph, event, person)
    await leave_community(graph, community_id=community, customer_id=gone, now=utc_now())
    await remove_member(graph, community_id=community, customer_id=removed, moderator_id=owner, now=utc_now())
    await settle_all(Stores(database, graph))
    expected = "CANCELLED" if visibility == "PRIVATE" else "REGISTERED"
    assert await statuses(graph, event, [gone, removed]) == [expected] * 2


@pytest.mark.parametrize("visibility", ["UNLISTED", "PRIVATE"])
async def test_a_community_that_hides_takes_back_what_outsiders_hold(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch, visibility: str
) -> None:
    """Given members, outsiders and a past event, when it becomes private, then outsiders hold nothing to come."""
    monkeypatch.setattr(handlers, "OUTSIDERS", 2)
    community, owner, members = await make_home(graph, "PUBLIC", 2)
    outsiders = await make_customers(graph, 5)
    events = [await make_list(graph, capacity=10, community=community) for _ in range(2)]
    past = await make_event(graph, community, starts_at=utc_now() - timedelta(hours=1))
    await put_registrations(graph, past, outsiders)
    for event in events:
        for person in (*outsiders, *members):
            await register(graph, event, person)
    await update_community(graph, {"visibility": visibility}, community_id=community, manager_id=owner, now=utc_now())
    stores = Stores(database, graph)
    for _ in range(3):
        await settle_all(stores)
    expected = "CANCELLED" if visibility == "PRIVATE" else "REGISTERED"
    for event in events:
        assert await statuses(graph, event, outsiders) == [expected] * 5
        assert await statuses(graph, event, members) == ["REGISTERED"] * 2
        assert (await snapshot(graph, event))[0]["registered"] == (2 if visibility == "PRIVATE" else 7)
    assert await statuses(graph, past, outsiders) == ["REGISTERED"] * 5


EVENTS = "MATCH (:Community {id: $id})-[:HOSTS]->(e:Event) RETURN e.id AS id, e.status AS status"


async def test_a_closed_community_cancels_what_is_to_come(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given five coming events, one under way and a draft, when it closes, then the five are cancelled, once."""
    monkeypatch.setattr(handlers, "EVENTS", 2)
    community, owner, (member,) = await make_home(graph, "PUBLIC", 1)
    coming = [await make_list(graph, capacity=1, community=community) for _ in range(5)]
    running = await make_event(graph, community, starts_at=utc_now() - timedelta(minutes=5))
    draft = await make_event(graph, community, status="DRAFT")
    for event in coming:
        await register(graph, event, member)
    await archive_community(graph, community_id=community, owner_id=owner, now=utc_now())
    stores = Stores(database, graph)
    for _ in range(3):
        await settle_all(stores)
    found = {row["id"]: row["status"] for row in await graph.read(EVENTS, id=community)}
    assert found == {**dict.fromkeys(coming, "CANCELLED"), running: "PUBLISHED", draft: "DRAFT"}
    assert await kinds_told(database, member) == ["EVENT_CANCELLED"] * 5
    async with database.write() as session:
        payload = {"community_id": community}
        await HANDLERS["community.archived"](Work(session, graph, community, payload, utc_now()))
    await settle_all(stores)
    assert await kinds_told(database, member) == ["EVENT_CANCELLED"] * 5


async def test_nobody_waits_for_what_is_over(graph: GraphClient, database: Database) -> None:
    """Given every state, when the event is completed, then places not taken are absences and lists are empty."""
    community, owner, people = await make_home(graph, "PUBLIC", 4)
    event = await make_list(graph, capacity=2, community=community, offer_hours=12)
    for person in people:
        await register(graph, event, person)
    await put_status(graph, event, people[0], "ATTENDED")
    past = "2026-01-01T00:00:00.000000Z"
    await graph.write("MATCH (e:Event {id: $id}) SET e.starts_at = $past", id=event, past=past)
    await complete_event(graph, event_id=event, manager_id=owner, now=utc_now())
    await settle_all(Stores(database, graph))
    assert await statuses(graph, event, people) == ["ATTENDED", "NO_SHOW", "CANCELLED", "CANCELLED"]
    stored: Row = (await snapshot(graph, event))[0]
    assert (stored["registered"], stored["waiting"]) == (2, 0)
