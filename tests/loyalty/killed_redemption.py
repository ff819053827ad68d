"""A process that dies while it redeems or ends a redemption: `python tests/loyalty/killed_redemption.py POINT ACT ID…`.

ACT is `redeem` (customer, reward and key), `fail` (redemption) or `settle` (a row of the outbox, as the worker does).
It kills itself `before-commit`, with everything written, or `after-commit`, before anybody has been answered.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die
from tests.loyalty.redeeming import fail, try_redeem
from worker.handlers import settle
from worker.work import Stores

POINT, ACT, *IDS = sys.argv[1:]

die(POINT, at="INSERT INTO lot_debit")


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
