"""Deciding tiers: `python -m worker.tiers` runs the months that are due; `--month 2026-10` those up to that one.

The worker starts it as a process apart.
"""

import argparse
import asyncio
from datetime import date

import structlog

from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError
from core.log import configure_logging
from core.settings import load_settings
from customers.tier_run import BATCH, due_month, has_work, open_months, run_some
from graph.client import GraphClient
from worker.handlers import settle
from worker.work import Stores

log = structlog.get_logger(__name__)

# The sums of a range over a year of balances take longer than what a request may ask.
LONGEST_STATEMENT_SECONDS = 600.0


async def run_due_months(stores: Stores, *, zone: str, month: date | None = None, batch: int = BATCH) -> int:
    """Begin the months that are due, or the one asked for, and run all that are begun; returns how many were closed.

    Cut off anywhere, the next run goes on from there; of two at once each takes the next range. Raises
    TierMonthNotOver, TierMonthBeforeFirst.
    """
    await begin_months(stores, zone=zone, month=month)
    closed = 0
    while True:
        async with stores.database.write() as session:
            step = await run_some(session, zone=zone, now=utc_now(), batch=batch)
        if step is None:
            if not await begin_months(stores, zone=zone, month=month):
                return closed
            continue
        # The sweep would do it, too, and does where this process ends before.
        if step.effect is not None:
            await settle(stores, step.effect)
        if step.is_closed:
            closed += 1
            log.info("tiers_decided", month=step.month.isoformat()[:7])


async def begin_months(stores: Stores, *, zone: str, month: date | None) -> bool:
    """Begin the month that is asked for, else what is due; whether there is anything to do."""
    now = utc_now()
    async with stores.database.read() as session:
        wanted = month or await due_month(session, zone=zone, now=now)
    if wanted is None:
        return False
    async with stores.database.write() as session:
        run = await open_months(session, until=wanted, zone=zone, now=now)
    return run.closed_at is None


async def is_month_due(database: Database, *, zone: str) -> bool:
    """Whether there is a month to run that nobody is at; it costs a few small statements."""
    async with database.read() as session:
        return await has_work(session, zone=zone, now=utc_now())


async def main(month: date | None) -> int:
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(settings.database_url or "", pool_size=4, timeout=LONGEST_STATEMENT_SECONDS)
    try:
        async with GraphClient.of(settings) as graph:
            await run_due_months(Stores(database, graph), zone=settings.loyalty_time_zone, month=month)
    except KinshipError as error:
        log.error("tiers_not_decided", reason=str(error))
        return 2
    finally:
        await database.close()
    return 0


def month_of(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Decide the tiers of the months that are due.")
    parser.add_argument("--month", type=month_of, metavar="YYYY-MM", help="up to this month, though it is not due yet")
    raise SystemExit(asyncio.run(main(parser.parse_args().month)))
