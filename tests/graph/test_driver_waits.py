"""The driver's waits: nothing of an answer of Neo4j is waited for in a task of its own, and limits still hold."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from graph.driver_waits import wait_in_this_task
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def test_reading_starts_no_task(stores: Addresses) -> None:
    """Given a connection that is open; when a statement is read; then no task is started for it."""
    started: list[str] = []

    def counted(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        started.append(repr(work))
        return asyncio.Task(work, loop=loop, **more)

    async with stores.graph() as graph:
        await graph.read("RETURN 1 AS one")
        loop = asyncio.get_running_loop()
        loop.set_task_factory(counted)  # pyright: ignore[reportArgumentType] - it is one
        try:
            assert await graph.read("RETURN 1 AS one") == [{"one": 1}]
        finally:
            loop.set_task_factory(None)
    assert started == []


async def test_a_limit_ends_what_takes_longer() -> None:
    with pytest.raises(TimeoutError):
        await wait_in_this_task(asyncio.sleep(5), 0.01)
    assert await wait_in_this_task(asyncio.sleep(0, "slept"), 5) == "slept"
    assert await wait_in_this_task(asyncio.sleep(0, "slept"), None) == "slept"
