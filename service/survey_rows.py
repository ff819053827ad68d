"""What is kept of surveys, and which questions there are."""

from collections.abc import Collection
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint, or_
from sqlmodel import Field, col, select

from core.db import Record, Session, instant, rows_by_id
from core.fact_kinds import COMPLAINT_CLOSED, EVENT_ATTENDED, REDEMPTION_FULFILLED
from core.paging import Page, Place, cut, oldest_first, page_size


class SurveyKind(StrEnum):
    """What is asked: whether somebody would recommend us, 0 to 10, or how satisfied they are, 1 to 5."""

    NPS = "NPS"
    CSAT = "CSAT"


class SurveyOccasion(StrEnum):
    """After what somebody is asked."""

    EVENT = "EVENT"
    CASE = "CASE"
    REDEMPTION = "REDEMPTION"


SCALES = {SurveyKind.NPS: (0, 10), SurveyKind.CSAT: (1, 5)}
# The facts after which a survey comes, with the field of their payload that says what it is about.
OCCASIONS = {
    EVENT_ATTENDED: (SurveyOccasion.EVENT, "event_id"),
    COMPLAINT_CLOSED: (SurveyOccasion.CASE, "complaint"),
    REDEMPTION_FULFILLED: (SurveyOccasion.REDEMPTION, "redemption_id"),
}


class Survey(Record, table=True):
    """One question to one customer, and the answer; `comment` is sealed by their data key.

    `answered_month` is the first of the month in the bank's zone, `tier` the customer's when they answered.
    """

    __table_args__ = (
        UniqueConstraint("customer_id", "occasion", "subject"),
        Index("ix_survey_customer", "customer_id", "answered_at", "id"),
        Index("ix_survey_answered", "answered_at", "kind"),
        Index("ix_survey_invited", "invited_at"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    occasion: str
    subject: str
    kind: str
    policy_id: str = Field(foreign_key="survey_policy.id")
    community_id: str | None = None
    invited_at: datetime = instant()
    expires_at: datetime = instant()
    answered_at: datetime | None = instant(optional=True)
    answered_month: date | None = None
    score: int | None = None
    comment: str | None = Field(default=None, repr=False)
    tier: str | None = None


async def list_surveys(
    session: Session, customer_id: str, *, answered: bool, first: int | None, after: Place, now: datetime
) -> Page[Survey]:
    """What a customer can still answer, the longest waiting first; with `answered` also what they have."""
    size = page_size(first)
    is_open = col(Survey.answered_at).is_(None) & (col(Survey.expires_at) > now)
    shown = or_(is_open, col(Survey.answered_at).is_not(None)) if answered else is_open
    statement = select(Survey).where(Survey.customer_id == customer_id, shown)
    page = oldest_first(statement, col(Survey.invited_at), col(Survey.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.invited_at.isoformat(), row.id), after)


async def surveys_by_id(session: Session, ids: Collection[str]) -> dict[str, Survey]:
    return await rows_by_id(session, Survey, ids)
