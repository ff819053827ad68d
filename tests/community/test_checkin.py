"""Check-in: by a manager of the event's community, once, and it owes a fact until the fact is recorded."""

import asyncio
from datetime import timedelta

import pytest

from community.access import MemberRole
from community.checkin import (
    OPENS_BEFORE,
    AlreadyCheckedIn,
    CheckInNotOpen,
    EventNotRunning,
    NotRegistered,
    SelfCheckIn,
    attendance,
    check_in,
    settle_attendance,
)
from community.registrations import register_for_event, registrations_for
from core.clock import utc_now
from core.errors import NotFound
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers, make_event, soon

pytestmark = pytest.mark.anyio


async def test_of_many_check_ins_at_once_one_counts(graph: GraphClient) -> None:
    manager, customer = await make_customers(graph, 2)
    event = await make_event(graph, await make_community(graph, owner_id=manager), starts_at=soon())
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    outcomes = await asyncio.gather(
        *(check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=utc_now()) for _ in range(10)),
        return_exceptions=True,
    )
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)
    assert kinds == ["AlreadyCheckedIn"] * 9 + ["str"]
    key = f"{event}:{customer}"
    owed = await attendance(graph, key)
    assert owed is not None
    assert (owed["customer_id"], owed["checked_in_by"]) == (customer, manager)
    await settle_attendance(graph, key)
    assert await attendance(graph, key) is None


async def test_only_managers_check_in_and_absent_looks_like_forbidden(graph: GraphClient) -> None:
    manager, member, customer = await make_customers(graph, 3)
    community = await make_community(graph, owner_id=manager)
    await add_member(graph, community, member, MemberRole.MEMBER)
    event = await make_event(graph, community, starts_at=soon())
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    for intruder in (member, customer):
        with pytest.raises(NotFound):
            await check_in(graph, event_id=event, customer_id=customer, manager_id=intruder, now=utc_now())
    status = (await registrations_for(graph, customer, [event]))[event]["status"]
    assert status == "REGISTERED"


async def test_refusals_change_nothing(graph: GraphClient) -> None:
    manager, customer = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=manager)
    event = await make_event(graph, community, starts_at=soon())
    with pytest.raises(NotRegistered):
        await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=utc_now())
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    await graph.write("MATCH (e:Event {id: $id}) SET e.status = 'CANCELLED'", id=event)
    with pytest.raises(EventNotRunning):
        await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=utc_now())
    assert (await registrations_for(graph, customer, [event]))[event]["status"] == "REGISTERED"
    await graph.write("MATCH (e:Event {id: $id}) SET e.status = 'COMPLETED'", id=event)
    await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=utc_now())
    with pytest.raises(AlreadyCheckedIn):
        await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=utc_now())


async def test_the_entrance_opens_twelve_hours_before_the_start(graph: GraphClient) -> None:
    """Given an event of the day after tomorrow; then a second too early nothing changes, whatever time is given."""
    manager, customer = await make_customers(graph, 2)
    start = utc_now() + timedelta(days=2)
    event = await make_event(graph, await make_community(graph, owner_id=manager), starts_at=start)
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    opens, second = start - OPENS_BEFORE, timedelta(seconds=1)
    for now, at in ((opens - second, None), (opens - second, start), (start, opens - second)):
        with pytest.raises(CheckInNotOpen):
            await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=now, at=at)
    assert (await registrations_for(graph, customer, [event]))[event]["status"] == "REGISTERED"
    await check_in(graph, event_id=event, customer_id=customer, manager_id=manager, now=opens + second)


async def test_nobody_checks_themselves_in(graph: GraphClient) -> None:
    owner, manager = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=owner)
    await add_member(graph, community, manager, MemberRole.MANAGER)
    event = await make_event(graph, community, starts_at=soon())
    await register_for_event(graph, event_id=event, customer_id=manager, now=utc_now())
    with pytest.raises(SelfCheckIn):
        await check_in(graph, event_id=event, customer_id=manager, manager_id=manager, now=utc_now())
    assert (await registrations_for(graph, manager, [event]))[event]["status"] == "REGISTERED"
    await check_in(graph, event_id=event, customer_id=manager, manager_id=owner, now=utc_now())
