"""Time limits for what nearly every request does: one tick for all of them, where each of asyncio's is a timer.

Nearly every limit is lifted long before it is reached. To set one of asyncio's and take it back costs ten times what it
costs to note it here. A limit is kept to within one tick.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Any, Self

from core.loops import running_loop

TICK_SECONDS = 0.02


class Alarm:
    """A function that is called once, unless the alarm is lifted before."""

    __slots__ = ("_alarms", "at", "ring")

    def __init__(self, alarms: "Alarms", at: float, ring: Callable[[], None]) -> None:
        self._alarms, self.at, self.ring = alarms, at, ring

    def lift(self) -> None:
        self._alarms.set.pop(self, None)


class Alarms:
    """The alarms of one loop, which are looked at once in a tick while there are any."""

    def __init__(self) -> None:
        self._ticks = False
        # A dictionary, as a set has no order: who came first is called first.
        self.set: dict[Alarm, None] = {}

    def after(self, loop: asyncio.AbstractEventLoop, seconds: float, ring: Callable[[], None]) -> Alarm:
        alarm = Alarm(self, loop.time() + seconds, ring)
        self.set[alarm] = None
        if not self._ticks:
            self._ticks = True
            # What belongs to whoever sets the first alarm is not for all that follow.
            loop.call_later(TICK_SECONDS, self._tick, loop, context=Context())
        return alarm

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticks = bool(self.set)
        if not self._ticks:
            return
        loop.call_later(TICK_SECONDS, self._tick, loop)
        now = loop.time()
        for alarm in [one for one in self.set if one.at <= now]:
            # One before it may have lifted it.
            if alarm in self.set:
                alarm.lift()
                alarm.ring()


# The attribute of a loop that holds its alarms: they go with it, and are found sooner than in a dictionary of loops.
NAME = "kinship_alarms"


def alarms_of(loop: asyncio.AbstractEventLoop) -> Alarms:
    own = vars(loop)
    found: Alarms | None = own.get(NAME)
    if found is None:
        found = own[NAME] = Alarms()
    return found


def alarm_after(seconds: float, ring: Callable[[], None]) -> Alarm:
    """Call `ring` after so many seconds, at the earliest with the next tick of the running loop."""
    loop = running_loop()
    return alarms_of(loop).after(loop, seconds, ring)


class within:
    """`with within(seconds):` stops the task in the block and raises TimeoutError, as `asyncio.timeout` does."""

    __slots__ = ("_alarm", "_cancelling", "_is_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task(running_loop())
        if task is None:
            raise RuntimeError("a time limit belongs to a task")
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._alarm = alarm_after(self._seconds, self._ring)
        return self

    def _ring(self) -> None:
        self._is_over = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.lift()
        # They hold each other, and the task.
        del self._alarm
        # Where somebody else has cancelled the task as well, it stays cancelled.
        if self._is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
