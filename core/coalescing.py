"""Coalescing: what many ask for at once is looked up for all of them together."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from core.loops import running_loop

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# While so many look-ups are under way, who comes waits and goes with the next. Two, so that one that hangs does not
# hold up everybody.
AT_ONCE = 2
MOST_KEYS = 500


class Coalesced(Generic[K, V]):
    """Looks up by key for whoever asks, one for each process; nothing is kept.

    Nobody joins a look-up that has begun, so each sees what was there after they had asked.
    """

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look_up = look_up
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        # The loop keeps no more than a weak reference to a task.
        self._going: set[asyncio.Task[None]] = set()
        self._is_called = False

    def ask(self, key: K) -> asyncio.Future[V | None]:
        """What there is by the key, or None; fails as the look-up does."""
        answer: asyncio.Future[V | None] = running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        self._call()
        return answer

    def _call(self) -> None:
        """Begin at the next turn of the loop, so that those who have been woken together go together."""
        if self._waiting and not self._is_called and len(self._going) < AT_ONCE:
            self._is_called = True
            running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_called = False
        keys = list(self._waiting)[:MOST_KEYS]
        answers = {key: self._waiting.pop(key) for key in keys}
        # It is nobody's in particular: what belongs to the operation of who asked first is not the others'.
        task = running_loop().create_task(self._answer(answers), context=Context())
        self._going.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        self._call()

    async def _answer(self, answers: Mapping[K, Sequence[asyncio.Future[V | None]]]) -> None:
        found: Mapping[K, V] = {}
        failure: Exception | None = None
        try:
            found = await self._look_up(list(answers))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            failure = error
        for key, waiting in answers.items():
            for answer in waiting:
                if answer.done():
                    continue
                if failure is not None:
                    answer.set_exception(failure)
                else:
                    answer.set_result(found.get(key))
