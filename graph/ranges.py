"""Pages of one parent or of many by one ordered text property, at a cost that does not grow with the parent.

The property is `{parent}:{sort key}:{id}` and indexed. Neo4j reads a range in the index's order anywhere. The embedded
engine does so only in a plain statement with bounds known beforehand, and where the property's type is declared (see
migrations/graph/0004_posts.cypher); inside a subquery it looks by equality, so that there it reads one whole parent.
Hence one text for one parent, which is what nearly every request asks for, and another for several at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from graph.client import GraphClient, Row


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """The two texts; each row has the column `parent`, `place` (the property) and those asked for."""

    one: LiteralString
    many: LiteralString


def range_query(
    label: LiteralString,
    columns: LiteralString,
    *,
    parent: LiteralString,
    order: LiteralString = "order",
    newest_first: bool = False,
) -> RangeQuery:
    """Both texts for nodes `x` of the label, whose property `parent` names what they belong to."""
    direction: LiteralString = " DESC" if newest_first else ""
    answer: LiteralString = "RETURN x." + parent + " AS parent, x." + order + " AS place, " + columns
    ending: LiteralString = " ORDER BY place" + direction + " LIMIT $limit"
    one: LiteralString = (
        "MATCH (x:" + label + ") WHERE x." + order + " > $low AND x." + order + " < $high " + answer + ending
    )
    inner: LiteralString = (
        "MATCH (x:"
        + label
        + " {"
        + parent
        + ": row.parent}) WHERE x."
        + order
        + " > row.low AND x."
        + order
        + " < row.high RETURN x ORDER BY x."
        + order
        + direction
        + " LIMIT $limit"
    )
    many: LiteralString = "UNWIND $rows AS row CALL (row) { " + inner + " } " + answer + " ORDER BY place" + direction
    return RangeQuery(one, many)


async def read_ranges(
    graph: GraphClient,
    query: RangeQuery,
    parents: Sequence[str],
    *,
    after: str | None,
    newest_first: bool = False,
    limit: int,
    **parameters: Any,
) -> list[Row]:
    """Up to `limit` rows of each parent, in order; `after` is a place less its parent, where the page before ended."""
    rows = [{"parent": name, **bounds(name, after, newest_first)} for name in parents]
    if len(rows) == 1:
        low, high = rows[0]["low"], rows[0]["high"]
        return await graph.read(query.one, low=low, high=high, limit=limit, **parameters)
    return await graph.read(query.many, rows=rows, limit=limit, **parameters)


def bounds(parent: str, after: str | None, newest_first: bool) -> dict[str, str]:
    """The open range that is left of a parent; `;` is the character after `:`, so `{parent};` ends it."""
    low, high = f"{parent}:", f"{parent};"
    if after is None:
        return {"low": low, "high": high}
    return {"low": low, "high": low + after} if newest_first else {"low": low + after, "high": high}
