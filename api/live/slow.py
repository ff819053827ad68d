"""Clients that do not read what is sent to them: dropped with a reason, and never waited for without an end.

What waits for one client is bounded: 64 KiB in the server's buffer, after which nothing more is made for them, and the
hints of each of their subscriptions (`core.live.MOST_HINTS`).
"""

import asyncio
from collections.abc import Awaitable

from core.errors import KinshipError

# So long a message may wait for its client to read. It is less than the server waits for the answer to its own ping,
# which would end the connection without saying why.
SEND_SECONDS = 10.0
# And so long the reason itself.
PARTING_SECONDS = 5.0


class SlowConsumer(KinshipError):
    """The client does not read; whoever comes back with the cursor of the last message loses nothing."""

    code = "SLOW_CONSUMER"
    en = "Messages were not read in time. Follow again after the cursor of the last one."
    zh = "消息未及时读取，连接已关闭；请带上最后一条消息的游标重新订阅。"


async def in_time(sending: Awaitable[None]) -> None:
    """Wait until a message is on its way; raises SlowConsumer."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await sending
    except TimeoutError as error:
        raise SlowConsumer from error


async def is_told(parting: Awaitable[None]) -> bool:
    """Whether the last words could be sent to a client that may not read."""
    try:
        async with asyncio.timeout(PARTING_SECONDS):
            await parting
    except TimeoutError:
        return False
    return True
