"""The policies by which lists are made, and trials of them, for administrators."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from community import recommendation_policies as rules
from community.recommendation_policies import RecommendationPolicyStatus
from core.audit import record_change
from core.paging import window

AREA = "recommendation-policy"

strawberry.enum(
    RecommendationPolicyStatus,
    name="RecommendationPolicyStatus",
    description="A DRAFT becomes ACTIVE once, tried before or not, and then RETIRED for good.",
)


@strawberry.type(description="A version of how lists of recommendations are made; what it says never changes.")
class RecommendationPolicy(Node):
    number: int = strawberry.field(description="Number of the version.")
    status: RecommendationPolicyStatus = strawberry.field(description="Whether it decides.")
    definition: JSON = strawberry.field(description="What it says; docs/recommendations.md.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    activated_by: str | None = strawberry.field(description="Who activated it; null for a draft.")
    activated_at: datetime | None = strawberry.field(description="Since when it decided; null for a draft.")
    retired_at: datetime | None = strawberry.field(description="Until when; null where it does or never did.")


@strawberry.type(description="A trial of one policy beside the active one.")
class RecommendationExperiment(Node):
    percent: int = strawberry.field(description="On how many per cent of the customers, drawn by a hash.")
    started_by: str = strawberry.field(description="Who started it.")
    started_at: datetime = strawberry.field(description="When; it counts from the next run on.")
    ended_by: str | None = strawberry.field(description="Who ended it; null while it runs.")
    ended_at: datetime | None = strawberry.field(description="When; null while it runs.")
    control_local: strawberry.Private[str]
    treatment_local: strawberry.Private[str]

    @strawberry.field(description="The policy that was active.")
    async def control(self, info: Info) -> RecommendationPolicy:
        return policy_of(await info.context.recommendation_policies.load(self.control_local))

    @strawberry.field(description="The policy on trial.")
    async def treatment(self, info: Info) -> RecommendationPolicy:
        return policy_of(await info.context.recommendation_policies.load(self.treatment_local))


def policy_of(row: rules.RecommendationPolicy) -> RecommendationPolicy:
    return RecommendationPolicy(
        id=global_id("RecommendationPolicy", row.id),
        number=row.number,
        status=row.status,
        definition=cast(Any, row.definition),
        created_by=row.created_by,
        created_at=row.created_at,
        activated_by=row.activated_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
    )


def experiment_of(row: rules.RecommendationExperiment) -> RecommendationExperiment:
    return RecommendationExperiment(
        id=global_id("RecommendationExperiment", row.id),
        percent=row.percent,
        started_by=row.started_by,
        started_at=row.started_at,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
        control_local=row.control_id,
        treatment_local=row.treatment_id,
    )


@strawberry.input(description="What a new version says.")
class CreateRecommendationPolicyInput:
    definition: JSON = strawberry.field(description="What it says; docs/recommendations.md.")


@strawberry.input(description="Which version.")
class ActivateRecommendationPolicyInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of the policy.")


@strawberry.input(description="What to try, and on how many.")
class StartRecommendationExperimentInput:
    policy_id: strawberry.ID = strawberry.field(description="Global id of a draft.")
    percent: int = strawberry.field(description="On how many per cent of the customers, 1 to 99.")


@strawberry.type(description="The draft is written.")
class CreateRecommendationPolicySuccess:
    policy: RecommendationPolicy = strawberry.field(description="The draft.")


@strawberry.type(description="It decides from the next run on.")
class ActivateRecommendationPolicySuccess:
    policy: RecommendationPolicy = strawberry.field(description="The policy.")


@strawberry.type(description="It is tried from the next run on.")
class StartRecommendationExperimentSuccess:
    experiment: RecommendationExperiment = strawberry.field(description="The trial.")


@strawberry.type(description="From the next run on the active policy decides for everybody.")
class EndRecommendationExperimentSuccess:
    experiment: RecommendationExperiment = strawberry.field(description="The trial that ended.")


CreateRecommendationPolicyResult = Annotated[
    CreateRecommendationPolicySuccess | Refusal, result_union(CreateRecommendationPolicySuccess)
]
ActivateRecommendationPolicyResult = Annotated[
    ActivateRecommendationPolicySuccess | Refusal, result_union(ActivateRecommendationPolicySuccess)
]
StartRecommendationExperimentResult = Annotated[
    StartRecommendationExperimentSuccess | Refusal, result_union(StartRecommendationExperimentSuccess)
]
EndRecommendationExperimentResult = Annotated[
    EndRecommendationExperimentSuccess | Refusal, result_union(EndRecommendationExperimentSuccess)
]


@strawberry.type
class RecommendationPolicyQueries:
    @strawberry.field(description="The versions of how lists are made, the newest first; for administrators.")
    async def recommendation_policies(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RecommendationPolicy]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await rules.list_policies(session, first=size, after=place)
        return connection(page, place, policy_of)

    @strawberry.field(description="Trials of policies, the latest first; for administrators.")
    async def recommendation_experiments(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RecommendationExperiment]:
        size, place = window(first, after, last, before)
        info.context.administrator()
        async with info.context.database.read() as session:
            page = await rules.list_experiments(session, first=size, after=place)
        return connection(page, place, experiment_of)


@strawberry.type
class RecommendationPolicyMutations:
    @strawberry.mutation(description="Write the next version of how lists are made; for administrators.")
    @refusals
    async def create_recommendation_policy(
        self, info: Info, input: CreateRecommendationPolicyInput
    ) -> CreateRecommendationPolicyResult:
        actor, now = info.context.administrator().subject, info.context.now
        definition = rules.parse_recommendation_definition(input.definition)
        async with info.context.database.write() as session:
            row = await rules.create_policy(session, definition, actor=actor, now=now)
            await record_change(session, AREA, row.id, "created", actor=actor, now=now, number=row.number)
        return CreateRecommendationPolicySuccess(policy=policy_of(row))

    @strawberry.mutation(
        description="Let a draft decide for everybody from the next run on; a trial that runs ends. For administrators."
    )
    @refusals
    async def activate_recommendation_policy(
        self, info: Info, input: ActivateRecommendationPolicyInput
    ) -> ActivateRecommendationPolicyResult:
        actor, now = info.context.administrator().subject, info.context.now
        policy_id = local_id("RecommendationPolicy", input.policy_id, "input", "policyId")
        async with info.context.database.write() as session:
            row = await rules.activate_policy(session, policy_id, actor=actor, now=now)
            await record_change(session, AREA, row.id, "activated", actor=actor, now=now, number=row.number)
        return ActivateRecommendationPolicySuccess(policy=policy_of(row))

    @strawberry.mutation(
        description="Try a draft on part of the customers beside the active policy; one trial runs at a time. For "
        "administrators."
    )
    @refusals
    async def start_recommendation_experiment(
        self, info: Info, input: StartRecommendationExperimentInput
    ) -> StartRecommendationExperimentResult:
        actor, now = info.context.administrator().subject, info.context.now
        policy_id = local_id("RecommendationPolicy", input.policy_id, "input", "policyId")
        async with info.context.database.write() as session:
            row = await rules.start_experiment(session, policy_id, percent=input.percent, actor=actor, now=now)
            await record_change(session, AREA, policy_id, "tried", actor=actor, now=now, percent=row.percent)
        return StartRecommendationExperimentSuccess(experiment=experiment_of(row))

    @strawberry.mutation(description="End the trial that runs; for administrators.")
    @refusals
    async def end_recommendation_experiment(self, info: Info) -> EndRecommendationExperimentResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await rules.end_experiment(session, actor=actor, now=now)
            await record_change(session, AREA, row.treatment_id, "trial_ended", actor=actor, now=now)
        return EndRecommendationExperimentSuccess(experiment=experiment_of(row))
