"""Results of surveys by occasion, month, tier or community, of no group so small that it would tell on its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, func
from sqlalchemy import select as sql_select
from sqlmodel import col

from core.db import Session
from core.errors import BadUserInput
from service.survey_figures import (
    FEWEST_ANSWERS,
    LEAST_PROMOTER,
    LEAST_SATISFIED,
    MOST_DETRACTOR,
    Promotion,
    Satisfaction,
)
from service.survey_rows import Survey, SurveyKind, SurveyOccasion

LONGEST_PERIOD = timedelta(days=731)
MOST_GROUPS = 200


class PeriodInvalid(BadUserInput):
    code = "SURVEY_PERIOD_INVALID"
    en = "The period is not valid."
    zh = "统计期间无效。"


class ResultGroup(StrEnum):
    """By what results are told apart."""

    ALL = "ALL"
    OCCASION = "OCCASION"
    MONTH = "MONTH"
    TIER = "TIER"
    COMMUNITY = "COMMUNITY"


GROUPED: dict[ResultGroup, Any] = {
    ResultGroup.OCCASION: col(Survey.occasion),
    ResultGroup.MONTH: col(Survey.answered_month),
    ResultGroup.TIER: col(Survey.tier),
    ResultGroup.COMMUNITY: col(Survey.community_id),
}


@dataclass(frozen=True, slots=True)
class Result:
    """The answers of one group; `key` is what it is called, None for all, or for those that belong to none."""

    key: str | None
    promotion: Promotion | None
    satisfaction: Satisfaction | None

    @property
    def answers(self) -> int:
        return (self.promotion or self.satisfaction or Promotion(0, 0, 0)).answers


@dataclass(frozen=True, slots=True)
class Results:
    """What may be told, and how many answers belong to groups of which nothing is told."""

    groups: Sequence[Result]
    hidden: int


def check_period(since: datetime, until: datetime, *, longest: timedelta = LONGEST_PERIOD) -> None:
    """Raise PeriodInvalid for a period that ends before it begins or is too long to be counted at once."""
    if not timedelta(0) < until - since <= longest:
        raise PeriodInvalid(path=("until",), detail=f"after `since`, by {longest.days} days at most")


async def survey_results(
    session: Session,
    kind: SurveyKind,
    *,
    since: datetime,
    until: datetime,
    occasion: SurveyOccasion | None,
    by: ResultGroup,
) -> Results:
    """The results of what was answered in a period, its end exclusive; raises PeriodInvalid."""
    check_period(since, until)
    where: list[ColumnElement[bool]] = [
        col(Survey.kind) == kind,
        col(Survey.answered_at) >= since,
        col(Survey.answered_at) < until,
    ]
    if occasion is not None:
        where.append(col(Survey.occasion) == occasion)
    connection = await session.connection()
    total = (await connection.execute(sql_select(func.count()).where(*where))).scalar_one()
    key = GROUPED.get(by)
    statement = sql_select(*figures_of(col(Survey.score))).where(*where).having(func.count() >= FEWEST_ANSWERS)
    if key is not None:
        statement = statement.add_columns(key.label("key")).group_by(key)
    rows = (await connection.execute(statement.order_by(func.count().desc()).limit(MOST_GROUPS))).all()
    shown = [result_of(kind, row, None if key is None or row.key is None else str(row.key)) for row in rows]
    return without_telling_rest(shown, total)


def figures_of(score: Any) -> list[ColumnElement[Any]]:
    """Counts and sums of a group of answers by the column of their scores."""
    return [
        func.count().label("answers"),
        func.coalesce(func.sum(score), 0).label("total"),
        counted(score >= LEAST_PROMOTER).label("promoters"),
        counted(score <= MOST_DETRACTOR).label("detractors"),
        counted(score >= LEAST_SATISFIED).label("satisfied"),
    ]


def counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def result_of(kind: SurveyKind, row: Any, key: str | None) -> Result:
    if kind == SurveyKind.NPS:
        return Result(key, Promotion(row.answers, row.promoters, row.detractors), None)
    return Result(key, None, Satisfaction(row.answers, row.satisfied, int(row.total)))


def without_telling_rest(shown: list[Result], total: int) -> Results:
    """Leave out the smallest group, too, where the rest could be computed from the whole and is as small as that."""
    kept = sorted(shown, key=lambda one: (-one.answers, one.key or ""))
    hidden = total - sum(one.answers for one in kept)
    if kept and 0 < hidden < FEWEST_ANSWERS:
        hidden += kept.pop().answers
    return Results(sorted(kept, key=lambda one: one.key or ""), hidden)
