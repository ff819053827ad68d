"""Figures of the service over a period: breaks and their repair, what it does to satisfaction, complaints, follow-ups.

Each is an aggregate that the database makes over the rows of the period. A break belongs to the period in which it was
found, an answer to that in which it was given, a fact to that in which it happened; ends are exclusive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import case, func
from sqlalchemy import select as sql_select

from core.db import Session, table_of
from core.fact_kinds import (
    COMPLAINT_CLOSED,
    COMPLAINT_FILED,
    COMPLAINT_FIRST_RESPONSE_LATE,
    FOLLOW_UP_MISSED,
    INTERACTION_LOGGED,
)
from core.facts import Fact
from service.breaks import BreakStatus, ServiceBreak
from service.survey_figures import FEWEST_ANSWERS
from service.survey_results import Result, check_period, counted, figures_of, result_of, without_telling_rest
from service.survey_rows import Survey, SurveyKind

LONGEST_KPI_PERIOD = timedelta(days=366)
COUNTED_KINDS = (
    COMPLAINT_FILED,
    COMPLAINT_CLOSED,
    COMPLAINT_FIRST_RESPONSE_LATE,
    INTERACTION_LOGGED,
    FOLLOW_UP_MISSED,
)


class Repair(StrEnum):
    """How it stood, when somebody answered, with the breaks of which their answer is the first since.

    REPAIRED: all were recovered before. UNREPAIRED: at least one was not. NONE: there was no break.
    """

    REPAIRED = "REPAIRED"
    UNREPAIRED = "UNREPAIRED"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class BreaksOfRule:
    """The breaks of one rule that were found in the period, by how they stand now."""

    rule_id: str
    found: int
    open: int
    recovered: int
    expired: int
    in_time: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class Kpis:
    """All figures of a period; results of fewer than five answers are left out."""

    breaks: Sequence[BreaksOfRule]
    satisfaction: Mapping[tuple[SurveyKind, Repair], Result]
    invited: int
    answered: int
    facts: Mapping[str, int]


async def program_kpis(session: Session, *, since: datetime, until: datetime) -> Kpis:
    """The figures of a period of 366 days at most; raises PeriodInvalid."""
    check_period(since, until, longest=LONGEST_KPI_PERIOD)
    invited, answered = await response(session, since, until)
    return Kpis(
        breaks=await breaks_by_rule(session, since, until),
        satisfaction=await satisfaction_by_repair(session, since, until),
        invited=invited,
        answered=answered,
        facts=await facts_by_kind(session, since, until),
    )


async def breaks_by_rule(session: Session, since: datetime, until: datetime) -> list[BreaksOfRule]:
    row = table_of(ServiceBreak).c
    within = (row.opened_at >= since) & (row.opened_at < until)
    is_recovered = row.status == BreakStatus.RECOVERED
    counts = (
        sql_select(
            row.rule_id,
            func.count().label("found"),
            counted(row.status == BreakStatus.OPEN).label("open"),
            counted(is_recovered).label("recovered"),
            counted(row.status == BreakStatus.EXPIRED).label("expired"),
            counted(is_recovered & (row.ended_at <= row.due_at)).label("in_time"),
        )
        .where(within)
        .group_by(row.rule_id)
        .order_by(row.rule_id)
    )
    connection = await session.connection()
    rows = (await connection.execute(counts)).all()
    medians = await median_repairs(session, within & is_recovered) if rows else {}
    return [
        BreaksOfRule(
            one.rule_id, one.found, one.open, one.recovered, one.expired, one.in_time, medians.get(one.rule_id)
        )
        for one in rows
    ]


async def median_repairs(session: Session, which: Any) -> dict[str, float]:
    """The median of the time to repair, by rule: the middle one of all, or the mean of the middle two."""
    row = table_of(ServiceBreak).c
    over: dict[str, Any] = {"partition_by": row.rule_id}
    ranked = (
        sql_select(
            row.rule_id,
            row.repair_seconds,
            func.row_number().over(order_by=(row.repair_seconds, row.id), **over).label("place"),
            func.count().over(**over).label("count"),
        )
        .where(which)
        .subquery()
    )
    # Of n the places 2p = n, n + 1 and n + 2 are the middle: one of them where n is odd, two where it is even.
    middle = (2 * ranked.c.place >= ranked.c.count) & (2 * ranked.c.place <= ranked.c.count + 2)
    statement = sql_select(ranked.c.rule_id, func.avg(ranked.c.repair_seconds).label("median")).where(middle)
    rows = (await (await session.connection()).execute(statement.group_by(ranked.c.rule_id))).all()
    return {one.rule_id: float(one.median) for one in rows}


async def satisfaction_by_repair(
    session: Session, since: datetime, until: datetime
) -> dict[tuple[SurveyKind, Repair], Result]:
    """What was answered, apart by whether the breaks before it were repaired by then."""
    broken, survey = table_of(ServiceBreak).c, table_of(Survey).c
    is_repaired = (broken.status == BreakStatus.RECOVERED) & (broken.ended_at <= survey.answered_at)
    # The breaks of each answer, by the index of what links them: none, all repaired, or not all.
    unrepaired = sql_select(func.min(case((is_repaired, 1), else_=0))).where(broken.next_survey_id == survey.id)
    stands = case(
        (unrepaired.correlate(table_of(Survey)).scalar_subquery() == 0, Repair.UNREPAIRED.value),
        (unrepaired.correlate(table_of(Survey)).scalar_subquery() == 1, Repair.REPAIRED.value),
        else_=Repair.NONE.value,
    )
    answers = (
        sql_select(survey.kind, survey.score, stands.label("repair"))
        .where(survey.answered_at >= since, survey.answered_at < until)
        .subquery()
    )
    statement = sql_select(*figures_of(answers.c.score), answers.c.kind, answers.c.repair)
    rows = (await (await session.connection()).execute(statement.group_by(answers.c.kind, answers.c.repair))).all()
    found: dict[tuple[SurveyKind, Repair], Result] = {}
    for kind in SurveyKind:
        of_kind = [result_of(kind, row, row.repair) for row in rows if row.kind == kind]
        shown = [one for one in of_kind if one.answers >= FEWEST_ANSWERS]
        told = without_telling_rest(shown, sum(one.answers for one in of_kind)).groups
        found |= {(kind, Repair(one.key)): one for one in told}
    return found


async def response(session: Session, since: datetime, until: datetime) -> tuple[int, int]:
    """How many were invited in the period, and how many of those have answered by now."""
    survey = table_of(Survey).c
    statement = sql_select(func.count(), func.count(survey.answered_at)).where(
        survey.invited_at >= since, survey.invited_at < until
    )
    invited, answered = (await (await session.connection()).execute(statement)).one()
    return invited, answered


async def facts_by_kind(session: Session, since: datetime, until: datetime) -> dict[str, int]:
    fact = table_of(Fact).c
    statement = (
        sql_select(fact.kind, func.count())
        .where(fact.kind.in_(COUNTED_KINDS), fact.occurred_at >= since, fact.occurred_at < until)
        .group_by(fact.kind)
    )
    rows = (await (await session.connection()).execute(statement)).all()
    return dict.fromkeys(COUNTED_KINDS, 0) | {kind: count for kind, count in rows}
