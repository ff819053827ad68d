"""Registering: capacity holds under any number of writers, and every refusal changes nothing."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from community.access import MemberRole
from community.cancellations import cancel_registration
from community.registration_conditions import Questions
from community.registrations import (
    AlreadyAttended,
    EventFull,
    EventNotOpen,
    register_for_event,
    registrations_for,
    registrations_of,
)
from community.seats import RegistrationStatus
from core.clock import iso, utc_now
from core.errors import NotFound, Refusal
from core.ids import new_id
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

COUNTS = """
MATCH (e:Event {id: $id})
RETURN e.registered AS counter, COUNT { (e)<-[r:REGISTERED_FOR]-() WHERE r.status = 'REGISTERED' } AS places
"""


async def counts(graph: GraphClient, event_id: str) -> dict[str, int]:
    return (await graph.read(COUNTS, id=event_id))[0]


async def outcome(graph: GraphClient, event_id: str, customer_id: str) -> str:
    try:
        await register_for_event(graph, event_id=event_id, customer_id=customer_id, now=utc_now(), waitlist=False)
    except Refusal as refusal:
        return refusal.code
    return "REGISTERED"


async def test_two_hundred_writers_share_fifty_places(stores: Addresses) -> None:
    """Given capacity 50, when 200 register at once through two processes' worth of clients, then exactly 50 are in."""
    async with stores.graph() as one, stores.graph() as other:
        event = await make_event(one, await make_community(one), capacity=50)
        customers = await make_customers(one, 200)
        clients = (one, other)
        outcomes = await asyncio.gather(
            *(outcome(clients[index % 2], event, customer) for index, customer in enumerate(customers))
        )
        assert Counter(outcomes) == {"REGISTERED": 50, "EVENT_FULL": 150}
        assert await counts(one, event) == {"counter": 50, "places": 50}


async def test_one_customer_takes_one_place_however_often(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        event = await make_event(one, await make_community(one), capacity=10)
        (customer,) = await make_customers(one, 1)
        outcomes = await asyncio.gather(*(outcome((one, other)[i % 2], event, customer) for i in range(20)))
        assert set(outcomes) == {"REGISTERED"}
        assert await counts(one, event) == {"counter": 1, "places": 1}


async def test_cancelling_frees_the_place_once(graph: GraphClient) -> None:
    event = await make_event(graph, await make_community(graph), capacity=1)
    first, second = await make_customers(graph, 2)
    await register_for_event(graph, event_id=event, customer_id=first, now=utc_now())
    with pytest.raises(EventFull):
        await register_for_event(graph, event_id=event, customer_id=second, now=utc_now(), waitlist=False)
    await asyncio.gather(
        *(cancel_registration(graph, event_id=event, customer_id=first, now=utc_now()) for _ in range(5))
    )
    assert await counts(graph, event) == {"counter": 0, "places": 0}
    await register_for_event(graph, event_id=event, customer_id=second, now=utc_now())
    await register_for_event_refused(graph, event, first, EventFull)
    assert await counts(graph, event) == {"counter": 1, "places": 1}


async def register_for_event_refused(
    graph: GraphClient, event_id: str, customer_id: str, refusal: type[Refusal]
) -> None:
    before = await counts(graph, event_id)
    with pytest.raises(refusal):
        await register_for_event(graph, event_id=event_id, customer_id=customer_id, now=utc_now(), waitlist=False)
    assert await counts(graph, event_id) == before


async def test_a_cancelled_customer_can_come_back(graph: GraphClient) -> None:
    event = await make_event(graph, await make_community(graph), capacity=1)
    (customer,) = await make_customers(graph, 1)
    for _ in range(3):
        await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
        await cancel_registration(graph, event_id=event, customer_id=customer, now=utc_now())
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    assert await counts(graph, event) == {"counter": 1, "places": 1}
    assert (await registrations_for(graph, customer, [event]))[event]["status"] == "REGISTERED"


async def test_refusals_change_nothing(graph: GraphClient) -> None:
    community = await make_community(graph)
    banned, outsider = await make_customers(graph, 2)
    await add_member(graph, community, banned, MemberRole.BANNED)
    event = await make_event(graph, community)
    await register_for_event_refused(graph, event, banned, EventNotOpen)
    for status in ("CANCELLED", "COMPLETED"):
        closed = await make_event(graph, community, status=status)
        await register_for_event_refused(graph, closed, outsider, EventNotOpen)
    started = await make_event(graph, community, starts_at=utc_now() - timedelta(minutes=1))
    await register_for_event_refused(graph, started, outsider, EventNotOpen)
    draft = await make_event(graph, community, status="DRAFT")
    await register_for_event_refused(graph, draft, outsider, NotFound)
    private = await make_event(graph, await make_community(graph, visibility="PRIVATE"))
    await register_for_event_refused(graph, private, outsider, NotFound)
    with pytest.raises(NotFound):
        await register_for_event(graph, event_id=new_id(), customer_id=outsider, now=utc_now())
    with pytest.raises(NotFound):
        await cancel_registration(graph, event_id=event, customer_id=outsider, now=utc_now())


async def test_attendance_can_neither_be_repeated_nor_cancelled(graph: GraphClient) -> None:
    event = await make_event(graph, await make_community(graph))
    (customer,) = await make_customers(graph, 1)
    await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    await graph.write(
        "MATCH ()-[r:REGISTERED_FOR {key: $key}]->() SET r.status = 'ATTENDED'", key=f"{event}:{customer}"
    )
    await register_for_event_refused(graph, event, customer, AlreadyAttended)
    with pytest.raises(AlreadyAttended):
        await cancel_registration(graph, event_id=event, customer_id=customer, now=utc_now())


async def test_registrations_page_from_the_latest(graph: GraphClient) -> None:
    community = await make_community(graph)
    (customer,) = await make_customers(graph, 1)
    start = utc_now()
    events = [await make_event(graph, community) for _ in range(5)]
    for index, event in enumerate(events):
        await register_for_event(graph, event_id=event, customer_id=customer, now=start + timedelta(seconds=index))
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = await registrations_of(graph, customer, first=2, after=cursor)
        seen += [row["event_id"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
    assert seen == list(reversed(events))


async def test_registrations_are_chosen_by_status_and_by_what_has_not_ended(graph: GraphClient) -> None:
    """Given events that ended, run and lie ahead, each kept and cancelled; then pages hold what was asked for."""
    community = await make_community(graph)
    (customer,) = await make_customers(graph, 1)
    now = utc_now()
    begins = [timedelta(hours=hours) for hours in (-3, -1, 1, 24)]
    kept: list[str] = []
    dropped: list[str] = []
    for index, offset in enumerate(begins):
        for group in (kept, dropped):
            event = await make_event(graph, community)
            at = now + timedelta(seconds=index)
            await register_for_event(graph, event_id=event, customer_id=customer, now=at)
            if group is dropped:
                await cancel_registration(graph, event_id=event, customer_id=customer, now=at)
            times = {"starts_at": iso(now + offset), "ends_at": iso(now + offset + timedelta(hours=2))}
            await graph.write("MATCH (e:Event {id: $id}) SET e += $times", id=event, times=times)
            group.append(event)

    async def asked(**chosen: Any) -> list[str]:
        seen: list[str] = []
        cursor, more = None, True
        while more:
            page = await registrations_of(graph, customer, first=2, after=cursor, **chosen)
            seen += [row["event_id"] for row in page.rows]
            cursor, more = page.cursors[-1] if page.cursors else None, page.has_next
        return seen

    held = [RegistrationStatus.REGISTERED, RegistrationStatus.WAITING]
    assert await asked(statuses=held) == list(reversed(kept))
    assert await asked(statuses=held, ends_from=now) == list(reversed(kept[1:]))
    assert set(await asked(ends_from=now)) == {*kept[1:], *dropped[1:]}
    assert await asked(statuses=[]) == []


async def test_only_who_is_entitled_shares_the_places_before_the_end_of_a_priority(stores: Addresses) -> None:
    """Given 8 places and a priority that 12 of 40 customers are ahead of, when all come at once, then 8 of those 12
    have a place, 4 find it full, and the other 28 are told that it is too early."""
    async with stores.graph() as one, stores.graph() as other:
        event = await make_event(one, await make_community(one), capacity=8)
        until = utc_now() + timedelta(hours=24)
        await one.write("MATCH (e:Event {id: $id}) SET e.priority_until = $until", id=event, until=iso(until))
        customers = await make_customers(one, 40)
        entitled = {customer: timedelta(hours=24, seconds=1) for customer in customers[:12]}

        async def early_by(customer_id: str) -> timedelta:
            return entitled.get(customer_id, timedelta(hours=23))

        async def come(client: GraphClient, customer: str) -> str:
            wish: dict[str, Any] = {"event_id": event, "customer_id": customer, "waitlist": False, "now": utc_now()}
            try:
                await register_for_event(client, **wish, questions=Questions(early_by=early_by))
            except Refusal as refusal:
                return refusal.code
            return "REGISTERED"

        outcomes = await asyncio.gather(*(come((one, other)[index % 2], who) for index, who in enumerate(customers)))
        assert Counter(outcomes[:12]) == {"REGISTERED": 8, "EVENT_FULL": 4}
        assert Counter(outcomes[12:]) == {"REGISTRATION_NOT_YET_OPEN_TO_ALL": 28}
        assert await counts(one, event) == {"counter": 8, "places": 8}
        # Who asks about nobody lets nobody in early.
        assert await outcome(one, event, customers[-1]) == "REGISTRATION_NOT_YET_OPEN_TO_ALL"
