"""`python -m bench.hostile_documents`: how long documents take that are written to take long.

Each kind grows from n over 2n and 4n to 8n, and the time may about double each time. Then the worst document of each
kind that the limit of bodies lets in: most are refused at once, and what none of our limits refuses is the last column.
"""

import time
from collections.abc import Callable, Mapping
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from api.documents import Documents
from api.schema import build_schema
from core.settings import Settings

Make = Callable[[int], str]
ROUNDS = 3
# What takes longer than this for one document keeps everybody else waiting.
LONGEST_SECONDS = 0.25

SCHEMA = build_schema().core


def spreading(count: int, spreads: Callable[[int], str], inner: str = "__typename") -> str:
    """A document of so many fragments, each with what `spreads` says of its number."""
    fragments = (f"fragment f{number} on Query {{ {inner} {spreads(number)} }}" for number in range(count))
    return "{ ...f0 } " + " ".join(fragments)


def following(number: int, count: int) -> str:
    return f"...f{number + 1}" if number + 1 < count else ""


def nested(count: int, opening: str, inside: str) -> str:
    return "{ " + opening * count + inside + " }" * count + " }"


KINDS: Mapping[str, Make] = {
    "tokens": lambda n: "{ " + "viewer " * n + "}",
    "comments": lambda n: "{ __typename }" + " # nothing\n" * n,
    "a long name": lambda n: "{ " + "a" * n + " }",
    "a long text": lambda n: '{ community(id: "' + "x" * n + '") { id } }',
    "lines of a block text": lambda n: '{ community(id: """' + "  x\n" * n + '""") { id } }',
    "a long number": lambda n: "{ communities(first: " + "9" * n + ") { edges { cursor } } }",
    "depth": lambda n: nested(n, "viewer { ", "__typename"),
    "inline fragments within each other": lambda n: nested(n, "... { ", "__typename"),
    "fields within inline fragments": lambda n: nested(n, "... { ", "__typename " * n),
    "brackets within each other": lambda n: "{ f(a: " + "[" * n + "]" * n + ") }",
    "objects within each other": lambda n: "{ f(a: " + "{a: " * n + "1" + "}" * n + ") }",
    "aliases": lambda n: "{ " + " ".join(f"a{number}: __typename" for number in range(n)) + " }",
    "fields of one name": lambda n: "{ " + "viewer { points { available } } " * n + "}",
    "fields that are not there": lambda n: "{ " + " ".join(f"communitie{number}" for number in range(n)) + " }",
    "directives of one field": lambda n: "{ __typename " + "@include(if: true) " * n + "}",
    "directives of many fields": lambda n: "{ " + "__typename @skip(if: false) " * n + "}",
    "introspection": lambda n: "{ __schema { types " + "{ fields { type " * n + "{ name }" + " } }" * n + " } }",
    "fragments that double": lambda n: spreading(n, lambda i: 2 * following(i, n), inner="" if n > 1 else "id"),
    "fragments in a row": lambda n: spreading(n, lambda i: following(i, n)),
    "fragments that spread all later ones": lambda n: spreading(
        n, lambda i: " ".join(f"...f{later}" for later in range(i + 1, n))
    ),
    "fragments beside each other": lambda n: (
        "{ " + " ".join(f"...f{number}" for number in range(n)) + " } " + spreading(n, lambda _: "").split("} ", 1)[1]
    ),
    "one fragment spread often": lambda n: "{ " + "...F " * n + "} fragment F on Query { __typename }",
    "fragments in a circle": lambda n: spreading(n, lambda i: f"...f{(i + 1) % n}"),
    "fragments that are not there": lambda n: "{ " + " ".join(f"...f{number}" for number in range(n)) + " }",
    "operations": lambda n: " ".join(f"query q{number} {{ __typename }}" for number in range(n)),
    "operations of one large fragment": lambda n: (
        " ".join(f"query q{number} {{ ...F }}" for number in range(n))
        + " fragment F on Query { "
        + "__typename @skip(if: $v) " * min(n, 100)
        + "viewer { subject } " * min(n, 50)
        + "}"
    ),
    "operations with the variables of one fragment": lambda n: (
        " ".join(f"query q{number}($v: Boolean!) {{ ...F }}" for number in range(n))
        + " fragment F on Query { "
        + " ".join(f"a{number}: __typename @skip(if: $v)" for number in range(min(n, 100)))
        + " }"
    ),
    "fragments of different fields in a row": lambda n: (
        "{ ...f0 } " + " ".join(f"fragment f{i} on Query {{ a{i}: __typename {following(i, n)} }}" for i in range(n))
    ),
    "variables": lambda n: (
        "query(" + " ".join(f"$v{number}: ID" for number in range(n)) + ") { community(id: $v0) { id } }"
    ),
    "one variable used often": lambda n: "query($v: Boolean!) { " + "__typename @skip(if: $v) " * n + "}",
    "arguments of one field": lambda n: (
        "{ community(" + " ".join(f"a{number}: 1" for number in range(n)) + ") { id } }"
    ),
}


def seconds_for(text: str) -> float:
    """The least of some rounds, each with nothing kept from the one before."""
    found: list[float] = []
    for _ in range(ROUNDS):
        documents = Documents(SCHEMA, introspection=True)
        began = time.perf_counter()
        document = documents.ready(text)
        document.cost(next(iter(document.operations), None), {})
        found.append(time.perf_counter() - began)
    return min(found)


def is_within(text: str) -> bool:
    """Whether none of our limits refuses it, valid or not."""
    errors = Documents(SCHEMA, introspection=True).ready(text).errors
    return not errors or (
        (errors[0].extensions or {}).get("code") != "DOCUMENT_TOO_LARGE" and "tokens" not in str(errors[0])
    )


def largest(make: Make, fits: Callable[[str], bool]) -> int:
    """The largest size of this kind that fits, by halves."""
    low, high = 1, 2
    while fits(make(high)):
        low, high = high, 2 * high
        if high > 4_000_000:
            return low
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(make(middle)) else (low, middle)
    return low


def millis(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def measure(limit: int) -> tuple[Table, float]:
    """All kinds, and the longest time that any document of them takes."""
    table = Table(title=f"Hostile documents, up to {limit} bytes; milliseconds", title_justify="left")
    for column in ("kind", "8n", "ms of 8n", "each doubling", "body limit: n", "ms", "within our limits: n", "ms"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    worst = 0.0
    for name, make in KINDS.items():
        whole = largest(make, lambda text: len(text.encode()) <= limit)
        within = largest(make, lambda text: len(text.encode()) <= limit and is_within(text))
        size = max(1, within // 8)
        times = [seconds_for(make(size * factor)) for factor in (1, 2, 4, 8)]
        ratios = " ".join(f"{later / before:.1f}" for before, later in pairwise(times))
        last = [seconds_for(make(whole)), seconds_for(make(within))]
        worst = max(worst, *times, *last)
        cells = (str(8 * size), millis(times[-1]), ratios, str(whole), millis(last[0]), str(within), millis(last[1]))
        table.add_row(name, *cells, style="red" if max(*times, *last) > LONGEST_SECONDS else "")
    return table, worst


def main() -> None:
    limit: int = Settings.model_fields["max_body_bytes"].default
    table, worst = measure(limit)
    Console(width=150).print(table)
    Console().print(f"The worst of all takes {millis(worst)} ms.")


if __name__ == "__main__":
    main()
