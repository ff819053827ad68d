"""What is on offer for whom, and why something is not: conditions, dates, limits, stock and points."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, or_
from sqlmodel import col, select

from core.db import Session
from core.errors import BadUserInput
from core.paging import Page, Place, by_text, cut, page_size
from graph.eligibility import TIERS, Held, Tier, is_eligible
from loyalty.catalogue import LARGEST_PRICE, Reward, RewardKind, RewardTag, on_offer_at, price_at
from loyalty.redemption_records import COUNTED, Redemption


class OffersInvalid(BadUserInput):
    code = "OFFERS_INVALID"
    en = "These rewards cannot be asked for."
    zh = "礼品筛选条件无效。"


class CatalogueStatus(StrEnum):
    """Where a reward stands by its dates."""

    PLANNED = "PLANNED"
    ON_OFFER = "ON_OFFER"
    ENDED = "ENDED"
    RETIRED = "RETIRED"


class Obstacle(StrEnum):
    """Why a customer cannot redeem a reward now."""

    NOT_YET = "NOT_YET"
    ENDED = "ENDED"
    RETIRED = "RETIRED"
    TIER_TOO_LOW = "TIER_TOO_LOW"
    TAG_MISSING = "TAG_MISSING"
    NOT_IN_SEGMENT = "NOT_IN_SEGMENT"
    LIMIT_REACHED = "LIMIT_REACHED"
    PERIOD_LIMIT_REACHED = "PERIOD_LIMIT_REACHED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    POINTS_MISSING = "POINTS_MISSING"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Who a reward is for: a tier and tags, which stand in the graph, and a segment, which is asked of SQL."""

    minimum_tier: str | None
    required_tags: frozenset[str]
    segment_id: str | None = None

    @property
    def ask_the_graph(self) -> bool:
        return bool(self.minimum_tier or self.required_tags)

    def are_met(self, held: Held) -> bool:
        return is_eligible(held.tier, held.tags, self.minimum_tier, self.required_tags)


@dataclass(frozen=True, slots=True)
class Usage:
    """A customer's redemptions of one reward that stand: all of them, and those within its period."""

    total: int = 0
    lately: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rewards are looked for; `statuses` only by administrators, who see them whoever they are for."""

    category: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    statuses: tuple[CatalogueStatus, ...] | None = None


async def conditions_of(session: Session, reward_id: str) -> Conditions | None:
    """Who a reward is for, by one statement; None where there is no such reward."""
    statement = (
        select(Reward.minimum_tier, Reward.segment_id, RewardTag.tag)
        .outerjoin(RewardTag, col(RewardTag.reward_id) == col(Reward.id))
        .where(Reward.id == reward_id)
    )
    rows = (await session.exec(statement)).all()
    if not rows:
        return None
    # The one row of a reward without tags has none.
    return Conditions(rows[0][0], frozenset(tag for *_, tag in rows if tag), rows[0][1])


def catalogue_status(reward: Reward, now: datetime) -> CatalogueStatus:
    if reward.retired_at is not None:
        return CatalogueStatus.RETIRED
    if reward.valid_until is not None and reward.valid_until <= now:
        return CatalogueStatus.ENDED
    return CatalogueStatus.PLANNED if reward.valid_from > now else CatalogueStatus.ON_OFFER


def status_at(now: datetime) -> ColumnElement[str]:
    """The same for queries."""
    return case(
        (col(Reward.retired_at).is_not(None), CatalogueStatus.RETIRED),
        (col(Reward.valid_until) <= now, CatalogueStatus.ENDED),
        (col(Reward.valid_from) > now, CatalogueStatus.PLANNED),
        else_=CatalogueStatus.ON_OFFER,
    )


async def segments_on_offer(session: Session) -> Sequence[str]:
    """The segments that rewards name, of which a list must know whether the viewer is in them."""
    named = select(Reward.segment_id).where(col(Reward.segment_id).is_not(None), col(Reward.retired_at).is_(None))
    return [one for one in (await session.exec(named.distinct())).all() if one]


def open_to(held: Held, segments: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """Conditions.are_met for queries, and the segments that the customer is in."""
    tier = TIERS.index(Tier(held.tier or Tier.MASS))
    missing = exists().where(col(RewardTag.reward_id) == col(Reward.id), col(RewardTag.tag).not_in(sorted(held.tags)))
    reached = [str(one) for one in TIERS[: tier + 1]]
    high_enough = or_(col(Reward.minimum_tier).is_(None), col(Reward.minimum_tier).in_(reached))
    return high_enough, ~missing, or_(col(Reward.segment_id).is_(None), col(Reward.segment_id).in_(sorted(segments)))


async def list_rewards(
    session: Session,
    wanted: Wanted,
    *,
    held: Held,
    segments: Collection[str] = (),
    budget: int | None = None,
    first: int | None,
    after: Place,
    now: datetime,
) -> Page[Reward]:
    """Rewards in the order of their ids: those on offer now to who has what is `held` and is in these segments, or
    those of the statuses.

    With a budget, those whose price it covers. Raises OffersInvalid, PageInvalid.
    """
    size = page_size(first)
    if (wanted.min_price or 0) > (wanted.max_price if wanted.max_price is not None else wanted.min_price or 0):
        raise OffersInvalid(path=("minPrice",), detail="not above maxPrice")
    statement = select(Reward).where(*sought(wanted, held, segments, budget, now))
    page = by_text(statement, col(Reward.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda reward: (reward.id,), after)


def sought(
    wanted: Wanted, held: Held, segments: Collection[str], budget: int | None, now: datetime
) -> list[ColumnElement[bool]]:
    if wanted.statuses is None:
        guards: list[Any] = [*on_offer_at(now), *open_to(held, segments)]
    else:
        guards = [status_at(now).in_(list(wanted.statuses))]
    if wanted.category is not None:
        guards.append(col(Reward.category) == wanted.category)
    price = price_at(now)
    guards += [price >= least for least in (wanted.min_price,) if least is not None]
    # A balance may be larger than any price, and than what engines compare prices with.
    guards += [price <= min(most, LARGEST_PRICE) for most in (wanted.max_price, budget) if most is not None]
    return guards


async def usages_of(
    session: Session, customer_id: str, rewards: Collection[Reward], *, now: datetime
) -> dict[str, Usage]:
    """What a customer has redeemed of these rewards, by two statements at most."""
    limited = [one.id for one in rewards if one.limit_per_customer is not None or one.limit_per_period is not None]
    days = {one.id: one.period_days for one in rewards if one.period_days is not None}
    if not limited:
        return {}
    own = (Redemption.customer_id == customer_id, col(Redemption.status).in_(COUNTED))
    counted = select(Redemption.reward_id, func.count()).where(*own, col(Redemption.reward_id).in_(limited))
    totals = dict((await session.exec(counted.group_by(col(Redemption.reward_id)))).all())
    spans = [
        (col(Redemption.reward_id) == key) & (col(Redemption.redeemed_at) > now - timedelta(days=span))
        for key, span in days.items()
    ]
    lately: dict[str, int] = {}
    if spans and totals:
        recent = select(Redemption.reward_id, func.count()).where(*own, or_(*spans))
        lately = dict((await session.exec(recent.group_by(col(Redemption.reward_id)))).all())
    return {key: Usage(total, lately.get(key, 0)) for key, total in totals.items()}


def obstacles(
    reward: Reward,
    conditions: Conditions,
    *,
    held: Held,
    in_segment: bool = True,
    usage: Usage,
    points: int,
    sold_out: bool,
    now: datetime,
) -> Sequence[Obstacle]:
    """Everything that keeps a customer from redeeming a reward now; nothing: they can."""
    status = catalogue_status(reward, now)
    return [
        obstacle
        for obstacle, stands in (
            (Obstacle.NOT_YET, status == CatalogueStatus.PLANNED),
            (Obstacle.ENDED, status == CatalogueStatus.ENDED),
            (Obstacle.RETIRED, status == CatalogueStatus.RETIRED),
            (Obstacle.TIER_TOO_LOW, not is_eligible(held.tier, held.tags, conditions.minimum_tier, None)),
            (Obstacle.TAG_MISSING, not conditions.required_tags <= held.tags),
            (Obstacle.NOT_IN_SEGMENT, not in_segment),
            (Obstacle.LIMIT_REACHED, is_full(usage.total, reward.limit_per_customer)),
            (Obstacle.PERIOD_LIMIT_REACHED, is_full(usage.lately, reward.limit_per_period)),
            (Obstacle.OUT_OF_STOCK, sold_out),
            (Obstacle.POINTS_MISSING, points < reward.price_at(now)),
        )
        if stands
    ]


def is_full(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


def counts_codes(reward: Reward) -> bool:
    """Whether the stock is the number of codes that are left in the pool."""
    return reward.kind == RewardKind.COUPON
