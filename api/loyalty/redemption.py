"""Redeeming from the catalogue, and what becomes of a redemption."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.loyalty.catalogue import Reward, load_reward, meets
from api.loyalty.ledger import Points, points_of
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import Page, Place, window
from loyalty.fulfilment import cancel_redemption, fail_redemption, fulfil_redemption, may_fulfil
from loyalty.offers import conditions_of
from loyalty.redemption import redeem
from loyalty.redemption_records import Redemption as RedemptionRow
from loyalty.redemption_records import RedemptionStatus, redemptions_of, reserved_redemptions

strawberry.enum(
    RedemptionStatus,
    name="RedemptionStatus",
    description="What has become of a redemption. RESERVED: a partner is to fulfil it. FAILED, CANCELLED and EXPIRED: "
    "its points went back.",
)


@strawberry.type(description="A reward redeemed.")
class Redemption(Node):
    points: int = strawberry.field(description="Points paid.")
    status: RedemptionStatus = strawberry.field(description="What has become of it.")
    redeemed_at: datetime = strawberry.field(description="When.")
    reserved_until: datetime | None = strawberry.field(
        description="Until when a partner can fulfil it; null: it was fulfilled at once."
    )
    ended_at: datetime | None = strawberry.field(description="When it got its last status; null: it is reserved.")
    reference: str | None = strawberry.field(description="The partner's own name of what it did.")
    posting_id: strawberry.ID | None = strawberry.field(
        description="The posting that paid; ask postingProvenance about it."
    )
    refund_id: strawberry.ID | None = strawberry.field(
        description="The posting that gave the points back; ask postingProvenance about it."
    )
    row: strawberry.Private[RedemptionRow]

    @strawberry.field(description="To show at the counter; for your eyes only, and null for everybody else.")
    async def voucher_code(self, info: Info) -> str | None:
        if self.row.voucher_code is None:
            return None
        is_own = await info.context.viewer_id() == self.row.customer_id
        return self.row.voucher_code if is_own else None

    @strawberry.field(description="In whose words it failed or was cancelled; for administrators only.")
    async def reason(self, info: Info) -> str | None:
        return self.row.reason if info.context.signed_in().is_administrator else None

    @strawberry.field(description="Who redeemed it; for administrators only, as partners know it by its id.")
    async def customer(self, info: Info) -> Customer | None:
        if not info.context.signed_in().is_administrator:
            return None
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="What was redeemed.")
    async def reward(self, info: Info) -> Reward | None:
        return await load_reward(info, self.row.reward_id)


def redemption_of(row: RedemptionRow) -> Redemption:
    return Redemption(
        id=global_id("Redemption", row.id),
        points=row.points,
        status=RedemptionStatus(row.status),
        redeemed_at=row.redeemed_at,
        reserved_until=row.reserved_until,
        ended_at=row.ended_at,
        reference=row.reference,
        posting_id=global_id("Posting", row.posting_id) if row.posting_id else None,
        refund_id=global_id("Posting", row.refund_id) if row.refund_id else None,
        row=row,
    )


async def load_redemption(info: Info, local: str) -> Redemption | None:
    """A redemption by its id, for who redeemed it and for administrators."""
    row = await info.context.loaders.redemptions.load(local)
    if row is None:
        return None
    is_own = await info.context.viewer_id() == row.customer_id
    return redemption_of(row) if is_own or info.context.signed_in().is_administrator else None


async def redemption_page(
    info: Info, statuses: Sequence[RedemptionStatus] | None, first: int | None, after: Place
) -> Connection[Redemption]:
    """The viewer's redemptions, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[RedemptionRow]([], [], has_next=False), after, redemption_of)
    async with info.context.database.read() as session:
        page = await redemptions_of(session, customer_id, first=first, after=after, statuses=statuses)
    return connection(page, after, redemption_of)


@strawberry.input(description="What to redeem.")
class RedeemRewardInput:
    reward_id: strawberry.ID = strawberry.field(description="Global id of the reward.")
    idempotency_key: str = strawberry.field(description="Chosen by the app for this one wish, 8 to 100 characters.")
    expected_price: int | None = strawberry.field(
        description="The price that was shown; at any other it is refused with PRICE_CHANGED. Null: at any price.",
        default=None,
    )


@strawberry.type(description="The reward is yours, or reserved for you until a partner has fulfilled it.")
class RedeemRewardSuccess:
    redemption: Redemption = strawberry.field(description="The redemption with its voucher.")

    @strawberry.field(description="Your points afterwards.")
    async def points(self, info: Info) -> Points:
        return await points_of(info)


@strawberry.input(description="What is given up.")
class CancelRedemptionInput:
    redemption_id: strawberry.ID = strawberry.field(description="Global id of the redemption.")
    reason: str | None = strawberry.field(
        description="Why, 1 to 500 characters; an administrator says it for what is somebody else's.", default=None
    )


@strawberry.type(description="It is cancelled, and its points are back; asked again, the first answer.")
class CancelRedemptionSuccess:
    redemption: Redemption = strawberry.field(description="The redemption.")


@strawberry.input(description="What was fulfilled.")
class FulfillRedemptionInput:
    redemption_id: strawberry.ID = strawberry.field(description="Global id of the redemption.")
    reference: str = strawberry.field(description="The partner's own name of it, 1 to 100 characters.")


@strawberry.type(description="It is fulfilled; asked again, the first answer.")
class FulfillRedemptionSuccess:
    redemption: Redemption = strawberry.field(description="The redemption.")


@strawberry.input(description="What cannot be fulfilled.")
class FailRedemptionInput:
    redemption_id: strawberry.ID = strawberry.field(description="Global id of the redemption.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; it is kept in the audit trail.")


@strawberry.type(description="It has failed, and its points are back; asked again, the first answer.")
class FailRedemptionSuccess:
    redemption: Redemption = strawberry.field(description="The redemption.")


RedeemRewardResult = Annotated[RedeemRewardSuccess | Refusal, result_union(RedeemRewardSuccess)]
CancelRedemptionResult = Annotated[CancelRedemptionSuccess | Refusal, result_union(CancelRedemptionSuccess)]
FulfillRedemptionResult = Annotated[FulfillRedemptionSuccess | Refusal, result_union(FulfillRedemptionSuccess)]
FailRedemptionResult = Annotated[FailRedemptionSuccess | Refusal, result_union(FailRedemptionSuccess)]


@strawberry.type
class RedemptionQueries:
    @strawberry.field(
        description="What waits for a partner, the most urgent first; for administrators, and service clients with the "
        "scope redemptions:write."
    )
    async def reserved_redemptions(
        self,
        info: Info,
        reward_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this reward, by its global id.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Redemption]:
        size, place = window(first, after, last, before)
        may_fulfil(info.context.signed_in())
        local = local_id("Reward", reward_id, "rewardId") if reward_id is not None else None
        async with info.context.database.read() as session:
            page = await reserved_redemptions(session, reward_id=local, first=size, after=place)
        return connection(page, place, redemption_of)


@strawberry.type
class RedemptionMutations:
    @strawberry.mutation(
        description="Redeem points for a reward; the same key with the same arguments gives the first answer. What was "
        "refused left nothing behind, so its key may be used again."
    )
    @refusals
    async def redeem_reward(self, info: Info, input: RedeemRewardInput) -> RedeemRewardResult:
        context = info.context
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId")
        customer_id = await context.customer_id()
        async with context.database.read() as session:
            conditions = await conditions_of(session, reward_id)
        eligible = conditions is None or await meets(info, conditions)
        async with context.database.write() as session:
            row = await redeem(
                session,
                customer_id=customer_id,
                reward_id=reward_id,
                idempotency_key=input.idempotency_key,
                expected_price=input.expected_price,
                eligible=eligible,
                now=context.now,
            )
        return RedeemRewardSuccess(redemption=redemption_of(row))

    @strawberry.mutation(
        description="Give up what is still reserved for you, and have the points back; administrators do it for "
        "others, with a reason."
    )
    @refusals
    async def cancel_redemption(self, info: Info, input: CancelRedemptionInput) -> CancelRedemptionResult:
        context = info.context
        principal = await context.principal()
        if not principal.is_administrator:
            await context.customer_id()
        redemption_id = local_id("Redemption", input.redemption_id, "input", "redemptionId")
        async with context.database.write() as session:
            row = await cancel_redemption(
                session, redemption_id, principal=principal, reason=input.reason, now=context.now
            )
        return CancelRedemptionSuccess(redemption=redemption_of(row))

    @strawberry.mutation(
        description="Say that a partner has fulfilled a redemption within its time limit; for administrators, and "
        "service clients with the scope redemptions:write."
    )
    @refusals
    async def fulfill_redemption(self, info: Info, input: FulfillRedemptionInput) -> FulfillRedemptionResult:
        context = info.context
        principal = context.signed_in()
        may_fulfil(principal)
        redemption_id = local_id("Redemption", input.redemption_id, "input", "redemptionId")
        async with context.database.write() as session:
            row = await fulfil_redemption(
                session, redemption_id, reference=input.reference, actor=principal.subject, now=context.now
            )
        return FulfillRedemptionSuccess(redemption=redemption_of(row))

    @strawberry.mutation(
        description="Say that a partner cannot fulfil a redemption; its points go back once, however often it is said. "
        "For administrators, and service clients with the scope redemptions:write."
    )
    @refusals
    async def fail_redemption(self, info: Info, input: FailRedemptionInput) -> FailRedemptionResult:
        context = info.context
        principal = context.signed_in()
        may_fulfil(principal)
        redemption_id = local_id("Redemption", input.redemption_id, "input", "redemptionId")
        async with context.database.write() as session:
            row = await fail_redemption(
                session, redemption_id, reason=input.reason, actor=principal.subject, now=context.now
            )
        return FailRedemptionSuccess(redemption=redemption_of(row))
