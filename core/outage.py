"""Services that we can do without for a while: asked with patience, and then left alone for a moment.

Redis wakes and counts, and nothing that people are owed is there alone. Without a limit on the wait, a Redis that is
stopped would take the whole time budget of every request; without a pause, each of them would wait anew.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from core.time_limits import within

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Outage:
    """Knows whether a service was away a moment ago; one for each use of it in a process.

    Seconds: `patience` is how long an answer may take, `pause` for how long nobody asks after a failure.
    """

    def __init__(self, what: str, *, patience: float = 1.0, pause: float = 1.0) -> None:
        self._what = what
        self._patience = patience
        self._pause = pause
        self._until = 0.0

    async def asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What the service answers; None where it is away, which the log says."""
        if time.monotonic() < self._until:
            return None
        try:
            with within(self._patience):
                return await ask()
        except (OSError, RedisError, TimeoutError) as error:
            self._until = time.monotonic() + self._pause
            log.warning(f"{self._what}_unavailable", error=type(error).__name__)
            return None
