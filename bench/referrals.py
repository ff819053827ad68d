"""`python -m bench.referrals`: what must not grow with a tree of referrals, as ratios within one run."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from bench.stores import Stores, embedded_stores, real_stores
from core.clock import iso, utc_now
from core.db import Database, Record, table_of
from core.ids import new_id
from customers.profiles import display_name_of
from graph.client import GraphClient, Row
from referrals.attribution import Referral, ReferralStatus, refer, referral_id
from referrals.codes import CodeStatus, ReferralCode
from referrals.leaderboard import ReferralPseudonym, leaderboard
from referrals.programs import activate_program, create_program
from referrals.standings import EVER, ReferralStanding, place_of
from referrals.tree import referral_tree

BATCH = 500
# What the large one may cost more than the small one; beyond it the command ends with 1.
MOST = 1.5
WARM_UP = 5

PUT_CUSTOMERS = "UNWIND $ids AS id CREATE (:Customer {id: id, display_name: 'Test'})"
PUT_EDGES = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.referrer}), (b:Customer {id: row.referee})
CREATE (a)-[:REFERRED {key: row.key, program_id: $program, version: 1, code_id: 'code', attributed_from: $now, at: $now,
  settled: true}]->(b)
"""

Act = Callable[[], Awaitable[None]]
Pairs = list[tuple[str, str]]


def batches(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


class Bench:
    """A programme with referrals of known shapes in both stores."""

    def __init__(self, graph: GraphClient, database: Database) -> None:
        self.graph = graph
        self.database = database
        self.program = ""

    async def begin(self) -> None:
        self.program = await make_program(self.database)

    async def people(self, count: int) -> list[str]:
        ids = [new_id() for _ in range(count)]
        for part in batches(ids):
            await self.graph.write(PUT_CUSTOMERS, ids=part)
        return ids

    async def put(self, model: type[Record], rows: list[dict[str, Any]]) -> None:
        for part in batches(rows):
            async with self.database.write() as session:
                await session.exec(insert(table_of(model)), params=list(part))

    async def refer(self, pairs: Pairs) -> None:
        """Draw and record these, an hour after each other."""
        begin = utc_now() - timedelta(days=365)
        code = new_id()
        await self.put(ReferralCode, [code_row(self.program, code)])
        rows: list[dict[str, Any]] = [
            {
                "id": referral_id(self.program, referee),
                "program_id": self.program,
                "version": 1,
                "referrer_id": referrer,
                "referee_id": referee,
                "code_id": code,
                "status": ReferralStatus.OPEN,
                "attributed_from": begin,
                "claimed_at": begin + timedelta(minutes=number),
            }
            for number, (referrer, referee) in enumerate(pairs)
        ]
        await self.put(Referral, rows)
        edges: list[Row] = [
            {"referrer": referrer, "referee": referee, "key": f"{self.program}:{referee}"}
            for referrer, referee in pairs
        ]
        for part in batches(edges):
            await self.graph.write(PUT_EDGES, rows=part, program=self.program, now=iso(begin))

    def page(self, customer: str, depth: int) -> Act:
        async def act() -> None:
            levels = await referral_tree(
                self.database,
                naming=display_name_of,
                program_id=self.program,
                customer_id=customer,
                as_of=utc_now(),
                max_depth=depth,
                first=20,
                after=None,
            )
            assert len(levels) == depth

        return act

    def claim(self, referrer: str, fresh: list[str]) -> Act:
        async def act() -> None:
            code = ReferralCode(id="code", code="X", program_id=self.program, customer_id=referrer, status="ACTIVE")
            now, referee = utc_now(), fresh.pop()
            assert await refer(
                self.graph, code=code, version=1, referee_id=referee, click_id=None, attributed_from=now, now=now
            )

        return act


def code_row(program: str, code_id: str) -> dict[str, Any]:
    return {
        "id": code_id,
        "program_id": program,
        "customer_id": new_id(),
        "code": code_id,
        "status": CodeStatus.ACTIVE,
        "created_at": utc_now(),
    }


async def make_program(database: Database) -> str:
    now = utc_now()
    step = {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 1}
    async with database.write() as session:
        program = await create_program(
            session,
            name_zh="测",
            name_en="Test",
            definition={"steps": [step]},
            starts_at=now,
            ends_at=None,
            budget_points=None,
            now=now,
        )
        await activate_program(session, program)
    return program


async def board(bench: Bench, size: int) -> Act:
    """A leaderboard of so many in a programme of its own, and the reading of its first page."""
    program, now = await make_program(bench.database), utc_now()
    entries: list[dict[str, Any]] = []
    standings: list[dict[str, Any]] = []
    for number in range(size):
        row = ReferralStanding(
            program_id=program,
            period=EVER,
            referrer_id=new_id(),
            qualified_count=1 + number % 50,
            last_qualified_at=now + timedelta(seconds=number % 1000),
            entry_id=new_id(),
        )
        row.place = place_of(row)
        standings.append(row.model_dump())
        entries.append(
            {
                "id": row.entry_id,
                "program_id": program,
                "customer_id": row.referrer_id,
                "pseudonym": f"n{number}",
                "normal": f"n{number}",
                "joined_at": now,
            }
        )
    await bench.put(ReferralPseudonym, entries)
    await bench.put(ReferralStanding, standings)

    async def act() -> None:
        async with bench.database.read() as session:
            page = await leaderboard(session, program_id=program, period=EVER, first=20, after=None)
        assert len(page.rows) == 20

    return act


async def measure(stores: Stores, *, hub: int, deep: int, standings: int, rounds: int) -> bool:
    """Load, take turns between small and large, and print medians and ratios; False beyond the limit."""
    async with stores.graph() as graph:
        database = stores.database()
        bench = Bench(graph, database)
        await bench.begin()
        began = time.monotonic()
        small, large, chain = await bench.people(21), await bench.people(hub + 1), await bench.people(deep + 1)
        await bench.refer([(small[0], one) for one in small[1:]])
        await bench.refer([(large[0], one) for one in large[1:]])
        await bench.refer(list(pairwise(chain)))
        fresh = await bench.people(4 * (rounds + WARM_UP))
        cases: list[tuple[str, str, str, Act, Act]] = [
            ("page 1 of referees", "20", f"{hub}", bench.page(small[0], 1), bench.page(large[0], 1)),
            (
                "ten levels of a chain",
                "from its end",
                "from its start",
                bench.page(chain[-11], 10),
                bench.page(chain[0], 10),
            ),
            ("claim below depth", "1", f"{deep}", bench.claim(chain[1], fresh), bench.claim(chain[deep], fresh)),
            ("claim of a referrer of", "20", f"{hub}", bench.claim(small[0], fresh), bench.claim(large[0], fresh)),
            ("page 1 of a leaderboard", "100", f"{standings}", await board(bench, 100), await board(bench, standings)),
        ]
        Console().print(f"loaded {hub + deep} referrals and {standings} standings in {time.monotonic() - began:.0f} s")
        table = Table("What", "Small", "ms", "Large", "ms", "Ratio", title=stores.name, title_justify="left")
        too_slow = False
        for name, few, many, small_act, large_act in cases:
            one, other = await medians((small_act, large_act), rounds)
            table.add_row(name, few, f"{one:.1f}", many, f"{other:.1f}", f"{other / one:.2f}")
            too_slow = too_slow or other > MOST * one
        Console().print(table)
        await database.close()
    return not too_slow


async def medians(acts: Sequence[Act], rounds: int) -> list[float]:
    """Milliseconds of each, in turns; the first turns warm the engines up."""
    times: list[list[float]] = [[] for _ in acts]
    for turn in range(rounds + WARM_UP):
        for act, spent in zip(acts, times, strict=True):
            start = time.perf_counter()
            await act()
            if turn >= WARM_UP:
                spent.append((time.perf_counter() - start) * 1000)
    return [statistics.median(spent) for spent in times]


def main(
    hub: Annotated[int, typer.Option(help="Referees of the one who brought most.")] = 50_000,
    deep: Annotated[int, typer.Option(help="Length of the longest chain.")] = 1_000,
    standings: Annotated[int, typer.Option(help="How many stand on the large leaderboard.")] = 100_000,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 60,
    neo4j: Annotated[bool, typer.Option("--neo4j", help="On Neo4j and PostgreSQL instead.")] = False,
) -> None:
    """Measure what does not grow with a tree of referrals."""
    with real_stores() if neo4j else embedded_stores(heap="1g") as stores:
        done = asyncio.run(measure(stores, hub=hub, deep=deep, standings=standings, rounds=rounds))
    if not done:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
