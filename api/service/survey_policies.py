"""Policies of surveys: written and activated by administrators."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.paging import window
from service.survey_policies import SurveyPolicy as PolicyRow
from service.survey_policies import (
    SurveyPolicyStatus,
    activate_survey_policy,
    create_survey_policy,
    list_survey_policies,
)

strawberry.enum(
    SurveyPolicyStatus,
    name="SurveyPolicyStatus",
    description="A DRAFT becomes ACTIVE once, and then RETIRED for good.",
)


@strawberry.type(description="A version of who is asked what, after what, and how often at most.")
class SurveyPolicy(Node):
    number: int = strawberry.field(description="Number of the version.")
    status: SurveyPolicyStatus = strawberry.field(description="Whether it decides.")
    definition: JSON = strawberry.field(description="What it says; docs/breaks-and-surveys.md.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="Since when it decided; null for a draft.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it does or never did.")


def survey_policy_of(row: PolicyRow) -> SurveyPolicy:
    definition: Any = row.definition
    return SurveyPolicy(
        id=global_id("SurveyPolicy", row.id),
        number=row.number,
        status=row.status,
        definition=definition,
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


@strawberry.input(description="What a new version says.")
class CreateSurveyPolicyInput:
    definition: JSON = strawberry.field(
        description="Who is asked what, and how often at most; docs/breaks-and-surveys.md."
    )


@strawberry.input(description="Which version.")
class SurveyPolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.type(description="The draft is written.")
class CreateSurveyPolicySuccess:
    policy: SurveyPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="It decides from now on.")
class ActivateSurveyPolicySuccess:
    policy: SurveyPolicy = strawberry.field(description="The policy.")


CreateSurveyPolicyResult = Annotated[CreateSurveyPolicySuccess | Refusal, result_union(CreateSurveyPolicySuccess)]
ActivateSurveyPolicyResult = Annotated[ActivateSurveyPolicySuccess | Refusal, result_union(ActivateSurveyPolicySuccess)]


@strawberry.type
class SurveyPolicyQueries:
    @strawberry.field(description="The versions of the policy of surveys, the newest first; for administrators.")
    async def survey_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[SurveyPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await list_survey_policies(session, first=size, after=place)
        return connection(page, place, survey_policy_of)


@strawberry.type
class SurveyPolicyMutations:
    @strawberry.mutation(description="Draft the next version of the policy of surveys; for administrators.")
    @refusals
    async def create_survey_policy(self, info: Info, input: CreateSurveyPolicyInput) -> CreateSurveyPolicyResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await create_survey_policy(session, cast(Any, input.definition), actor=actor, now=now)
        return CreateSurveyPolicySuccess(policy=survey_policy_of(row))

    @strawberry.mutation(description="Let a draft decide who is asked from now on; for administrators.")
    @refusals
    async def activate_survey_policy(self, info: Info, input: SurveyPolicyInput) -> ActivateSurveyPolicyResult:
        actor, now = info.context.administrator().subject, info.context.now
        policy_id = local_id("SurveyPolicy", input.policy_id, "input", "policyId")
        async with info.context.database.write() as session:
            row = await activate_survey_policy(session, policy_id, actor=actor, now=now)
        return ActivateSurveyPolicySuccess(policy=survey_policy_of(row))
