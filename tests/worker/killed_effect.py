"""An effect that kills its worker: `python tests/worker/killed_effect.py TOPIC KEY POINT`.

POINT is how many statements to the graph have been answered when it dies.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.ids import derived_id
from core.settings import load_settings
from graph.client import GraphClient
from worker.handlers import settle
from worker.work import Stores

TOPIC, KEY, POINT = sys.argv[1], sys.argv[2], int(sys.argv[3])


class DyingClient(GraphClient):
    """A client that dies after so many answers."""

    answers = 0

    async def _retried(self, attempt: Any, timeout: float | None) -> Any:
        found = await super()._retried(attempt, timeout)
        self.answers += 1
        if self.answers == POINT:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


async def main() -> None:
    settings = load_settings()
    async with DyingClient.of(settings) as graph:
        database = Database(settings.database_url or "", keys=settings.key_ring)
        await settle(Stores(database, graph), derived_id("outbox", TOPIC, KEY))


asyncio.run(main())
