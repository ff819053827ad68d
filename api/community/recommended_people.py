"""People whom one might like to know, and the choice to be found by others."""

from typing import Annotated, Any

import strawberry

from api.community.recommendations import (
    MutualAcquaintancesReason,
    RecommendationReason,
    SharedCommunitiesReason,
    worded,
)
from api.context import Info
from api.customers.profiles import Customer, customer_of
from api.refusals import Refusal, refusals, result_union
from api.relay import Mark, PageInfo, global_id, page_info
from community.recommended_people import is_discoverable, recommended_people, set_discoverable


@strawberry.type(description="Somebody whom you might like to know.")
class RecommendedPersonEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks their place.")
    node: Customer = strawberry.field(description="Who chose to be found.")
    score: float = strawberry.field(description="How close; comparable within one list only.")
    reasons: list[RecommendationReason] = strawberry.field(description="The strongest reasons first.")


@strawberry.type(description="A page of people, the closest first.")
class RecommendedPersonConnection:
    edges: list[RecommendedPersonEdge] = strawberry.field(description="The people of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


WORDS = {
    "SHARED_COMMUNITIES": ("你们同在 {count} 个社群", "You are both in {count} communities"),
    "ONE_SHARED_COMMUNITY": ("你们同在 1 个社群", "You are both in one community"),
    "MUTUAL_ACQUAINTANCES": ("你们有 {count} 位共同认识的人", "You both know {count} people"),
}


def person_reason(reason: dict[str, Any], info: Info) -> RecommendationReason:
    """A reason in its type."""
    kind, count = reason["kind"], reason["count"]
    words = "ONE_SHARED_COMMUNITY" if kind == "SHARED_COMMUNITIES" and count == 1 else kind
    text = worded(WORDS[words], info).format(count=count)
    if kind == "MUTUAL_ACQUAINTANCES":
        return MutualAcquaintancesReason(words=text, count=count)
    ids = [global_id("Community", community) for community in reason["community_ids"]]
    return SharedCommunitiesReason(words=text, community_ids=ids, count=count)


async def recommended_people_page(info: Info, first: int | None, after: str | None) -> RecommendedPersonConnection:
    context = info.context
    viewer_id = await context.viewer_id() or ""
    page = await recommended_people(context.graph, viewer_id, first=first, after=after, now=context.now)
    edges = [
        RecommendedPersonEdge(
            cursor=cursor,
            node=customer_of(row),
            score=row["score"],
            reasons=[person_reason(reason, info) for reason in row["reasons"]],
        )
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return RecommendedPersonConnection(edges=edges, page_info=page_info(page, after))


async def viewer_is_discoverable(info: Info) -> bool:
    return await is_discoverable(info.context.graph, await info.context.viewer_id() or "")


@strawberry.input(description="Whether others may find you.")
class SetDiscoverabilityInput:
    discoverable: bool = strawberry.field(
        description="True: you are recommended to members of your communities, and counted among those whom your "
        "referrer brought. False, as for everybody who has said nothing: neither."
    )


@strawberry.type(description="It is so from now on.")
class SetDiscoverabilitySuccess:
    discoverable: bool = strawberry.field(description="Whether others may find you.")


SetDiscoverabilityResult = Annotated[SetDiscoverabilitySuccess | Refusal, result_union(SetDiscoverabilitySuccess)]


@strawberry.type
class DiscoverabilityMutations:
    @strawberry.mutation(description="Choose whether others may find you; nobody is found without having chosen it.")
    @refusals
    async def set_discoverability(self, info: Info, input: SetDiscoverabilityInput) -> SetDiscoverabilityResult:
        customer_id = await info.context.customer_id()
        await set_discoverable(info.context.graph, customer_id, on=input.discoverable)
        return SetDiscoverabilitySuccess(discoverable=input.discoverable)
