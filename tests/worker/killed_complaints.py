"""A sweep of complaints that kills itself: `python tests/worker/killed_complaints.py POINT NUMBER NOW`.

Two complaints a page; it dies at the NUMBERth transaction that writes deadlines: `before-commit`, with nothing of the
page kept, or `after-commit`, before it knows of it.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.clock import parse_instant
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from worker.complaints import sweep_complaints
from worker.work import Stores

POINT, NUMBER, NOW = sys.argv[1], int(sys.argv[2]), parse_instant(sys.argv[3])

die(POINT, at="UPDATE complaint SET", number=NUMBER)


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        stores = Stores(Database(settings.database_url or ""), graph)
        await sweep_complaints(stores, now=NOW, page=2)


asyncio.run(main())
