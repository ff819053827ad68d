"""Overrides of tiers when two profiles become one: what staff set goes on to count, and nothing waits for ever."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from core.clock import as_utc
from core.db import Session, changed_rows
from customers.tier_overrides import begin, lock_override
from customers.tier_records import OverrideStatus, TierOverride
from customers.tier_standing import lock_standings

MERGED = "merged"


async def carry_over_overrides(session: Session, merged_id: str, survivor_id: str, *, now: datetime) -> None:
    """Let the override that has moved to the survivor count, and end what stayed under the old id.

    What stayed did so because the survivor has one of its own. Called after the rows have moved.
    """
    await close_left(session, merged_id, now=now)
    statement = select(TierOverride.id).where(
        TierOverride.customer_id == survivor_id, TierOverride.status == OverrideStatus.APPROVED
    )
    override_id = (await session.exec(statement)).first()
    if override_id is None:
        return
    standing = (await lock_standings(session, [survivor_id], now=now))[survivor_id]
    row = await lock_override(session, override_id)
    counts = row.status == OverrideStatus.APPROVED and as_utc(row.expires_at) > now
    if counts and standing.override_id != row.id:
        await begin(session, row, standing, now=now)


async def close_left(session: Session, merged_id: str, *, now: datetime) -> None:
    """Reject what waits under an old id and end what counted there: nobody would decide or see it any more."""
    left = update(TierOverride).where(col(TierOverride.customer_id) == merged_id)
    waits = left.where(col(TierOverride.status) == OverrideStatus.PENDING)
    await changed_rows(
        session,
        waits.values(status=OverrideStatus.REJECTED, decided_by="kinship", decided_at=now, decision_reason=MERGED),
    )
    counted = left.where(col(TierOverride.status) == OverrideStatus.APPROVED)
    await changed_rows(
        session, counted.values(status=OverrideStatus.ENDED, ended_by="kinship", ended_at=now, end_reason=MERGED)
    )
