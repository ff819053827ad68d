"""`python -m bench.records`: the import of rows of mixed kinds, through the command, in bounded memory.

The file is imported three times: whole into stores of its own; into others, where it is killed half-way and started
again; and once more there. Both censuses and all sums have to be the same.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench.children import Child
from bench.imports import census, costs, run_import, verdict, write_file
from bench.stores import Stores, embedded_stores, real_stores
from core.db import Database
from core.processes import start_leashed

ROWS_PER_CUSTOMER = 14
TAGS = 20
AT = "2026-11-01T00:30:00+08:00"
# What each table has to say the same, however often the file came.
SUMS = {
    "customer": "count(*)",
    "account": "count(*)",
    "holding": "count(*), sum(amount)",
    "monthly_balance": "count(*), sum(average), sum(contribution)",
    "account_transaction": "count(*), sum(amount)",
    "customer_trait": "count(*), sum(number)",
    "service_record": "count(*)",
    "channel_preference": "count(*)",
    "fact": "count(*)",
}


def mixed_rows(rows: int) -> Iterator[dict[str, Any]]:
    """So many rows: tags, then customer after customer with fourteen rows each."""
    chance = random.Random(7)
    for nth in range(TAGS):
        yield {"kind": "tag", "key": f"t{nth}", "name_zh": "词", "name_en": "Word", "family": "INTEREST"}
    number, written = 0, TAGS
    while written < rows:
        for row in rows_of_customer(f"c-{number:07}", chance):
            if written == rows:
                return
            yield row
            written += 1
        number += 1


def rows_of_customer(key: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    mine: dict[str, Any] = {"customer": key, "observed_at": AT}
    money: dict[str, Any] = {**mine, "currency": "CNY"}
    yield {"kind": "customer", "key": key, "display_name": key, "customer_since": "2020-05-01T00:00:00Z"}
    yield {"kind": "customer_tag", "customer": key, "tag": f"t{chance.randrange(TAGS)}"}
    yield {"kind": "account", **money, "key": f"{key}-a", "account_kind": "SAVINGS"}
    holding = {"product": "FUND-1", "product_kind": "FUND", "amount": f"{chance.randrange(10**6)}.50"}
    yield {"kind": "holding", **money, "key": f"{key}-h", **holding}
    for month in ("2026-08", "2026-09", "2026-10"):
        yield {"kind": "monthly_balance", **money, "month": month, "average": f"{chance.randrange(10**6)}.07"}
    for nth in range(3):
        entry = {"amount": f"-{nth + 1}.25", "transaction_kind": "CARD", "occurred_at": AT, "account": f"{key}-a"}
        yield {"kind": "transaction", **money, "key": f"{key}-{nth}", **entry}
    yield {"kind": "trait", **mine, "name": "potential", "value": chance.randrange(101)}
    yield {"kind": "trait", **mine, "name": "city", "value": "Shanghai"}
    contact = {"service_kind": "CALL", "channel": "phone", "topic": "card", "occurred_at": AT}
    yield {"kind": "service_record", "customer": key, "key": f"{key}-s", **contact}
    yield {"kind": "channel_preference", **mine, "channel": "app", "preferred": True}


async def sums_of(stores: Stores) -> dict[str, Any]:
    database = Database(stores.database_url, timeout=600)
    try:
        async with database.read() as session:
            connection = await session.connection()
            return {
                name: [int(one or 0) for one in (await connection.execute(text(f"SELECT {what} FROM {name}"))).one()]  # noqa: S608
                for name, what in SUMS.items()
            }
    finally:
        await database.close()


async def accepted(stores: Stores) -> int:
    database = Database(stores.database_url, timeout=600)
    try:
        async with database.read() as session:
            connection = await session.connection()
            statement = text("SELECT coalesce(sum(accepted), 0) FROM import_batch")
            return int((await connection.execute(statement)).scalar_one())
    finally:
        await database.close()


def run_killed(path: Path, stores: Stores, rows: int) -> None:
    """Kill the command once half of the rows are in."""
    command = [sys.executable, "-m", "customers.imports", str(path), "--source", "bench"]
    child = start_leashed(command, log=stores.folder / "killed.log", env=stores.environment())
    while asyncio.run(accepted(stores)) < rows // 2:
        if child.poll() is not None:
            raise RuntimeError((stores.folder / "killed.log").read_text()[-2_000:])
        time.sleep(0.2)
    child.kill()
    child.wait()


def outcome(stores: Stores) -> dict[str, Any]:
    return {**asyncio.run(census(stores)), **asyncio.run(sums_of(stores))}


def line(stores: Stores, name: str, run: Child, rows: int) -> list[str]:
    return [stores.name, name, f"{rows:,}", *costs(run, rows), verdict(run)]


def main(
    rows: Annotated[int, typer.Option(help="How many rows.")] = 50_000,
    postgres: Annotated[bool, typer.Option(help="Neo4j and PostgreSQL instead of the embedded engines.")] = False,
) -> None:
    """Measure the import of mixed rows."""
    table = Table("Store", "Run", "Rows", "Seconds", "Of them busy", "Rows/s", "Peak memory", "Result")
    found: list[dict[str, Any]] = []
    for killed in (False, True):
        with real_stores() if postgres else embedded_stores(heap="1g") as stores:
            path = stores.folder / "rows.jsonl"
            write_file(mixed_rows(rows), path)
            if killed:
                run_killed(path, stores, rows)
            table.add_row(*line(stores, "after a kill" if killed else "first", run_import(path, stores), rows))
            found.append(outcome(stores))
            if killed:
                table.add_row(*line(stores, "again", run_import(path, stores), rows))
                found.append(outcome(stores))
    Console(width=150).print(table)
    Console().print(orjson.dumps(found[0]).decode())
    assert found[0] == found[1] == found[2], found


if __name__ == "__main__":
    typer.run(main)
