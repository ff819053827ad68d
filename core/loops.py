"""The running loop, for what asks for it many times in a request.

On Python 3.11 asyncio asks the system for the number of the process each time that it is asked for the running loop,
in case the process was forked meanwhile, which no process of ours is. Together that took a twentieth of a request.
"""

import asyncio
import threading
from weakref import ref


class Known(threading.local):
    """The loop that this thread was last seen to run, if there is any left of it."""

    loop: ref[asyncio.AbstractEventLoop] | None = None


KNOWN = Known()


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that runs this; raises RuntimeError where none does."""
    known = KNOWN.loop
    loop = known() if known is not None else None
    if loop is None or not loop.is_running():
        loop = asyncio.get_running_loop()
        KNOWN.loop = ref(loop)
    return loop
