"""A process that dies while it claws back: `python tests/loyalty/killed_clawback.py POINT CUSTOMER`.

It takes back the 30 points of the customer's reward and kills itself, `before-commit` or `after-commit`.
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
from tests.loyalty.accounts import demand, take_back

POINT, CUSTOMER = sys.argv[1:3]
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

asyncio.run(take_back(Database(load_settings().database_url or ""), demand(CUSTOMER, f"{CUSTOMER}:r", 30)))
