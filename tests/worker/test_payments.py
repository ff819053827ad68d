"""A request that is killed between a seat and its points: the worker finishes it, once, by one rule or the other."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from community.prices import REGISTRATION_CHARGE
from community.registrations import register_for_event
from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.processes import REPOSITORY, start_leashed
from graph.client import GraphClient, Row
from loyalty.charges import charge_event
from loyalty.ledger import AccountKind, LedgerPosting, balances
from loyalty.trial_balance import trial_balance
from tests.community.places import make_community, make_customers, make_event
from tests.conftest import Addresses
from tests.loyalty.accounts import give, spend
from worker.handlers import settle
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

SEAT = """
MATCH (c:Customer {id: $customer})-[r:REGISTERED_FOR]->(e:Event {id: $event})
RETURN r.status AS status, r.paid AS paid, e.registered AS seats
"""


async def seat(graph: GraphClient, event: str, customer: str) -> Row:
    return (await graph.read(SEAT, event=event, customer=customer))[0]


async def booked(database: Database, event: str) -> int:
    postings = select(LedgerPosting).where(col(LedgerPosting.key).contains(f"event:{event}"))
    async with database.read() as session:
        return len((await session.exec(postings)).all())


async def finish(stores: Stores, event: str, customer: str) -> None:
    """What the worker does once the patience is over, and then again."""
    await relay_owed(stores)
    await settle(stores, derived_id("outbox", REGISTRATION_CHARGE, f"{event}:{customer}:1"))
    for _ in range(2):
        await relay_owed(stores)
        await sweep_outbox(stores)


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
@pytest.mark.parametrize("spent", [0, 1])
async def test_killed_between_seat_and_points_it_is_paid_once_or_the_seat_is_free(
    stores: Addresses, graph: GraphClient, database: Database, tmp_path: Path, point: str, spent: int
) -> None:
    """Given 60 points and a seat for 60, when the request is killed, then the seat is paid once.

    Where a point was spent before the worker came, and none were booked yet, the seat is free again.
    """
    (customer,) = await make_customers(graph, 1)
    event = await make_event(graph, await make_community(graph), capacity=1, starts_at=utc_now() + timedelta(days=3))
    await graph.write("MATCH (e:Event {id: $id}) SET e.price_points = 60", id=event)
    await give(database, customer, 60 + spent * (point == "after-commit"))
    script, log = str(REPOSITORY / "tests" / "api" / "killed_registration.py"), tmp_path / "killed.log"
    command = [sys.executable, script, point, event, customer]
    process = start_leashed(command, log=log, env={**stores.environment(), "REDIS_URL": "redis://127.0.0.1:1"})
    assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]
    assert await seat(graph, event, customer) == {"status": "REGISTERED", "paid": False, "seats": 1}
    assert await booked(database, event) == (point == "after-commit")
    if spent:
        await spend(database, customer, spent)
    await finish(Stores(database, graph), event, customer)
    freed = spent == 1 and point == "before-commit"
    expected = {"status": "CANCELLED", "paid": False, "seats": 0} if freed else {"paid": True, "seats": 1}
    assert expected.items() <= (await seat(graph, event, customer)).items()
    assert await booked(database, event) == (0 if freed else 1)
    async with database.read() as session:
        assert (await balances(session, customer))[AccountKind.AVAILABLE] == (59 if freed else 0)
        proof = await trial_balance(session)
    assert (proof.total, proof.unbalanced_postings) == (0, [])


async def test_a_charge_that_comes_after_the_event_was_cancelled_goes_back(
    graph: GraphClient, database: Database
) -> None:
    """Given a seat whose event is cancelled and refunded before its charge commits, then the charge is given back."""
    (customer,) = await make_customers(graph, 1)
    event = await make_event(graph, await make_community(graph), capacity=1, starts_at=utc_now() + timedelta(days=3))
    await graph.write("MATCH (e:Event {id: $id}) SET e.price_points = 60", id=event)
    await give(database, customer, 60)
    standing = await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    assert standing.charge is not None
    await graph.write("MATCH (e:Event {id: $id}) SET e.status = 'CANCELLED'", id=event)
    async with database.write() as session:
        await charge_event(session, **standing.charge.payload, now=utc_now())
    await finish(Stores(database, graph), event, customer)
    async with database.read() as session:
        assert (await balances(session, customer))[AccountKind.AVAILABLE] == 60
