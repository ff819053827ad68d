"""Tiers that staff set by hand: one asks, another decides, and it ends on a day."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import in_care, own_customers, present_in_care, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.errors import Forbidden
from core.paging import window
from customers.tier_overrides import (
    NewOverride,
    customer_of_override,
    decide_override,
    end_override,
    list_overrides,
    override_tier,
    requester_of_override,
)
from customers.tier_records import OverrideStatus
from customers.tier_records import TierOverride as TierOverrideRow
from graph.eligibility import Tier

strawberry.enum(
    OverrideStatus,
    name="TierOverrideStatus",
    description="PENDING waits for a second person; APPROVED counts until it ends; ENDED is over.",
)


@strawberry.type(description="A tier set by hand, which covers the computed one until it ends.")
class TierOverride(Node):
    tier: Tier = strawberry.field(description="The tier.")
    status: OverrideStatus = strawberry.field(description="Whether it counts.")
    reason: str | None = strawberry.field(description="Why, in the words of who asked; null after an erasure.")
    requested_by: str = strawberry.field(description="Who asked.")
    requested_at: datetime = strawberry.field(description="When.")
    expires_at: datetime = strawberry.field(description="When it ends by itself.")
    decided_by: str | None = strawberry.field(description="Who decided; null while it waits.")
    decided_at: datetime | None = strawberry.field(description="When.")
    decision_reason: str | None = strawberry.field(
        description="Why, in the words of who decided; expired and merged are ours."
    )
    ended_by: str | None = strawberry.field(description="Who ended it; null while it waits or counts.")
    ended_at: datetime | None = strawberry.field(description="When.")
    end_reason: str | None = strawberry.field(description="Why; expired, replaced and merged are ours.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Whose tier.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def override_of(row: TierOverrideRow) -> TierOverride:
    return TierOverride(
        id=global_id("TierOverride", row.id),
        tier=Tier(row.tier),
        status=OverrideStatus(row.status),
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        customer_local=row.customer_id,
    )


@strawberry.input(description="Which tier, for whom, why, and until when.")
class OverrideTierInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    tier: Tier = strawberry.field(description="The tier.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")
    expires_at: datetime = strawberry.field(description="When it ends by itself, within 366 days.")


@strawberry.input(description="Which override, and why.")
class DecideTierOverrideInput:
    override_id: strawberry.ID = strawberry.field(description="Global id of the override.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")


@strawberry.type(description="The override waits for a second person.")
class OverrideTierSuccess:
    override: TierOverride = strawberry.field(description="The override.")


@strawberry.type(description="The override counts from now on.")
class ApproveTierOverrideSuccess:
    override: TierOverride = strawberry.field(description="The override.")


@strawberry.type(description="The override will not count.")
class RejectTierOverrideSuccess:
    override: TierOverride = strawberry.field(description="The override.")


@strawberry.type(description="The computed tier shows again.")
class EndTierOverrideSuccess:
    override: TierOverride = strawberry.field(description="The override.")


OverrideTierResult = Annotated[OverrideTierSuccess | Refusal, result_union(OverrideTierSuccess)]
ApproveTierOverrideResult = Annotated[ApproveTierOverrideSuccess | Refusal, result_union(ApproveTierOverrideSuccess)]
RejectTierOverrideResult = Annotated[RejectTierOverrideSuccess | Refusal, result_union(RejectTierOverrideSuccess)]
EndTierOverrideResult = Annotated[EndTierOverrideSuccess | Refusal, result_union(EndTierOverrideSuccess)]


async def decided(info: Info, input: DecideTierOverrideInput, status: OverrideStatus) -> TierOverride:
    context, principal = info.context, staff(info)
    override_id = local_id("TierOverride", input.override_id, "input", "overrideId")
    actor = principal.subject
    is_own = status == OverrideStatus.REJECTED and await has_asked(info, override_id)
    if not is_own and not principal.is_administrator:
        raise Forbidden
    async with context.database.write() as session:
        row = await decide_override(session, override_id, status, actor=actor, reason=input.reason, now=context.now)
    return override_of(row)


async def has_asked(info: Info, override_id: str) -> bool:
    """Whether the asking staff is who asked for this override, and so may take it back."""
    actor = staff(info).subject
    async with info.context.database.read() as session:
        return await requester_of_override(session, override_id) == actor


@strawberry.type
class TierOverrideQueries:
    @strawberry.field(description="Overrides of your customers, the latest first; of all of them for administrators.")
    async def tier_overrides(
        self,
        info: Info,
        status: Annotated[
            OverrideStatus | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[TierOverride]:
        size, place = window(first, after, last, before)
        customers = await own_customers(info)
        async with info.context.database.read() as session:
            page = await list_overrides(session, status=status, customer_ids=customers, first=size, after=place)
        return connection(page, place, override_of)


@strawberry.type
class TierOverrideMutations:
    @strawberry.mutation(
        description="Ask for a tier by hand; an administrator other than you approves it. It beats no risk, unless the "
        "policy says so. For the customer's relationship manager and administrators."
    )
    @refusals
    async def override_tier(self, info: Info, input: OverrideTierInput) -> OverrideTierResult:
        context = info.context
        staff(info)
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            customer_id, asking = await present_in_care(info, session, customer_id)
            new = NewOverride(customer_id, input.tier, input.reason, input.expires_at)
            row = await override_tier(session, new, actor=asking.subject, now=context.now)
        return OverrideTierSuccess(override=override_of(row))

    @strawberry.mutation(description="Let an override count that somebody else asked for; once. For administrators.")
    @refusals
    async def approve_tier_override(self, info: Info, input: DecideTierOverrideInput) -> ApproveTierOverrideResult:
        return ApproveTierOverrideSuccess(override=await decided(info, input, OverrideStatus.APPROVED))

    @strawberry.mutation(
        description="Turn down an override, once; who asked for it takes it back by this. For administrators, and who "
        "asked."
    )
    @refusals
    async def reject_tier_override(self, info: Info, input: DecideTierOverrideInput) -> RejectTierOverrideResult:
        return RejectTierOverrideSuccess(override=await decided(info, input, OverrideStatus.REJECTED))

    @strawberry.mutation(
        description="End an override before its day. For the customer's relationship manager and administrators."
    )
    @refusals
    async def end_tier_override(self, info: Info, input: DecideTierOverrideInput) -> EndTierOverrideResult:
        context, actor = info.context, staff(info).subject
        override_id = local_id("TierOverride", input.override_id, "input", "overrideId")
        async with context.database.read() as session:
            await in_care(info, session, await customer_of_override(session, override_id), "overrideId")
        async with context.database.write() as session:
            row = await end_override(session, override_id, actor=actor, reason=input.reason, now=context.now)
        return EndTierOverrideSuccess(override=override_of(row))
