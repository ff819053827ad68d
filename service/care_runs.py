"""Runs of care: each day that comes is planned in shards of customers, which any number of workers take.

A shard says how far it has come, in the transaction of each page, and who is at it has it for a while. What a killed
worker had is gone on with from its last page; what two of them do at once is done once, by the keys of the occasions.
A day that was missed is planned by the next run: its greetings are noted as missed, and its tasks are made.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, or_, tuple_, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.ids import new_id
from graph.eligibility import Tier
from segments.tiering import CustomerTier, tier_at
from service.care_calendar import Festival, days_kept_on, festivals_on
from service.care_dates import CareDate, codes_by
from service.care_kinds import CareKind
from service.care_occasions import Due
from service.care_policies import CareDefinition

# For so long after a page somebody counts as being at it. One that is killed is waited for no longer.
LEASE = timedelta(minutes=2)
# Festivals need no task, and are planned when the tiers are almost those of the day; no zone is so far ahead.
FESTIVAL_DAYS_AHEAD = 1
# A longer absence takes several runs to make up for.
LONGEST_PASS = 366
# Each shard begins with the ids that begin so; they are of about one size.
SHARDS = "02468ace"
# Behind all ids, which are of hexadecimal digits and hyphens.
BEHIND = "g"


class CarePart(StrEnum):
    """What a shard is of: days of customers, or a festival for all of them."""

    DATES = "DATES"
    FESTIVALS = "FESTIVALS"


class CareRun(Record, table=True):
    """One shard of one day; `cursor` is behind what was planned, `worker` who is at it until `busy_until`."""

    part: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    shard: str = Field(primary_key=True)
    cursor: str = ""
    worker: str | None = None
    busy_until: datetime | None = instant(optional=True)
    opened_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True)
    looked_at: int = 0
    planned: int = 0

    @property
    def beyond(self) -> str:
        """The id before which the customers of the shard end."""
        following = SHARDS.find(self.shard) + 1
        return SHARDS[following] if following < len(SHARDS) else BEHIND


async def open_runs(session: Session, definition: CareDefinition, *, today: date, now: datetime) -> None:
    """Lay out the shards of the days that are near enough, and of those that were missed; again it lays out nothing."""
    for part, ahead in ((CarePart.DATES, definition.task_days), (CarePart.FESTIVALS, FESTIVAL_DAYS_AHEAD)):
        first = await first_day(session, part, today)
        last = min(today + timedelta(days=ahead), first + timedelta(days=LONGEST_PASS - 1))
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            idle = part == CarePart.FESTIVALS and not greeted_festivals(definition, day)
            await insert_once(session, CareRun, shards_of(part, day, idle, now), "part", "day", "shard")


async def first_day(session: Session, part: CarePart, today: date) -> date:
    """The first day that is not laid out; the first of all is today."""
    newest: Any = select(func.max(CareRun.day)).where(CareRun.part == part)
    last: date | None = (await session.exec(newest)).one()
    return today if last is None else last + timedelta(days=1)


def shards_of(part: CarePart, day: date, idle: bool, now: datetime) -> list[dict[str, Any]]:
    """A day without anything to do is one shard, which is done."""
    row: dict[str, Any] = {"part": part, "day": day, "cursor": "", "opened_at": now, "looked_at": 0, "planned": 0}
    return [row | {"shard": one, "finished_at": now if idle else None} for one in ("-" if idle else SHARDS)]


def greeted_festivals(definition: CareDefinition, day: date) -> dict[Festival, int]:
    """The festivals of a day on which the policy has somebody greeted, the foremost first, with their years."""
    return {one: year for one, year in festivals_on(day).items() if definition.festivals.get(one)}


def is_free(now: datetime) -> Any:
    return or_(col(CareRun.busy_until).is_(None), col(CareRun.busy_until) <= now)


async def are_runs_due(session: Session, definition: CareDefinition, *, today: date, now: datetime) -> bool:
    """Whether a day is to be laid out, or a shard waits for somebody; it costs three statements."""
    for part, ahead in ((CarePart.DATES, definition.task_days), (CarePart.FESTIVALS, FESTIVAL_DAYS_AHEAD)):
        if await first_day(session, part, today) <= today + timedelta(days=ahead):
            return True
    waiting = select(CareRun.shard).where(col(CareRun.finished_at).is_(None), is_free(now)).limit(1)
    return (await session.exec(waiting)).first() is not None


async def claim_run(session: Session, *, now: datetime) -> CareRun | None:
    """Take the next shard that nobody is at, the earliest day first; None where there is none at present."""
    statement = (
        select(CareRun)
        .where(col(CareRun.finished_at).is_(None), is_free(now))
        .order_by(col(CareRun.day), col(CareRun.part), col(CareRun.shard))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is not None:
        found.worker, found.busy_until = new_id(), now + LEASE
        await session.flush()
    return found


async def advance_run(session: Session, run: CareRun, *, to: str | None, looked_at: int, now: datetime) -> bool:
    """Note how far a shard has come, None for its end; False where somebody else has taken it over."""
    here = update(CareRun).where(
        col(CareRun.part) == run.part,
        col(CareRun.day) == run.day,
        col(CareRun.shard) == run.shard,
        col(CareRun.worker) == run.worker,
        col(CareRun.cursor) == run.cursor,
        col(CareRun.finished_at).is_(None),
    )
    end = {"finished_at": now, "busy_until": None}
    further = end if to is None else {"cursor": to, "busy_until": now + LEASE}
    return bool(await changed_rows(session, here.values(looked_at=col(CareRun.looked_at) + looked_at, **further)))


async def count_planned(session: Session, run: CareRun, planned: int) -> None:
    """Add to what a shard has planned, in the transaction that planned it."""
    here = update(CareRun).where(
        col(CareRun.part) == run.part, col(CareRun.day) == run.day, col(CareRun.shard) == run.shard
    )
    await changed_rows(session, here.values(planned=col(CareRun.planned) + planned))


async def dates_of_page(session: Session, run: CareRun, *, hash_key: str, limit: int) -> tuple[list[Due], str | None]:
    """The next days of customers that are kept on the day of a shard, and the place behind them; None at the end.

    Their rows are held, so that a day that is removed takes with it what is planned here.
    """
    codes = {codes_by(hash_key)[day]: year for day, year in days_kept_on(run.day).items()}
    statement = select(CareDate).where(
        col(CareDate.day_code).in_(list(codes)), CareDate.customer_id >= run.shard, CareDate.customer_id < run.beyond
    )
    if run.cursor:
        customer_id, _, kind = run.cursor.partition("/")
        statement = statement.where(tuple_(col(CareDate.customer_id), col(CareDate.kind)) > tuple_(customer_id, kind))
    ordered = statement.order_by(col(CareDate.customer_id), col(CareDate.kind)).limit(limit)
    rows = (await session.exec(ordered.with_for_update(read=True))).all()
    due = [one for row in rows if (one := due_of(row, run.day, codes[row.day_code])) is not None]
    return due, f"{rows[-1].customer_id}/{rows[-1].kind}" if len(rows) == limit else None


def due_of(row: CareDate, day: date, year: int) -> Due | None:
    """What a day brings in a year of its calendar; nothing in the year of its beginning, and before."""
    if row.year is not None and year <= row.year:
        return None
    return Due(row.customer_id, row.id, CareKind(row.kind), year, day)


async def greeted_on_festival(
    session: Session, definition: CareDefinition, customer_ids: Sequence[str], day: date, *, now: datetime
) -> list[Due]:
    """The foremost festival of a day for each of these customers, by the tier that they have now."""
    statement = select(CustomerTier.customer_id, tier_at(now)).where(
        col(CustomerTier.customer_id).in_(list(customer_ids))
    )
    tiers: dict[str, str] = dict((await session.exec(statement)).all())
    found: list[Due] = []
    for customer_id in customer_ids:
        tier = Tier(tiers.get(customer_id, Tier.MASS))
        for festival, year in greeted_festivals(definition, day).items():
            if tier in definition.festivals[festival]:
                found.append(Due(customer_id, None, festival, year, day))
                break
    return found
