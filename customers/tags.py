"""Tags on customers and what they are about, in four families and interests."""

from collections.abc import Sequence

from core.paging import Page, Place
from graph.client import GraphClient, Row
from graph.turned import page_by_text
from segments.tagging import TagFamily

__all__ = ["TagFamily", "list_tags", "tags_of_customers"]


TAGS = """
MATCH (t:Tag)
WHERE t.family = $family AND t.key > $after
RETURN t.key AS key, t.name_zh AS name_zh, t.name_en AS name_en, t.family AS family
ORDER BY key
LIMIT $limit
"""


async def list_tags(graph: GraphClient, family: TagFamily, *, first: int | None, after: Place) -> Page[Row]:
    """The tags of a family by their keys."""
    return await page_by_text(graph, TAGS, "key", first=first, place=after, family=family)


TAGS_OF_CUSTOMERS = """
UNWIND $ids AS id
MATCH (:Customer {id: id})-[r:TAGGED]->(t:Tag)
WHERE r.until IS NULL OR r.until > $now
RETURN id AS customer_id, t.key AS key, t.name_zh AS name_zh, t.name_en AS name_en, t.family AS family,
       r.source AS source, r.confidence AS confidence, r.since AS since, r.until AS until
ORDER BY customer_id, r.confidence DESC, key
"""


async def tags_of_customers(graph: GraphClient, ids: Sequence[str], *, now: str) -> list[Row]:
    """The tags that hold at `now` (ISO 8601, UTC), the surest first."""
    return await graph.read(TAGS_OF_CUSTOMERS, ids=list(ids), now=now)
