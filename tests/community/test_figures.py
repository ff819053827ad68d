"""What an event keeps about its registrations is what they say, whoever changes them and in whatever order."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from community.cancellations import cancel_for_customer, cancel_registration
from community.checkin import check_in
from community.departures import withdraw
from community.event_changes import complete_event, end_registrations
from community.participation import put_registrations
from community.registrations import confirm_registration, register_for_event
from community.seats import Channel
from community.statistics import event_statistics
from community.waitlist import expire_offers
from community.waitlist_order import reorder_waitlist
from core.clock import iso, utc_now
from core.errors import KinshipError
from graph.client import GraphClient
from tests.community.happenings import make, make_managed
from tests.community.places import make_customers
from tests.community.waiting import check_figures, snapshot

pytestmark = pytest.mark.anyio

# Acts are minutes apart, so that some are on another day than others, and some when the entrance is open.
START = timedelta(hours=30)


class History:
    """A hybrid event with few seats, and twelve customers of whom anything may be asked."""

    def __init__(self, graph: GraphClient, event: str, manager: str, people: list[str], seed: int) -> None:
        self.graph, self.event, self.manager, self.people = graph, event, manager, people
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.now = utc_now()

    async def act(self) -> None:
        """One act of somebody, a while after the one before; what is refused changes nothing."""
        self.now += timedelta(minutes=self.chance.choice((0, 1, 7, 40)))
        one = self.chance.choice(self.people)
        name, doing = self.chance.choice(self.acts())
        try:
            await doing(one)
            self.done[name] += 1
        except KinshipError:
            self.done["refused"] += 1

    def acts(self) -> list[tuple[str, Callable[[str], Awaitable[Any]]]]:
        graph, event, manager, chance = self.graph, self.event, self.manager, self.chance
        at: dict[str, Any] = {"now": self.now}

        async def register(one: str) -> None:
            way, guests = chance.choice(list(Channel)), chance.choice((0, 0, 1))
            await register_for_event(graph, event_id=event, customer_id=one, channel=way, guests=guests, **at)

        async def cancel_by_host(one: str) -> None:
            await cancel_for_customer(graph, event_id=event, customer_id=one, actor_id=manager, reason="Full", **at)

        async def reorder(one: str) -> None:
            names: dict[str, Any] = {"event_id": event, "customer_id": one, "manager_id": manager, "reason": "Fair"}
            await reorder_waitlist(graph, **names, position=1, **at)

        return [
            ("register", register),
            ("register", register),
            ("register", register),
            ("cancel", lambda one: cancel_registration(graph, event_id=event, customer_id=one, **at)),
            ("confirm", lambda one: confirm_registration(graph, event_id=event, customer_id=one, **at)),
            ("cancel by host", cancel_by_host),
            ("reorder", reorder),
            ("expire", lambda _: expire_offers(graph, event, **at)),
            ("check in", lambda one: check_in(graph, event_id=event, customer_id=one, manager_id=manager, **at)),
            ("withdraw", lambda one: withdraw(graph, event, one, **at)),
            ("import", self.bring),
        ]

    async def bring(self, one: str) -> None:
        """A line of a file that says something else of a registration, with its own time."""
        made = iso(self.now - timedelta(minutes=self.chance.randrange(5000)))
        status = self.chance.choice(("REGISTERED", "CANCELLED", "ATTENDED", "NO_SHOW"))
        row: dict[str, Any] = {"id": one, "key": f"{self.event}:{one}", "customer_id": one, "event_id": self.event}
        row |= {"status": status, "registered_at": made, "attended_at": None, "guests": self.chance.randrange(2)}
        rows = {row["key"]: row}
        await self.graph.transact(lambda tx: put_registrations(tx, rows, self.now), contended=self.event)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_figures_are_those_of_the_registrations(graph: GraphClient, seed: int) -> None:
    """Given 150 acts at random, and a completion; then after each the figures are what counting says."""
    community, manager, _ = await make_managed(graph)
    hybrid: dict[str, Any] = {
        "attendance_mode": "HYBRID",
        "link": "https://meet.example",
        "capacity": 5,
        "link_capacity": 2,
    }
    event = await make(
        graph, community, manager, starts_at=utc_now() + START, guests_allowed=1, offer_hours=1, **hybrid
    )
    history = History(graph, event, manager, await make_customers(graph, 12), seed)
    for _ in range(150):
        await history.act()
        check_figures(*await snapshot(graph, event))
    later = history.now + START
    await complete_event(graph, event_id=event, manager_id=manager, now=later)
    await end_registrations(graph, event, limit=5, now=later)
    found, rows = await snapshot(graph, event)
    check_figures(found, rows)
    assert len(history.done) >= 9, history.done
    figures = await event_statistics(graph, event_id=event, manager_id=manager, now=later)
    assert figures.statuses == Counter(row["status"] for row in rows)
    assert sum(number for _, number in figures.days) == len(rows)
