"""Reading the graph with neither session nor result object, for what nearly every request asks.

The driver opens each connection: address, encryption, handshake, sign-in. From then on the connection is ours, and one
reading statement after the other is asked on it as Bolt has it (https://neo4j.com/docs/bolt/current/): RUN and PULL in
one packet, and the answer taken as it comes. The driver does the same through nine layers of coroutines, which cost a
request more than anything else does.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import neo4j
from neo4j._async.io import AsyncDirectBoltPool  # pyright: ignore[reportPrivateUsage] - there is no other name for it
from neo4j._codec.packstream import Structure  # pyright: ignore[reportPrivateUsage] - the driver packs and unpacks
from neo4j._deadline import Deadline  # pyright: ignore[reportPrivateUsage] - it opens connections by it
from neo4j.exceptions import Neo4jError, ServiceUnavailable

from core.failures import look_at_failure
from core.loops import running_loop
from graph.together import Columns, Rows

RUN, PULL, RESET, GOODBYE = b"\x10", b"\x3f", b"\x0f", b"\x02"
SUCCESS, RECORD, IGNORED, FAILURE = 0x70, 0x71, 0x7E, 0x7F
END = b"\x00\x00"
LONGEST_CHUNK = 0xFFFF
# Since when the protocol tells errors by a status of GQL.
GQL_SINCE = (5, 7)
# As the driver does: a server that is to be drained gets rid of us within an hour.
LIFETIME_SECONDS = 3_600.0
# So long connections that are being opened are waited for in the end.
CLOSING_SECONDS = 1.0
ROWS_IN_A_TURN = 1_000
SIGN_IN_REFUSED = "Neo.ClientError.Security."


class Line(asyncio.Protocol):
    """A connection that the driver has opened, for one statement at a time."""

    def __init__(self, opened: Any) -> None:
        """`opened` is one of the driver's connections, with nothing under way."""
        # Its stream would close the connection once nobody holds it.
        self._opened = opened
        self._version: tuple[int, int] = opened.PROTOCOL_VERSION.version
        self._handler = opened.hydration_handler
        self._buffer = opened.PACKER_CLS.new_packable_buffer()
        self._packer = opened.PACKER_CLS(self._buffer)
        # The packer would make them anew for each message, which takes it as long as packing the message does.
        self._hooks = self._packer._inject_hooks(self._handler.dehydration_hooks)
        self._unpackable = opened.UNPACKER_CLS.new_unpackable_buffer()
        self._unpacker = opened.UNPACKER_CLS(self._unpackable)
        self._pull = self._message(PULL, {"n": -1})
        self._received = bytearray()
        self._whole = bytearray()
        self._messages: list[bytearray] = []
        self._failure: Mapping[str, Any] | None = None
        self._answer: asyncio.Future[list[bytearray]] | None = None
        self._leave_at = time.monotonic() + LIFETIME_SECONDS
        self._is_open = True
        self._transport: asyncio.Transport = opened.socket._writer.transport
        self._transport.set_protocol(self)

    @property
    def is_free(self) -> bool:
        """Whether it can be asked: it is open, and nothing is under way."""
        return self._is_open and self._answer is None

    @property
    def is_old(self) -> bool:
        return time.monotonic() > self._leave_at

    async def ask(self, query: str, parameters: Mapping[str, Any], more: Mapping[str, Any]) -> tuple[Columns, Rows]:
        """The columns and rows of a statement; raises Neo4jError and, where the connection fell, ServiceUnavailable.

        Where Bolt cannot carry a parameter it raises what the driver raises, and nothing has been sent.
        """
        request = self._message(RUN, query, parameters, more) + self._pull
        self._messages = []
        self._answer = running_loop().create_future()
        self._transport.write(request)
        messages = await self._answer
        self._answer, self._messages = None, []
        columns = tuple(self._unpacked(messages[0], None)["fields"])
        records = messages[1:-1]
        # Else each would be held until all are made.
        messages.clear()
        return columns, await self._rows(columns, records)

    async def _rows(self, columns: Columns, records: list[bytearray]) -> Rows:
        """The rows in these messages, which are let go one by one; others have their turn in between."""
        hooks = hydration(self._handler)
        rows: Rows = []
        records.reverse()
        while records:
            rows.append(dict(zip(columns, self._unpacked(records.pop(), hooks), strict=True)))
            if len(rows) % ROWS_IN_A_TURN == 0:
                await asyncio.sleep(0)
        return rows

    def data_received(self, data: bytes) -> None:
        """Take what has come: a message is chunks, each behind its length, and ends with an empty one."""
        received = self._received
        received += data
        start, size = 0, len(received)
        while size - start >= 2:
            end = start + 2 + (received[start] << 8 | received[start + 1])
            if end > size:
                break
            if end - start > 2:
                self._whole += received[start + 2 : end]
            elif self._whole:
                # An empty message says only that the server is alive.
                message, self._whole = self._whole, bytearray()
                self._take(message)
            start = end
        del received[:start]

    def _take(self, message: bytearray) -> None:
        """Note a message; the answer is whole with the second success, or the first after a failure."""
        signature = message[1]
        if self._answer is None or self._answer.done():
            # Nobody asked, so it is a last word of the server, or an answer that would be taken for the next one's.
            self.abort()
        elif signature in (RECORD, SUCCESS):
            self._messages.append(message)
            if signature == SUCCESS and (self._failure is not None or len(self._messages) > 1):
                self._end(self._answer)
        elif signature == FAILURE and self._failure is None:
            # Whatever was sent before this is ignored by the server.
            self._failure = self._unpacked(message, None)
            self._transport.write(self._message(RESET))
        elif signature != IGNORED:
            self.abort()

    def _end(self, answer: asyncio.Future[list[bytearray]]) -> None:
        """Tell whoever waits."""
        failure, self._failure = self._failure, None
        if failure is None:
            answer.set_result(self._messages)
        else:
            answer.set_exception(self._named(failure))
            self._answer = None

    def _named(self, failure: Mapping[str, Any]) -> Neo4jError:
        kind = cast(Any, Neo4jError)
        return (kind._hydrate_gql if self._version >= GQL_SINCE else kind._hydrate_neo4j)(**failure)

    def eof_received(self) -> None:
        self._is_open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        if self._answer is not None and not self._answer.done():
            # What the server said before it closed is why.
            fell = ServiceUnavailable("the connection fell")
            self._answer.set_exception(fell if self._failure is None else self._named(self._failure))

    def abort(self) -> None:
        """Close at once, upon which the server stops what it was asked."""
        self._is_open = False
        self._transport.abort()

    def close(self) -> None:
        """Take leave; only where it is free."""
        if self._is_open:
            self._is_open = False
            self._transport.write(self._message(GOODBYE))
            self._transport.close()

    def _message(self, signature: bytes, *fields: Any) -> bytes:
        self._buffer.clear()
        self._packer._pack_struct(signature, fields, self._hooks)
        packed = bytes(self._buffer.data)
        if len(packed) <= LONGEST_CHUNK:
            return len(packed).to_bytes(2) + packed + END
        chunks = [packed[start : start + LONGEST_CHUNK] for start in range(0, len(packed), LONGEST_CHUNK)]
        return b"".join(len(chunk).to_bytes(2) + chunk for chunk in chunks) + END

    def _unpacked(self, message: bytearray, hooks: Mapping[type, Any] | None) -> Any:
        """The one field of a message, which stands behind its size and signature."""
        self._unpackable.data = message
        self._unpackable.used = len(message)
        self._unpackable.p = 2
        return self._unpacker.unpack(hooks)


def hydration(handler: Any) -> Mapping[type, Callable[[Any], Any]]:
    """Makes nodes, instants and the like of one answer.

    The driver's own hooks call Python for each list and each map too, to look for what could not be made. Here that
    raises at once, since no statement of ours asks for what the driver does not know.
    """
    functions: dict[bytes, Callable[..., Any]] = {}

    def made(value: Any) -> Any:
        if not functions:
            functions.update(handler.new_hydration_scope()._struct_hydration_functions)
        return functions[value.tag](*value.fields)

    return {Structure: made}


class Glances:
    """Connections for single reading statements; one of these per client of a single server."""

    def __init__(self, driver: neo4j.AsyncDriver, *, database: str | None, most: int) -> None:
        self._pool: Any = cast(Any, driver)._pool
        self._more: Mapping[str, Any] = {"mode": "r", **({"db": database} if database else {})}
        # The one that was used last is used first: the others grow old and go.
        self._free: list[Line] = []
        self._most = most
        self._turns = asyncio.Semaphore(most)
        # The loop keeps no more than a weak reference to a task.
        self._opening: set[asyncio.Task[Line]] = set()
        self._is_closed = False

    @property
    def is_possible(self) -> bool:
        """Whether there is one server, by Bolt; among several, the driver knows which to ask."""
        return isinstance(self._pool, AsyncDirectBoltPool)

    async def rows(self, query: str, parameters: Mapping[str, Any], timeout: float) -> tuple[Columns, Rows]:
        """The columns and rows of a statement, which the server stops after so many seconds; who waits must, too.

        Raises as `Line.ask` does.
        """
        more = {**self._more, "tx_timeout": max(int(1_000 * timeout), 1)}
        async with self._turns:
            line = self._line() or await self._opened(timeout)
            try:
                return await line.ask(query, parameters, more)
            except Neo4jError as error:
                if str(error.code).startswith(SIGN_IN_REFUSED):
                    # Whom the server knows no more it may know by a new connection; the driver signs in anew, too.
                    line.abort()
                    self._close_free()
                raise
            finally:
                self._take_back(line)

    def _take_back(self, line: Line) -> None:
        if line.is_free and not self._is_closed and len(self._free) < self._most:
            self._free.append(line)
        else:
            line.abort()

    def _line(self) -> Line | None:
        while self._free:
            line = self._free.pop()
            if line.is_free and not line.is_old:
                return line
            line.close()
        return None

    async def _opened(self, timeout: float) -> Line:
        """A new line. Whoever waits may be stopped, but not the opening, whose socket the driver would leave open."""
        opening = asyncio.create_task(self._open(timeout))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if len(self._opening) > self._most:
                # Then it is better to leave a socket open than to open ever more where nobody answers.
                opening.cancel()
            opening.add_done_callback(self._keep)
            raise

    async def _open(self, timeout: float) -> Line:
        pool = self._pool
        return Line(await pool.opener(pool.address, pool.pool_config.auth, Deadline(timeout)))

    def _keep(self, opening: asyncio.Task[Line]) -> None:
        """Take in what was opened for somebody who has left meanwhile."""
        look_at_failure(opening)
        if not opening.cancelled() and opening.exception() is None:
            self._take_back(opening.result())

    async def close(self) -> None:
        self._is_closed = True
        if self._opening:
            _, hanging = await asyncio.wait(self._opening, timeout=CLOSING_SECONDS)
            for opening in hanging:
                opening.cancel()
        self._close_free()

    def _close_free(self) -> None:
        while self._free:
            self._free.pop().close()
