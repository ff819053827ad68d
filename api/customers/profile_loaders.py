"""Data loaders of what is private of customers: a page of them is asked for together, whoever may see how many."""

# Annotations of functions within functions would be made anew for each operation.
from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database, rows_by_id
from core.principal import Principal
from customers.access import Access, accesses_at_hand, accesses_of
from customers.personal import PersonalData, open_customers
from customers.profiles import Customer
from graph.client import GraphClient


class ProfileLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(
        self, database: Database, graph: GraphClient, principal: Callable[[], Awaitable[Principal]], now: datetime
    ) -> None:
        self._database = database
        self._graph = graph
        self._principal = principal
        self._now = now

    @made_once
    def access(self) -> DataLoader[str, Access | None]:
        """As what the one who asks sees each customer; each use of a broken glass is audited once for the operation."""

        async def load(ids: list[str]) -> list[Access | None]:
            principal = await self._principal()
            found, others = accesses_at_hand(principal, ids)
            if others:
                async with self._database.read() as session:
                    found = await accesses_of(self._graph, session, principal, ids, now=self._now)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def profiles(self) -> DataLoader[str, tuple[Customer, PersonalData] | None]:
        """The rows of customers with what is personal, opened; whether it may be seen is asked before."""

        async def load(ids: list[str]) -> list[tuple[Customer, PersonalData] | None]:
            async with self._database.read() as session:
                rows = await rows_by_id(session, Customer, ids)
                opened = await open_customers(session, list(rows.values()))
            return [(rows[key], opened[key]) if key in rows else None for key in ids]

        return DataLoader(load_fn=load)
