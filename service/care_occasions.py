"""Occasions: what is planned for a day of a customer, once for each day and year, and what became of it.

They are planned days ahead, and decided at the hour itself, by what is true then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Index, bindparam, delete, text, update
from sqlmodel import Field, col, select

from core.clock import as_utc
from core.days import end_of_day
from core.db import Record, Session, changed_rows, insert_new, instant, table_of
from core.ids import derived_id
from core.outbox import owe_all
from core.paging import Falling, Page, Place, argument_of, cut, day_in_cursor, in_order, page_size, position_at
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key
from service.care_calendar import Festival, greeted_at
from service.care_kinds import FESTIVAL, CareKind, CareStatus, rank_of
from service.care_policies import active_care

# What is planned has an index of its own; a statement uses it where it says so in these words.
IS_PLANNED = text("status = 'PLANNED'")


class CareOccasion(Record, table=True):
    """One day of one customer in one year; `year` is of the calendar of the day, `rank` which one stands before it."""

    __table_args__ = (
        Index("ix_care_occasion_due", "due_at", "id", postgresql_where=IS_PLANNED, sqlite_where=IS_PLANNED),
        Index("ix_care_occasion_customer", "customer_id", "on_day", "id"),
        Index("ix_care_occasion_date", "care_date_id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    care_date_id: str | None = None
    kind: str
    festival: str | None = None
    year: int
    rank: int
    on_day: date
    due_at: datetime = instant()
    status: str = CareStatus.PLANNED
    reason: str | None = None
    planned_at: datetime = instant()
    decided_at: datetime | None = instant(optional=True)

    @property
    def about(self) -> CareKind | Festival:
        return CareKind(self.kind) if self.festival is None else Festival(self.festival)

    @property
    def message_key(self) -> str:
        """By which the message is owed once."""
        if self.festival is None:
            return f"care:{self.care_date_id}:{self.year}"
        return f"care:{self.festival.lower()}:{self.customer_id}:{self.year}"


class CareGreeting(Record, table=True):
    """Who was greeted on which day: whoever writes the row first greets, so that nobody is greeted twice a day."""

    customer_id: str = Field(primary_key=True)
    on_day: date = Field(primary_key=True)
    occasion_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A day that comes: whose, of which of their dates, and in which year of its calendar."""

    customer_id: str
    care_date_id: str | None
    about: CareKind | Festival
    year: int
    on_day: date

    @property
    def occasion_id(self) -> str:
        about = self.care_date_id or f"{self.about}:{self.customer_id}"
        return derived_id("care", about, str(self.year))


async def plan(
    session: Session, due: Sequence[Due], zones: Mapping[str, str], *, zone: str, hour: int, now: datetime
) -> list[Due]:
    """Plan what is not planned yet, for the hour of each customer's own zone; returns what is new."""
    rows = {one.occasion_id: planned(one, zones.get(one.customer_id, zone), hour, now) for one in due}
    new = set(await insert_new(session, CareOccasion, list(rows.values())))
    return [one for one in due if one.occasion_id in new]


def planned(due: Due, zone: str, hour: int, now: datetime) -> dict[str, Any]:
    is_festival = isinstance(due.about, Festival)
    return {
        "id": due.occasion_id,
        "customer_id": due.customer_id,
        "care_date_id": due.care_date_id,
        "kind": FESTIVAL if is_festival else due.about,
        "festival": due.about if is_festival else None,
        "year": due.year,
        "rank": rank_of(due.about),
        "on_day": due.on_day,
        "due_at": greeted_at(due.on_day, zone, hour),
        "status": CareStatus.PLANNED,
        "planned_at": now,
    }


async def move_planned(session: Session, customer_id: str, *, zone: str) -> None:
    """Let what is planned for a customer wait for the hour of the zone where they are by now.

    At the hour itself it would be too late: whoever has moved east is behind theirs when that of the old zone comes.
    """
    statement = select(CareOccasion).where(CareOccasion.customer_id == customer_id, IS_PLANNED)
    # Held, so that a worker who decides some of them just now is waited for, and those are left as they are.
    held = statement.order_by(col(CareOccasion.due_at), col(CareOccasion.id)).with_for_update()
    found = (await session.exec(held.execution_options(populate_existing=True))).all()
    if not found:
        return
    hour = (await active_care(session)).hour
    hours = {one.id: greeted_at(one.on_day, zone, hour) for one in found}
    await put_hours(session, {one.id: hours[one.id] for one in found if as_utc(one.due_at) != hours[one.id]})


async def put_hours(session: Session, hours: Mapping[str, datetime]) -> None:
    """Keep until when occasions wait, by their ids."""
    if not hours:
        return
    table = table_of(CareOccasion)
    waiting = update(table).where(table.c.id == bindparam("row_id")).values(due_at=bindparam("due_at"))
    rows = [{"row_id": id, "due_at": at} for id, at in sorted(hours.items())]
    await (await session.connection()).execute(waiting, rows)


async def owe_tasks(session: Session, due: Sequence[Due], *, zone: str, today: date, now: datetime) -> None:
    """Owe whoever looks after the customer a task, until the end of the day, or of today where that is over."""
    payloads: dict[str, dict[str, Any]] = {
        task_key(TaskKind.CARE, one.occasion_id): task(
            TaskKind.CARE,
            customer_id=one.customer_id,
            subject=one.occasion_id,
            due_at=end_of_day(max(one.on_day, today), zone),
        )
        for one in due
    }
    await owe_all(session, topic=TASK_OWED, payloads=payloads, now=now)


async def forget_planned(session: Session, care_date_ids: Sequence[str], *, now: datetime) -> None:
    """Forget what is planned for days that are no more; its tasks are over."""
    statement = select(CareOccasion).where(
        col(CareOccasion.care_date_id).in_(care_date_ids), CareOccasion.status == CareStatus.PLANNED
    )
    found = (await session.exec(statement.with_for_update())).all()
    await end_tasks_of(session, found, now=now)
    await changed_rows(session, delete(CareOccasion).where(col(CareOccasion.id).in_([one.id for one in found])))


async def end_tasks_of(session: Session, occasions: Sequence[CareOccasion], *, now: datetime) -> None:
    """Say of what is planned that nobody has to do anything for it."""
    payloads: dict[str, dict[str, Any]] = {
        task_key(TaskKind.CARE, one.id): task(
            TaskKind.CARE, customer_id=one.customer_id, subject=one.id, due_at=one.due_at
        )
        for one in occasions
        if one.care_date_id is not None
    }
    await owe_all(session, topic=TASK_OVER, payloads=payloads, now=now, hint=True)


async def occasions_of(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[CareOccasion]:
    """What was planned for a customer and what became of it, the latest day first."""
    size, position = page_size(first), position_at(after, str, str)
    if position is not None:
        position = (day_in_cursor(position[0], argument_of(after)), position[1])
    statement = select(CareOccasion).where(CareOccasion.customer_id == customer_id)
    day, id = Falling(col(CareOccasion.on_day)), Falling(col(CareOccasion.id))
    page = in_order(statement, day, id, size=size, place=after, position=position)
    return cut((await session.exec(page)).all(), size, lambda row: (row.on_day.isoformat(), row.id), after)
