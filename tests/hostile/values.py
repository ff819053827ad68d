"""Strategies for values that no decent client sends."""

from typing import Any

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
