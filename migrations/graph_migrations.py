"""Graph migrations: numbered Cypher files, applied once each, in order, and never edited afterwards."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

from core.errors import Unavailable
from graph.client import GraphClient

FOLDER = Path(__file__).parent / "graph"
# How long a lock holds that its holder does not renew; one that dies in the middle delays the next by no more.
LEASE_SECONDS = 60
PATIENCE_SECONDS = 120
# A statement goes over all that is there, in many transactions.
STATEMENT_SECONDS = 1_800
# A statement that begins with this word is for the embedded engine alone: Neo4j's planner needs no such help.
EMBEDDED = "EMBEDDED "
# And one that begins with this word is for Neo4j alone: the embedded engine knows no such thing.
NEO4J = "NEO4J "


class MigrationChanged(Exception):
    """An applied migration file differs from what was applied."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its statements and the checksum of its text."""

    number: int
    name: str
    statements: tuple[LiteralString, ...]
    checksum: str


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The files in order of their numbers; raises ValueError when the numbers are not 1, 2, 3 …"""
    found: list[Migration] = []
    for path in sorted(folder.glob("[0-9]*.cypher")):
        text = path.read_text()
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
        parts = [part.strip().removesuffix(";") for part in code.split(";\n")]
        statements = cast(tuple[LiteralString, ...], tuple(part for part in parts if part))
        number = int(path.name.split("_", 1)[0])
        found.append(Migration(number, path.stem, statements, hashlib.sha256(text.encode()).hexdigest()))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("graph migrations must be numbered 0001, 0002, … without gaps")
    return found


LOCK_CONSTRAINTS: tuple[LiteralString, ...] = (
    "CREATE CONSTRAINT migration_number IF NOT EXISTS FOR (n:Migration) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT migration_lock_name IF NOT EXISTS FOR (n:MigrationLock) REQUIRE n.name IS UNIQUE",
)

# `timestamp()` is the server's clock, the one clock that all instances share.
ACQUIRE = """
MERGE (l:MigrationLock {name: 'graph'})
SET l.touched_at = timestamp()
WITH l
WHERE l.holder IS NULL OR l.holder = $holder OR l.expires_at < timestamp()
SET l.holder = $holder, l.expires_at = timestamp() + $lease_ms
RETURN l.holder AS holder
"""

RELEASE = "MATCH (l:MigrationLock {name: 'graph', holder: $holder}) SET l.holder = null"

APPLIED = "MATCH (m:Migration) RETURN m.number AS number, m.checksum AS checksum ORDER BY number"

RECORD = """
MERGE (m:Migration {number: $number})
SET m.name = $name, m.checksum = $checksum, m.applied_at = timestamp()
"""


async def upgrade_graph(client: GraphClient, migrations: list[Migration] | None = None) -> int:
    """Apply what is missing; returns how many. Raises MigrationChanged where an applied file was edited."""
    for statement in LOCK_CONSTRAINTS:
        await client.write(statement, timeout=PATIENCE_SECONDS)
    async with locked(client):
        pending = await pending_migrations(client, migrations)
        for migration in pending:
            for statement in migration.statements:
                if not statement.startswith(NEO4J if await client.is_embedded() else EMBEDDED):
                    plain = statement.removeprefix(EMBEDDED).removeprefix(NEO4J)
                    await client.write(plain, timeout=STATEMENT_SECONDS)
            name, checksum = migration.name, migration.checksum
            await client.write(RECORD, number=migration.number, name=name, checksum=checksum)
        return len(pending)


@asynccontextmanager
async def locked(client: GraphClient) -> AsyncGenerator[None]:
    """Hold the lock of the migrations, and renew it for as long as they take."""
    holder = secrets.token_hex(8)
    await acquire(client, holder)
    renewal = asyncio.create_task(renew(client, holder))
    try:
        yield
    finally:
        renewal.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await renewal
        finally:
            await client.write(RELEASE, holder=holder)


async def renew(client: GraphClient, holder: str) -> None:
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        await client.write(ACQUIRE, holder=holder, lease_ms=LEASE_SECONDS * 1000)


async def acquire(client: GraphClient, holder: str) -> None:
    """Wait for the lock; an instance that died holding it loses it when its lease ends."""
    for _ in range(PATIENCE_SECONDS * 5):
        if await client.write(ACQUIRE, holder=holder, lease_ms=LEASE_SECONDS * 1000):
            return
        await asyncio.sleep(0.2)
    raise Unavailable(detail="another instance holds the migration lock of the graph")


async def pending_migrations(client: GraphClient, migrations: list[Migration] | None = None) -> list[Migration]:
    """The migrations that are not applied; raises MigrationChanged on a checksum that differs."""
    applied = {row["number"]: row["checksum"] for row in await client.read(APPLIED)}
    known = read_migrations() if migrations is None else migrations
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise MigrationChanged(f"{migration.name} was edited after it was applied")
    return [migration for migration in known if migration.number not in applied]
