"""Standings: how many of a referrer's referrals are qualified, moved in the transaction that changes one of them.

The row of the period EVER is the lock of all rows of its referrer in its programme, and where it is kept whether
they stand on the leaderboard.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Index, tuple_
from sqlmodel import Field, col, select

from core.clock import iso
from core.days import Period
from core.db import Record, Session, insert_once, instant
from referrals.entitlement import period_of

EVER = "EVER"
# Counts stand in sort keys as what is missing to this, so that the highest comes first.
HIGHEST = 999_999_999

FindLast = Callable[[str, str, datetime, datetime], Awaitable[datetime | None]]


class ReferralStanding(Record, table=True):
    """One referrer in one period: EVER, or a month of UTC such as 2026-11, by when referrals were qualified.

    `last_qualified_at` is when the count was reached. `place` sorts the leaderboard as text; only those have one who
    asked for it (`entry_id`) and brought somebody.
    """

    __table_args__ = (Index("ix_referral_standing_place", "program_id", "period", "place"),)

    program_id: str = Field(primary_key=True, foreign_key="referral_program.id")
    period: str = Field(primary_key=True)
    referrer_id: str = Field(primary_key=True)
    qualified_count: int
    last_qualified_at: datetime | None = instant(optional=True)
    entry_id: str | None = None
    place: str | None = None


def month_of(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m")


@dataclass(frozen=True, slots=True)
class Move:
    """A referral that is no more qualified since `left`, and is since `entered` (None: not)."""

    program_id: str
    referrer_id: str
    left: datetime | None
    entered: datetime | None

    def shifts(self) -> dict[str, tuple[datetime, int]]:
        """By how much each period's count moves, with an instant in it."""
        found: dict[str, tuple[datetime, int]] = {}
        for at, by in ((self.left, -1), (self.entered, 1)):
            if at is not None:
                for period in (EVER, month_of(at)):
                    found[period] = (at, found.get(period, (at, 0))[1] + by)
        return found


async def move_standings(session: Session, moves: Sequence[Move], *, find_last: FindLast) -> None:
    """Count referrals by their new state, by few statements for all of them.

    `find_last` says when the last of a referrer's qualified referrals between two instants was qualified; it is asked
    only where one has left.
    """
    rows = await lock_standings(session, {(move.program_id, move.referrer_id) for move in moves})
    await read_months(session, rows, moves)
    for move in moves:
        for period, (at, by) in move.shifts().items():
            row = rows[(move.program_id, move.referrer_id, period)]
            row.qualified_count += by
            if move.left is not None:
                start, end = period_of(Period.EVER if period == EVER else Period.MONTH, at)
                row.last_qualified_at = await find_last(move.program_id, move.referrer_id, start, end)
            elif row.last_qualified_at is None or row.last_qualified_at < at:
                row.last_qualified_at = at
            row.place = place_of(row)
    await session.flush()


Standings = dict[tuple[str, str, str], ReferralStanding]
OWNER = tuple_(col(ReferralStanding.program_id), col(ReferralStanding.referrer_id))


async def lock_standings(session: Session, owners: Collection[tuple[str, str]]) -> Standings:
    """The rows EVER of referrers (programme, referrer), made where there are none; locked and read anew.

    They are locked in one order, so that nobody waits in a circle.
    """
    statement = (
        select(ReferralStanding)
        .where(ReferralStanding.period == EVER, OWNER.in_(sorted(owners)))
        .order_by(col(ReferralStanding.program_id), col(ReferralStanding.referrer_id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = (await session.exec(statement)).all()
    if len(found) < len(owners):
        rows: list[dict[str, Any]] = [
            {"program_id": program_id, "period": EVER, "referrer_id": referrer_id, "qualified_count": 0}
            for program_id, referrer_id in sorted(owners)
        ]
        await insert_once(session, ReferralStanding, rows)
        found = (await session.exec(statement)).all()
    return {(row.program_id, row.referrer_id, EVER): row for row in found}


async def lock_standing(session: Session, program_id: str, referrer_id: str) -> ReferralStanding:
    """The row EVER of one referrer, locked."""
    return (await lock_standings(session, [(program_id, referrer_id)]))[(program_id, referrer_id, EVER)]


async def read_months(session: Session, rows: Standings, moves: Sequence[Move]) -> None:
    """Add to the locked rows EVER those of the months that move, made where there are none."""
    asked = {
        (move.program_id, move.referrer_id, period) for move in moves for period in move.shifts() if period != EVER
    }
    key = tuple_(col(ReferralStanding.program_id), col(ReferralStanding.referrer_id), col(ReferralStanding.period))
    statement = select(ReferralStanding).where(key.in_(sorted(asked)))
    for row in (await session.exec(statement.execution_options(populate_existing=True))).all():
        rows[(row.program_id, row.referrer_id, row.period)] = row
    for program_id, referrer_id, period in sorted(asked - rows.keys()):
        row = ReferralStanding(
            program_id=program_id,
            period=period,
            referrer_id=referrer_id,
            qualified_count=0,
            entry_id=rows[(program_id, referrer_id, EVER)].entry_id,
        )
        session.add(row)
        rows[(program_id, referrer_id, period)] = row


async def list_standings(session: Session, ever: ReferralStanding, entry_id: str | None) -> None:
    """Put all standings of a referrer on the leaderboard under this entry, or take them off (None)."""
    statement = select(ReferralStanding).where(
        ReferralStanding.program_id == ever.program_id,
        ReferralStanding.referrer_id == ever.referrer_id,
    )
    rows = await session.exec(
        statement.order_by(col(ReferralStanding.period)).execution_options(populate_existing=True)
    )
    for row in rows.all():
        row.entry_id = entry_id
        row.place = place_of(row)
    await session.flush()


def place_of(row: ReferralStanding) -> str | None:
    """Where a row sorts: the higher count, then who reached it earlier, then the entry's id.

    All parts have a fixed length, so that every collation sorts them alike.
    """
    if row.entry_id is None or row.qualified_count <= 0 or row.last_qualified_at is None:
        return None
    return f"{HIGHEST - row.qualified_count:09}:{iso(row.last_qualified_at)}:{row.entry_id}"
