"""Anniversaries: which days of a year are somebody's, and how far the search for them has come.

A day is a day of the bank's own time zone. Who began on 29 February keeps the 28th in common years.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import update
from sqlmodel import Field, col

from core.days import day_of, start_of_day
from core.db import Record, Session, changed_rows, insert_once

# So many missed days are made up for in one pass; a longer absence takes several.
LONGEST_PASS = 31


class AnniversarySearch(Record, table=True):
    """How far one kind of anniversary has been searched: all days to `done_through`, then to `target` up to a place."""

    kind: str = Field(primary_key=True)
    done_through: date
    target: date | None = None
    position: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """The days of a time zone that one pass through all who began looks for, and the place after which it goes on."""

    kind: str
    first: date
    last: date
    position: str
    zone: str

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def month_days(self) -> list[str]:
        """The days of the year in UTC on which somebody may have begun whose anniversary falls into the pass."""
        around = [self.first - timedelta(days=1), *self.days, self.last + timedelta(days=1)]
        found = {f"{day:%m-%d}" for day in around}
        # The 28th stands for the 29th in years that do not have one.
        return sorted(found | {"02-29"} if "02-28" in found else found)


def anniversary_in(began: date, year: int) -> date:
    """The day of a year on which a beginning is kept."""
    try:
        return began.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def anniversaries(began_at: datetime, days: Pass) -> Iterator[tuple[int, datetime]]:
    """The anniversaries that fall into a pass: how many years it has been, and when the day begins, in UTC."""
    began = day_of(began_at, days.zone)
    for year in range(days.first.year, days.last.year + 1):
        day = anniversary_in(began, year)
        if year > began.year and days.first <= day <= days.last:
            yield year - began.year, start_of_day(day, days.zone)


async def next_pass(session: Session, kind: str, *, zone: str, now: datetime) -> Pass | None:
    """The pass that is due or was cut off; None when today has been searched. The first search of all is today's."""
    today = day_of(now, zone)
    first = {"kind": kind, "done_through": today - timedelta(days=1), "target": None, "position": ""}
    await insert_once(session, AnniversarySearch, first, "kind")
    row = await session.get_one(AnniversarySearch, kind, populate_existing=True)
    if row.target is not None:
        return Pass(kind, row.done_through + timedelta(days=1), row.target, row.position, zone)
    if row.done_through >= today:
        return None
    last = min(today, row.done_through + timedelta(days=LONGEST_PASS))
    row.target = last
    await session.flush()
    return Pass(kind, row.done_through + timedelta(days=1), last, "", zone)


async def advance_pass(session: Session, due: Pass, *, to: str | None) -> bool:
    """Note how far a pass has come, None for its end; False where somebody else has gone on from the same place."""
    statement = update(AnniversarySearch).where(
        col(AnniversarySearch.kind) == due.kind,
        col(AnniversarySearch.target) == due.last,
        col(AnniversarySearch.position) == due.position,
    )
    end = {"done_through": due.last, "target": None, "position": ""}
    values = statement.values({"position": to} if to is not None else end)
    return bool(await changed_rows(session, values))
