"""Recommended communities with their reasons, read from what the worker stored."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import strawberry

from api.community.communities import Community, community_of
from api.context import Info
from api.customers.profiles import tags_of
from api.relay import Mark, PageInfo, global_id, page_info
from community.recommendation_exposures import Shown, strongest, variant_shown
from community.recommendation_lists import recommended_communities
from graph.client import Row


@strawberry.interface(description="Why something is recommended.")
class RecommendationReason:
    words: strawberry.Private[str]

    @strawberry.field(description="A sentence in the language of the request.")
    def text(self) -> str:
        return self.words


@strawberry.type(description="You share interests with it.")
class SharedTagsReason(RecommendationReason):
    tags: list[str] = strawberry.field(description="Keys of the tags in common.")


@strawberry.type(description="Members of your communities are there too.")
class CoMembersReason(RecommendationReason):
    community_ids: list[strawberry.ID] = strawberry.field(description="The communities of yours that it is close to.")


@strawberry.type(description="People whom you know are there.")
class AcquaintancesReason(RecommendationReason):
    count: int | None = strawberry.field(description="How many; null where the number would say too much.")


@strawberry.type(description="People whom you referred are there.")
class ReferralTiesReason(RecommendationReason):
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="Many people like it.")
class PopularReason(RecommendationReason):
    pass


@strawberry.type(description="It is by a community of yours.")
class OwnCommunityReason(RecommendationReason):
    community_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.type(
    description="An event is near to the place that you named; a community usually meets near to where yours do."
)
class NearbyReason(RecommendationReason):
    kilometres: int = strawberry.field(description="How far at most; of communities in steps of 25.")


@strawberry.type(description="You belong to the same communities.")
class SharedCommunitiesReason(RecommendationReason):
    community_ids: list[strawberry.ID] = strawberry.field(description="Some of them, the smallest first.")
    count: int = strawberry.field(description="How many of your smaller communities.")


@strawberry.type(description="You know the same people.")
class MutualAcquaintancesReason(RecommendationReason):
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="A recommended community.")
class RecommendedCommunityEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks its place.")
    node: Community = strawberry.field(description="The community.")
    score: float = strawberry.field(description="How well it fits; comparable within one list only.")
    reasons: list[RecommendationReason] = strawberry.field(description="The strongest reasons first.")


@strawberry.type(description="A page of recommended communities, the best first.")
class RecommendedCommunityConnection:
    edges: list[RecommendedCommunityEdge] = strawberry.field(description="The communities of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


WORDS = {
    "SHARED_TAGS": ("与您的兴趣相符：{names}", "It fits your interests: {names}"),
    "CO_MEMBERS": ("您所在社群的成员也在这里", "Members of your communities are here too"),
    "ACQUAINTANCES": ("您认识的人也在这里", "People you know are members"),
    "REFERRAL_TIES": ("您推荐的 {count} 位朋友已加入", "{count} people you invited are members"),
    "ONE_REFERRAL_TIE": ("您推荐的 1 位朋友已加入", "Somebody you invited is a member"),
    "NEARBY": (
        "常聚地点距您所在的社群不超过 {kilometres} 公里",
        "It usually meets within {kilometres} km of your communities",
    ),
    "POPULAR": ("很受欢迎", "Popular with many customers"),
}


def reason_of(reason: dict[str, Any], about: Sequence[Row], info: Info) -> RecommendationReason:
    """The stored reason in its type; the community is `about` these tags."""
    kind = reason["kind"]
    words = "ONE_REFERRAL_TIE" if kind == "REFERRAL_TIES" and reason["count"] == 1 else kind
    template = worded(WORDS[words], info)
    if kind == "SHARED_TAGS":
        names = {tag["key"]: info.context.text(tag, "name") for tag in about}
        return shared_tags(template, reason["tags"], names, info)
    text = template.format(count=reason.get("count"), kilometres=reason.get("kilometres"))
    if kind == "CO_MEMBERS":
        ids = [global_id("Community", community) for community in reason["community_ids"]]
        return CoMembersReason(words=text, community_ids=ids)
    if kind == "ACQUAINTANCES":
        return AcquaintancesReason(words=text, count=reason.get("count"))
    if kind == "REFERRAL_TIES":
        return ReferralTiesReason(words=text, count=reason["count"])
    if kind == "NEARBY":
        return NearbyReason(words=text, kilometres=reason["kilometres"])
    return PopularReason(words=text)


def worded(words: tuple[str, str], info: Info) -> str:
    """The Chinese or the English of a pair."""
    return words[0 if info.context.language == "zh" else 1]


def shared_tags(template: str, keys: list[str], names: Mapping[str, str], info: Info) -> SharedTagsReason:
    """The reason with the names of its tags; one that the thing has lost since is named by its key."""
    comma = "、" if info.context.language == "zh" else ", "
    text = template.format(names=comma.join(names.get(key) or key for key in keys))
    return SharedTagsReason(words=text, tags=keys)


async def recommendation_page(
    info: Info, tag: str | None, first: int | None, after: str | None
) -> RecommendedCommunityConnection:
    """The viewer's stored list; somebody without a profile gets what is popular."""
    context = info.context
    customer_id = await context.viewer_id() or ""
    page = await recommended_communities(context.graph, customer_id, tag=tag, first=first, after=after)
    edges: list[RecommendedCommunityEdge] = []
    context.loaders.communities.prime_many({row["community_id"]: row["community"] for row in page.rows})
    context.loaders.community_tags.prime_many({row["community_id"]: row["about"] for row in page.rows})
    for cursor, row in zip(page.marks(), page.rows, strict=True):
        community = community_of(row["community"], info)
        if community is not None:
            community.about = partial(tags_of, row["about"], info)
            edges.append(edge_of(cursor, row, community, info))
    if customer_id:
        seen = [
            Shown(row["community_id"], variant_shown(row["variant"]), strongest(row["reasons"])) for row in page.rows
        ]
        context.edge.exposures.show(customer_id, seen, now=context.now)
    return RecommendedCommunityConnection(edges=edges, page_info=page_info(page, after))


def edge_of(cursor: Mark, row: Row, community: Community, info: Info) -> RecommendedCommunityEdge:
    reasons = [reason_of(reason, row["about"], info) for reason in row["reasons"]]
    return RecommendedCommunityEdge(cursor=cursor, node=community, score=row["score"], reasons=reasons)
