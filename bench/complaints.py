"""`python -m bench.complaints`: the clocks of open complaints among many customers, looked at as time goes by.

Each look runs as the worker runs it, in a process of its own, whose peak memory is measured; the plain read of how
many complaints are due stands beside it, as what a look costs at least.
"""

import asyncio
import random
import sys
import time
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlmodel import col, func, select

from bench.children import run_child
from bench.follow_ups import fill
from bench.stores import RING, on_sql_engines
from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.outbox import Outbox
from core.tasks import TASK_OWED
from service.complaint_records import Complaint, ComplaintChannel, ComplaintMark, ComplaintTopic
from service.complaints import NewComplaint, file_complaint

BATCH = 200
LOOK = """
import asyncio, sys
from datetime import datetime
from core.db import Database
from graph.client import GraphClient
from worker.complaints import sweep_complaints
from worker.work import Stores
async def look():
    database = Database(sys.argv[1], pool_size=2, timeout=600)
    async with GraphClient("bolt://127.0.0.1:1", user="", password="") as graph:
        await sweep_complaints(Stores(database, graph), now=datetime.fromisoformat(sys.argv[2]))
asyncio.run(look())
"""


async def complain(database: Database, customers: int, complaints: int, now: datetime) -> None:
    """So many complaints of the last day, each taken by telephone from one of the customers."""
    chance = random.Random(11)
    for first in range(0, complaints, BATCH):
        async with database.write() as session:
            for _ in range(min(BATCH, complaints - first)):
                new = NewComplaint(
                    customer_id=derived_id("bench", str(chance.randrange(customers))),
                    topic=ComplaintTopic.FEES,
                    channel=ComplaintChannel.PHONE,
                    words="You charged me twice.",
                    accused=None,
                    product=None,
                )
                at = now - timedelta(seconds=chance.randrange(86_400))
                await file_complaint(session, new, employee=f"rm-{chance.randrange(500)}", now=at)


async def counted(database: Database, at: datetime) -> tuple[int, int, int, float]:
    """How many are due by an instant, how many marks there are and tasks owed, and how long the first took to read."""
    async with database.read() as session:
        began = time.perf_counter()
        due = (await session.exec(select(func.count()).where(col(Complaint.next_check_at) <= at))).one()
        seconds = time.perf_counter() - began
        marks = (await session.exec(select(func.count()).select_from(ComplaintMark))).one()
        tasks = (await session.exec(select(func.count()).where(col(Outbox.topic) == TASK_OWED))).one()
    return due, marks, tasks, seconds


async def measure(name: str, url: str, customers: int, complaints: int) -> list[list[str]]:
    now = utc_now()
    database = Database(url, timeout=3_600, keys=RING)
    try:
        await fill(database, customers, now)
        await complain(database, customers, complaints, now)
        lines: list[list[str]] = []
        for words, span in (
            ("now", timedelta()),
            ("at once again", timedelta(seconds=1)),
            ("an hour later", timedelta(hours=1)),
            ("a week later", timedelta(days=7)),
            ("after two months out", timedelta(days=67)),
        ):
            at = now + span
            due, marks, _, reading = await counted(database, at)
            child = await asyncio.to_thread(
                run_child,
                [sys.executable, "-c", LOOK, url, at.isoformat()],
                {"ENVIRONMENT": "test", "PATH": "/usr/bin:/bin"},
            )
            left, after, tasks, _ = await counted(database, at)
            if left:
                raise RuntimeError(f"the look has left {left} complaints that were due")
            told = (f"{due:,}", f"{after - marks:,}", f"{tasks:,}", f"{reading * 1_000:,.1f}", f"{child.seconds:,.1f}")
            lines.append([name, words, *told, f"{child.busy_seconds:,.1f}", f"{child.peak_mib:,.0f}"])
    finally:
        await database.close()
    return lines


def main(
    customers: Annotated[int, typer.Option(help="How many customers.")] = 100_000,
    complaints: Annotated[int, typer.Option(help="How many open complaints they have.")] = 2_000,
    postgres: Annotated[bool, typer.Option(help="Measure on PostgreSQL too.")] = True,
) -> None:
    """Measure looks at the clocks of complaints on SQLite and PostgreSQL."""
    columns = (
        "store",
        "look",
        "due",
        "new marks",
        "tasks owed",
        "count of due, ms",
        "seconds",
        "of them busy",
        "peak MiB",
    )
    table = Table(*columns)
    lines = on_sql_engines(lambda name, url: measure(name, url, customers, complaints), postgres=postgres)
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
