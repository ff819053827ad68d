"""`python -m bench.care`: a day of care for many customers, on the worst day of the year: a festival for all of them.

Planned are four days of birthdays and the festival, then all that is due at nine is decided. Each is a process of its
own, whose peak memory is measured. The plain cost is one pass over the customers and their days in the database alone.
"""

import random
import sys
import time
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, text

from bench.children import Child, run_child
from bench.stores import on_sql_engines
from core.clock import iso
from core.db import Database, table_of
from core.ids import derived_id
from core.settings import DEVELOPMENT_ONLY
from customers.consents import Consent
from customers.profiles import Customer
from migrations.sql_migrations import upgrade_sql
from service.care_calendar import CareCalendar, all_care_days, greeted_at
from service.care_dates import CareDate, NewCareDate, row_of
from service.care_kinds import CareKind, CareSource

ZONE = "Asia/Shanghai"
STEP = 2_000
# The Mid-Autumn Festival, for which everybody is greeted, and the first moment of the day before.
FESTIVAL = date(2026, 9, 25)
PLANNED_AT = greeted_at(FESTIVAL - timedelta(days=1), ZONE, 0)
DECIDED_AT = greeted_at(FESTIVAL, ZONE, 9)
PLAIN = (
    "SELECT count(*), max(id), max(created_at) FROM customer",
    "SELECT count(*), max(customer_id), max(day_code) FROM care_date",
    "SELECT count(*), max(customer_id), max(given_at) FROM consent",
)


def rows_of(first: int, count: int) -> dict[type[Any], list[dict[str, Any]]]:
    """So many customers with a birthday, one in five by the lunar calendar; one in ten does not allow care."""
    chance = random.Random(first)
    at = PLANNED_AT - timedelta(days=100)
    solar = [day for day in all_care_days() if day.calendar == CareCalendar.SOLAR]
    lunar = [day for day in all_care_days() if day.calendar == CareCalendar.LUNAR and not day.is_leap]
    tables: dict[type[Any], list[dict[str, Any]]] = {Customer: [], CareDate: [], Consent: []}
    for number in range(first, first + count):
        mine = derived_id("bench", str(number))
        tables[Customer].append({"id": mine, "display_name": "Bench", "created_at": at})
        day = chance.choice(lunar if chance.random() < 0.2 else solar)
        told = NewCareDate(CareKind.BIRTHDAY, day)
        tables[CareDate].append(row_of(mine, told, CareSource.PROFILE, "bench", DEVELOPMENT_ONLY, at))
        status = "DENIED" if chance.random() < 0.1 else "GRANTED"
        row = {"id": derived_id("word", mine), "customer_id": mine, "purpose": "CARE", "channel": "ALL"}
        row |= {"status": status, "source": "bench", "given_by": "bench", "given_at": at, "recorded_at": at}
        tables[Consent].append(row)
    return tables


async def fill(database: Database, customers: int) -> None:
    await upgrade_sql(database)
    for first in range(0, customers, STEP):
        async with database.write() as session:
            connection = await session.connection()
            for model, rows in rows_of(first, min(STEP, customers - first)).items():
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


async def count(database: Database, statement: str) -> int:
    async with database.engine.connect() as connection:
        return int((await connection.execute(text(statement))).scalar_one())


def moment(url: str, now: datetime) -> Child:
    return run_child([sys.executable, "-m", "bench.care_moment", url, iso(now)], {})


async def measure(name: str, url: str, customers: int) -> list[list[str]]:
    database = Database(url, timeout=600)
    try:
        await fill(database, customers)
        base = await plain(database)
        began = moment(url, PLANNED_AT)
        planned = await count(database, "SELECT count(*) FROM care_occasion")
        decided = moment(url, DECIDED_AT)
        owed = await count(database, "SELECT count(*) FROM outbox WHERE topic = 'message.owed'")
        idle = moment(url, DECIDED_AT)
        again = await count(database, "SELECT count(*) FROM outbox WHERE topic = 'message.owed'")
        assert again == owed, (again, owed)
    finally:
        await database.close()
    return [
        [name, "plan", f"{customers:,}", f"{planned:,}", *figures(began, idle, base, planned)],
        [name, "decide", f"{customers:,}", f"{owed:,}", *figures(decided, idle, base, customers)],
    ]


def figures(child: Child, idle: Child, base: float, rows: int) -> list[str]:
    seconds = max(child.seconds - idle.seconds, 0.001)
    found = (base, seconds, seconds / base, rows / seconds, idle.peak_mib, child.peak_mib)
    return [f"{figure:,.1f}" for figure in found]


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 100_000,
    postgres: Annotated[bool, typer.Option(help="Measure on PostgreSQL too.")] = True,
) -> None:
    """Measure a day of care on SQLite and PostgreSQL."""
    table = Table("store", "what", "customers", "made", "plain s", "s", "ratio", "rows/s", "idle MiB", "peak MiB")
    lines = on_sql_engines(lambda name, url: measure(name, url, customers), postgres=postgres)
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
