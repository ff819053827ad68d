"""`python -m bench.imports lastfm PATH` or `rsvps PATH`: import real data twice, and say how fast and how much."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench.children import Child, run_child
from bench.datasets import lastfm_rows, rsvp_rows
from bench.stores import Stores, embedded_stores
from graph.client import GraphClient

READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {"lastfm": lastfm_rows, "rsvps": rsvp_rows}


def write_file(rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write JSON Lines; returns how many."""
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def run_import(path: Path, stores: Stores, *, source: str = "bench") -> Child:
    """Run the command over the file; raises RuntimeError when it fails."""
    command = [sys.executable, "-m", "customers.imports", str(path), "--source", source]
    return run_child(command, stores.environment())


def costs(run: Child, count: int) -> tuple[str, str, str, str]:
    """Cells of a table: the seconds, those on a processor (fewer where others work too), the speed, the peak memory."""
    speed = f"{count / run.seconds:.0f}"
    return f"{run.seconds:.1f}", f"{run.busy_seconds:.1f}", speed, f"{run.peak_mib:.0f} MiB"


def verdict(run: Child) -> str:
    """How many rows the command says it took and refused."""
    return " ".join(run.said.split()).split(": ", 1)[-1].split(" (report")[0]


NODES = "MATCH (n) UNWIND labels(n) AS name RETURN name, count(n) AS count ORDER BY name"
RELATIONSHIPS = "MATCH ()-[r]->() RETURN type(r) AS name, count(r) AS count ORDER BY name"
COUNTERS = """
MATCH (c:Community)
RETURN 'member_count' AS name, sum(c.member_count) AS count
UNION ALL
MATCH (e:Event)
RETURN 'registered' AS name, sum(e.registered) AS count
"""


async def census(stores: Stores) -> dict[str, int]:
    """How many nodes and relationships of each kind there are, and the sums of what is counted on nodes."""
    async with stores.graph() as graph:
        return await count_all(graph)


async def count_all(graph: GraphClient) -> dict[str, int]:
    counts: dict[str, int] = {}
    for query in (NODES, RELATIONSHIPS, COUNTERS):
        counts |= {row["name"]: row["count"] for row in await graph.read(query, timeout=60)}
    return counts


def measure(dataset: str, path: Path, stores: Stores) -> None:
    """Import into fresh stores, import again, print both; raises AssertionError when the second changed anything."""
    file = stores.folder / f"{dataset}.jsonl"
    rows = write_file(READERS[dataset](path), file)
    columns = ("Run", "Rows", "Seconds", "Of them busy", "Rows/s", "Peak memory", "Result")
    table = Table(*columns, title=dataset, title_justify="left")
    counts: list[dict[str, int]] = []
    for name in ("first", "again"):
        run = run_import(file, stores)
        counts.append(asyncio.run(census(stores)))
        table.add_row(name, str(rows), *costs(run, rows), verdict(run))
    Console().print(table)
    Console().print(json.dumps(counts[0]))
    assert counts[0] == counts[1], f"the second import changed something: {counts[1]}"


def main(
    dataset: Annotated[Literal["lastfm", "rsvps"], typer.Argument(help="Which data set.")],
    path: Annotated[Path, typer.Argument(exists=True, help="The folder of last.fm, or the file of RSVPs.")],
) -> None:
    """Measure the import on embedded stores in a folder that is thrown away."""
    with embedded_stores() as stores:
        measure(dataset, path, stores)


if __name__ == "__main__":
    typer.run(main)
