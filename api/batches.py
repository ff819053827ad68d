"""Loaders made of functions that read for many at once."""

# Annotations of functions within functions would be made anew for each operation.
from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from api.loading import DataLoader
from core.db import Database, Record, Session, rows_by_id
from graph.client import Row

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R", bound=Record)


def by_key(load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    """A loader over a function that returns what it found by key."""

    async def load_all(keys: list[K]) -> list[V | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load_all)


def grouped(load: Callable[[Sequence[str]], Awaitable[list[Row]]], key: str) -> DataLoader[str, list[Row]]:
    """A loader over a function that returns rows of several keys in one list."""

    async def load_all(keys: list[str]) -> list[list[Row]]:
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in await load(keys):
            groups[row[key]].append(row)
        return [groups[name] for name in keys]

    return DataLoader(load_fn=load_all)


def rows_of(database: Database, model: type[R]) -> Callable[[Sequence[str]], Awaitable[Mapping[str, R]]]:
    """What reads records of SQL by their ids."""

    async def load(ids: Sequence[str]) -> Mapping[str, R]:
        async with database.read() as session:
            return await rows_by_id(session, model, ids)

    return load


def lists_of(
    database: Database,
    read: Callable[[Session, Sequence[str]], Awaitable[Sequence[R]]],
    key: Callable[[R], str | None],
) -> DataLoader[str, list[R]]:
    """A loader of the records of SQL that belong to each of several things, in the order in which they are read."""

    async def load(ids: list[str]) -> list[list[R]]:
        async with database.read() as session:
            rows = await read(session, ids)
        groups: dict[str | None, list[R]] = defaultdict(list)
        for row in rows:
            groups[key(row)].append(row)
        return [groups[name] for name in ids]

    return DataLoader(load_fn=load)
