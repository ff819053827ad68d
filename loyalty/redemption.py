"""Redeeming points for a reward: debit, stock and voucher in one transaction, once by the caller's key."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, func
from sqlmodel import Field, col, select

from core.codes import new_code
from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import derived_id
from core.paging import Page, cut, decode_cursor, instant_in_cursor, page_size
from loyalty.catalogue import Reward, RewardNotAvailable, take_stock
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, post
from loyalty.lots import burn

VOUCHER_LENGTH = 12
REDEMPTION = "REDEMPTION"


class IdempotencyKeyInvalid(BadUserInput):
    code = "IDEMPOTENCY_KEY_INVALID"
    en = "An idempotency key has 8 to 100 characters."
    zh = "幂等键需为8至100个字符。"


class IdempotencyKeyReused(Refusal):
    code = "IDEMPOTENCY_KEY_REUSED"
    en = "This key was already used for another redemption."
    zh = "该幂等键已用于其他兑换。"


class RedemptionLimitReached(Refusal):
    code = "REDEMPTION_LIMIT_REACHED"
    en = "You have redeemed this reward as often as you may."
    zh = "您已达到该礼品的兑换上限。"


class RedemptionStatus(StrEnum):
    """RESERVED exists only inside the transaction that fulfils; partners' fulfilment will keep it longer."""

    RESERVED = "RESERVED"
    FULFILLED = "FULFILLED"


class Redemption(Record, table=True):
    """One redemption; its `voucher_code` is for the owner's eyes only and never logged."""

    __table_args__ = (
        UniqueConstraint("customer_id", "idempotency_key"),
        Index("ix_redemption_customer_reward", "customer_id", "reward_id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    reward_id: str = Field(foreign_key="reward.id")
    idempotency_key: str
    points: int
    status: str
    posting_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    voucher_code: str | None = Field(default=None, unique=True)
    redeemed_at: datetime = instant()


async def redeem(
    session: Session, *, customer_id: str, reward_id: str, idempotency_key: str, now: datetime
) -> Redemption:
    """Redeem one piece of a reward; the same key again gives the first answer.

    Raises IdempotencyKeyInvalid, IdempotencyKeyReused (other reward under the same key),
    RewardNotAvailable, OutOfStock, RedemptionLimitReached, InsufficientPoints; the caller's
    transaction then rolls back, so that nothing of it stays.
    """
    if not 8 <= len(idempotency_key) <= 100:
        raise IdempotencyKeyInvalid(path=("idempotencyKey",))
    known = await reserve(session, customer_id, reward_id, idempotency_key, now)
    if known.status != RedemptionStatus.RESERVED:
        return known
    return await fulfil(session, known, now=now)


async def reserve(
    session: Session, customer_id: str, reward_id: str, idempotency_key: str, now: datetime
) -> Redemption:
    """The redemption under this key: a new reservation, or what an earlier transaction made of it.

    On PostgreSQL a second request with the key waits here until the first has committed.
    """
    if await session.get(Reward, reward_id) is None:
        raise RewardNotAvailable(path=("rewardId",))
    row: dict[str, Any] = {
        "id": derived_id("redemption", customer_id, idempotency_key),
        "customer_id": customer_id,
        "reward_id": reward_id,
        "idempotency_key": idempotency_key,
        "points": 0,
        "status": RedemptionStatus.RESERVED,
        "redeemed_at": now,
    }
    await insert_once(session, Redemption, row)
    redemption = await session.get_one(Redemption, row["id"])
    if redemption.reward_id != reward_id:
        raise IdempotencyKeyReused(path=("idempotencyKey",))
    return redemption


async def fulfil(session: Session, redemption: Redemption, *, now: datetime) -> Redemption:
    """Take stock, debit the points, check the limit under the account's lock, and issue the voucher.

    Stock comes first and the customer's account second, everywhere, so that two redemptions never
    wait for each other in a circle.
    """
    reward = await take_stock(session, redemption.reward_id, now=now)
    posting_id = await post(
        session,
        key=f"redemption:{redemption.id}",
        kind=PostingKind.REDEEM,
        cause=Cause(REDEMPTION, redemption.id),
        legs=[
            Leg(AccountKind.AVAILABLE, -reward.price, redemption.customer_id),
            Leg(AccountKind.REDEMPTION, reward.price),
        ],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"redemption {redemption.id} is reserved, yet its posting exists")
    await check_limit(session, reward, redemption.customer_id)
    await burn(session, posting_id=posting_id, customer_id=redemption.customer_id, points=reward.price, now=now)
    redemption.points = reward.price
    redemption.posting_id = posting_id
    redemption.voucher_code = new_code(VOUCHER_LENGTH)
    redemption.status = RedemptionStatus.FULFILLED
    session.add(redemption)
    await session.flush()
    return redemption


async def check_limit(session: Session, reward: Reward, customer_id: str) -> None:
    """Count this customer's redemptions of the reward, the present one included."""
    if reward.limit_per_customer is None:
        return
    counted = select(func.count(col(Redemption.id))).where(
        Redemption.customer_id == customer_id, Redemption.reward_id == reward.id
    )
    if (await session.exec(counted)).one() > reward.limit_per_customer:
        raise RedemptionLimitReached(path=("rewardId",))


async def redemptions_of(
    session: Session, customer_id: str, *, first: int | None, after: str | None
) -> Page[Redemption]:
    """A customer's redemptions, the latest first."""
    size = page_size(first)
    position = decode_cursor(after, str, str)
    statement = select(Redemption).where(Redemption.customer_id == customer_id)
    if position:
        at, last = instant_in_cursor(position[0]), str(position[1])
        earlier = col(Redemption.redeemed_at) < at
        statement = statement.where(earlier | ((col(Redemption.redeemed_at) == at) & (col(Redemption.id) < last)))
    ordered = statement.order_by(col(Redemption.redeemed_at).desc(), col(Redemption.id).desc())
    rows = (await session.exec(ordered.limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.redeemed_at.isoformat(), row.id))
