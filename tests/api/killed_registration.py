"""A request that dies while it pays for a seat: `python tests/api/killed_registration.py POINT EVENT CUSTOMER`.

It does what the mutation does, and kills itself with the seat taken: `before-commit`, when the points are written and
nothing is committed, or `after-commit`, when they are booked and the seat is not marked as paid.
"""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from api.community.payments import pay
from api.context import Context
from community.registrations import register_for_event
from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from tests.dying import die

POINT, EVENT, CUSTOMER = sys.argv[1:4]

die(POINT, at="INSERT INTO event_charge")


async def main() -> None:
    settings = load_settings()
    async with GraphClient.of(settings) as graph:
        now = utc_now()
        standing = await register_for_event(graph, event_id=EVENT, customer_id=CUSTOMER, now=now)
        context = SimpleNamespace(graph=graph, database=Database(settings.database_url or ""), now=now)
        if standing.charge is not None:
            await pay(cast(Context, context), standing.charge)


asyncio.run(main())
