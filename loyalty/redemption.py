"""Redeeming points for a reward: debit, stock and code in one transaction, once by the caller's key."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select

from core.codes import new_code
from core.db import Session, insert_once
from core.errors import Refusal
from core.ids import derived_id
from core.outbox import owe
from graph.eligibility import NotEligible
from loyalty.catalogue import Reward, RewardKind, RewardNotAvailable, take_stock
from loyalty.coupons import assign_code
from loyalty.idempotency import check_key, check_same
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, post
from loyalty.lots import burn
from loyalty.redemption_facts import record_ending
from loyalty.redemption_records import COUNTED, REDEMPTION, Redemption, RedemptionStatus

VOUCHER_LENGTH = 12
# A reservation whose time is over is owed its end; the payload names it.
REDEMPTION_DUE = "redemption.due"


class RedemptionLimitReached(Refusal):
    code = "REDEMPTION_LIMIT_REACHED"
    en = "You have redeemed this reward as often as you may."
    zh = "您已达到该礼品的兑换上限。"


class PeriodLimitReached(Refusal):
    code = "PERIOD_LIMIT_REACHED"
    en = "You have redeemed this reward as often as you may for now. Please try again later."
    zh = "您近期已达到该礼品的兑换上限，请稍后再试。"


class PriceChanged(Refusal):
    code = "PRICE_CHANGED"
    en = "The price of this reward has changed. Please have a look at it again."
    zh = "该礼品价格已变动，请重新查看。"


async def redeem(
    session: Session,
    *,
    customer_id: str,
    reward_id: str,
    idempotency_key: str,
    now: datetime,
    expected_price: int | None = None,
    eligible: bool = True,
) -> Redemption:
    """Redeem one piece of a reward at its price of now; the same key again gives the first answer.

    Whether the customer meets the reward's conditions stands in the graph, so the caller has asked it before. Raises
    IdempotencyKeyInvalid, IdempotencyKeyReused (another argument under the same key), NotEligible, RewardNotAvailable,
    OutOfStock, PriceChanged, RedemptionLimitReached, PeriodLimitReached, InsufficientPoints; the caller's transaction
    then rolls back, so that nothing of it stays and the key is free.
    """
    check_key(idempotency_key)
    redemption, is_new = await reserve(session, customer_id, reward_id, idempotency_key, expected_price, now)
    if not is_new:
        return redemption
    if not eligible:
        raise NotEligible(path=("rewardId",))
    reward = await take_stock(session, reward_id, now=now)
    price = reward.price_at(now)
    if expected_price not in (None, price):
        raise PriceChanged(path=("expectedPrice",), detail=f"{price} points")
    code = None
    if reward.kind == RewardKind.COUPON:
        code = await assign_code(session, reward_id, redemption.id, now=now)
    await pay(session, redemption, reward, price, now=now)
    if reward.kind == RewardKind.PARTNER:
        await owe_end(session, redemption, until=now + reward.time_limit, now=now)
    else:
        fulfil_at_once(redemption, reward, code or new_code(VOUCHER_LENGTH), now=now)
    session.add(redemption)
    await session.flush()
    await record_ending(session, redemption, now=now)
    return redemption


async def reserve(
    session: Session, customer_id: str, reward_id: str, idempotency_key: str, expected_price: int | None, now: datetime
) -> tuple[Redemption, bool]:
    """The redemption under this key, and whether it is a new reservation or what an earlier transaction made of it.

    On PostgreSQL a second request with the key waits here until the first has committed or was refused.
    """
    declared = select(Reward.expired_policy, Reward.grace_days).where(Reward.id == reward_id)
    promise = (await session.exec(declared)).first()
    if promise is None:
        raise RewardNotAvailable(path=("rewardId",))
    row: dict[str, Any] = {
        "id": derived_id("redemption", customer_id, idempotency_key),
        "customer_id": customer_id,
        "reward_id": reward_id,
        "idempotency_key": idempotency_key,
        "expected_price": expected_price,
        "points": 0,
        "status": RedemptionStatus.RESERVED,
        "redeemed_at": now,
        "expired_policy": promise[0],
        "grace_days": promise[1],
    }
    is_new = await insert_once(session, Redemption, row)
    redemption = await session.get_one(Redemption, row["id"])
    check_same([redemption.reward_id, redemption.expected_price], [reward_id, expected_price])
    return redemption, bool(is_new)


async def pay(session: Session, redemption: Redemption, reward: Reward, price: int, *, now: datetime) -> None:
    """Debit the points, check the limits under the account's lock, and take the points from lots.

    Stock comes first and the customer's account second, everywhere, so that two redemptions never wait for each
    other in a circle.
    """
    posting_id = await post(
        session,
        key=f"redemption:{redemption.id}",
        kind=PostingKind.REDEEM,
        cause=Cause(REDEMPTION, redemption.id),
        legs=[Leg(AccountKind.AVAILABLE, -price, redemption.customer_id), Leg(AccountKind.REDEMPTION, price)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"redemption {redemption.id} is reserved, yet its posting exists")
    await check_limits(session, reward, redemption.customer_id, now=now)
    await burn(session, posting_id=posting_id, customer_id=redemption.customer_id, points=price, now=now)
    redemption.points, redemption.posting_id = price, posting_id


async def check_limits(session: Session, reward: Reward, customer_id: str, *, now: datetime) -> None:
    """Count this customer's redemptions of the reward that stand, the present one included."""
    counted = select(func.count(col(Redemption.id))).where(
        Redemption.customer_id == customer_id, Redemption.reward_id == reward.id, col(Redemption.status).in_(COUNTED)
    )
    if reward.limit_per_customer is not None and (await session.exec(counted)).one() > reward.limit_per_customer:
        raise RedemptionLimitReached(path=("rewardId",))
    if reward.limit_per_period is None or reward.period_days is None:
        return
    lately = counted.where(Redemption.redeemed_at > now - timedelta(days=reward.period_days))
    if (await session.exec(lately)).one() > reward.limit_per_period:
        raise PeriodLimitReached(path=("rewardId",))


def fulfil_at_once(redemption: Redemption, reward: Reward, code: str, *, now: datetime) -> None:
    """Hand over the code: that of the pool, or one made now."""
    redemption.voucher_code = code
    redemption.voucher_until = now + timedelta(days=reward.voucher_days) if reward.voucher_days is not None else None
    redemption.status, redemption.ended_at = RedemptionStatus.FULFILLED, now


async def owe_end(session: Session, redemption: Redemption, *, until: datetime, now: datetime) -> None:
    """Owe the end of the reservation at its time limit, should the partner not have said anything by then."""
    redemption.reserved_until = until
    payload = {"redemption_id": redemption.id}
    await owe(session, topic=REDEMPTION_DUE, key=redemption.id, payload=payload, now=now, not_before=until)
