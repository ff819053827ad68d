"""Events that are recommended, with their reasons."""

from typing import Any

import strawberry

from api.community.discovery import NearInput, area_of
from api.community.events import Event, event_of
from api.community.recommendations import (
    AcquaintancesReason,
    NearbyReason,
    OwnCommunityReason,
    RecommendationReason,
    ReferralTiesReason,
    shared_tags,
    worded,
)
from api.context import Info
from api.relay import Mark, PageInfo, global_id, page_info
from community.recommended_events import recommended_events


@strawberry.type(description="A recommended event.")
class RecommendedEventEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks its place.")
    node: Event = strawberry.field(description="The event.")
    score: float = strawberry.field(description="How well it fits; comparable within one list only.")
    reasons: list[RecommendationReason] = strawberry.field(description="The strongest reasons first.")


@strawberry.type(description="A page of recommended events, the best first.")
class RecommendedEventConnection:
    edges: list[RecommendedEventEdge] = strawberry.field(description="The events of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


WORDS = {
    "OWN_COMMUNITY": ("由您所在的社群举办", "It is by a community of yours"),
    "SHARED_TAGS": ("与您的兴趣相符：{names}", "It fits your interests: {names}"),
    "ACQUAINTANCES": ("您认识的 {count} 人将参加", "{count} people you know are coming"),
    "REFERRAL_TIES": ("您推荐的 {count} 位朋友将参加", "{count} people you invited are coming"),
    "ONE_REFERRAL_TIE": ("您推荐的 1 位朋友将参加", "Somebody you invited is coming"),
    "NEARBY": ("距离不超过 {count} 公里", "No farther than {count} km"),
}


def event_reason(reason: dict[str, Any], info: Info) -> RecommendationReason:
    """A reason in its type."""
    kind, count = reason["kind"], reason.get("count") or reason.get("kilometres") or 0
    template = worded(WORDS["ONE_REFERRAL_TIE" if kind == "REFERRAL_TIES" and count == 1 else kind], info)
    if kind == "SHARED_TAGS":
        names = {tag["key"]: info.context.text(tag, "name") for tag in reason["named"]}
        return shared_tags(template, list(names), names, info)
    text = template.format(count=count)
    if kind == "OWN_COMMUNITY":
        return OwnCommunityReason(words=text, community_id=global_id("Community", reason["community_id"]))
    if kind == "ACQUAINTANCES":
        return AcquaintancesReason(words=text, count=count)
    if kind == "REFERRAL_TIES":
        return ReferralTiesReason(words=text, count=count)
    return NearbyReason(words=text, kilometres=count)


async def recommended_event_page(
    info: Info, near: NearInput | None, first: int | None, after: str | None
) -> RecommendedEventConnection:
    """What the viewer might like to come to; somebody without a profile has no reasons, and so no events."""
    context = info.context
    area = area_of(near)
    if area is not None:
        area.check()
    page = await recommended_events(
        context.graph, await context.viewer_id() or "", near=area, first=first, after=after, now=context.now
    )
    rows = await context.loaders.events.load_many([found.id for found in page.rows])
    edges = [
        RecommendedEventEdge(
            cursor=cursor,
            node=event,
            score=found.score,
            reasons=[event_reason(reason, info) for reason in found.reasons],
        )
        for cursor, found, row in zip(page.marks(), page.rows, rows, strict=True)
        if (event := event_of(row, info)) is not None
    ]
    return RecommendedEventConnection(edges=edges, page_info=page_info(page, after))
