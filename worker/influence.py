"""The ranking of influence, as a process: `python -m worker.influence`."""

import asyncio

import structlog

from core.clock import utc_now
from core.db import Database
from core.log import configure_logging
from core.settings import load_settings
from referrals.influence import rank_influence

log = structlog.get_logger(__name__)


async def run() -> None:
    """Recompute the ranking of every programme."""
    settings = load_settings()
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set: start the system with make run")
    database = Database(settings.database_url, pool_size=2)
    try:
        programs = await rank_influence(database, now=utc_now())
    finally:
        await database.close()
    log.info("influence", programs=programs)


if __name__ == "__main__":
    configure_logging(load_settings().log_level)
    asyncio.run(run())
