"""Lists of one text property: read page by page, from their end by the same text with its order turned round."""

from functools import cache
from typing import Any, LiteralString, cast

from core.paging import Page, Place, cut, goes_back, page_size, text_at
from graph.client import GraphClient, Row


@cache
def turned(query: LiteralString) -> LiteralString:
    """The text for the rows before `$after`, the last of them first, from one for the rows behind it in their order.

    The list is ordered by one column only, wherever the text says so.
    """
    lines = [line + " DESC" if line.lstrip().startswith("ORDER BY ") else line for line in query.split("\n")]
    # Made of a constant and nothing else, although a type checker cannot follow it.
    return cast(LiteralString, "\n".join(lines).replace("> $after", "< $after"))


async def page_by_text(
    graph: GraphClient, query: LiteralString, key: str, *, first: int | None, place: Place, **parameters: Any
) -> Page[Row]:
    """A page of the list that the query reads behind $after, up to $limit, in the order of its column `key`."""
    size = page_size(first)
    chosen = turned(query) if goes_back(place) else query
    rows = await graph.read(chosen, after=text_at(place), limit=size + 1, **parameters)
    return cut(rows, size, lambda row: (row[key],), place)
