"""The rewards that points buy."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import new_id
from core.paging import Page, cut, decode_cursor, page_size


class RewardInvalid(BadUserInput):
    code = "REWARD_INVALID"
    en = "The reward is not valid."
    zh = "礼品信息无效。"


class OutOfStock(Refusal):
    code = "OUT_OF_STOCK"
    en = "This reward is sold out."
    zh = "该礼品已兑完。"


class RewardNotAvailable(Refusal):
    code = "REWARD_NOT_AVAILABLE"
    en = "This reward cannot be redeemed now."
    zh = "该礼品当前不可兑换。"


class Reward(Record, table=True):
    """A reward; `price` in points, `stock` is what is left (None: unlimited)."""

    __table_args__ = (
        CheckConstraint("stock IS NULL OR stock >= 0", name="ck_reward_stock"),
        CheckConstraint("price > 0", name="ck_reward_price"),
    )

    id: str = Field(primary_key=True)
    name_zh: str
    name_en: str
    price: int
    stock: int | None = None
    limit_per_customer: int | None = None
    valid_from: datetime = instant()
    valid_until: datetime | None = instant(optional=True)
    created_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class NewReward:
    """A reward as an administrator describes it."""

    name_zh: str
    name_en: str
    price: int
    stock: int | None = None
    limit_per_customer: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


async def create_reward(session: Session, reward: NewReward, *, now: datetime, reward_id: str | None = None) -> str:
    """Offer a reward; returns its id. A given `reward_id` makes it once. Raises RewardInvalid."""
    check_reward(reward)
    values: dict[str, Any] = {
        "id": reward_id or new_id(),
        "name_zh": reward.name_zh.strip(),
        "name_en": reward.name_en.strip(),
        "price": reward.price,
        "stock": reward.stock,
        "limit_per_customer": reward.limit_per_customer,
        "valid_from": reward.valid_from or now,
        "valid_until": reward.valid_until,
        "created_at": now,
    }
    await insert_once(session, Reward, values, "id")
    return str(values["id"])


def check_reward(reward: NewReward) -> None:
    for field, value in (("nameZh", reward.name_zh), ("nameEn", reward.name_en)):
        if not 1 <= len(value.strip()) <= 200:
            raise RewardInvalid(path=(field,), detail="1 to 200 characters")
    if not 1 <= reward.price <= 1_000_000_000:
        raise RewardInvalid(path=("price",), detail="1 to 1000000000 points")
    if reward.stock is not None and reward.stock < 0:
        raise RewardInvalid(path=("stock",), detail="not below zero")
    if reward.limit_per_customer is not None and reward.limit_per_customer < 1:
        raise RewardInvalid(path=("limitPerCustomer",), detail="at least 1")
    if reward.valid_from and reward.valid_until and reward.valid_until <= reward.valid_from:
        raise RewardInvalid(path=("validUntil",), detail="after validFrom")


async def take_stock(session: Session, reward_id: str, *, now: datetime) -> Reward:
    """Take one piece under the guard of the row; raises RewardNotAvailable or OutOfStock."""
    guarded = update(Reward).where(
        col(Reward.id) == reward_id,
        col(Reward.stock).is_(None) | (col(Reward.stock) > 0),
        col(Reward.valid_from) <= now,
        col(Reward.valid_until).is_(None) | (col(Reward.valid_until) > now),
    )
    taken = await changed_rows(session, guarded.values(stock=col(Reward.stock) - 1))
    reward = await session.get(Reward, reward_id, populate_existing=True)
    if reward is None:
        raise RewardNotAvailable(path=("rewardId",))
    if not taken:
        raise OutOfStock(path=("rewardId",)) if reward.stock == 0 else RewardNotAvailable(path=("rewardId",))
    return reward


async def list_rewards(session: Session, *, first: int | None, after: str | None, now: datetime) -> Page[Reward]:
    """Rewards on offer at `now`, in the order of their ids."""
    size = page_size(first)
    position = decode_cursor(after, str)
    statement = select(Reward).where(
        Reward.valid_from <= now, col(Reward.valid_until).is_(None) | (col(Reward.valid_until) > now)
    )
    if position:
        statement = statement.where(Reward.id > str(position[0]))
    rows = (await session.exec(statement.order_by(col(Reward.id)).limit(size + 1))).all()
    return cut(rows, size, lambda reward: (reward.id,))
