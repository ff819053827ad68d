"""Charges for registrations: once, given back once and to the same lots, whichever message comes first."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from loyalty.charges import ChargeOver, ChargeStatus, EventCharge, charge_event, refund_all, refund_event
from loyalty.ledger import AccountKind, InsufficientPoints, balances
from loyalty.lots import LedgerLot, debits_of
from loyalty.trial_balance import trial_balance
from tests.conftest import Addresses
from tests.loyalty.accounts import give, spend

pytestmark = pytest.mark.anyio


def named(customer_id: str, *, sequence: int = 1, points: int = 25, event_id: str | None = None) -> dict[str, Any]:
    return {"event_id": event_id or new_id(), "customer_id": customer_id, "sequence": sequence, "points": points}


async def charge(database: Database, names: dict[str, Any]) -> EventCharge:
    async with database.write() as session:
        return await charge_event(session, **names, now=utc_now())


async def give_back(database: Database, names: dict[str, Any]) -> bool:
    async with database.write() as session:
        return await refund_event(session, **names, now=utc_now())


async def available(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        return (await balances(session, customer_id))[AccountKind.AVAILABLE]


async def lots(database: Database, customer_id: str) -> list[tuple[int, int]]:
    statement = select(LedgerLot).where(LedgerLot.customer_id == customer_id).order_by(col(LedgerLot.expires_at))
    async with database.read() as session:
        return [(lot.points, lot.remaining) for lot in (await session.exec(statement)).all()]


async def test_a_refund_goes_to_the_lots_that_were_taken_from(database: Database, unique: str) -> None:
    await give(database, unique, 20, expires_in=timedelta(days=10))
    await give(database, unique, 30, expires_in=timedelta(days=300))
    names = named(unique)
    paid = await charge(database, names)
    assert (await charge(database, names)).posting_id == paid.posting_id
    assert await lots(database, unique) == [(20, 0), (30, 25)]
    await spend(database, unique, 5)
    assert [await give_back(database, names) for _ in range(3)] == [True, False, False]
    assert await lots(database, unique) == [(20, 20), (30, 25 - 5 + 5)]
    assert await available(database, unique) == 45
    async with database.read() as session:
        row = await session.get_one(EventCharge, paid.id)
        assert row.refund_id and row.status == ChargeStatus.REFUNDED
        assert [debit.points for debit, _ in await debits_of(session, row.refund_id)] == [-20, -5]
        proof = await trial_balance(session)
    assert (proof.total, proof.unbalanced_postings) == (0, [])


async def test_points_that_expired_meanwhile_go_to_the_house(database: Database, unique: str) -> None:
    now = utc_now()
    await give(database, unique, 25, expires_in=timedelta(hours=1), now=now - timedelta(minutes=59))
    names = named(unique)
    async with database.write() as session:
        await charge_event(session, **names, now=now)
    later = now + timedelta(days=1)
    async with database.write() as session:
        assert await refund_event(session, **names, now=later)
    assert await lots(database, unique) == [(25, 0)]
    assert await available(database, unique) == 0
    with pytest.raises(InsufficientPoints):
        await spend(database, unique, 1, now=later)


async def test_a_refund_that_comes_first_makes_the_charge_void(database: Database, unique: str) -> None:
    await give(database, unique, 100)
    names = named(unique)
    assert await give_back(database, names) is False
    for _ in range(2):
        with pytest.raises(ChargeOver):
            await charge(database, names)
    assert await available(database, unique) == 100
    again = await charge(database, {**names, "sequence": 2})
    assert again.status == ChargeStatus.PAID
    assert await available(database, unique) == 75


async def test_too_few_points_leave_nothing_behind(database: Database, unique: str) -> None:
    await give(database, unique, 24)
    names = named(unique)
    with pytest.raises(InsufficientPoints):
        await charge(database, names)
    await give(database, unique, 1)
    assert (await charge(database, names)).status == ChargeStatus.PAID


async def test_charged_and_refunded_by_many_at_once_it_ends_given_back(stores: Addresses, unique: str) -> None:
    """Given eight who charge and eight who refund the same registration, then the points are all there again."""
    pools = [stores.database() for _ in range(4)]
    names = named(unique)
    await give(pools[0], unique, 100)
    try:
        acts = [act(pool, names) for pool in pools * 2 for act in (charge, give_back)]
        outcomes = await asyncio.gather(*acts, return_exceptions=True)
        assert all(isinstance(one, bool | EventCharge | ChargeOver) for one in outcomes), outcomes
        assert sum(one is True for one in outcomes) <= 1
        assert await available(pools[0], unique) == 100
        assert await lots(pools[0], unique) == [(100, 100)]
    finally:
        for pool in pools:
            await pool.close()


async def test_a_cancelled_events_charges_go_back_page_by_page(database: Database, unique: str) -> None:
    customers = [f"{unique}-{number}" for number in range(5)]
    for customer in customers:
        await give(database, customer, 30)
        await charge(database, named(customer, event_id=unique))
    pages: list[int] = []
    for _ in range(4):
        async with database.write() as session:
            pages.append(len(await refund_all(session, unique, limit=2, now=utc_now())))
    assert pages == [2, 2, 1, 0]
    assert [await available(database, customer) for customer in customers] == [30] * 5
