"""Migrations by hand: `python -m ops.migrate upgrade` and, for developers, `revision MESSAGE`."""

import asyncio
import sys
from typing import Any

from alembic import command

from core.db import Database
from core.settings import Settings, SettingsError, load_settings
from graph.client import GraphClient
from migrations.graph_migrations import upgrade_graph
from migrations.sql_migrations import FOLDER, alembic_config, upgrade_sql
from ops.tables import METADATA


async def upgrade(settings: Settings) -> None:
    """Bring both stores to the newest schema."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: it names the database to migrate")
    database = Database(settings.database_url)
    try:
        await upgrade_sql(database)
        async with GraphClient.of(settings) as graph:
            await upgrade_graph(graph)
    finally:
        await database.close()


async def revision(url: str, message: str) -> None:
    """Write the next SQL revision from the difference between the database and the tables."""
    number = len(list((FOLDER / "versions").glob("*.py"))) + 1
    database = Database(url)

    def run(connection: Any) -> None:
        command.revision(alembic_config(connection, METADATA), message, autogenerate=True, rev_id=f"{number:04}")

    async with database.engine.connect() as connection:
        await connection.run_sync(run)
    await database.close()


def main() -> None:
    try:
        run(load_settings())
    except SettingsError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    if sys.argv[1:2] == ["revision"]:
        asyncio.run(revision(settings.database_url or "sqlite+aiosqlite:///.data/revision.sqlite", sys.argv[2]))
    else:
        asyncio.run(upgrade(settings))


if __name__ == "__main__":
    main()
