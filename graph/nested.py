"""A reading by ids as a part of another statement, so that what is shown of a thing is written down once."""

from typing import LiteralString, cast

BEGINNING = "\nUNWIND $ids AS id\n"
OPENING, CLOSING = "([{", ")]}"


def nested(reading: LiteralString, key: LiteralString) -> LiteralString:
    """An expression for the row that `reading` finds for the variable `key`, as a map; null where it finds none.

    The reading begins with UNWIND $ids AS id and ends with its RETURN, each of whose columns has a name.
    """
    head, _, columns = reading.rpartition("\nRETURN ")
    if not head.startswith(BEGINNING):
        raise ValueError("a reading by ids is expected")
    pairs = [column.rpartition(" AS ") for column in split_columns(columns)]
    fields = ", ".join(f"{name.strip()}: {expression.strip()}" for expression, _, name in pairs)
    body = head.removeprefix(BEGINNING)
    # Made of constants only, although a type checker cannot follow it.
    return cast(LiteralString, f"COLLECT {{\nUNWIND [{key}] AS id\n{body}\nRETURN {{{fields}}} }}[0]")


def split_columns(text: str) -> list[str]:
    """The columns of a RETURN: cut at the commas that stand in no bracket."""
    found, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        if character == "," and depth == 0:
            found.append(text[start:place])
            start = place + 1
    return [*found, text[start:]]
