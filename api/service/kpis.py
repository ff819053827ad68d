"""Figures of the service over a period, each with what it means."""

import strawberry

from api.context import Info
from api.customers.looked_after import staff
from api.service.break_rules import ServiceBreakRule, load_break_rule
from api.service.survey_results import Since, SurveyResult, Until, result_of
from core.fact_kinds import (
    COMPLAINT_CLOSED,
    COMPLAINT_FILED,
    COMPLAINT_FIRST_RESPONSE_LATE,
    FOLLOW_UP_MISSED,
    INTERACTION_LOGGED,
)
from service.kpis import BreaksOfRule, Kpis, Repair, program_kpis
from service.survey_rows import SurveyKind

strawberry.enum(
    Repair,
    name="ServiceRepair",
    description="Of an answer that is the first within 90 days after breaks: REPAIRED, all of them were recovered "
    "before it; UNREPAIRED, at least one was not. NONE: there was no break.",
)


@strawberry.type(description="The breaks that one rule found in the period, by how they stand now.")
class ServiceBreakKpi:
    found: int = strawberry.field(description="How many were found.")
    open: int = strawberry.field(description="How many of those wait for their repair.")
    recovered: int = strawberry.field(description="How many of those are repaired.")
    expired: int = strawberry.field(description="How many of those were given up.")
    recovered_in_time: int = strawberry.field(
        description="How many of those were repaired when they were due, or before."
    )
    in_time_percent: float = strawberry.field(description="Per cent of all that were found that were repaired in time.")
    median_hours_to_recovery: float | None = strawberry.field(
        description="Hours from the finding to the repair, the median of those that are repaired; null: none is."
    )
    rule_local: strawberry.Private[str]

    @strawberry.field(description="The rule.")
    async def rule(self, info: Info) -> ServiceBreakRule | None:
        return await load_break_rule(info, self.rule_local)


@strawberry.type(description="What was answered in the period by whether breaks were repaired before; at least five.")
class RepairedSatisfaction:
    kind: SurveyKind = strawberry.field(description="What was asked.")
    repair: Repair = strawberry.field(description="How it stood with the breaks before the answer.")
    result: SurveyResult = strawberry.field(description="The answers, each counted once.")


@strawberry.type(description="Surveys to which customers were invited in the period.")
class SurveyResponse:
    invited: int = strawberry.field(description="How many were sent.")
    answered: int = strawberry.field(description="How many of those are answered by now.")
    response_percent: float | None = strawberry.field(description="Per cent of them; null where none was sent.")


@strawberry.type(description="Complaints, by the facts that happened in the period.")
class ComplaintKpi:
    filed: int = strawberry.field(description="How many were filed (COMPLAINT_FILED).")
    closed: int = strawberry.field(description="How many were closed (COMPLAINT_CLOSED).")
    first_response_late: int = strawberry.field(
        description="Of how many the first response was late (COMPLAINT_FIRST_RESPONSE_LATE)."
    )


@strawberry.type(description="Contacts and follow-ups, by the facts that happened in the period.")
class FollowUpKpi:
    done: int = strawberry.field(description="How many contacts were logged (INTERACTION_LOGGED).")
    missed: int = strawberry.field(description="How many follow-ups were missed (FOLLOW_UP_MISSED).")
    done_percent: float | None = strawberry.field(
        description="Per cent of both that were done; null: there was neither."
    )


@strawberry.type(description="How well promises were kept in a period.")
class ProgramKpis:
    service_breaks: list[ServiceBreakKpi] = strawberry.field(
        description="By rule; those that found nothing are left out."
    )
    satisfaction: list[RepairedSatisfaction] = strawberry.field(
        description="Repaired against unrepaired; groups of fewer than five, and what would betray them, are left out."
    )
    surveys: SurveyResponse = strawberry.field(description="Who answered.")
    complaints: ComplaintKpi = strawberry.field(description="How complaints were kept within their promises.")
    follow_ups: FollowUpKpi = strawberry.field(description="How many contacts that customers were owed came about.")


def percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def break_kpi_of(row: BreaksOfRule) -> ServiceBreakKpi:
    return ServiceBreakKpi(
        found=row.found,
        open=row.open,
        recovered=row.recovered,
        expired=row.expired,
        recovered_in_time=row.in_time,
        in_time_percent=100 * row.in_time / row.found,
        median_hours_to_recovery=None if row.median_seconds is None else row.median_seconds / 3_600,
        rule_local=row.rule_id,
    )


def kpis_of(found: Kpis) -> ProgramKpis:
    facts = found.facts
    done, missed = facts[INTERACTION_LOGGED], facts[FOLLOW_UP_MISSED]
    return ProgramKpis(
        service_breaks=[break_kpi_of(row) for row in found.breaks],
        satisfaction=[
            RepairedSatisfaction(kind=kind, repair=repair, result=result_of(result, repair))
            for (kind, repair), result in sorted(found.satisfaction.items())
        ],
        surveys=SurveyResponse(
            invited=found.invited,
            answered=found.answered,
            response_percent=percent(found.answered, found.invited),
        ),
        complaints=ComplaintKpi(
            filed=facts[COMPLAINT_FILED],
            closed=facts[COMPLAINT_CLOSED],
            first_response_late=facts[COMPLAINT_FIRST_RESPONSE_LATE],
        ),
        follow_ups=FollowUpKpi(done=done, missed=missed, done_percent=percent(done, done + missed)),
    )


@strawberry.type
class KpiQueries:
    @strawberry.field(
        description="How well promises were kept in a period of 366 days at most; for the bank's people. A break "
        "belongs to the period in which it was found, an answer to that in which it was given, a fact to that in which "
        "it happened."
    )
    async def program_kpis(self, info: Info, since: Since, until: Until) -> ProgramKpis:
        staff(info)
        async with info.context.database.read() as session:
            return kpis_of(await program_kpis(session, since=since, until=until))
