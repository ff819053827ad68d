"""Tags and ties between people for tests, as an import would put them into the graph, and the stored lists."""

from collections.abc import Iterable
from typing import Any

from community.recommendation_lists import recommended_communities
from graph.client import GraphClient, Row

PUT_TAGS = """
UNWIND $keys AS key
MERGE (t:Tag {key: key})
ON CREATE SET t.family = 'INTEREST', t.name_zh = key, t.name_en = key
"""
PUT_ABOUT = "MATCH (c:Community {id: $community_id}), (t:Tag {key: $tag}) MERGE (c)-[:ABOUT]->(t)"
PUT_TAGGED = """
MATCH (c:Customer {id: $customer_id}), (t:Tag {key: $tag})
MERGE (c)-[g:TAGGED]->(t)
SET g.confidence = $confidence, g.until = $until
"""
PUT_KNOWS = """
UNWIND $pairs AS pair
MATCH (a:Customer {id: pair[0]}), (b:Customer {id: pair[1]})
MERGE (a)-[:KNOWS]->(b)
"""
PUT_REFERRED = """
UNWIND $pairs AS pair
MATCH (a:Customer {id: pair[0]}), (b:Customer {id: pair[1]})
MERGE (a)-[r:REFERRED {key: 'test:' + pair[1]}]->(b)
SET r.settled = true
"""


async def add_about(graph: GraphClient, community_id: str, tag: str) -> None:
    await graph.write(PUT_TAGS, keys=[tag])
    await graph.write(PUT_ABOUT, community_id=community_id, tag=tag)


async def add_tag(
    graph: GraphClient, customer_id: str, tag: str, *, confidence: float | None = None, until: str | None = None
) -> None:
    await graph.write(PUT_TAGS, keys=[tag])
    await graph.write(PUT_TAGGED, customer_id=customer_id, tag=tag, confidence=confidence, until=until)


async def acquaint(graph: GraphClient, customer_id: str, others: Iterable[str]) -> None:
    await graph.write(PUT_KNOWS, pairs=[[customer_id, other] for other in others])


async def refer(graph: GraphClient, customer_id: str, others: Iterable[str]) -> None:
    await graph.write(PUT_REFERRED, pairs=[[customer_id, other] for other in others])


LISTS = """
MATCH (l:RecommendationList)
WHERE l.customer_id >= $first AND l.customer_id <= $last
RETURN l.customer_id AS customer_id, l.community_ids AS community_ids, l.scores AS scores, l.reasons AS reasons,
       l.run_id AS run_id
ORDER BY customer_id
"""


async def stored_lists(graph: GraphClient, customers: list[str]) -> dict[str, Row]:
    """The stored lists of customers who were made together; fails where one has two."""
    rows = await graph.read(LISTS, first=min(customers), last=max(customers))
    lists = {row.pop("customer_id"): row for row in rows}
    assert len(lists) == len(rows)
    return lists


async def read_all(graph: GraphClient, customer_id: str, *, tag: str | None = None, size: int = 100) -> list[Row]:
    """Everything that is recommended, page by page."""
    rows: list[Row] = []
    more, cursor = True, None
    while more:
        page = await recommended_communities(graph, customer_id, tag=tag, first=size, after=cursor)
        assert len(page.rows) == size or not page.has_next
        rows += page.rows
        more, cursor = page.has_next, page.cursors[-1] if page.cursors else None
    return rows


async def ids_of(graph: GraphClient, customer_id: str, **asked: Any) -> list[str]:
    return [row["community_id"] for row in await read_all(graph, customer_id, **asked)]
