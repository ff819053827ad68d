"""Households, declared and ended by administrators."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.profiles import Customer, customer_of
from api.refusals import Refusal, refusals, result_union
from api.relay import Node, global_id, local_id
from core.db import rows_by_id
from core.errors import NotFound
from customers.profiles import Customer as CustomerRow
from referrals.households import Household as HouseholdRow
from referrals.households import declare_household, end_household, members_of_household


@strawberry.type(description="Customers who live together: what they share is no evidence against them.")
class Household(Node):
    reason: str = strawberry.field(description="How the bank knows.")
    declared_by: str = strawberry.field(description="The member of staff who declared it.")
    declared_at: datetime = strawberry.field(description="When it was declared.")
    ended_at: datetime | None = strawberry.field(description="When it was ended; null while it lasts.")
    local: strawberry.Private[str]

    @strawberry.field(description="Everybody who was declared to belong to it.")
    async def members(self, info: Info) -> list[Customer]:
        async with info.context.database.read() as session:
            ids = await members_of_household(session, self.local)
        found = await info.context.loaders.customers.load_many(ids)
        return [customer_of(row) for row in found if row is not None]


def household_of(row: HouseholdRow) -> Household:
    return Household(
        id=global_id("Household", row.id),
        reason=row.reason,
        declared_by=row.declared_by,
        declared_at=row.declared_at,
        ended_at=row.ended_at,
        local=row.id,
    )


@strawberry.input(description="Who lives together.")
class DeclareHouseholdInput:
    customer_ids: list[strawberry.ID] = strawberry.field(description="2 to 20 customers, none of another household.")
    reason: str = strawberry.field(description="How the bank knows, 1 to 500 characters; for the audit trail.")


@strawberry.type(description="They are a household from now on.")
class DeclareHouseholdSuccess:
    household: Household = strawberry.field(description="The household.")


DeclareHouseholdResult = Annotated[DeclareHouseholdSuccess | Refusal, result_union(DeclareHouseholdSuccess)]


@strawberry.input(description="A household to be ended.")
class EndHouseholdInput:
    household_id: strawberry.ID = strawberry.field(description="The household.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters; for the audit trail.")


@strawberry.type(description="They are no household any more.")
class EndHouseholdSuccess:
    household: Household = strawberry.field(description="The household.")


EndHouseholdResult = Annotated[EndHouseholdSuccess | Refusal, result_union(EndHouseholdSuccess)]


@strawberry.type
class HouseholdMutations:
    @strawberry.mutation(description="Declare that customers live together; for administrators.")
    @refusals
    async def declare_household(self, info: Info, input: DeclareHouseholdInput) -> DeclareHouseholdResult:
        context = info.context
        actor = context.administrator().subject
        ids = {local_id("Customer", one, "input", "customerIds") for one in input.customer_ids[:100]}
        async with context.database.write() as session:
            if len(await rows_by_id(session, CustomerRow, ids)) < len(ids):
                raise NotFound(path=("customerIds",))
            row = await declare_household(
                session, customer_ids=sorted(ids), reason=input.reason, actor=actor, now=context.now
            )
        return DeclareHouseholdSuccess(household=household_of(row))

    @strawberry.mutation(description="End a household; for administrators.")
    @refusals
    async def end_household(self, info: Info, input: EndHouseholdInput) -> EndHouseholdResult:
        context = info.context
        actor = context.administrator().subject
        household_id = local_id("Household", input.household_id, "input", "householdId")
        async with context.database.write() as session:
            row = await end_household(session, household_id, reason=input.reason, actor=actor, now=context.now)
        return EndHouseholdSuccess(household=household_of(row))
