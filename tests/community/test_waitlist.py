"""The waiting list in the graph: whoever cancels and registers whenever, capacity, order and counts hold."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from community import waitlist
from community.access import MemberRole
from community.participation import put_registrations
from community.promotion import MOST_OVERTAKES
from community.registrations import (
    NoOffer,
    OfferOver,
    Standing,
    cancel_registration,
    confirm_registration,
    register_for_event,
    registrations_for,
)
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
    events_run_by,
    positions,
    registrations_at,
    reorder_waitlist,
    waitlists_of,
)
from core.clock import iso, parse_instant, utc_now
from core.errors import NotFound, Refusal
from graph.client import GraphClient, Row, Transaction
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

SOAK_SECONDS = float(os.environ.get("KINSHIP_SOAK_SECONDS", "5"))
CAPACITY = 20
MOMENTS = 10

SET = "MATCH (e:Event {id: $id}) SET e += $properties"
LOCK = "MATCH (e:Event {id: $id}) SET e.touched_at = $now RETURN properties(e) AS event"
EVERYBODY = """
MATCH (e:Event {id: $id})<-[r:REGISTERED_FOR]-(c:Customer)
RETURN c.id AS customer_id, properties(r) AS registration
"""
OWED = "MATCH (o:Owed) WHERE o.payload CONTAINS $id RETURN o.topic AS topic, o.key AS key, o.payload AS payload"


async def make_list(graph: GraphClient, *, capacity: int = CAPACITY, community: str | None = None, **more: Any) -> str:
    """An event whose guests are two and which gives freed places at once; returns its id."""
    home = community or await make_community(graph)
    event = await make_event(graph, home, capacity=capacity, starts_at=utc_now() + timedelta(days=30))
    await graph.write(SET, id=event, properties={"guests_allowed": 2, "offer_hours": 0, **more})
    return event


async def register(graph: GraphClient, event_id: str, customer_id: str, guests: int = 0, **more: Any) -> Standing:
    return await register_for_event(
        graph, event_id=event_id, customer_id=customer_id, guests=guests, now=utc_now(), **more
    )


async def cancel(graph: GraphClient, event_id: str, customer_id: str) -> Standing:
    return await cancel_registration(graph, event_id=event_id, customer_id=customer_id, now=utc_now())


async def confirm(graph: GraphClient, event_id: str, customer_id: str) -> Standing:
    return await confirm_registration(graph, event_id=event_id, customer_id=customer_id, now=utc_now())


async def snapshot(graph: GraphClient, event_id: str) -> tuple[Row, list[Row]]:
    """The event and everybody's registrations at one moment, under the lock that all writers take."""

    async def work(tx: Transaction) -> tuple[Row, list[Row]]:
        event = (await tx.run(LOCK, id=event_id, now=iso(utc_now())))[0]["event"]
        rows = await tx.run(EVERYBODY, id=event_id)
        return event, [{**row["registration"], "customer_id": row["customer_id"]} for row in rows]

    return await graph.transact(work, contended=event_id)


async def statuses(graph: GraphClient, event_id: str, customers: Sequence[str]) -> list[str]:
    found = {row["customer_id"]: row["status"] for row in (await snapshot(graph, event_id))[1]}
    return [found.get(customer, "-") for customer in customers]


def check_moment(event: Row, rows: list[Row]) -> None:
    """What must hold at every moment; it knows the rule in words and nothing of how it is kept."""
    assert len({row["customer_id"] for row in rows}) == len(rows)
    holding = [row for row in rows if row["status"] in ("REGISTERED", "OFFERED", "ATTENDED", "NO_SHOW")]
    seats = sum(1 + row["guests"] for row in holding)
    assert seats == event["registered"] <= event["capacity"]
    waiting = sorted((row for row in rows if row["status"] == "WAITING"), key=lambda row: row["queue"])
    assert len(waiting) == event.get("waiting", 0)
    assert [row["ticket"] for row in waiting] == sorted({row["ticket"] for row in waiting})
    assert all(row.get("overtaken", 0) <= MOST_OVERTAKES for row in waiting)
    assert all("queue" not in row for row in rows if row["status"] != "WAITING")
    assert all(("offer" in row) == (row["status"] == "OFFERED") for row in rows)
    # No seat idles while somebody fits, unless it is kept for somebody before them.
    free = event["capacity"] - seats
    for row in waiting:
        if 1 + row["guests"] <= free:
            raise AssertionError(f"{free} seats idle")
        if row.get("overtaken", 0) >= MOST_OVERTAKES:
            break


def check_order(promotions: Sequence[Promotion]) -> None:
    """Over a whole history: tickets are served in order, save that smaller parties overtake at most three times."""
    served = sorted(promotions, key=lambda one: one.number)
    assert [one.number for one in served] == list(range(1, len(served) + 1))
    assert len({one.ticket for one in served}) == len(served)
    for index, late in enumerate(served):
        overtakers = [early for early in served[:index] if early.ticket > late.ticket]
        assert len(overtakers) <= MOST_OVERTAKES
        assert all(early.seats < late.seats for early in overtakers)


@dataclass
class Crowd:
    """A hundred customers who come and go as they like until the time is up."""

    event_id: str
    clients: list[GraphClient]
    watcher: GraphClient
    until: float
    promotions: list[Promotion] = field(default_factory=list[Promotion])
    acts: Counter[str] = field(default_factory=Counter[str])

    def busy(self) -> bool:
        """Until the time is up, and on a slow machine until enough was seen."""
        late = asyncio.get_running_loop().time() - self.until
        return late < 0 or (self.acts["moments"] < MOMENTS and late < 60)

    async def live(self, customer_id: str, chance: random.Random) -> None:
        while self.busy():
            graph = chance.choice(self.clients)
            status = await self.status_of(graph, customer_id)
            self.acts[status] += 1
            if status in ("-", "CANCELLED", "OFFER_EXPIRED"):
                await self.act(register(graph, self.event_id, customer_id, chance.choice((0, 0, 1, 2))))
            elif status == "OFFERED" and chance.random() < 0.7:
                await self.act(confirm(graph, self.event_id, customer_id))
            elif status != "WAITING" or chance.random() < 0.2:
                await self.act(cancel(graph, self.event_id, customer_id))
            await asyncio.sleep(chance.uniform(0, 0.2))

    async def status_of(self, graph: GraphClient, customer_id: str) -> str:
        found = await registrations_for(graph, customer_id, [self.event_id])
        return found[self.event_id]["status"] if found else "-"

    async def act(self, doing: Any) -> None:
        try:
            self.promotions += (await doing).promotions
        except (NoOffer, OfferOver):
            self.acts["too late"] += 1

    async def expire(self, chance: random.Random) -> None:
        """Several workers end offers, as if hours had gone by."""
        while self.busy():
            later = utc_now() + timedelta(hours=chance.choice((0, 13)))
            self.promotions += await expire_offers(chance.choice(self.clients), self.event_id, now=later)
            await asyncio.sleep(0.3)

    async def watch(self) -> None:
        while self.busy():
            check_moment(*await snapshot(self.watcher, self.event_id))
            self.acts["moments"] += 1
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("offer_hours", [0, 12])
async def test_a_hundred_customers_come_and_go_at_random(stores: Addresses, offer_hours: int) -> None:
    """Given 20 seats and parties of one to three, when all act at once, then every moment and the order are right."""
    # The embedded engine lets the first to commit win, so that a long transaction may lose to short ones for a while.
    *clients, watcher = [stores.graph(timeout=120) for _ in range(5)]
    try:
        event_id = await make_list(clients[0], offer_hours=offer_hours)
        customers = await make_customers(clients[0], 100)
        crowd = Crowd(event_id, clients, watcher, asyncio.get_running_loop().time() + SOAK_SECONDS)
        chance = random.Random(offer_hours)
        async with asyncio.TaskGroup() as group:
            for customer in customers:
                group.create_task(crowd.live(customer, random.Random(chance.random())))
            for _ in range(2):
                group.create_task(crowd.expire(random.Random(chance.random())))
            group.create_task(crowd.watch())
        event, rows = await snapshot(clients[0], event_id)
        check_moment(event, rows)
        check_order(crowd.promotions)
        assert event.get("promotions", 0) == len(crowd.promotions)
        assert crowd.acts["moments"] >= MOMENTS
        assert crowd.promotions
        print(dict(crowd.acts), "promotions", len(crowd.promotions), "tickets", event["next_ticket"])
    finally:
        for client in (*clients, watcher):
            await client.close()


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
        assert await overdue_events(graph, now=ends - timedelta(minutes=1), limit=1000) == []
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
    manager, member, host, holder, *waiting = await make_customers(graph, 8)
    community = await make_community(graph, owner_id=manager)
    await add_member(graph, community, member, MemberRole.MEMBER)
    event = await make_list(graph, capacity=1, community=community)
    await graph.write("MATCH (h:Customer {id: $h}), (e:Event {id: $e}) CREATE (h)-[:HOSTS_EVENT]->(e)", h=host, e=event)
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
    runs = [(await events_run_by(graph, one, [event]))[event] for one in (manager, member, host, holder)]
    assert runs == [True, False, True, False]
    everybody = (await registrations_at(graph, [event], None, first=None, after=None))[event]
    assert [row["customer_id"] for row in everybody.rows] == [holder, *waiting]
    some = (await registrations_at(graph, [event], RegistrationStatus.WAITING, first=2, after=None))[event]
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
