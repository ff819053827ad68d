"""Who raises a loyalty storm, and what an operation is: a list that is open, one line for each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from core.db import Database
from core.facts import NewFact
from loyalty.clawback import Demand
from loyalty.transfers import Gift


@dataclass(slots=True)
class Charge:
    """The points of a seat, charged or not."""

    event_id: str
    customer_id: str
    sequence: int
    points: int


@dataclass(slots=True)
class Client:
    """One who works on the stores, and what it has made so far."""

    database: Database
    random: Random
    customers: list[str]
    rewards: list[str]
    partners: list[str]
    # The days that were begun, which all clients count together.
    days: list[int]
    facts: list[NewFact] = field(default_factory=list[NewFact])
    charges: list[Charge] = field(default_factory=list[Charge])
    wishes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    gifts: list[Demand] = field(default_factory=list[Demand])
    transfers: list[Gift] = field(default_factory=list[Gift])
    waiting: list[str] = field(default_factory=list[str])
    reservations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def customer(self) -> str:
        return self.random.choice(self.customers)


Run = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation and how often it is chosen beside the others."""

    name: str
    run: Run
    weight: int
