"""`python -m bench.alerts`: the daily looks for alerts and needs, beside the plain reading of what they look at.

Each look runs as the worker runs it, in a process of its own, whose peak memory is measured. The plain cost is one pass
over all transactions and balances, grouped by customer, in the database alone; the ratio says what the rules cost.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, text

from bench.children import Child, run_child
from bench.stores import on_sql_engines
from core.clock import utc_now
from core.days import day_of, last_months, months_before
from core.db import Database, table_of
from core.ids import derived_id
from customers.insight_sweeps import InsightSweep
from customers.profiles import Customer
from customers.records import AccountTransaction, Holding, MonthlyBalance, ServiceRecord
from migrations.sql_migrations import upgrade_sql
from segments.traits import CustomerTrait

ZONE = "Asia/Shanghai"
STEP = 500
MONTHS = 13
PLAIN = (
    "SELECT count(*), sum(n) FROM (SELECT customer_id, count(*) AS n, sum(amount), max(occurred_at) "
    "FROM account_transaction GROUP BY customer_id) AS moved",
    "SELECT count(*) FROM (SELECT customer_id, max(average) FROM monthly_balance GROUP BY customer_id) AS balances",
)
Tables = dict[type[Any], list[dict[str, Any]]]


def rows_of(first: int, count: int, moves: int, now: datetime) -> Tables:
    """So many customers: balances of a year, transactions of half a year, and of some a deposit and complaints."""
    chance = random.Random(first)
    tables: Tables = {
        model: [] for model in (Customer, MonthlyBalance, AccountTransaction, Holding, ServiceRecord, CustomerTrait)
    }
    told = {"source": "bench", "recorded_at": now}
    seen = told | {"observed_at": now}
    months = last_months(months_before(day_of(now, ZONE)), MONTHS)
    for number in range(first, first + count):
        mine = derived_id("bench", str(number))
        tables[Customer].append({"id": mine, "display_name": "Bench", "created_at": now})
        base = chance.randrange(1_000_00, 2_000_000_00)
        drops = chance.random() < 0.02
        for month in months:
            average = base * chance.randrange(90, 111) // 100 // (2 if drops and month == months[-1] else 1)
            row = {"customer_id": mine, "month": month, "average": average, "contribution": 0, "currency": "CNY"}
            row["customer_key"] = "1"
            tables[MonthlyBalance].append(row | seen)
        for nth in range(moves):
            at = now - timedelta(minutes=chance.randrange(200 * 24 * 60))
            amount = chance.randrange(-20_000_00, 20_000_00)
            key = f"{number}:{nth}"
            row = {"id": derived_id("move", key), "customer_id": mine, "key": key, "amount": amount, "currency": "CNY"}
            tables[AccountTransaction].append(row | {"kind": "TRANSFER", "occurred_at": at} | seen)
        if chance.random() < 0.2:
            day = day_of(now, ZONE) + timedelta(days=chance.randrange(-30, 300))
            row = {"id": derived_id("held", str(number)), "customer_id": mine, "key": str(number), "product": "Deposit"}
            row |= {"kind": "DEPOSIT", "amount": 1_000_000, "currency": "CNY", "matures_on": day}
            tables[Holding].append(row | seen)
        for nth in range(chance.choices((0, 1, 2), (95, 4, 1))[0]):
            key = f"{number}:{nth}"
            row = {"id": derived_id("told", key), "customer_id": mine, "key": key, "kind": "COMPLAINT"}
            row |= {"channel": "PHONE", "topic": "FEES", "occurred_at": now - timedelta(days=chance.randrange(100))}
            tables[ServiceRecord].append(row | seen)
        born = day_of(now, ZONE).replace(day=1) - timedelta(days=chance.randrange(20 * 365, 75 * 365))
        tables[CustomerTrait].append({"customer_id": mine, "name": "born", "item": "", "day": born} | seen)
    return tables


def batches(customers: int, moves: int, now: datetime) -> Iterator[Tables]:
    for first in range(0, customers, STEP):
        yield rows_of(first, min(STEP, customers - first), moves, now)


async def fill(database: Database, customers: int, moves: int, now: datetime) -> None:
    await upgrade_sql(database)
    for tables in batches(customers, moves, now):
        async with database.write() as session:
            connection = await session.connection()
            for model, rows in tables.items():
                if rows:
                    await connection.execute(insert(table_of(model)), rows)
    if not database.is_sqlite:
        async with database.engine.connect() as connection:
            free = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await free.execute(text("VACUUM ANALYZE"))


async def plain(database: Database) -> float:
    began = time.perf_counter()
    async with database.engine.connect() as connection:
        for statement in PLAIN:
            await connection.execute(text(statement))
    return time.perf_counter() - began


async def measure(name: str, url: str, customers: int, moves: int) -> list[list[str]]:
    """The lines of the report; raises RuntimeError where a look has not come to its end."""
    now = utc_now()
    database = Database(url, timeout=3_600)
    try:
        await fill(database, customers, moves, now)
        base = await plain(database)
        await database.engine.dispose()
        environment = {"ENVIRONMENT": "test", "DATABASE_URL": url, "PATH": "/usr/bin:/bin"}
        idle = await asyncio.to_thread(run_child, [sys.executable, "-c", "import worker.alerts"], environment)
        lines: list[list[str]] = []
        for kind, module in (("ALERTS", "worker.alerts"), ("NEEDS", "worker.needs")):
            child = await asyncio.to_thread(run_child, [sys.executable, "-m", module], environment)
            async with database.read() as session:
                row = await session.get_one(InsightSweep, (kind, day_of(now, ZONE)))
            if row.finished_at is None or row.customers != customers:
                raise RuntimeError(f"{row.customers} of {customers} customers were looked at")
            lines.append([name, module, f"{customers:,}", f"{row.raised:,}", *figures(child, idle, base, customers)])
        return lines
    finally:
        await database.close()


def figures(child: Child, idle: Child, base: float, customers: int) -> list[str]:
    seconds = child.seconds - idle.seconds
    found = (base, seconds, seconds / base, customers / seconds, idle.peak_mib, child.peak_mib)
    return [f"{figure:,.1f}" for figure in found]


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 5_000,
    moves: Annotated[int, typer.Option(help="How many transactions of half a year each has.")] = 20,
    postgres: Annotated[bool, typer.Option(help="Measure on PostgreSQL too.")] = True,
) -> None:
    """Measure the daily looks on SQLite and PostgreSQL."""
    table = Table(
        "store", "look", "customers", "raised", "plain s", "look s", "ratio", "customers/s", "idle MiB", "peak MiB"
    )
    lines = on_sql_engines(lambda name, url: measure(name, url, customers, moves), postgres=postgres)
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
