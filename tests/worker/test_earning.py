"""Earning by the worker: from referral steps, and by real processes that are killed anywhere."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from sqlmodel import col, func, select

from core.clock import utc_now
from core.db import Database
from core.processes import stop
from graph.client import GraphClient
from loyalty.earning_caps import Earning
from loyalty.earning_rules import pause_earning_rule
from loyalty.ledger import LedgerPosting
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, standing
from tests.loyalty.rules import earnings, fact_of, kind_of, make_rule
from tests.loyalty.rules import tell as tell_facts
from tests.referrals.programs import claim, code_of, make_people, make_program, tell
from tests.worker.test_settlement import POINTS, own_redis, start_worker, wait_until_settled, wait_until_started
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

__all__ = ["own_redis"]


async def test_a_referral_step_earns_for_the_referrer_until_it_is_undone(
    graph: GraphClient, database: Database
) -> None:
    """Given a rule for steps of a programme, when a step is reached, undone and reached again, then it pays for one."""
    steps = [{"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "reversed_by": ["ACCOUNT_CLOSED"]}]
    program = await make_program(database, steps=steps, hold_days=30)
    lin, wu = await make_people(graph, 2)
    rule = {
        "fact_kind": "REFERRAL_STEP_REACHED",
        "conditions": [{"field": "program_id", "equals": program}, {"field": "step", "equals": "verified"}],
        "points": 70,
        "hold_days": 7,
        "reversed_by": ["REFERRAL_STEP_UNDONE"],
    }
    await make_rule(database, rule)
    await claim(database, graph, await code_of(database, program, lin), wu)
    stores, found = Stores(database, graph), list[tuple[int, int, int]]()
    for kind in ("IDENTITY_VERIFIED", "ACCOUNT_CLOSED", "IDENTITY_VERIFIED"):
        await tell(database, wu, kind)
        for _ in range(2):
            await sweep_outbox(stores)
        found.append(await standing(database, lin))
    assert found == [(0, 70, 0), (0, 0, 0), (0, 70, 0)]
    await books_hold(database, lin)


async def test_a_pause_reaches_a_fact_that_lies_ahead(graph: GraphClient, database: Database, unique: str) -> None:
    """Given a fact five seconds ahead, when its rule is paused before, then it is settled at its time for nothing."""
    kind, at = kind_of("AHEAD", unique), utc_now() + timedelta(seconds=5)
    rule, stores = await make_rule(database, {"fact_kind": kind, "points": 3}), Stores(database, graph)
    await tell_facts(database, fact_of(unique, kind, at=at))
    await sweep_outbox(stores)
    async with database.write() as session:
        await pause_earning_rule(session, rule, now=at - timedelta(seconds=1))
    await asyncio.sleep(max(0, (at - utc_now()).total_seconds()))
    await sweep_outbox(stores)
    assert await earnings(database, unique) == []
    assert await standing(database, unique) == (0, 0, 0)


async def test_killed_at_three_points_every_fact_earns_once_and_no_cap_is_passed(
    stores: Addresses, graph: GraphClient, database: Database, own_redis: str, unique: str, tmp_path: Path
) -> None:
    """Given twelve facts of three customers, 100 points a month each, when workers die, then each is there once."""
    kind, gone = kind_of("KILLED", unique), kind_of("GONE", unique)
    caps = [{"period": "MONTH", "points": 100}]
    rule = await make_rule(database, {"fact_kind": kind, "points": 40, "caps": caps, "reversed_by": [gone]})
    people = [f"{unique}-{number}" for number in range(3)]
    at = utc_now()
    facts = [fact_of(one, kind, at=at) for one in people for _ in range(4)]
    await tell_facts(database, *facts)
    await run_workers(stores, database, graph, own_redis, tmp_path)
    for one in people:
        assert sorted(e.points for e in await earnings(database, one)) == [0, 20, 40, 40]
        assert await standing(database, one) == (100, 0, 0)
    paid = {one.fact_id for one in await earnings(database, *people) if one.points}
    whole = [fact for fact in facts if fact.id in paid]
    await tell_facts(database, *(fact_of(one.customer_id, gone, at=at, reverses=one.key) for one in whole))
    await run_workers(stores, database, graph, own_redis, tmp_path / "back")
    async with database.read() as session:
        taken = select(Earning).where(Earning.rule_id == rule, col(Earning.reversed_at).is_not(None))
        keys = [f"clawback:{e.key}" for e in (await session.exec(taken)).all()]
        booked = select(func.count(col(LedgerPosting.id))).where(col(LedgerPosting.key).in_(keys))
        assert (len(keys), (await session.exec(booked)).one()) == (9, 9)
    assert [await standing(database, one) for one in people] == [(0, 0, 0)] * 3
    await books_hold(database, *people)


async def run_workers(stores: Addresses, database: Database, graph: GraphClient, url: str, folder: Path) -> None:
    """Three workers that die, each at another point of its first posting, and one that does the rest."""
    for point in POINTS:
        worker = start_worker(stores, url, folder / f"{point}.log", point)
        if await asyncio.to_thread(worker.wait, 60) != -9:
            raise AssertionError((folder / f"{point}.log").read_text()[-2000:])
        with redis.Redis.from_url(url) as queue:
            queue.flushall()
    worker = start_worker(stores, url, folder / "worker.log")
    try:
        await asyncio.to_thread(wait_until_started, folder / "worker.log")
        await wait_until_settled(database, graph)
    finally:
        stop(worker)
