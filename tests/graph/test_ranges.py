"""Pages of a range: the right rows in order for one parent and for many, and read along the index on both engines."""

import random

import pytest
from neo4j import AsyncGraphDatabase

from community.comments import COMMENTS_OF
from community.posts import EDITS_OF, POSTS_OF
from graph.client import GraphClient
from graph.nested import nested, split_columns
from graph.ranges import RangeQuery, range_query, read_ranges
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

PUT = "UNWIND $rows AS row CREATE (x:Edit {post_id: row.parent, order: row.order, version: row.number})"


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_are_those_of_a_plain_model(graph: GraphClient, unique: str, newest_first: bool) -> None:
    """Given three parents with random numbers, then pages of each from any place on are those of sorted lists."""
    query = range_query("Edit", "x.version AS number", parent="post_id", newest_first=newest_first)
    drawn = random.Random(unique)
    model = {
        f"{unique}-{newest_first}-{n}": sorted(drawn.sample(range(1_000), size)) for n, size in enumerate((0, 5, 40))
    }
    rows = [{"parent": p, "order": f"{p}:{n:08}", "number": n} for p, numbers in model.items() for n in numbers]
    drawn.shuffle(rows)
    await graph.write(PUT, rows=rows)
    for parents in (list(model), *([name] for name in model)):
        for after in (None, 0, 500, 999):
            place = None if after is None else f"{after:08}"
            for back in (False, True):
                falling = newest_first is not back
                found = await read_ranges(graph, query, parents, after=place, back=back, limit=7)
                for parent in parents:
                    rest = [n for n in model[parent] if after is None or (n < after if falling else n > after)]
                    expected = list(reversed(rest))[:7] if falling else rest[:7]
                    assert [row["number"] for row in found if row["parent"] == parent] == expected


@pytest.mark.parametrize("back", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("query", [COMMENTS_OF, POSTS_OF, EDITS_OF], ids=["comments", "posts", "edits"])
async def test_one_parents_page_is_read_along_the_index(stores: Addresses, query: RangeQuery, back: bool) -> None:
    """Given either engine, when it explains the text for one parent, then nothing is sorted after reading."""
    access = (stores.neo4j_user, stores.neo4j_password) if stores.neo4j_password else None
    async with (
        AsyncGraphDatabase.driver(stores.neo4j_uri, auth=access) as driver,
        driver.session(database=stores.neo4j_database) as session,
    ):
        text = query.one_back if back else query.one
        result = await session.run("EXPLAIN " + text, low="a:", high="a;", limit=20, viewer_id="")
        plan = str((await result.consume()).plan)
    if stores.name == "embedded":
        assert "[index order" in plan
        assert "OrderByStep" not in plan
    else:
        assert "NodeIndexSeekByRange" in plan or "NodeUniqueIndexSeekByRange" in plan
        assert "Sort@" not in plan and "Top@" not in plan


def test_a_reading_becomes_an_expression() -> None:
    reading = "\nUNWIND $ids AS id\nMATCH (x:Thing {id: id})\nRETURN x.id AS id, coalesce(x.a, [1, 2]) AS a\n"
    assert nested(reading, "key") == (
        "COLLECT {\nUNWIND [key] AS id\nMATCH (x:Thing {id: id})\nRETURN {id: x.id, a: coalesce(x.a, [1, 2])} }[0]"
    )
    with pytest.raises(ValueError, match="reading by ids"):
        nested("MATCH (x) RETURN x", "key")
    assert split_columns("a, {b: [c, d]}, e") == ["a", " {b: [c, d]}", " e"]
