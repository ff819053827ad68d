"""How often somebody may guess: counters in Redis that end by themselves.

Redis may be lost, and then nothing is counted: everybody may guess, and the log says so.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from core.errors import Refusal
from core.outage import Outage

PREFIX = "kinship:guesses:"
# Whoever guesses much at once must not make Redis look as if it were away: they take turns, and patience begins
# with the turn. After a failure nobody waits again for a moment.
MOST_AT_ONCE = 16
PATIENCE_SECONDS = 3.0


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
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._outage = Outage("guesses", patience=PATIENCE_SECONDS)

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
        def look(redis: Pipeline) -> None:
            redis.get(key)
            redis.pttl(key)

        found = await self._ask(look)
        if found is not None and int(found[0] or 0) >= limit.most:
            raise TooManyGuesses(path=path, seconds=seconds_of(found[1]))

    async def _count(self, key: str, limit: Limit, path: tuple[str, ...]) -> None:
        def count(redis: Pipeline) -> None:
            redis.set(key, 0, px=math.ceil(limit.seconds * 1000), nx=True)
            redis.incr(key)
            redis.pttl(key)

        found = await self._ask(count)
        if found is not None and found[1] > limit.most:
            raise TooManyGuesses(path=path, seconds=seconds_of(found[2]))

    async def _ask(self, commands: Callable[[Pipeline], None]) -> list[Any] | None:
        """What Redis answers to these commands, which it does as one; None where it does not answer."""

        async def ask() -> list[Any]:
            async with self._redis.pipeline(transaction=True) as pipeline:
                commands(pipeline)
                return await pipeline.execute()

        async with self._turns:
            return await self._outage.asked(ask)


def seconds_of(milliseconds: int) -> int:
    """Whole seconds to wait, one at least."""
    return max(1, math.ceil(milliseconds / 1000))
