"""What workers work on, and one owed effect as its handler sees it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.db import Database, Session
from graph.client import GraphClient
from service.message_outlets import Outlets


async def nobody_listens(_: str, __: dict[str, Any]) -> None:
    """Tell nobody: for whoever sweeps without a Redis."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What the worker works on, and how it tells live listeners of a change."""

    database: Database
    graph: GraphClient
    publish: Callable[[str, dict[str, Any]], Awaitable[None]] = nobody_listens
    outlets: Outlets = field(default_factory=Outlets)


@dataclass(frozen=True, slots=True)
class Work:
    """One owed effect in the SQL transaction that settles it; what is `told` goes out after the commit."""

    session: Session
    graph: GraphClient
    key: str
    payload: dict[str, Any]
    now: datetime
    outlets: Outlets = field(default_factory=Outlets)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])


Handler = Callable[[Work], Awaitable[None]]
