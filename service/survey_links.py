"""Which answer to a survey is the first after a service break; in whatever order the two become known, the same.

Whoever opens a break and whoever answers holds the customer's standing before, so that one of them sees the other.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from core.db import Session, changed_rows
from service.breaks import EFFECT, ServiceBreak
from service.survey_rows import Survey


async def link_earlier_surveys(session: Session, new: Sequence[ServiceBreak]) -> None:
    """Link new breaks with what was answered since they happened, before anybody had found them."""
    for one in new:
        answered = col(Survey.answered_at)
        statement = select(Survey.id).where(
            Survey.customer_id == one.customer_id, answered > one.broke_at, answered <= one.broke_at + EFFECT
        )
        one.next_survey_id = (await session.exec(statement.order_by(answered, col(Survey.id)).limit(1))).first()
        session.add(one)
    await session.flush()


async def link_breaks(session: Session, survey_id: str, customer_id: str, *, answered_at: datetime) -> int:
    """Link the breaks of a customer that have no earlier answer with this one; returns how many."""
    broke, linked = col(ServiceBreak.broke_at), col(ServiceBreak.next_survey_id)
    later = select(Survey.id).where(Survey.customer_id == customer_id, col(Survey.answered_at) > answered_at)
    waiting = update(ServiceBreak).where(
        col(ServiceBreak.customer_id) == customer_id,
        linked.is_(None) | linked.in_(later),
        broke < answered_at,
        broke >= answered_at - EFFECT,
    )
    return await changed_rows(session, waiting.values(next_survey_id=survey_id))
