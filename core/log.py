"""JSON logs: one object a line on standard error, with the request or job id bound to each.

Our own lines go straight from structlog to standard error, since each request writes one; those of libraries, which
write by the standard library, are put into the same form.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import orjson
import structlog

from core.clock import iso, utc_now

# What each line of a task says, and of the tasks that it begins. One variable for all of it: structlog's own has one
# for each name, and looks through all variables for them whenever a line is written.
ABOUT: ContextVar[Mapping[str, Any]] = ContextVar("about", default={})  # noqa: B039 - nobody changes it in place


def begin_lines(**about: Any) -> None:
    """Have the lines of this task say this from now on, and nothing that was said before."""
    ABOUT.set(about)


def add_to_lines(**about: Any) -> None:
    """Have them say this as well."""
    ABOUT.set({**ABOUT.get(), **about})


def with_about(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """structlog's step that puts it in."""
    return {**ABOUT.get(), **event}


class Lines:
    """Writes the lines of one module to what is standard error now."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        # In one piece, as other processes write to the same pipe.
        sys.stderr.buffer.write(line + b"\n")
        sys.stderr.buffer.flush()

    debug = info = warning = error = critical = exception = msg

    def say(self, event: str, **more: Any) -> None:
        """Write a line at INFO in one step: each request writes one, and structlog's took a twenty-fifth of it."""
        if logging.root.isEnabledFor(logging.INFO):
            own = {"level": "info", "logger": self.name, "timestamp": iso(utc_now()), "event": event}
            self.msg(orjson.dumps({**ABOUT.get(), **more, **own}, default=str))


# What structlog puts into each line, and how a line of ours is written.
STEPS: list[structlog.typing.Processor] = [
    with_about,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
WRITTEN = structlog.processors.JSONRenderer(serializer=orjson.dumps, default=str)


def configure_logging(level: str) -> None:
    """Send structlog and the standard library's loggers through one JSON renderer."""
    structlog.configure(
        processors=[*STEPS, WRITTEN],
        logger_factory=Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=STEPS,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(
                    serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Under uvicorn's command line its loggers bring handlers of their own, which write text.
    logging.getLogger("uvicorn").handlers.clear()
    logging.getLogger("uvicorn").propagate = True
    # It writes each statement at DEBUG with its parameters, among them codes that only their owners may see.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    # Both repeat at INFO what our own request and job lines say better.
    for noisy in ("httpx", "uvicorn.access", "neo4j", "arq.worker", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
