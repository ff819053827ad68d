"""Rows that name several customers, for an administrator to decide."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.paging import window
from customers.merging import request_merge
from customers.reviews import (
    Cause,
    Found,
    ReviewStatus,
    decide_review,
    list_reviews,
)
from customers.reviews import IdentityReview as IdentityReviewRow

strawberry.enum(
    Cause,
    name="IdentityCause",
    description="By what a row names a customer; OTHER_DOCUMENT speaks against one who was found otherwise.",
)
strawberry.enum(
    ReviewStatus,
    name="IdentityReviewStatus",
    description="OPEN waits for a person; MERGED: the customers are one; KEPT_APART: they are not.",
)


@strawberry.type(description="A customer whom a row names.")
class IdentityFinding:
    cause: Cause = strawberry.field(description="By what.")
    local: strawberry.Private[str]

    @strawberry.field(description="The customer.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.local)


@strawberry.type(description="A row that was not applied because it names several customers.")
class IdentityReview(Node):
    source: str = strawberry.field(description="Whose row it is.")
    key: str = strawberry.field(description="The source's key.")
    line: int = strawberry.field(description="The line on which it stood first.")
    findings: list[IdentityFinding] = strawberry.field(description="Whom it names, and by what.")
    status: ReviewStatus = strawberry.field(description="Whether it is decided.")
    found_at: datetime = strawberry.field(description="When it came first.")
    decided_by: str | None = strawberry.field(description="Who decided.")
    decided_at: datetime | None = strawberry.field(description="When.")
    reason: str | None = strawberry.field(description="Why.")
    customer_local: strawberry.Private[str | None]

    @strawberry.field(description="Whose the row is, or who stays where they are merged; null: a customer of its own.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local) if self.customer_local else None


def finding_of(found: Found) -> IdentityFinding:
    return IdentityFinding(cause=found.cause, local=found.customer_id)


def review_of(row: IdentityReviewRow) -> IdentityReview:
    return IdentityReview(
        id=global_id("IdentityReview", row.id),
        source=row.source,
        key=row.key,
        line=row.line,
        findings=[finding_of(one) for one in row.found],
        status=ReviewStatus(row.status),
        found_at=row.found_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
        customer_local=row.customer_id,
    )


@strawberry.input(description="What to decide of a row, and why.")
class DecideIdentityReviewInput:
    review_id: strawberry.ID = strawberry.field(description="Global id of the review.")
    decision: ReviewStatus = strawberry.field(description="MERGED or KEPT_APART.")
    customer_id: strawberry.ID | None = strawberry.field(
        description="Whose the row is; with MERGED who stays, which must be said; null: a customer of its own.",
        default=None,
    )
    reason: str = strawberry.field(description="Why, 1 to 500 characters, without naming the person; it is audited.")


@strawberry.type(description="It is decided; the row goes in when its source sends it again.")
class DecideIdentityReviewSuccess:
    review: IdentityReview = strawberry.field(description="The review.")


DecideIdentityReviewResult = Annotated[DecideIdentityReviewSuccess | Refusal, result_union(DecideIdentityReviewSuccess)]


async def merge_into(info: Info, session: Session, survivor_id: str, row: IdentityReviewRow, *, actor: str) -> None:
    """Merge whoever else the row names into the one who stays; raises MergeImpossible."""
    for merged_id in sorted({one.customer_id for one in row.found} - {survivor_id}):
        await request_merge(
            session,
            survivor_id,
            merged_id,
            actor=actor,
            reason=row.reason or "",
            hash_key=info.context.edge.settings.identity_hash_key.get_secret_value(),
            now=info.context.now,
        )


@strawberry.type
class IdentityReviewQueries:
    @strawberry.field(description="Rows that name several customers, the latest first; for administrators.")
    async def identity_reviews(
        self,
        info: Info,
        status: Annotated[
            ReviewStatus | None, strawberry.argument(description="Only these; null: all of them.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[IdentityReview]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_reviews(session, status, first=size, after=place)
        return connection(page, place, review_of)


@strawberry.type
class IdentityReviewMutations:
    @strawberry.mutation(
        description="Decide whom a row is about, once. MERGED merges the customers whom it names into the one who "
        "stays. For administrators."
    )
    @refusals
    async def decide_identity_review(self, info: Info, input: DecideIdentityReviewInput) -> DecideIdentityReviewResult:
        context = info.context
        actor = context.administrator().subject
        customer_id = input.customer_id and local_id("Customer", input.customer_id, "input", "customerId")
        review_id = local_id("IdentityReview", input.review_id, "input", "reviewId")
        async with context.database.write() as session:
            row = await decide_review(
                session,
                review_id,
                input.decision,
                customer_id=customer_id,
                actor=actor,
                reason=input.reason,
                now=context.now,
            )
            if input.decision == ReviewStatus.MERGED and customer_id:
                await merge_into(info, session, customer_id, row, actor=actor)
        return DecideIdentityReviewSuccess(review=review_of(row))
