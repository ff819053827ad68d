"""The policies of follow-ups and of entitlements: written and activated by administrators."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.entitlements import parse_entitlements
from service.follow_up_definition import parse_follow_ups
from service.policies import (
    ServicePolicy,
    ServicePolicyKind,
    ServicePolicyStatus,
    activate_policy,
    create_policy,
    list_policies,
)

strawberry.enum(
    ServicePolicyStatus,
    name="ServicePolicyStatus",
    description="A DRAFT becomes ACTIVE once, and then RETIRED for good.",
)


@strawberry.interface(description="A version of a policy of how customers are served; what it says never changes.")
class ServicePolicyVersion:
    number: int = strawberry.field(description="Number of the version.")
    status: ServicePolicyStatus = strawberry.field(description="Whether it decides.")
    definition: JSON = strawberry.field(description="What it says; docs/serving.md.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="Since when it decided; null for a draft.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it does or never did.")


@strawberry.type(description="A version of how often customers of each tier are to be seen.")
class FollowUpPolicy(Node, ServicePolicyVersion):
    pass


@strawberry.type(description="A version of what each tier is entitled to.")
class EntitlementPolicy(Node, ServicePolicyVersion):
    pass


def fields_of(row: ServicePolicy) -> dict[str, Any]:
    names = ("number", "status", "definition", "created_by", "created_at", "activated_by", "activated_at", "retired_at")
    return {name: getattr(row, name) for name in names}


def follow_up_policy_of(row: ServicePolicy) -> FollowUpPolicy:
    return FollowUpPolicy(id=global_id("FollowUpPolicy", row.id), **fields_of(row))


def entitlement_policy_of(row: ServicePolicy) -> EntitlementPolicy:
    return EntitlementPolicy(id=global_id("EntitlementPolicy", row.id), **fields_of(row))


@strawberry.input(description="What a new version says.")
class CreateServicePolicyInput:
    definition: JSON = strawberry.field(description="Its table; docs/serving.md.")


@strawberry.input(description="Which version.")
class ServicePolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.type(description="The draft is written.")
class CreateFollowUpPolicySuccess:
    policy: FollowUpPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="It decides from now on.")
class ActivateFollowUpPolicySuccess:
    policy: FollowUpPolicy = strawberry.field(description="The policy.")


@strawberry.type(description="The draft is written.")
class CreateEntitlementPolicySuccess:
    policy: EntitlementPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="It decides from now on.")
class ActivateEntitlementPolicySuccess:
    policy: EntitlementPolicy = strawberry.field(description="The policy.")


CreateFollowUpPolicyResult = Annotated[CreateFollowUpPolicySuccess | Refusal, result_union(CreateFollowUpPolicySuccess)]
ActivateFollowUpPolicyResult = Annotated[
    ActivateFollowUpPolicySuccess | Refusal, result_union(ActivateFollowUpPolicySuccess)
]
CreateEntitlementPolicyResult = Annotated[
    CreateEntitlementPolicySuccess | Refusal, result_union(CreateEntitlementPolicySuccess)
]
ActivateEntitlementPolicyResult = Annotated[
    ActivateEntitlementPolicySuccess | Refusal, result_union(ActivateEntitlementPolicySuccess)
]


async def created(info: Info, kind: ServicePolicyKind, definition: dict[str, Any]) -> ServicePolicy:
    actor, now = info.context.administrator().subject, info.context.now
    async with info.context.database.write() as session:
        return await create_policy(session, kind, definition, actor=actor, now=now)


async def activated(info: Info, kind: ServicePolicyKind, policy_id: str) -> ServicePolicy:
    actor, now = info.context.administrator().subject, info.context.now
    async with info.context.database.write() as session:
        return await activate_policy(session, kind, policy_id, actor=actor, now=now)


async def load_policy(info: Info, kind: ServicePolicyKind, local: str) -> ServicePolicy | None:
    info.context.administrator()
    async with info.context.database.read() as session:
        row = await session.get(ServicePolicy, local)
    return row if row is not None and row.kind == kind else None


async def load_follow_up_policy(info: Info, local: str) -> FollowUpPolicy | None:
    row = await load_policy(info, ServicePolicyKind.FOLLOW_UPS, local)
    return follow_up_policy_of(row) if row else None


async def load_entitlement_policy(info: Info, local: str) -> EntitlementPolicy | None:
    row = await load_policy(info, ServicePolicyKind.ENTITLEMENTS, local)
    return entitlement_policy_of(row) if row else None


@strawberry.type
class ServicePolicyQueries:
    @strawberry.field(
        description="The versions of how often customers are to be seen, the newest first; for administrators."
    )
    async def follow_up_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[FollowUpPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_policies(session, ServicePolicyKind.FOLLOW_UPS, first=size, after=place)
        return connection(page, place, follow_up_policy_of)

    @strawberry.field(description="The versions of what tiers are entitled to, the newest first; for administrators.")
    async def entitlement_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[EntitlementPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_policies(session, ServicePolicyKind.ENTITLEMENTS, first=size, after=place)
        return connection(page, place, entitlement_policy_of)


@strawberry.type
class ServicePolicyMutations:
    @strawberry.mutation(
        description="Write the next version of how often customers are to be seen; for administrators."
    )
    @refusals
    async def create_follow_up_policy(self, info: Info, input: CreateServicePolicyInput) -> CreateFollowUpPolicyResult:
        info.context.administrator()
        parsed = parse_follow_ups(cast(Any, input.definition))
        row = await created(info, ServicePolicyKind.FOLLOW_UPS, parsed.model_dump(mode="json"))
        return CreateFollowUpPolicySuccess(policy=follow_up_policy_of(row))

    @strawberry.mutation(
        description="Let a draft decide from the next daily look on, and at once of what is logged; for administrators."
    )
    @refusals
    async def activate_follow_up_policy(self, info: Info, input: ServicePolicyInput) -> ActivateFollowUpPolicyResult:
        info.context.administrator()
        policy_id = local_id("FollowUpPolicy", input.policy_id, "input", "policyId")
        row = await activated(info, ServicePolicyKind.FOLLOW_UPS, policy_id)
        return ActivateFollowUpPolicySuccess(policy=follow_up_policy_of(row))

    @strawberry.mutation(description="Write the next version of what tiers are entitled to; for administrators.")
    @refusals
    async def create_entitlement_policy(
        self, info: Info, input: CreateServicePolicyInput
    ) -> CreateEntitlementPolicyResult:
        info.context.administrator()
        parsed = parse_entitlements(cast(Any, input.definition))
        row = await created(info, ServicePolicyKind.ENTITLEMENTS, parsed.model_dump(mode="json"))
        return CreateEntitlementPolicySuccess(policy=entitlement_policy_of(row))

    @strawberry.mutation(description="Let a draft decide from now on; for administrators.")
    @refusals
    async def activate_entitlement_policy(
        self, info: Info, input: ServicePolicyInput
    ) -> ActivateEntitlementPolicyResult:
        info.context.administrator()
        policy_id = local_id("EntitlementPolicy", input.policy_id, "input", "policyId")
        row = await activated(info, ServicePolicyKind.ENTITLEMENTS, policy_id)
        return ActivateEntitlementPolicySuccess(policy=entitlement_policy_of(row))
