"""The one way to the graph: queries with parameters, quick retries, time-outs, counted round trips."""

import asyncio
import random
import time
import weakref
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, LiteralString, Self, TypeVar

import neo4j
from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    ConstraintError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from core.errors import BadUserInput, Unavailable
from core.settings import Settings
from core.time_limits import within
from graph.driver_waits import spare_tasks
from graph.glances import Glances
from graph.together import MOMENT, Columns, Together

spare_tasks()

Row = dict[str, Any]
Result = TypeVar("Result")

# Two writers on one node meet again within microseconds, so the first waits are short; they grow
# fast enough that two hundred writers on one event do not keep the engine busy with conflicts.
FIRST_WAIT_SECONDS = 0.004
LONGEST_WAIT_SECONDS = 0.25
GONE = "Neo.ClientError.Statement.EntityNotFound"


# How the embedded engine begins the names of what it keeps among properties for itself.
ENGINES_OWN = "@"


def own_properties(said: Row) -> Row:
    """The properties of a node or relationship, without what the engine keeps among them."""
    return {name: value for name, value in said.items() if not name.startswith(ENGINES_OWN)}


class Transaction:
    """Statements that take effect together; handed to the function given to `GraphClient.transact`."""

    def __init__(self, inner: neo4j.AsyncTransaction, client: "GraphClient") -> None:
        self._inner = inner
        self._client = client

    async def run(self, query: LiteralString, **parameters: Any) -> list[Row]:
        """Run one statement and return its rows."""
        self._client.round_trips += 1
        self._client.statements += 1
        result = await self._inner.run(query, parameters)
        return [dict(record) async for record in result]


class GraphClient:
    """A pool of Bolt connections; safe to share between tasks, one per process."""

    def __init__(
        self,
        uri: str,
        *,
        user: str,
        password: str,
        database: str | None = None,
        pool_size: int = 50,
        timeout: float = 10.0,
    ) -> None:
        # What went over the wire, and what was asked for: statements of one moment go together.
        self.round_trips = 0
        self.statements = 0
        self.retries = 0
        self._together = Together(self._read_together)
        self._embedded: bool | None = None
        self._database = database
        self._timeout = timeout
        self._sessions: defaultdict[str, list[neo4j.AsyncSession]] = defaultdict(list)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._driver = neo4j.AsyncGraphDatabase.driver(
            uri,
            auth=(user, password) if password else None,
            max_connection_pool_size=pool_size,
            connection_acquisition_timeout=timeout,
            connection_timeout=min(timeout, 5.0),
            # Embedded and community servers have nothing to notify that a query constant could mend at run time.
            notifications_min_severity="OFF",
        )

        self._glances = Glances(self._driver, database=database, most=pool_size)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A client as the settings say; NEO4J_URI must be set by now (the supervisor does it)."""
        if settings.neo4j_uri is None:
            raise Unavailable(detail="NEO4J_URI is not set: start the system with make run")
        return cls(
            settings.neo4j_uri,
            user=settings.neo4j_user,
            password=settings.neo4j_password.get_secret_value(),
            database=settings.neo4j_database,
            pool_size=settings.neo4j_pool_size,
            timeout=settings.operation_timeout_seconds,
        )

    async def close(self) -> None:
        await self._glances.close()
        for free in self._sessions.values():
            while free:
                await free.pop().close()
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def is_embedded(self) -> bool:
        """Whether the engine behind is the embedded one; both speak as Neo4j, and it names itself in brackets."""
        if self._embedded is None:
            try:
                self._embedded = "ArcadeDB" in (await self._driver.get_server_info()).agent
            except (DriverError, Neo4jError) as error:
                raise Unavailable(detail="the graph did not answer") from error
        return self._embedded

    async def read(self, query: LiteralString, *, timeout: float | None = None, **parameters: Any) -> list[Row]:
        """Run one reading statement and return its rows; raises Unavailable when time runs out.

        Within an operation Neo4j is asked for it together with what else the operation asks for at this moment.
        """
        self.statements += 1
        moment = MOMENT.get()
        # A task that an operation began and that outlives it reads by itself.
        is_together = moment is not None and not moment.is_over and timeout is None
        if moment is not None and is_together and not await self.is_embedded():
            return await self._together.read(moment, query, parameters)
        return (await self._run(neo4j.READ_ACCESS, query, parameters, timeout))[1]

    async def _read_together(self, query: LiteralString, parameters: Row) -> tuple[Columns, list[Row]]:
        return await self._run(neo4j.READ_ACCESS, query, parameters, None)

    async def write(self, query: LiteralString, *, timeout: float | None = None, **parameters: Any) -> list[Row]:
        """Run one writing statement in a transaction of its own and return its rows.

        It may run more than once (a conflict, a lost answer), so it must be safe to repeat.
        """
        self.statements += 1
        return (await self._run(neo4j.WRITE_ACCESS, query, parameters, timeout))[1]

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        *,
        contended: str,
        timeout: float | None = None,
    ) -> Result:
        """Run `work` in one transaction, again from its start after a conflict; it must be safe to repeat.

        Writers of this process that name the same `contended` thing take turns, which spares the
        engine their conflicts. What keeps writers of other processes off is the engine alone.
        """
        turn = self._turns.setdefault(contended, asyncio.Lock())

        async def attempt() -> Result:
            async with self._driver.session(database=self._database, default_access_mode=neo4j.WRITE_ACCESS) as session:
                inner = await session.begin_transaction(timeout=timeout or self._timeout)
                async with inner:
                    result = await work(Transaction(inner, self))
                    await inner.commit()
                    return result

        try:
            async with asyncio.timeout(timeout or self._timeout):
                await turn.acquire()
        except TimeoutError as error:
            raise Unavailable(detail="too many writers wait for the same thing") from error
        try:
            return await self._retried(attempt, timeout)
        finally:
            turn.release()

    async def _run(
        self, access: str, query: LiteralString, parameters: dict[str, Any], timeout: float | None
    ) -> tuple[Columns, list[Row]]:
        """The columns and rows of one statement."""
        limit = timeout or self._timeout

        async def attempt() -> tuple[Columns, list[Row]]:
            self.round_trips += 1
            if access == neo4j.READ_ACCESS and self._glances.is_possible:
                return await self._glances.rows(query, parameters, limit)
            statement = neo4j.Query(query, timeout=limit)
            async with self._session(access) as session:
                result = await session.run(statement, parameters)
                return tuple(result.keys()), [dict(record) async for record in result]

        return await self._retried(attempt, timeout)

    @asynccontextmanager
    async def _session(self, access: str) -> AsyncGenerator[neo4j.AsyncSession, None]:
        """A session for one statement; it is used again unless something went wrong with it.

        Between statements it holds no connection. To make one costs a tenth of what a statement costs.
        """
        free = self._sessions[access]
        session = free.pop() if free else self._driver.session(database=self._database, default_access_mode=access)
        try:
            yield session
        except BaseException:
            await session.close()
            raise
        free.append(session)

    async def _retried(self, attempt: Callable[[], Awaitable[Result]], timeout: float | None) -> Result:
        limit = timeout or self._timeout
        deadline = time.monotonic() + limit
        wait = FIRST_WAIT_SECONDS
        try:
            with within(limit):
                while True:
                    try:
                        return await attempt()
                    except (Neo4jError, DriverError) as error:
                        if not is_worth_repeating(error):
                            raise
                        if time.monotonic() + wait > deadline:
                            raise Unavailable(detail="the graph is busy") from error
                    self.retries += 1
                    await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                    wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        except TimeoutError as error:
            raise Unavailable(detail="the graph did not answer in time") from error
        except (OverflowError, UnicodeEncodeError) as error:
            # Bolt carries neither lone surrogates nor integers past 63 bits; only a client can send them.
            raise BadUserInput(detail="a value cannot be stored") from error


def is_worth_repeating(error: Neo4jError | DriverError) -> bool:
    """Whether the same statement may succeed a moment later.

    A walk beside a writer can meet what the writer has just deleted: statements of ours name nothing by its record,
    so that repeated it walks past.

    On the embedded engine two `MERGE` of one key at once end with a constraint violation for one of
    them: repeated, it finds the node. A statement of ours never violates a constraint by itself.
    """
    if isinstance(error, AuthError | ConfigurationError):
        return False
    if isinstance(error, ConstraintError | ServiceUnavailable | SessionExpired):
        return True
    return error.is_retryable() or getattr(error, "code", None) == GONE
