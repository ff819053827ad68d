"""Points that come back to a lot which has expired meanwhile: forfeited by a posting of their own, or a lot anew."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from core.db import Database
from loyalty.ledger import LedgerPosting, PostingKind
from loyalty.lots import ExpiredPolicy, LedgerLot, debits_of, lot_id
from loyalty.shortfall import ShortfallPolicy
from loyalty.statements import ledger_of
from tests.loyalty.accounts import books_hold, demand, give, spend, standing, take_back, unspend

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
REINSTATE = ExpiredPolicy.REINSTATE


async def lots_of(database: Database, customer_id: str) -> list[tuple[str | None, int, int, datetime, datetime]]:
    """Source, points, what is left, and when earned and expiring, of each lot, the earliest made first."""
    statement = select(LedgerLot).where(LedgerLot.customer_id == customer_id).order_by(col(LedgerLot.available_at))
    async with database.read() as session:
        rows = (await session.exec(statement)).all()
    return [(lot.source_lot_id, lot.points, lot.remaining, lot.earned_at, lot.expires_at) for lot in rows]


async def spent_from_two(database: Database, unique: str) -> str:
    """30 points spent: 10 of a lot that lives a day, 20 of one that lives ten days and had 25."""
    await give(database, unique, 10, key=f"{unique}:short", expires_in=DAY, now=NOON)
    await give(database, unique, 25, key=f"{unique}:long", expires_in=10 * DAY, now=NOON)
    return await spend(database, unique, 30, now=NOON)


async def test_what_expired_is_forfeited_once_and_the_rest_comes_back(database: Database, unique: str) -> None:
    """Given 30 points from two lots, one of which has expired, when they are refunded, then 20 can be spent."""
    spent = await spent_from_two(database, unique)
    await unspend(database, unique, spent, 30, now=NOON + 2 * DAY)
    assert await standing(database, unique) == (25, 0, 0)
    async with database.read() as session:
        page = await ledger_of(session, unique, first=3, after=None)
        statement = select(LedgerPosting).where(
            LedgerPosting.cause_id == lot_id(f"{unique}:short"), LedgerPosting.kind == PostingKind.EXPIRE
        )
        (posting,) = (await session.exec(statement)).all()
        assert [(debit.points, lot.id) for debit, lot in await debits_of(session, posting.id)] == [
            (10, lot_id(f"{unique}:short"))
        ]
    lines = [(line.posting.kind, line.entry.points, line.entry.balance_after) for line in page.rows]
    assert lines == [("EXPIRE", -10, 25), ("REFUND", 30, 35), ("REDEEM", -30, 5)]
    await books_hold(database, unique)


async def test_what_expired_is_reinstated_with_a_grace(database: Database, unique: str) -> None:
    """Given the same under REINSTATE with 30 days, then all can be spent, and the new lot names the old one."""
    spent = await spent_from_two(database, unique)
    await unspend(database, unique, spent, 30, now=NOON + 2 * DAY, expired=REINSTATE, grace_days=30)
    assert await standing(database, unique) == (35, 0, 0)
    found = await lots_of(database, unique)
    assert (lot_id(f"{unique}:short"), 10, 10, NOON, NOON + 32 * DAY) in found
    assert (None, 10, 0, NOON, NOON + DAY) in found
    assert (None, 25, 25, NOON, NOON + 10 * DAY) in found
    await spend(database, unique, 35, now=NOON + 3 * DAY)
    await books_hold(database, unique)


async def test_reinstated_points_repay_debts_and_the_clawback_of_their_own_lot(database: Database, unique: str) -> None:
    """Given a reward of 10 spent, of which 5 are written off, when 30 come back, then 25 are left of them."""
    spent = await spent_from_two(database, unique)
    await take_back(database, demand(unique, f"{unique}:short", 10, ShortfallPolicy.WRITE_OFF), now=NOON)
    assert await standing(database, unique) == (0, 0, 0)
    await unspend(database, unique, spent, 30, now=NOON + 2 * DAY, expired=REINSTATE, grace_days=5)
    # The clawback took 5 from the other lot; 5 of the reward were written off, and come back first.
    assert await standing(database, unique) == (25, 0, 0)
    await books_hold(database, unique)


async def test_a_grace_of_no_day_is_refused(database: Database, unique: str) -> None:
    spent = await spent_from_two(database, unique)
    with pytest.raises(ValueError, match="for a day"):
        await unspend(database, unique, spent, 30, now=NOON + 2 * DAY, expired=REINSTATE)
    assert await standing(database, unique) == (5, 0, 0)
