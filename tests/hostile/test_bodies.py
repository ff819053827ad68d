"""Bodies, headers and frames of sockets that no decent client sends."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import System, token
from tests.api.live import Live, serve
from tests.hostile.judge import INSIDE, fuzzed, judge
from tests.hostile.values import deep, things

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(7200)]

ASK = "{ viewer { subject } }"
NAMES = ["query", "variables", "operationName", "extensions", "id", "batch"]
objects = st.dictionaries(st.sampled_from(NAMES), st.just(ASK) | things, max_size=4)


def is_written(value: Any) -> bool:
    """Whether JSON can say it."""
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


written = (objects | things).filter(is_written).map(orjson.dumps)
RAW = [
    b"[" * 100_000,
    b'{"query":' * 500,
    b'{"query": "\\ud800"}',
    b'{"query": "{ a }", "variables": {"a": "\\udfff"}}',
    b'{"a": NaN}',
    b'{"query": 1e400}',
    b"1" * 20_000,
    b"\xef\xbb\xbf{}",
    b"\x00",
    b'{"query": "\\u0000"}',
    b"\x1f\x8b\x08",
]
raw = st.binary(max_size=200) | st.sampled_from(RAW)
KINDS = [
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "multipart/form-data",
    "",
    "a" * 5_000,
    "application/graphql",
    "application/x-www-form-urlencoded",
    "APPLICATION/JSON",
    "application/json;;;=",
]
HEADERS = ["accept", "accept-language", "content-encoding", "x-request-id", "authorization", "origin", "cookie"]
VALUES = [b"", b"*/*", b"text/event-stream", b"gzip", b"Bearer", b"Bearer x.y.z", b"zh;q=9,*;q=-1", b"a" * 9_000]
values = st.sampled_from(VALUES)
values |= st.binary(max_size=30).map(lambda text: bytes(byte for byte in text if byte > 31 and byte != 127))


heads = st.dictionaries(st.sampled_from(HEADERS), values, max_size=4)


@fuzzed(150)
@given(
    body=written | raw,
    kind=st.sampled_from(KINDS),
    headers=st.dictionaries(st.sampled_from(HEADERS), values, max_size=4),
)
async def test_bodies_and_headers(system: System, body: bytes, kind: str, headers: dict[str, bytes]) -> None:
    """Given any bytes under any headers, then the answer is one of GraphQL's, and no error of ours."""
    sent = {b"content-type": kind.encode(), **{name.encode(): value for name, value in headers.items()}}
    async with asyncio.timeout(30):
        answer = await system.http.post("/graphql", content=body, headers=sent)
    judge(answer, None)


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


INIT = {"type": "connection_init", "payload": {"Authorization": f"Bearer {token('lin', 'customer', seconds=360_000)}"}}
TYPES = ["connection_init", "subscribe", "complete", "ping", "pong", "next", "error", "connection_ack", ""]
frames = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES)},
    optional={
        "id": st.sampled_from(["1", "2", "", "x" * 200]) | things,
        "payload": objects | things,
    },
)
sent = st.lists(
    st.just(INIT)
    | frames.filter(is_written)
    | things.filter(is_written)
    | st.sampled_from([b"\x00\xff", "", "{", deep(50)]),
    min_size=1,
    max_size=8,
)
CLOSED = {1000, 1009, 1013, 4400, 4401, 4403, 4406, 4408, 4409, 4429}


@fuzzed(60)
@given(messages=sent, is_known=st.booleans())
async def test_frames_in_any_order(live: Live, messages: list[Any], is_known: bool) -> None:
    """Given frames of any kind in any order, then the server answers decently or closes with a code of the protocol."""
    async with live.open(None) as socket:
        heard: list[str | bytes] = []
        try:
            for message in [INIT, *messages] if is_known else messages:
                await socket.send(message if isinstance(message, str | bytes) else orjson.dumps(message).decode())
            await socket.send(orjson.dumps({"type": "ping"}).decode())
            async with asyncio.timeout(20):
                while True:
                    heard.append(await socket.recv())
                    if b"pong" in (text := heard[-1].encode() if isinstance(heard[-1], str) else heard[-1]):
                        break
                    assert b"INTERNAL_SERVER_ERROR" not in text
        except ConnectionClosed:
            assert socket.close_code in CLOSED, (socket.close_code, messages)
    for text in heard:
        errors = orjson.loads(text).get("payload")
        assert INSIDE.search(str(errors) if isinstance(errors, list) else "") is None, text
