"""How a community is recommended, for its managers."""

from datetime import date
from typing import Annotated

import strawberry

from api.context import Info
from api.relay import local_id
from community.recommendation_policies import Variant
from community.recommendation_statistics import (
    Figures,
    check_manages,
    recommendation_statistics,
    span_of,
)
from core.errors import NotFound

strawberry.enum(
    Variant,
    name="RecommendationVariant",
    description="By which policy a list was made: the active one, or the one on trial.",
)


@strawberry.type(description="People, each counted once a day; null: fewer than five, or what would tell of so few.")
class RecommendationFigures:
    shown: int | None = strawberry.field(description="How many were shown it among their recommendations.")
    opened: int | None = strawberry.field(description="How many of them opened it from there.")
    joined: int | None = strawberry.field(description="How many joined within 30 days after that.")


@strawberry.type(description="The figures of one day.")
class RecommendationDay:
    day: date = strawberry.field(description="The day, of UTC.")
    figures: RecommendationFigures = strawberry.field(description="Its figures.")


@strawberry.type(description="The figures of one variant.")
class RecommendationVariantFigures:
    variant: Variant = strawberry.field(description="Which.")
    figures: RecommendationFigures = strawberry.field(description="Its figures.")


@strawberry.type(description="The figures by the strongest reason.")
class RecommendationReasonFigures:
    kind: str = strawberry.field(description="The kind of reason, such as SHARED_TAGS.")
    figures: RecommendationFigures = strawberry.field(description="Its figures.")


@strawberry.type(description="How a community was recommended on some days; nothing in it names anybody.")
class RecommendationStatistics:
    since: date = strawberry.field(description="The first day.")
    until: date = strawberry.field(description="The last day.")
    total: RecommendationFigures = strawberry.field(description="Over all days.")
    days: list[RecommendationDay] = strawberry.field(description="By day, without days on which nothing was counted.")
    variants: list[RecommendationVariantFigures] = strawberry.field(description="By the policy behind the list.")
    reasons: list[RecommendationReasonFigures] = strawberry.field(description="By the reason that came first.")


def figures_of(found: Figures) -> RecommendationFigures:
    return RecommendationFigures(shown=found.shown, opened=found.opened, joined=found.joined)


Since = Annotated[date | None, strawberry.argument(description="The first day; default: 29 days before the last.")]
Until = Annotated[date | None, strawberry.argument(description="The last day; default: today, of UTC.")]


@strawberry.type
class RecommendationStatisticsQueries:
    @strawberry.field(
        description="How and why a community is recommended; null for anybody but its managers and administrators. "
        "What was counted is here within seconds."
    )
    async def recommendation_statistics(
        self,
        info: Info,
        community_id: Annotated[
            strawberry.ID, strawberry.argument(description="Global id of the community that was recommended.")
        ],
        since: Since = None,
        until: Until = None,
    ) -> RecommendationStatistics | None:
        context = info.context
        principal = context.signed_in()
        local = local_id("Community", community_id, "communityId")
        first, last = span_of(since, until, now=context.now)
        manager_id = await context.viewer_id() or ""
        try:
            await check_manages(context.graph, local, manager_id, is_administrator=principal.is_administrator)
        except NotFound:
            return None
        async with context.database.read() as session:
            found = await recommendation_statistics(session, local, since=first, until=last)
        return RecommendationStatistics(
            since=first,
            until=last,
            total=figures_of(found.total),
            days=[RecommendationDay(day=day, figures=figures_of(one)) for day, one in found.days.items()],
            variants=[
                RecommendationVariantFigures(variant=Variant(name), figures=figures_of(one))
                for name, one in found.variants.items()
            ],
            reasons=[
                RecommendationReasonFigures(kind=name, figures=figures_of(one)) for name, one in found.reasons.items()
            ],
        )
