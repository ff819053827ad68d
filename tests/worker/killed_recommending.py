"""A worker that dies while it settles lists: `python tests/worker/killed_recommending.py POINT`.

It sweeps as if so much time had passed that all lists are due, and dies `before-commit` of what settles them, when they
are written, or `after-commit`.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from community.recommendation_due import PATIENCE, WINDOW
from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from worker import handlers, sweeps
from worker.work import Stores

die(sys.argv[1], at="UPDATE outbox")
for module in (handlers, sweeps):
    setattr(module, "utc_now", lambda: utc_now() + WINDOW + PATIENCE)  # noqa: B010 - it looks for it there


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        await sweeps.sweep_outbox(Stores(Database(settings.database_url or ""), graph))


asyncio.run(main())
