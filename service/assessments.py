"""Risk assessments: a customer answers the active questionnaire, which holds for twelve months.

How often is limited, by days of the bank's time zone: so many on one day, and so many on the days of the months that
end today. Whoever takes one holds the customer's guard row first, so that the limits hold for any number of writers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Index
from sqlmodel import Field, col, func, select

from core.days import add_months, day_of, start_of_day
from core.db import Record, Session, insert_into, insert_rows, instant, json_column, table_of, zone_of
from core.errors import Refusal
from core.ids import new_id
from core.outbox import owe
from core.paging import Page, Place, cut, newest_first, page_size
from service.questionnaire_definition import QuestionnaireDefinition, assess
from service.risk_questionnaires import QuestionnaireStatus, RiskQuestionnaire, RiskQuestionnaireRetired
from service.suitability import Assessed, Liquidity, RiskClass

# The topic of somebody who was assessed: what they hold is looked at.
RISK_CLASS_CHANGED = "risk.class_changed"
LONGEST_HORIZON = 600


class AssessmentsOfDayUsed(Refusal):
    code = "ASSESSMENTS_OF_DAY_USED"
    en = "No more risk assessments are possible today."
    zh = "今日风险评估次数已用完。"


class AssessmentsOfPeriodUsed(Refusal):
    code = "ASSESSMENTS_OF_PERIOD_USED"
    en = "No more risk assessments are possible for now."
    zh = "近期风险评估次数已用完。"


class HorizonInvalid(Refusal):
    code = "HORIZON_INVALID"
    en = "For how long money can stay is 0 to 600 months."
    zh = "可投资期限须为0至600个月。"


class InteractionNeeded(Refusal):
    code = "INTERACTION_NEEDED"
    en = "Staff note answers only as the customer gives them: say in what kind of conversation."
    zh = "员工仅可记录客户本人当面或通话中作出的回答，请注明沟通方式。"


class InteractionType(StrEnum):
    """In what conversation a customer gave their answers to somebody of the bank, who noted them."""

    BRANCH = "BRANCH"
    VISIT = "VISIT"
    VIDEO = "VIDEO"
    PHONE = "PHONE"


class RiskAssessment(Record, table=True):
    """One assessment, which never changes; `entered_by` is the employee who noted the answers, null: the customer."""

    __table_args__ = (Index("ix_risk_assessment_customer", "customer_id", "taken_at", "id"),)

    id: str = Field(primary_key=True)
    customer_id: str
    questionnaire_id: str = Field(foreign_key="risk_questionnaire.id")
    answers: dict[str, Any] = json_column()
    score: int
    risk_class: str
    horizon_months: int
    liquidity_need: str
    interaction: str | None = None
    entered_by: str | None = None
    taken_at: datetime = instant()
    expires_at: datetime = instant()

    def assessed(self) -> Assessed:
        return Assessed(
            self.id, RiskClass(self.risk_class), self.expires_at, self.horizon_months, Liquidity(self.liquidity_need)
        )


class AssessmentGuard(Record, table=True):
    """What whoever assesses or advises a customer writes to first, so that one comes after the other."""

    customer_id: str = Field(primary_key=True)
    last_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Answered:
    """What a customer says: answers by questions, for how long money can stay, how late it may come back."""

    questionnaire_id: str
    answers: Mapping[str, str]
    horizon_months: int
    liquidity_need: Liquidity
    interaction: InteractionType | None = None
    entered_by: str | None = None


async def assess_suitability(session: Session, customer_id: str, said: Answered, *, now: datetime) -> RiskAssessment:
    """Assess a customer by the active questionnaire, and owe the look at what they hold.

    Raises InteractionNeeded, RiskQuestionnaireRetired, AnswersInvalid, HorizonInvalid, and the limits' refusals.
    """
    if said.entered_by is not None and said.interaction is None:
        raise InteractionNeeded(path=("interactionType",))
    if not 0 <= said.horizon_months <= LONGEST_HORIZON:
        raise HorizonInvalid(path=("horizonMonths",))
    questionnaire = await session.get(RiskQuestionnaire, said.questionnaire_id, populate_existing=True)
    if questionnaire is None or questionnaire.status != QuestionnaireStatus.ACTIVE:
        raise RiskQuestionnaireRetired(path=("questionnaireId",))
    definition, zone = questionnaire.parsed(), zone_of(session)
    score, risk_class = assess(definition, said.answers)
    await hold_guard(session, customer_id, now=now)
    await check_limits(session, customer_id, definition, zone=zone, now=now)
    row = RiskAssessment(
        id=new_id(),
        customer_id=customer_id,
        questionnaire_id=questionnaire.id,
        answers=dict(said.answers),
        score=score,
        risk_class=risk_class,
        horizon_months=said.horizon_months,
        liquidity_need=said.liquidity_need,
        interaction=said.interaction if said.entered_by else None,
        entered_by=said.entered_by,
        taken_at=now,
        expires_at=expiry_of(now, definition.valid_months, zone),
    )
    session.add(row)
    await session.flush()
    await owe(session, topic=RISK_CLASS_CHANGED, key=row.id, payload={"customer_id": customer_id}, now=now)
    return row


async def hold_guard(session: Session, *customer_ids: str, now: datetime) -> None:
    """Write to the guards of customers: whoever assesses one of them, or looks at what they hold, waits here until
    this transaction has ended.
    """
    put, guard = insert_into(session, AssessmentGuard), table_of(AssessmentGuard).c
    held = put.on_conflict_do_update(index_elements=["customer_id"], set_={"last_at": put.excluded.last_at})
    rows = [{"customer_id": one, "last_at": now} for one in sorted(set(customer_ids))]
    await insert_rows(session, held.returning(guard.customer_id), rows)


async def check_limits(
    session: Session, customer_id: str, definition: QuestionnaireDefinition, *, zone: str, now: datetime
) -> None:
    """Raise where as many assessments as there may be were taken today, or on the days of the period."""
    today = day_of(now, zone)
    day = start_of_day(today, zone)
    period = start_of_day(add_months(today, -definition.period_months) + timedelta(days=1), zone)
    taken = select(RiskAssessment.taken_at).where(
        RiskAssessment.customer_id == customer_id, RiskAssessment.taken_at >= min(day, period)
    )
    instants = (await session.exec(taken.limit(definition.most_in_period + definition.most_a_day))).all()
    if sum(one >= period for one in instants) >= definition.most_in_period:
        detail = f"{definition.most_in_period} / {definition.period_months} months"
        raise AssessmentsOfPeriodUsed(detail=detail)
    if sum(one >= day for one in instants) >= definition.most_a_day:
        raise AssessmentsOfDayUsed(detail=f"{definition.most_a_day} / day")


def expiry_of(taken_at: datetime, months: int, zone: str) -> datetime:
    """The same wall time so many months later; of the 29th of February, that of the 28th."""
    local = taken_at.astimezone(ZoneInfo(zone))
    day = add_months(local.date(), months)
    return datetime.combine(day, local.time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


async def current_assessments(
    session: Session, customer_ids: Collection[str], *, now: datetime
) -> dict[str, RiskAssessment]:
    """The latest assessment of each of these customers who has one, be it expired or not, in one statement."""
    if not customer_ids:
        return {}
    place = func.row_number().over(
        partition_by=col(RiskAssessment.customer_id),
        order_by=(col(RiskAssessment.taken_at).desc(), col(RiskAssessment.id).desc()),
    )
    mine = select(RiskAssessment.id, place.label("place")).where(
        col(RiskAssessment.customer_id).in_(sorted(set(customer_ids))), RiskAssessment.taken_at <= now
    )
    ranked = mine.subquery()
    latest = select(RiskAssessment).join(ranked, ranked.c.id == col(RiskAssessment.id)).where(ranked.c.place == 1)
    return {row.customer_id: row for row in (await session.exec(latest)).all()}


async def current_assessment(session: Session, customer_id: str, *, now: datetime) -> RiskAssessment | None:
    return (await current_assessments(session, [customer_id], now=now)).get(customer_id)


async def list_assessments(
    session: Session, customer_id: str, *, first: int | None, after: Place
) -> Page[RiskAssessment]:
    """All assessments of a customer, the latest first."""
    size = page_size(first)
    statement = select(RiskAssessment).where(RiskAssessment.customer_id == customer_id)
    page = newest_first(statement, col(RiskAssessment.taken_at), col(RiskAssessment.id), size=size, after=after)
    rows: Sequence[RiskAssessment] = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.taken_at.isoformat(), row.id), after)
