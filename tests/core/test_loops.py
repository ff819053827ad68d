"""The running loop: each thread's own, the next one after it, and none outside."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from core.loops import running_loop


async def two() -> tuple[asyncio.AbstractEventLoop, asyncio.AbstractEventLoop]:
    return running_loop(), asyncio.get_running_loop()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_is_the_loop_that_asyncio_knows(run: Callable[..., Any]) -> None:
    """Given loops one after the other, then within each it is that one, and between them there is none."""
    for _ in range(3):
        mine, theirs = run(two())
        assert mine is theirs
        with pytest.raises(RuntimeError):
            running_loop()


def test_each_thread_has_its_own() -> None:
    """Given a loop that runs while threads ask, with a loop of their own and without; then each has its own or none."""
    found: dict[str, object] = {}

    def with_a_loop() -> None:
        mine, theirs = asyncio.run(two())
        found["with"] = mine is theirs

    def without() -> None:
        try:
            found["without"] = running_loop()
        except RuntimeError:
            found["without"] = None

    async def ask() -> None:
        outer = running_loop()
        await asyncio.gather(*(asyncio.to_thread(one) for one in (with_a_loop, without)))
        found["outer"] = running_loop() is outer is asyncio.get_running_loop()

    asyncio.run(ask())
    assert found == {"with": True, "without": None, "outer": True}
