"""Runs of recommendations, cut into ranges of customers that any number of workers take one after the other.

There is one open run at a time. Its first piece of work, number 0, is to learn; the ranges are cut with it. Whoever
takes a piece has it until its lease is over, and renews the lease while being at it: so what a killed worker had is
taken over, and nothing else is done twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, update
from sqlmodel import Field, col, select

from core.clock import as_utc
from core.db import Record, Session, changed_rows, insert_once, instant
from core.ids import new_id

LEARNING = 0
# So many customers are one range.
RANGE = 4_000
LEASE = timedelta(seconds=60)
# Who asks so soon after a run is at the same one still: several that are started by hand do not begin at one instant.
SETTLED = timedelta(minutes=5)
# A run of which no piece was done for so long is given up.
LONGEST_RUN = timedelta(hours=6)
OPEN = "open"


class RecommendationRun(Record, table=True):
    """One run over everybody; `slot` is unique and held while it is open, so that there is one at a time."""

    id: str = Field(primary_key=True)
    slot: str | None = Field(default=None, unique=True)
    opened_at: datetime = instant()
    learnt_at: datetime | None = instant(optional=True)
    closed_at: datetime | None = instant(optional=True)
    is_complete: bool = False
    customers: int = 0
    lists: int = 0


class RecommendationRange(Record, table=True):
    """One piece of a run: the customers behind `after` up to and with `upto`, in order of id."""

    run_id: str = Field(primary_key=True, foreign_key="recommendation_run.id")
    number: int = Field(primary_key=True)
    after: str = ""
    upto: str = ""
    worker: str | None = None
    lease_until: datetime | None = instant(optional=True)
    done_at: datetime | None = instant(optional=True)
    customers: int = 0
    lists: int = 0


async def open_run(session: Session, *, now: datetime, again: bool = False) -> RecommendationRun | None:
    """The run that is open, or a new one; None where one has just been done, unless `again` is asked for."""
    run = await the_open_run(session)
    if run is not None and await last_progress(session, run) > now - LONGEST_RUN:
        return run
    if run is not None:
        await close(session, run.id, now=now, is_complete=False)
    last = await latest_run(session)
    if last is not None and last.is_complete and not again and as_utc(last.opened_at) > now - SETTLED:
        return None
    run_id = new_id()
    row = {"id": run_id, "slot": OPEN, "opened_at": now, "is_complete": False, "customers": 0, "lists": 0}
    if await insert_once(session, RecommendationRun, row, "slot"):
        await insert_once(session, RecommendationRange, piece(run_id, LEARNING, "", ""), "run_id", "number")
    return await the_open_run(session)


async def last_progress(session: Session, run: RecommendationRun) -> datetime:
    """When a piece of a run was last done; its beginning where none is."""
    own = select(func.max(RecommendationRange.done_at)).where(RecommendationRange.run_id == run.id)
    done = (await session.exec(own)).one()
    return as_utc(done or run.opened_at)


async def the_open_run(session: Session) -> RecommendationRun | None:
    statement = select(RecommendationRun).where(RecommendationRun.slot == OPEN)
    return (await session.exec(statement.execution_options(populate_existing=True))).first()


async def latest_run(session: Session) -> RecommendationRun | None:
    """The run that was begun last."""
    statement = select(RecommendationRun).order_by(col(RecommendationRun.id).desc()).limit(1)
    return (await session.exec(statement)).first()


async def learnt_run(session: Session) -> RecommendationRun | None:
    """The latest run that has learnt; its model is the one by which single lists are brought up to date."""
    statement = select(RecommendationRun).where(col(RecommendationRun.learnt_at).is_not(None))
    return (await session.exec(statement.order_by(col(RecommendationRun.id).desc()).limit(1))).first()


def piece(run_id: str, number: int, after: str, upto: str) -> dict[str, Any]:
    return {"run_id": run_id, "number": number, "after": after, "upto": upto, "customers": 0, "lists": 0}


async def claim(session: Session, run_id: str, *, worker: str, now: datetime) -> RecommendationRange | None:
    """Take the next piece that nobody is at; None where there is none at present, or the run is closed."""
    run = await session.get_one(RecommendationRun, run_id, populate_existing=True)
    if run.closed_at is not None:
        return None
    free = or_(col(RecommendationRange.lease_until).is_(None), col(RecommendationRange.lease_until) <= now)
    statement = (
        select(RecommendationRange)
        .where(RecommendationRange.run_id == run_id, col(RecommendationRange.done_at).is_(None), free)
        .order_by(col(RecommendationRange.number))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is not None:
        found.worker, found.lease_until = worker, now + LEASE
        await session.flush()
    return found


async def keep_claim(session: Session, held: RecommendationRange, *, now: datetime) -> bool:
    """Renew the lease of a piece; False where it is done, or another worker has it by now."""
    return bool(await changed_rows(session, mine(held).values(lease_until=now + LEASE)))


def mine(held: RecommendationRange) -> Any:
    return update(RecommendationRange).where(
        col(RecommendationRange.run_id) == held.run_id,
        col(RecommendationRange.number) == held.number,
        col(RecommendationRange.worker) == held.worker,
        col(RecommendationRange.done_at).is_(None),
    )


async def finish_learning(
    session: Session, held: RecommendationRange, cuts: Sequence[str], *, learnt_at: datetime, now: datetime
) -> bool:
    """Cut the run into ranges that end with these customers, and one behind them; False where another has done it.

    `learnt_at` is when reading began: what has changed since is not part of what was learnt.
    """
    if not await changed_rows(session, mine(held).values(done_at=now)):
        return False
    ends = [*cuts, LAST]
    ranges = [
        piece(held.run_id, number, after, upto)
        for number, (after, upto) in enumerate(zip(["", *cuts], ends, strict=True), start=LEARNING + 1)
    ]
    await insert_once(session, RecommendationRange, ranges, "run_id", "number")
    learnt = update(RecommendationRun).where(col(RecommendationRun.id) == held.run_id).values(learnt_at=learnt_at)
    await changed_rows(session, learnt)
    return True


# Behind all ids, which are of hexadecimal digits and hyphens: who comes during a run is of its last range.
LAST = "g"


async def finish_range(
    session: Session, held: RecommendationRange, *, customers: int, lists: int, now: datetime
) -> bool:
    """Note that a range is done; False where another worker, who had taken it over, was faster."""
    done = mine(held).values(done_at=now, customers=customers, lists=lists)
    return bool(await changed_rows(session, done))


async def close_if_done(session: Session, run_id: str, *, now: datetime) -> bool:
    """Close a run of which nothing is left to do; whether it is closed by now."""
    own = RecommendationRange.run_id == run_id, col(RecommendationRange.number) > LEARNING
    total: Any = select(
        func.count(),
        func.count(col(RecommendationRange.done_at)),
        func.coalesce(func.sum(RecommendationRange.customers), 0),
        func.coalesce(func.sum(RecommendationRange.lists), 0),
    )
    ranges, done, customers, lists = (await session.exec(total.where(*own))).one()
    if ranges and ranges == done:
        await close(session, run_id, now=now, is_complete=True, customers=int(customers), lists=int(lists))
    run = await session.get_one(RecommendationRun, run_id, populate_existing=True)
    return run.closed_at is not None


async def close(session: Session, run_id: str, *, now: datetime, is_complete: bool, **figures: int) -> None:
    """End a run once, and forget the pieces of those before it."""
    ending = update(RecommendationRun).where(
        col(RecommendationRun.id) == run_id, col(RecommendationRun.closed_at).is_(None)
    )
    if await changed_rows(session, ending.values(closed_at=now, slot=None, is_complete=is_complete, **figures)):
        await changed_rows(session, delete(RecommendationRange).where(col(RecommendationRange.run_id) < run_id))
