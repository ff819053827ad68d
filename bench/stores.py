"""Stores to measure on, each started empty and migrated: the embedded engines, or Neo4j and PostgreSQL."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.db import Database
from core.processes import free_port, stop
from core.sealing import KeyRing
from core.settings import DEVELOPMENT_KEY
from graph.client import GraphClient
from graph.engine import DATABASE, USER, graph_password, start_graph
from graph.ready import wait_for_bolt
from migrations.graph_migrations import upgrade_graph
from migrations.sql_migrations import upgrade_sql
from ops.neo4j_server import install_neo4j, start_neo4j
from ops.postgres_server import create_database, start_postgres

CACHE = Path(os.environ.get("KINSHIP_CACHE", ".cache")).resolve()
READY_SECONDS = 120.0
RING = KeyRing.parse(f"1:{DEVELOPMENT_KEY}")


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a graph and a database answer; the folder is for the files of a measurement."""

    name: str
    folder: Path
    neo4j_uri: str
    database_url: str
    neo4j_user: str = "neo4j"
    neo4j_password: str = ""
    neo4j_database: str | None = None

    def graph(self) -> GraphClient:
        return GraphClient(
            self.neo4j_uri,
            user=self.neo4j_user,
            password=self.neo4j_password,
            database=self.neo4j_database,
            timeout=60,
        )

    def database(self) -> Database:
        return Database(self.database_url, timeout=60.0, keys=RING)

    def environment(self) -> dict[str, str]:
        """The environment of a process that works on these stores."""
        return {
            **os.environ,
            "ENVIRONMENT": "test",
            "DATABASE_URL": self.database_url,
            "NEO4J_URI": self.neo4j_uri,
            "NEO4J_USER": self.neo4j_user,
            "NEO4J_PASSWORD": self.neo4j_password,
            "NEO4J_DATABASE": self.neo4j_database or "",
        }


@contextmanager
def embedded_stores(*, heap: str = "512m", kept: Path | None = None) -> Generator[Stores, None, None]:
    """ArcadeDB and SQLite in a folder that is thrown away, or in the one that is to be kept."""
    with ExitStack() as stack:
        folder = kept or throw_away_folder(stack)
        port = free_port()
        server = start_graph(
            folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log", heap=heap
        )
        stack.callback(stop, server)
        password = graph_password(folder / "graph")
        url = f"sqlite+aiosqlite:///{folder.resolve() / 'bench.sqlite'}"
        stores = Stores("embedded", folder, f"bolt://127.0.0.1:{port}", url, USER, password, DATABASE)
        asyncio.run(migrate(stores))
        yield stores


@contextmanager
def real_stores() -> Generator[Stores, None, None]:
    """Neo4j and a PostgreSQL that is safe in a power cut, in a folder that is thrown away."""
    with ExitStack() as stack:
        folder, port = throw_away_folder(stack), free_port()
        lib = install_neo4j(CACHE)
        stack.callback(stop, start_neo4j(folder / "neo4j", lib=lib, bolt_port=port, log=folder / "neo4j.log"))
        server, admin_url = start_postgres(folder / "postgres", port=free_port(), log=folder / "postgres.log")
        stack.callback(stop, server)
        url = asyncio.run(create_database(admin_url, "kinship"))
        stores = Stores("real", folder, f"bolt://127.0.0.1:{port}", url)
        asyncio.run(migrate(stores))
        yield stores


def throw_away_folder(stack: ExitStack) -> Path:
    """A folder that goes when the stack closes; PostgreSQL's own user may enter it."""
    name = stack.enter_context(tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True))
    folder = Path(name)
    folder.chmod(0o755)
    return folder


async def migrate(stores: Stores) -> None:
    await wait_for_bolt(stores.neo4j_uri, stores.neo4j_user, stores.neo4j_password, timeout=READY_SECONDS)
    database = stores.database()
    await upgrade_sql(database)
    await database.close()
    async with stores.graph() as graph:
        await upgrade_graph(graph)


@asynccontextmanager
async def fresh_graph(*, neo4j: bool) -> AsyncGenerator[GraphClient, None]:
    """A graph engine alone, migrated, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        uri, user, password, database = f"bolt://127.0.0.1:{port}", USER, "", None
        if neo4j:
            lib = install_neo4j(CACHE)
            server = start_neo4j(folder / "graph", lib=lib, bolt_port=port, log=folder / "graph.log")
            user = "neo4j"
        else:
            server = start_graph(
                folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log", heap="1g"
            )
            password, database = graph_password(folder / "graph"), DATABASE
        try:
            await wait_for_bolt(uri, user, password, timeout=READY_SECONDS)
            async with GraphClient(uri, user=user, password=password, database=database, timeout=120) as graph:
                await upgrade_graph(graph)
                yield graph
        finally:
            stop(server)


@asynccontextmanager
async def fresh_database(*, postgres: bool) -> AsyncGenerator[str, None]:
    """The address of a SQL database alone, migrated, in a folder that is thrown away."""
    with ExitStack() as stack:
        folder = throw_away_folder(stack)
        url = f"sqlite+aiosqlite:///{folder / 'bench.sqlite'}"
        if postgres:
            server, admin_url = start_postgres(folder / "postgres", port=free_port(), log=folder / "postgres.log")
            stack.callback(stop, server)
            url = await create_database(admin_url, "kinship")
        database = Database(url, timeout=60.0)
        await upgrade_sql(database)
        await database.close()
        yield url


def on_sql_engines(
    measure: Callable[[str, str], Coroutine[Any, Any, list[list[str]]]], *, postgres: bool
) -> list[list[str]]:
    """What is measured by an engine's name and the address of an empty database: on SQLite, and on PostgreSQL too."""
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        lines = asyncio.run(measure("SQLite", f"sqlite+aiosqlite:///{folder / 'bench.sqlite'}"))
        if postgres:
            server, admin = start_postgres(folder / "postgres", port=free_port(), log=folder / "postgres.log")
            try:
                lines += asyncio.run(measure("PostgreSQL", asyncio.run(create_database(admin, "bench"))))
            finally:
                stop(server)
    return lines
