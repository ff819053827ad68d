"""How reservations end: the points and the stock go back once, to where they came from, and the first end counts."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.notices import NOTICE_OWED
from core.outbox import Outbox
from loyalty.catalogue import RewardKind
from loyalty.ledger import LedgerPosting
from loyalty.lots import ExpiredPolicy, LedgerLot, debits_of
from loyalty.redemption import REDEMPTION_DUE
from tests.loyalty.accounts import books_hold, give, make_reward, standing
from tests.loyalty.redeeming import (
    LATER,
    administrator,
    cancel,
    customer,
    expire,
    fail,
    fulfil,
    redemption_at,
    refunds_of,
    reserve_one,
    stock_of,
    try_redeem,
)

pytestmark = pytest.mark.anyio


async def told(database: Database, customer_id: str) -> list[str]:
    """The kinds of notices that are owed to a customer."""
    statement = select(Outbox).where(Outbox.topic == NOTICE_OWED)
    async with database.read() as session:
        rows = (await session.exec(statement)).all()
    return sorted(row.payload["kind"] for row in rows if row.payload.get("customer_id") == customer_id)


async def acts_on(database: Database, redemption_id: str) -> list[tuple[str, str, str | None]]:
    statement = select(AuditEntry).where(AuditEntry.area == f"redemption:{redemption_id}")
    async with database.read() as session:
        return [(row.actor, row.action, row.reason) for row in (await session.exec(statement)).all()]


async def test_a_partner_keeps_it_reserved_until_it_says_that_it_is_fulfilled(database: Database, unique: str) -> None:
    """Given a reservation, when the partner fulfils it twice with other references, then the first is kept."""
    now = utc_now()
    reward = await make_reward(database, kind=RewardKind.PARTNER, stock=5, time_limit_minutes=90)
    await give(database, unique, 100)
    redemption = await try_redeem(database, unique, reward, now=now)
    row = await redemption_at(database, redemption)
    assert (row.status, row.points, row.voucher_code, row.ended_at) == ("RESERVED", 100, None, None)
    assert row.reserved_until == now + timedelta(minutes=90)
    assert (await standing(database, unique), await stock_of(database, reward)) == ((0, 0, 0), 4)
    async with database.read() as session:
        due = (await session.exec(select(Outbox).where(Outbox.topic == REDEMPTION_DUE, Outbox.key == redemption))).one()
    assert due.available_at == row.reserved_until
    assert await fulfil(database, redemption, reference="T-77") == "FULFILLED"
    assert await fulfil(database, redemption, reference="T-78") == "FULFILLED"
    row = await redemption_at(database, redemption)
    assert (row.status, row.reference, row.ended_by) == ("FULFILLED", "T-77", "partner")
    assert await expire(database, redemption, now=now + LATER) == "NOTHING"
    assert await fail(database, redemption) == "REDEMPTION_CLOSED"
    assert await cancel(database, redemption, customer(unique)) == "REDEMPTION_CLOSED"
    assert (await standing(database, unique), await stock_of(database, reward)) == ((0, 0, 0), 4)
    assert await told(database, unique) == ["REDEMPTION_FULFILLED"]
    assert await acts_on(database, redemption) == [("partner", "REDEMPTION_FULFILLED", None)]
    await books_hold(database, unique)


async def test_a_failure_refunds_once_into_the_lots_that_paid(database: Database, unique: str) -> None:
    """Given 100 points from two lots, when the failure is reported four times, then each lot has its own back."""
    await give(database, unique, 30, expires_in=timedelta(days=5))
    await give(database, unique, 90, expires_in=timedelta(days=50))
    reward = await make_reward(database, kind=RewardKind.PARTNER, stock=1)
    redemption = await try_redeem(database, unique, reward)
    assert [await fail(database, redemption) for _ in range(4)] == ["FAILED"] * 4
    assert (await standing(database, unique), await stock_of(database, reward)) == ((120, 0, 0), 1)
    statement = select(LedgerLot).where(LedgerLot.customer_id == unique).order_by(col(LedgerLot.expires_at))
    row = await redemption_at(database, redemption)
    async with database.read() as session:
        assert [(lot.points, lot.remaining) for lot in (await session.exec(statement)).all()] == [(30, 30), (90, 90)]
        assert sorted(one.points for one, _ in await debits_of(session, row.refund_id or "")) == [-70, -30]
        posting = await session.get_one(LedgerPosting, row.refund_id)
    assert (posting.key, posting.cause_id) == (f"refund:redemption:{redemption}", redemption)
    assert await refunds_of(database, [redemption]) == [redemption]
    assert await told(database, unique) == ["REDEMPTION_FAILED"]
    assert await acts_on(database, redemption) == [("partner", "REDEMPTION_FAILED", "none left")]
    await books_hold(database, unique)


async def test_the_time_limit_is_exclusive_and_ends_it_once(database: Database, unique: str) -> None:
    """Given a time limit, then up to it the partner fulfils, and from it on it expires and nothing else wins."""
    reward, redemption = await reserve_one(database, unique)
    limit = (await redemption_at(database, redemption)).reserved_until
    assert limit is not None
    assert await expire(database, redemption, now=limit - timedelta(microseconds=1)) == "NOTHING"
    # Late, though nobody has ended it yet.
    assert await fulfil(database, redemption, now=limit) == "RESERVATION_EXPIRED"
    assert (await redemption_at(database, redemption)).status == "RESERVED"
    assert [await expire(database, redemption, now=limit) for _ in range(3)] == ["EXPIRED", "NOTHING", "NOTHING"]
    assert await fulfil(database, redemption, now=limit) == "RESERVATION_EXPIRED"
    assert await fail(database, redemption) == "REDEMPTION_CLOSED"
    assert (await standing(database, unique), await stock_of(database, reward)) == ((100, 0, 0), 5)
    assert await told(database, unique) == ["REDEMPTION_EXPIRED"]
    assert await acts_on(database, redemption) == []
    await books_hold(database, unique)


async def test_a_customer_gives_up_their_own_and_nobody_elses(database: Database, unique: str) -> None:
    reward, redemption = await reserve_one(database, unique)
    assert await cancel(database, redemption, customer(f"{unique}-other")) == "NOT_FOUND"
    assert await cancel(database, new_id(), customer(unique)) == "NOT_FOUND"
    assert await cancel(database, redemption, administrator()) == "REDEMPTION_REASON_INVALID"
    assert (await redemption_at(database, redemption)).status == "RESERVED"
    assert [await cancel(database, redemption, customer(unique)) for _ in range(2)] == ["CANCELLED"] * 2
    assert await fulfil(database, redemption) == "REDEMPTION_CLOSED"
    assert (await standing(database, unique), await stock_of(database, reward)) == ((100, 0, 0), 5)
    # Who gives up knows it.
    assert await told(database, unique) == []
    await books_hold(database, unique)


async def test_an_administrator_gives_up_somebody_elses_with_a_reason(database: Database, unique: str) -> None:
    _, redemption = await reserve_one(database, unique)
    assert await cancel(database, redemption, administrator(), reason=" wrong size ") == "CANCELLED"
    assert await told(database, unique) == ["REDEMPTION_CANCELLED"]
    assert await acts_on(database, redemption) == [("admin", "REDEMPTION_CANCELLED", "wrong size")]


async def test_what_did_not_come_about_frees_the_limits(database: Database, unique: str) -> None:
    """Given one per customer and one per week, when a redemption fails, expires or is cancelled, then another goes."""
    limits = {"limit_per_customer": 1, "limit_per_period": 1, "period_days": 7}
    reward, redemption = await reserve_one(database, unique, **limits)
    await give(database, unique, 100)
    for end in ("fail", "expire", "cancel"):
        assert await try_redeem(database, unique, reward) == "REDEMPTION_LIMIT_REACHED"
        if end == "fail":
            await fail(database, redemption)
        elif end == "expire":
            await expire(database, redemption, now=utc_now() + LATER)
        else:
            await cancel(database, redemption, customer(unique))
        redemption = await try_redeem(database, unique, reward)
        assert (await redemption_at(database, redemption)).status == "RESERVED", end
    assert await standing(database, unique) == (100, 0, 0)
    assert await stock_of(database, reward) == 4


async def test_what_a_reward_declared_about_expired_points_is_promised(database: Database, unique: str) -> None:
    """Given a reward that forfeits nothing for ten days, then its redemptions keep that, whatever it says later."""
    _, redemption = await reserve_one(database, unique, expired_policy=ExpiredPolicy.REINSTATE, grace_days=10)
    row = await redemption_at(database, redemption)
    assert (row.expired_policy, row.grace_days) == ("REINSTATE", 10)


@pytest.mark.parametrize(
    ("policy", "grace", "back"), [(ExpiredPolicy.FORFEIT, 0, 0), (ExpiredPolicy.REINSTATE, 10, 100)]
)
async def test_points_that_expired_meanwhile_follow_the_policy(
    database: Database, unique: str, policy: ExpiredPolicy, grace: int, back: int
) -> None:
    """Given points that expire while the partner is silent, when it fails, then they are forfeited or live on."""
    reward = await make_reward(
        database, kind=RewardKind.PARTNER, stock=5, expired_policy=policy, grace_days=grace, time_limit_minutes=5_000
    )
    await give(database, unique, 100, expires_in=timedelta(days=1))
    redemption = await try_redeem(database, unique, reward)
    assert await fail(database, redemption, now=utc_now() + timedelta(days=2)) == "FAILED"
    assert (await standing(database, unique))[0] == back
    assert await stock_of(database, reward) == 5
    await books_hold(database)


@pytest.mark.parametrize("reference", ["", "  ", "x" * 101, "a\0b"])
async def test_a_reference_that_is_none_is_refused(database: Database, unique: str, reference: str) -> None:
    _, redemption = await reserve_one(database, unique)
    assert await fulfil(database, redemption, reference=reference) == "REFERENCE_INVALID"
    assert (await redemption_at(database, redemption)).status == "RESERVED"


async def test_a_redemption_that_is_not_there_is_not_found(database: Database) -> None:
    assert await fulfil(database, new_id()) == "NOT_FOUND"
    assert await fail(database, new_id()) == "NOT_FOUND"
    assert await expire(database, new_id(), now=utc_now()) == "NOTHING"
