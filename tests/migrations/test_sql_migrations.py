"""SQL migrations: several instances at once, and the tables are exactly those of the models."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from core.db import Database
from migrations.sql_migrations import is_sql_current, upgrade_sql
from ops.tables import METADATA
from tests.conftest import Addresses
from tests.databases import empty_database

pytestmark = pytest.mark.anyio


async def test_the_tables_are_those_of_the_models(database: Database) -> None:
    # The full-text index of the search is described by no model; SQLite shows it as several tables.
    def is_ours(name: str | None, *_: object) -> bool:
        return not str(name).startswith(("search_term", "ix_search_document_terms"))

    def compare(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, METADATA))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_four_instances_start_at_once_on_an_empty_database(stores: Addresses, tmp_path: Path) -> None:
    url = await empty_database(stores, tmp_path)
    instances = [Database(url, timeout=60) for _ in range(4)]
    try:
        assert not await is_sql_current(instances[0])
        await asyncio.gather(*(upgrade_sql(instance) for instance in instances))
        assert await is_sql_current(instances[0])
    finally:
        for instance in instances:
            await instance.close()
