"""The driver's waits for its socket, on Python 3.11 as they are from 3.12 on.

Neo4j bids its clients not to wait longer than so many seconds for anything, so that the driver waits with a limit for
each of the six pieces in which an answer is read. Before Python 3.12 it starts a task for each of them, which costs
more than all else that it does; from then on it takes `asyncio.wait_for`, which starts none. Our copy is taken out with
Python 3.11.
"""

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from neo4j._async_compat.network import _bolt_socket  # pyright: ignore[reportPrivateUsage] - there is no option
from neo4j._async_compat.shims import wait_for

from core.begun import Rest, begun

T = TypeVar("T")


async def wait_in_this_task(awaited: Awaitable[T], timeout: float | None) -> T:
    """`asyncio.wait_for` of Python 3.12: what is awaited runs in the task of who waits; raises TimeoutError."""
    if timeout is not None and timeout <= 0:
        return await wait_for(awaited, timeout)
    # Most of an answer has come with its first piece, and then nothing is waited for.
    rest = begun(awaited) if asyncio.iscoroutine(awaited) else awaited
    if not isinstance(rest, Rest | asyncio.Future):
        return cast(T, rest)
    async with asyncio.timeout(timeout):
        return await rest


def spare_tasks() -> None:
    """Let the driver wait so; it is safe to call more than once."""
    if sys.version_info < (3, 12):
        socket: Any = _bolt_socket
        socket.wait_for = wait_in_this_task
