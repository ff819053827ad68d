"""A process that dies while it redeems or ends a redemption: `python tests/loyalty/killed_redemption.py POINT ACT ID…`.

ACT is `redeem` (customer, reward and key), `fail` (redemption) or `settle` (a row of the outbox, as the worker does).
It kills itself `before-commit`, with everything written, or `after-commit`, before anybody has been answered.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.loyalty.redeeming import fail, try_redeem
from worker.handlers import Stores, settle

POINT, ACT, *IDS = sys.argv[1:]
# The debits of lots that this process has begun to write.
seen: list[str] = []


def before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO lot_debit"):
        seen.append(statement)


def die_at(point: str) -> None:
    if seen and point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


event.listen(Engine, "before_cursor_execute", before_statement)
event.listen(Engine, "commit", lambda _: die_at("before-commit"))
# A connection goes back to the pool only after its commit has been answered.
event.listen(Pool, "checkin", lambda *_: die_at("after-commit"))


async def main() -> None:
    settings = load_settings()
    database = Database(settings.database_url or "")
    if ACT == "redeem":
        customer_id, reward_id, key = IDS
        await try_redeem(database, customer_id, reward_id, key)
    elif ACT == "fail":
        await fail(database, IDS[0])
    else:
        async with GraphClient.of(settings) as graph:
            await settle(Stores(database, graph), IDS[0])


asyncio.run(main())
