"""Reading PostgreSQL with neither transaction nor session, for what nearly every request asks.

A statement is compiled by SQLAlchemy once. Its parameters and rows go through asyncpg alone, on a few connections of
their own. What a statement reads is what was committed when it began, as it is in a transaction of ours too.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

import asyncpg
import structlog
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine import URL

from core.errors import Unavailable
from core.time_limits import within

log = structlog.get_logger(__name__)

Rows = Sequence[Any]
# A glance takes less than a millisecond, so that a few connections serve many requests.
MOST_CONNECTIONS = 4
# What SQLAlchemy takes from an address for itself.
NOT_ASYNCPGS = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback")
# The connection fell, or the server ends it or cannot take it now. That it was ended while nobody used it may reach
# asyncpg as an operation of its own, which it calls an error of the client.
LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    OSError,
)
DIALECT = asyncpg_dialect()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as asyncpg takes it."""

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    row: type[asyncpg.Record]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        return [parameters[name] if name in parameters else self.fixed[name] for name in self.names]


@lru_cache(maxsize=200)
def compiled(statement: Executable) -> Compiled:
    """The statement, which must be one of few that are built once."""
    made = cast(Any, statement).compile(dialect=DIALECT)
    columns = [column.name for column in cast(Any, statement).selected_columns]
    fixed = {name: value for name, value in made.params.items() if value is not None}
    return Compiled(made.string, tuple(made.positiontup or ()), fixed, row_of(columns))


def row_of(columns: Sequence[str]) -> type[asyncpg.Record]:
    """The class of rows of these columns, which asyncpg makes and whose values have attributes of their names."""
    values = {name: property(itemgetter(place)) for place, name in enumerate(columns)}
    return type("Row", (asyncpg.Record,), {"__slots__": (), **values})


class Glances:
    """A few connections for glances; one of these per `Database` on PostgreSQL.

    asyncpg's own pool would start a task for each time that a connection is given back.
    """

    def __init__(self, url: URL, *, timeout: float) -> None:
        _, options = DIALECT.create_connect_args(url)
        self._options = {name: value for name, value in options.items() if name not in NOT_ASYNCPGS}
        self._timeout = timeout
        self._free: list[asyncpg.Connection] = []
        self._turns = asyncio.Semaphore(MOST_CONNECTIONS)

    async def rows(self, statement: Executable, parameters: Mapping[str, Any]) -> Rows:
        """The rows of a reading statement; raises Unavailable."""
        asked = compiled(statement)
        values = asked.values(parameters)
        try:
            with within(self._timeout):
                async with self._turns:
                    return await self._asked(asked, values)
        except TimeoutError as error:
            raise Unavailable(detail="the database did not answer in time") from error
        except LOST as error:
            log.warning("database_unavailable", error=type(error).__name__)
            raise Unavailable(detail="the database did not answer") from error

    async def _asked(self, asked: Compiled, values: Sequence[Any]) -> Rows:
        try:
            return await self._fetched(asked, values)
        except TimeoutError:
            raise
        except LOST as error:
            # It only reads, so it may be asked again where the connection had fallen while nobody used it.
            log.info("glance_repeated", error=type(error).__name__)
            self._drop_free()
            return await self._fetched(asked, values)

    async def _fetched(self, asked: Compiled, values: Sequence[Any]) -> Rows:
        connection = self._free.pop() if self._free else await self._opened()
        try:
            found = await connection.fetch(asked.text, *values, record_class=asked.row)
        except BaseException:
            # Whatever is left of the answer is nobody's.
            connection.terminate()
            raise
        self._free.append(connection)
        return found

    async def _opened(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(**self._options)
        # Each glance is for what an index finds. While a table is small, or was small when it was last analysed,
        # PostgreSQL would rather read all of it, for each of a tree's people anew.
        try:
            await connection.execute("SET enable_seqscan = off")
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _drop_free(self) -> None:
        while self._free:
            self._free.pop().terminate()

    async def close(self) -> None:
        self._drop_free()
