"""The rewards that points buy: what they are, what they cost and when, and what is left of them."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, Index, case, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import new_id
from graph.eligibility import TIERS
from loyalty.lots import ExpiredPolicy
from segments.membership import check_segment

LARGEST_PRICE = 1_000_000_000
LONGEST_TEXT = 2_000
MOST_TAGS = 20
# How long a partner has where a reward does not say, and at most.
TIME_LIMIT = timedelta(days=3)
LONGEST_LIMIT = timedelta(days=90)


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


class RewardKind(StrEnum):
    """How a reward is fulfilled: by a code made at once, by a code of a pool, or by a partner within a time limit."""

    VOUCHER = "VOUCHER"
    COUPON = "COUPON"
    PARTNER = "PARTNER"


class Reward(Record, table=True):
    """A reward; `price` in points, until `next_price` is in force.

    `stock` is what is left (None: unlimited, or the codes of a pool, which are counted themselves).
    """

    __table_args__ = (
        CheckConstraint("stock IS NULL OR stock >= 0", name="ck_reward_stock"),
        CheckConstraint("price > 0", name="ck_reward_price"),
        CheckConstraint("next_price IS NULL OR next_price > 0", name="ck_reward_next_price"),
    )

    id: str = Field(primary_key=True)
    kind: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    category: str | None = None
    price: int
    next_price: int | None = None
    next_price_from: datetime | None = instant(optional=True)
    stock: int | None = None
    limit_per_customer: int | None = None
    limit_per_period: int | None = None
    period_days: int | None = None
    minimum_tier: str | None = None
    segment_id: str | None = None
    valid_from: datetime = instant()
    valid_until: datetime | None = instant(optional=True)
    voucher_days: int | None = None
    time_limit_minutes: int | None = None
    expired_policy: str
    grace_days: int
    created_at: datetime = instant()
    retired_at: datetime | None = instant(optional=True)

    def price_at(self, now: datetime) -> int:
        """The price in force at `now`."""
        if self.next_price is not None and self.next_price_from is not None and self.next_price_from <= now:
            return self.next_price
        return self.price

    def is_on_offer(self, now: datetime) -> bool:
        """Whether it can be redeemed at `now`, as far as its own dates say."""
        begun = self.valid_from <= now and (self.valid_until is None or self.valid_until > now)
        return begun and self.retired_at is None

    @property
    def time_limit(self) -> timedelta:
        """How long a partner has to fulfil a redemption."""
        return TIME_LIMIT if self.time_limit_minutes is None else timedelta(minutes=self.time_limit_minutes)


class RewardTag(Record, table=True):
    """A tag that a customer must hold for a reward; all of a reward's tags are asked for."""

    reward_id: str = Field(foreign_key="reward.id", primary_key=True)
    tag: str = Field(primary_key=True)


class RewardPrice(Record, table=True):
    """A price and from when on it holds, until the next one does."""

    __table_args__ = (Index("ix_reward_price_reward", "reward_id", "valid_from", "id"),)

    id: str = Field(primary_key=True)
    reward_id: str = Field(foreign_key="reward.id")
    price: int
    valid_from: datetime = instant()
    set_at: datetime = instant()
    set_by: str


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
    kind: RewardKind = RewardKind.VOUCHER
    description_zh: str = ""
    description_en: str = ""
    category: str | None = None
    limit_per_period: int | None = None
    period_days: int | None = None
    minimum_tier: str | None = None
    segment_id: str | None = None
    required_tags: tuple[str, ...] = ()
    voucher_days: int | None = None
    time_limit_minutes: int | None = None
    expired_policy: ExpiredPolicy = ExpiredPolicy.FORFEIT
    grace_days: int = 0


# What of a description stands in the reward's own row, and what of that is never null.
COLUMNS = tuple(field.name for field in fields(NewReward) if field.name != "required_tags")
NEVER_NULL = ("name_zh", "name_en", "description_zh", "description_en", "price", "valid_from", "grace_days")


def stored(value: Any) -> Any:
    """Words without the space around them; anything else as it is."""
    return value.strip() if isinstance(value, str) else value


def price_at(now: datetime) -> ColumnElement[int]:
    """The price in force at `now`, for queries."""
    return case((col(Reward.next_price_from) <= now, col(Reward.next_price)), else_=col(Reward.price))


def on_offer_at(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The same as Reward.is_on_offer, for queries."""
    return (
        col(Reward.valid_from) <= now,
        col(Reward.valid_until).is_(None) | (col(Reward.valid_until) > now),
        col(Reward.retired_at).is_(None),
    )


async def create_reward(
    session: Session, reward: NewReward, *, now: datetime, reward_id: str | None = None, actor: str = "kinship"
) -> str:
    """Offer a reward; returns its id. A given `reward_id` makes it once. Raises RewardInvalid, SegmentUnknown."""
    check_reward(reward)
    await check_segment(session, reward.segment_id)
    key = reward_id or new_id()
    values = {name: stored(getattr(reward, name)) for name in COLUMNS}
    values |= {"id": key, "valid_from": reward.valid_from or now, "created_at": now}
    if await insert_once(session, Reward, values, "id"):
        await put_tags(session, key, reward.required_tags)
        await note_price(session, key, reward.price, valid_from=now, now=now, actor=actor)
    return key


async def put_tags(session: Session, reward_id: str, tags: tuple[str, ...]) -> None:
    rows = [{"reward_id": reward_id, "tag": tag} for tag in sorted(set(tags))]
    if rows:
        await insert_once(session, RewardTag, rows, "reward_id", "tag")


async def note_price(
    session: Session, reward_id: str, price: int, *, valid_from: datetime, now: datetime, actor: str
) -> None:
    row: dict[str, Any] = {
        "id": new_id(),
        "reward_id": reward_id,
        "price": price,
        "valid_from": valid_from,
        "set_at": now,
        "set_by": actor,
    }
    await insert_once(session, RewardPrice, row, "id")


def check_reward(reward: NewReward) -> None:
    """Raise RewardInvalid with the path of the first field that cannot be."""
    check_words(reward)
    check_limits(reward)
    if not 1 <= reward.price <= LARGEST_PRICE:
        raise RewardInvalid(path=("price",), detail=f"1 to {LARGEST_PRICE} points")
    if reward.kind == RewardKind.COUPON and reward.stock is not None:
        raise RewardInvalid(path=("stock",), detail="the stock of coupons is their codes: add codes")
    if reward.valid_from and reward.valid_until and reward.valid_until <= reward.valid_from:
        raise RewardInvalid(path=("validUntil",), detail="after validFrom")
    if reward.minimum_tier is not None and reward.minimum_tier not in TIERS:
        raise RewardInvalid(path=("minimumTier",), detail="a tier")
    if len(reward.required_tags) > MOST_TAGS or not all(is_word(tag, 200) for tag in reward.required_tags):
        raise RewardInvalid(path=("requiredTags",), detail=f"at most {MOST_TAGS} keys of tags")


def check_words(reward: NewReward) -> None:
    for field, value in (("nameZh", reward.name_zh), ("nameEn", reward.name_en)):
        if not is_word(value, 200):
            raise RewardInvalid(path=(field,), detail="1 to 200 characters")
    for field, value in (("descriptionZh", reward.description_zh), ("descriptionEn", reward.description_en)):
        if len(value.strip()) > LONGEST_TEXT or "\0" in value:
            raise RewardInvalid(path=(field,), detail=f"at most {LONGEST_TEXT} characters")
    if reward.category is not None and not is_word(reward.category, 50):
        raise RewardInvalid(path=("category",), detail="1 to 50 characters")


def is_word(value: str, longest: int) -> bool:
    return 1 <= len(value.strip()) <= longest and "\0" not in value


def check_limits(reward: NewReward) -> None:
    counted = (
        ("stock", reward.stock, 0, 1_000_000_000),
        ("limitPerCustomer", reward.limit_per_customer, 1, 1_000_000),
        ("limitPerPeriod", reward.limit_per_period, 1, 1_000_000),
        ("periodDays", reward.period_days, 1, 3_660),
        ("voucherDays", reward.voucher_days, 1, 3_660),
        ("timeLimitMinutes", reward.time_limit_minutes, 1, LONGEST_LIMIT // timedelta(minutes=1)),
        ("graceDays", reward.grace_days, 0, 366),
    )
    for field, value, least, most in counted:
        if value is not None and not least <= value <= most:
            raise RewardInvalid(path=(field,), detail=f"{least} to {most}")
    if (reward.limit_per_period is None) != (reward.period_days is None):
        raise RewardInvalid(path=("periodDays",), detail="a limit per period and the days of the period go together")
    if reward.expired_policy == ExpiredPolicy.REINSTATE and reward.grace_days < 1:
        raise RewardInvalid(path=("graceDays",), detail="points are reinstated for a day at least")
    if reward.time_limit_minutes is not None and reward.kind != RewardKind.PARTNER:
        raise RewardInvalid(path=("timeLimitMinutes",), detail="only partners have a time limit")


async def take_stock(session: Session, reward_id: str, *, now: datetime) -> Reward:
    """The reward with one piece of it taken; raises RewardNotAvailable or OutOfStock.

    Where the stock is counted, the row is its guard, and whoever takes a piece waits for those before. Where it is
    not, customers of one reward do not wait for each other. The codes of a pool are taken by `assign_code`.
    """
    reward = await session.get(Reward, reward_id, populate_existing=True)
    if reward is None or not reward.is_on_offer(now):
        raise RewardNotAvailable(path=("rewardId",))
    if reward.stock is None:
        return reward
    guarded = update(Reward).where(col(Reward.id) == reward_id, col(Reward.stock) > 0, *on_offer_at(now))
    taken = await changed_rows(session, guarded.values(stock=col(Reward.stock) - 1))
    reward = await session.get_one(Reward, reward_id, populate_existing=True)
    if not taken:
        # A piece may have come back since, so it is not by what is left now that the reason is known.
        raise OutOfStock(path=("rewardId",)) if reward.is_on_offer(now) else RewardNotAvailable(path=("rewardId",))
    return reward


async def return_stock(session: Session, reward_id: str) -> None:
    """Give one piece back, also of a reward that has ended; nothing where the stock is not counted."""
    counted = update(Reward).where(col(Reward.id) == reward_id, col(Reward.stock).is_not(None))
    await changed_rows(session, counted.values(stock=col(Reward.stock) + 1))


async def tags_of_rewards(session: Session, reward_ids: list[str]) -> dict[str, set[str]]:
    """The tags that each of these rewards asks for."""
    found: dict[str, set[str]] = {key: set() for key in reward_ids}
    if found:
        for row in (await session.exec(select(RewardTag).where(col(RewardTag.reward_id).in_(found)))).all():
            found[row.reward_id].add(row.tag)
    return found
