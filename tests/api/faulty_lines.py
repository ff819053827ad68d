"""Lines to the stores that can be cut, stopped and slowed: what a store does to us when it is killed, paused or busy.

A line listens on a port of its own and hands bytes on to the store. The store itself goes on, which is what makes the
lost answer of a COMMIT possible: the store has done it, and nobody is told.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from core.processes import free_port

# A COMMIT of Bolt as it is sent: a chunk of two bytes (a structure without fields, tag 0x12), and the end of a message.
BOLT_COMMIT = b"\x00\x02\xb0\x12\x00\x00"
SLOW_SECONDS = 0.3


class Fault(StrEnum):
    NONE = "none"
    # The process is gone: connections break, and new ones are refused.
    CUT = "cut"
    # The process is stopped: connections stay open and nothing comes back.
    PAUSED = "paused"
    # The process is busy: each piece of an answer takes its time.
    SLOW = "slow"


class Line:
    """One line to one store."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.commits_to_lose = 0
        self.commits_lost = 0
        # How many connections there have been.
        self.opened = 0
        self._target = (host, port)
        self._tls = tls
        self._fault = Fault.NONE
        self._running = asyncio.Event()
        self._running.set()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def be(self, fault: Fault) -> None:
        """Behave like this from now on."""
        self._fault = fault
        if fault is Fault.PAUSED:
            self._running.clear()
        else:
            self._running.set()
        if fault is Fault.CUT:
            await self._stop()
        elif self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port, ssl=self._tls)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away: asyncio.StreamWriter | None = None
        self.opened += 1
        self._ends.add(writer)
        try:
            await self._running.wait()
            back, away = await asyncio.open_connection(*self._target)
            self._ends.add(away)
            lost = asyncio.Event()
            parts = (self._there(reader, away, lost), self._back(back, writer, lost))
            tasks = [asyncio.create_task(part) for part in parts]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in (writer, away):
                if end is not None:
                    self._ends.discard(end)
                    end.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._running.wait()
                if self.commits_to_lose and BOLT_COMMIT in data:
                    self.commits_to_lose -= 1
                    lost.set()
                writer.write(data)
                await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._running.wait()
                if lost.is_set():
                    # What comes back now is the answer to the COMMIT: it was done, and the line ends.
                    self.commits_lost += 1
                    return
                if self._fault is Fault.SLOW:
                    await asyncio.sleep(SLOW_SECONDS)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def line_to(host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Line, None]:
    """A line that works, encrypted up to here where that is asked for."""
    line = Line(host, port, tls)
    await line.be(Fault.NONE)
    try:
        yield line
    finally:
        await line.be(Fault.CUT)
