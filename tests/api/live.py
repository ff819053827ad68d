"""The application on a real port, and clients of its live transports."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from core.processes import free_port
from ops.api_server import limit_unread
from tests.api.conftest import System, token


@dataclass
class Live:
    """The application on a real port."""

    system: System
    port: int

    @asynccontextmanager
    async def open(
        self, bearer: str | None, *, protocol: str = "graphql-transport-ws"
    ) -> AsyncGenerator[ClientConnection, None]:
        address = f"ws://127.0.0.1:{self.port}/graphql"
        async with connect(address, subprotocols=[Subprotocol(protocol)], proxy=None) as socket:
            if bearer is not None:
                await say(socket, type="connection_init", payload={"Authorization": f"Bearer {bearer}"})
            yield socket

    @asynccontextmanager
    async def client(self, bearer: str) -> AsyncGenerator[ClientConnection, None]:
        """A connection that is acknowledged."""
        async with self.open(bearer) as socket:
            assert await hear(socket) == {"type": "connection_ack"}
            yield socket

    async def settled(self, channel: str, listeners: int) -> None:
        """Wait until that many listen to a channel."""
        for _ in range(600):
            if self.system.app.state.bell.listeners(channel) == listeners:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self.system.app.state.bell.listeners(channel)} listen to {channel}")

    async def left(self, subject: str) -> None:
        """Wait until a subject has no stream open."""
        seats = self.system.app.state.seats
        for _ in range(600):
            if not seats.held_by(subject):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{subject} still has {seats.held_by(subject)} streams")


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(socket.recv(), seconds))


async def follow(socket: ClientConnection, query: str, name: str = "1", **variables: Any) -> None:
    await say(socket, id=name, type="subscribe", payload={"query": query, "variables": variables})


async def close_code(socket: ClientConnection, seconds: float = 10) -> int | None:
    """With what the server ends the connection."""
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(seconds):
            while True:
                await socket.recv()
    return socket.close_code


@asynccontextmanager
async def serve(system: System) -> AsyncGenerator[Live, None]:
    """The application of this system on a free port."""
    port = free_port()
    config = uvicorn.Config(system.app, port=port, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    limit_unread(listener)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    yield Live(system, port)
    server.should_exit = True
    await serving


async def sse_request(live: Live, subject: str, query: str, **variables: Any) -> httpx.Response:
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token(subject)}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", headers=headers, trust_env=False) as http:
        return await http.post("/graphql", json={"query": query, "variables": variables})


async def next_event(lines: AsyncIterator[str]) -> tuple[str, Any]:
    """The next event of a stream, without the comments that keep it open."""
    async with asyncio.timeout(10):
        name = ""
        async for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data:"):
                text = line.removeprefix("data:").strip()
                return name, json.loads(text) if text else None
    raise AssertionError("the stream has ended")
