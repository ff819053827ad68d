"""The catalogue and redeeming from it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.loyalty.ledger import Points, points_of
from api.refusals import Refusal, refusals
from api.relay import Connection, Node, connection, global_id, local_id
from core.paging import Page
from loyalty.catalogue import NewReward, create_reward, list_rewards
from loyalty.catalogue import Reward as RewardRow
from loyalty.redemption import Redemption as RedemptionRow
from loyalty.redemption import RedemptionStatus, redeem, redemptions_of

strawberry.enum(RedemptionStatus, name="RedemptionStatus", description="What has become of a redemption.")


@strawberry.type(description="Something that points buy.")
class Reward(Node):
    name: str = strawberry.field(description="Name in the language of the request.")
    price: int = strawberry.field(description="Price in points.")
    stock: int | None = strawberry.field(description="What is left; null: without limit.")
    limit_per_customer: int | None = strawberry.field(description="How often one customer may redeem it.")
    valid_from: datetime = strawberry.field(description="From when on it can be redeemed.")
    valid_until: datetime | None = strawberry.field(description="Until when, exclusive; null: without end.")


@strawberry.type(description="A reward redeemed.")
class Redemption(Node):
    points: int = strawberry.field(description="Points paid.")
    status: RedemptionStatus = strawberry.field(description="What has become of it.")
    voucher_code: str | None = strawberry.field(description="To show at the counter; for your eyes only.")
    redeemed_at: datetime = strawberry.field(description="When.")
    posting_id: strawberry.ID | None = strawberry.field(
        description="The posting that paid; ask postingProvenance about it."
    )
    reward_local: strawberry.Private[str]

    @strawberry.field(description="What was redeemed.")
    async def reward(self, info: Info) -> Reward | None:
        row = await info.context.loaders.rewards.load(self.reward_local)
        return reward_of(row, info) if row else None


def reward_of(row: RewardRow, info: Info) -> Reward:
    return Reward(
        id=global_id("Reward", row.id),
        name=info.context.text(row, "name"),
        price=row.price,
        stock=row.stock,
        limit_per_customer=row.limit_per_customer,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )


def redemption_of(row: RedemptionRow) -> Redemption:
    return Redemption(
        id=global_id("Redemption", row.id),
        points=row.points,
        status=RedemptionStatus(row.status),
        voucher_code=row.voucher_code,
        redeemed_at=row.redeemed_at,
        posting_id=global_id("Posting", row.posting_id) if row.posting_id else None,
        reward_local=row.reward_id,
    )


async def redemption_page(info: Info, first: int | None, after: str | None) -> Connection[Redemption]:
    """The viewer's redemptions, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[RedemptionRow]([], [], has_next=False), after, redemption_of)
    async with info.context.database.read() as session:
        page = await redemptions_of(session, customer_id, first=first, after=after)
    return connection(page, after, redemption_of)


@strawberry.input(description="What to redeem.")
class RedeemRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    idempotency_key: str = strawberry.field(description="Chosen by the app for this one wish, 8 to 100 characters.")


@strawberry.type(description="The reward is yours.")
class RedeemRewardSuccess:
    redemption: Redemption = strawberry.field(description="The redemption with its voucher.")

    @strawberry.field(description="Your points afterwards.")
    async def points(self, info: Info) -> Points:
        return await points_of(info)


@strawberry.input(description="What a new reward needs.")
class CreateRewardInput:
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    price: int = strawberry.field(description="Price in points.")
    stock: int | None = strawberry.field(description="How many there are; null: without limit.", default=None)
    limit_per_customer: int | None = strawberry.field(description="How often one customer may redeem it.", default=None)
    valid_from: datetime | None = strawberry.field(description="From when on; null: now.", default=None)
    valid_until: datetime | None = strawberry.field(description="Until when, exclusive; null: no end.", default=None)


@strawberry.type(description="The reward is on offer.")
class CreateRewardSuccess:
    reward: Reward = strawberry.field(description="The reward.")


RedeemRewardResult = Annotated[RedeemRewardSuccess | Refusal, strawberry.union("RedeemRewardResult")]
CreateRewardResult = Annotated[CreateRewardSuccess | Refusal, strawberry.union("CreateRewardResult")]


@strawberry.type
class RedemptionQueries:
    @strawberry.field(description="Rewards on offer.")
    async def rewards(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Reward]:
        info.context.signed_in()
        async with info.context.database.read() as session:
            page = await list_rewards(session, first=first, after=after, now=info.context.now)
        return connection(page, after, lambda row: reward_of(row, info))

    @strawberry.field(description="One reward.")
    async def reward(self, info: Info, id: strawberry.ID) -> Reward | None:
        info.context.signed_in()
        row = await info.context.loaders.rewards.load(local_id("Reward", id, "id"))
        return reward_of(row, info) if row else None


@strawberry.type
class RedemptionMutations:
    @strawberry.mutation(description="Redeem points for a reward; the same key again gives the first answer.")
    @refusals
    async def redeem_reward(self, info: Info, input: RedeemRewardInput) -> RedeemRewardResult:
        context = info.context
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        customer_id = await context.customer_id()
        async with context.database.write() as session:
            row = await redeem(
                session,
                customer_id=customer_id,
                reward_id=reward_id,
                idempotency_key=input.idempotency_key,
                now=context.now,
            )
        return RedeemRewardSuccess(redemption=redemption_of(row))

    @strawberry.mutation(description="Offer a reward; for administrators.")
    @refusals
    async def create_reward(self, info: Info, input: CreateRewardInput) -> CreateRewardResult:
        context = info.context
        context.administrator()
        new = NewReward(
            name_zh=input.name_zh,
            name_en=input.name_en,
            price=input.price,
            stock=input.stock,
            limit_per_customer=input.limit_per_customer,
            valid_from=input.valid_from,
            valid_until=input.valid_until,
        )
        async with context.database.write() as session:
            reward_id = await create_reward(session, new, now=context.now)
            row = await session.get_one(RewardRow, reward_id)
        return CreateRewardSuccess(reward=reward_of(row, info))
