"""The waiting list in the graph: who is promoted when, who is offered a place until when, and who reorders."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from community import waitlist
from community.access import MemberRole
from community.participation import put_registrations
from community.registrations import (
    NoOffer,
    OfferOver,
    confirm_registration,
    registrations_for,
)
from community.running import events_run_by
from community.seats import Channel, RegistrationStatus
from community.waitlist import (
    OFFER_EXPIRED,
    WAITLIST_DUE,
    Promotion,
    expire_offers,
    overdue_events,
    promote_now,
    promote_waitlist,
    rank_between,
    rank_of,
)
from community.waitlist_order import (
    NotWaiting,
    ReorderInvalid,
    positions,
    registrations_at,
    reorder_waitlist,
    waitlists_of,
)
from core.clock import iso, parse_instant, utc_now
from core.errors import NotFound, Refusal
from graph.client import GraphClient, Row, Transaction
from tests.community.places import add_member, make_community, make_customers
from tests.community.waiting import SET, cancel, check_moment, confirm, make_list, register, snapshot, statuses
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

OWED = "MATCH (o:Owed) WHERE o.payload CONTAINS $id RETURN o.topic AS topic, o.key AS key, o.payload AS payload"


async def test_a_freed_seat_goes_to_the_first_who_fits_and_position_counts_down(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=2)
    first, second, third, pair, single = await make_customers(graph, 5)
    for customer in (first, second, third):
        await register(graph, event, customer)
    assert (await register(graph, event, pair, 1)).status == RegistrationStatus.WAITING
    await register(graph, event, single)
    assert await place_of(graph, event, third) == 1
    assert await place_of(graph, event, single) == 3
    freed = await cancel(graph, event, first)
    assert [(one.customer_id, one.status) for one in freed.promotions] == [(third, "REGISTERED")]
    assert await place_of(graph, event, pair) == 1
    await cancel(graph, event, second)
    assert await statuses(graph, event, [third, pair, single]) == ["REGISTERED", "WAITING", "REGISTERED"]
    kinds = [row["key"].split(":")[1] for row in await graph.read(OWED, id=event)]
    assert kinds == ["PLACE_GIVEN"] * 2
    await cancel(graph, event, single)
    await cancel(graph, event, third)
    assert await statuses(graph, event, [pair]) == ["REGISTERED"]


async def place_of(graph: GraphClient, event_id: str, customer_id: str) -> int:
    queue = (await registrations_for(graph, customer_id, [event_id]))[event_id]["queue"]
    return (await positions(graph, [queue]))[queue]


async def test_nobody_is_overtaken_a_fourth_time(graph: GraphClient) -> None:
    """Given a pair at the head, when singles take three freed seats, then the next seats are kept for the pair."""
    event = await make_list(graph, capacity=5)
    pair, *singles = await make_customers(graph, 12)
    seated, waiting = singles[:5], singles[5:]
    for customer in seated:
        await register(graph, event, customer)
    await register(graph, event, pair, 1)
    for customer in waiting[:4]:
        await register(graph, event, customer)
    for index in range(3):
        await cancel(graph, event, seated[index])
        assert (await statuses(graph, event, waiting[: index + 1]))[-1] == "REGISTERED"
    assert (await cancel(graph, event, seated[3])).promotions == []
    assert (await register(graph, event, waiting[4])).status == RegistrationStatus.WAITING
    with pytest.raises(Refusal, match="EVENT_FULL"):
        await register(graph, event, waiting[5], waitlist=False)
    freed = await cancel(graph, event, seated[4])
    assert [one.customer_id for one in freed.promotions] == [pair]
    check_moment(*await snapshot(graph, event))


async def test_an_arrival_takes_what_the_rule_leaves_without_an_offer(graph: GraphClient) -> None:
    """Given one free seat and a pair that waits, when a single registers, then they have it at once."""
    event = await make_list(graph, capacity=2, offer_hours=12)
    one, two, pair, single = await make_customers(graph, 4)
    for customer in (one, two):
        await register(graph, event, customer)
    await register(graph, event, pair, 1)
    await cancel(graph, event, one)
    arrived = await register(graph, event, single, waitlist=False)
    assert arrived.status == RegistrationStatus.REGISTERED
    assert await graph.read(OWED, id=event) == []
    assert await statuses(graph, event, [pair, single]) == ["WAITING", "REGISTERED"]


async def test_an_offer_is_confirmed_in_time_or_ends_once(stores: Addresses) -> None:
    """Given an offer, when eight workers end what is overdue, then it ends once and the next in the list has one."""
    clients = [stores.graph() for _ in range(8)]
    graph = clients[0]
    try:
        event = await make_list(graph, capacity=1, offer_hours=2)
        holder, first, second, third = await make_customers(graph, 4)
        for customer in (holder, first, second, third):
            await register(graph, event, customer)
        await cancel(graph, event, holder)
        offer = (await registrations_for(graph, first, [event]))[event]
        ends = parse_instant(offer["offer_expires_at"])
        assert timedelta(hours=1.9) < ends - utc_now() < timedelta(hours=2.1)
        # Other tests leave offers of their own behind.
        assert event not in await overdue_events(graph, now=ends - timedelta(minutes=1), limit=1000)
        assert await expire_offers(graph, event, now=ends - timedelta(seconds=1)) == []
        assert event in await overdue_events(graph, now=ends, limit=1000)
        with pytest.raises(OfferOver):
            await confirm_registration(graph, event_id=event, customer_id=first, now=ends)
        outcomes = await asyncio.gather(*(expire_offers(client, event, now=ends) for client in clients))
        assert [one.customer_id for found in outcomes for one in found] == [second]
        assert await statuses(graph, event, [first, second, third]) == ["OFFER_EXPIRED", "OFFERED", "WAITING"]
        with pytest.raises(OfferOver):
            await confirm(graph, event, first)
        with pytest.raises(NoOffer):
            await confirm(graph, event, third)
        for _ in range(2):
            assert (await confirm(graph, event, second)).status == RegistrationStatus.REGISTERED
        assert await expire_offers(graph, event, now=ends + timedelta(days=9)) == []
        check_moment(*await snapshot(graph, event))
        owed = Counter(row["topic"] for row in await graph.read(OWED, id=event))
        kinds = Counter(row["key"].split(":")[1] for row in await graph.read(OWED, id=event))
        assert owed == {OFFER_EXPIRED: 2, "notice.owed": 3}
        assert (kinds["PLACE_OFFERED"], kinds["OFFER_EXPIRED"]) == (2, 1)
    finally:
        for client in clients:
            await client.close()


async def test_an_offer_ends_with_the_start_at_the_latest_and_then_nobody_is_promoted(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=1, offer_hours=48)
    starts = utc_now() + timedelta(hours=1)
    await graph.write(SET, id=event, properties={"starts_at": iso(starts)})
    holder, first, second = await make_customers(graph, 3)
    for customer in (holder, first, second):
        await register(graph, event, customer)
    await cancel(graph, event, holder)
    assert (await registrations_for(graph, first, [event]))[event]["offer_expires_at"] == iso(starts)
    await expire_offers(graph, event, now=starts)
    assert await statuses(graph, event, [first, second]) == ["OFFER_EXPIRED", "WAITING"]


async def test_a_raised_capacity_promotes_in_the_same_transaction(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=1)
    customers = await make_customers(graph, 5)
    for customer in customers:
        await register(graph, event, customer)

    async def raise_capacity(tx: Transaction) -> list[Promotion]:
        await tx.run(SET, id=event, properties={"capacity": 3})
        return await promote_waitlist(tx, event, now=utc_now())

    promoted = await graph.transact(raise_capacity, contended=event)
    assert [one.customer_id for one in promoted] == customers[1:3]
    await graph.write(SET, id=event, properties={"capacity": 9})
    assert [one.customer_id for one in await promote_now(graph, event, now=utc_now())] == customers[3:]
    check_moment(*await snapshot(graph, event))


async def test_place_and_link_have_lists_of_their_own(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=1, attendance_mode="HYBRID", link_capacity=1)
    one, two, three, four = await make_customers(graph, 4)
    await register(graph, event, one)
    await register(graph, event, two, channel=Channel.LINK)
    await register(graph, event, three)
    await register(graph, event, four, channel=Channel.LINK)
    assert [await place_of(graph, event, customer) for customer in (three, four)] == [1, 1]
    freed = await cancel(graph, event, two)
    assert [(found.customer_id, found.channel) for found in freed.promotions] == [(four, Channel.LINK)]
    state, _ = await snapshot(graph, event)
    names = ("registered", "link_registered", "waiting", "link_waiting")
    assert [state[name] for name in names] == [1, 1, 1, 0]


async def test_who_was_banned_while_waiting_makes_way(graph: GraphClient) -> None:
    community = await make_community(graph)
    event = await make_list(graph, capacity=1, community=community)
    holder, banned, next_one = await make_customers(graph, 3)
    for customer in (holder, banned, next_one):
        await register(graph, event, customer)
    await add_member(graph, community, banned, MemberRole.BANNED)
    await cancel(graph, event, holder)
    assert await statuses(graph, event, [banned, next_one]) == ["CANCELLED", "REGISTERED"]
    state, rows = await snapshot(graph, event)
    check_moment(state, rows)


async def test_an_offer_is_over_when_the_event_begins_although_it_was_moved(graph: GraphClient) -> None:
    """Given an offer of twelve hours; when the event is moved to before its end and begins; then it is no place."""
    event = await make_list(graph, capacity=1, offer_hours=12)
    holder, customer = await make_customers(graph, 2)
    for one in (holder, customer):
        await register(graph, event, one)
    await cancel(graph, event, holder)
    await graph.write(SET, id=event, properties={"starts_at": iso(utc_now() - timedelta(minutes=1))})
    with pytest.raises(OfferOver):
        await confirm(graph, event, customer)
    assert await statuses(graph, event, [customer]) == ["OFFERED"]


async def test_a_customer_leaves_the_list_and_comes_back_at_its_end(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=1)
    holder, one, two = await make_customers(graph, 3)
    for customer in (holder, one, two):
        await register(graph, event, customer)
    await cancel(graph, event, one)
    assert await place_of(graph, event, two) == 1
    await register(graph, event, one)
    assert await place_of(graph, event, one) == 2
    check_moment(*await snapshot(graph, event))


async def test_a_manager_reorders_with_a_reason_that_is_kept(graph: GraphClient) -> None:
    manager, member, host, gone, holder, *waiting = await make_customers(graph, 9)
    community = await make_community(graph, owner_id=manager)
    await add_member(graph, community, member, MemberRole.MEMBER)
    await add_member(graph, community, host, MemberRole.MEMBER)
    event = await make_list(graph, capacity=1, community=community)
    for one in (host, gone):
        await graph.write(
            "MATCH (h:Customer {id: $h}), (e:Event {id: $e}) CREATE (h)-[:HOSTS_EVENT]->(e)", h=one, e=event
        )
    for customer in (holder, *waiting):
        await register(graph, event, customer)

    async def move(customer: str, position: int, *, by: str = manager, reason: str = "Flies in from abroad") -> None:
        await reorder_waitlist(
            graph,
            event_id=event,
            customer_id=customer,
            position=position,
            reason=reason,
            manager_id=by,
            now=utc_now(),
        )

    async def order() -> list[int]:
        page = (await waitlists_of(graph, [event], Channel.PLACE, first=None, after=None))[event]
        assert [row["position"] for row in page.rows] == [1, 2, 3, 4]
        return [waiting.index(row["customer_id"]) for row in page.rows]

    await move(waiting[3], 1)
    assert await order() == [3, 0, 1, 2]
    await move(waiting[3], 2)
    assert await order() == [0, 3, 1, 2]
    await move(waiting[0], 99)
    assert await order() == [3, 1, 2, 0]
    await move(waiting[1], 2)
    assert await order() == [3, 1, 2, 0]
    for refusal, given in (
        (NotFound, {"by": member}),
        (NotFound, {"by": host}),
        (NotFound, {"by": holder}),
        (ReorderInvalid, {"reason": " "}),
        (ReorderInvalid, {"reason": "x" * 501}),
    ):
        with pytest.raises(refusal):
            await move(waiting[0], 1, **given)
    for position in (0, 10_001):
        with pytest.raises(ReorderInvalid):
            await move(waiting[0], position)
    with pytest.raises(NotWaiting):
        await move(holder, 1)
    assert await order() == [3, 1, 2, 0]
    audited = [row for row in await graph.read(OWED, id=event) if row["topic"] == "act.audited"]
    assert len(audited) == 4
    assert all("Flies in from abroad" in row["payload"] for row in audited)
    second = (await waitlists_of(graph, [event], Channel.PLACE, first=2, after=None))[event]
    rest = (await waitlists_of(graph, [event], Channel.PLACE, first=2, after=second.cursors[-1]))[event]
    assert [row["position"] for row in rest.rows] == [3, 4]
    assert (second.has_next, rest.has_next) == (True, False)
    runs = [(await events_run_by(graph, one, [event]))[event] for one in (manager, member, host, gone, holder)]
    assert runs == [True, False, True, False, False]
    everybody = (await registrations_at(graph, [event], None, first=None, after=None))[event]
    assert [row["customer_id"] for row in everybody.rows] == [holder, *waiting]
    some = (await registrations_at(graph, [event], [RegistrationStatus.WAITING], first=2, after=None))[event]
    assert ([row["customer_id"] for row in some.rows], some.has_next) == (waiting[:2], True)


def test_ranks_between_two_others_never_run_out() -> None:
    low, high = rank_of(7), rank_of(8)
    for turn in range(200):
        middle = rank_between(low, high)
        assert low < middle < high
        low, high = (middle, high) if turn % 3 else (low, middle)
    assert "" < rank_between("", rank_of(1)) < rank_of(1)


async def test_an_import_counts_guests_and_frees_seats_for_who_waits(graph: GraphClient) -> None:
    """Given a full event with a list, when history says that a family cancelled, then the list moves up."""
    event = await make_list(graph, capacity=4)
    family, single, first, second = await make_customers(graph, 4)

    def row(customer: str, status: str, guests: int) -> dict[str, Row]:
        at = iso(utc_now())
        key = f"{event}:{customer}"
        names = {"key": key, "id": key, "customer_id": customer, "event_id": event, "order": f"{event}:{at}:{customer}"}
        return {key: {**names, "status": status, "guests": guests, "registered_at": at, "attended_at": None}}

    async def put(rows: dict[str, Row]) -> None:
        await graph.transact(lambda tx: put_registrations(tx, rows, utc_now()), contended="imports")

    await put({**row(family, "REGISTERED", 2), **row(single, "REGISTERED", 0)})
    assert (await snapshot(graph, event))[0]["registered"] == 4
    for customer in (first, second):
        await register(graph, event, customer)
    check_moment(*await snapshot(graph, event))
    await put(row(family, "CANCELLED", 2))
    await put(row(family, "CANCELLED", 2))
    assert await statuses(graph, event, [family, first, second]) == ["CANCELLED", "REGISTERED", "REGISTERED"]
    check_moment(*await snapshot(graph, event))
    # Who waits and is imported as present waits no more.
    late = (await make_customers(graph, 1))[0]
    await graph.write(SET, id=event, properties={"capacity": 3})
    await register(graph, event, late)
    await put(row(late, "ATTENDED", 0))
    state, rows = await snapshot(graph, event)
    assert (state["registered"], state["waiting"]) == (4, 0)
    assert all("queue" not in found for found in rows)


async def test_a_long_list_is_promoted_in_batches_that_are_owed(graph: GraphClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(waitlist, "BATCH", 2)
    event = await make_list(graph, capacity=1)
    customers = await make_customers(graph, 6)
    for customer in customers:
        await register(graph, event, customer)
    await graph.write(SET, id=event, properties={"capacity": None})
    batches = [await promote_now(graph, event, now=utc_now()) for _ in range(4)]
    assert [one.customer_id for batch in batches for one in batch] == customers[1:]
    assert [len(batch) for batch in batches] == [2, 2, 1, 0]
    owed = [row["key"] for row in await graph.read(OWED, id=event) if row["topic"] == WAITLIST_DUE]
    assert owed == [f"{WAITLIST_DUE}:{event}:2", f"{WAITLIST_DUE}:{event}:4"]


async def test_a_channel_that_is_closed_and_a_party_too_large_hold_up_nobody(graph: GraphClient) -> None:
    event = await make_list(graph, capacity=3)
    holder, family, single = await make_customers(graph, 3)
    await register(graph, event, holder, 2)
    await register(graph, event, family, 2)
    await register(graph, event, single)
    await graph.write(SET, id=event, properties={"capacity": 2})
    await cancel(graph, event, holder)
    assert await statuses(graph, event, [family, single]) == ["WAITING", "REGISTERED"]
    assert await place_of(graph, event, family) == 1
