"""Where data comes from: a source that was ever called external stays so, and says by what right in every row."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import col

from core.db import Session, changed_rows, insert_once
from customers.records import DataSource
from segments.traits import fresh_from

# A month's balance is told within days of its end; after the next month's it is old.
BALANCE_DAYS = 62


async def note_source(session: Session, name: str, *, external: bool, now: datetime) -> bool:
    """Keep that a source sends data; whether it is external, as it says now or has ever said."""
    await insert_once(session, DataSource, {"name": name, "is_external": external, "first_seen_at": now}, "name")
    if external:
        became = update(DataSource).where(col(DataSource.name) == name, col(DataSource.is_external).is_(False))
        await changed_rows(session, became.values(is_external=True))
    return (await session.get_one(DataSource, name, populate_existing=True)).is_external


def is_stale(observed_at: datetime, after_days: int | None, *, now: datetime) -> bool:
    """Whether a value is older than its kind stays good; without such a number it never gets old."""
    return after_days is not None and observed_at < fresh_from(now, after_days)
