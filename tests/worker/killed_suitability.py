"""A worker that dies while it looks at who holds a product: `python tests/worker/killed_suitability.py POINT NUMBER`.

Pages have three holders. It dies at the NUMBERth transaction that writes to the outbox: `before-commit`, with nothing
of the page kept, or `after-commit`, before it knows of it.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from worker import suitability, sweeps
from worker.work import Stores

POINT, NUMBER = sys.argv[1], int(sys.argv[2])

die(POINT, at="UPDATE outbox", number=NUMBER)


async def main() -> None:
    settings = load_settings()
    suitability.HOLDERS = 3
    async with GraphClient.of(settings) as graph:
        await sweeps.sweep_outbox(Stores(Database(settings.database_url or ""), graph))


asyncio.run(main())
