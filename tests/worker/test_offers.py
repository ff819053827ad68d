"""Offers end by the worker: at their time, once, however many workers there are and whatever was lost."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from community.cancellations import cancel_registration
from community.registrations import register_for_event
from community.waitlist import OFFER_EXPIRED
from core.clock import utc_now
from core.db import Database
from core.outbox import Outbox
from graph.client import GraphClient
from service.notifications import Notification
from tests.community.happenings import backdate_offer
from tests.community.places import make_community, make_customers, make_event
from tests.conftest import Addresses
from worker.handlers import settle
from worker.sweeps import relay_owed, sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

STATUSES = """
MATCH (c:Customer)-[r:REGISTERED_FOR]->(:Event {id: $event})
RETURN c.id AS id, r.status AS status
"""


async def offer_one(graph: GraphClient) -> tuple[str, list[str]]:
    """An event with one seat that is offered to the first of three who wait."""
    event = await make_event(graph, await make_community(graph), capacity=1)
    customers = await make_customers(graph, 4)
    for customer in customers:
        await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    await cancel_registration(graph, event_id=event, customer_id=customers[0], now=utc_now())
    return event, customers[1:]


async def statuses(graph: GraphClient, event: str, customers: list[str]) -> list[str]:
    found = {row["id"]: row["status"] for row in await graph.read(STATUSES, event=event)}
    return [found[customer] for customer in customers]


async def owed_ends(database: Database, event: str) -> list[Any]:
    statement = select(Outbox).where(Outbox.topic == OFFER_EXPIRED, col(Outbox.key).startswith(event))
    async with database.read() as session:
        return list((await session.exec(statement.order_by(col(Outbox.created_at)))).all())


async def told(database: Database, customers: list[str]) -> Counter[str]:
    async with database.read() as session:
        rows = (await session.exec(select(Notification).where(col(Notification.customer_id).in_(customers)))).all()
    return Counter(row.kind for row in rows)


async def test_eight_workers_end_an_offer_once(stores: Addresses, graph: GraphClient, database: Database) -> None:
    """Given an overdue offer, when eight workers settle its end and sweep at once, then the next has one offer."""
    event, customers = await offer_one(graph)
    await relay_owed(Stores(database, graph))
    (owed,) = await owed_ends(database, event)
    assert timedelta(hours=11.9) < owed.available_at - utc_now() < timedelta(hours=12.1)
    await backdate_offer(graph, event, customers[0])
    workers = [Stores(stores.database(), stores.graph()) for _ in range(8)]
    try:
        await asyncio.gather(*(settle(worker, owed.id) for worker in workers))
        await asyncio.gather(*(sweep_graph(worker) for worker in workers[:4]))
    finally:
        for worker in workers:
            await worker.graph.close()
            await worker.database.close()
    await sweep_outbox(Stores(database, graph))
    assert await statuses(graph, event, customers) == ["OFFER_EXPIRED", "OFFERED", "WAITING"]
    assert await told(database, customers) == {"PLACE_OFFERED": 2, "OFFER_EXPIRED": 1}
    assert len(await owed_ends(database, event)) == 2


async def test_an_offer_whose_effect_is_lost_is_found_by_the_sweep(graph: GraphClient, database: Database) -> None:
    event, customers = await offer_one(graph)
    await graph.write("MATCH (o:Owed) WHERE o.key STARTS WITH $key DELETE o", key=f"{OFFER_EXPIRED}:{event}")
    await backdate_offer(graph, event, customers[0])
    for _ in range(2):
        await sweep_graph(Stores(database, graph))
    assert await statuses(graph, event, customers) == ["OFFER_EXPIRED", "OFFERED", "WAITING"]


async def test_an_end_that_is_settled_too_early_changes_nothing(graph: GraphClient, database: Database) -> None:
    event, customers = await offer_one(graph)
    stores = Stores(database, graph)
    await relay_owed(stores)
    (owed,) = await owed_ends(database, event)
    assert await settle(stores, owed.id)
    assert await statuses(graph, event, customers) == ["OFFERED", "WAITING", "WAITING"]
    await backdate_offer(graph, event, customers[0])
    await sweep_graph(stores)
    assert await statuses(graph, event, customers) == ["OFFER_EXPIRED", "OFFERED", "WAITING"]
