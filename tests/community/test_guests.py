"""More or fewer guests in place: seats are freed and taken exactly, and nobody overtakes the list by it."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from community.registrations import (
    AlreadyRegistered,
    EventFull,
    EventNotOpen,
    GuestsInvalid,
    GuestsNotAllowed,
    RegistrationClosed,
)
from core.clock import iso, utc_now
from core.errors import KinshipError, Refusal
from graph.client import GraphClient
from tests.community.places import make_customers
from tests.community.waiting import SET, cancel, check_moment, make_list, register, snapshot, statuses
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def row_of(graph: GraphClient, event: str, customer: str) -> dict[str, Any]:
    return next(row for row in (await snapshot(graph, event))[1] if row["customer_id"] == customer)


async def refused(graph: GraphClient, kind: type[KinshipError], event: str, customer: str, **given: Any) -> None:
    before = await snapshot(graph, event)
    with pytest.raises(kind):
        await register(graph, event, customer, **given)
    after = await snapshot(graph, event)
    for found, _ in (before, after):
        found.pop("touched_at")
    assert after == before


async def test_fewer_guests_free_seats_and_more_take_free_ones(graph: GraphClient) -> None:
    """Given 5 seats, a party of 3 and one of 2 and one who waits; when the first shrinks, then the seats go on."""
    three, two, waiting = await make_customers(graph, 3)
    event = await make_list(graph, capacity=5)
    await register(graph, event, three, 2)
    await register(graph, event, two, 1)
    await register(graph, event, waiting)
    await refused(graph, AlreadyRegistered, event, two, guests=2)
    first = await row_of(graph, event, three)

    shrunk = await register(graph, event, three, 0)
    assert (shrunk.status, [one.customer_id for one in shrunk.promotions]) == ("REGISTERED", [waiting])
    assert await row_of(graph, event, three) == {**first, "guests": 0}
    assert (await snapshot(graph, event))[0]["registered"] == 4
    assert (await register(graph, event, two, 2)).status == "REGISTERED"
    event_row, rows = await snapshot(graph, event)
    check_moment(event_row, rows)
    assert (event_row["registered"], event_row["capacity"]) == (5, 5)
    await refused(graph, AlreadyRegistered, event, three, guests=1)
    assert (await register(graph, event, two, None)).status == "REGISTERED"
    assert (await row_of(graph, event, two))["guests"] == 2


async def test_what_stands_against_it_changes_nothing(graph: GraphClient) -> None:
    (customer,) = await make_customers(graph, 1)
    event = await make_list(graph, capacity=9)
    await register(graph, event, customer, 1)
    await refused(graph, GuestsInvalid, event, customer, guests=-1)
    await refused(graph, GuestsNotAllowed, event, customer, guests=3)
    closed = iso(utc_now() - timedelta(minutes=1))
    await graph.write(SET, id=event, properties={"registration_closes_at": closed})
    await refused(graph, RegistrationClosed, event, customer, guests=2)
    await register(graph, event, customer, 0)
    await graph.write(SET, id=event, properties={"starts_at": closed})
    for guests in (1, 2):
        await refused(graph, EventNotOpen, event, customer, guests=guests)
    await graph.write("MATCH ()-[r:REGISTERED_FOR {key: $key}]->() SET r.guests = 2", key=f"{event}:{customer}")
    await refused(graph, EventNotOpen, event, customer, guests=1)


async def test_who_waits_keeps_the_place_with_fewer_and_loses_it_with_more(graph: GraphClient) -> None:
    """Given a list of three; when the first grows, then it is last; when it shrinks, then it stays."""
    holder, one, two, three = await make_customers(graph, 4)
    event = await make_list(graph, capacity=3)
    await register(graph, event, holder, 2)
    for customer, guests in ((one, 1), (two, 2), (three, 2)):
        await register(graph, event, customer, guests)
    await refused(graph, EventFull, event, one, guests=2, waitlist=False)
    grown = await register(graph, event, one, 2)
    rows = {row["customer_id"]: row for row in (await snapshot(graph, event))[1] if row["status"] == "WAITING"}
    assert sorted(rows, key=lambda key: rows[key]["queue"]) == [two, three, one]
    assert (grown.status, grown.ticket) == ("WAITING", 4)
    before = rows[two]
    assert (await register(graph, event, two, 1)).status == "WAITING"
    assert await row_of(graph, event, two) == {**before, "guests": 1}
    check_moment(*await snapshot(graph, event))


async def test_a_party_that_shrinks_until_it_fits_has_its_seats_at_once(graph: GraphClient) -> None:
    """Given one free seat and parties of 3 and 2 that wait; when both shrink to one, then the first in time has it."""
    holder, three, two = await make_customers(graph, 3)
    event = await make_list(graph, capacity=3, offer_hours=12)
    await register(graph, event, holder, 1)
    await register(graph, event, three, 2)
    await register(graph, event, two, 1)
    assert await statuses(graph, event, [three, two]) == ["WAITING", "WAITING"]
    placed = await register(graph, event, two, 0)
    assert (placed.status, [one.customer_id for one in placed.promotions]) == ("REGISTERED", [two])
    await cancel(graph, event, holder)
    assert await statuses(graph, event, [three]) == ["WAITING"]
    await cancel(graph, event, two)
    assert await statuses(graph, event, [three]) == ["OFFERED"]
    for guests in (0, 1):
        await refused(graph, AlreadyRegistered, event, three, guests=guests)
    check_moment(*await snapshot(graph, event))


async def test_forty_writers_share_ten_free_seats(stores: Addresses) -> None:
    """Given 40 registered and 10 free seats; when all bring a guest at once; then ten do, and all may leave theirs."""
    async with stores.graph(timeout=120) as one, stores.graph(timeout=120) as other:
        event = await make_list(one, capacity=50)
        customers = await make_customers(one, 40)
        clients = (one, other)

        async def outcome(index: int, guests: int) -> str:
            try:
                return (await register(clients[index % 2], event, customers[index], guests)).status
            except Refusal as refusal:
                return refusal.code

        await asyncio.gather(*(outcome(index, 0) for index in range(40)))
        brought = await asyncio.gather(*(outcome(index, 1) for index in range(40)))
        assert Counter(brought) == {"REGISTERED": 10, "ALREADY_REGISTERED": 30}
        event_row, rows = await snapshot(one, event)
        check_moment(event_row, rows)
        assert event_row["registered"] == 50
        assert Counter(await asyncio.gather(*(outcome(index, 0) for index in range(40)))) == {"REGISTERED": 40}
        event_row, rows = await snapshot(one, event)
        check_moment(event_row, rows)
        assert event_row["registered"] == 40
