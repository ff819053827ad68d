"""Pages of one parent or of many by one ordered text property, at a cost that does not grow with the parent.

The property is `{parent}:{sort key}:{id}` and indexed. Neo4j reads a range in the index's order anywhere. The embedded
engine does so only in a plain statement with bounds known beforehand, and where the property's type is declared (see
migrations/graph/0004_posts.cypher); inside a subquery it looks by equality, so that there it reads one whole parent.
Hence one text for one parent, which is what nearly every request asks for, and another for several at once; and each
of them once more for a list that is read from its end, which is the same range with its order turned round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from graph.client import GraphClient, Row


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """The texts as the list goes and as it goes back; each row has `parent`, `place` (the property) and the others."""

    one: LiteralString
    many: LiteralString
    one_back: LiteralString
    many_back: LiteralString
    newest_first: bool


def range_query(
    label: LiteralString,
    columns: LiteralString,
    *,
    parent: LiteralString,
    order: LiteralString = "order",
    newest_first: bool = False,
) -> RangeQuery:
    """The texts for nodes `x` of the label, whose property `parent` names what they belong to."""
    rising, falling = (texts(label, columns, parent, order, way) for way in ("", " DESC"))
    there, back = (falling, rising) if newest_first else (rising, falling)
    return RangeQuery(*there, *back, newest_first)


def texts(
    label: LiteralString,
    columns: LiteralString,
    parent: LiteralString,
    order: LiteralString,
    direction: LiteralString,
) -> tuple[LiteralString, LiteralString]:
    """The text for one parent and the one for many, in one direction."""
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
    return one, many


async def read_ranges(
    graph: GraphClient,
    query: RangeQuery,
    parents: Sequence[str],
    *,
    after: str | None,
    back: bool = False,
    limit: int,
    **parameters: Any,
) -> list[Row]:
    """Up to `limit` rows of each parent in the order of reading, which is the list's or with `back` the other one.

    `after` is a place less its parent, where the page before ended.
    """
    rows = [{"parent": name, **bounds(name, after, falling=query.newest_first is not back)} for name in parents]
    if len(rows) == 1:
        low, high = rows[0]["low"], rows[0]["high"]
        one = query.one_back if back else query.one
        return await graph.read(one, low=low, high=high, limit=limit, **parameters)
    return await graph.read(query.many_back if back else query.many, rows=rows, limit=limit, **parameters)


def bounds(parent: str, after: str | None, *, falling: bool) -> dict[str, str]:
    """The open range that is left of a parent; `;` is the character after `:`, so `{parent};` ends it."""
    low, high = f"{parent}:", f"{parent};"
    if after is None:
        return {"low": low, "high": high}
    return {"low": low, "high": low + after} if falling else {"low": low + after, "high": high}
