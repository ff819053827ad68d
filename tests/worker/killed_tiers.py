"""A run of tiers that kills itself: `python tests/worker/killed_tiers.py POINT NUMBER MONTH`.

It dies at the NUMBERth transaction that changes the row of a run: `before-commit`, with nothing of the range kept, or
`after-commit`, with the range kept and the graph untouched; or `after-graph`, when the graph has it and nobody knows.
"""

import asyncio
import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from customers import tier_standing
from graph.client import GraphClient
from tests.dying import die
from worker import handlers
from worker.tiers import run_due_months
from worker.work import Stores

POINT, NUMBER, MONTH = sys.argv[1], int(sys.argv[2]), date.fromisoformat(sys.argv[3])

# How often the graph has been written to.
projected: list[None] = []


async def project(*given: Any) -> None:
    await tier_standing.project_tiers(*given)
    projected.append(None)
    if POINT == "after-graph" and len(projected) == NUMBER:
        os.kill(os.getpid(), signal.SIGKILL)


die(POINT, at="UPDATE tier_run", number=NUMBER)
setattr(handlers, "project_tiers", project)  # noqa: B010 - the run looks for it there


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        stores = Stores(Database(settings.database_url or ""), graph)
        await run_due_months(stores, zone=settings.loyalty_time_zone, month=MONTH, batch=3)


asyncio.run(main())
