"""`python -m bench.segments`: counting a segment and reading its first page, beside a plain count of the customers.

The conditions are the kinds that people write: one tag, four leaves, events of 90 days, and what somebody has not. All
in one run on one database, each the fastest of several; `--explain` shows how the engine goes about it.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, insert, text
from sqlmodel import col, select

from core.clock import utc_now
from core.days import DEFAULT_ZONE
from core.db import Database, table_of
from core.facts import Fact
from core.ids import derived_id
from core.processes import free_port, stop
from customers.listing import Looked, count_customers, list_customers
from customers.profiles import Customer
from migrations.sql_migrations import upgrade_sql
from ops.postgres_server import create_database, start_postgres
from segments.condition_sql import compiled
from segments.conditions import load_vocabulary, parse_condition
from segments.tagging import CustomerTag, Tag, TagFamily
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait

ROWS = 5_000
REPEATS = 5
NOW = utc_now()
# How many of a hundred customers carry each tag.
SHARES = {"retiree": 20, "home": 10, "photography": 5, "wine": 1}
CONDITIONS: dict[str, Any] = {
    "one tag (5 %)": {"tag": "photography"},
    "one tag (1 %)": {"tag": "wine"},
    "all of four": {
        "all": [
            {"tag": {"key": "retiree", "min_confidence": 0.5}},
            {"tier": {"at_least": "POTENTIAL"}},
            {"trait": {"name": "assets", "gte": 5_000_000}},
            {"trait": {"name": "born", "age_at_least": 50}},
        ]
    },
    "any of three": {"any": [{"tag": "wine"}, {"tag": "photography"}, {"tier": {"in": ["VIP"]}}]},
    "event in 90 days": {"event": {"kind": "EVENT_ATTENDED", "within_days": 90}},
    "two events in 90 days": {"event": {"kind": "EVENT_ATTENDED", "within_days": 90, "at_least": 2}},
    "not tagged": {"not": {"tag": "retiree"}},
}


def rows_of(first: int, count: int) -> dict[type[Any], list[dict[str, Any]]]:
    """Customers from the number `first` on with tags, tiers, traits and facts, the same in every run."""
    random = Random(first)
    kinds = (Customer, CustomerTag, CustomerTier, CustomerTrait, Fact)
    tables: dict[type[Any], list[dict[str, Any]]] = {model: [] for model in kinds}
    for number in range(first, first + count):
        key = derived_id("bench", str(number))
        tables[Customer].append({"id": key, "display_name": f"Customer {number}", "created_at": NOW})
        tables[CustomerTag] += tags_of(key, random)
        if random.random() < 0.3:
            tier = random.choice(("POTENTIAL", "POTENTIAL", "VIP"))
            tables[CustomerTier].append({"customer_id": key, "tier": tier, "on_watch": False, "decided_at": NOW})
        tables[CustomerTrait] += traits_of(key, random)
        for event in range(random.choice((0, 0, 1, 2))):
            at = NOW - timedelta(days=random.randrange(365))
            fact = {"id": derived_id(key, str(event)), "source": "bench", "key": f"{key}:{event}", "customer_id": key}
            tables[Fact].append(
                {**fact, "kind": "EVENT_ATTENDED", "occurred_at": at, "recorded_at": NOW, "payload": {}}
            )
    return tables


def tags_of(key: str, random: Random) -> Iterator[dict[str, Any]]:
    for tag, share in SHARES.items():
        if random.randrange(100) < share:
            yield {
                "id": derived_id(key, tag),
                "customer_id": key,
                "tag_key": tag,
                "family": TagFamily.INTEREST,
                "source": "bench",
                "confidence": random.random(),
                "since": NOW - timedelta(days=30),
                "until": NOW + timedelta(days=random.randrange(-10, 300)),
                "set_by": "bench",
                "recorded_at": NOW,
            }


def traits_of(key: str, random: Random) -> list[dict[str, Any]]:
    said = {"customer_id": key, "item": "", "source": "bench", "observed_at": NOW, "recorded_at": NOW}
    empty = {"number": None, "word": None, "day": None}
    return [
        {**said, **empty, "name": "assets", "number": int(10 ** random.uniform(4, 10))},
        {**said, **empty, "name": "born", "day": date(random.randrange(1940, 2006), random.randrange(1, 13), 1)},
    ]


async def load(database: Database, customers: int) -> None:
    await upgrade_sql(database)
    async with database.write() as session:
        words = [{"key": key, "name_zh": key, "name_en": key, "family": "INTEREST"} for key in SHARES]
        connection = await session.connection()
        await connection.execute(insert(table_of(Tag)), [{**word, "created_at": NOW} for word in words])
    for first in range(0, customers, ROWS):
        tables = rows_of(first, min(ROWS, customers - first))
        async with database.write() as session:
            connection = await session.connection()
            for model, rows in tables.items():
                await connection.execute(insert(table_of(model)), rows)
    async with database.write() as session:
        await (await session.connection()).execute(text("ANALYZE"))


async def fastest(ask: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """The shortest of several runs in milliseconds, and the answer."""
    times: list[float] = []
    answer: Any = None
    for _ in range(REPEATS):
        begun = time.perf_counter()
        answer = await ask()
        times.append((time.perf_counter() - begun) * 1000)
    return min(times), answer


async def measure(database: Database, name: str, *, explain: bool) -> None:
    table = Table("condition", "found", "count, ms", "ratio", "first page, ms", "ratio", title=name)
    async with database.read() as session:
        known = await load_vocabulary(session)
        plain, total = await fastest(lambda: count_customers(session, Looked(), now=NOW))
        table.add_row("all customers", f"{total:,}", f"{plain:.1f}", "1", "", "")
        for label, tree in CONDITIONS.items():
            looked = Looked([parse_condition(tree, known)])
            spent, found = await fastest(lambda looked=looked: count_customers(session, looked, now=NOW))
            page, _ = await fastest(
                lambda looked=looked: list_customers(session, looked, first=20, after=None, now=NOW)
            )
            table.add_row(
                label, f"{found:,}", f"{spent:.1f}", f"{spent / plain:.1f}", f"{page:.1f}", f"{page / plain:.2f}"
            )
            if explain:
                await show_plan(database, label, tree)
    Console().print(table)


async def show_plan(database: Database, label: str, tree: Any) -> None:
    async with database.read() as session:
        condition = parse_condition(tree, await load_vocabulary(session))
        asked = (
            select(func.count())
            .select_from(Customer)
            .where(compiled(condition, col(Customer.id), now=NOW, zone=DEFAULT_ZONE))
        )
        connection = await session.connection()
        words = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN (ANALYZE, TIMING OFF) "
        statement = str(asked.compile(connection.sync_engine, compile_kwargs={"literal_binds": True}))
        rows: Sequence[Any] = (await connection.exec_driver_sql(words + statement)).all()
    Console().print(f"{label}:", *(str(row[-1]) for row in rows), sep="\n  ")


async def run(url: str, name: str, customers: int, explain: bool) -> None:
    database = Database(url, timeout=300)
    try:
        await load(database, customers)
        await measure(database, name, explain=explain)
    finally:
        await database.close()


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 200_000,
    postgres: Annotated[bool, typer.Option(help="On PostgreSQL instead of SQLite.")] = False,
    explain: Annotated[bool, typer.Option(help="Show the engine's plans.")] = False,
) -> None:
    with tempfile.TemporaryDirectory(prefix="kinship-") as folder:
        root = Path(folder)
        if not postgres:
            asyncio.run(run(f"sqlite+aiosqlite:///{root / 'bench.sqlite'}", "SQLite", customers, explain))
            return
        root.chmod(0o755)
        server, admin = start_postgres(root / "postgres", port=free_port(), log=root / "log", durable=False)
        try:
            asyncio.run(run(asyncio.run(create_database(admin, "bench")), "PostgreSQL", customers, explain))
        finally:
            stop(server, patience=3)


if __name__ == "__main__":
    typer.run(main)
