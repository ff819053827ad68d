"""What has to be in the stores before the API serves: the newest schema, and something to look at."""

from alembic.util import CommandError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError
from core.log import configure_logging
from core.settings import Settings, SettingsError
from customers.tag_backfill import backfill_tags
from graph.client import GraphClient
from migrations.graph_migrations import MigrationChanged, upgrade_graph
from migrations.sql_migrations import upgrade_sql
from ops.checks import first_line
from ops.demonstration.load import is_loaded, load_demonstration


async def prepare(settings: Settings, *, customers: int) -> None:
    """Migrate both stores, and load the demonstration bank into an empty development system."""
    configure_logging("WARNING")
    database = Database(settings.database_url or "", keys=settings.key_ring)
    try:
        async with GraphClient.of(settings) as graph:
            await migrate(database, graph)
            if settings.environment == "development" and customers and not await is_loaded(database):
                await load_demonstration(
                    settings, database, graph, customers=customers, now=utc_now(), console=Console()
                )
    finally:
        await database.close()


async def migrate(database: Database, graph: GraphClient) -> None:
    """Bring both schemas to the newest; raises SettingsError where a store holds what this code does not know."""
    try:
        await upgrade_sql(database)
    except (CommandError, SQLAlchemyError) as error:
        raise SettingsError(f"DATABASE_URL: the database cannot be migrated: {first_line(error)}") from error
    try:
        await upgrade_graph(graph)
    except (KinshipError, MigrationChanged) as error:
        raise SettingsError(f"NEO4J_URI: the graph cannot be migrated: {first_line(error)}") from error
    await backfill_tags(database, graph)
