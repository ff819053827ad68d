"""More of a reward, or less: pieces of a counted stock, and codes of a pool; for administrators."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.loyalty.catalogue import Reward, load_reward
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from loyalty.catalogue_changes import restock_reward
from loyalty.coupons import MOST_CODES, CodeOutcome, NewCodes, add_codes

strawberry.enum(
    CodeOutcome,
    name="CouponCodeOutcome",
    description="What became of one code. DUPLICATE: it stands earlier in the batch, or is in use already. INVALID: "
    "it has not 4 to 100 letters, digits or signs of ASCII without spaces.",
)


@strawberry.input(description="How many pieces more or less there are of a reward, and why.")
class RestockRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    change: int = strawberry.field(description="How many come (above zero) or go (below zero).")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept in the audit trail.")
    idempotency_key: str = strawberry.field(
        description="Chosen for this one change, 8 to 100 characters; sent again, it is done once."
    )


@strawberry.type(description="The stock has changed; asked again, the first answer.")
class RestockRewardSuccess:
    stock_after: int = strawberry.field(description="How many there were right after the change.")
    reward_local: strawberry.Private[str]

    @strawberry.field(description="The reward as it is now.")
    async def reward(self, info: Info) -> Reward | None:
        return await load_reward(info, self.reward_local)


@strawberry.input(description="Codes of a partner for a reward of the kind COUPON.")
class AddCouponCodesInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    codes: list[str] = strawberry.field(description=f"1 to {MOST_CODES} codes; they are handed out in this order.")
    idempotency_key: str = strawberry.field(
        description="Chosen for this one batch, 8 to 100 characters; sent again, it is added once."
    )


@strawberry.type(description="What became of one code of a batch; which one it was says its place.")
class CouponCodeResult:
    index: int = strawberry.field(description="Its place in the batch, from zero.")
    outcome: CodeOutcome = strawberry.field(description="What became of it.")


@strawberry.type(description="The batch is in the pool; asked again, the first answer.")
class AddCouponCodesSuccess:
    added: int = strawberry.field(description="How many codes are new in the pool.")
    results: list[CouponCodeResult] = strawberry.field(description="A result for each code, in their order.")
    added_at: datetime = strawberry.field(description="When.")
    reward_local: strawberry.Private[str]

    @strawberry.field(description="The reward as it is now.")
    async def reward(self, info: Info) -> Reward | None:
        return await load_reward(info, self.reward_local)


RestockRewardResult = Annotated[RestockRewardSuccess | Refusal, result_union(RestockRewardSuccess)]
AddCouponCodesResult = Annotated[AddCouponCodesSuccess | Refusal, result_union(AddCouponCodesSuccess)]


@strawberry.type
class StockMutations:
    @strawberry.mutation(description="Add pieces to a counted stock or take some away; never below zero.")
    @refusals
    async def restock_reward(self, info: Info, input: RestockRewardInput) -> RestockRewardResult:
        context = info.context
        actor = context.administrator().subject
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        async with context.database.write() as session:
            row = await restock_reward(
                session,
                reward_id,
                change=input.change,
                reason=input.reason,
                idempotency_key=input.idempotency_key,
                actor=actor,
                now=context.now,
            )
        return RestockRewardSuccess(stock_after=row.stock_after, reward_local=reward_id)

    @strawberry.mutation(description="Add codes to the pool of a reward; the answer repeats none of them.")
    @refusals
    async def add_coupon_codes(self, info: Info, input: AddCouponCodesInput) -> AddCouponCodesResult:
        context = info.context
        actor = context.administrator().subject
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        batch = NewCodes(reward_id, input.codes, input.idempotency_key)
        async with context.database.write() as session:
            row = await add_codes(session, batch, actor=actor, now=context.now)
        results = [CouponCodeResult(index=n, outcome=CodeOutcome(one)) for n, one in enumerate(row.outcomes)]
        return AddCouponCodesSuccess(
            added=row.outcomes.count(CodeOutcome.ADDED),
            results=results,
            added_at=row.added_at,
            reward_local=reward_id,
        )
