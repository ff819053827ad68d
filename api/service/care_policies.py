"""The policy of care: whom festivals are for, and how long before a day staff are told; for administrators."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.care_policies import CarePolicy as CarePolicyRow
from service.care_policies import activate_care_policy, create_care_policy, list_care_policies


@strawberry.type(description="A version of the policy of care; what it says never changes.")
class CarePolicy(Node):
    number: int = strawberry.field(description="Number of the version.")
    definition: JSON = strawberry.field(
        description="`hour` of greetings by the customers' own clocks, `task_days` before a day staff are told, and "
        "`festivals` with the tiers that each is for."
    )
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="Since when it decided; null for a draft.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it does or never did.")


def care_policy_of(row: CarePolicyRow) -> CarePolicy:
    definition: Any = row.definition
    return CarePolicy(
        id=global_id("CarePolicy", row.id),
        number=row.number,
        definition=definition,
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


@strawberry.input(description="What a new version says.")
class CreateCarePolicyInput:
    definition: JSON = strawberry.field(description="Hour, days and festivals, as CarePolicy shows them.")


@strawberry.input(description="Which version.")
class ActivateCarePolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.type(description="The draft is written.")
class CreateCarePolicySuccess:
    policy: CarePolicy = strawberry.field(description="The draft.")


@strawberry.type(description="It decides from the next run on; what is planned stays planned.")
class ActivateCarePolicySuccess:
    policy: CarePolicy = strawberry.field(description="The policy.")


CreateCarePolicyResult = Annotated[CreateCarePolicySuccess | Refusal, result_union(CreateCarePolicySuccess)]
ActivateCarePolicyResult = Annotated[ActivateCarePolicySuccess | Refusal, result_union(ActivateCarePolicySuccess)]


@strawberry.type
class CarePolicyQueries:
    @strawberry.field(description="The versions of the policy of care, the newest first; for administrators.")
    async def care_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[CarePolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_care_policies(session, first=size, after=place)
        return connection(page, place, care_policy_of)


@strawberry.type
class CarePolicyMutations:
    @strawberry.mutation(description="Write the next version of the policy of care; for administrators.")
    @refusals
    async def create_care_policy(self, info: Info, input: CreateCarePolicyInput) -> CreateCarePolicyResult:
        actor = info.context.administrator().subject
        async with info.context.database.write() as session:
            row = await create_care_policy(session, input.definition, actor=actor, now=info.context.now)
        return CreateCarePolicySuccess(policy=care_policy_of(row))

    @strawberry.mutation(description="Let a draft decide from now on; for administrators.")
    @refusals
    async def activate_care_policy(self, info: Info, input: ActivateCarePolicyInput) -> ActivateCarePolicyResult:
        actor = info.context.administrator().subject
        policy_id = local_id("CarePolicy", input.policy_id, "input", "policyId")
        async with info.context.database.write() as session:
            row = await activate_care_policy(session, policy_id, actor=actor, now=info.context.now)
        return ActivateCarePolicySuccess(policy=care_policy_of(row))
