"""Versions of what is promised to who complains."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.service.complaints import staff_of_complaints
from core.paging import window
from service.complaint_policies import ComplaintPolicy as PolicyRow
from service.complaint_policies import (
    ComplaintPolicyStatus,
    activate_complaint_policy,
    create_complaint_policy,
    list_policies,
)

strawberry.enum(
    ComplaintPolicyStatus,
    name="ComplaintPolicyStatus",
    description="One is ACTIVE; the one that it replaces is RETIRED for good.",
)


@strawberry.type(description="A version of the policy of complaints, whose definition never changes.")
class ComplaintPolicy(Node):
    version: int = strawberry.field(description="Its number; later ones are greater.")
    status: ComplaintPolicyStatus = strawberry.field(description="Whether complaints filed now go by it.")
    definition: JSON = strawberry.field(description="Levels of service, and the statutory days; docs/complaints.md.")
    created_by: str = strawberry.field(description="Who drafted it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="When.")
    retired_at: datetime | None = strawberry.field(description="When it was replaced.")


def policy_of(row: PolicyRow) -> ComplaintPolicy:
    definition: Any = row.definition
    return ComplaintPolicy(
        id=global_id("ComplaintPolicy", row.id),
        version=row.version,
        status=ComplaintPolicyStatus(row.status),
        definition=definition,
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


@strawberry.input(description="A new version of the policy of complaints.")
class CreateComplaintPolicyInput:
    definition: JSON = strawberry.field(description="Levels of service, and the statutory days; docs/complaints.md.")


@strawberry.input(description="Which version is to be in use.")
class ActivateComplaintPolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.type(description="The policy as it is now.")
class ComplaintPolicySuccess:
    policy: ComplaintPolicy = strawberry.field(description="The policy.")


ComplaintPolicyResult = Annotated[ComplaintPolicySuccess | Refusal, result_union(ComplaintPolicySuccess)]


@strawberry.type
class ComplaintPolicyQueries:
    @strawberry.field(description="The versions, the newest first, for staff.")
    async def complaint_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ComplaintPolicy]:
        size, place = window(first, after, last, before)
        staff_of_complaints(info)
        async with info.context.database.read() as session:
            page = await list_policies(session, first=size, after=place)
        return connection(page, place, policy_of)


@strawberry.type
class ComplaintPolicyMutations:
    @strawberry.mutation(description="Draft a version; nothing goes by it yet. For administrators.")
    @refusals
    async def create_complaint_policy(self, info: Info, input: CreateComplaintPolicyInput) -> ComplaintPolicyResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            row = await create_complaint_policy(session, input.definition, actor=actor, now=context.now)
        return ComplaintPolicySuccess(policy=policy_of(row))

    @strawberry.mutation(
        description="Let complaints that are filed from now on go by a version; those that are there keep their own. "
        "For administrators."
    )
    @refusals
    async def activate_complaint_policy(self, info: Info, input: ActivateComplaintPolicyInput) -> ComplaintPolicyResult:
        context = info.context
        actor = context.administrator().subject
        policy_id = local_id("ComplaintPolicy", input.policy_id, "input", "policyId")
        async with context.database.write() as session:
            row = await activate_complaint_policy(session, policy_id, actor=actor, now=context.now)
        return ComplaintPolicySuccess(policy=policy_of(row))
