"""`python -m bench.graphql_load`: one HTTP request over and over on kept connections, as cheaply as Python can.

It is a process of its own, told on its standard input what to do, and says on its output what came of it.
"""

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

LENGTH = b"content-length: "


@dataclass(slots=True)
class Tally:
    """What has been answered since the warming ended."""

    begun: float
    end: float
    milliseconds: list[float] = field(default_factory=list[float])
    wrong: int = 0


class Client(asyncio.Protocol):
    """Sends the request again whenever it has been answered; an answer is as long as its head says."""

    def __init__(self, request: bytes, size: int, tally: Tally, done: asyncio.Future[None]) -> None:
        self.request, self.size, self.tally, self.done = request, size, tally, done
        self.missing = -1
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            self.missing = self.length(self.head[:end].lower()) - (len(self.head) - end - 4)
        else:
            self.missing -= len(data)
        if self.missing == 0:
            self.answered()

    def length(self, head: bytes) -> int:
        found = int(head.partition(LENGTH)[2].partition(b"\r")[0])
        # What is not as long as the answer that was looked at is another answer: an error, or less than was asked for.
        if b" 200 " not in head[:16] or found != self.size:
            self.tally.wrong += 1
        return found

    def answered(self) -> None:
        now = time.perf_counter()
        if self.tally.begun <= now <= self.tally.end:
            self.tally.milliseconds.append(1_000 * (now - self.sent))
        self.missing, self.head = -1, b""
        if now < self.tally.end:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(order: dict[str, Any]) -> dict[str, Any]:
    """Send for so many seconds after the warming, by so many clients at once."""
    now = time.perf_counter()
    tally = Tally(now + order["warming"], now + order["warming"] + order["seconds"])
    request = order["request"].encode()
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []
    for _ in range(order["clients"]):
        done = loop.create_future()
        waiting.append(done)
        client = Client(request, order["size"], tally, done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", order["port"])
    await asyncio.gather(*waiting)
    spent = tally.milliseconds
    median = statistics.median(spent) if spent else None
    return {"answers": len(spent), "a_second": len(spent) / order["seconds"], "median": median, "wrong": tally.wrong}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(load(orjson.loads(sys.stdin.buffer.read())))))
