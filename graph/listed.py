"""Ordered lists of relationships, read page by page on both engines.

The embedded engine takes no range from an index of relationships, but it does from an index of nodes. So beside each
relationship that stands in lists there is a node `(:Listed)` with its key, its customer, and its place in each list:
a text `{list}:{sort key}`, as posts have. Whoever changes the one changes the other in the same transaction.

Several ranges are read by one statement that is a UNION of plain ones: a range inside a subquery it would not find.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, LiteralString, cast

from core.batches import in_batches
from graph.client import GraphClient, Row

# So many ranges are read by one statement.
MOST_RANGES = 32

# Each row has the relationship's `key` and what is `listed` of it: places that are null are taken away.
PUT_LISTED: LiteralString = """
UNWIND $rows AS row
MERGE (x:Listed {key: row.key})
SET x += row.listed
"""

DROP_LISTED: LiteralString = """
UNWIND $keys AS key
MATCH (x:Listed {key: key})
DELETE x
"""


def listed_by(name: LiteralString, columns: LiteralString = "", *, back: bool = False) -> LiteralString:
    """The text that reads a range of the places of this name in their order, or with `back` from its end."""
    direction: LiteralString = " DESC" if back else ""
    place: LiteralString = "x." + name
    condition: LiteralString = "WHERE " + place + " > $low AND " + place + " < $high"
    answer: LiteralString = "RETURN x.key AS key, x.customer_id AS customer_id, " + place + " AS place" + columns
    return "MATCH (x:Listed) " + condition + " " + answer + " ORDER BY place" + direction + " LIMIT $limit"


def span(name: str, after: str = "", *, back: bool = False) -> Row:
    """The open range of a list behind a place, or before it, given without the list; `;` is the character after `:`."""
    if back:
        return {"low": f"{name}:", "high": f"{name}:{after}" if after else f"{name};"}
    return {"low": f"{name}:{after}", "high": f"{name};"}


async def read_spans(graph: GraphClient, query: LiteralString, spans: Sequence[Row], **parameters: Any) -> list[Row]:
    """What the query finds in each of these ranges, one after the other; $limit holds for each of them."""
    found: list[Row] = []
    for part in in_batches(spans, MOST_RANGES):
        bounds = {f"{name}_{n}": text for n, bound in enumerate(part) for name, text in bound.items()}
        found += await graph.read(united(query, len(part)), **bounds, **parameters)
    return found


@cache
def united(query: LiteralString, count: int) -> LiteralString:
    """The same query so many times, each with bounds of its own."""
    texts = [re.sub(r"\$(low|high)\b", rf"$\1_{n}", query) for n in range(count)]
    # Made of constants and small numbers only, although a type checker cannot follow it.
    return cast(LiteralString, "\nUNION ALL\n".join(texts))
