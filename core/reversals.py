"""How a fact is taken back: by another fact of its customer, of a kind that some rule declares."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

# Where a reversal says which fact it takes back: the key that its source gave that fact.
REVERSES = "reverses"


class FactLike(Protocol):
    """What rules read of a fact."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


def names(reversal: FactLike, fact: FactLike) -> bool:
    """Whether the reversal names this very fact of its source."""
    return reversal.source == fact.source and reversal.payload.get(REVERSES) == fact.key


def is_about(reversal: FactLike, fact: FactLike) -> bool:
    """Whether a reversal takes back this fact: one that names a fact is about that one, any other about all."""
    return REVERSES not in reversal.payload or names(reversal, fact)
