"""Real stores for every test: the embedded engines, and Neo4j and PostgreSQL with `ENGINES=all`.

With `ENGINES=real` only those tests run that use a store, on the real ones: what is left of all beside a run without.
"""

import asyncio
import gc
import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.db import Database
from core.ids import new_id
from core.processes import free_port, stop
from core.redis_server import redis_url as url_of_redis
from core.redis_server import start_redis, wait_for_redis
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
READY_SECONDS = 150.0
COST_PER_MINUTE = 1_000_000_000
FIRST_ROOMS = ("access", "worker")
# The keys of whoever has set none.
RING = KeyRing.parse(f"1:{DEVELOPMENT_KEY}")

Server = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Addresses:
    """Where one pair of engines answers."""

    name: str
    neo4j_uri: str
    neo4j_user: str
    neo4j_password: str
    neo4j_database: str | None
    database_url: str

    def graph(self, *, timeout: float = 30.0, pool_size: int = 50) -> GraphClient:
        return GraphClient(
            self.neo4j_uri,
            user=self.neo4j_user,
            password=self.neo4j_password,
            database=self.neo4j_database,
            timeout=timeout,
            pool_size=pool_size,
        )

    def database(self) -> Database:
        return Database(self.database_url, timeout=60.0, keys=RING)

    def environment(self) -> dict[str, str]:
        """The same as settings, for a process of its own."""
        return {
            "ENVIRONMENT": "test",
            "NEO4J_URI": self.neo4j_uri,
            "NEO4J_USER": self.neo4j_user,
            "NEO4J_PASSWORD": self.neo4j_password,
            "NEO4J_DATABASE": self.neo4j_database or "",
            "DATABASE_URL": self.database_url,
            # All tests ask one Redis, many of them under the same name within a minute; those of the budget set theirs.
            "COST_PER_MINUTE": str(COST_PER_MINUTE),
        }


def engine_pairs() -> list[str]:
    """Which pairs of engines this run is for."""
    chosen = os.environ.get("ENGINES", "")
    if chosen == "real":
        return ["real"]
    return ["embedded", "real"] if "all" in chosen else ["embedded"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put some tests first, and leave out what needs no store where the run is for the real ones only.

    All tests share the stores. The matrix of access expects that a stranger finds nothing, and the worker's jobs go
    through everybody: it takes them a minute among those that others have left.
    """
    items.sort(key=lambda item: next((n for n, room in enumerate(FIRST_ROOMS) if room in item.path.parts), 9))
    if engine_pairs() != ["real"]:
        return
    on_stores = [item for item in items if "stores" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if "stores" not in getattr(item, "fixturenames", ())])
    items[:] = on_stores


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: let the collector pass it by, which took a twelfth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def scratch() -> Generator[Path, None, None]:
    """A folder for the run's servers, short enough for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="kinship-"))
    path.chmod(0o755)
    yield path
    # Tens of thousands of files of databases take minutes on a slow disk, and the last test's time would count them.
    os.posix_spawnp("rm", ["rm", "-rf", str(path)], os.environ)


@pytest.fixture(scope="session", params=engine_pairs())
def stores(request: pytest.FixtureRequest, scratch: Path) -> Generator[Addresses, None, None]:
    """One pair of engines, started and migrated."""
    start = start_embedded if request.param == "embedded" else start_real
    servers: list[Server] = []
    try:
        addresses = start(scratch / request.param, servers)
        asyncio.run(migrate(addresses))
        yield addresses
    finally:
        for server in servers:
            stop(server, patience=3)


def start_embedded(folder: Path, servers: list[Server]) -> Addresses:
    """ArcadeDB and SQLite; what starts is added to `servers`, which the caller stops."""
    port = free_port()
    servers.append(start_graph(folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log"))
    uri = f"bolt://127.0.0.1:{port}"
    url = f"sqlite+aiosqlite:///{folder / 'kinship.sqlite'}"
    return Addresses("embedded", uri, USER, graph_password(folder / "graph"), DATABASE, url)


def start_real(folder: Path, servers: list[Server]) -> Addresses:
    """Neo4j and PostgreSQL, likewise."""
    port = free_port()
    servers.append(start_neo4j(folder / "neo4j", lib=install_neo4j(CACHE), bolt_port=port, log=folder / "neo4j.log"))
    postgres, admin_url = start_postgres(
        folder / "postgres", port=free_port(), log=folder / "postgres.log", durable=False
    )
    servers.append(postgres)
    url = asyncio.run(create_database(admin_url, "kinship"))
    return Addresses("real", f"bolt://127.0.0.1:{port}", "neo4j", "", None, url)


async def migrate(addresses: Addresses) -> None:
    await wait_for_bolt(addresses.neo4j_uri, addresses.neo4j_user, addresses.neo4j_password, timeout=READY_SECONDS)
    database = addresses.database()
    await upgrade_sql(database)
    await database.close()
    async with addresses.graph(timeout=60) as graph:
        await upgrade_graph(graph)


@pytest.fixture
async def graph(stores: Addresses) -> AsyncGenerator[GraphClient, None]:
    async with stores.graph() as client:
        yield client


@pytest.fixture
async def database(stores: Addresses) -> AsyncGenerator[Database, None]:
    found = stores.database()
    yield found
    await found.close()


@pytest.fixture
async def pools(stores: Addresses) -> AsyncGenerator[list[Database], None]:
    """Four pools of connections, as four processes would have, for whoever writes at the same time."""
    found = [stores.database() for _ in range(4)]
    yield found
    for pool in found:
        await pool.close()


@pytest.fixture(scope="session")
def redis_url(scratch: Path) -> Generator[str, None, None]:
    """A real Redis for the run."""
    port = free_port()
    server = start_redis(scratch / "redis", port=port, log=scratch / "redis.log")
    wait_for_redis(url := url_of_redis(scratch / "redis", port))
    yield url
    stop(server, patience=3)


@pytest.fixture
def unique() -> str:
    """A name that no other test uses."""
    return new_id()
