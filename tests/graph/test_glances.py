"""Glances at the graph: the rows that the driver would give, over connections that may break, split and fail."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neo4j._async.io._bolt._bolt5 import AsyncBolt5x4  # pyright: ignore[reportPrivateUsage] - one of its connections
from neo4j.exceptions import ClientError, Neo4jError

from core.errors import BadUserInput
from graph.client import GraphClient, Transaction
from graph.glances import Glances, Line
from tests.api.faulty_lines import Fault, line_to
from tests.api.faulty_lines import Line as Wire
from tests.conftest import Addresses
from tests.graph.test_client import SLOW
from tests.service.gateways import certificate_for

pytestmark = pytest.mark.anyio

EVERYTHING = """
RETURN $given AS given, null AS nothing, [1, [2.5, 'é林', true, null]] AS list, {a: {b: []}} AS map,
       date('2026-11-30') AS day, datetime('2026-11-30T08:00:00Z') AS instant, duration('PT3S') AS while
"""


async def by_the_driver(graph: GraphClient, query: Any, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a statement within a transaction, which the driver reads."""

    async def work(tx: Transaction) -> list[dict[str, Any]]:
        return await tx.run(query, **parameters)

    return await graph.transact(work, contended="nothing")


async def test_rows_are_those_of_the_driver(graph: GraphClient) -> None:
    """Given values of every kind, none, and more than a packet holds in either direction; then the rows are alike."""
    for sent in ({"x": 1}, "text" * 40_000, list(range(300)), -(2**63)):
        rows = await graph.read(EVERYTHING, given=sent)
        assert rows == await by_the_driver(graph, EVERYTHING, given=sent)
        assert rows[0]["given"] == sent
    numbers = "UNWIND range(1, 5000) AS n RETURN n, toString(n) AS text"
    assert await graph.read(numbers) == await by_the_driver(graph, numbers)
    assert await graph.read("UNWIND [] AS n RETURN n") == []


async def test_nodes_and_relationships_are_the_driver_s(graph: GraphClient, unique: str) -> None:
    make = "CREATE (a:Glanced {id: $id})-[r:SEES {at: 1}]->(b:Glanced {id: $id + 'b'}) RETURN a.id AS id"
    find = "MATCH p = (a:Glanced {id: $id})-[r:SEES]->(b) RETURN a, r, b, [a, b] AS both"
    await graph.write(make, id=unique)
    (mine,), (theirs,) = await graph.read(find, id=unique), await by_the_driver(graph, find, id=unique)
    assert dict(mine["a"]) == dict(theirs["a"])
    assert [(one.labels, one.element_id) for one in mine["both"]] == [
        (one.labels, one.element_id) for one in theirs["both"]
    ]
    assert (mine["r"].type, dict(mine["r"])) == (theirs["r"].type, dict(theirs["r"]))
    assert mine["r"].start_node.element_id == mine["a"].element_id


@asynccontextmanager
async def wired(
    stores: Addresses, *, scheme: str = "bolt", tls: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[GraphClient, Wire], None]:
    """A client over a wire that can be cut."""
    address = urlsplit(stores.neo4j_uri)
    assert address.hostname and address.port
    async with (
        line_to(address.hostname, address.port, tls) as wire,
        GraphClient(
            f"{scheme}://127.0.0.1:{wire.port}",
            user=stores.neo4j_user,
            password=stores.neo4j_password,
            database=stores.neo4j_database,
            timeout=20,
        ) as graph,
    ):
        yield graph, wire


async def test_rows_come_over_an_encrypted_connection_too(stores: Addresses, tmp_path: Path) -> None:
    """Given an engine behind TLS; then answers and questions of many packets pass it, one after the other."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate_for("localhost", tmp_path))
    numbers = "UNWIND range(1, 30000) AS n RETURN n, toString(n) AS text"
    async with wired(stores, scheme="bolt+ssc", tls=tls) as (graph, _):
        for _ in range(3):
            rows = await graph.read(numbers)
            assert [(row["n"], row["text"]) for row in rows] == [(n, str(n)) for n in range(1, 30_001)]
            assert await graph.read("RETURN size($text) AS size", text="é" * 200_000) == [{"size": 200_000}]


async def test_connections_are_used_again_also_after_a_mistake(stores: Addresses) -> None:
    """Given statements that fail, and values that Bolt cannot carry, one after the other; then one connection is enough
    for them and for what is right between them."""
    async with wired(stores) as (graph, wire):
        await graph.is_embedded()
        await graph.read("RETURN 1 AS one")
        opened = wire.opened
        for number in range(5):
            with pytest.raises(ClientError):
                await graph.read("RETURN 1 +")
            with pytest.raises(ClientError):
                await graph.read("UNWIND [1, 0] AS n RETURN 1 / n AS it")
            with pytest.raises(BadUserInput):
                await graph.read("RETURN $it AS it", it="\ud800")
            assert await graph.read("RETURN $n AS n", n=number) == [{"n": number}]
        assert wire.opened == opened


async def test_a_connection_that_fell_is_made_anew(stores: Addresses) -> None:
    """Given connections that break while nobody uses them; then the next statement has its rows."""
    async with wired(stores) as (graph, wire):
        assert await graph.read("RETURN 1 AS one") == [{"one": 1}]
        await wire.be(Fault.CUT)
        await wire.be(Fault.NONE)
        assert await graph.read("RETURN 2 AS two") == [{"two": 2}]


async def test_an_answer_that_breaks_off_is_asked_for_again(stores: Addresses) -> None:
    """Given statements under way when the connections break; then each is asked for again and has its own rows."""
    numbers = "UNWIND range(1, 20000) AS n RETURN n + $more AS n"
    async with wired(stores) as (graph, wire):
        await graph.is_embedded()
        await wire.be(Fault.SLOW)
        asked = [asyncio.create_task(graph.read(numbers, more=more)) for more in range(6)]
        # The first pieces of their answers are on the way by then.
        await asyncio.sleep(1)
        await wire.be(Fault.CUT)
        await wire.be(Fault.NONE)
        for more, rows in enumerate(await asyncio.gather(*asked)):
            assert [row["n"] for row in rows] == list(range(1 + more, 20_001 + more))
        assert graph.retries > 0


async def test_who_is_stopped_leaves_no_answer_to_others(graph: GraphClient) -> None:
    """Given many statements at once of which some are stopped; then each of the others has its own row."""
    asked = [asyncio.create_task(graph.read("RETURN $n AS n", n=number)) for number in range(60)]
    await asyncio.sleep(0.005)
    for leaving in asked[::4]:
        leaving.cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    for number, rows in enumerate(found):
        if number % 4:
            assert rows == [{"n": number}]
        else:
            assert rows == [{"n": number}] or isinstance(rows, asyncio.CancelledError)
    assert await graph.read("RETURN 1 AS one") == [{"one": 1}]


async def test_a_statement_that_nobody_waits_for_is_given_up_by_the_server(stores: Addresses) -> None:
    """Given as many slow statements as there are connections, all of them stopped; then the next is let in at once."""
    async with stores.graph(pool_size=2, timeout=30) as graph:
        asked = [asyncio.create_task(graph.read(SLOW)) for _ in range(2)]
        await asyncio.sleep(0.3)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert await graph.read("RETURN 1 AS one", timeout=5) == [{"one": 1}]


async def test_among_several_servers_the_driver_chooses(stores: Addresses) -> None:
    """Given an address of a cluster; then statements are read through the driver, which asks for its table first."""
    if stores.name == "embedded":
        pytest.skip("the embedded engine is one server, and tells no table")
    async with GraphClient(
        stores.neo4j_uri.replace("bolt://", "neo4j://"), user=stores.neo4j_user, password=stores.neo4j_password
    ) as graph:
        assert await graph.read("RETURN 1 AS one") == [{"one": 1}]


class Transport:
    """The outer end of a connection: it takes what is sent, and nothing more."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.is_aborted = False

    def set_protocol(self, protocol: object) -> None:
        """Nothing: what comes is handed over by the test."""

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        """Nothing: what matters is whether the line may be asked."""


def line_over(transport: Transport) -> Line:
    """A line as over one of the driver's connections."""
    opened = SimpleNamespace(
        PROTOCOL_VERSION=AsyncBolt5x4.PROTOCOL_VERSION,
        PACKER_CLS=AsyncBolt5x4.PACKER_CLS,
        UNPACKER_CLS=AsyncBolt5x4.UNPACKER_CLS,
        hydration_handler=AsyncBolt5x4.HYDRATION_HANDLER_CLS(),
        socket=SimpleNamespace(_writer=SimpleNamespace(transport=transport)),
    )
    return Line(opened)


def packed(signature: bytes, *fields: Any) -> bytes:
    buffer = AsyncBolt5x4.PACKER_CLS.new_packable_buffer()
    AsyncBolt5x4.PACKER_CLS(buffer).pack_struct(signature, fields)
    return bytes(buffer.data)


def chunked(*messages: bytes) -> bytes:
    return b"".join(len(one).to_bytes(2) + one + b"\x00\x00" for one in messages)


REFUSED = packed(b"\x7f", {"code": "Neo.ClientError.Statement.SyntaxError", "message": "no"})


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
Rows = Sequence[Sequence[Any]]


@st.composite
def streams(draw: st.DrawFn, rows: Rows, ending: Sequence[bytes]) -> list[bytes]:
    """The messages of an answer in chunks of any size, with signs of life between them, cut into pieces anywhere."""
    messages = [packed(b"\x70", {"fields": ["a", "b"]}), *(packed(b"\x71", list(row)) for row in rows), *ending]
    stream = bytearray()
    for message in messages:
        stream += b"\x00\x00" * draw(st.integers(0, 2))
        start = 0
        while start < len(message):
            size = draw(st.integers(1, len(message) - start) | st.just(len(message) - start))
            stream += size.to_bytes(2) + message[start : start + size]
            start += size
        stream += b"\x00\x00"
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [bytes(stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


async def told(line: Line, pieces: Sequence[bytes]) -> Any:
    asked = asyncio.ensure_future(line.ask("RETURN 1", {}, {}))
    await asyncio.sleep(0)
    for piece in pieces:
        line.data_received(piece)
    return await asyncio.wait_for(asked, 5)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_answer_may_be_cut_anywhere(data: st.DataObject) -> None:
    """Given any rows, in any chunks, in any pieces; then they are read as they were written, one answer after another
    on one connection, and a failure in between is told and followed by the next answer."""
    exchanges: list[tuple[list[tuple[Any, Any]], list[bytes], bool]] = []
    for _ in range(data.draw(st.integers(1, 3))):
        rows = data.draw(st.lists(st.tuples(values, values), max_size=4))
        fails = data.draw(st.booleans())
        ending = [REFUSED, packed(b"\x70", {})] if fails else [packed(b"\x70", {"type": "r"})]
        exchanges.append((rows, data.draw(streams(rows, ending)), fails))

    async def exchange() -> None:
        transport = Transport()
        line = line_over(transport)
        for rows, pieces, fails in exchanges:
            if fails:
                with pytest.raises(ClientError, match="no"):
                    await told(line, pieces)
                assert transport.sent.endswith(b"\x00\x02\xb0\x0f\x00\x00")
            else:
                columns, found = await told(line, pieces)
                assert columns == ("a", "b")
                assert found == [{"a": a, "b": b} for a, b in rows]
            assert line.is_free
        assert not transport.is_aborted

    asyncio.run(exchange())


def test_a_failure_before_any_row_leaves_the_line_free() -> None:
    """Given a statement that is refused, so that PULL is ignored; then it is told, and the line is free again."""

    async def exchange() -> None:
        line = line_over(Transport())
        pieces = [chunked(one) for one in (REFUSED, packed(b"\x7e"), packed(b"\x70", {}))]
        with pytest.raises(ClientError):
            await told(line, pieces)
        assert line.is_free

    asyncio.run(exchange())


def test_a_server_that_closes_after_a_failure_is_not_asked_again() -> None:
    """Given a failure after which the connection falls; then the failure is told, and not that the connection fell."""

    async def exchange() -> None:
        line = line_over(Transport())
        asked = asyncio.ensure_future(line.ask("RETURN 1", {}, {}))
        await asyncio.sleep(0)
        line.data_received(chunked(REFUSED))
        line.connection_lost(None)
        with pytest.raises(ClientError, match="no"):
            await asked
        assert not line.is_free

    asyncio.run(exchange())


@pytest.mark.parametrize("message", [REFUSED, packed(b"\x70", {}), packed(b"\x71", [1])])
def test_what_nobody_asked_for_is_nobody_s_answer(message: bytes) -> None:
    """Given a message while nothing is asked, before the first question or after its answer; then the connection ends,
    and is not taken for one that may be asked."""

    async def exchange() -> None:
        fresh, used = line_over(Transport()), line_over(Transport())
        answer = chunked(packed(b"\x70", {"fields": ["a"]}), packed(b"\x71", [1]), packed(b"\x70", {}))
        assert await told(used, [answer]) == (("a",), [{"a": 1}])
        for line in (fresh, used):
            assert line.is_free
            line.data_received(chunked(message))
            assert not line.is_free

    asyncio.run(exchange())


def test_whom_the_server_knows_no_more_signs_in_anew() -> None:
    """Given a server that has forgotten who signed in; then the connection it says so on is closed, and so are those
    that nobody uses."""
    expired = packed(b"\x7f", {"code": "Neo.ClientError.Security.AuthorizationExpired", "message": "no"})

    async def exchange() -> None:
        lines = [line_over(Transport()) for _ in range(3)]

        async def opener(*_: object) -> Any:
            raise AssertionError("one of those that are there is asked")

        pool = SimpleNamespace(opener=opener, address=None, pool_config=SimpleNamespace(auth=None))
        glances = Glances(cast(Any, SimpleNamespace(_pool=pool)), database=None, most=5)
        glances._free += lines  # pyright: ignore[reportPrivateUsage] - as if they had been used before
        asked = asyncio.ensure_future(glances.rows("RETURN 1", {}, 5))
        await asyncio.sleep(0)
        lines[-1].data_received(chunked(expired, packed(b"\x7e"), packed(b"\x70", {})))
        with pytest.raises(Neo4jError):
            await asked
        assert not any(line.is_free for line in lines)

    asyncio.run(exchange())


def test_what_nobody_expects_ends_the_connection() -> None:
    """Given a message that Bolt does not know; then the connection is closed, and whoever waits is told."""

    async def exchange() -> None:
        transport = Transport()
        line = line_over(transport)
        asked = asyncio.ensure_future(line.ask("RETURN 1", {}, {}))
        await asyncio.sleep(0)
        line.data_received(b"\x00\x02\xb0\x55\x00\x00")
        assert transport.is_aborted
        line.connection_lost(None)
        with pytest.raises(Exception, match="the connection fell"):
            await asked
        assert not line.is_free

    asyncio.run(exchange())
