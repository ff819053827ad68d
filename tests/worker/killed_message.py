"""A worker that dies when it decides a message: `python tests/worker/killed_message.py OUTBOX_ID POINT`."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from worker.handlers import settle
from worker.work import Stores


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        database = Database(settings.database_url or "", pool_size=1, keys=settings.key_ring)
        die(sys.argv[2], at="INSERT INTO message ")
        await settle(Stores(database, graph), sys.argv[1])


asyncio.run(main())
