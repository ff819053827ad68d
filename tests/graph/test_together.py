"""Reading together: the rows are those of each statement by itself, in its order; who fails, fails alone."""

import asyncio
from typing import Any, LiteralString, cast

import pytest
from neo4j.exceptions import ClientError

from core.errors import BadUserInput
from core.ids import new_id
from graph import together
from graph.client import GraphClient
from graph.together import COMES_AGAIN, MOMENT, NEW_A_MINUTE, Together, joined, reading_together
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

PUT = "UNWIND range(1, 30) AS n CREATE (:Customer {id: $mark + ':' + toString(n), display_name: $mark, n: n})"
DOWN = "MATCH (c:Customer) WHERE c.display_name = $mark RETURN c.n AS n, c.id AS id, null AS nothing ORDER BY n DESC"
SOME = "MATCH (c:Customer) WHERE c.display_name = $mark AND c.n <= $most RETURN c.n AS n ORDER BY n LIMIT $limit"
BOTH = "RETURN 'a' AS letter, $one AS number UNION ALL RETURN 'b' AS letter, $two AS number"
NOBODY = "MATCH (c:Customer {id: $mark}) RETURN c.id AS id"
# It fails only where the number is 0, and only when it runs.
DIVIDE = "UNWIND [$by] AS by RETURN 12 / by AS found"


async def all_of(graph: GraphClient, mark: str, *, by: int = 3) -> list[Any]:
    """What each of these comes to; failures are returned."""
    asked = (
        graph.read(DOWN, mark=mark),
        graph.read(SOME, mark=mark, most=20, limit=3),
        graph.read(SOME, mark=mark, most=2, limit=9),
        graph.read(BOTH, one=1, two=2),
        graph.read(NOBODY, mark=mark),
        graph.read(SOME, mark=mark, most=0, limit=3),
        graph.read(DIVIDE, by=by),
    )
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_rows_and_their_order_are_those_of_each_statement_alone(stores: Addresses) -> None:
    """Given thirty nodes; when seven statements are asked for at once, apart and together; then the answers are equal,
    and on Neo4j it takes two round trips (six parts are the most) once they have come together often enough."""
    mark = new_id()
    async with stores.graph() as graph:
        await graph.write(PUT, mark=mark)
        apart = await all_of(graph, mark)
        async with reading_together():
            first = await all_of(graph, mark)
            for _ in range(COMES_AGAIN):
                assert await all_of(graph, mark) == first
            before = graph.round_trips, graph.statements
            again = await all_of(graph, mark)

        assert apart == first == again
        assert [row["n"] for row in again[0]] == list(range(30, 0, -1))
        assert again[0][0] == {"n": 30, "id": f"{mark}:30", "nothing": None}
        assert [len(rows) for rows in again] == [30, 3, 2, 2, 0, 0, 1]
        trips = 7 if await graph.is_embedded() else 2
        assert (graph.round_trips - before[0], graph.statements - before[1]) == (trips, 7)


async def test_one_that_fails_leaves_its_neighbours_their_rows(stores: Addresses) -> None:
    """Given statements of one moment; when one of them cannot be run, or carries what no store takes; then it alone
    raises, and what it raises is its own."""
    mark = new_id()
    async with stores.graph() as graph:
        await graph.write(PUT, mark=mark)
        async with reading_together():
            whole = await all_of(graph, mark)
            for _ in range(COMES_AGAIN):
                assert await all_of(graph, mark) == whole
            *others, failed = await all_of(graph, mark, by=0)
            assert others == whole[:-1]
            if not await graph.is_embedded():
                assert isinstance(failed, ClientError)
            *others, failed = await all_of(graph, mark, by=2**70)
            assert others == whole[:-1]
            assert isinstance(failed, BadUserInput)
            assert await all_of(graph, mark) == whole


async def test_what_outlives_its_operation_reads_by_itself(stores: Addresses) -> None:
    """Given a task that an operation began; when it reads after the operation's end; then it has its rows."""
    mark, over = new_id(), asyncio.Event()

    async def later(graph: GraphClient) -> int:
        await over.wait()
        return len(await graph.read(DOWN, mark=mark))

    async with stores.graph() as graph:
        await graph.write(PUT, mark=mark)
        async with reading_together():
            await graph.read(DOWN, mark=mark)
            reading = asyncio.create_task(later(graph))
        over.set()
        assert await reading == 30


async def test_two_operations_share_nothing(stores: Addresses) -> None:
    """Given two operations that read at one moment; when one is cancelled; then the other has its rows."""
    mark = new_id()

    async def operation(graph: GraphClient) -> list[Any]:
        async with reading_together():
            await graph.read(DOWN, mark=mark)
            return await graph.read(DOWN, mark=mark)

    async with stores.graph() as graph:
        await graph.write(PUT, mark=mark)
        await operation(graph)
        leaving, staying = (asyncio.create_task(operation(graph)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert len(await staying) == 30
        with pytest.raises(asyncio.CancelledError):
            await leaving


def test_parameters_and_columns_keep_to_their_part() -> None:
    """Given two statements with a parameter of one name; when they are joined; then each has its own."""
    statement = joined((("RETURN $a AS x", ("x",)), ("RETURN $a + $ab AS y", ("y",))))
    assert statement.splitlines() == [
        "CALL () {",
        "CALL () {",
        "RETURN $p0_a AS x",
        "}",
        "RETURN collect([x]) AS part_0",
        "}",
        "CALL () {",
        "CALL () {",
        "RETURN $p1_a + $p1_ab AS y",
        "}",
        "RETURN collect([y]) AS part_1",
        "}",
        "RETURN part_0, part_1",
    ]


def text(number: int) -> LiteralString:
    return cast(LiteralString, f"RETURN {number} AS x")


async def answer(query: LiteralString, parameters: dict[str, Any]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    return ("x",), [{f"part_{n}": [] for n in range(2)}]


async def test_no_more_combinations_are_new_in_a_minute_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given ever new combinations of statements; when each comes often; then so many are joined in a minute, and those
    that are asked for stay while others come."""
    sent: list[str] = []

    async def send(query: LiteralString, parameters: dict[str, Any]) -> Any:
        sent.append(query)
        return await answer(query, parameters)

    reader = Together(send)
    pairs = [(one, other) for one in range(12) for other in range(one + 1, 12)]

    async def ask(pair: tuple[int, int]) -> bool:
        """Whether the two were asked for as one."""
        moment = MOMENT.get()
        assert moment is not None
        sent.clear()
        await asyncio.gather(*(reader.read(moment, text(number), {}) for number in pair))
        return any("part_1" in query for query in sent)

    async with reading_together():
        for number in range(12):
            await ask((number, number))
        for _ in range(COMES_AGAIN - 1):
            assert not any([await ask(pair) for pair in pairs])
        found = [await ask(pair) for pair in pairs]
        assert found == [True] * NEW_A_MINUTE + [False] * (len(pairs) - NEW_A_MINUTE)
        assert await ask(pairs[0])

        monkeypatch.setattr(together, "MINUTE_SECONDS", 0.0)
        monkeypatch.setattr(together, "MOST_JOINED", 5)
        for pair in pairs[NEW_A_MINUTE:]:
            assert await ask(pair)
            assert await ask(pairs[0])
        assert len(reader._joined) <= NEW_A_MINUTE  # pyright: ignore[reportPrivateUsage] - it is what fills the memory


async def test_what_nobody_waits_for_is_stopped() -> None:
    """Given statements under way; when their operation is cancelled, or ends without them; then none runs on, and who
    waited for one of them waits no longer."""
    under_way, ends = asyncio.Event(), list[str]()

    async def send(query: LiteralString, parameters: dict[str, Any]) -> Any:
        if "part_0" in query:
            under_way.set()
            try:
                await asyncio.sleep(60)
            finally:
                ends.append("stopped")
        return await answer(query, parameters)

    reader = Together(send)

    async def operation(*, waits: bool) -> None:
        async with reading_together():
            moment = MOMENT.get()
            assert moment is not None
            await reader.read(moment, text(1), {})
            reading = asyncio.create_task(reader.read(moment, text(1), {}))
            late.append(reading)
            await under_way.wait()
            if waits:
                await reading

    late: list[asyncio.Task[Any]] = []
    leaving = asyncio.create_task(operation(waits=True))
    await under_way.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert ends == ["stopped"]

    under_way.clear()
    await operation(waits=False)
    assert ends == ["stopped", "stopped"]
    async with asyncio.timeout(5):
        assert all(
            isinstance(found, asyncio.CancelledError) for found in await asyncio.gather(*late, return_exceptions=True)
        )
