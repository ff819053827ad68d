"""`python -m bench.loyalty_storm`: random load on the points of a few customers while workers are killed all the time.

Sixteen clients do what bench/storm_operations.py lists; the workers are processes as they run anywhere, killed by
SIGKILL every few seconds and started again. Afterwards nobody is killed any more, and when nothing is owed the books
are proved: the trial balance, lots beside balances, the counters of caps, and every fact that was told.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from subprocess import Popen
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import ColumnElement, and_
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, func, select

from bench import storm_catalogue, storm_ledger
from bench.stores import Stores, embedded_stores, real_stores
from bench.storm_client import Client, Operation
from bench.storm_operations import OPERATIONS, put_rules_and_rewards
from core.clock import utc_now
from core.db import Database
from core.errors import Refusal, Unavailable
from core.ids import new_id
from core.outbox import Outbox
from core.processes import free_port, start_leashed, stop
from core.redis_server import redis_url, start_redis, wait_for_redis
from loyalty.trial_balance import trial_balance

CUSTOMERS = 40
MOST_TRIES = 8
LONGEST_WAIT = 300.0
# What the books must show beside the trial balance; each statement counts what is wrong.
PROOFS = {
    "balances that are not their lots": """
        SELECT count(*) FROM ledger_account a WHERE a.kind IN ('AVAILABLE', 'PENDING') AND a.balance <> (
          SELECT coalesce(sum(l.remaining), 0) FROM ledger_lot l
          WHERE l.customer_id = a.customer_id AND l.released = (a.kind = 'AVAILABLE'))""",
    "balances below zero": "SELECT count(*) FROM ledger_account WHERE balance < 0",
    "lots that are not what debits left": """
        SELECT count(*) FROM ledger_lot l WHERE l.remaining <> l.points - (
          SELECT coalesce(sum(d.points), 0) FROM lot_debit d WHERE d.lot_id = l.id)""",
    "facts that no rule has looked at": """
        SELECT count(*) FROM fact f WHERE f.kind IN ('STORM_VISIT', 'STORM_ANSWER')
          AND NOT EXISTS (SELECT 1 FROM earning e WHERE e.fact_id = f.id)""",
    "facts that were taken back and still bring points": """
        SELECT count(*) FROM earning e JOIN fact f ON f.id = e.fact_id WHERE e.reversed_at IS NULL
          AND EXISTS (SELECT 1 FROM fact r WHERE r.key = f.key || ':gone')""",
    "earnings that the ledger does not have": """
        SELECT count(*) FROM earning e WHERE e.points > 0
          AND NOT EXISTS (SELECT 1 FROM ledger_posting p WHERE p.key = e.key)""",
    "earnings taken back that were not clawed back": """
        SELECT count(*) FROM earning e WHERE e.points > 0 AND e.reversed_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM ledger_posting p WHERE p.key = 'clawback:' || e.key)""",
    "counters that are not what was earned": """
        SELECT count(*) FROM earning_counter c WHERE c.id LIKE '%:EVER' AND c.points <> (
          SELECT coalesce(sum(e.points), 0) FROM earning e
          WHERE e.rule_id || ':' || e.customer_id || ':EVER' = c.id AND e.reversed_at IS NULL)""",
    "pieces of stock that are not redemptions": """
        SELECT count(*) FROM reward r WHERE r.kind = 'VOUCHER' AND r.stock IS NOT NULL AND 200 - r.stock <> (
          SELECT count(*) FROM redemption d WHERE d.reward_id = r.id)""",
    **storm_ledger.PROOFS,
    **storm_catalogue.PROOFS,
}


@dataclass(slots=True)
class Score:
    """What came of all operations."""

    done: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    retried: Counter[str] = field(default_factory=Counter[str])
    killed: int = 0


@dataclass(slots=True)
class Workers:
    """Worker processes that are killed and started again."""

    stores: Stores
    redis: str
    running: list[Popen[bytes]] = field(default_factory=list[Popen[bytes]])
    started: int = 0

    def start(self) -> None:
        self.started += 1
        environment = {**self.stores.environment(), "REDIS_URL": self.redis, "SWEEP_INTERVAL_SECONDS": "1"}
        log = self.stores.folder / f"worker-{self.started}.log"
        self.running.append(start_leashed([sys.executable, "-m", "worker"], log=log, env=environment))

    def kill_one(self, random: Random) -> None:
        """End one by SIGKILL in the middle of whatever it does, and start another."""
        victim = self.running.pop(random.randrange(len(self.running)))
        victim.kill()
        victim.wait()
        self.start()

    def stop(self) -> None:
        for worker in self.running:
            stop(worker, patience=3)


async def storm(stores: Stores, redis: str, *, seconds: float, clients: int, workers: int, pause: float) -> bool:
    """Let it rage for so long, wait until nothing is owed, and print what came of it; whether the books hold."""
    database = Database(stores.database_url, pool_size=clients, timeout=60.0)
    people = Workers(stores, redis)
    score, random = Score(), Random(1)
    try:
        rewards, partners = await put_rules_and_rewards(database)
        days: list[int] = []
        customers = [new_id() for _ in range(CUSTOMERS)]
        crowd = [Client(database, Random(number), customers, rewards, partners, days) for number in range(clients)]
        for _ in range(workers):
            people.start()
        end = time.monotonic() + seconds
        killing = kill_until(end, people, score, random, pause=pause)
        await asyncio.gather(killing, *(rage(client, score, end) for client in crowd))
        waited = await wait_until_settled(database)
        return await report(database, score, stores.name, seconds, waited)
    finally:
        people.stop()
        await database.close()


async def kill_until(end: float, workers: Workers, score: Score, random: Random, *, pause: float) -> None:
    while time.monotonic() < end - pause:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        # Processes are started from the thread that lives as long as we do.
        workers.kill_one(random)
        score.killed += 1


async def rage(client: Client, score: Score, end: float) -> None:
    """One operation after the other until the time is over."""
    weights = [operation.weight for operation in OPERATIONS]
    while time.monotonic() < end:
        (operation,) = client.random.choices(OPERATIONS, weights)
        await attempt(operation, client, score)


async def attempt(operation: Operation, client: Client, score: Score) -> None:
    """Do it, and again where the database asks for it; what is refused is an answer too."""
    for _ in range(MOST_TRIES):
        try:
            await operation.run(client)
        except Refusal as refusal:
            score.refused[operation.name, refusal.code] += 1
            return
        except (Unavailable, DBAPIError):
            score.retried[operation.name] += 1
            continue
        score.done[operation.name] += 1
        return
    score.refused[operation.name, "GAVE_UP"] += 1


def still_owed(soon: datetime) -> ColumnElement[bool]:
    """What is to be settled by then; what falls due days later is not waited for."""
    return and_(col(Outbox.settled_at).is_(None), col(Outbox.available_at) <= soon)


async def topics_owed(database: Database, soon: datetime) -> str:
    """What is owed, how often and since how many attempts, for who has to find out why."""
    columns = (Outbox.topic, func.count(), func.max(Outbox.attempts), func.max(Outbox.failure))
    async with database.read() as session:
        rows = (await session.exec(select(*columns).where(still_owed(soon)).group_by(col(Outbox.topic)))).all()
    return "; ".join(" ".join(str(part) for part in row) for row in rows)


async def wait_until_settled(database: Database) -> float:
    """Wait until nothing is owed any more; returns the seconds. Raises SystemExit when it takes too long."""
    began, soon = time.monotonic(), utc_now() + timedelta(seconds=LONGEST_WAIT)
    while await owed(database, soon):
        if time.monotonic() - began > LONGEST_WAIT:
            raise SystemExit(f"still owed after {LONGEST_WAIT:.0f} s: {await topics_owed(database, soon)}")
        await asyncio.sleep(0.5)
    return time.monotonic() - began


async def owed(database: Database, soon: datetime) -> int:
    async with database.read() as session:
        return (await session.exec(select(func.count()).select_from(Outbox).where(still_owed(soon)))).one()


async def count(database: Database, statement: str) -> int:
    async with database.read() as session:
        connection = await session.connection()
        return int((await connection.exec_driver_sql(statement)).scalar_one())


async def report(database: Database, score: Score, name: str, seconds: float, waited: float) -> bool:
    """Print operations and proofs; whether everything is as it should be."""
    table = Table("Operation", "Done", "Refused", "Retried", title=f"{name}: {seconds:.0f} s", title_justify="left")
    for operation in (one.name for one in OPERATIONS):
        codes = {code: times for (what, code), times in sorted(score.refused.items()) if what == operation}
        refused = ", ".join(f"{code} {times}" for code, times in codes.items())
        table.add_row(operation, str(score.done[operation]), refused, str(score.retried[operation]))
    refusals = sum(score.refused.values())
    table.add_row("all", str(score.done.total()), str(refusals), str(score.retried.total()), style="bold")
    console = Console()
    console.print(table)
    async with database.read() as session:
        proof = await trial_balance(session)
    wrong = {what: await count(database, statement) for what, statement in PROOFS.items()}
    gave_up = sum(times for (_, code), times in score.refused.items() if code == "GAVE_UP")
    drift = len(proof.drifted_accounts) + len(proof.unbalanced_postings)
    earned = await count(database, "SELECT count(*) FROM earning")
    taken = await count(database, "SELECT count(*) FROM earning WHERE reversed_at IS NOT NULL")
    console.print(f"{score.killed} workers killed; nothing owed {waited:.1f} s after the last operation.")
    console.print(f"{earned:,} earnings, {taken:,} of them taken back; {proof.entries:,} entries in the ledger.")
    console.print(f"Trial balance: sum {proof.total}, drift {drift}.")
    for what, number in wrong.items():
        console.print(f"{number} {what}", style="red" if number else "")
    return proof.holds and not any(wrong.values()) and not gave_up


Rage = Callable[[Stores, str], Coroutine[Any, Any, bool]]


def with_redis(stores: Stores, run: Rage) -> bool:
    """Run with a Redis of its own in the folder of the stores."""
    port, folder = free_port(), stores.folder / "redis"
    server = start_redis(folder, port=port, log=stores.folder / "redis.log")
    try:
        wait_for_redis(url := redis_url(folder, port))
        return asyncio.run(run(stores, url))
    finally:
        stop(server)


def main(
    minutes: Annotated[float, typer.Option(help="How long it rages.")] = 10.0,
    clients: Annotated[int, typer.Option(help="How many clients at once.")] = 16,
    workers: Annotated[int, typer.Option(help="How many worker processes.")] = 2,
    pause: Annotated[float, typer.Option(help="Seconds between two kills, about.")] = 4.0,
    postgres: Annotated[bool, typer.Option(help="On Neo4j and PostgreSQL.")] = False,
) -> None:
    async def run(stores: Stores, redis: str) -> bool:
        return await storm(stores, redis, seconds=minutes * 60, clients=clients, workers=workers, pause=pause)

    with (real_stores if postgres else embedded_stores)() as stores:
        holds = with_redis(stores, run)
    raise typer.Exit(0 if holds else 1)


if __name__ == "__main__":
    typer.run(main)
