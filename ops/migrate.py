"""Migrations by hand: `python -m ops.migrate upgrade` and, for developers, `revision MESSAGE`."""

import asyncio
import sys
from typing import Any

from alembic import command

from core.db import Database
from core.settings import Settings, SettingsError, load_settings
from graph.client import GraphClient
from migrations.sql_migrations import FOLDER, alembic_config
from ops.checks import check_database, check_graph
from ops.preparation import migrate
from ops.tables import METADATA


async def upgrade(settings: Settings) -> None:
    """Bring both stores to the newest schema; raises SettingsError when one of them cannot be used."""
    if settings.database_url is None or settings.neo4j_uri is None:
        raise SettingsError("DATABASE_URL, NEO4J_URI: they name the stores to migrate")
    await check_database(settings)
    await check_graph(settings)
    database = Database(settings.database_url)
    try:
        async with GraphClient.of(settings) as graph:
            await migrate(database, graph)
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
        settings = load_settings()
        if sys.argv[1:2] == ["revision"]:
            asyncio.run(revision(settings.database_url or "sqlite+aiosqlite:///.data/revision.sqlite", sys.argv[2]))
        else:
            asyncio.run(upgrade(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
