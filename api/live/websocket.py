"""GraphQL over WebSocket by the sub-protocol `graphql-transport-ws` of the library graphql-ws.

Strawberry's own handler keeps one context, and so one set of loaders, for a whole connection, and sends errors
as they are. Here each operation has a context of its own, errors go the way of all others, and there are limits.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

import orjson
import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from api.auth import bearer
from api.context import Context, Language
from api.errors import present
from api.language import language_of
from api.live.seats import TooManyStreams
from api.live.slow import SlowConsumer, in_time, is_told
from api.live.streams import answers, failure
from api.server import Operation, RequestInvalid, operation_of, parse_json
from core.clock import utc_now
from core.errors import Unauthenticated, Unavailable
from core.ids import new_id
from core.log import add_to_lines, begin_lines
from core.principal import Principal

log = structlog.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 5.0
MOST_OPERATIONS = 20
LONGEST_ID = 128

# Codes of the protocol, and of RFC 6455 where it has none.
BAD_REQUEST = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
PROTOCOL_UNKNOWN = 4406
INIT_LATE = 4408
ID_TAKEN = 4409
INIT_TWICE = 4429
TOO_LARGE = 1009
TRY_LATER = 1013
# Our own: what was sent was not read in time. Clients may connect again, and go on by the cursors that they have.
NOT_READ = 4410


class Closed(Exception):
    """Ends the connection with a code that its client can act on."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def serve_live(socket: WebSocket) -> None:
    """The route of live GraphQL."""
    if PROTOCOL not in socket.scope.get("subprotocols", ()):
        await socket.accept()
        await socket.close(PROTOCOL_UNKNOWN, "Subprotocol not acceptable")
        return
    await socket.accept(subprotocol=PROTOCOL)
    await Connection(socket).run()


class Connection:
    """One client's connection and the operations that it runs."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.state = socket.app.state
        self.operations: dict[str, asyncio.Task[None]] = {}
        self.language: Language = language_of(socket.headers)
        # How long the connection lasts: until its token expires, or an operation finds that its client does not read.
        self.life = asyncio.Timeout(None)
        self.cut_off: Closed | None = None

    async def run(self) -> None:
        """Serve until the client leaves, breaks the protocol, or its token expires; then stop what it runs."""
        begin_lines(connection_id=new_id())
        end: Closed | None = None
        try:
            await self.converse()
        except Closed as closed:
            end = closed
        except WebSocketDisconnect:
            pass
        finally:
            for task in self.operations.values():
                task.cancel()
            await asyncio.gather(*self.operations.values(), return_exceptions=True)
        told = None if end is None else await is_told(self.close(end))
        log.info("live_connection_ended", code=end.code if end else None, told=told)

    async def close(self, end: Closed) -> None:
        with suppress(WebSocketDisconnect, WebSocketDisconnected):
            await self.socket.close(end.code, end.reason)

    async def converse(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                payload = await self.receive_init()
        except TimeoutError as error:
            raise Closed(INIT_LATE, "Connection initialisation timeout") from error
        principal = await self.verify(payload)
        add_to_lines(subject=principal.subject)
        try:
            with self.state.seats.take(principal.subject):
                async with self.life:
                    self.live_for(principal.expires_at - utc_now().timestamp())
                    await self.send({"type": "connection_ack"})
                    while True:
                        await self.handle(await self.receive(), principal)
        except TooManyStreams as error:
            raise Closed(TRY_LATER, "Too many connections") from error
        except TimeoutError as error:
            raise self.cut_off or Closed(FORBIDDEN, "The token has expired") from error

    def live_for(self, seconds: float) -> None:
        self.life.reschedule(asyncio.get_running_loop().time() + max(0.0, seconds))

    async def receive_init(self) -> Mapping[str, Any]:
        """The payload of the first message, which says who this is; pings may come before it."""
        while True:
            message = await self.receive()
            if message["type"] == "connection_init":
                payload = message.get("payload") or {}
                if not isinstance(payload, dict):
                    raise Closed(BAD_REQUEST, "Invalid connection_init payload")
                return cast(dict[str, Any], payload)
            if message["type"] == "subscribe":
                raise Closed(UNAUTHORIZED, "Unauthorized")
            await self.answer_ping(message)

    async def verify(self, payload: Mapping[str, Any]) -> Principal:
        """Who this is, by the token in the payload or in the header of the handshake."""
        given = {name.lower(): value for name, value in payload.items() if isinstance(value, str)}
        if "accept-language" in given:
            self.language = language_of(given)
        token = bearer(given) or bearer(self.socket.headers)
        if token is None:
            raise Closed(UNAUTHORIZED, "Unauthorized")
        try:
            return await self.state.verifier.verify(token)
        except Unauthenticated as error:
            raise Closed(FORBIDDEN, "Forbidden") from error
        except Unavailable as error:
            raise Closed(TRY_LATER, "Try again later") from error

    async def receive(self) -> dict[str, Any]:
        """The next message; raises Closed for what is none, WebSocketDisconnect when the client has left."""
        raw = await self.socket.receive()
        if raw["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(raw.get("code", 1005))
        text = (raw.get("text") or "").encode()
        if not text:
            raise Closed(BAD_REQUEST, "Messages are text")
        if len(text) > self.state.settings.max_body_bytes:
            raise Closed(TOO_LARGE, "Message too large")
        try:
            message = parse_json(text)
        except RequestInvalid as error:
            raise Closed(BAD_REQUEST, "Messages are JSON") from error
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closed(BAD_REQUEST, "Messages have a type")
        return cast(dict[str, Any], message)

    async def handle(self, message: dict[str, Any], principal: Principal) -> None:
        match message["type"]:
            case "subscribe":
                await self.subscribe(message, principal)
            case "complete":
                task = self.operations.pop(str(message.get("id")), None)
                if task is not None:
                    task.cancel()
            case "connection_init":
                raise Closed(INIT_TWICE, "Too many initialisation requests")
            case _:
                await self.answer_ping(message)

    async def answer_ping(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            await self.send({"type": "pong"})
        elif message["type"] != "pong":
            raise Closed(BAD_REQUEST, "Unknown message type")

    async def subscribe(self, message: dict[str, Any], principal: Principal) -> None:
        """Start an operation under the id that the client chose."""
        name = message.get("id")
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_ID:
            raise Closed(BAD_REQUEST, "An operation has an id")
        try:
            operation = operation_of(message.get("payload"))
        except RequestInvalid as error:
            raise Closed(BAD_REQUEST, str(error)[:100]) from error
        if name in self.operations:
            raise Closed(ID_TAKEN, "Subscriber for this id already exists")
        context = self.context_for(operation, principal)
        if len(self.operations) >= MOST_OPERATIONS:
            full = GraphQLError(f"At most {MOST_OPERATIONS} at once.", extensions={"code": "TOO_MANY_SUBSCRIPTIONS"})
            await self.send({"id": name, "type": "error", "payload": [present(full, context)]})
            return
        task = asyncio.create_task(self.operate(name, operation, context))
        self.operations[name] = task

    def context_for(self, operation: Operation, principal: Principal) -> Context:
        return Context(
            edge=self.state.edge,
            bearer=principal,
            language=self.language,
            now=utc_now(),
            request_id=new_id(),
            operation_name=operation.name,
        )

    async def operate(self, name: str, operation: Operation, context: Context) -> None:
        add_to_lines(request_id=context.request_id)
        try:
            end = await self.answer(name, operation, context)
            # The id is free before its last message is out, so that the client may use it again at once.
            self.operations.pop(name, None)
            await self.send(end)
        except WebSocketDisconnect:
            return
        except Closed as end:
            self.cut(end)

    async def answer(self, name: str, operation: Operation, context: Context) -> dict[str, Any]:
        """Send an operation's answers; returns the last message, `error` for what never ran, `complete` for others."""
        try:
            await self.state.admission.admit(operation, context, "")
            async with aclosing(answers(self.state.schema, operation, context)) as results:
                async for answer, ran in results:
                    if not ran:
                        return {"id": name, "type": "error", "payload": answer["errors"]}
                    await self.send({"id": name, "type": "next", "payload": answer})
        except (Closed, WebSocketDisconnect):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told and the log as well
            return {"id": name, "type": "error", "payload": failure(error, context)}
        return {"id": name, "type": "complete"}

    def cut(self, end: Closed) -> None:
        """End the connection from within an operation; of several that find the client slow, the first does it."""
        if self.cut_off is None:
            self.cut_off = end
            self.live_for(0)

    async def send(self, message: dict[str, Any]) -> None:
        """Raises WebSocketDisconnect where the client has left, even before we came to know of it.

        Raises Closed where it does not read, which ends all that it follows: that goes through the same socket.
        """
        try:
            await in_time(self.socket.send({"type": "websocket.send", "text": orjson.dumps(message).decode()}))
        except WebSocketDisconnected as error:
            raise WebSocketDisconnect(1006) from error
        except SlowConsumer as error:
            raise Closed(NOT_READ, "Slow consumer") from error
