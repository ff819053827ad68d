"""How many streams one principal, and all together, may hold open at once, counted in each process by itself."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

MOST_STREAMS = 10


class TooManyStreams(Exception):
    """The principal has as many open as they may, or the process as many as it can hold."""


class Seats:
    """Counts open streams by subject; a restarted process begins at none, as its connections do."""

    def __init__(self, limit: int = MOST_STREAMS, *, most: int) -> None:
        self.limit = limit
        self._most = most
        self._taken: Counter[str] = Counter()

    def held_by(self, subject: str) -> int:
        """How many of its streams are open here."""
        return self._taken[subject]

    @contextmanager
    def take(self, subject: str) -> Generator[None, None, None]:
        """Hold one inside the block; raises TooManyStreams."""
        if self._taken[subject] >= self.limit or self._taken.total() >= self._most:
            raise TooManyStreams
        self._taken[subject] += 1
        try:
            yield
        finally:
            self._taken[subject] -= 1
            if not self._taken[subject]:
                del self._taken[subject]
