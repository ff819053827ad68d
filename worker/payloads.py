"""How effects of one topic are settled many at a time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from core.db import Session
from graph.client import GraphClient

Payloads = Sequence[dict[str, Any]]
ManyHandler = Callable[[Session, GraphClient, Payloads, datetime], Awaitable[None]]
