"""Standings: how many of a referrer's referrals are qualified, moved in the transaction that changes one of them.

The row of the period EVER is the lock of all rows of its referrer in its programme, and where it is kept whether
they stand on the leaderboard.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.clock import iso
from core.db import Record, Session, insert_once, instant
from referrals.definition import CapPeriod
from referrals.entitlement import period_of

EVER = "EVER"
# Counts stand in sort keys as what is missing to this, so that the highest comes first.
HIGHEST = 999_999_999

FindLast = Callable[[datetime, datetime], Awaitable[datetime | None]]


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


async def move_standings(
    session: Session,
    program_id: str,
    referrer_id: str,
    *,
    left: datetime | None,
    entered: datetime | None,
    find_last: FindLast,
) -> None:
    """Count a referral that is no more qualified since `left`, and is since `entered` (None: not).

    `find_last` says when the last of the referrer's qualified referrals between two instants was qualified.
    """
    moved: Counter[str] = Counter()
    spans: dict[str, datetime] = {}
    for at, by in ((left, -1), (entered, 1)):
        if at is not None:
            for period in (EVER, month_of(at)):
                moved[period] += by
                spans[period] = at
    ever = await lock_standing(session, program_id, referrer_id)
    for period, at in spans.items():
        row = ever if period == EVER else await standing(session, ever, period)
        row.qualified_count += moved[period]
        if left is not None:
            start, end = period_of(CapPeriod.EVER if period == EVER else CapPeriod.MONTH, at)
            row.last_qualified_at = await find_last(start, end)
        elif row.last_qualified_at is None or row.last_qualified_at < at:
            row.last_qualified_at = at
        row.place = place_of(row)
    await session.flush()


async def lock_standing(session: Session, program_id: str, referrer_id: str) -> ReferralStanding:
    """The row EVER of a referrer, made where there is none; locked for this transaction and read anew."""
    key = {"program_id": program_id, "period": EVER, "referrer_id": referrer_id}
    statement = select(ReferralStanding).filter_by(**key).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        await insert_once(session, ReferralStanding, {**key, "qualified_count": 0})
        found = (await session.exec(statement.execution_options(populate_existing=True))).one()
    return found


async def standing(session: Session, ever: ReferralStanding, period: str) -> ReferralStanding:
    """The row of a period beside `ever`, which is locked; made where there is none."""
    key = (ever.program_id, period, ever.referrer_id)
    found = await session.get(ReferralStanding, key, populate_existing=True)
    if found is None:
        program_id, _, referrer_id = key
        found = ReferralStanding(
            program_id=program_id, period=period, referrer_id=referrer_id, qualified_count=0, entry_id=ever.entry_id
        )
        session.add(found)
    return found


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
