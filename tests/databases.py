"""Databases of a test's own: empty, or as migrations leave one, which is made once in a run and copied from then on."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from core.db import Database
from core.ids import new_id
from migrations.sql_migrations import upgrade_sql
from ops.postgres_server import create_database
from tests.conftest import RING, Addresses

TEMPLATE = "kinship-template"
# The servers of a run whose template is made.
prepared: set[str] = set()


async def empty_database(stores: Addresses, folder: Path) -> str:
    """The address of a database without any table, on the same engine."""
    if stores.database_url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{folder / 'empty.sqlite'}"
    return await create_database(stores.database_url, f"empty-{new_id()}")


async def migrated_database(stores: Addresses, folder: Path) -> str:
    """The address of a database with all tables and nothing in them but what migrations put there."""
    on_sqlite = stores.database_url.startswith("sqlite")
    template = f"{stores.database_url.rpartition('/')[0]}/{TEMPLATE}"
    if template not in prepared:
        if not on_sqlite:
            await create_database(stores.database_url, TEMPLATE)
        database = Database(template, timeout=60)
        await upgrade_sql(database)
        # The last one to leave writes SQLite's log into the file; PostgreSQL copies only what nobody has open.
        await database.close()
        prepared.add(template)
    if not on_sqlite:
        return await create_database(stores.database_url, f"own-{new_id()}", template=TEMPLATE)
    path = folder / f"own-{new_id()}.sqlite"
    shutil.copyfile(template.removeprefix("sqlite+aiosqlite:///"), path)
    return f"sqlite+aiosqlite:///{path}"


@asynccontextmanager
async def own_database(stores: Addresses, folder: Path) -> AsyncGenerator[Database, None]:
    """A migrated database with nothing in it but what the test puts there."""
    database = Database(await migrated_database(stores, folder), timeout=60, keys=RING)
    try:
        yield database
    finally:
        await database.close()
