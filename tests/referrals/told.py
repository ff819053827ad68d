"""A fact, as far as qualification reads it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Told:
    """A fact of one source; its id serves as its key where a test gives none."""

    id: str
    kind: str
    occurred_at: datetime
    source: str = "test"
    key: str = ""
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
