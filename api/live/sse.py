"""Server-sent events: POST /graphql with `Accept: text/event-stream` (GraphQL over SSE, distinct connections mode)."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import orjson
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.context import Context
from api.execution import Schema
from api.language import MOST_HEADERS
from api.live.seats import Seats, TooManyStreams
from api.live.slow import in_time, is_told
from api.live.streams import answers, failure
from api.server import GRAPHQL_JSON, PLAIN_JSON, Operation, RequestInvalid, bad_request, respond
from core.clock import utc_now
from core.errors import Unauthenticated

log = structlog.get_logger(__name__)

EVENT_STREAM = "text/event-stream"
SERVED = frozenset({EVENT_STREAM, GRAPHQL_JSON, PLAIN_JSON, "application/*", "*/*"})
# A comment this often keeps proxies from closing a quiet stream.
BREATH_SECONDS = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would hold events back until its buffer is full.
    (b"x-accel-buffering", b"no"),
]


def wants_stream(headers: Mapping[str, str]) -> bool:
    """Whether the client would rather have events than one answer in JSON (RFC 9110, section 12.5.1).

    Clients that take events for answers in parts name them last, behind JSON, with every operation.
    """
    return prefers_stream(headers.get("accept", ""))


# All requests of a client say the same, and it is asked of each request twice.
@lru_cache(maxsize=MOST_HEADERS)
def prefers_stream(header: str) -> bool:
    return next((one for one in accepted(header) if one in SERVED), "") == EVENT_STREAM


def accepted(header: str) -> list[str]:
    """The media types that a client takes, the dearest first; equal ones keep the client's order."""
    weighed: list[tuple[float, str]] = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        try:
            weighed.append((float(weight), name))
        except ValueError:
            continue
    return [name for weight, name in sorted(weighed, key=lambda one: -one[0]) if weight > 0]


class EventStream(Response):
    """Sends each answer as `next` and then `complete`; ends with its operation, its client or its token."""

    def __init__(self, schema: Schema, operation: Operation, context: Context, seats: Seats) -> None:
        super().__init__()
        self.schema = schema
        self.operation = operation
        self.context = context
        self.seats = seats
        self._writing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subject = self.context.signed_in().subject
        try:
            with self.seats.take(subject):
                await self.stream(receive, send)
        except TooManyStreams:
            full = RequestInvalid(f"At most {self.seats.limit} streams at once for one person.", 429)
            await respond(bad_request(full), full.status, PLAIN_JSON)(scope, receive, send)

    async def stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # Something at once, so that whoever is between us lets the client know that the stream is open.
        await self.write(send, b":\n\n")
        left = max(0.0, self.context.signed_in().expires_at - utc_now().timestamp())
        parts = [self.pump(send), self.breathe(send), gone(receive)]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            stays = not tasks[2].done()
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        reason = next((end for end in ends if isinstance(end, Exception)), None if done else Unauthenticated())
        if stays:
            await self.part(send, reason)

    async def part(self, send: Send, reason: Exception | None) -> None:
        """The last events: why the stream ends before its operation does, if so, and that it ends."""
        last = event_of({"errors": failure(reason, self.context)}, None) if reason else b""
        body = last + b"event: complete\ndata:\n\n"
        told = await is_told(send({"type": "http.response.body", "body": body, "more_body": False}))
        if reason is not None:
            log.info("stream_ended", reason=type(reason).__name__, told=told)

    async def pump(self, send: Send) -> None:
        async with aclosing(answers(self.schema, self.operation, self.context)) as results:
            async for answer, _ in results:
                await self.write(send, event_of(answer, self.context.cursor))

    async def breathe(self, send: Send) -> None:
        while True:
            await asyncio.sleep(BREATH_SECONDS)
            await self.write(send, b":\n\n")

    async def write(self, send: Send, text: bytes) -> None:
        """Raises SlowConsumer where the client does not read."""
        async with self._writing:
            await in_time(send({"type": "http.response.body", "body": text, "more_body": True}))


def event_of(answer: dict[str, Any], cursor: str | None) -> bytes:
    """An answer as an event, whose id is what the browser's EventSource sends back as Last-Event-ID."""
    id = f"id: {cursor}\n".encode() if cursor else b""
    return b"event: next\n" + id + b"data: " + orjson.dumps(answer) + b"\n\n"


async def gone(receive: Receive) -> None:
    """Return once the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
