"""An erased customer leaves balanced books, nothing owed by or to nobody, and no word of a person."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.db import Database, table_of
from core.ids import new_id
from loyalty.adjustments import Adjustment, AdjustmentStatus, NewAdjustment, adjust
from loyalty.day_close import DayClose
from loyalty.erasure import Erased, erase_customer
from loyalty.ledger import LedgerAccount, LedgerEntry, LedgerPosting
from loyalty.lots import ExpiredPolicy, LedgerLot, LotDebit, lot_id, release
from loyalty.shortfall import ShortfallPolicy
from loyalty.transfers import Gift, PointsTransfer, transfer
from tests.loyalty.accounts import books_hold, demand, give, house, spend, standing, take_back, unspend

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOON = datetime(2030, 5, 1, 4, tzinfo=UTC)
SECRET = "Mrs Lin Meihua of Nanjing Road"
TABLES = (
    LedgerAccount,
    LedgerPosting,
    LedgerEntry,
    LedgerLot,
    LotDebit,
    Adjustment,
    PointsTransfer,
    DayClose,
)


async def erase(database: Database, customer_id: str) -> Erased:
    async with database.write() as session:
        return await erase_customer(session, customer_id, now=NOON)


async def fill(database: Database, customer_id: str) -> str:
    """90 available after spending 10, 20 pending, 15 expired; words of staff and givers; returns what spent."""
    await give(database, customer_id, 100, key=f"{customer_id}:a", now=NOON)
    await give(database, customer_id, 20, key=f"{customer_id}:b", available_in=DAY, now=NOON)
    await give(database, customer_id, 15, expires_in=DAY, now=NOON - 2 * DAY)
    spent = await spend(database, customer_id, 10, now=NOON)
    async with database.write() as session:
        for points in (5, -5, 5_000):
            new = NewAdjustment(customer_id, points, SECRET, new_id())
            await adjust(session, new, actor="ann", limit=100, now=NOON)
        await transfer(
            session, Gift(customer_id, f"{customer_id}-sun", 10, new_id(), SECRET), zone="Asia/Shanghai", now=NOON
        )
        await give_back_ten(session, customer_id)
    return spent


async def give_back_ten(session: Any, customer_id: str) -> None:
    gift = Gift(f"{customer_id}-sun", customer_id, 10, new_id(), SECRET)
    await transfer(session, gift, zone="Asia/Shanghai", now=NOON)


async def test_what_is_left_goes_to_the_house_and_again_nothing_happens(database: Database, unique: str) -> None:
    await fill(database, unique)
    assert await standing(database, unique) == (105, 20, 0)
    assert await erase(database, unique) == Erased(forfeited=125, written_off=0)
    assert await standing(database, unique) == (0, 0, 0)
    assert await erase(database, unique) == Erased(forfeited=0, written_off=0)
    await books_hold(database, unique, f"{unique}-sun")


async def test_no_table_of_loyalty_has_a_word_of_theirs(database: Database, unique: str) -> None:
    """Given words of staff and givers, when the customer is erased, then no column of any table holds them."""
    await fill(database, unique)
    await erase(database, unique)
    async with database.read() as session:
        connection = await session.connection()
        for model in TABLES:
            rows = (await connection.execute(table_of(model).select())).all()
            assert SECRET not in str(rows), model
        waiting = "SELECT count(*) FROM adjustment WHERE customer_id = :id AND status = :status"
        for status, number in ((AdjustmentStatus.PENDING, 0), (AdjustmentStatus.REJECTED, 1)):
            counted = await connection.execute(text(waiting), {"id": unique, "status": status})
            assert counted.scalar_one() == number


async def test_a_debt_is_written_off(database: Database, unique: str) -> None:
    await give(database, unique, 30, key=f"{unique}:r", now=NOON)
    await spend(database, unique, 30, now=NOON)
    await take_back(database, demand(unique, f"{unique}:r", 30), now=NOON)
    assert await standing(database, unique) == (0, 0, 30)
    assert await erase(database, unique) == Erased(forfeited=0, written_off=30)
    assert await standing(database, unique) == (0, 0, 0)
    assert await house(database, unique) == {"REDEMPTION": 30, "WRITE_OFF": -30}
    await books_hold(database, unique)


@pytest.mark.parametrize("policy", list(ExpiredPolicy))
async def test_what_arrives_later_is_nobodys(database: Database, unique: str, policy: ExpiredPolicy) -> None:
    """Given an erased customer, when points are refunded, earned, released and clawed back, then nothing is owed."""
    spent = await fill(database, unique)
    await erase(database, unique)
    await unspend(database, unique, spent, 10, now=NOON + DAY, expired=policy, grace_days=9)
    assert await standing(database, unique) == (0, 0, 0)
    async with database.write() as session:
        await release(session, lot_id(f"{unique}:b"), now=NOON + DAY)
    await give(database, unique, 8, key=f"{unique}:late", now=NOON + DAY)
    # It has expired at once: nobody can spend it, and the next day close takes it.
    assert await standing(database, unique) == (8, 0, 0)
    async with database.read() as session:
        assert (await session.get_one(LedgerLot, lot_id(f"{unique}:late"))).expires_at == NOON + DAY
    (taken,) = await take_back(database, demand(unique, f"{unique}:a", 100), now=NOON + DAY)
    assert (taken.debt, taken.written_off) == (0, 100)
    (taken,) = await take_back(database, demand(unique, f"{unique}:late", 8, ShortfallPolicy.DEBT), now=NOON + DAY)
    assert (taken.recovered, await standing(database, unique)) == (8, (0, 0, 0))
    await books_hold(database, unique)
