"""Clients that do not read: dropped with a reason, bounded, no burden to others, and nothing is lost on them."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from api.live import slow, websocket
from api.relay import global_id
from tests.api.conftest import System, token
from tests.api.live import Live, follow, hear, say, serve
from tests.api.test_live import make_place
from tests.api.test_live_resume import parts, ring_marks

pytestmark = pytest.mark.anyio

# What the kernel holds on either side for one who does not read, and a message that fills it soon.
SMALL_BYTES = 16_384
HINTS = 200
NAMES = " ".join(f"n{number}: description" for number in range(60))
LARGE = f"""
subscription($id: ID!, $after: String) {{
  communityActivity(communityId: $id, after: $after) {{ community {{ {NAMES} }} }}
}}
"""
SMALL = "subscription($id: ID!) { communityActivity(communityId: $id) { kind } }"


@pytest.fixture
async def live(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Live, None]:
    monkeypatch.setattr(slow, "SEND_SECONDS", 0.5)
    async with serve(system) as found:
        yield found


async def make_wordy_place(system: System, owner: str) -> tuple[str, str]:
    """A community with a long description; its global id and its channel."""
    await system.customer(owner)
    community, _ = await make_place(system, owner)
    words = "MATCH (c:Community {id: $id}) SET c.description_zh = $text"
    await system.edge.graph.write(words, id=community, text="x" * 500)
    return global_id("Community", community), f"community:{community}"


def narrow(live: Live) -> socket.socket:
    """A connection of which the kernel keeps little."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
    found.connect(("127.0.0.1", live.port))
    found.setblocking(False)
    return found


async def unread(live: Live, bearer: str) -> ClientConnection:
    """A client that reads no more than its first message."""
    address = f"ws://127.0.0.1:{live.port}/graphql"
    opened = await connect(
        address, sock=narrow(live), subprotocols=[Subprotocol("graphql-transport-ws")], max_queue=1, compression=None
    )
    await say(opened, type="connection_init", payload={"Authorization": f"Bearer {bearer}"})
    assert await hear(opened) == {"type": "connection_ack"}
    return opened


async def all_read(client: ClientConnection) -> tuple[list[dict[str, Any]], int | None, str | None]:
    """What had been sent when the client reads at last, and with what the connection ended."""
    found: list[dict[str, Any]] = []
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                found.append(json.loads(await client.recv()))
    return found, client.close_code, client.close_reason


async def test_who_does_not_read_is_dropped_with_a_reason_and_goes_on_later(live: Live, unique: str) -> None:
    """Given one who does not read and one who does, when much is rung, then the one hears all at once, the other is
    cut off long before; reading at last it learns why, and coming back it gets exactly the rest."""
    system, lin = live.system, f"lin-{unique}"
    id, channel = await make_wordy_place(system, lin)
    client = await unread(live, token(lin))
    await follow(client, LARGE, id=id)
    async with live.client(token(lin)) as other:
        await follow(other, SMALL, id=id)
        await live.settled(channel, 2)
        for number in range(HINTS):
            await system.edge.ring(channel, {"kind": "MEMBERS", "number": number})
        heard = [await hear(other, 5) for _ in range(HINTS)]
        assert {one["type"] for one in heard} == {"next"}
        await live.settled(channel, 1)
    found, code, reason = await all_read(client)
    assert (code, reason) == (websocket.NOT_READ, "Slow consumer")
    assert 0 < len(found) < HINTS / 2
    async with live.client(token(lin)) as again:
        await follow(again, LARGE, id=id, after=parts(found[-1])[1])
        rest = [parts(await hear(again)) for _ in range(HINTS - len(found))]
    cursors = [parts(one)[1] for one in found] + [cursor for _, cursor in rest]
    assert len(set(cursors)) == HINTS
    assert cursors == [parts(one)[1] for one in heard]


async def test_who_never_reads_leaves_nothing_behind(live: Live, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given one who reads neither messages nor the reason, then their seat and their subscription are free again."""
    monkeypatch.setattr(slow, "PARTING_SECONDS", 0.2)
    system, lin = live.system, f"lin-{unique}"
    id, channel = await make_wordy_place(system, lin)
    client = await unread(live, token(lin))
    await follow(client, LARGE, id=id)
    await live.settled(channel, 1)
    await ring_marks(system, channel, HINTS)
    try:
        await live.settled(channel, 0)
        await live.left(lin)
    finally:
        client.transport.abort()


async def test_a_stream_that_is_not_read_ends_with_its_reason(live: Live, unique: str) -> None:
    """Given the same of server-sent events, then the last of them says why, and the stream is complete."""
    system, lin = live.system, f"lin-{unique}"
    id, channel = await make_wordy_place(system, lin)
    await ring_marks(system, channel, 1)
    body = json.dumps({"query": LARGE, "variables": {"id": id}}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: kinship\r\nAuthorization: Bearer {token(lin)}\r\n"
        f"Accept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection, loop = narrow(live), asyncio.get_running_loop()
    await loop.sock_sendall(connection, head.encode() + body)
    await live.settled(channel, 1)
    await ring_marks(system, channel, HINTS)
    await live.settled(channel, 0)
    text = b""
    while chunk := await asyncio.wait_for(loop.sock_recv(connection, 65_536), 10):
        text += chunk
    connection.close()
    assert 0 < text.count(b"event: next\nid: ") < HINTS / 2
    last = text[text.rindex(b"event: next") :]
    assert b'"code":"SLOW_CONSUMER"' in last
    assert last.endswith(b"event: complete\ndata:\n\n\r\n0\r\n\r\n")
