"""The search for rings, as a process: `python -m worker.rings`."""

import asyncio
import time

import structlog

from core.db import Database
from core.log import configure_logging
from core.settings import Settings, load_settings
from graph.client import GraphClient
from worker.screening import search_rings

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Search all customers once by the default policy."""
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set: start the system with make run")
    began = time.monotonic()
    database = Database(settings.database_url, keys=settings.key_ring)
    try:
        async with GraphClient.of(settings) as graph:
            report = await search_rings(database, graph)
    finally:
        await database.close()
    log.info("rings", seconds=round(time.monotonic() - began, 1), **report)


if __name__ == "__main__":
    found = load_settings()
    configure_logging(found.log_level)
    asyncio.run(run(found))
