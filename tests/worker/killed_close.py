"""A day close that kills itself: `python tests/worker/killed_close.py POINT NUMBER`.

It dies at the NUMBERth transaction that changes the row of a day: `before-commit`, with nothing of the batch kept, or
`after-commit`, before it knows of it.
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
from worker.day_close import close_due_days

POINT, NUMBER = sys.argv[1], int(sys.argv[2])


class Watch:
    """What the present transaction has done, as SQLAlchemy's events tell it."""

    writing = False
    number = 0

    def before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE day_close") and not self.writing:
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
    await close_due_days(Database(settings.database_url or ""), zone=settings.loyalty_time_zone, batch=4)


asyncio.run(main())
