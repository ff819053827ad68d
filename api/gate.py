"""How many operations run at once: some more wait for a moment, and the rest are told at once to come later.

Without it a process that is asked for more than it can do answers everybody late, and at last nobody in time.
"""

import asyncio

from core.errors import Unavailable

# How long whoever is turned away is asked to wait, in seconds.
COME_AGAIN_SECONDS = 1


class Overloaded(Unavailable):
    code = "OVERLOADED"
    en = "The service is busy. Please try again in a moment."
    zh = "服务繁忙，请稍后再试。"


class Gate:
    """Lets so many in at once, each for a block; `most_waiting` more wait no longer than `patience` seconds.

    Who is not let in meets Overloaded.
    """

    def __init__(self, most: int, *, most_waiting: int, patience: float) -> None:
        self._places = asyncio.Semaphore(most)
        self._most_waiting = most_waiting
        self._patience = patience
        self.waiting = 0

    async def __aenter__(self) -> None:
        await self._enter()

    async def __aexit__(self, *_: object) -> None:
        self._places.release()

    async def _enter(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        if self.waiting >= self._most_waiting:
            raise Overloaded
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self.waiting -= 1
