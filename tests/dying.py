"""A process that kills itself at a chosen transaction, watched from outside by SQLAlchemy's events."""

import os
import signal
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool


class Watch:
    """What the present transaction has done, of what is looked for."""

    def __init__(self, point: str, statement: str, number: int) -> None:
        self.point, self.statement, self.number = point, statement, number
        self.writing = False
        self.seen = 0

    def before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(self.statement) and not self.writing:
            self.writing = True
            self.seen += 1

    def on_commit(self, _: Any) -> None:
        self.die_at("before-commit")

    def after_release(self, *_: Any) -> None:
        # A connection goes back to the pool only after its commit has been answered.
        self.die_at("after-commit")
        self.writing = False

    def die_at(self, point: str) -> None:
        if self.writing and point == self.point and self.seen == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


def die(point: str, *, at: str, number: int = 1) -> None:
    """From now on, die at the `number`th transaction with a statement that begins so.

    `point` is `before-commit` (everything is written, and nothing is kept) or `after-commit` (it is kept, and nobody
    knows of it). The process has one connection at a time: which one commits is not looked at.
    """
    watch = Watch(point, at, number)
    event.listen(Engine, "before_cursor_execute", watch.before_statement)
    event.listen(Engine, "commit", watch.on_commit)
    event.listen(Pool, "checkin", watch.after_release)
