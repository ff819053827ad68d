"""A delivery whose worker dies when it was sent and nothing is noted: `python tests/worker/killed_delivery.py ID`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from service.message_outlets import Letter, Outlets
from service.webhook_endpoints import Target
from service.webhooks import send_webhook
from worker import delivering
from worker.work import Stores


async def send_and_die(letter: Letter, target: Target, outlets: Outlets, *, now: object) -> None:
    await send_webhook(letter, target, outlets, now=utc_now())
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    settings = load_settings()
    delivering.send_webhook = send_and_die  # pyright: ignore[reportAttributeAccessIssue] - it dies where it returns
    async with GraphClient.of(settings) as graph:
        database = Database(settings.database_url or "", keys=settings.key_ring)
        await delivering.deliver(Stores(database, graph, outlets=Outlets.of(settings)), sys.argv[1], now=utc_now())


asyncio.run(main())
