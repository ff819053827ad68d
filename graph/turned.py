"""Lists of one text property that are read from their end: the same text with its order turned round."""

from functools import cache
from typing import LiteralString, cast


@cache
def turned(query: LiteralString) -> LiteralString:
    """The text for the rows before `$after`, the last of them first, from one for the rows behind it in their order.

    The list is ordered by one column only, wherever the text says so.
    """
    lines = [line + " DESC" if line.lstrip().startswith("ORDER BY ") else line for line in query.split("\n")]
    # Made of a constant and nothing else, although a type checker cannot follow it.
    return cast(LiteralString, "\n".join(lines).replace("> $after", "< $after"))
