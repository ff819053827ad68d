"""Making, changing and retiring rewards; for administrators."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from api.context import Info
from api.loyalty.catalogue import Reward, reward_of
from api.named_segments import named_segment
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from graph.eligibility import Tier
from loyalty.catalogue import NewReward, RewardKind, create_reward
from loyalty.catalogue import Reward as RewardRow
from loyalty.catalogue_changes import retire_reward, update_reward
from loyalty.lots import ExpiredPolicy

UNSET: Any = strawberry.UNSET


@strawberry.input(description="What a new reward needs.")
class CreateRewardInput:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    price: int = strawberry.field(description="Price in points.")
    kind: RewardKind = strawberry.field(description="How it is fulfilled.", default=RewardKind.VOUCHER)
    description_zh: str = strawberry.field(description="Description in Chinese.", default="")
    description_en: str = strawberry.field(description="Description in English.", default="")
    category: str | None = strawberry.field(description="By which it is found.", default=None)
    stock: int | None = strawberry.field(
        description="How many there are; null: without limit. Coupons have their codes instead.", default=None
    )
    limit_per_customer: int | None = strawberry.field(description="How often one customer may redeem it.", default=None)
    limit_per_period: int | None = strawberry.field(
        description="How often one customer may within the period; with `periodDays`.", default=None
    )
    period_days: int | None = strawberry.field(description="The period: so many days up to now.", default=None)
    valid_from: datetime | None = strawberry.field(description="From when on; null: now.", default=None)
    valid_until: datetime | None = strawberry.field(description="Until when, exclusive; null: no end.", default=None)
    minimum_tier: Tier | None = strawberry.field(description="The least tier; null: every tier.", default=None)
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment of customers that it is for; null: for no one segment.", default=None
    )
    required_tags: list[str] = strawberry.field(
        description="Keys of the tags that a customer must hold.", default_factory=list
    )
    voucher_days: int | None = strawberry.field(
        description="How long a voucher is valid after it was made; null: without end.", default=None
    )
    time_limit_minutes: int | None = strawberry.field(
        description="How long a partner has to fulfil it; null: three days.", default=None
    )
    expired_policy: ExpiredPolicy = strawberry.field(
        description="What becomes of points that expired before a refund.", default=ExpiredPolicy.FORFEIT
    )
    grace_days: int = strawberry.field(description="How long reinstated points live again.", default=0)


@strawberry.input(description="What is to be different; what is left out stays as it is.")
class UpdateRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    name_zh: str | None = strawberry.field(description="Name in Chinese.", default=UNSET)
    name_en: str | None = strawberry.field(description="Name in English.", default=UNSET)
    description_zh: str | None = strawberry.field(description="Description in Chinese.", default=UNSET)
    description_en: str | None = strawberry.field(description="Description in English.", default=UNSET)
    category: str | None = strawberry.field(description="By which it is found; null: none.", default=UNSET)
    price: int | None = strawberry.field(
        description="Price in points; it takes the place of one that was planned.", default=UNSET
    )
    price_from: datetime | None = strawberry.field(
        description="From when on the new price holds; left out: from now on.", default=None
    )
    limit_per_customer: int | None = strawberry.field(description="Null: no limit.", default=UNSET)
    limit_per_period: int | None = strawberry.field(description="Null: no limit.", default=UNSET)
    period_days: int | None = strawberry.field(description="The period: so many days up to now.", default=UNSET)
    valid_from: datetime | None = strawberry.field(description="From when on.", default=UNSET)
    valid_until: datetime | None = strawberry.field(description="Until when; null: no end.", default=UNSET)
    minimum_tier: Tier | None = strawberry.field(description="The least tier; null: every tier.", default=UNSET)
    segment_id: strawberry.ID | None = strawberry.field(
        description="Global id of the segment of customers that it is for; null: for no one segment.", default=UNSET
    )
    required_tags: list[str] | None = strawberry.field(
        description="Keys of the tags that a customer must hold; null: none.", default=UNSET
    )
    voucher_days: int | None = strawberry.field(description="Of vouchers made from now on.", default=UNSET)
    time_limit_minutes: int | None = strawberry.field(description="Of redemptions from now on.", default=UNSET)
    expired_policy: ExpiredPolicy | None = strawberry.field(
        description="Of redemptions from now on; null: FORFEIT.", default=UNSET
    )
    grace_days: int | None = strawberry.field(description="Of redemptions from now on.", default=UNSET)


@strawberry.input(description="Which reward is to be offered no longer, and why.")
class RetireRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept in the audit trail.")


@strawberry.type(description="The reward is on offer.")
class CreateRewardSuccess:
    reward: Reward = strawberry.field(description="The reward.")


@strawberry.type(description="The reward is as you wish; what was redeemed before keeps what was promised.")
class UpdateRewardSuccess:
    reward: Reward = strawberry.field(description="The reward.")


@strawberry.type(description="The reward is offered no longer; what is reserved is still fulfilled.")
class RetireRewardSuccess:
    reward: Reward = strawberry.field(description="The reward.")


CreateRewardResult = Annotated[CreateRewardSuccess | Refusal, result_union(CreateRewardSuccess)]
UpdateRewardResult = Annotated[UpdateRewardSuccess | Refusal, result_union(UpdateRewardSuccess)]
RetireRewardResult = Annotated[RetireRewardSuccess | Refusal, result_union(RetireRewardSuccess)]

# What a null means for those fields that have no null of their own.
WITHOUT = {"required_tags": (), "expired_policy": ExpiredPolicy.FORFEIT}
CHANGEABLE = tuple(name for name in UpdateRewardInput.__annotations__ if name not in ("reward_id", "price_from"))


def new_reward(input: CreateRewardInput) -> NewReward:
    given: dict[str, Any] = {name: getattr(input, name) for name in CreateRewardInput.__annotations__}
    given["required_tags"] = tuple(input.required_tags)
    given["segment_id"] = named_segment(input.segment_id)
    return NewReward(**given)


def changes_of(input: UpdateRewardInput) -> dict[str, Any]:
    """The fields that are given, as the domain takes them."""
    found = {name: getattr(input, name) for name in CHANGEABLE if getattr(input, name) is not UNSET}
    if "segment_id" in found:
        found["segment_id"] = named_segment(found["segment_id"])
    return {
        name: WITHOUT.get(name) if value is None else tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
    }


@strawberry.type
class CatalogueMutations:
    @strawberry.mutation(description="Offer a reward; for administrators.")
    @refusals
    async def create_reward(self, info: Info, input: CreateRewardInput) -> CreateRewardResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            reward_id = await create_reward(session, new_reward(input), now=context.now, actor=actor)
            row = await session.get_one(RewardRow, reward_id)
        return CreateRewardSuccess(reward=reward_of(row, info))

    @strawberry.mutation(
        description="Change a reward, its price now or from an instant on; for administrators. Its kind stays, and "
        "its stock changes by restockReward or addCouponCodes."
    )
    @refusals
    async def update_reward(self, info: Info, input: UpdateRewardInput) -> UpdateRewardResult:
        context = info.context
        actor = context.administrator().subject
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        async with context.database.write() as session:
            row = await update_reward(
                session, reward_id, changes_of(input), price_from=input.price_from, actor=actor, now=context.now
            )
        return UpdateRewardSuccess(reward=reward_of(row, info))

    @strawberry.mutation(description="Offer a reward no longer; for administrators. Asked again, the first answer.")
    @refusals
    async def retire_reward(self, info: Info, input: RetireRewardInput) -> RetireRewardResult:
        context = info.context
        actor = context.administrator().subject
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        async with context.database.write() as session:
            row = await retire_reward(session, reward_id, reason=input.reason, actor=actor, now=context.now)
        return RetireRewardSuccess(reward=reward_of(row, info))
