"""The load of bench/graphql.py counts what it is answered, and tells what is not the answer that was looked at."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from bench.graphql_load import load

pytestmark = pytest.mark.anyio

REQUEST = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def answer(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def loaded(*parts: bytes, clients: int = 2) -> dict[str, Any]:
    """What a load comes to whose every request is answered in these parts, one after the other."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # It ends with the connection, which the load closes.
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.005)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        order = {"request": REQUEST, "size": 4, "port": port, "clients": clients, "warming": 0.05, "seconds": 0.3}
        found = await load(order)
        # The last to be served are still to notice that their clients have left.
        await asyncio.sleep(0.1)
        return found


async def test_each_answer_counts_once_however_it_comes() -> None:
    """Given answers in one piece and in pieces, then each is counted once and none is wrong."""
    for parts in ((answer("200 OK", b"1234"),), (answer("200 OK", b"1234")[:30], answer("200 OK", b"1234")[30:])):
        found = await loaded(*parts)
        assert found["wrong"] == 0
        assert 5 < found["answers"] < 200
        assert found["a_second"] == pytest.approx(found["answers"] / 0.3)
        assert found["median"] > 4


@pytest.mark.parametrize("wrong", [answer("503 Service Unavailable", b"1234"), answer("200 OK", b"12345")])
async def test_an_error_and_another_answer_are_wrong(wrong: bytes) -> None:
    found = await loaded(wrong)
    assert found["wrong"] >= found["answers"] > 0
