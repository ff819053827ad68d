"""Whether a greeting is sent: one function, at the hour itself, whose reason is kept with what it decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, update
from sqlmodel import col, select

from core.days import end_of_day
from core.db import Session, insert_into, insert_rows, table_of
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe_all
from service.care_calendar import greeted_at, is_silent
from service.care_dates import CareDate
from service.care_kinds import CareSilence, CareStatus
from service.care_mutes import CareMute
from service.care_occasions import IS_PLANNED, CareGreeting, CareOccasion, put_hours
from service.care_words import template_of

PAGE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of the customers of a page at the hour: who is there, who allows it, who is left in peace."""

    present: set[str]
    refusals: Mapping[str, CareSilence]
    complaining: set[str]
    zones: Mapping[str, str]
    zone: str
    mutes: Mapping[str, Sequence[CareMute]] = field(default_factory=dict[str, Sequence[CareMute]])
    dates: Mapping[str, str] = field(default_factory=dict[str, str])
    # Of each customer and day what is planned or owed, by rank.
    others: Mapping[tuple[str, Any], int] = field(default_factory=dict[tuple[str, Any], int])

    def zone_of(self, customer_id: str) -> str:
        return self.zones.get(customer_id, self.zone)


def silence(occasion: CareOccasion, standing: Standing, *, now: datetime) -> CareSilence | None:
    """Why a greeting is not sent; None where it is. The first reason that holds is the one that is kept."""
    customer_id, day = occasion.customer_id, occasion.on_day
    if now >= end_of_day(day, standing.zone_of(customer_id)):
        return CareSilence.DAY_IS_OVER
    if is_silent(day):
        return CareSilence.QINGMING
    if customer_id not in standing.present:
        return CareSilence.GONE
    if occasion.care_date_id is not None and standing.dates.get(occasion.care_date_id) != customer_id:
        return CareSilence.DATE_REMOVED
    if any(mute.until is None or day <= mute.until for mute in standing.mutes.get(customer_id, ())):
        return CareSilence.MUTED
    if customer_id in standing.complaining:
        return CareSilence.OPEN_COMPLAINT
    if customer_id in standing.refusals:
        return standing.refusals[customer_id]
    if standing.others.get((customer_id, day), occasion.rank) < occasion.rank:
        return CareSilence.OTHER_GREETING
    return None


async def take_due(session: Session, *, now: datetime, limit: int = PAGE) -> Sequence[CareOccasion]:
    """What is planned for an hour that has come, held for this transaction; what another worker has is left out."""
    statement = select(CareOccasion).where(IS_PLANNED, col(CareOccasion.due_at) <= now)
    ordered = statement.order_by(col(CareOccasion.due_at), col(CareOccasion.id)).limit(limit)
    held = ordered.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return (await session.exec(held)).all()


async def is_something_due(session: Session, *, now: datetime) -> bool:
    """Whether an hour has come for which something is planned; it costs one statement."""
    statement = select(CareOccasion.id).where(IS_PLANNED, col(CareOccasion.due_at) <= now).limit(1)
    return (await session.exec(statement)).first() is not None


async def standing_of(session: Session, occasions: Sequence[CareOccasion], known: Standing) -> Standing:
    """What this room knows of the customers of a page, beside what others do."""
    ids = sorted({one.customer_id for one in occasions})
    mutes: dict[str, list[CareMute]] = {}
    open_mutes = select(CareMute).where(col(CareMute.customer_id).in_(ids), col(CareMute.ended_at).is_(None))
    for mute in (await session.exec(open_mutes)).all():
        mutes.setdefault(mute.customer_id, []).append(mute)
    named = [one.care_date_id for one in occasions if one.care_date_id is not None]
    dates = select(CareDate.id, CareDate.customer_id).where(
        col(CareDate.id).in_(named), col(CareDate.removed_at).is_(None)
    )
    days = sorted({one.on_day for one in occasions})
    # A merge leaves occasions whose day is no more, because the survivor's own stands: they stand before no other.
    live = select(CareDate.id).where(
        col(CareDate.id) == CareOccasion.care_date_id,
        col(CareDate.customer_id) == CareOccasion.customer_id,
        col(CareDate.removed_at).is_(None),
    )
    siblings: Any = select(col(CareOccasion.customer_id), col(CareOccasion.on_day), col(CareOccasion.rank)).where(
        col(CareOccasion.customer_id).in_(ids),
        col(CareOccasion.on_day).in_(days),
        col(CareOccasion.status).in_((CareStatus.PLANNED, CareStatus.OWED)),
        or_(col(CareOccasion.status) == CareStatus.OWED, col(CareOccasion.care_date_id).is_(None), live.exists()),
    )
    others: dict[tuple[str, Any], int] = {}
    of_day: Sequence[Any] = (await session.exec(siblings)).all()
    for customer_id, day, rank in of_day:
        lowest = others.get((customer_id, day))
        others[customer_id, day] = rank if lowest is None else min(rank, lowest)
    return Standing(
        present=known.present,
        refusals=known.refusals,
        complaining=known.complaining,
        zones=known.zones,
        zone=known.zone,
        mutes=mutes,
        dates=dict((await session.exec(dates)).all()),
        others=others,
    )


async def decide(
    session: Session, occasions: Sequence[CareOccasion], known: Standing, *, hour: int, now: datetime
) -> int:
    """Decide what was taken, and owe the messages of what is sent; returns how many.

    For whom it is not the hour yet, in the zone where they are by now, waits for it.
    """
    standing = await standing_of(session, occasions, known)
    later: dict[str, datetime] = {}
    reasons: dict[str, CareSilence | None] = {}
    for one in occasions:
        due_at = greeted_at(one.on_day, standing.zone_of(one.customer_id), hour)
        if due_at > now:
            later[one.id] = due_at
        else:
            reasons[one.id] = silence(one, standing, now=now)
    sent = await win_days(session, [one for one in occasions if reasons.get(one.id, CareSilence.GONE) is None])
    for one in occasions:
        if one.id in reasons and reasons[one.id] is None and one.id not in sent:
            reasons[one.id] = CareSilence.OTHER_GREETING
    await write(session, reasons, later, now=now)
    payloads = {one.message_key: payload_of(one, standing) for one in occasions if one.id in sent}
    await owe_all(session, topic=MESSAGE_OWED, payloads=payloads, now=now)
    return len(sent)


async def win_days(session: Session, wanted: Sequence[CareOccasion]) -> set[str]:
    """Those of these that are the first greeting of their customer on their day."""
    put = insert_into(session, CareGreeting).on_conflict_do_nothing()
    rows = [
        {"customer_id": one.customer_id, "on_day": one.on_day, "occasion_id": one.id}
        for one in sorted(wanted, key=lambda one: (one.customer_id, one.on_day, one.rank, one.id))
    ]
    won = await insert_rows(session, put.returning(table_of(CareGreeting).c.occasion_id), rows)
    return {row.occasion_id for row in won}


def payload_of(occasion: CareOccasion, standing: Standing) -> dict[str, Any]:
    """The message, which is for its day alone."""
    return message(
        MessageCategory.CARE,
        customer_id=occasion.customer_id,
        template=template_of(occasion.about),
        subject=occasion.id,
        expires_at=end_of_day(occasion.on_day, standing.zone_of(occasion.customer_id)),
    )


async def write(
    session: Session, reasons: Mapping[str, CareSilence | None], later: Mapping[str, datetime], *, now: datetime
) -> None:
    """Keep what was decided, and until when the others wait."""
    table = table_of(CareOccasion)
    connection = await session.connection()
    decided = [
        {"row_id": id, "status": status_of(reason), "reason": reason, "decided_at": now}
        for id, reason in sorted(reasons.items())
    ]
    if decided:
        own = update(table).where(table.c.id == bindparam("row_id"))
        values = {name: bindparam(name) for name in ("status", "reason", "decided_at")}
        await connection.execute(own.values(**values), decided)
    await put_hours(session, later)


def status_of(reason: CareSilence | None) -> CareStatus:
    if reason is None:
        return CareStatus.OWED
    return CareStatus.MISSED if reason == CareSilence.DAY_IS_OVER else CareStatus.SUPPRESSED
