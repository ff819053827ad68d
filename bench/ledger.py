"""`python -m bench.ledger`: postings a second, beside plain inserts of the very rows that they left behind.

The plain inserts are those that a benchmark of the database itself makes, such as pgbench: the same rows under other
names, in as many transactions and over as many connections, with no rule looked at and no balance kept. The ratio says
what keys, guards, balances and lots cost. The second table shows that two customers never wait for each other: sixteen
connections work for one customer, who is a queue, and then for sixteen. Where a transaction takes its time before it
commits, as one of a busy application does, waiting is all that is measured, and not how fast one process computes.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Table as SqlTable
from sqlalchemy import func, insert
from sqlalchemy import select as rows_of
from sqlmodel import select

from bench.stores import fresh_database
from core.clock import utc_now
from core.db import Database, Session
from core.ids import new_id
from loyalty.ledger import AccountKind, Cause, LedgerPosting, Leg, PostingKind, post
from loyalty.lots import Earned, burn, earn_all
from loyalty.trial_balance import trial_balance
from ops.tables import METADATA

CONNECTIONS = 16
BATCH = 100
POINTS = 1_000_000
HELD_SECONDS = 0.05
# What a posting leaves behind, and the column by which its rows name it.
WRITTEN = {"ledger_posting": "id", "ledger_entry": "posting_id", "ledger_lot": "posting_id", "lot_debit": "posting_id"}
# The columns that get another name, so that the copy can stand beside the original.
RENAMED = {
    "ledger_posting": ("id", "key"),
    "ledger_entry": ("id", "posting_id"),
    "ledger_lot": ("id", "posting_id"),
    "lot_debit": ("id", "posting_id"),
}

Work = Callable[[Session, Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: what a transaction does for its customers, and how many postings it makes."""

    name: str
    work: Work
    each: int


async def issue(session: Session, customers: Sequence[str]) -> None:
    """Points into a new lot for each of these customers."""
    now = utc_now()
    earned = [
        Earned(
            key=f"bench:{new_id()}",
            customer_id=customer_id,
            points=POINTS,
            cause=Cause("BENCH", customer_id),
            occurred_at=now,
            available_at=now,
            expires_at=now + timedelta(days=365),
        )
        for customer_id in customers
    ]
    await earn_all(session, earned, now=now)


async def debit(session: Session, customers: Sequence[str]) -> None:
    """One point from each of these customers and from their lots, as a redemption takes it."""
    for customer_id in customers:
        now = utc_now()
        posting_id = await post(
            session,
            key=f"bench:{new_id()}",
            kind=PostingKind.REDEEM,
            cause=Cause("BENCH", customer_id),
            legs=[Leg(AccountKind.AVAILABLE, -1, customer_id), Leg(AccountKind.REDEMPTION, 1)],
            occurred_at=now,
            now=now,
        )
        assert posting_id is not None
        await burn(session, posting_id=posting_id, customer_id=customer_id, points=1, now=now)


async def slow_debit(session: Session, customers: Sequence[str]) -> None:
    await debit(session, customers)
    await asyncio.sleep(HELD_SECONDS)


KINDS = (
    Kind("earn, one at a time", issue, 1),
    Kind(f"earn, {BATCH} at a time", issue, BATCH),
    Kind("debit", debit, 1),
)


async def at_once(connections: int, transactions: int, run: Callable[[int], Awaitable[None]]) -> float:
    """Run so many transactions over so many connections, each taking the next number; returns the seconds."""
    numbers = iter(range(transactions))

    async def go_on() -> None:
        for number in numbers:
            await run(number)

    began = time.perf_counter()
    await asyncio.gather(*(go_on() for _ in range(connections)))
    return time.perf_counter() - began


async def put_customers(database: Database, count: int) -> list[str]:
    people = [new_id() for _ in range(count)]
    async with database.write() as session:
        await issue(session, people)
    return people


async def post_many(database: Database, kind: Kind, people: Sequence[str], postings: int, connections: int) -> float:
    """Make so many postings for these customers in turns; returns the seconds."""

    async def run(number: int) -> None:
        start = number * kind.each
        async with database.write() as session:
            await kind.work(session, [people[(start + n) % len(people)] for n in range(kind.each)])

    return await at_once(connections, postings // kind.each, run)


async def newest_posting(database: Database) -> str:
    async with database.read() as session:
        return (await session.exec(select(func.max(LedgerPosting.id)))).one() or ""


async def copies_since(database: Database, mark: str) -> list[list[tuple[SqlTable, dict[str, Any]]]]:
    """What the postings after a mark left behind, posting by posting, under other names."""
    found: dict[str, list[tuple[SqlTable, dict[str, Any]]]] = defaultdict(list)
    async with database.read() as session:
        connection = await session.connection()
        for name, column in WRITTEN.items():
            table = METADATA.tables[name]
            for row in (await connection.execute(rows_of(table).where(table.c[column] > mark))).mappings():
                copy: dict[str, Any] = {
                    key: f"{value}~" if key in RENAMED[name] else value for key, value in row.items()
                }
                # An account has each position once, so those of copies are below zero.
                if row.get("position"):
                    copy["position"] = -row["position"]
                found[row[column]].append((table, copy))
    return list(found.values())


async def insert_plainly(database: Database, postings: Sequence[Any], each: int, connections: int) -> float:
    """Insert the rows of so many postings in each transaction; returns the seconds."""

    async def run(number: int) -> None:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for posting in postings[number * each : (number + 1) * each]:
            for table, row in posting:
                rows[table.name].append(row)
        async with database.write() as session:
            connection = await session.connection()
            for name in WRITTEN:
                if rows[name]:
                    await connection.execute(insert(METADATA.tables[name]), rows[name])

    return await at_once(connections, len(postings) // each, run)


async def compare(database: Database, postings: int, engine: str) -> None:
    """Print the speed of each kind of work beside that of the plain inserts."""
    title = f"{engine}: {postings:,} postings of each kind"
    table = Table("Work", "Connections", "A second", "Plain inserts", "Ratio", title=title, title_justify="left")
    for kind in KINDS:
        for connections in (1, CONNECTIONS):
            # Debits of one transaction after the other; a batch that two connections shared would wait for itself.
            people = await put_customers(database, BATCH * CONNECTIONS if kind.each > 1 else CONNECTIONS * 4)
            mark = await newest_posting(database)
            spent = await post_many(database, kind, people, postings, connections)
            copies = await copies_since(database, mark)
            assert len(copies) == postings, f"{len(copies)} postings where {postings} were made"
            plain = await insert_plainly(database, copies, kind.each, connections)
            speeds = f"{postings / spent:,.0f}", f"{postings / plain:,.0f}", f"{spent / plain:.1f}"
            table.add_row(kind.name, str(connections), *speeds)
    Console().print(table)


async def show_independence(database: Database, postings: int, engine: str) -> None:
    """Print what sixteen connections do for one customer and for several."""
    title = f"{engine}: {CONNECTIONS} connections"
    table = Table("Work", "Customers", "A second", "Times", title=title, title_justify="left")
    slow = Kind(f"debit, held for {HELD_SECONDS * 1000:.0f} ms", slow_debit, 1)
    for kind, count in ((KINDS[0], postings), (KINDS[2], postings), (slow, postings // 10)):
        first = 0.0
        for customers in (1, 2, 4, CONNECTIONS):
            people = await put_customers(database, customers)
            speed = count / await post_many(database, kind, people, count, CONNECTIONS)
            first = first or speed
            table.add_row(kind.name, str(customers), f"{speed:,.0f}", f"{speed / first:.1f}")
    Console().print(table)


async def measure(*, postgres: bool, postings: int) -> None:
    async with fresh_database(postgres=postgres) as url:
        engine = "PostgreSQL" if postgres else "SQLite"
        database = Database(url, pool_size=CONNECTIONS, timeout=60.0)
        try:
            # The first transactions warm everything up.
            await post_many(database, KINDS[0], await put_customers(database, CONNECTIONS), 100, CONNECTIONS)
            if postgres:
                await show_independence(database, postings, engine)
            async with database.read() as session:
                assert (await trial_balance(session)).holds
            await compare(database, postings, engine)
        finally:
            await database.close()


def main(
    postings: Annotated[int, typer.Option(help="How many postings of each kind; a multiple of 100.")] = 3_000,
    postgres: Annotated[bool, typer.Option(help="On PostgreSQL.")] = False,
) -> None:
    asyncio.run(measure(postgres=postgres, postings=postings))


if __name__ == "__main__":
    typer.run(main)
