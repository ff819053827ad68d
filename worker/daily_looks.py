"""A daily look at all customers, page after page, each in a transaction with how far it has come."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from core.clock import utc_now
from core.db import Database, Session
from core.log import configure_logging
from core.settings import load_settings
from customers.alert_reads import Who, between
from customers.insight_sweeps import PAGE, InsightSweep, advance_sweep, count_raised, next_customers

log = structlog.get_logger(__name__)

# One page is read by a handful of statements; no other statement comes near it.
LONGEST_STATEMENT_SECONDS = 600.0


class Sweep(Protocol):
    """Looks at everybody who is due; returns how much it raised."""

    async def __call__(self, database: Database, *, now: datetime) -> int: ...


FoundT = TypeVar("FoundT")
Find = Callable[[Session, Who], Awaitable[Sequence[FoundT]]]
Put = Callable[[Session, Sequence[FoundT]], Awaitable[int]]


async def look_through(
    database: Database, row: InsightSweep, find: Find[FoundT], put: Put[FoundT], *, page: int = PAGE
) -> int:
    """Look at everybody behind the place of the row; returns how much was raised.

    What is found is read before the transaction that raises it: only that holds locks. Where another look has gone on
    from the same place, this one gives way.
    """
    await database.learn_sizes()
    raised = 0
    while True:
        async with database.read() as session:
            ids = await next_customers(session, row.cursor, limit=page)
            found = await find(session, between(row.cursor, ids[-1])) if ids else []
        async with database.write() as session:
            if not await advance_sweep(session, row, ids, now=utc_now()):
                return raised
            new = await put(session, found)
            await count_raised(session, row, new)
        raised += new
        if not ids:
            return raised
        row.cursor = ids[-1]


async def look_once(event: str, sweep: Sweep) -> None:
    """What a process apart does: open the database, look, and say in the log under this name what was raised."""
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(
        settings.database_url or "", pool_size=2, timeout=LONGEST_STATEMENT_SECONDS, zone=settings.loyalty_time_zone
    )
    try:
        log.info(event, raised=await sweep(database, now=utc_now()))
    finally:
        await database.close()
