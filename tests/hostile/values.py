"""Strategies for values that no decent client sends, and for documents that carry them."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument
from hypothesis import strategies as st

TEXTS = (
    "",
    " ",
    "\t\r\n",
    "x" * 10_001,
    "é" * 300,
    "e\u0301",
    "\u202e\u200b\ufeff",
    "\U0001f600" * 50,
    "\x01\x1f\x7f\x85",
    "\ufffe\uffff",
    "' OR 1=1 --",
    '"}) DETACH DELETE n //',
    "%_\\",
    "$where",
    "${7*7}{{7*7}}",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "2026-02-30",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.999999+14:00",
    "0001-01-01T00:00:00-14:00",
    "FREQ=SECONDLY;COUNT=100000000",
    "-0",
    "1e400",
    "NaN",
)
INTEGERS = (0, -1, 1, 100, 101, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1)
FLOATS = (0.0, -0.0, 1e308, -1e308, 5e-324, 0.1)

texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
leaves = st.none() | st.booleans() | texts | st.sampled_from(INTEGERS) | st.sampled_from(FLOATS) | st.integers()
things = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    found: Any = "in"
    for _ in range(levels):
        found = [found]
    return found


hostile = things | st.sampled_from([20, 100]).map(deep)


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value."""
    found = [at] if at else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths_of(inner, (*at, key))
    return found


def replaced(value: Any, at: Sequence[Any], new: Any) -> Any:
    """The value with something else at a place."""
    if not at:
        return new
    head, *rest = at
    if isinstance(value, dict):
        return {**value, head: replaced(value[head], rest, new)}
    return [replaced(one, rest, new) if number == head else one for number, one in enumerate(value)]


@st.composite
def spoiled(draw: st.DrawFn, variables: Mapping[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    """Good variables with something hostile in one to three places, or another's id, or one that is bent."""
    found = dict(variables)
    for _ in range(draw(st.integers(1, 3))):
        places = paths_of(found)
        if not places:
            break
        found = replaced(found, draw(st.sampled_from(places)), draw(hostile | st.sampled_from(ids) | bent(ids)))
    return found


@st.composite
def bent(draw: st.DrawFn, real: Sequence[str]) -> str:
    """A real id or cursor with some letters changed, lost, doubled or added."""
    text = list(draw(st.sampled_from(real)))
    letters = st.sampled_from(string.ascii_letters + string.digits + "-_=+/. é\U0001f600")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        text[place : place + draw(st.integers(0, 2))] = draw(st.lists(letters, max_size=2))
    return "".join(text)


def selection_of(kind: Any, levels: int = 2) -> str:
    """Everything that costs no argument, some levels down, so that whatever leaks is seen."""
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    parts = ["__typename"]
    if isinstance(named, GraphQLObjectType) and levels:
        for name, field in named.fields.items():
            if any(is_required_argument(argument) for argument in field.args.values()):
                continue
            many = isinstance(field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type, GraphQLList)
            inner = selection_of(field.type, levels - (0 if name in ("edges", "node") else 1))
            if is_leaf_type(get_named_type(field.type)) or (levels > 1 and not (many and name != "edges")):
                parts.append(f"{name} {inner}")
    elif levels and hasattr(named, "fields"):
        parts += [name for name, field in named.fields.items() if is_leaf_type(get_named_type(field.type))]
    return "{ " + " ".join(parts) + " }"
