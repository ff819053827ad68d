"""`python -m bench.follow_ups`: the daily look at follow-ups on the first day, on a quiet one and on one with much due.

Each look runs as the worker runs it, in a process of its own, whose peak memory is measured.
"""

import asyncio
import random
import sys
import time
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from bench.children import Child, run_child
from bench.stores import on_sql_engines
from core.clock import utc_now
from core.days import day_of
from core.db import Database, table_of
from core.ids import derived_id
from customers.profiles import Customer
from migrations.sql_migrations import upgrade_sql
from segments.tiering import CustomerTier
from service.follow_up_runs import FollowUpRun

ZONE = "Asia/Shanghai"
STEP = 5_000
LOOK = """
import asyncio, sys
from datetime import datetime
from core.db import Database
from worker.follow_ups import sweep_follow_ups
asyncio.run(sweep_follow_ups(Database(sys.argv[1], pool_size=2, timeout=600), now=datetime.fromisoformat(sys.argv[2])))
"""


async def fill(database: Database, customers: int, now: datetime) -> None:
    """So many customers, of a hundred 3 VIP and 12 POTENTIAL."""
    await upgrade_sql(database)
    chance = random.Random(7)
    for first in range(0, customers, STEP):
        ids = [derived_id("bench", str(number)) for number in range(first, min(first + STEP, customers))]
        tiers: list[dict[str, Any]] = []
        for one in ids:
            tier = chance.choices(("VIP", "POTENTIAL", "MASS"), (3, 12, 85))[0]
            row = {"customer_id": one, "tier": tier, "computed_tier": tier, "decided_at": now}
            tiers.append(row | {"on_watch": False, "computed_watch": False})
        async with database.write() as session:
            connection = await session.connection()
            people = [{"id": one, "display_name": "Bench", "created_at": now} for one in ids]
            await connection.execute(insert(table_of(Customer)), people)
            await connection.execute(insert(table_of(CustomerTier)), tiers)


async def figures(url: str, at: datetime, child: Child, seconds: float) -> list[str]:
    database = Database(url)
    try:
        async with database.read() as session:
            run = await session.get_one(FollowUpRun, day_of(at, ZONE))
    finally:
        await database.close()
    if run.finished_at is None:
        raise RuntimeError("the look has not come to its end")
    found = (run.customers, run.tasks, run.messages, run.missed)
    return [
        *(f"{one:,}" for one in found),
        f"{seconds:,.1f}",
        f"{run.customers / seconds:,.0f}",
        f"{child.peak_mib:,.0f}",
    ]


async def measure(name: str, url: str, customers: int) -> list[list[str]]:
    now = utc_now()
    database = Database(url, timeout=3_600)
    await fill(database, customers, now)
    await database.close()
    lines: list[list[str]] = []
    for words, days in (("first day", 0), ("quiet day", 1), ("30 days later", 30)):
        at = now + timedelta(days=days)
        command = [sys.executable, "-c", LOOK, url, at.isoformat()]
        began = time.perf_counter()
        child = await asyncio.to_thread(run_child, command, {"ENVIRONMENT": "test", "PATH": "/usr/bin:/bin"})
        lines.append([name, words, *await figures(url, at, child, time.perf_counter() - began)])
    return lines


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 100_000,
    postgres: Annotated[bool, typer.Option(help="Measure on PostgreSQL too.")] = True,
) -> None:
    """Measure the daily look at follow-ups on SQLite and PostgreSQL."""
    columns = ("store", "day", "customers", "tasks", "messages", "missed", "seconds", "customers/s", "peak MiB")
    table = Table(*columns)
    lines = on_sql_engines(lambda name, url: measure(name, url, customers), postgres=postgres)
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
