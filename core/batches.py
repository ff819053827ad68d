"""Sequences in parts, for whoever may not take all of one at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in their order, `size` at a time; the last batch may have fewer."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
