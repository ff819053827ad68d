"""Coroutines that are begun where they are called."""

import asyncio

import pytest

from core.begun import Done, Rest, begin, begun

pytestmark = pytest.mark.anyio


async def test_what_does_not_wait_is_done_at_once() -> None:
    """Given a coroutine that waits for nothing; then it has ended before anybody awaits it, and awaiting gives what it
    came to, however often."""
    ended: list[int] = []

    async def quick() -> int:
        ended.append(1)
        return 7

    found = begin(quick())
    assert isinstance(found, Done) and ended == [1]
    assert [await found, await found] == [7, 7]


async def test_what_waits_goes_on_where_it_is_awaited() -> None:
    """Given a coroutine that waits for two futures; then it has come as far as the first when it is begun, and goes on
    when it is awaited, also after the first has come."""
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    steps: list[str] = []

    async def slow() -> str:
        steps.append("begun")
        one = await first
        steps.append(one)
        return one + await second

    found = begin(slow())
    assert isinstance(found, Rest) and steps == ["begun"]
    first.set_result("a")
    await asyncio.sleep(0)
    assert steps == ["begun"]
    second.set_result("b")
    assert await found == "ab"


async def test_a_failure_is_raised_where_it_happens() -> None:
    """Given coroutines that fail before and after they wait; then the one fails where it is begun, the other where it
    is awaited."""
    waited = asyncio.get_running_loop().create_future()

    async def fails(*, waits: bool) -> None:
        if waits:
            await waited
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        begun(fails(waits=False))
    found = begin(fails(waits=True))
    waited.set_result(None)
    with pytest.raises(ValueError, match="no"):
        await found


async def test_what_nobody_awaits_any_more_ends() -> None:
    """Given a coroutine that waits, when whoever began it lets it go, then it is ended at once."""
    ended: list[bool] = []

    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    found = begin(waits())
    assert isinstance(found, Rest) and not ended
    del found
    assert ended == [True]
