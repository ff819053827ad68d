"""Points that staff give or take, alone up to a limit, and in pairs above it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.errors import NotFound
from core.paging import window
from customers.profiles import profile
from loyalty.adjustments import (
    LONGEST_LIFE_DAYS,
    AdjustmentStatus,
    NewAdjustment,
    adjust,
    decide_adjustment,
    list_adjustments,
)
from loyalty.adjustments import Adjustment as AdjustmentRow

strawberry.enum(
    AdjustmentStatus, name="AdjustmentStatus", description="PENDING waits for a second administrator; others are final."
)


@strawberry.type(description="Points given or taken by staff.")
class Adjustment(Node):
    points: int = strawberry.field(description="Given, or below zero: taken.")
    status: AdjustmentStatus = strawberry.field(description="Whether it is booked.")
    reason: str | None = strawberry.field(description="Why, in the words of who asked for it; null after an erasure.")
    requested_by: str = strawberry.field(description="The administrator who asked for it.")
    requested_at: datetime = strawberry.field(description="When.")
    decided_by: str | None = strawberry.field(description="The second one who decided; null where none had to.")
    decided_at: datetime | None = strawberry.field(description="When it was booked or rejected; null while it waits.")
    decision_reason: str | None = strawberry.field(description="Why, in the words of who decided.")
    posting_id: strawberry.ID | None = strawberry.field(description="The posting; null where it is not booked.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="Whose points.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


def adjustment_of(row: AdjustmentRow) -> Adjustment:
    return Adjustment(
        id=global_id("Adjustment", row.id),
        points=row.points,
        status=AdjustmentStatus(row.status),
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        posting_id=global_id("Posting", row.posting_id) if row.posting_id else None,
        customer_local=row.customer_id,
    )


@strawberry.input(description="What to give or take, and why.")
class AdjustPointsInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    points: int = strawberry.field(description="To give; below zero: to take.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")
    idempotency_key: str = strawberry.field(description="Chosen for this one wish, 8 to 100 characters.")
    life_days: int = strawberry.field(
        description=f"After how many days what is given expires, 1 to {LONGEST_LIFE_DAYS}.", default=365
    )


@strawberry.input(description="Which adjustment to decide, and why.")
class DecideAdjustmentInput:
    adjustment_id: strawberry.ID = strawberry.field(description="Global id of the adjustment.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; kept in the audit trail.")


@strawberry.type(description="The adjustment is booked, or waits for a second administrator.")
class AdjustPointsSuccess:
    adjustment: Adjustment = strawberry.field(description="The adjustment; its status says which.")


@strawberry.type(description="The adjustment is booked.")
class ApproveAdjustmentSuccess:
    adjustment: Adjustment = strawberry.field(description="The adjustment.")


@strawberry.type(description="The adjustment will not be booked.")
class RejectAdjustmentSuccess:
    adjustment: Adjustment = strawberry.field(description="The adjustment.")


AdjustPointsResult = Annotated[AdjustPointsSuccess | Refusal, result_union(AdjustPointsSuccess)]
ApproveAdjustmentResult = Annotated[ApproveAdjustmentSuccess | Refusal, result_union(ApproveAdjustmentSuccess)]
RejectAdjustmentResult = Annotated[RejectAdjustmentSuccess | Refusal, result_union(RejectAdjustmentSuccess)]


async def decided(info: Info, input: DecideAdjustmentInput, status: AdjustmentStatus) -> Adjustment:
    context = info.context
    actor = context.administrator().subject
    adjustment_id = local_id("Adjustment", input.adjustment_id, "input", "adjustmentId")
    async with context.database.write() as session:
        row = await decide_adjustment(session, adjustment_id, status, actor=actor, reason=input.reason, now=context.now)
    return adjustment_of(row)


@strawberry.type
class AdjustmentQueries:
    @strawberry.field(description="Adjustments, the latest first; for administrators.")
    async def adjustments(
        self,
        info: Info,
        status: Annotated[
            AdjustmentStatus | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Adjustment]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_adjustments(session, status, first=size, after=place)
        return connection(page, place, adjustment_of)


@strawberry.type
class AdjustmentMutations:
    @strawberry.mutation(
        description="Give or take points. Up to the limit of this installation it is booked at once, above it waits "
        "for a second administrator. Nothing is overdrawn. The same key again gives the first answer. "
        "For administrators."
    )
    @refusals
    async def adjust_points(self, info: Info, input: AdjustPointsInput) -> AdjustPointsResult:
        context = info.context
        actor = context.administrator().subject
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        new = NewAdjustment(customer_id, input.points, input.reason, input.idempotency_key, input.life_days)
        limit = context.edge.settings.adjustment_limit
        async with context.database.write() as session:
            if await profile(session, customer_id) is None:
                raise NotFound(path=("customerId",))
            row = await adjust(session, new, actor=actor, limit=limit, now=context.now)
        return AdjustPointsSuccess(adjustment=adjustment_of(row))

    @strawberry.mutation(description="Book an adjustment that somebody else asked for; once. For administrators.")
    @refusals
    async def approve_adjustment(self, info: Info, input: DecideAdjustmentInput) -> ApproveAdjustmentResult:
        return ApproveAdjustmentSuccess(adjustment=await decided(info, input, AdjustmentStatus.BOOKED))

    @strawberry.mutation(description="Turn down an adjustment that somebody else asked for; once. For administrators.")
    @refusals
    async def reject_adjustment(self, info: Info, input: DecideAdjustmentInput) -> RejectAdjustmentResult:
        return RejectAdjustmentSuccess(adjustment=await decided(info, input, AdjustmentStatus.REJECTED))
