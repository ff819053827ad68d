"""A step of the worker that kills itself: `python tests/worker/killed_step.py STEP POINT NUMBER`.

STEP is `relay` (what the graph owes moves into the outbox), `remind` (a page of reminders at a time), `anniversaries`
(a page at a time, of the days up to today) or `sweep` (what is owed in SQL; merges of tags a page at a time). It dies
at the NUMBERth transaction that writes to the outbox: `before-commit`, with nothing kept, or `after-commit`, when the
stores disagree.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from customers import tag_merges
from graph.client import GraphClient
from tests.dying import die
from worker import anniversaries, reminders, sweeps
from worker.work import Stores

STEP, POINT, NUMBER = sys.argv[1], sys.argv[2], int(sys.argv[3])

die(POINT, at="INSERT INTO outbox", number=NUMBER)


async def main() -> None:
    settings = load_settings()
    sweeps.BATCH = reminders.PEOPLE = anniversaries.CUSTOMERS = anniversaries.PAGES = tag_merges.PAGE = 3
    async with GraphClient.of(settings) as graph:
        stores = Stores(Database(settings.database_url or ""), graph)
        if STEP == "relay":
            await sweeps.relay_owed(stores)
        elif STEP == "anniversaries":
            await anniversaries.sweep_anniversaries(stores, zone="Asia/Shanghai", now=utc_now())
        elif STEP == "sweep":
            await sweeps.sweep_outbox(stores)
        else:
            await reminders.sweep_reminders(stores, now=utc_now())


asyncio.run(main())
