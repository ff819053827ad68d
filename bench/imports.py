"""`python -m bench.imports lastfm PATH` or `rsvps PATH`: import real data twice, and say how fast and how much."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench.datasets import lastfm_rows, rsvp_rows
from core.db import Database
from core.processes import REPOSITORY, free_port, stop
from graph.client import GraphClient
from graph.engine import DATABASE, USER, graph_password, start_graph
from graph.ready import wait_for_bolt
from migrations.graph_migrations import upgrade_graph
from migrations.sql_migrations import upgrade_sql

READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {"lastfm": lastfm_rows, "rsvps": rsvp_rows}

# The import as its own process, which says at its end how much memory it took at most (Linux tells it in KiB).
CHILD = """
import resource, runpy, sys
sys.argv = ["customers.imports", *sys.argv[1:]]
try:
    runpy.run_module("customers.imports", run_name="__main__")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One import: its seconds, the child's peak memory in MiB, and what it said of rows."""

    seconds: float
    peak_mib: float
    said: str


def write_file(rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write JSON Lines; returns how many."""
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def run_import(path: Path, environment: dict[str, str]) -> Run:
    """Run the command over the file; raises RuntimeError when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), "--source", "bench"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the import ended with {done.returncode}: {done.stderr[-2_000:]}")
    said = " ".join(done.stderr.split())
    return Run(time.monotonic() - began, int(done.stdout) / 1024, said.split(": ", 1)[-1].split(" (report")[0])


NODES = "MATCH (n) UNWIND labels(n) AS name RETURN name, count(n) AS count ORDER BY name"
RELATIONSHIPS = "MATCH ()-[r]->() RETURN type(r) AS name, count(r) AS count ORDER BY name"
COUNTERS = """
MATCH (c:Community)
RETURN 'member_count' AS name, sum(c.member_count) AS count
UNION ALL
MATCH (e:Event)
RETURN 'registered' AS name, sum(e.registered) AS count
"""


async def census(graph: GraphClient) -> dict[str, int]:
    """How many nodes and relationships of each kind there are, and the sums of what is counted on nodes."""
    counts: dict[str, int] = {}
    for query in (NODES, RELATIONSHIPS, COUNTERS):
        counts |= {row["name"]: row["count"] for row in await graph.read(query, timeout=60)}
    return counts


async def prepare(graph: GraphClient, database_url: str) -> None:
    database = Database(database_url)
    await upgrade_sql(database)
    await database.close()
    await upgrade_graph(graph)


async def measure(dataset: str, path: Path, folder: Path, port: int) -> None:
    """Import into fresh stores, import again, print both; raises AssertionError when the second changed anything."""
    url, password = f"sqlite+aiosqlite:///{folder / 'bench.sqlite'}", graph_password(folder / "graph")
    uri = f"bolt://127.0.0.1:{port}"
    await wait_for_bolt(uri, USER, password, timeout=90)
    file = folder / f"{dataset}.jsonl"
    rows = write_file(READERS[dataset](path), file)
    environment = {
        **os.environ,
        "ENVIRONMENT": "test",
        "DATABASE_URL": url,
        "NEO4J_URI": uri,
        "NEO4J_USER": USER,
        "NEO4J_PASSWORD": password,
        "NEO4J_DATABASE": DATABASE,
    }
    async with GraphClient(uri, user=USER, password=password, database=DATABASE, timeout=60) as graph:
        await prepare(graph, url)
        table = Table("Run", "Rows", "Seconds", "Rows/s", "Peak memory", "Result", title=dataset, title_justify="left")
        counts: list[dict[str, int]] = []
        for name in ("first", "again"):
            run = await asyncio.to_thread(run_import, file, environment)
            counts.append(await census(graph))
            speed, peak = f"{rows / run.seconds:.0f}", f"{run.peak_mib:.0f} MiB"
            table.add_row(name, str(rows), f"{run.seconds:.1f}", speed, peak, run.said)
    Console().print(table)
    Console().print(json.dumps(counts[0]))
    assert counts[0] == counts[1], f"the second import changed something: {counts[1]}"


def main(
    dataset: Annotated[Literal["lastfm", "rsvps"], typer.Argument(help="Which data set.")],
    path: Annotated[Path, typer.Argument(exists=True, help="The folder of last.fm, or the file of RSVPs.")],
) -> None:
    """Measure the import on embedded stores in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="kinship-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        server = start_graph(folder / "graph", bolt_port=port, http_port=free_port(), log=folder / "graph.log")
        try:
            asyncio.run(measure(dataset, path, folder, port))
        finally:
            stop(server)


if __name__ == "__main__":
    typer.run(main)
