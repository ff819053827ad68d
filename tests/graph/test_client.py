"""The client: a conflict is repeated until it is gone, time runs out as Unavailable, and nothing else is hidden."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from neo4j.exceptions import ClientError

from core.errors import BadUserInput, NotFound, Unavailable
from core.processes import free_port
from graph.client import GraphClient, Transaction
from tests.community.places import make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

# The first write takes the lock, so that the count is read under it.
TOUCH = "MATCH (c:Customer {id: $id}) SET c.touched = true RETURN coalesce(c.count, 0) AS count"
COUNT = "MATCH (c:Customer {id: $id}) SET c.count = $count"
READ_COUNT = "MATCH (c:Customer {id: $id}) RETURN c.count AS count"
# It runs for seconds on both engines and holds little.
SLOW = "UNWIND range(1, 4000) AS a UNWIND range(1, 4000) AS b RETURN sum(a * b % 7) AS total"


async def add_one(tx: Transaction, node_id: str) -> None:
    (row,) = await tx.run(TOUCH, id=node_id)
    await tx.run(COUNT, id=node_id, count=row["count"] + 1)


async def count_of(graph: GraphClient, node_id: str) -> int:
    return (await graph.read(READ_COUNT, id=node_id))[0]["count"]


async def test_many_writers_on_one_node_lose_nothing(stores: Addresses) -> None:
    """Given forty writers of two clients who take no turns; when each adds one to a node; then it counts forty."""
    async with stores.graph() as one, stores.graph() as other:
        (node,) = await make_customers(one, 1)
        writers = (
            (one, other)[n % 2].transact(lambda tx: add_one(tx, node), contended=f"{node}:{n}") for n in range(40)
        )
        await asyncio.gather(*writers)

        assert await count_of(one, node) == 40


async def test_a_deadlock_is_repeated_and_counted(stores: Addresses) -> None:
    """Given two writers who hold one node each and want the other's; then both come through, one by repeating."""
    async with stores.graph() as one, stores.graph() as other:
        nodes = await make_customers(one, 2)
        await asyncio.gather(*(crossing(client, nodes) for client in (one, other)))
        before = one.retries + other.retries

        meeting = asyncio.Barrier(2)
        await asyncio.gather(crossing(one, nodes, meeting), crossing(other, nodes[::-1], meeting))

        assert [await count_of(one, node) for node in nodes] == [4, 4]
        assert one.retries + other.retries > before


async def crossing(client: GraphClient, nodes: list[str], meeting: asyncio.Barrier | None = None) -> None:
    """Add one to each node in order; with a meeting, wait at the first attempt until the other has its first node."""
    meetings = [meeting] if meeting else []

    async def work(tx: Transaction) -> None:
        await add_one(tx, nodes[0])
        if meetings:
            await meetings.pop().wait()
        await add_one(tx, nodes[1])

    await client.transact(work, contended=f"{id(client)}")


async def test_one_key_merged_by_many_at_once_is_one_node(stores: Addresses, unique: str) -> None:
    """Given forty tasks of two clients; when all merge one new key at once; then one node, and nobody fails."""
    async with stores.graph() as one, stores.graph() as other:
        query = "MERGE (c:Customer {id: $id}) ON CREATE SET c.count = 1 ON MATCH SET c.count = c.count + 1"
        await asyncio.gather(*((one, other)[n % 2].write(query, id=unique) for n in range(40)))

        found = await one.read("MATCH (c:Customer) WHERE c.id = $id RETURN c.count AS count", id=unique)
        assert [row["count"] for row in found] == [40]


async def test_an_answer_that_takes_too_long_is_unavailable(graph: GraphClient) -> None:
    """Given a query of seconds; when it may take a fifth of one; then Unavailable in time, and the client goes on."""
    async with within(1.5):
        with pytest.raises(Unavailable):
            await graph.read(SLOW, timeout=0.2)

    assert await graph.read("RETURN 1 AS one") == [{"one": 1}]


@asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None, None]:
    """Fail where the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


async def test_a_turn_that_does_not_come_is_unavailable(graph: GraphClient, unique: str) -> None:
    """Given a writer who keeps a contended thing; when another waits for it; then Unavailable; the first goes on."""
    started, leave = asyncio.Event(), asyncio.Event()

    async def stay(_: Transaction) -> str:
        started.set()
        await leave.wait()
        return "done"

    first = asyncio.create_task(graph.transact(stay, contended=unique))
    await started.wait()
    async with within(1.5):
        with pytest.raises(Unavailable):
            await graph.transact(stay, contended=unique, timeout=0.2)
    leave.set()

    assert await first == "done"


@pytest.mark.parametrize("value", ["\ud800", 2**63, -(2**63) - 1])
async def test_a_value_that_bolt_cannot_carry_is_the_caller_s_mistake(graph: GraphClient, value: str | int) -> None:
    """Given a lone surrogate or an integer past 63 bits; then BadUserInput at once, and the client goes on."""

    async def work(tx: Transaction) -> None:
        await tx.run("RETURN $value AS value", value=value)

    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: graph.read("RETURN $value AS value", value=value),
        lambda: graph.write("RETURN $value AS value", value=[{"deep": value}]),
        lambda: graph.transact(work, contended="nothing"),
    ]
    for attempt in attempts:
        with pytest.raises(BadUserInput):
            await attempt()

    largest = 2**63 - 1
    assert graph.retries == 0
    assert await graph.read("RETURN $value AS value", value=largest) == [{"value": largest}]


async def test_an_error_that_stays_is_raised_at_once(graph: GraphClient) -> None:
    """Given a statement that no engine understands; then its error comes through without a second attempt."""
    with pytest.raises(ClientError):
        await graph.read("RETURN 1 +")

    assert (graph.round_trips, graph.retries) == (1, 0)


@pytest.mark.parametrize("error", [NotFound, ValueError, ZeroDivisionError])
async def test_what_the_work_raises_comes_through_and_nothing_is_written(
    graph: GraphClient, error: type[Exception]
) -> None:
    """Given work that writes and then refuses; then its own error, once, and the node is as before."""
    (node,) = await make_customers(graph, 1)
    attempts: list[None] = []

    async def work(tx: Transaction) -> None:
        attempts.append(None)
        await add_one(tx, node)
        raise error

    with pytest.raises(error):
        await graph.transact(work, contended=node)

    assert len(attempts) == 1
    assert await count_of(graph, node) is None


def client_of(port: int) -> GraphClient:
    return GraphClient(f"bolt://127.0.0.1:{port}", user="nobody", password="nothing", timeout=0.5)


async def refused(client: GraphClient) -> None:
    async with within(2.0):
        with pytest.raises(Unavailable):
            await client.read("RETURN 1 AS one")


async def test_a_graph_that_is_away_is_unavailable_in_time() -> None:
    """Given a port that nothing listens on; then Unavailable within the time-out, after several attempts."""
    async with client_of(free_port()) as client:
        await refused(client)

        assert client.retries > 0


async def test_a_graph_that_never_answers_is_unavailable_in_time() -> None:
    """Given a port that takes connections and says nothing; then Unavailable within the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with client_of(server.getsockname()[1]) as client:
            await refused(client)
