"""The daily look at everybody's follow-ups: ranges of customers that workers take, each of them done once.

A range is taken in a transaction of its own and struck off in that of its work: so several workers are at several
ranges at once, one that is killed leaves its range to the next who asks after a while, and of two at one range the
second finds it struck off. The next day's look sees whatever this one did not come to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, update
from sqlmodel import Field, col, select

from core.clock import as_utc
from core.db import Record, Session, changed_rows, insert_once, instant

# So many customers are looked at in one go.
PAGE = 1_000
# For so long a worker counts as being at a range.
LONGEST_RANGE = timedelta(minutes=2)


class FollowUpRun(Record, table=True):
    """One day's look by the policy that was active when it began; `cursor` is up to whom ranges were given out."""

    day: date = Field(primary_key=True)
    policy_id: str = Field(foreign_key="service_policy.id")
    cursor: str = ""
    is_given_out: bool = False
    customers: int = 0
    tasks: int = 0
    messages: int = 0
    missed: int = 0
    opened_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True)


class FollowUpRange(Record, table=True):
    """Customers behind one up to another whom a worker is at."""

    day: date = Field(primary_key=True)
    last: str = Field(primary_key=True)
    after: str
    busy_until: datetime = instant()


@dataclass(frozen=True, slots=True)
class Range:
    """What one worker has taken of a day."""

    day: date
    after: str
    last: str


async def open_run(session: Session, day: date, policy_id: str, *, now: datetime) -> FollowUpRun | None:
    """The day's look, begun or to be gone on with; None where it is done."""
    counts = dict.fromkeys(("customers", "tasks", "messages", "missed"), 0)
    row = {"day": day, "policy_id": policy_id, "cursor": "", "is_given_out": False, "opened_at": now, **counts}
    await insert_once(session, FollowUpRun, row, "day")
    found = await session.get_one(FollowUpRun, day, populate_existing=True)
    return found if found.finished_at is None else None


async def is_due(session: Session, day: date, *, now: datetime) -> bool:
    """Whether the day's look is not done and something is left that nobody is at."""
    run = await session.get(FollowUpRun, day, populate_existing=True)
    if run is None or (run.finished_at is None and not run.is_given_out):
        return True
    if run.finished_at is not None:
        return False
    ranges = (await session.exec(select(FollowUpRange).where(FollowUpRange.day == day))).all()
    return not ranges or any(as_utc(one.busy_until) <= now for one in ranges)


async def left_range(session: Session, day: date, *, now: datetime) -> Range | None:
    """A range of which nobody has heard for too long, taken over; None where there is none."""
    statement = select(FollowUpRange).where(FollowUpRange.day == day, FollowUpRange.busy_until <= now)
    late = statement.order_by(col(FollowUpRange.last)).limit(1).with_for_update(skip_locked=True)
    found = (await session.exec(late.execution_options(populate_existing=True))).first()
    if found is None:
        return None
    found.busy_until = now + LONGEST_RANGE
    await session.flush()
    return Range(day, found.after, found.last)


async def hold_run(session: Session, day: date) -> FollowUpRun:
    """The day's row, held: ranges are given out one after the other."""
    statement = select(FollowUpRun).where(FollowUpRun.day == day).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def give_out(session: Session, run: FollowUpRun, ids: Sequence[str], *, now: datetime) -> Range | None:
    """Take the next customers of a run that is held; None where there are no more."""
    if not ids:
        run.is_given_out = True
        await session.flush()
        return None
    taken = Range(run.day, run.cursor, ids[-1])
    session.add(FollowUpRange(day=run.day, last=taken.last, after=taken.after, busy_until=now + LONGEST_RANGE))
    run.cursor = taken.last
    await session.flush()
    return taken


async def strike_off(session: Session, taken: Range) -> bool:
    """Note, before the work and in its transaction, that a range is done; False where somebody else has done it."""
    mine = delete(FollowUpRange).where(col(FollowUpRange.day) == taken.day, col(FollowUpRange.last) == taken.last)
    return bool(await changed_rows(session, mine))


async def count_up(session: Session, day: date, **counts: int) -> None:
    """Add to the figures of a run."""
    more: dict[Any, Any] = {name: getattr(FollowUpRun, name) + count for name, count in counts.items()}
    await changed_rows(session, update(FollowUpRun).where(col(FollowUpRun.day) == day).values(**more))


async def finish_run(session: Session, day: date, *, now: datetime) -> bool:
    """Say that the day is done where all has been given out and nobody is at anything; whether this was it."""
    left = exists().where(col(FollowUpRange.day) == day)
    done = update(FollowUpRun).where(
        col(FollowUpRun.day) == day,
        col(FollowUpRun.is_given_out).is_(True),
        col(FollowUpRun.finished_at).is_(None),
        ~left,
    )
    return bool(await changed_rows(session, done.values(finished_at=now)))
