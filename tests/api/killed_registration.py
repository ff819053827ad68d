"""A request that dies while it pays for a seat: `python tests/api/killed_registration.py POINT EVENT CUSTOMER`.

It does what the mutation does, and kills itself with the seat taken: `before-commit`, when the points are written and
nothing is committed, or `after-commit`, when they are booked and the seat is not marked as paid.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from api.community.payments import pay
from api.context import Context
from community.registrations import register_for_event
from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient

POINT, EVENT, CUSTOMER = sys.argv[1:4]
# The charges that this process has begun to write.
seen: list[str] = []


def before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO event_charge"):
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
    async with GraphClient.of(settings) as graph:
        now = utc_now()
        standing = await register_for_event(graph, event_id=EVENT, customer_id=CUSTOMER, now=now)
        context = SimpleNamespace(graph=graph, database=Database(settings.database_url or ""), now=now)
        if standing.charge is not None:
            await pay(cast(Context, context), standing.charge)


asyncio.run(main())
