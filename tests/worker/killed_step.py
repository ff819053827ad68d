"""A step of the worker that kills itself: `python tests/worker/killed_step.py STEP POINT NUMBER`.

STEP is `relay` (what the graph owes moves into the outbox), `remind` (a page of reminders at a time) or `anniversaries`
(a page at a time, of the days up to today). It dies at the NUMBERth transaction that writes to the outbox:
`before-commit`, with nothing kept, or `after-commit`, when the stores disagree.
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

from core.clock import utc_now
from core.db import Database
from core.settings import load_settings
from graph.client import GraphClient
from worker import anniversaries, reminders, sweeps
from worker.handlers import Stores

STEP, POINT, NUMBER = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Watch:
    """What the present transaction has done, as SQLAlchemy's events tell it."""

    writing = False
    number = 0

    def before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO outbox") and not self.writing:
            self.writing = True
            self.number += 1

    def on_commit(self, _: Any) -> None:
        self.die_at("before-commit")

    def after_release(self, *_: Any) -> None:
        # A connection goes back to the pool only after its commit has been answered.
        self.die_at("after-commit")
        self.writing = False

    def die_at(self, point: str) -> None:
        if self.writing and point == POINT and self.number == NUMBER:
            os.kill(os.getpid(), signal.SIGKILL)


watch = Watch()
event.listen(Engine, "before_cursor_execute", watch.before_statement)
event.listen(Engine, "commit", watch.on_commit)
event.listen(Pool, "checkin", watch.after_release)


async def main() -> None:
    settings = load_settings()
    sweeps.BATCH = reminders.PEOPLE = anniversaries.CUSTOMERS = anniversaries.PAGES = 3
    async with GraphClient.of(settings) as graph:
        stores = Stores(Database(settings.database_url or ""), graph)
        if STEP == "relay":
            await sweeps.relay_owed(stores)
        elif STEP == "anniversaries":
            await anniversaries.sweep_anniversaries(stores, zone="Asia/Shanghai", now=utc_now())
        else:
            await reminders.sweep_reminders(stores, now=utc_now())


asyncio.run(main())
