"""A worker that dies at random transactions, for simulations in one process: what it kept stays, what it knew goes."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from core.db import Database, Session

# How often it dies at a transaction, before or after it is kept.
DEATHS = 0.03


class Killed(Exception):
    """A worker is no more."""


class Fragile(Database):
    """A database whose worker dies now and then, with what it has just written kept or not."""

    def __init__(self, url: str, chance: random.Random, **more: Any) -> None:
        super().__init__(url, timeout=60, **more)
        self.chance, self.deaths = chance, 0

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Session, None]:
        fate = self.chance.random()
        async with super().write() as session:
            yield session
            if fate < DEATHS:
                self.deaths += 1
                raise Killed
        if fate > 1 - DEATHS:
            self.deaths += 1
            raise Killed
