"""Versions of the tier policy, and what one would change."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.errors import BadUserInput
from core.paging import window
from customers.tier_policies import TierPolicy as TierPolicyRow
from customers.tier_policies import (
    TierPolicyStatus,
    activate_tier_policy,
    create_tier_policy,
    find_policy,
    list_policies,
)
from customers.tier_policy import TierDefinition, parse_tier_definition
from customers.tier_preview import LARGEST_SAMPLE, Preview, preview_policy
from customers.tiers import parse_month
from graph.eligibility import Tier

strawberry.enum(
    TierPolicyStatus,
    name="TierPolicyStatus",
    description="One is ACTIVE; the one that it replaces is RETIRED for good.",
)
strawberry.enum(Tier, name="CustomerTierName", description="How closely the bank looks after a customer.")
MonthArgument = Annotated[str | None, strawberry.argument(description="Such as 2026-10; the last one by default.")]


class PreviewNeedsOne(BadUserInput):
    code = "PREVIEW_NEEDS_ONE"
    en = "Name a policy, or give a definition."
    zh = "请指定策略或提供策略内容（二选一）。"


@strawberry.type(description="A version of the tier policy, whose definition never changes; docs/tiers.md explains it.")
class TierPolicy(Node):
    version: int = strawberry.field(description="Its number; later ones are greater.")
    status: TierPolicyStatus = strawberry.field(description="Whether months that begin to be run go by it.")
    definition: JSON = strawberry.field(description="Curves, weights, entries, and when a tier is left.")
    created_by: str = strawberry.field(description="Who drafted it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="When.")
    retired_at: datetime | None = strawberry.field(description="When it was replaced.")


@strawberry.type(description="How many would move from one tier to another, or stay.")
class TierMove:
    from_tier: Tier = strawberry.field(description="The tier as it was decided.")
    to_tier: Tier = strawberry.field(description="The tier by the policy that is tried.")
    customers: int = strawberry.field(description="How many of those tried.")


@strawberry.type(
    description="What a policy would have made of a month, from the same inputs and the same month before."
)
class TierPreview:
    month: str = strawberry.field(description="The month, such as 2026-10.")
    customers: int = strawberry.field(description="How many customers were decided in that month.")
    sampled: int = strawberry.field(
        description=f"How many of them were tried: all, or of a larger bank about {LARGEST_SAMPLE:,}."
    )
    moves: list[TierMove] = strawberry.field(description="The migration matrix of those tried; empty cells left out.")
    on_watch_before: int = strawberry.field(description="How many of those tried are on watch by what was decided.")
    on_watch_after: int = strawberry.field(description="How many would be.")
    capped: int = strawberry.field(description="How many of those tried their risk would cap.")


def policy_of(row: TierPolicyRow) -> TierPolicy:
    return TierPolicy(
        id=global_id("TierPolicy", row.id),
        version=row.version,
        status=TierPolicyStatus(row.status),
        definition=cast(Any, row.definition),
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


def preview_of(found: Preview) -> TierPreview:
    return TierPreview(
        month=found.month.isoformat()[:7],
        customers=found.customers,
        sampled=found.sampled,
        moves=[
            TierMove(from_tier=was, to_tier=to, customers=count) for (was, to), count in sorted(found.moves.items())
        ],
        on_watch_before=found.on_watch_before,
        on_watch_after=found.on_watch_after,
        capped=found.capped,
    )


@strawberry.input(description="What a new version says.")
class CreateTierPolicyInput:
    definition: JSON = strawberry.field(description="Curves, weights, entries, caps; see docs/tiers.md.")


@strawberry.input(description="Which version.")
class ActivateTierPolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the version.")


@strawberry.type(description="The version is drafted.")
class CreateTierPolicySuccess:
    policy: TierPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="Months that begin to be run from now on go by it.")
class ActivateTierPolicySuccess:
    policy: TierPolicy = strawberry.field(description="The version that is active now.")


CreateTierPolicyResult = Annotated[CreateTierPolicySuccess | Refusal, result_union(CreateTierPolicySuccess)]
ActivateTierPolicyResult = Annotated[ActivateTierPolicySuccess | Refusal, result_union(ActivateTierPolicySuccess)]


async def asked_definition(session: Session, policy_id: strawberry.ID | None, definition: Any) -> TierDefinition:
    """The definition that is given or that of the version that is named; raises PreviewNeedsOne, NotFound."""
    if (policy_id is None) == (definition is None):
        raise PreviewNeedsOne
    if policy_id is None:
        return parse_tier_definition(definition)
    return (await find_policy(session, local_id("TierPolicy", policy_id, "policyId"))).parsed()


@strawberry.type
class TierPolicyQueries:
    @strawberry.field(description="Versions of the tier policy, the newest first; for administrators.")
    async def tier_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[TierPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_policies(session, first=size, after=place)
        return connection(page, place, policy_of)

    @strawberry.field(
        description="Who would have moved from which tier to which in a month by another policy. Nothing is written. "
        "For administrators."
    )
    async def preview_tier_policy(
        self,
        info: Info,
        policy_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Global id of a version; or else a definition.")
        ] = None,
        definition: Annotated[JSON | None, strawberry.argument(description="A definition; or else a version.")] = None,
        month: MonthArgument = None,
    ) -> TierPreview:
        info.context.administrator()
        async with info.context.database.read() as session:
            asked = await asked_definition(session, policy_id, definition)
            return preview_of(await preview_policy(session, asked, parse_month(month, "month")))


@strawberry.type
class TierPolicyMutations:
    @strawberry.mutation(description="Draft a version of the tier policy; it decides nothing. For administrators.")
    @refusals
    async def create_tier_policy(self, info: Info, input: CreateTierPolicyInput) -> CreateTierPolicyResult:
        context = info.context
        actor = context.administrator().subject
        async with context.database.write() as session:
            row = await create_tier_policy(session, input.definition, actor=actor, now=context.now)
        return CreateTierPolicySuccess(policy=policy_of(row))

    @strawberry.mutation(
        description="Let a version decide the months that begin to be run from now on; the one before is retired. "
        "For administrators."
    )
    @refusals
    async def activate_tier_policy(self, info: Info, input: ActivateTierPolicyInput) -> ActivateTierPolicyResult:
        context = info.context
        actor = context.administrator().subject
        policy_id = local_id("TierPolicy", input.policy_id, "input", "policyId")
        async with context.database.write() as session:
            row = await activate_tier_policy(session, policy_id, actor=actor, now=context.now)
        return ActivateTierPolicySuccess(policy=policy_of(row))
