"""Graph migrations: once each, by several instances at once, and never edited afterwards."""

import asyncio

import pytest

from core.ids import new_id
from graph.client import GraphClient
from migrations.graph_migrations import (
    Migration,
    MigrationChanged,
    pending_migrations,
    read_migrations,
    upgrade_graph,
)
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def test_the_stores_of_the_tests_are_up_to_date(graph: GraphClient) -> None:
    assert await pending_migrations(graph) == []
    assert await upgrade_graph(graph) == 0


async def test_five_instances_at_once_apply_a_new_one_once(stores: Addresses, graph: GraphClient) -> None:
    """Given a migration that is not idempotent, when five instances start at once, then it ran once."""
    known, mark = read_migrations(), new_id()
    extra = Migration(len(known) + 1, mark, (f"CREATE (:MigrationTest {{mark: '{mark}'}})",), "checksum")  # pyright: ignore[reportArgumentType]
    clients = [stores.graph(timeout=60) for _ in range(5)]
    try:
        applied = await asyncio.gather(*(upgrade_graph(client, [*known, extra]) for client in clients))
        made = await graph.read("MATCH (n:MigrationTest {mark: $mark}) RETURN count(n) AS made", mark=mark)
    finally:
        for client in clients:
            await client.close()
        await graph.write("MATCH (m:Migration {number: $number}) DELETE m", number=extra.number)
        await graph.write("MATCH (n:MigrationTest) DELETE n")
    assert sorted(applied) == [0, 0, 0, 0, 1]
    assert made[0]["made"] == 1


async def test_a_statement_for_one_engine_runs_on_that_one(graph: GraphClient) -> None:
    """Given a migration with a statement for each engine, when it is applied, then the other engine's is left out."""
    known, mark = read_migrations(), new_id()
    create = "CREATE (:MigrationTest {{{name}: '{mark}'}})"
    statements = tuple(
        f"{engine} {create.format(name=name, mark=mark)}" for engine, name in (("NEO4J", "mark"), ("EMBEDDED", "made"))
    )
    extra = Migration(len(known) + 1, mark, statements, "checksum")  # pyright: ignore[reportArgumentType]
    try:
        await upgrade_graph(graph, [*known, extra])
        rows = await graph.read("MATCH (n:MigrationTest) RETURN n.mark AS mark, n.made AS made")
    finally:
        await graph.write("MATCH (m:Migration {number: $number}) DELETE m", number=extra.number)
        await graph.write("MATCH (n:MigrationTest) DELETE n")
    expected = {"mark": None, "made": mark} if await graph.is_embedded() else {"mark": mark, "made": None}
    assert rows == [expected]


async def test_an_applied_file_that_was_edited_stops_the_start(graph: GraphClient) -> None:
    first, *rest = read_migrations()
    edited = Migration(first.number, first.name, first.statements, "another checksum")
    with pytest.raises(MigrationChanged, match=first.name):
        await upgrade_graph(graph, [edited, *rest])
    # The lock is free again.
    assert await upgrade_graph(graph) == 0


def test_numbers_without_gaps(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "0001_a.cypher").write_text("// A comment; with a semicolon.\nCREATE (:A);\nCREATE (:B);\n")
    assert [m.statements for m in read_migrations(folder)] == [("CREATE (:A)", "CREATE (:B)")]
    (folder / "0003_c.cypher").write_text("CREATE (:C);\n")
    with pytest.raises(ValueError, match="without gaps"):
        read_migrations(folder)
