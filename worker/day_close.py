"""Closing days: `python -m worker.day_close` closes what is due and ends. The worker starts it as a process apart."""

import asyncio
from datetime import date

import structlog

from core.clock import utc_now
from core.db import Database
from core.log import configure_logging
from core.settings import load_settings
from loyalty.day_close import (
    BATCH,
    ClosePhase,
    begin_proof,
    close_some,
    due_day,
    has_work,
    keep_proof,
    open_day,
    open_days,
)
from loyalty.trial_balance import trial_balance

log = structlog.get_logger(__name__)

# Folding all books takes as long as they are; no other statement comes near it.
LONGEST_STATEMENT_SECONDS = 3_600.0


async def close_due_days(database: Database, *, zone: str, batch: int = BATCH) -> int:
    """Begin the days that are over, and close all that are begun, the earliest first; returns how many were closed.

    Cut off anywhere, the next run goes on from there.
    """
    await begin_due_days(database, zone=zone)
    closed = 0
    while day := await next_day(database):
        closed += await close_one(database, day, batch=batch)
        await begin_due_days(database, zone=zone)
    return closed


async def begin_due_days(database: Database, *, zone: str) -> None:
    now = utc_now()
    async with database.read() as session:
        due = await due_day(session, zone=zone, now=now)
    if due is not None:
        async with database.write() as session:
            await open_days(session, until=due, zone=zone, now=now)


async def next_day(database: Database) -> date | None:
    async with database.read() as session:
        return await open_day(session)


async def is_day_due(database: Database, *, zone: str) -> bool:
    """Whether there is anything to close that no closer is at; it costs two statements."""
    async with database.read() as session:
        return await has_work(session, zone=zone, now=utc_now())


async def close_one(database: Database, day: date, *, batch: int = BATCH) -> bool:
    """Book batch after batch, each in a transaction of its own; then prove the books and keep the proof.

    False where another closer has done it, or an earlier day was begun meanwhile, which comes first.
    """
    phase = ClosePhase.ACTIVATE
    while phase in (ClosePhase.ACTIVATE, ClosePhase.EXPIRE):
        async with database.write() as session:
            if await open_day(session) != day:
                return False
            phase = await close_some(session, day, now=utc_now(), batch=batch)
    if phase == ClosePhase.CLOSED:
        return False
    async with database.write() as session:
        await begin_proof(session, day, now=utc_now())
    async with database.read() as session:
        proof = await trial_balance(session)
    async with database.write() as session:
        await keep_proof(session, day, proof, now=utc_now())
    log.info("day_closed", day=str(day), holds=proof.holds, entries=proof.entries)
    return True


async def main() -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(settings.database_url or "", pool_size=2, timeout=LONGEST_STATEMENT_SECONDS)
    try:
        await close_due_days(database, zone=settings.loyalty_time_zone)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
