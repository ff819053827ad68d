"""Recommended communities with their reasons, read from what the worker stored."""

from typing import Any

import strawberry

from api.community.communities import Community, community_of
from api.context import Info
from api.relay import PageInfo, global_id, page_info
from community.recommendations import recommended_communities
from graph.client import Row


@strawberry.interface(description="Why a community is recommended.")
class RecommendationReason:
    words: strawberry.Private[str]

    @strawberry.field(description="A sentence in the language of the request.")
    async def text(self, info: Info) -> str:
        return self.words


@strawberry.type(description="You share interests with it.")
class SharedTagsReason(RecommendationReason):
    tags: list[str] = strawberry.field(description="Keys of the tags in common.")
    community_local: strawberry.Private[str]

    @strawberry.field(description="A sentence in the language of the request.")
    async def text(self, info: Info) -> str:
        # A tag that the community has lost since is named by its key.
        rows = await info.context.loaders.community_tags.load(self.community_local)
        names = {row["key"]: info.context.text(row, "name") for row in rows}
        comma = "、" if info.context.language == "zh" else ", "
        return self.words.format(names=comma.join(names.get(key) or key for key in self.tags))


@strawberry.type(description="Members of your communities are there too.")
class CoMembersReason(RecommendationReason):
    community_ids: list[strawberry.ID] = strawberry.field(description="The communities of yours that it is close to.")


@strawberry.type(description="People whom you know are members.")
class AcquaintancesReason(RecommendationReason):
    count: int | None = strawberry.field(description="How many; null where the number would say too much.")


@strawberry.type(description="People whom you referred are members.")
class ReferralTiesReason(RecommendationReason):
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="Many people like it.")
class PopularReason(RecommendationReason):
    pass


@strawberry.type(description="A recommended community.")
class RecommendedCommunityEdge:
    cursor: str = strawberry.field(description="Marks its place.")
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
    "POPULAR": ("很受欢迎", "Popular with many customers"),
}


def reason_of(reason: dict[str, Any], community_id: str, info: Info) -> RecommendationReason:
    """The stored reason of this community in its type."""
    kind = reason["kind"]
    words = "ONE_REFERRAL_TIE" if kind == "REFERRAL_TIES" and reason["count"] == 1 else kind
    template = WORDS[words][0 if info.context.language == "zh" else 1]
    if kind == "SHARED_TAGS":
        return SharedTagsReason(words=template, tags=reason["tags"], community_local=community_id)
    text = template.format(count=reason.get("count"))
    if kind == "CO_MEMBERS":
        ids = [global_id("Community", community) for community in reason["community_ids"]]
        return CoMembersReason(words=text, community_ids=ids)
    if kind == "ACQUAINTANCES":
        return AcquaintancesReason(words=text, count=reason.get("count"))
    if kind == "REFERRAL_TIES":
        return ReferralTiesReason(words=text, count=reason["count"])
    return PopularReason(words=text)


async def recommendation_page(
    info: Info, tag: str | None, first: int | None, after: str | None
) -> RecommendedCommunityConnection:
    """The viewer's stored list; somebody without a profile gets what is popular."""
    customer_id = await info.context.viewer_id() or ""
    page = await recommended_communities(info.context.graph, customer_id, tag=tag, first=first, after=after)
    communities = await info.context.loaders.communities.load_many([row["community_id"] for row in page.rows])
    edges = [
        edge_of(cursor, row, community, info)
        for cursor, row, found in zip(page.cursors, page.rows, communities, strict=True)
        if (community := community_of(found, info)) is not None
    ]
    return RecommendedCommunityConnection(edges=edges, page_info=page_info(page, after))


def edge_of(cursor: str, row: Row, community: Community, info: Info) -> RecommendedCommunityEdge:
    reasons = [reason_of(reason, community.local, info) for reason in row["reasons"]]
    return RecommendedCommunityEdge(cursor=cursor, node=community, score=row["score"], reasons=reasons)
