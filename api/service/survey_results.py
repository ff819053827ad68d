"""What answers to surveys come to, for the bank's people; nothing is told of fewer than five answers."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import staff
from api.relay import global_id
from service.survey_figures import Interval as Between
from service.survey_results import Result, ResultGroup, survey_results
from service.survey_rows import SurveyKind, SurveyOccasion

strawberry.enum(
    ResultGroup,
    name="SurveyResultGroup",
    description="By what results are told apart: nothing, the occasion, the month of the answer in the bank's zone, "
    "the customer's tier when they answered, or the community of the event.",
)


@strawberry.type(description="Where the true value is, with 95 % confidence.")
class Interval:
    low: float = strawberry.field(description="Not below this.")
    high: float = strawberry.field(description="Not above this.")


@strawberry.type(description="Whether customers would recommend us.")
class NetPromoterScore:
    score: float = strawberry.field(
        description="Per cent of promoters (9, 10) less per cent of detractors (0 to 6), -100 to 100."
    )
    promoters: int = strawberry.field(description="How many answered 9 or 10.")
    passives: int = strawberry.field(description="How many answered 7 or 8.")
    detractors: int = strawberry.field(description="How many answered 0 to 6.")
    interval: Interval = strawberry.field(
        description="Adjusted Wald: Rocks, Interval Estimation for the Net Promoter Score, The American Statistician "
        "70 (2016)."
    )


@strawberry.type(description="How satisfied customers are.")
class CustomerSatisfaction:
    mean: float = strawberry.field(description="The mean of 1 to 5.")
    satisfied_percent: float = strawberry.field(description="Per cent who answered 4 or 5.")
    interval: Interval = strawberry.field(
        description="Of the per cent: Wilson's score interval, Journal of the American Statistical Association 22 "
        "(1927)."
    )


@strawberry.type(description="The answers of one group: at least five.")
class SurveyResult:
    key: str | None = strawberry.field(
        description="The group: an occasion, the first day of a month, a tier, or the global id of a community; null "
        "for all, and for what belongs to no community."
    )
    answers: int = strawberry.field(description="How many answered.")
    nps: NetPromoterScore | None = strawberry.field(description="Null where satisfaction was asked for.")
    csat: CustomerSatisfaction | None = strawberry.field(description="Null where NPS was asked for.")


@strawberry.type(description="Results of surveys.")
class SurveyResults:
    groups: list[SurveyResult] = strawberry.field(description="In the order of their keys, the largest 200 at most.")
    hidden_answers: int = strawberry.field(
        description="How many answers belong to groups of which nothing is told: to those of fewer than five, and to "
        "one more where those could be computed from the rest."
    )


def interval_of(found: Between) -> Interval:
    return Interval(low=found.low, high=found.high)


def result_of(found: Result, key: str | None) -> SurveyResult:
    promotion, satisfaction = found.promotion, found.satisfaction
    return SurveyResult(
        key=key,
        answers=found.answers,
        nps=NetPromoterScore(
            score=promotion.score,
            promoters=promotion.promoters,
            passives=promotion.answers - promotion.promoters - promotion.detractors,
            detractors=promotion.detractors,
            interval=interval_of(promotion.interval),
        )
        if promotion
        else None,
        csat=CustomerSatisfaction(
            mean=satisfaction.mean,
            satisfied_percent=satisfaction.share,
            interval=interval_of(satisfaction.interval),
        )
        if satisfaction
        else None,
    )


def key_of(group: ResultGroup, key: str | None) -> str | None:
    return global_id("Community", key) if key and group == ResultGroup.COMMUNITY else key


Since = Annotated[datetime, strawberry.argument(description="From this instant on.")]
Until = Annotated[datetime, strawberry.argument(description="Up to this instant, exclusive.")]


@strawberry.type
class SurveyResultQueries:
    @strawberry.field(
        description="What answers of a period of two years at most come to; for the bank's people. A group of fewer "
        "than five is not told."
    )
    async def survey_results(
        self,
        info: Info,
        kind: Annotated[SurveyKind, strawberry.argument(description="Of which question.")],
        since: Since,
        until: Until,
        occasion: Annotated[
            SurveyOccasion | None, strawberry.argument(description="Only after these; null: after all.")
        ] = None,
        by: Annotated[ResultGroup, strawberry.argument(description="How they are told apart.")] = ResultGroup.ALL,
    ) -> SurveyResults:
        staff(info)
        async with info.context.database.read() as session:
            found = await survey_results(session, kind, since=since, until=until, occasion=occasion, by=by)
        groups = [result_of(one, key_of(by, one.key)) for one in found.groups]
        return SurveyResults(groups=groups, hidden_answers=found.hidden)
