"""An answer's head and body in one write: uvicorn makes two of them, and each wakes whoever reads."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MUCH_BYTES = 65_536


class Gathering:
    """A transport that writes at the next turn of the loop what was written in this one; all else is the transport's.

    What is much is passed on at once, so that whoever sends is held up as soon as the transport has more than it may.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._size += len(data)
        if self._size > MUCH_BYTES:
            self._pass_on()
        elif len(self._written) == 1:
            self._loop.call_soon(self._pass_on)

    def close(self) -> None:
        self._pass_on()
        self._transport.close()

    def _pass_on(self) -> None:
        data = b"".join(self._written)
        self._written.clear()
        self._size = 0
        # Since it was written the client may have gone.
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        super().connection_made(cast(asyncio.Transport, Gathering(transport, self.loop)))
