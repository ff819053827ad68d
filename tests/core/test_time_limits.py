"""Time limits: they stop what takes too long and nothing else, as asyncio's do, and leave nothing behind."""

import asyncio
import gc
import time
import weakref
from functools import partial

import pytest

from core.time_limits import TICK_SECONDS, Alarm, alarm_after, alarms_of, within

pytestmark = pytest.mark.anyio

# Machines are busy at times; what should have been stopped at once is not taken for what was never stopped.
SOON_SECONDS = 2.0


async def test_what_takes_too_long_is_stopped_and_the_rest_goes_on() -> None:
    """Given a sleep of a minute within a twentieth of a second; then TimeoutError soon, and the task goes on."""
    began = time.monotonic()
    with pytest.raises(TimeoutError), within(0.05):
        await asyncio.sleep(60)
    assert 0.05 <= time.monotonic() - began < SOON_SECONDS
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone() -> None:
    """Given blocks that end in time, with a value or an error; then neither is touched, also when the time is over."""
    with within(0.02):
        value = await asyncio.sleep(0, "done")
    with pytest.raises(ValueError, match="own"), within(0.02):
        raise ValueError("own")
    await asyncio.sleep(0.02 + 3 * TICK_SECONDS)
    assert value == "done"


async def test_the_inner_limit_and_the_outer_one_are_told_apart() -> None:
    """Given one limit within another; then each ends its own block."""
    with within(30), pytest.raises(TimeoutError), within(0.02):
        await asyncio.sleep(60)
    with pytest.raises(TimeoutError), within(0.02), within(30):
        await asyncio.sleep(60)


def stop(task: asyncio.Task[None]) -> None:
    task.cancel()


def fail() -> None:
    raise ZeroDivisionError


async def test_who_is_cancelled_stays_cancelled() -> None:
    """Given a task that is cancelled within its limit, or in the same turn in which the limit is reached; then it is
    cancelled, and nobody takes it for late."""

    async def wait() -> None:
        with within(0.05):
            await asyncio.sleep(60)

    for pause in (0.0, 0.05):
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        if pause:
            alarm_after(pause, partial(stop, task))
            # Registered after the task's own: both are called in one tick.
        else:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_alarms_ring_in_order_once_and_not_when_they_are_lifted() -> None:
    rung: list[int] = []
    alarms = [alarm_after(0.01, lambda number=number: rung.append(number)) for number in range(5)]
    alarms[1].lift()
    # One that lifts the next in the tick of both.
    later: list[Alarm] = []

    def lift_the_next() -> None:
        later[0].lift()

    first = alarm_after(0.01, lift_the_next)
    later.append(alarm_after(0.01, lambda: rung.append(9)))
    await asyncio.sleep(0.01 + 4 * TICK_SECONDS)
    assert rung == [0, 2, 3, 4]
    first.lift()
    assert not alarms_of(asyncio.get_running_loop()).set


def test_a_loop_that_is_over_is_let_go() -> None:
    """Given loops that have kept limits; then nothing holds them once they are closed."""
    seen: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def limited() -> None:
        seen.append(weakref.ref(asyncio.get_running_loop()))
        with within(5):
            await asyncio.sleep(0)

    for _ in range(3):
        asyncio.run(limited())
    gc.collect()
    assert [one() for one in seen] == [None] * 3


async def test_an_alarm_that_fails_keeps_no_other_from_ringing() -> None:
    """Given an alarm whose function raises; then the loop is told, and the next alarm rings all the same."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
    rung = asyncio.Event()
    alarm_after(0.01, fail)
    alarm_after(0.01, rung.set)
    await asyncio.wait_for(rung.wait(), SOON_SECONDS)
    assert [type(one) for one in told] == [ZeroDivisionError]
