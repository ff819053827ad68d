"""Lots: the earliest expiry is spent first, pending points are released once, expired ones cannot be spent."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import derived_id, new_id
from core.outbox import Outbox
from loyalty.holdings import Holdings, expiring_within, holdings
from loyalty.ledger import AccountKind, InsufficientPoints, balances
from loyalty.lots import POINTS_RELEASE, LedgerLot, debits_of, release
from tests.loyalty.accounts import give, spend

pytestmark = pytest.mark.anyio


async def remaining(database: Database, customer_id: str) -> list[tuple[int, int]]:
    """Points and what remains of each lot, the earliest expiry first."""
    statement = select(LedgerLot).where(LedgerLot.customer_id == customer_id).order_by(col(LedgerLot.expires_at))
    async with database.read() as session:
        return [(lot.points, lot.remaining) for lot in (await session.exec(statement)).all()]


async def test_a_debit_takes_the_earliest_expiry_first(database: Database, unique: str) -> None:
    await give(database, unique, 30, expires_in=timedelta(days=300))
    await give(database, unique, 20, expires_in=timedelta(days=10))
    posting_id = await spend(database, unique, 25)
    assert await remaining(database, unique) == [(20, 0), (30, 25)]
    async with database.read() as session:
        assert sorted(debit.points for debit, _ in await debits_of(session, posting_id)) == [5, 20]


async def test_expired_points_cannot_be_spent_and_nothing_changes(database: Database, unique: str) -> None:
    """Given 10 points of which 6 expired, when 8 are asked for, then nothing is taken."""
    now = utc_now()
    await give(database, unique, 6, expires_in=timedelta(days=1), now=now - timedelta(days=2))
    await give(database, unique, 4, now=now)
    with pytest.raises(InsufficientPoints):
        await spend(database, unique, 8, now=now)
    assert await remaining(database, unique) == [(6, 6), (4, 4)]
    async with database.read() as session:
        assert (await balances(session, unique))[AccountKind.AVAILABLE] == 10


async def test_pending_points_are_released_once_at_their_time(database: Database, unique: str) -> None:
    """Given points on hold, when their release is settled twice, then they are available once."""
    now = utc_now()
    key = f"hold:{unique}"
    await give(database, unique, 12, key=key, available_in=timedelta(days=3), now=now)
    lot_id = derived_id("lot", key)
    async with database.read() as session:
        assert await balances(session, unique) == {
            AccountKind.AVAILABLE: 0,
            AccountKind.PENDING: 12,
            AccountKind.DEBT: 0,
        }
        assert (await holdings(session, unique, now=now)).pending_until == now + timedelta(days=3)
        owed = (await session.exec(select(Outbox).where(Outbox.topic == POINTS_RELEASE, Outbox.key == lot_id))).one()
        assert owed.available_at == now + timedelta(days=3)
    for _ in range(2):
        async with database.write() as session:
            await release(session, lot_id, now=now + timedelta(days=3))
    async with database.read() as session:
        assert await balances(session, unique) == {
            AccountKind.AVAILABLE: 12,
            AccountKind.PENDING: 0,
            AccountKind.DEBT: 0,
        }


async def test_what_has_expired_is_not_available_though_its_day_is_open(database: Database, unique: str) -> None:
    """Given lots that expired, expire within 30 days and later, then the first is none of what one has."""
    now = utc_now()
    async with database.read() as session:
        assert await holdings(session, unique, now=now) == Holdings()
    for points, days in ((1, 5), (20, 25), (300, 40)):
        await give(database, unique, points, expires_in=timedelta(days=days), now=now - timedelta(days=5))
    await give(database, unique, 4_000, available_in=timedelta(days=1), now=now)
    async with database.read() as session:
        assert await holdings(session, unique, now=now) == Holdings(320, 4_000, now + timedelta(days=1), 0)
        for days, points in ((19, 0), (20, 20), (30, 20), (35, 320)):
            until = now + timedelta(days=days)
            assert await expiring_within(session, unique, now=now, until=until) == points


lots = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20)), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots=lots, wanted=st.lists(st.integers(1, 60), max_size=6))
async def test_lots_and_balance_agree_whatever_is_spent(
    database: Database, lots: list[tuple[int, int]], wanted: list[int]
) -> None:
    """Against a model that knows only a list of [expiry, points]: the same debits succeed, the same remains."""
    customer_id, now = new_id(), utc_now()
    model = [[days, points] for points, days in lots]
    for points, days in lots:
        await give(database, customer_id, points, expires_in=timedelta(days=days), now=now)
    for points in wanted:
        total = sum(left for _, left in model)
        if points > total:
            with pytest.raises(InsufficientPoints):
                await spend(database, customer_id, points, now=now)
            continue
        await spend(database, customer_id, points, now=now)
        due = points
        for lot in sorted(model):
            taken = min(due, lot[1])
            due -= taken
            model[model.index(lot)][1] -= taken
    expected = sum(left for _, left in model)
    assert sum(left for _, left in await remaining(database, customer_id)) == expected
    async with database.read() as session:
        assert (await balances(session, customer_id))[AccountKind.AVAILABLE] == expected
