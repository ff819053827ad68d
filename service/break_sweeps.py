"""The daily sweep for breaks that nobody found when their facts came: how far it is, page after page.

It goes through the facts at which active rules look, kind after kind in the order of time, as far back as rules do. Its
row is changed in the transaction of each page, by whoever has seen it where it was: so one that is killed goes on where
it stopped, of two at once one gives way, and one that is done again finds nothing to do.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import update
from sqlmodel import Field, col, select

from core.clock import as_utc
from core.days import day_of
from core.db import Record, Session, changed_rows, insert_once, instant
from core.facts import Fact
from service.break_looks import NEWS
from service.break_rules import watched_kinds

PAGE = 500
# For so long after a page somebody counts as being at it.
LONGEST_PAGE = timedelta(minutes=2)


class ServiceBreakSweep(Record, table=True):
    """One day's sweep: the last fact that was looked at is the one of `kind`, `occurred_at` and `fact_id`."""

    day: date = Field(primary_key=True)
    kind: str = ""
    occurred_at: datetime | None = instant(optional=True)
    fact_id: str = ""
    facts: int = 0
    found: int = 0
    opened_at: datetime = instant()
    busy_until: datetime | None = instant(optional=True)
    finished_at: datetime | None = instant(optional=True)


async def open_break_sweep(session: Session, *, zone: str, now: datetime) -> ServiceBreakSweep | None:
    """Today's sweep, begun or to be gone on with; None where it is done."""
    row = {"day": day_of(now, zone), "kind": "", "fact_id": "", "facts": 0, "found": 0, "opened_at": now}
    await insert_once(session, ServiceBreakSweep, row, "day")
    found = await session.get_one(ServiceBreakSweep, row["day"], populate_existing=True)
    return found if found.finished_at is None else None


async def is_break_sweep_due(session: Session, *, zone: str, now: datetime) -> bool:
    """Whether today's sweep is not done and nobody is at it."""
    found = await session.get(ServiceBreakSweep, day_of(now, zone), populate_existing=True)
    return found is None or (found.finished_at is None and (found.busy_until is None or found.busy_until <= now))


async def next_facts(session: Session, row: ServiceBreakSweep, *, now: datetime, limit: int) -> Sequence[Fact]:
    """The facts behind the place of the sweep, of one kind: the first of those that have any."""
    since = as_utc(row.opened_at) - NEWS
    for kind in sorted(await watched_kinds(session)):
        if kind < row.kind:
            continue
        occurred = col(Fact.occurred_at)
        statement = select(Fact).where(Fact.kind == kind, occurred > since, occurred <= now)
        if kind == row.kind and row.occurred_at is not None:
            at = row.occurred_at
            statement = statement.where((occurred > at) | ((occurred == at) & (col(Fact.id) > row.fact_id)))
        facts = (await session.exec(statement.order_by(occurred, col(Fact.id)).limit(limit))).all()
        if facts:
            return facts
    return []


async def advance_break_sweep(
    session: Session, row: ServiceBreakSweep, facts: Sequence[Fact], *, now: datetime
) -> bool:
    """Note that these were looked at, none of them: all were; False where somebody else has gone on from this place."""
    here = update(ServiceBreakSweep).where(
        col(ServiceBreakSweep.day) == row.day,
        col(ServiceBreakSweep.kind) == row.kind,
        col(ServiceBreakSweep.fact_id) == row.fact_id,
        col(ServiceBreakSweep.finished_at).is_(None),
    )
    if not facts:
        return bool(await changed_rows(session, here.values(finished_at=now, busy_until=None)))
    place = {"kind": facts[-1].kind, "occurred_at": facts[-1].occurred_at, "fact_id": facts[-1].id}
    values = here.values(**place, facts=col(ServiceBreakSweep.facts) + len(facts), busy_until=now + LONGEST_PAGE)
    return bool(await changed_rows(session, values))


async def count_found(session: Session, row: ServiceBreakSweep, found: int) -> None:
    """Add to what the sweep has found, in the transaction that opened it."""
    here = update(ServiceBreakSweep).where(col(ServiceBreakSweep.day) == row.day)
    await changed_rows(session, here.values(found=col(ServiceBreakSweep.found) + found))
