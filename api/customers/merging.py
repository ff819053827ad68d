"""Merging two profiles of one person, and how it can be explained afterwards."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import Node, global_id, local_id
from core.db import rows_by_id
from customers.merging import CustomerMerge as CustomerMergeRow
from customers.merging import merges_of, request_merge


@strawberry.type(description="How much of one kind moved, or stayed and why.")
class MovedThing:
    what: str = strawberry.field(description="A table with its column, or a part of the graph or the books.")
    count: int = strawberry.field(description="How many things, or points.")


@strawberry.type(description="Two profiles that became one.")
class CustomerMerge(Node):
    old_customer_id: strawberry.ID = strawberry.field(description="The global id that leads on to the survivor.")
    reason: str = strawberry.field(description="Why; empty after an erasure.")
    requested_by: str = strawberry.field(description="Who decided it.")
    requested_at: datetime = strawberry.field(description="When.")
    finished_at: datetime | None = strawberry.field(description="When all had moved; null for the seconds it takes.")
    moved: list[MovedThing] = strawberry.field(description="What moved, and what stayed.")
    survivor_local: strawberry.Private[str]

    @strawberry.field(description="The customer who stays.")
    async def survivor(self, info: Info) -> Customer | None:
        return await load_customer(info, self.survivor_local)


def merge_of(row: CustomerMergeRow) -> CustomerMerge:
    return CustomerMerge(
        id=global_id("CustomerMerge", row.id),
        old_customer_id=global_id("Customer", row.merged_id),
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        moved=[MovedThing(what=what, count=count) for what, count in row.moved.items()],
        survivor_local=row.survivor_id,
    )


@strawberry.type(description="Of which profiles a customer was made.")
class MergesOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="The profiles that became one with this customer, the latest first.")
    async def merges(self, info: Info) -> list[CustomerMerge]:
        async with info.context.database.read() as session:
            return [merge_of(row) for row in await merges_of(session, self.local)]


@strawberry.input(description="Which two profiles are one person.")
class MergeCustomersInput:
    survivor_id: strawberry.ID = strawberry.field(description="Global id of the profile that stays.")
    merged_id: strawberry.ID = strawberry.field(description="Global id of the profile that becomes part of it.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters, without naming the person; it is audited.")


@strawberry.type(description="They are one; the worker moves the rest within seconds.")
class MergeCustomersSuccess:
    merge: CustomerMerge = strawberry.field(description="The record, which grows until it is finished.")


MergeCustomersResult = Annotated[MergeCustomersSuccess | Refusal, result_union(MergeCustomersSuccess)]


@strawberry.type
class MergeQueries:
    @strawberry.field(description="How two profiles became one; for administrators.")
    async def customer_merge(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the merge.")]
    ) -> CustomerMerge | None:
        info.context.administrator()
        merge_id = local_id("CustomerMerge", id, "id")
        async with info.context.database.read() as session:
            row = (await rows_by_id(session, CustomerMergeRow, [merge_id])).get(merge_id)
        return merge_of(row) if row else None


@strawberry.type
class MergeMutations:
    @strawberry.mutation(
        description="Make two profiles of one person one, for good. Again it gives the same record. For administrators."
    )
    @refusals
    async def merge_customers(self, info: Info, input: MergeCustomersInput) -> MergeCustomersResult:
        context = info.context
        actor = context.administrator().subject
        survivor_id = local_id("Customer", input.survivor_id, "input", "survivorId")
        merged_id = local_id("Customer", input.merged_id, "input", "mergedId")
        async with context.database.write() as session:
            row = await request_merge(
                session,
                survivor_id,
                merged_id,
                actor=actor,
                reason=input.reason,
                hash_key=context.edge.settings.identity_hash_key.get_secret_value(),
                now=context.now,
            )
        return MergeCustomersSuccess(merge=merge_of(row))
