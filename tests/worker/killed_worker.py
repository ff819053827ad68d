"""A real worker that kills itself at a chosen point: `python tests/worker/killed_worker.py POINT`.

It is the worker as it is, watched from outside by SQLAlchemy's events. POINT is one of
`before-effect` (the row is locked, nothing is written), `before-commit` (everything is written and
nothing committed), `after-commit` (committed, and nobody has been told).
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from arq.worker import run_worker
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from worker.settings import WorkerSettings

POINT = sys.argv[1]
# The postings that this process has begun to write.
seen: list[str] = []


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO ledger_posting"):
        seen.append(statement)
        if POINT == "before-effect":
            die()


def on_commit(_: Any) -> None:
    if seen and POINT == "before-commit":
        die()


def after_release(*_: Any) -> None:
    if seen and POINT == "after-commit":
        die()


event.listen(Engine, "before_cursor_execute", before_statement)
event.listen(Engine, "commit", on_commit)
# A connection goes back to the pool only after its commit has been answered.
event.listen(Pool, "checkin", after_release)

run_worker(WorkerSettings)  # pyright: ignore[reportArgumentType] - arq takes the class as it is
