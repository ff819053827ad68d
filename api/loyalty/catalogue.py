"""The catalogue: what is on offer, what it costs, and why somebody cannot have it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.named_segments import segment_seen
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from graph.eligibility import Held, Tier
from loyalty.catalogue import Reward as RewardRow
from loyalty.catalogue import RewardKind, RewardPrice
from loyalty.coupons import MOST_COUNTED
from loyalty.lots import ExpiredPolicy
from loyalty.offers import (
    CatalogueStatus,
    Conditions,
    Obstacle,
    Wanted,
    catalogue_status,
    counts_codes,
    list_rewards,
    obstacles,
    segments_on_offer,
)
from segments.membership import segments_with

MOST_PRICES = 100
OBSTACLE_WORDS = {
    Obstacle.NOT_YET: ("尚未开始兑换", "It cannot be redeemed yet."),
    Obstacle.ENDED: ("兑换已结束", "It can no longer be redeemed."),
    Obstacle.RETIRED: ("该礼品已下架", "It is not offered any more."),
    Obstacle.TIER_TOO_LOW: ("您的客户等级暂不符合", "It is for customers of a higher tier."),
    Obstacle.TAG_MISSING: ("仅限特定客户群", "It is for a certain circle of customers."),
    Obstacle.NOT_IN_SEGMENT: ("仅限特定客群", "It is for another circle of customers."),
    Obstacle.LIMIT_REACHED: ("您已达到兑换上限", "You have redeemed it as often as you may."),
    Obstacle.PERIOD_LIMIT_REACHED: ("您近期已达到兑换上限", "You have redeemed it as often as you may for now."),
    Obstacle.OUT_OF_STOCK: ("已兑完", "It is sold out."),
    Obstacle.POINTS_MISSING: ("您的积分不足", "You do not have the points that it costs."),
}

strawberry.enum(
    RewardKind,
    name="RewardKind",
    description="VOUCHER: a code is made at once. COUPON: a code of a pool is assigned at once. PARTNER: a partner "
    "fulfils it within a time limit.",
)
strawberry.enum(
    ExpiredPolicy,
    name="ExpiredPolicy",
    description="What becomes of points that a refund brings back after they have expired.",
)
strawberry.enum(CatalogueStatus, name="RewardStatus", description="Where a reward stands by its dates.")
strawberry.enum(Obstacle, name="RewardObstacleCode", description="Why a reward cannot be redeemed.")


@strawberry.type(description="A price of a reward and from when on it holds.")
class RewardPriceChange:
    price: int = strawberry.field(description="How many points it costs.")
    valid_from: datetime = strawberry.field(description="From when on; until the next one does.")
    is_planned: bool = strawberry.field(description="Whether that lies ahead; only administrators see such a price.")


@strawberry.type(description="Something that keeps you from redeeming a reward.")
class RewardObstacle:
    code: Obstacle = strawberry.field(description="Stable code.")
    message: str = strawberry.field(description="What to show, in the language of the request.")


@strawberry.type(description="Whether you can redeem a reward now, and if not, everything that is in the way.")
class RewardEligibility:
    eligible: bool = strawberry.field(description="Whether nothing is in the way.")
    obstacles: list[RewardObstacle] = strawberry.field(description="All that is.")


@strawberry.type(description="The words of a reward in both languages.")
class RewardTexts:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    description_zh: str = strawberry.field(description="Description in Chinese.")
    description_en: str = strawberry.field(description="Description in English.")


@strawberry.type(description="Something that points buy.")
class Reward(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    description: str = strawberry.field(description="Description in the language of the request; may be empty.")
    kind: RewardKind = strawberry.field(description="How it is fulfilled.")
    category: str | None = strawberry.field(description="By which it is found; null: none.")
    price: int = strawberry.field(description="Price in points, as it is now.")
    limit_per_customer: int | None = strawberry.field(description="How often one customer may redeem it.")
    limit_per_period: int | None = strawberry.field(description="How often one customer may within the period.")
    period_days: int | None = strawberry.field(description="The period: so many days up to now.")
    valid_from: datetime = strawberry.field(description="From when on it can be redeemed.")
    valid_until: datetime | None = strawberry.field(description="Until when, exclusive; null: without end.")
    voucher_days: int | None = strawberry.field(description="How long its voucher is valid; null: without end.")
    time_limit_minutes: int | None = strawberry.field(
        description="How long a partner has to fulfil it; null: none does, or three days."
    )
    expired_policy: ExpiredPolicy = strawberry.field(description="What becomes of points that expired meanwhile.")
    grace_days: int = strawberry.field(description="How long points live again that a refund reinstates.")
    minimum_tier: Tier | None = strawberry.field(description="The least tier it is for; null: every tier.")
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment that it is for, for administrators; null: for no one segment."
    )
    status: CatalogueStatus = strawberry.field(description="Where it stands by its dates.")
    row: strawberry.Private[RewardRow]

    @strawberry.field(
        description=f"What is left, of coupons how many codes, where {MOST_COUNTED} stands for so many or more; "
        "null: without limit."
    )
    async def stock(self, info: Info) -> int | None:
        return await stock_of(info, self.row)

    @strawberry.field(description="Keys of the tags that a customer must hold, all of them.")
    async def required_tags(self, info: Info) -> list[str]:
        return sorted(await info.context.loaders.catalogue.tags.load(self.row.id))

    @strawberry.field(description="Its words in both languages.")
    async def texts(self) -> RewardTexts:
        row = self.row
        return RewardTexts(
            name_zh=row.name_zh,
            name_en=row.name_en,
            description_zh=row.description_zh,
            description_en=row.description_en,
        )

    @strawberry.field(description=f"Its prices so far, the latest first, at most {MOST_PRICES}.")
    async def price_history(self, info: Info) -> list[RewardPriceChange]:
        rows = await info.context.loaders.catalogue.prices.load(self.row.id)
        now, sees_plans = info.context.now, info.context.signed_in().is_administrator
        return [price_of(row, now) for row in rows if sees_plans or row.valid_from <= now][:MOST_PRICES]

    @strawberry.field(description="Whether you can redeem it now, and why not.")
    async def eligibility(self, info: Info) -> RewardEligibility:
        found = await obstacles_of(info, self.row)
        index = 0 if info.context.language == "zh" else 1
        lines = [RewardObstacle(code=one, message=OBSTACLE_WORDS[one][index]) for one in found]
        return RewardEligibility(eligible=not lines, obstacles=lines)


def price_of(row: RewardPrice, now: datetime) -> RewardPriceChange:
    return RewardPriceChange(price=row.price, valid_from=row.valid_from, is_planned=row.valid_from > now)


def reward_of(row: RewardRow, info: Info) -> Reward:
    now = info.context.now
    return Reward(
        id=global_id("Reward", row.id),
        name=info.context.text(row, "name"),
        description=info.context.text(row, "description"),
        kind=RewardKind(row.kind),
        category=row.category,
        segment_id=segment_seen(row.segment_id, sees=info.context.signed_in().is_administrator),
        price=row.price_at(now),
        limit_per_customer=row.limit_per_customer,
        limit_per_period=row.limit_per_period,
        period_days=row.period_days,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        voucher_days=row.voucher_days,
        time_limit_minutes=row.time_limit_minutes,
        expired_policy=ExpiredPolicy(row.expired_policy),
        grace_days=row.grace_days,
        minimum_tier=Tier(row.minimum_tier) if row.minimum_tier else None,
        status=catalogue_status(row, now),
        row=row,
    )


async def load_reward(info: Info, local: str) -> Reward | None:
    row = await info.context.loaders.rewards.load(local)
    return reward_of(row, info) if row else None


async def stock_of(info: Info, row: RewardRow) -> int | None:
    return await info.context.loaders.catalogue.codes_left.load(row.id) if counts_codes(row) else row.stock


async def is_sold_out(info: Info, row: RewardRow) -> bool:
    """Whether nothing is left, which of a pool is asked without counting it."""
    return not await info.context.loaders.catalogue.has_codes.load(row.id) if counts_codes(row) else row.stock == 0


async def viewer_held(info: Info) -> Held:
    """What conditions ask of the viewer; somebody without a profile has nothing."""
    viewer_id = await info.context.viewer_id()
    return await info.context.loaders.catalogue.held.load(viewer_id) if viewer_id else Held()


async def viewer_points(info: Info) -> int:
    viewer_id = await info.context.viewer_id()
    return await info.context.loaders.catalogue.available_points.load(viewer_id) if viewer_id else 0


async def meets(info: Info, conditions: Conditions) -> bool:
    """Whether the viewer meets conditions; where they ask nothing of a store, it is not asked either."""
    if conditions.ask_the_graph and not conditions.are_met(await viewer_held(info)):
        return False
    return conditions.segment_id is None or await info.context.viewer_segments.load(conditions.segment_id)


async def obstacles_of(info: Info, row: RewardRow) -> list[Obstacle]:
    """Everything that keeps the viewer from redeeming a reward now."""
    loaders = info.context.loaders
    conditions = Conditions(row.minimum_tier, frozenset(await loaders.catalogue.tags.load(row.id)), row.segment_id)
    segment_id = conditions.segment_id
    found = obstacles(
        row,
        conditions,
        held=await viewer_held(info) if conditions.ask_the_graph else Held(),
        in_segment=segment_id is None or await info.context.viewer_segments.load(segment_id),
        usage=await loaders.catalogue.viewer_usage.load(row.id),
        points=await viewer_points(info),
        sold_out=await is_sold_out(info, row),
        now=info.context.now,
    )
    return list(found)


@strawberry.type
class CatalogueQueries:
    @strawberry.field(
        description="Rewards that are on offer for you now, in the order of their making. With `statuses`, which only "
        "administrators give, all rewards of these statuses, whoever they are for."
    )
    async def rewards(
        self,
        info: Info,
        category: Annotated[str | None, strawberry.argument(description="Only of this category.")] = None,
        min_price: Annotated[int | None, strawberry.argument(description="From this price in points on.")] = None,
        max_price: Annotated[int | None, strawberry.argument(description="Up to this price, inclusive.")] = None,
        affordable: Annotated[bool, strawberry.argument(description="Only what your points suffice for.")] = False,
        statuses: Annotated[
            list[CatalogueStatus] | None, strawberry.argument(description="For administrators: only these.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Reward]:
        size, place = window(first, after, last, before)
        context = info.context
        context.signed_in()
        if statuses is not None:
            context.administrator()
        wanted = Wanted(category, min_price, max_price, None if statuses is None else tuple(statuses))
        held = await viewer_held(info) if statuses is None else Held()
        budget = await viewer_points(info) if affordable else None
        viewer_id = await context.viewer_id() if statuses is None else None
        async with context.database.read() as session:
            named = await segments_on_offer(session) if viewer_id else ()
            segments = await segments_with(session, named, viewer_id or "", now=context.now)
            page = await list_rewards(
                session,
                wanted,
                held=held,
                segments=segments,
                budget=budget,
                first=size,
                after=place,
                now=context.now,
            )
        for row in page.rows:
            context.loaders.rewards.prime(row.id, row)
        return connection(page, place, lambda row: reward_of(row, info))

    @strawberry.field(description="One reward, also one that is not on offer; ask its `eligibility`.")
    async def reward(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")]
    ) -> Reward | None:
        info.context.signed_in()
        return await load_reward(info, local_id("Reward", id, "id"))
