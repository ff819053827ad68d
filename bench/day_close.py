"""`python -m bench.day_close`: the close of a day with many lots, beside the plain UPDATE of the same lots.

The close runs as the worker runs it, in a process of its own, whose peak memory is measured. The plain cost is one
statement that empties the same lots and keeps neither postings nor balances. The ratio says what books cost on top.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, text

from bench.children import run_child
from core.clock import utc_now
from core.days import day_of, end_of_day
from core.db import Database, Session, table_of
from core.ids import derived_id
from core.processes import free_port, stop
from loyalty.day_close import DayClose
from loyalty.ledger import AccountKind, LedgerAccount, LedgerEntry, LedgerPosting, account_id
from loyalty.lots import LedgerLot
from loyalty.trial_balance import trial_balance
from migrations.sql_migrations import upgrade_sql
from ops.postgres_server import create_database, start_postgres

ZONE = "Asia/Shanghai"
ROWS = 10_000
POINTS = 10
EMPTY = "UPDATE ledger_lot SET remaining = 0 WHERE remaining > 0 AND expires_at <= :end"


def rows_of(first: int, lots: int, per_customer: int, expires_at: datetime) -> dict[type[Any], list[dict[str, Any]]]:
    """What `lots` earnings from the number `first` on leave behind, of customers who have nothing else."""
    earned = expires_at - timedelta(days=300)
    tables: dict[type[Any], list[dict[str, Any]]] = {
        model: [] for model in (LedgerAccount, LedgerPosting, LedgerEntry, LedgerLot)
    }
    for number in range(first, first + lots):
        customer, place = derived_id("bench", str(number // per_customer)), number % per_customer
        posting, account = derived_id("posting", str(number)), account_id(AccountKind.AVAILABLE, customer)
        if place == 0:
            mine = min(per_customer, first + lots - number)
            tables[LedgerAccount].append(
                {
                    "id": account,
                    "kind": AccountKind.AVAILABLE,
                    "customer_id": customer,
                    "balance": mine * POINTS,
                    "last_position": mine,
                }
            )
        tables[LedgerPosting].append(
            {
                "id": posting,
                "key": f"bench:{number}",
                "kind": "EARN",
                "cause_kind": "BENCH",
                "cause_id": posting,
                "occurred_at": earned,
                "booked_at": earned,
            }
        )
        for name, points, position in ((account, POINTS, place + 1), ("house:issuance", -POINTS, None)):
            tables[LedgerEntry].append(
                {
                    "id": derived_id(name, str(number)),
                    "posting_id": posting,
                    "account_id": name,
                    "points": points,
                    "position": position,
                    "balance_after": position * POINTS if position else None,
                }
            )
        tables[LedgerLot].append(
            {
                "id": derived_id("lot", str(number)),
                "customer_id": customer,
                "posting_id": posting,
                "points": POINTS,
                "remaining": POINTS,
                "earned_at": earned,
                "available_at": earned,
                "expires_at": expires_at - timedelta(seconds=place),
                "released": True,
            }
        )
    return tables


async def put(session: Session, tables: dict[type[Any], list[dict[str, Any]]]) -> None:
    connection = await session.connection()
    for model, rows in tables.items():
        if rows:
            await connection.execute(insert(table_of(model)), rows)


async def fill(database: Database, lots: int, per_customer: int, expires_at: datetime) -> None:
    await upgrade_sql(database)
    house = {"id": "house:issuance", "kind": AccountKind.ISSUANCE}
    async with database.write() as session:
        await put(session, {LedgerAccount: [house]})
    step = ROWS - ROWS % per_customer
    for first in range(0, lots, step):
        async with database.write() as session:
            await put(session, rows_of(first, min(step, lots - first), per_customer, expires_at))
    if not database.is_sqlite:
        async with database.engine.connect() as connection:
            free = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await free.execute(text("VACUUM ANALYZE"))


async def empty(database: Database, end: datetime) -> float:
    """The seconds of the plain UPDATE, in a transaction that is rolled back after they are taken."""
    async with database.engine.connect() as connection:
        began = time.perf_counter()
        statement = text(EMPTY).bindparams(end=end if not database.is_sqlite else end.strftime("%Y-%m-%d %H:%M:%S.%f"))
        await connection.execute(statement)
        seconds = time.perf_counter() - began
        await connection.rollback()
    return seconds


async def measure(name: str, url: str, lots: int, per_customer: int) -> list[str]:
    """A line of the report; raises RuntimeError where the books do not hold afterwards."""
    day = day_of(utc_now(), ZONE) - timedelta(days=1)
    end = end_of_day(day, ZONE)
    database = Database(url, timeout=3_600)
    try:
        await fill(database, lots, per_customer, end - timedelta(hours=1))
        plain = await empty(database, end)
        await database.engine.dispose()
        environment = {"ENVIRONMENT": "test", "DATABASE_URL": url, "LOYALTY_TIME_ZONE": ZONE, "PATH": "/usr/bin:/bin"}
        import_only = await asyncio.to_thread(run_child, python("import worker.day_close"), environment)
        child = await asyncio.to_thread(run_child, python(module="worker.day_close"), environment)
        async with database.read() as session:
            began = time.perf_counter()
            proof = await trial_balance(session)
            proven = time.perf_counter() - began
            row = await session.get_one(DayClose, day)
        if not proof.holds or row.expired_lots != lots:
            raise RuntimeError(f"{row.expired_lots} of {lots} lots expired, findings: {proof.findings}")
        booking = child.seconds - import_only.seconds - proven
        figures = (plain, booking, booking / plain, lots / booking, proven, import_only.peak_mib, child.peak_mib)
        return [name, f"{lots:,}", *(f"{figure:,.1f}" for figure in figures)]
    finally:
        await database.close()


def python(code: str = "", *, module: str = "") -> Sequence[str]:
    return [sys.executable, "-m", module] if module else [sys.executable, "-c", code]


def main(
    lots: Annotated[int, typer.Option(help="How many lots expire on the day.")] = 20_000,
    per_customer: Annotated[int, typer.Option(help="How many of them belong to one customer.")] = 4,
    postgres: Annotated[bool, typer.Option(help="Measure on PostgreSQL too.")] = True,
) -> None:
    """Measure a day close on SQLite and PostgreSQL."""
    table = Table("store", "lots", "UPDATE s", "close s", "ratio", "lots/s", "proof s", "idle MiB", "peak MiB")
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        url = f"sqlite+aiosqlite:///{folder / 'bench.sqlite'}"
        table.add_row(*asyncio.run(measure("SQLite", url, lots, per_customer)))
        if postgres:
            server, admin = start_postgres(folder / "postgres", port=free_port(), log=folder / "postgres.log")
            try:
                url = asyncio.run(create_database(admin, "bench"))
                table.add_row(*asyncio.run(measure("PostgreSQL", url, lots, per_customer)))
            finally:
                stop(server)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
