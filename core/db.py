"""The SQL session: one transaction per request or job, on SQLite and PostgreSQL alike."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    CursorResult,
    DateTime,
    Dialect,
    Executable,
    String,
    Table,
    any_,
    bindparam,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import declared_attr
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import as_utc
from core.days import DEFAULT_ZONE
from core.errors import Unavailable
from core.glances import Glances, Rows
from core.sealing import KeyRing, PersonalDataLocked

Session = AsyncSession
Wake = Callable[[Sequence[str]], Awaitable[None]]
Act = Callable[[Session], Awaitable[None]]

log = structlog.get_logger(__name__)

# PostgreSQL's codes for a transaction that it ended for another's sake: a serialization failure and a deadlock.
GIVE_WAY = ("40001", "40P01")

# So many rows of an index are enough to know how many rows share a value.
SAMPLED_ROWS = 400
# Session.info keys: whether the transaction writes, and the outbox rows to hint at after its commit.
OWED = "owed"
# And the keys by which personal data is opened, the bank's time zone, and what is to be done once the transaction has
# ended.
KEYS = "keys"
ZONE = "zone"
AFTERWARDS = "afterwards"
WRITES = {"kinship_writes": True}
# When a connection was used last (monotonic), and for how long after that it is believed to stand.
USED = "used"
STEADY_SECONDS = 1.0


class Instant(TypeDecorator[datetime]):
    """An instant in UTC; SQLite forgets the zone, so it is put back when a row is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else as_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else as_utc(value)


class Database:
    """A pool of connections to one SQL database; safe to share between tasks, one per process."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        timeout: float = 10.0,
        wake: Wake | None = None,
        keys: KeyRing | None = None,
        zone: str = DEFAULT_ZONE,
    ) -> None:
        self.url = url
        self.keys = keys
        self.zone = zone
        self.wake = wake
        self.statements = 0
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        # An error names the statement and never its parameters: among them are codes that only their owners may see.
        if self.is_sqlite:
            self.engine = create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=timeout,
                hide_parameters=True,
                connect_args={"timeout": timeout},
            )
            event.listen(self.engine.sync_engine, "connect", prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", begin_sqlite)
        else:
            self.engine = create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=timeout,
                hide_parameters=True,
                connect_args={"command_timeout": timeout, "timeout": timeout},
            )
            event.listen(self.engine.sync_engine, "checkin", note_use)
            event.listen(self.engine.sync_engine, "checkout", self._ping_if_idle)
        self._glances = None if self.is_sqlite else Glances(self.engine.url, timeout=timeout)
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._count)
        event.listen(self.engine.sync_engine, "handle_error", forget_details)
        # SQLite has one writer. Waiting for it here is fair and cheap; inside SQLite it is polling.
        self._writer = asyncio.Lock() if self.is_sqlite else None

    def _count(self, _: object, __: object, statement: str, *___: object) -> None:
        # On SQLite we begin transactions ourselves, which PostgreSQL's driver does unseen.
        if not statement.startswith("BEGIN"):
            self.statements += 1

    def _ping_if_idle(self, connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        """Find out whether a connection still stands that nobody has used for a moment; one that fell is made anew.

        SQLAlchemy's own `pool_pre_ping` asks each time, by three messages, which costs more than most statements do.
        Who meets a connection that fell within that moment is told that the store was away, and may ask again.
        """
        if time.monotonic() - record.info.get(USED, float("inf")) < STEADY_SECONDS:
            return
        try:
            connection.ping()
        except cast(Any, self.engine.dialect).loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    async def close(self) -> None:
        if self._glances is not None:
            await self._glances.close()
        await self.engine.dispose()

    async def learn_sizes(self) -> None:
        """Let SQLite sample its tables, by which it chooses among indexes; PostgreSQL does so by itself.

        Without it SQLite walks a trait's values for each customer, where one row is all that the customer has.
        """
        if self.is_sqlite:
            async with self.write() as session:
                connection = await session.connection()
                await connection.exec_driver_sql(f"PRAGMA analysis_limit={SAMPLED_ROWS}")
                await connection.exec_driver_sql("ANALYZE")

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Session, None]:
        """A session for reading; nothing it changes is kept."""
        acts: list[Act] = []
        try:
            async with outages_named(), AsyncSession(self.engine, expire_on_commit=False) as session:
                session.info.update({KEYS: self.keys, ZONE: self.zone, AFTERWARDS: acts})
                yield session
        finally:
            await self._do(acts)

    async def glance(self, statement: Executable, **parameters: Any) -> Rows:
        """The rows of one reading statement that needs no transaction; the statement is one of few that are built once.

        It sees what is committed when it begins, as it does in `read` too.
        """
        if self._glances is not None:
            self.statements += 1
            return await self._glances.rows(statement, parameters)
        async with self.read() as session:
            return (await session.exec(cast(Any, statement), params=parameters)).all()

    async def rows_at_once(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one reading statement on SQLite, in one visit to its thread where a session makes seven."""
        async with outages_named(), self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            self.statements += 1
            return [
                tuple(row) for row in await cast(Any, raw.driver_connection).execute_fetchall(statement, parameters)
            ]

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Session, None]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Outbox rows added in it are hinted to the workers after the commit; a hint that fails is
        logged and left to the sweep.
        """
        acts: list[Act] = []
        try:
            async with outages_named(), AsyncExitStack() as stack:
                if self._writer is not None:
                    await stack.enter_async_context(self._writer)
                session = await stack.enter_async_context(AsyncSession(self.engine, expire_on_commit=False))
                session.info.update({KEYS: self.keys, ZONE: self.zone, AFTERWARDS: acts})
                await session.connection(execution_options=WRITES)
                yield session
                await session.commit()
                owed = cast(list[str], session.info.pop(OWED, []))
        finally:
            await self._do(acts)
        if owed and self.wake is not None:
            await self.wake(owed)

    async def _do(self, acts: Sequence[Act]) -> None:
        """Do together what waited for the end of a transaction."""
        if acts:
            async with self.write() as session:
                for act in acts:
                    await act(session)


def afterwards(session: Session, act: Act) -> None:
    """Do this in a transaction of its own when the session's has ended, also where it was rolled back or only read."""
    cast(list[Act], session.info[AFTERWARDS]).append(act)


def zone_of(session: Session) -> str:
    """The bank's time zone, by whose days conditions count ages, as whoever opened the database has set it."""
    return str(session.info[ZONE])


def ring_of(session: Session) -> KeyRing:
    """The keys by which this session opens personal data; raises PersonalDataLocked where it was given none."""
    ring = session.info.get(KEYS)
    if ring is None:
        raise PersonalDataLocked(detail="no keys were given to this process")
    return cast(KeyRing, ring)


@asynccontextmanager
async def outages_named() -> AsyncGenerator[None, None]:
    """Turn a lost connection, a full pool, a lock held too long or a circle of waits into Unavailable."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(detail="no database connection was free in time") from error
    except OperationalError as error:
        log.warning("database_unavailable", error=str(error.orig))
        raise Unavailable(detail="the database did not answer") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in GIVE_WAY:
            log.warning("transaction_gave_way", error=str(error.orig))
            raise Unavailable(detail="the database was busy with the same rows; try again") from error
        if not error.connection_invalidated:
            raise
        raise Unavailable(detail="the database connection was lost") from error
    except OSError as error:
        raise Unavailable(detail="the database cannot be reached") from error


def note_use(_: object, record: ConnectionPoolEntry) -> None:
    record.info[USED] = time.monotonic()


def prepare_sqlite(connection: Any, _: object) -> None:
    """Durable write-ahead logging, foreign keys, no trace of what is deleted, transactions that we begin ourselves."""
    connection.isolation_level = None
    cursor = connection.cursor()
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000", "secure_delete=ON")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a reader that turns writer half-way would fail at once."""
    writes = connection.get_execution_options().get("kinship_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def forget_details(context: ExceptionContext) -> None:
    """Take out of an error of PostgreSQL the row or key that it quotes, because errors are logged."""
    error: BaseException | None = context.original_exception
    while error is not None:
        if hasattr(error, "detail"):
            # asyncpg appends it to the words of its errors.
            setattr(error, "detail", None)  # noqa: B010 - only some errors have it
        error.args = tuple(one.partition("\nDETAIL:")[0] if isinstance(one, str) else one for one in error.args)
        error = error.__cause__


class Record(SQLModel):
    """Base of all tables; a table's name is its class's name in snake case."""

    @declared_attr.directive
    def __tablename__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def instant(*, optional: bool = False, index: bool = False) -> Any:
    """A column that holds an Instant."""
    kind = cast(Any, Instant)
    if optional:
        return Field(default=None, sa_type=kind, index=index)
    return Field(sa_type=kind, index=index)


def json_column() -> Any:
    """A column that holds a JSON object."""
    return Field(sa_column=Column(JSON, nullable=False))


def among(column: Any, name: str, *, is_sqlite: bool) -> ColumnElement[bool]:
    """The condition that a text is among those that a parameter brings, by which a statement is built once for any
    number of them."""
    if is_sqlite:
        return column.in_(bindparam(name, expanding=True))
    return column == any_(bindparam(name, type_=ARRAY(String)))


def table_of(model: type[SQLModel]) -> Table:
    """The table behind a model class, for statements that the class itself cannot express."""
    return cast(Table, model.__table__)  # pyright: ignore[reportAttributeAccessIssue] - SQLModel sets it on tables


async def insert_once(
    session: Session, model: type[SQLModel], values: Mapping[str, Any] | Sequence[Mapping[str, Any]], *keys: str
) -> int:
    """Insert what is not there yet by the unique columns `keys` (none: by any); returns how many rows were new.

    On PostgreSQL a second writer of one key waits for the first and then finds its row. Where the id is computed
    from the key, name no columns: two writers at once may clash on the id first, which a named key would not cover.
    """
    statement = insert_into(session, model).on_conflict_do_nothing(index_elements=list(keys) or None)
    if isinstance(values, Mapping):
        return (await session.exec(statement.values(values))).rowcount
    return len(await insert_rows(session, statement.returning(*table_of(model).primary_key), values))


def insert_into(session: Session, model: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what becomes of rows that are there already."""
    build = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return build(table_of(model))


async def insert_rows(session: Session, statement: Any, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """Run an INSERT … RETURNING for many rows; what is returned, for those that were new.

    Rows are given beside the statement, because SQLAlchemy would compile a statement that holds them each time anew.
    """
    if not rows:
        return []
    connection = await session.connection()
    return (await connection.execute(statement, list(rows))).all()


async def insert_new(
    session: Session, model: type[SQLModel], rows: Sequence[Mapping[str, Any]], *, by: str = "id"
) -> list[str]:
    """Insert what is not there yet by any unique column; returns the ids of the rows that were new, in their order.

    `by` is the column on which rows of two writers can clash, where that is not the id.
    """
    # Two writers of the same rows take them in one order, so that they wait for each other and never in a circle.
    ordered = sorted(rows, key=lambda row: str(row[by]))
    statement = insert_into(session, model).on_conflict_do_nothing().returning(table_of(model).c.id)
    new = {row.id for row in await insert_rows(session, statement, ordered)}
    return [str(row["id"]) for row in rows if row["id"] in new]


RecordT = TypeVar("RecordT", bound=Record)


async def rows_by_id(session: Session, model: type[RecordT], ids: Collection[str]) -> dict[str, RecordT]:
    """The rows with these ids, by id; asked for none, it does not ask the database."""
    if not ids:
        return {}
    key = table_of(model).c.id
    rows = (await session.exec(select(model).where(key.in_(set(ids))))).all()
    return {cast(Any, row).id: row for row in rows}


async def changed_rows(session: Session, statement: Any) -> int:
    """Run an UPDATE or DELETE whose WHERE clause is its guard; returns how many rows passed it."""
    result = await session.exec(statement.execution_options(synchronize_session=False))
    return cast(CursorResult[Any], result).rowcount
