"""Days of customers on which they are greeted: one of each kind, whose month and day are kept as a keyed code.

The code is the HMAC of the day under a key of its own. By it the customers of a day are found without opening
anything; who has the key reads it by trying the thousand days that there are, and nobody else does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Index, UniqueConstraint, delete, update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.outbox import owe_all
from core.sealing import blind_hash
from service.care_calendar import CareCalendar, CareDay, CareDayInvalid, all_care_days, check_care_day
from service.care_kinds import CareKind, CareSource
from service.care_occasions import forget_planned

# A day has become known, of which the next occurrence may be so near that the daily run has passed it.
CARE_DATE_ADDED = "care.date_added"


class CareDateExists(Refusal):
    code = "CARE_DATE_EXISTS"
    en = "There is a day of this kind already. Please remove it first."
    zh = "已有该类日期，请先删除。"


class CareKindFixed(BadUserInput):
    code = "CARE_KIND_FIXED"
    en = "Since when somebody is a customer is told by the bank's systems."
    zh = "客户入行日期由行内系统提供，不能手工添加。"


class CareDate(Record, table=True):
    """A day of one customer; where it was removed the row stays without the day, so that no system brings it back."""

    __table_args__ = (
        UniqueConstraint("customer_id", "kind"),
        Index("ix_care_date_day", "day_code", "customer_id", "kind"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    calendar: str
    day_code: str
    year: int | None = None
    source: str
    added_by: str
    added_at: datetime = instant()
    removed_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class NewCareDate:
    """A day as it is told; `year` is that of the beginning, in the day's own calendar."""

    kind: CareKind
    day: CareDay
    year: int | None = None


@lru_cache(maxsize=4)
def codes_by(hash_key: str) -> Mapping[CareDay, str]:
    """The codes of all days that there are."""
    return {day: blind_hash(hash_key, "care-day", day.code) for day in all_care_days()}


@lru_cache(maxsize=4)
def days_by(hash_key: str) -> Mapping[str, CareDay]:
    return {code: day for day, code in codes_by(hash_key).items()}


def day_of_date(row: CareDate, hash_key: str) -> CareDay:
    """The day that a row keeps; raises LookupError where another key made its code."""
    return days_by(hash_key)[row.day_code]


async def care_dates_of(session: Session, customer_id: str) -> Sequence[CareDate]:
    """The days of a customer."""
    statement = select(CareDate).where(CareDate.customer_id == customer_id, col(CareDate.removed_at).is_(None))
    return (await session.exec(statement.order_by(col(CareDate.kind)))).all()


async def find_care_date(session: Session, care_date_id: str) -> CareDate:
    """Raises NotFound, also for one that was removed."""
    found = await session.get(CareDate, care_date_id, populate_existing=True)
    if found is None or found.removed_at is not None:
        raise NotFound(path=("careDateId",))
    return found


async def add_care_date(
    session: Session,
    customer_id: str,
    told: NewCareDate,
    *,
    source: CareSource,
    actor: str,
    today: date,
    hash_key: str,
    now: datetime,
) -> CareDate:
    """Note a day, which takes the place of one that only the profile tells; the same day again is the one there is.

    Raises CareDayInvalid, CareKindFixed, CareDateExists; of several at once one is noted.
    """
    if told.kind == CareKind.WITH_BANK:
        raise CareKindFixed(path=("kind",))
    check_care_day(told.day, told.year)
    if told.year is not None and told.year > today.year:
        raise CareDayInvalid(path=("year",), detail="it lies in the future")
    await make_room(session, customer_id, told.kind, now=now)
    row = row_of(customer_id, told, source, actor, hash_key, now)
    if not await insert_once(session, CareDate, row, "customer_id", "kind"):
        statement = select(CareDate).where(CareDate.customer_id == customer_id, CareDate.kind == told.kind)
        there = (await session.exec(statement.execution_options(populate_existing=True))).one()
        if there.source == CareSource.PROFILE or not is_same(there, told, hash_key):
            raise CareDateExists(path=("kind",))
        return there
    await owe_planning(session, [row["id"]], now=now)
    said = {"date": told.kind.value, "calendar": told.day.calendar.value}
    await record_change(session, "customer", customer_id, "care_date_added", actor=actor, now=now, **said)
    return await session.get_one(CareDate, row["id"])


def row_of(
    customer_id: str, told: NewCareDate, source: CareSource, actor: str, hash_key: str, now: datetime
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "customer_id": customer_id,
        "kind": told.kind,
        "calendar": told.day.calendar,
        "day_code": codes_by(hash_key)[told.day],
        "year": told.year,
        "source": source,
        "added_by": actor,
        "added_at": now,
    }


async def make_room(session: Session, customer_id: str, kind: CareKind, *, now: datetime) -> None:
    """Take away what is only the profile's, or was removed."""
    mine = (CareDate.customer_id == customer_id, CareDate.kind == kind)
    statement = select(CareDate).where(*mine).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is not None and (found.removed_at is not None or found.source == CareSource.PROFILE):
        await take_away(session, [found.id], now=now)


async def take_away(session: Session, ids: Sequence[str], *, now: datetime) -> None:
    """Delete days with what is planned for them; who plans at the moment is waited for first."""
    await changed_rows(session, delete(CareDate).where(col(CareDate.id).in_(ids)))
    await forget_planned(session, ids, now=now)


async def remove_care_date(session: Session, care_date_id: str, *, actor: str, now: datetime) -> CareDate:
    """Forget a day, with what is planned for it; of two at once one is refused. Raises NotFound."""
    removed = update(CareDate).where(col(CareDate.id) == care_date_id, col(CareDate.removed_at).is_(None))
    if not await changed_rows(session, removed.values(removed_at=now, day_code="", year=None)):
        raise NotFound(path=("careDateId",))
    await forget_planned(session, [care_date_id], now=now)
    found = await session.get_one(CareDate, care_date_id, populate_existing=True)
    await record_change(
        session, "customer", found.customer_id, "care_date_removed", actor=actor, now=now, date=found.kind
    )
    return found


async def owe_planning(session: Session, ids: Sequence[str], *, now: datetime) -> None:
    payloads: dict[str, dict[str, Any]] = {one: {"care_date_id": one} for one in ids}
    await owe_all(session, topic=CARE_DATE_ADDED, payloads=payloads, now=now, hint=True)


@dataclass(frozen=True, slots=True)
class Told:
    """What the profile of a customer tells of their days; None where it says nothing."""

    customer_id: str
    born: date | None
    since: date | None


async def put_told(session: Session, told: Sequence[Told], *, source_name: str, hash_key: str, now: datetime) -> int:
    """Note the days that profiles tell; what people have said themselves stands. Returns how many are new.

    The caller holds the profiles, so that of two at once the later one has the last word.
    """
    wanted = {
        (one.customer_id, kind): NewCareDate(kind, CareDay(CareCalendar.SOLAR, day.month, day.day), day.year)
        for one in told
        for kind, day in ((CareKind.BIRTHDAY, one.born), (CareKind.WITH_BANK, one.since))
        if day is not None
    }
    statement = select(CareDate).where(col(CareDate.customer_id).in_(sorted({key[0] for key in wanted})))
    stale: list[str] = []
    for row in (await session.exec(statement)).all():
        new = wanted.get((row.customer_id, CareKind(row.kind)))
        if new is None:
            continue
        if row.source != CareSource.PROFILE or row.removed_at is not None or is_same(row, new, hash_key):
            del wanted[row.customer_id, new.kind]
        else:
            stale.append(row.id)
    if stale:
        await take_away(session, stale, now=now)
    rows = [
        row_of(customer_id, one, CareSource.PROFILE, source_name, hash_key, now)
        for (customer_id, _), one in sorted(wanted.items(), key=lambda item: item[0])
    ]
    # Who adds a day at the same moment wins: theirs is the constraint's first row, or takes the place of ours.
    inserted = await insert_once(session, CareDate, rows, "customer_id", "kind") if rows else 0
    await owe_planning(session, [row["id"] for row in rows], now=now)
    return inserted


def is_same(row: CareDate, told: NewCareDate, hash_key: str) -> bool:
    return row.day_code == codes_by(hash_key)[told.day] and row.year == told.year


async def export_care_dates(session: Session, customer_id: str, hash_key: str) -> list[dict[str, Any]]:
    """The days of a customer as they were told, for the customer to take away."""
    return [
        {"kind": row.kind, "calendar": row.calendar, "month": day.month, "day": day.day}
        | {"is_leap_month": day.is_leap, "year": row.year, "source": row.source}
        for row in await care_dates_of(session, customer_id)
        for day in (day_of_date(row, hash_key),)
    ]
