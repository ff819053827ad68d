"""What a customer does with a recommendation: dismiss it, take that back, or open it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import IdInvalid, local_id, split_id
from community.dismissals import Recommended, dismiss, restore


def recommended_of(value: str) -> tuple[Recommended, str]:
    """What kind of thing a global id names, and its local id; raises IdInvalid."""
    path = ("input", "recommendedId")
    kind, _ = split_id(value, *path)
    if kind == "Community" or kind == "Event" or kind == "Customer":
        return kind, local_id(kind, value, *path)
    raise IdInvalid(path=path, detail="an id of Community, Event or Customer is expected")


@strawberry.input(description="What not to recommend.")
class DismissRecommendationInput:
    recommended_id: strawberry.ID = strawberry.field(description="Global id of a community, event or customer.")


@strawberry.type(description="It is not recommended to you any more.")
class DismissRecommendationSuccess:
    recommended_id: strawberry.ID = strawberry.field(description="What was dismissed.")
    until: datetime = strawberry.field(description="Until when: 90 days from when you first said so.")


@strawberry.input(description="What may be recommended again.")
class RestoreRecommendationInput:
    recommended_id: strawberry.ID = strawberry.field(description="Global id of a community, event or customer.")


@strawberry.type(description="It may be recommended to you again.")
class RestoreRecommendationSuccess:
    recommended_id: strawberry.ID = strawberry.field(description="What may be.")


@strawberry.input(description="Which recommended community you look at.")
class OpenRecommendationInput:
    community_id: strawberry.ID = strawberry.field(description="Global id of the community.")


@strawberry.type(description="It is noted.")
class OpenRecommendationSuccess:
    community_id: strawberry.ID = strawberry.field(description="The community.")


DismissRecommendationResult = Annotated[
    DismissRecommendationSuccess | Refusal, result_union(DismissRecommendationSuccess)
]
RestoreRecommendationResult = Annotated[
    RestoreRecommendationSuccess | Refusal, result_union(RestoreRecommendationSuccess)
]
OpenRecommendationResult = Annotated[OpenRecommendationSuccess | Refusal, result_union(OpenRecommendationSuccess)]


@strawberry.type
class DismissalMutations:
    @strawberry.mutation(
        description="Not to be recommended a community, event or customer for 90 days, from the next reading on. Doing "
        "it twice is doing it once."
    )
    @refusals
    async def dismiss_recommendation(
        self, info: Info, input: DismissRecommendationInput
    ) -> DismissRecommendationResult:
        context = info.context
        kind, local = recommended_of(input.recommended_id)
        customer_id = await context.customer_id()
        until = await dismiss(context.graph, kind, local, customer_id=customer_id, now=context.now)
        return DismissRecommendationSuccess(recommended_id=input.recommended_id, until=until)

    @strawberry.mutation(description="Take a dismissal back; one that is not there is taken back already.")
    @refusals
    async def restore_recommendation(
        self, info: Info, input: RestoreRecommendationInput
    ) -> RestoreRecommendationResult:
        local = recommended_of(input.recommended_id)[1]
        await restore(info.context.graph, local, customer_id=await info.context.customer_id())
        return RestoreRecommendationSuccess(recommended_id=input.recommended_id)

    @strawberry.mutation(
        description="Note that you opened a recommended community, for its managers' figures: once a day, and only "
        "where you were recommended it within 30 days."
    )
    @refusals
    async def open_recommendation(self, info: Info, input: OpenRecommendationInput) -> OpenRecommendationResult:
        context = info.context
        community_id = local_id("Community", input.community_id, "input", "communityId")
        context.edge.exposures.open(await context.customer_id(), community_id, now=context.now)
        return OpenRecommendationSuccess(community_id=input.community_id)
