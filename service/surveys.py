"""Answering a survey: once, by whom it was sent to, in time; the same answer again is the first one."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from core.clock import as_utc
from core.days import day_of, start_of_month
from core.db import Session, changed_rows, zone_of
from core.errors import BadUserInput, NotFound, Refusal
from core.fact_kinds import SURVEY_SUBMITTED
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.sealing import seal, unseal_what_opens
from graph.eligibility import Tier
from segments.tiering import CustomerTier, tier_at
from service.service_standings import hold_standings
from service.survey_links import link_breaks
from service.survey_rows import SCALES, Survey, SurveyKind

LONGEST_COMMENT = 2_000


class SurveyAnswerInvalid(BadUserInput):
    code = "SURVEY_ANSWER_INVALID"
    en = "The answer is not valid."
    zh = "问卷答案无效。"


class SurveyExpired(Refusal):
    code = "SURVEY_EXPIRED"
    en = "The time to answer this survey is over."
    zh = "该问卷已过期。"


class SurveyAnswered(Refusal):
    code = "SURVEY_ANSWERED"
    en = "You have answered this survey already."
    zh = "您已回答过该问卷。"


async def find_survey(session: Session, survey_id: str, customer_id: str) -> Survey:
    """The survey of this customer; raises NotFound also for anybody else's."""
    found = await session.get(Survey, survey_id, populate_existing=True)
    if found is None or found.customer_id != customer_id:
        raise NotFound(path=("surveyId",))
    return found


async def submit_survey(
    session: Session,
    survey_id: str,
    *,
    customer_id: str,
    score: int,
    comment: str | None,
    data_key: bytes | None,
    now: datetime,
) -> Survey:
    """Keep the answer, link it with the breaks before it, and record the fact; a comment needs the data key.

    Raises NotFound, SurveyAnswerInvalid, SurveyExpired, SurveyAnswered.
    """
    found = await find_survey(session, survey_id, customer_id)
    check_score(SurveyKind(found.kind), score)
    text = check_comment(comment)
    if text is not None and data_key is None:
        raise RuntimeError("a comment is sealed by the customer's data key")
    sealed = seal(data_key, text, owner=customer_id, column=column_of(survey_id)) if text and data_key else None
    await hold_standings(session, [customer_id])
    values = {
        "answered_at": now,
        "answered_month": start_of_month(day_of(now, zone_of(session))),
        "score": score,
        "comment": sealed,
        "tier": await tier_of(session, customer_id, now=now),
    }
    unanswered = update(Survey).where(
        col(Survey.id) == survey_id, col(Survey.answered_at).is_(None), col(Survey.expires_at) > now
    )
    if not await changed_rows(session, unanswered.values(**values)):
        return first_answer(await find_survey(session, survey_id, customer_id), score, text, data_key)
    found = await find_survey(session, survey_id, customer_id)
    await link_breaks(session, survey_id, customer_id, answered_at=now)
    await record_facts(session, [fact_of(found, now)], now=now)
    return found


def check_score(kind: SurveyKind, score: int) -> None:
    least, most = SCALES[kind]
    if not least <= score <= most:
        raise SurveyAnswerInvalid(path=("score",), detail=f"{least} to {most}")


def check_comment(comment: str | None) -> str | None:
    text = (comment or "").strip()
    if len(text) > LONGEST_COMMENT or "\0" in text:
        raise SurveyAnswerInvalid(path=("comment",), detail=f"at most {LONGEST_COMMENT} characters, none of them NUL")
    return text or None


def column_of(survey_id: str) -> str:
    """Names the place of a comment, so that it opens nowhere else."""
    return f"survey.comment:{survey_id}"


def comment_of(row: Survey, data_key: bytes | None, *, owner: str | None = None) -> str | None:
    """The comment, opened; None for none, and for one that does not open. `owner` is whose key it is, if not theirs."""
    return unseal_what_opens(data_key, row.comment, owner=owner or row.customer_id, column=column_of(row.id))


def first_answer(row: Survey, score: int, text: str | None, data_key: bytes | None) -> Survey:
    if row.answered_at is None:
        raise SurveyExpired(path=("surveyId",))
    same_words = row.comment is None if text is None else comment_of(row, data_key) == text
    if row.score != score or not same_words:
        raise SurveyAnswered(path=("surveyId",))
    return row


async def tier_of(session: Session, customer_id: str, *, now: datetime) -> str:
    """The tier that the customer has now; who has no row is MASS."""
    statement = select(tier_at(now)).where(CustomerTier.customer_id == customer_id)
    return (await session.exec(statement)).first() or Tier.MASS


def fact_of(row: Survey, now: datetime) -> NewFact:
    return NewFact(
        source=OWN_SOURCE,
        key=f"survey:{row.id}",
        kind=SURVEY_SUBMITTED,
        customer_id=row.customer_id,
        occurred_at=as_utc(now),
        payload={"survey_id": row.id, "survey_kind": row.kind, "occasion": row.occasion, "score": row.score},
    )
