"""Pages of an index range, at a cost that does not grow with the range on either engine."""

from typing import Any, LiteralString

from graph.client import GraphClient, Row

EVERYTHING = 1_000_000_000


async def rows_in_order(
    graph: GraphClient, query: LiteralString, *, after: str, until: str, limit: int, **parameters: Any
) -> list[Row]:
    """The first `limit` rows by their column `place` between `after` and `until`, both exclusive.

    The query takes $after, $until and $limit, returns `place`, and has no ORDER BY: with one, the embedded engine
    reads the whole range before it sorts. Without one it happens to walk the index, which nothing promises; so any
    full page is only taken as a bound. The first rows cannot lie beyond it, and what lies before it is read again
    in full: exactly one page where the index was walked, and the right rows in any case.
    """
    rows = await graph.read(query, after=after, until=until, limit=limit, **parameters)
    if len(rows) == limit:
        # Nothing sorts between a text and the same text with this character after it.
        bound = max(row["place"] for row in rows) + "\u0001"
        rows = await graph.read(query, after=after, until=bound, limit=EVERYTHING, **parameters)
    return sorted(rows, key=lambda row: row["place"])[:limit]
