"""The API's answers over real sockets: head and body come by one write, in order, whatever the connection does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from ops.one_write import Gathering, OneWriteProtocol

pytestmark = pytest.mark.anyio


class Recording:
    """A transport that keeps what it is given, and whether it was closed."""

    def __init__(self) -> None:
        self.acts: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.acts.append(data)

    def close(self) -> None:
        self.acts.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.acts

    def get_extra_info(self, name: str) -> str:
        return f"extra {name}"


async def test_what_is_written_in_one_turn_is_one_write() -> None:
    """Given writes in two turns of the loop and a close; then one write for each turn, and none after the close."""
    there = Recording()
    gathering: Any = Gathering(there, asyncio.get_running_loop())  # pyright: ignore[reportArgumentType] - it records
    gathering.write(b"head ")
    gathering.write(b"body")
    assert there.acts == []
    await asyncio.sleep(0)
    gathering.write(b"more")
    gathering.close()
    await asyncio.sleep(0)
    gathering.write(b"late")
    await asyncio.sleep(0)
    assert there.acts == [b"head body", b"more", "closed"]
    assert gathering.get_extra_info("peername") == "extra peername"


async def test_much_is_passed_on_at_once() -> None:
    there = Recording()
    gathering: Any = Gathering(there, asyncio.get_running_loop())  # pyright: ignore[reportArgumentType] - it records
    gathering.write(b"head ")
    gathering.write(b"x" * 100_000)
    assert [len(act) for act in there.acts] == [100_005]
    await asyncio.sleep(0)
    assert len(there.acts) == 1


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echoes a body; `/stream` sends its length in single characters, each in a turn of its own."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = [] if scope["path"] == "/stream" else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/stream":
        for character in body:
            await send({"type": "http.response.body", "body": bytes([character]), "more_body": True})
            await asyncio.sleep(0)
        body = b""
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving() -> AsyncGenerator[int, None]:
    config = uvicorn.Config(application, port=0, http=OneWriteProtocol, log_config=None, lifespan="off")
    listener = config.bind_socket()
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by no event
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await running


def request(path: str, body: bytes, *more: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


async def test_requests_one_after_the_other_and_all_at_once_are_answered_in_order() -> None:
    """Given one connection; when requests come in turn, together, large, streamed and with a close at the end; then the
    answers come whole and in order, and the connection ends with the last."""
    large = b"x" * 1_000_000
    async with serving() as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in (b"one", b"", large):
            writer.write(request("/", body))
            assert await answer(reader) == body
        writer.write(request("/", b"two") + request("/stream", b"three") + request("/", b"four", "Connection: close"))
        assert [await answer(reader) for _ in range(3)] == [b"two", b"three", b"four"]
        assert await reader.read() == b""
        writer.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200")
    if b"transfer-encoding: chunked" not in head:
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        return await reader.readexactly(length)
    found = b""
    while size := int(await reader.readline(), 16):
        found += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return found
