"""A worker that kills itself over promises: `python tests/worker/killed_promise.py WORK POINT NUMBER`.

WORK is the id of an owed effect, or `sweep`: the daily sweep at the noon of the tests' day, two facts a page.
It dies at the NUMBERth transaction that proves a break, or of the sweep says how far it has come.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from tests.service.promised import NOON
from worker.handlers import settle
from worker.service_breaks import sweep_breaks
from worker.work import Stores

WORK, POINT, NUMBER = sys.argv[1], sys.argv[2], int(sys.argv[3])

die(
    POINT,
    at="UPDATE service_break_sweep SET kind" if WORK == "sweep" else "INSERT INTO service_break_fact",
    number=NUMBER,
)


async def main() -> None:
    settings = load_settings()
    database = Database(settings.database_url or "", keys=settings.key_ring)
    if WORK == "sweep":
        await sweep_breaks(database, now=NOON, page=2)
        return
    async with GraphClient.of(settings) as graph:
        await settle(Stores(database, graph), WORK)


asyncio.run(main())
