"""Whether a customer is asked to refer: not after a bad experience with the bank, whatever the programme would win.

Stars that somebody gave an event do not count: they speak of an afternoon and its hosts, not of the bank.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlmodel import col, select

from core.db import Session
from core.errors import NotFound
from core.fact_kinds import COMPLAINT_CLOSED, COMPLAINT_FILED, COMPLAINT_REOPENED, SURVEY_SUBMITTED
from core.facts import Fact
from referrals.programs import ProgramNotActive, running_program

# What the bank's own surveys tell; ours are submitted, and only one of them asks whether somebody would recommend us.
SURVEY_ANSWERED = "SURVEY_ANSWERED"
KINDS = (SURVEY_ANSWERED, SURVEY_SUBMITTED, COMPLAINT_FILED, COMPLAINT_CLOSED, COMPLAINT_REOPENED)
NPS = "NPS"
# Of 0 to 10; up to here somebody is counted among the detractors (Reichheld, "The One Number You Need to Grow", 2003).
HIGHEST_BAD_SCORE = 6


class Silence(StrEnum):
    """Why somebody is not asked to refer."""

    PROGRAM_NOT_ACTIVE = "PROGRAM_NOT_ACTIVE"
    NOT_SIGNED_UP = "NOT_SIGNED_UP"
    OPEN_COMPLAINT = "OPEN_COMPLAINT"
    BAD_SURVEY = "BAD_SURVEY"


async def referral_prompt(
    session: Session, *, program_id: str, customer_id: str | None, now: datetime
) -> Silence | None:
    """Why the customer is not to be asked; None: ask."""
    try:
        await running_program(session, program_id, now=now)
    except (NotFound, ProgramNotActive):
        return Silence.PROGRAM_NOT_ACTIVE
    if customer_id is None:
        return Silence.NOT_SIGNED_UP
    statement = select(Fact).where(Fact.customer_id == customer_id, col(Fact.kind).in_(KINDS))
    return bad_experience((await session.exec(statement.order_by(col(Fact.occurred_at), col(Fact.id)))).all())


def bad_experience(facts: Iterable[Fact]) -> Silence | None:
    """What speaks against asking, of facts in the order in which they happened.

    A complaint is open until it is closed by its number, at the same time or later; of surveys the latest counts.
    """
    open_complaints: set[str] = set()
    score: float | None = None
    for fact in sorted(facts, key=lambda fact: (fact.occurred_at, fact.kind != COMPLAINT_FILED, fact.id)):
        complaint = str(fact.payload.get("complaint"))
        if fact.kind in (COMPLAINT_FILED, COMPLAINT_REOPENED):
            open_complaints.add(complaint)
        elif fact.kind == COMPLAINT_CLOSED:
            open_complaints.discard(complaint)
        elif fact.kind == SURVEY_ANSWERED or fact.payload.get("survey_kind") == NPS:
            score = score_of(fact.payload.get("score"), score)
    if open_complaints:
        return Silence.OPEN_COMPLAINT
    return Silence.BAD_SURVEY if score is not None and score <= HIGHEST_BAD_SCORE else None


def score_of(value: object, before: float | None) -> float | None:
    """A score of 0 to 10; anything else is no answer, and leaves what was said before."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        return before
    return float(value)
