"""`python -m bench.tiers`: the monthly run of tiers, beside the plain aggregate of the same balances.

The run is the worker's own, in a process of its own, whose peak memory is measured: once for a month in which all are
new, and once for the next one, in which most stay where they are. The plain cost is one statement that sums a year of
balances by customer and keeps nothing.
"""

import asyncio
import sys
import time
from datetime import date, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlmodel import select

from bench.children import run_child
from bench.stores import Stores, embedded_stores, real_stores
from core.clock import utc_now
from core.days import day_of, months_before, start_of_month
from core.db import Database
from customers.tier_records import TierRun

ZONE = "Asia/Shanghai"
# Balances are u^4 of 2,000,000 yuan: most have little, about a third has more than 50,000, some more than 500,000.
CUSTOMERS = {
    True: """
INSERT INTO customer (id, display_name, phone_verified, email_verified, customer_since, created_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :customers)
SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7000-8000-' || hex(randomblob(6))), 'bench', 0, 0,
       date('2026-01-01', '-' || (abs(random()) % 5000) || ' days') || ' 00:00:00.000000', '2026-01-01 00:00:00.000000'
FROM n
""",
    False: """
INSERT INTO customer (id, display_name, phone_verified, email_verified, customer_since, created_at)
SELECT gen_random_uuid()::text, 'bench', false, false, timestamptz '2026-01-01' - random() * interval '5000 days', now()
FROM generate_series(1, :customers)
""",
}
UNIT = {True: "(abs(random()) % 1000000 / 1000000.0)", False: "random()"}
BASES = "CREATE TABLE bench_base AS SELECT id, {u} AS u FROM customer"
BALANCES = """
INSERT INTO monthly_balance (customer_id, month, source, customer_key, average, contribution, currency, observed_at,
                             recorded_at)
SELECT id, :month, 'bench', '', CAST(u * u * u * u * 200000000 * (0.8 + 0.4 * {u}) AS BIGINT),
       CAST(u * 30000 AS BIGINT), 'CNY', :at, :at
FROM bench_base
"""
POTENTIALS = """
INSERT INTO customer_trait (customer_id, name, item, number, source, observed_at, recorded_at)
SELECT id, 'potential', '', CAST({u} * 100 AS BIGINT), 'bench', :at, :at FROM bench_base
"""
PLAIN = """
SELECT count(*), sum(a), sum(c) FROM (
  SELECT customer_id, sum(CASE WHEN month = :month THEN average END) AS a, sum(contribution) AS c
  FROM monthly_balance GROUP BY customer_id
) AS sums
"""
NODES = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'bench'})"


def months_of(count: int) -> list[date]:
    """The last months that are over, the oldest first."""
    last = months_before(start_of_month(day_of(utc_now(), ZONE)), 1)
    return [months_before(last, back) for back in reversed(range(count))]


async def fill(stores: Stores, customers: int, months: list[date]) -> None:
    database = Database(stores.database_url, timeout=3_600)
    lite, at = database.is_sqlite, utc_now() - timedelta(days=1)
    moment = at.strftime("%Y-%m-%d %H:%M:%S.%f") if lite else at
    try:
        async with database.write() as session:
            connection = await session.connection()
            await connection.execute(text(CUSTOMERS[lite]), {"customers": customers})
            await connection.execute(text(BASES.format(u=UNIT[lite])))
            await connection.execute(text(POTENTIALS.format(u=UNIT[lite])), {"at": moment})
        for month in months:
            async with database.write() as session:
                connection = await session.connection()
                values = {"month": month.isoformat() if lite else month, "at": moment}
                await connection.execute(text(BALANCES.format(u=UNIT[lite])), values)
        async with database.engine.connect() as connection:
            free = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await free.execute(text("ANALYZE"))
        await put_nodes(stores, database)
    finally:
        await database.close()


async def put_nodes(stores: Stores, database: Database) -> None:
    async with stores.graph() as graph, database.read() as session:
        connection = await session.connection()
        ids = [str(row.id) for row in await connection.execute(text("SELECT id FROM customer"))]
        for first in range(0, len(ids), 5_000):
            await graph.write(NODES, timeout=60, ids=ids[first : first + 5_000])


async def plain(database: Database, month: date) -> float:
    value = month.isoformat() if database.is_sqlite else month
    async with database.read() as session:
        connection = await session.connection()
        began = time.perf_counter()
        await connection.execute(text(PLAIN), {"month": value})
        return time.perf_counter() - began


def measure(stores: Stores, customers: int, months: int, table: Table) -> None:
    """A line for each of the two runs; raises RuntimeError where somebody was left out."""
    asked = months_of(months)
    began = time.perf_counter()
    asyncio.run(fill(stores, customers, asked))
    Console(stderr=True).print(f"{stores.name}: filled in {time.perf_counter() - began:.0f} s")
    environment = {**stores.environment(), "LOYALTY_TIME_ZONE": ZONE}
    idle = run_child([sys.executable, "-c", "import worker.tiers"], environment)
    for name, month in (("first", asked[-2]), ("next", asked[-1])):
        child = run_child([sys.executable, "-m", "worker.tiers", "--month", month.isoformat()[:7]], environment)
        sums, run = asyncio.run(check(stores, month, customers))
        seconds = child.seconds - idle.seconds
        figures = (sums, seconds, child.busy_seconds - idle.busy_seconds, seconds / sums, customers / seconds)
        cells = [f"{figure:,.1f}" for figure in (*figures, idle.peak_mib, child.peak_mib)]
        table.add_row(stores.name, name, f"{customers:,}", *cells, f"{run.rises:,}", f"{run.on_watch:,}")


async def check(stores: Stores, month: date, customers: int) -> tuple[float, TierRun]:
    database = Database(stores.database_url, timeout=3_600)
    try:
        async with database.read() as session:
            run = (await session.exec(select(TierRun).where(TierRun.month == month))).one()
        if (run.customers, run.decided) != (customers, customers) or run.closed_at is None:
            raise RuntimeError(f"{run.decided} of {customers} were decided")
        return await plain(database, month), run
    finally:
        await database.close()


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 50_000,
    months: Annotated[int, typer.Option(help="Of how many months there are balances.", min=2, max=13)] = 4,
    postgres: Annotated[bool, typer.Option(help="Neo4j and PostgreSQL instead of the embedded engines.")] = False,
) -> None:
    """Measure two monthly runs."""
    columns = ("store", "run", "customers", "SQL s", "run s", "busy s", "ratio", "customers/s", "idle MiB", "peak MiB")
    table = Table(*columns, "rises", "on watch")
    with real_stores() if postgres else embedded_stores(heap="1g") as stores:
        measure(stores, customers, months, table)
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
