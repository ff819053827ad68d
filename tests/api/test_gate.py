"""The gate: so many at once, some more wait, and the rest are told at once."""

import asyncio

import pytest

from api.gate import Gate, Overloaded

pytestmark = pytest.mark.anyio


async def test_so_many_at_once_and_the_rest_at_once_refused() -> None:
    """Given room for 3 and 4 who may wait; when 20 come at once; then 7 are served, 3 at once."""
    gate = Gate(3, most_waiting=4, patience=5)
    inside = most = served = 0
    going_on = asyncio.Event()

    async def come() -> bool:
        nonlocal inside, most, served
        try:
            async with gate:
                inside += 1
                most = max(most, inside)
                await going_on.wait()
                inside -= 1
                served += 1
                return True
        except Overloaded:
            return False

    crowd = [asyncio.create_task(come()) for _ in range(20)]
    await asyncio.sleep(0)
    refused = [task for task in crowd if task.done()]
    going_on.set()
    answers = await asyncio.gather(*crowd)
    assert (len(refused), served, most, gate.waiting) == (13, 7, 3, 0)
    assert sum(answers) == 7
    assert await come()


async def test_nobody_waits_longer_than_patience_and_places_come_back() -> None:
    gate = Gate(1, most_waiting=10, patience=0.05)
    async with gate:
        with pytest.raises(Overloaded):
            async with gate:
                pass
    with pytest.raises(ZeroDivisionError):
        async with gate:
            raise ZeroDivisionError
    async with gate:
        assert gate.waiting == 0


async def test_who_leaves_while_waiting_takes_no_place() -> None:
    gate = Gate(1, most_waiting=10, patience=5)
    async with gate:
        waiter = asyncio.create_task(gate._enter())  # pyright: ignore[reportPrivateUsage] - cancelled where it waits
        await asyncio.sleep(0)
        assert gate.waiting == 1
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert gate.waiting == 0
    async with asyncio.timeout(1), gate:
        pass
