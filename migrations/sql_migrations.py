"""SQL migrations by Alembic: one transaction under a lock, so that several instances may start at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.db import WRITES, Database

FOLDER = Path(__file__).parent / "sql"
# Any number does, as long as nothing else in the database takes the same advisory lock.
ADVISORY_LOCK = 7_226_150_031


def alembic_config(connection: Connection | None = None, metadata: MetaData | None = None) -> Config:
    """Alembic's configuration, without an ini file: everything that it needs is said here."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes.update({"connection": connection, "metadata": metadata})
    return config


@asynccontextmanager
async def schema_change(database: Database) -> AsyncGenerator[AsyncConnection, None]:
    """One transaction in which tables may be made anew.

    SQLite changes a table by copying it, and lets go of the old one only where no foreign key is looked at meanwhile
    (its manual, "Making Other Kinds Of Table Schema Changes"); at the end all keys are checked, and one that points
    nowhere rolls everything back.
    """
    async with database.engine.connect() as connection:
        await connection.execution_options(**WRITES)
        if not database.is_sqlite:
            async with connection.begin():
                yield connection
            return
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.execute("PRAGMA foreign_keys=OFF")
        try:
            async with connection.begin():
                yield connection
                broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
                if broken:
                    raise RuntimeError(f"a migration left {len(broken)} foreign keys that point nowhere")
        finally:
            await raw.execute("PRAGMA foreign_keys=ON")


async def upgrade_sql(database: Database) -> None:
    """Bring the schema to the newest revision, or change nothing when one of the steps fails."""

    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        command.upgrade(alembic_config(connection), "head")

    async with schema_change(database) as connection:
        await connection.run_sync(run)


@cache
def newest_revisions() -> frozenset[str]:
    """What this code brings a database to; to find it, every migration is compiled."""
    return frozenset(ScriptDirectory.from_config(alembic_config()).get_heads())


async def is_sql_current(database: Database) -> bool:
    """Whether the database stands at the newest revision that this code knows."""

    def current(connection: Connection) -> Any:
        return set(MigrationContext.configure(connection).get_current_heads())

    async with database.engine.connect() as connection:
        return await connection.run_sync(current) == newest_revisions()
