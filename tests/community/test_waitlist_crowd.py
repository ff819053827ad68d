"""The waiting list under a crowd: whoever cancels and registers whenever, capacity, order and counts hold."""

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from community.registrations import AlreadyRegistered, NoOffer, OfferOver, registrations_for
from community.waitlist import Promotion, expire_offers
from core.clock import utc_now
from graph.client import GraphClient
from tests.community.places import make_customers
from tests.community.waiting import cancel, check_moment, check_order, confirm, make_list, register, snapshot
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

SOAK_SECONDS = float(os.environ.get("KINSHIP_SOAK_SECONDS", "5"))
MOMENTS = 10


@dataclass
class Crowd:
    """A hundred customers who come and go as they like until the time is up."""

    event_id: str
    clients: list[GraphClient]
    watcher: GraphClient
    until: float
    promotions: list[Promotion] = field(default_factory=list[Promotion])
    acts: Counter[str] = field(default_factory=Counter[str])
    shrunk: set[int] = field(default_factory=set[int])

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
            elif status in ("REGISTERED", "WAITING") and chance.random() < 0.3:
                await self.change(register(graph, self.event_id, customer_id, chance.choice((0, 1, 2))))
            elif status == "OFFERED" and chance.random() < 0.7:
                await self.act(confirm(graph, self.event_id, customer_id))
            elif status != "WAITING" or chance.random() < 0.2:
                await self.act(cancel(graph, self.event_id, customer_id))
            await asyncio.sleep(chance.uniform(0, 0.2))

    async def status_of(self, graph: GraphClient, customer_id: str) -> str:
        found = await registrations_for(graph, customer_id, [self.event_id])
        return found[self.event_id]["status"] if found else "-"

    async def change(self, doing: Any) -> None:
        """More or fewer guests; who waits may become smaller than those who have overtaken them."""
        try:
            found = await doing
        except AlreadyRegistered:
            self.acts["does not fit"] += 1
            return
        self.acts["changed"] += 1
        self.promotions += found.promotions
        self.shrunk.add(found.ticket)

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
        check_order(crowd.promotions, crowd.shrunk)
        assert event.get("promotions", 0) == len(crowd.promotions)
        assert crowd.acts["moments"] >= MOMENTS
        assert crowd.promotions and crowd.acts["changed"]
        print(dict(crowd.acts), "promotions", len(crowd.promotions), "tickets", event["next_ticket"])
    finally:
        for client in (*clients, watcher):
            await client.close()
