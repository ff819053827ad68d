"""An erased customer leaves balanced books, nothing owed by or to nobody, and no word of a person."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from core.db import Database, Session, table_of
from core.ids import new_id
from loyalty.adjustments import Adjustment, AdjustmentStatus, NewAdjustment, adjust, decide_adjustment
from loyalty.catalogue import RewardKind
from loyalty.day_close import DayClose
from loyalty.erasure import Erased, erase_customer
from loyalty.ledger import LedgerAccount, LedgerEntry, LedgerPosting
from loyalty.lots import ExpiredPolicy, LedgerLot, LotDebit, lot_id, release
from loyalty.redemption_records import Redemption, RedemptionStatus
from loyalty.shortfall import ShortfallPolicy
from loyalty.transfers import Gift, PointsTransfer, transfer
from tests.loyalty.accounts import books_hold, demand, give, house, make_reward, spend, standing, take_back, unspend
from tests.loyalty.redeeming import answer, fail, fulfil, redemption_at, try_redeem

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
    Redemption,
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
    """Given words of staff, partners and givers, when the customer is erased, then no column of any table has them."""
    await fill(database, unique)
    reward = await make_reward(database, kind=RewardKind.PARTNER, stock=2, price=10)
    failed, fulfilled = [await try_redeem(database, unique, reward, now=NOON) for _ in range(2)]
    assert await fail(database, failed, now=NOON, reason=SECRET) == RedemptionStatus.FAILED
    assert await fulfil(database, fulfilled, now=NOON, reference=SECRET) == RedemptionStatus.FULFILLED
    assert (await redemption_at(database, failed)).reason == SECRET
    assert (await redemption_at(database, fulfilled)).reference == SECRET
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


async def decide(database: Database, adjustment_id: str) -> Any:
    """The status afterwards, or the code of the refusal."""

    async def act(session: Session) -> str:
        booked = AdjustmentStatus.BOOKED
        return (await decide_adjustment(session, adjustment_id, booked, actor="bob", reason="Yes", now=NOON)).status

    return await answer(database, act)


async def test_erased_beside_those_who_end_reservations_and_decide_adjustments(
    pools: list[Database], unique: str
) -> None:
    """Given pairs of customers who gave to each other, when both are erased, a reservation of theirs fails and an
    adjustment is decided, all at once, then nobody waits in a circle, nothing is left and no word of anybody.
    """
    first, *_ = pools
    reward = await make_reward(first, kind=RewardKind.PARTNER, stock=16, price=10)
    customers = [f"{unique}-{number:02}" for number in range(16)]
    reserved: list[str] = []
    waiting: list[str] = []
    for customer in customers:
        await give(first, customer, 100, now=NOON)
        reserved.append(await try_redeem(first, customer, reward, now=NOON))
        async with first.write() as session:
            new = NewAdjustment(customer, 5_000, SECRET, new_id())
            waiting.append((await adjust(session, new, actor="ann", limit=100, now=NOON)).id)
    for number, customer in enumerate(customers):
        async with first.write() as session:
            gift = Gift(customer, customers[number ^ 1], 10, new_id(), SECRET)
            await transfer(session, gift, zone="Asia/Shanghai", now=NOON)
    for number, customer in enumerate(customers):
        answers = await asyncio.gather(
            erase(pools[0], customer),
            fail(pools[1], reserved[number], now=NOON),
            decide(pools[2], waiting[number]),
            erase(pools[3], customers[number ^ 1]),
        )
        assert answers[1] == RedemptionStatus.FAILED, answers
        assert answers[2] in {AdjustmentStatus.BOOKED, "ADJUSTMENT_DECIDED"}, answers
    async with first.read() as session:
        statement = select(LedgerLot.remaining).where(col(LedgerLot.customer_id).in_(customers))
        assert set((await session.exec(statement)).all()) == {0}
        gifts = select(PointsTransfer.note).where(col(PointsTransfer.sender_id).in_(customers))
        assert set((await session.exec(gifts)).all()) == {None}
    assert [await standing(first, customer) for customer in customers] == [(0, 0, 0)] * 16
    await books_hold(first, *customers)
