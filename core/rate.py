"""How often somebody may guess: counters in Redis that end by themselves.

Redis may be lost, and then nothing is counted: everybody may guess, and the log says so.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import Refusal

log = structlog.get_logger(__name__)

PREFIX = "kinship:guesses:"
PATIENCE_SECONDS = 1.0

T = TypeVar("T")


class TooManyGuesses(Refusal):
    """`seconds` is how long to wait."""

    code = "TOO_MANY_GUESSES"
    en = "Too many wrong codes. Please try again later."
    zh = "错误次数过多，请稍后再试。"

    def __init__(self, *, path: tuple[str, ...] = (), detail: str | None = None, seconds: int = 1) -> None:
        super().__init__(path=path, detail=detail)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """So many wrong guesses in a span of seconds, which begins with the first of them."""

    name: str
    most: int
    seconds: float


class Guesses:
    """Wrong guesses by whoever made them; safe to share between tasks, one for each Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @asynccontextmanager
    async def allowed(
        self, limit: Limit, who: str, *, wrong: type[Exception], path: tuple[str, ...] = ()
    ) -> AsyncGenerator[None, None]:
        """Guess inside the block, where the exception `wrong` says that it was; raises TooManyGuesses.

        Of guesses made at once, as many as the limit says are told that they are wrong. Whatever comes after them
        is not told whether it was right, which is why a right one is weighed again at its end.
        """
        key = f"{PREFIX}{limit.name}:{who}"
        await self._weigh(key, limit, path)
        try:
            yield
        except wrong:
            await self._count(key, limit, path)
            raise
        await self._weigh(key, limit, path)

    async def _weigh(self, key: str, limit: Limit, path: tuple[str, ...]) -> None:
        async with self._redis.pipeline(transaction=True) as both:
            both.get(key)
            both.pttl(key)
            found = await patient(both.execute())
        if found is not None and int(found[0] or 0) >= limit.most:
            raise TooManyGuesses(path=path, seconds=seconds_of(found[1]))

    async def _count(self, key: str, limit: Limit, path: tuple[str, ...]) -> None:
        span = math.ceil(limit.seconds * 1000)
        async with self._redis.pipeline(transaction=True) as all_three:
            all_three.set(key, 0, px=span, nx=True)
            all_three.incr(key)
            all_three.pttl(key)
            found = await patient(all_three.execute())
        if found is not None and found[1] > limit.most:
            raise TooManyGuesses(path=path, seconds=seconds_of(found[2]))


def seconds_of(milliseconds: int) -> int:
    """Whole seconds to wait, one at least."""
    return max(1, math.ceil(milliseconds / 1000))


async def patient(answer: Awaitable[T]) -> T | None:
    """What Redis answers within a second; None where it does not."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await answer
    except (OSError, RedisError, TimeoutError) as error:
        log.warning("guesses_not_counted", error=type(error).__name__)
        return None
