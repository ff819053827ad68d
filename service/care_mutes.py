"""Mutes: a customer is left in peace until a day or until it is ended, for a reason that is a code and no words."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Index, and_, or_, update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, instant
from core.errors import BadUserInput, Refusal
from core.ids import new_id
from service.care_kinds import CareStatus
from service.care_occasions import CareOccasion, end_tasks_of


class MuteReason(StrEnum):
    """Why somebody is left in peace."""

    BEREAVEMENT = "BEREAVEMENT"
    ILLNESS = "ILLNESS"
    WISH = "WISH"
    OTHER = "OTHER"


class MuteInvalid(BadUserInput):
    code = "CARE_MUTE_INVALID"
    en = "The last day lies in the past."
    zh = "截止日期已过。"


class NotMuted(Refusal):
    code = "CARE_NOT_MUTED"
    en = "Nothing is muted for this customer."
    zh = "该客户未设置静默。"


class CareMute(Record, table=True):
    """One mute, from its beginning through the day `until`, or for as long as nobody ends it."""

    __table_args__ = (Index("ix_care_mute_customer", "customer_id", "begun_at", "id"),)

    id: str = Field(primary_key=True)
    customer_id: str
    reason: str
    until: date | None = None
    muted_by: str
    begun_at: datetime = instant()
    ended_at: datetime | None = instant(optional=True)
    ended_by: str | None = None


def holds_on(day: date) -> ColumnElement[bool]:
    """That a mute that has begun is in force on a day."""
    return and_(col(CareMute.ended_at).is_(None), or_(col(CareMute.until).is_(None), col(CareMute.until) >= day))


async def mute_care(
    session: Session,
    customer_id: str,
    *,
    reason: MuteReason,
    until: date | None,
    actor: str,
    today: date,
    now: datetime,
) -> CareMute:
    """Leave a customer in peace, beside what is muted already; tasks for days within are over. Raises MuteInvalid."""
    if until is not None and until < today:
        raise MuteInvalid(path=("until",))
    row = CareMute(id=new_id(), customer_id=customer_id, reason=reason, until=until, muted_by=actor, begun_at=now)
    session.add(row)
    await session.flush()
    planned = select(CareOccasion).where(
        CareOccasion.customer_id == customer_id, CareOccasion.status == CareStatus.PLANNED
    )
    if until is not None:
        planned = planned.where(col(CareOccasion.on_day) <= until)
    await end_tasks_of(session, (await session.exec(planned)).all(), now=now)
    # Why is not told to the trail: of a bereavement nothing is left when the person is erased.
    await record_change(session, "customer", customer_id, "care_muted", actor=actor, now=now)
    return row


async def unmute_care(session: Session, customer_id: str, *, actor: str, now: datetime) -> int:
    """End all mutes of a customer; returns how many were in force. Raises NotMuted where there was none."""
    open_mutes = update(CareMute).where(col(CareMute.customer_id) == customer_id, col(CareMute.ended_at).is_(None))
    ended = await changed_rows(session, open_mutes.values(ended_at=now, ended_by=actor))
    if not ended:
        raise NotMuted(path=("customerId",))
    await record_change(session, "customer", customer_id, "care_unmuted", actor=actor, now=now)
    return ended


async def mutes_of(session: Session, customer_id: str) -> Sequence[CareMute]:
    """Every mute of a customer, the latest first."""
    statement = select(CareMute).where(CareMute.customer_id == customer_id)
    return (await session.exec(statement.order_by(col(CareMute.begun_at).desc(), col(CareMute.id).desc()))).all()


async def mutes_on(session: Session, customer_id: str, day: date) -> set[MuteReason]:
    """Why a customer is left in peace on a day."""
    statement = select(CareMute.reason).where(CareMute.customer_id == customer_id, holds_on(day))
    return {MuteReason(reason) for reason in (await session.exec(statement)).all()}


async def muted_among(session: Session, customer_ids: Sequence[str], day: date) -> set[str]:
    """Those of these customers who are left in peace on a day."""
    statement = select(CareMute.customer_id).where(col(CareMute.customer_id).in_(list(customer_ids)), holds_on(day))
    return set((await session.exec(statement)).all())
