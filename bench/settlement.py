"""`python -m bench.settlement`: facts that qualify referrals, settled, beside the plain inserts of the same rows.

The plain cost is what the database takes for the rows that settlement left behind, in transactions of 500 rows and with
no rule looked at. The ratio says what rules, locks, owed effects and their commits cost on top.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy import Table, insert, select

from bench.stores import Stores, embedded_stores, real_stores
from core.clock import utc_now
from core.db import Database, Session
from core.facts import NewFact, record_facts
from core.ids import new_id
from graph.client import GraphClient
from ops.tables import METADATA
from referrals.attribution import Referral, ReferralStatus, referral_id
from referrals.codes import referral_code
from referrals.programs import activate_program, create_program
from worker.sweeps import sweep_outbox
from worker.work import Stores as Workplace

BATCH = 500
REFERRERS = 200
DEFINITION = {
    "steps": [
        {"name": "registered", "fact_kind": "CUSTOMER_REGISTERED", "referee_points": 50},
        {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 200, "referee_points": 100},
    ],
    "caps": [{"scope": "REFERRER", "period": "MONTH", "points": 10_000_000}],
}
# What settlement writes; a table comes after those that it names.
WRITTEN = (
    "fact",
    "referral_step",
    "referral_reward",
    "referral_counter",
    "ledger_account",
    "ledger_posting",
    "ledger_entry",
    "ledger_lot",
    "outbox",
)
PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'Test'})"
PUT_EDGES = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.referrer_id}), (b:Customer {id: row.referee_id})
CREATE (a)-[:REFERRED {key: row.key, program_id: $program_id, version: 1, at: $now, settled: true}]->(b)
"""


async def put_referrals(graph: GraphClient, database: Database, referees: int) -> list[str]:
    """A programme and referrals that wait for their facts; returns the referees."""
    now = utc_now()
    async with database.write() as session:
        program_id = await create_program(
            session,
            name_zh="邀友有礼",
            name_en="Bring a friend",
            definition=DEFINITION,
            starts_at=now,
            ends_at=None,
            budget_points=10**12,
            now=now,
        )
        await activate_program(session, program_id)
    referrers, people = [new_id() for _ in range(REFERRERS)], [new_id() for _ in range(referees)]
    for start in range(0, len(referrers + people), BATCH):
        await graph.write(PUT_CUSTOMERS, ids=(referrers + people)[start : start + BATCH])
    codes: dict[str, str] = {}
    for referrer in referrers:
        async with database.write() as session:
            codes[referrer] = (await referral_code(session, program_id=program_id, customer_id=referrer, now=now)).id
    for start in range(0, referees, BATCH):
        part = people[start : start + BATCH]
        pairs = [(referrers[(start + n) % REFERRERS], referee) for n, referee in enumerate(part)]
        rows = [{"referrer_id": a, "referee_id": b, "key": f"{program_id}:{b}"} for a, b in pairs]
        await graph.write(PUT_EDGES, rows=rows, program_id=program_id, now=now.isoformat())
        async with database.write() as session:
            session.add_all(referral_of(program_id, codes[a], a, b) for a, b in pairs)
    return people


def referral_of(program_id: str, code_id: str, referrer_id: str, referee_id: str) -> Referral:
    now = utc_now()
    return Referral(
        id=referral_id(program_id, referee_id),
        program_id=program_id,
        version=1,
        referrer_id=referrer_id,
        referee_id=referee_id,
        code_id=code_id,
        status=ReferralStatus.OPEN,
        attributed_from=now,
        claimed_at=now,
    )


async def settle_all(workplace: Workplace, people: Sequence[str]) -> float:
    """Record two facts of each and settle everything that they owe, batch by batch; returns the seconds."""
    started = time.perf_counter()
    for start in range(0, len(people), BATCH // 2):
        now = utc_now()
        facts = [
            NewFact("bench", f"{kind}:{person}", kind, person, now, {})
            for person in people[start : start + BATCH // 2]
            for kind in ("CUSTOMER_REGISTERED", "IDENTITY_VERIFIED")
        ]
        async with workplace.database.write() as session:
            await record_facts(session, facts, now=now)
        while await sweep_outbox(workplace):
            pass
    return time.perf_counter() - started


async def copy_plainly(database: Database) -> tuple[float, int]:
    """Take out what settlement wrote, put it back by plain inserts, and return their seconds and the rows."""
    tables = [METADATA.tables[name] for name in WRITTEN]
    kept: list[tuple[Table, list[dict[str, Any]]]] = []
    async with database.read() as session:
        connection = await session.connection()
        for table in tables:
            kept.append((table, [dict(row) for row in (await connection.execute(select(table))).mappings()]))
    copies = [(table, renamed(table, rows)) for table, rows in kept]
    started = time.perf_counter()
    for table, rows in copies:
        for start in range(0, len(rows), BATCH):
            async with database.write() as session:
                connection = await session.connection()
                await connection.execute(insert(table), rows[start : start + BATCH])
    return time.perf_counter() - started, sum(len(rows) for _, rows in copies)


def renamed(table: Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows under other names, so that they can stand beside those that are there."""
    return [
        {name: f"{value}~" if name in NAMES.get(table.name, ()) else value for name, value in row.items()}
        for row in rows
    ]


# The columns that make a row unique, and those that name a row of these tables.
NAMES = {
    "fact": ("id", "key"),
    "referral_step": ("step",),
    "referral_reward": ("id", "key"),
    "referral_counter": ("id",),
    "ledger_account": ("id",),
    "ledger_posting": ("id", "key"),
    "ledger_entry": ("id", "posting_id", "account_id"),
    "ledger_lot": ("id", "posting_id"),
    "outbox": ("id", "key"),
}


async def measure(stores: Stores, facts: int) -> None:
    database = stores.database()
    async with stores.graph() as graph:
        people = await put_referrals(graph, database, facts // 2)
        settled = await settle_all(Workplace(database, graph), people)
        await check(database, facts)
        plain, rows = await copy_plainly(database)
    await database.close()
    Console().print(
        f"{stores.name}: {facts:,} facts settled in {settled:,.0f} s ({facts / settled:,.0f} a second), "
        f"leaving {rows:,} rows; the same rows plainly inserted in {plain:,.1f} s: {settled / plain:,.1f} times"
    )


async def check(database: Database, facts: int) -> None:
    """Every fact was settled: three rewards for each referee, all in the ledger, and nothing is owed."""
    async with database.read() as session:
        issued = await count(session, "SELECT count(*) FROM referral_reward WHERE status = 'ISSUED'")
        owed = await count(session, "SELECT count(*) FROM outbox WHERE available_at IS NOT NULL")
    if (issued, owed) != (facts // 2 * 3, 0):
        raise SystemExit(f"{issued} rewards are issued and {owed} effects are owed: not what it should be")


async def count(session: Session, statement: str) -> int:
    connection = await session.connection()
    return (await connection.exec_driver_sql(statement)).scalar_one()


def main(
    facts: Annotated[int, typer.Option(help="How many facts; half as many referees.")] = 100_000,
    neo4j: Annotated[bool, typer.Option(help="On Neo4j and PostgreSQL.")] = False,
) -> None:
    with (real_stores if neo4j else embedded_stores)() as stores:
        asyncio.run(measure(stores, facts))


if __name__ == "__main__":
    typer.run(main)
