"""`python -m bench.recommendations_job --lastfm FOLDER` or `--customers N`: how long the bulk computation takes.

The job runs as the worker runs it, in a process of its own; then the lists are read as the API reads them.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench.children import Child, run_child
from bench.datasets import lastfm_rows
from bench.imports import costs, run_import, verdict, write_file
from bench.stores import Stores, embedded_stores
from community.recommendation_lists import recommended_communities
from core.clock import utc_now
from graph.client import GraphClient
from ops.demonstration.bank import Bank
from ops.demonstration.load import PROGRAM_ID, offer

READS = 200
# The bank's dates are told from this day, so that two runs measure the same rows.
TODAY = date(2026, 11, 24)
CUSTOMERS = "MATCH (c:Customer) RETURN c.id AS id"


def load(rows: Iterator[dict[str, Any]], stores: Stores) -> None:
    """Import the rows and print how fast; the referral programme that they may name is there before them."""
    asyncio.run(make_program(stores))
    file = stores.folder / "rows.jsonl"
    count = write_file(rows, file)
    run = run_import(file, stores)
    file.unlink()
    columns = ("Rows", "Seconds", "Of them busy", "Rows/s", "Peak memory", "Result")
    table = Table(*columns, title="Import", title_justify="left")
    table.add_row(str(count), *costs(run, count), verdict(run))
    Console().print(table)


async def make_program(stores: Stores) -> None:
    database = stores.database()
    async with database.write() as session:
        await offer(session, now=utc_now())
    await database.close()


def measure_job(stores: Stores) -> None:
    """Run the job and print what it took."""
    environment = {**stores.environment(), "DATA_DIR": str(stores.folder)}
    run = run_child([sys.executable, "-m", "worker.recommendations", "--again"], environment)
    report = report_of(run)
    columns = ("Customers", "Lists", "Seconds", "Of them busy", "Customers/s", "Peak memory")
    table = Table(*columns, title="Job", title_justify="left")
    customers, lists = report["customers"], report["lists_written"]
    table.add_row(str(customers), str(lists), *costs(run, customers))
    Console().print(table)


def report_of(run: Child) -> dict[str, Any]:
    """What the job says in its log of the run."""
    lines = (orjson.loads(line) for line in run.said.splitlines() if line.startswith("{"))
    return next(line for line in lines if line["event"] == "recommendations")


async def measure_reads(stores: Stores) -> None:
    """Read the lists of some customers, one after the other, and print the latency beside that of an empty query."""
    async with stores.graph() as graph:
        ids = [row["id"] for row in await graph.read(CUSTOMERS, timeout=60)]
        chosen = random.Random(7).choices(ids, k=READS)
        nothing = await latencies(lambda _: graph.read("RETURN 1 AS one"), chosen)
        lists = await latencies(lambda customer: read_list(graph, customer), chosen)
    table = Table("Read", "Median", "95 of 100", "Times", title=f"{READS} reads", title_justify="left")
    for name, found in (("RETURN 1", nothing), ("recommended_communities", lists)):
        median, slow = statistics.median(found), statistics.quantiles(found, n=20)[-1]
        table.add_row(name, f"{median:.2f} ms", f"{slow:.2f} ms", f"{median / statistics.median(nothing):.1f}")
    Console().print(table)


async def read_list(graph: GraphClient, customer_id: str, *, first: int | None = None) -> None:
    await recommended_communities(graph, customer_id, tag=None, first=first, after=None)


async def latencies(read: Callable[[str], Awaitable[object]], customers: list[str]) -> list[float]:
    """Milliseconds of each read; what comes before the first is to warm up."""
    for customer in customers[:20]:
        await read(customer)
    found: list[float] = []
    for customer in customers:
        began = time.perf_counter()
        await read(customer)
        found.append(1_000 * (time.perf_counter() - began))
    return found


def main(
    lastfm: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="The folder of last.fm.")] = None,
    customers: Annotated[int | None, typer.Option(min=20, help="A demonstration bank of so many customers.")] = None,
    heap: Annotated[str, typer.Option(help="The engine's heap.")] = "512m",
    keep: Annotated[Path | None, typer.Option(help="Keep the stores here, and load them only once.")] = None,
) -> None:
    """Measure the recommendation job and the reading of its lists on embedded stores."""
    if (lastfm is None) == (customers is None):
        raise typer.BadParameter("give either --lastfm or --customers")
    loaded = keep is not None and (keep / "loaded").exists()
    with embedded_stores(heap=heap, kept=keep) as stores:
        if not loaded:
            load(lastfm_rows(lastfm) if lastfm else Bank(customers or 0, TODAY, program=PROGRAM_ID).rows(), stores)
            (stores.folder / "loaded").touch()
        measure_job(stores)
        asyncio.run(measure_reads(stores))


if __name__ == "__main__":
    typer.run(main)
