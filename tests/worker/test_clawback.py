"""A reward that facts undo goes back by the worker: once, by its programme's policy, with its budget."""

import asyncio
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.outbox import Outbox, owe
from graph.client import GraphClient
from loyalty.ledger import LedgerPosting, PostingKind
from loyalty.shortfall import ShortfallPolicy
from referrals.programs import ReferralProgram
from referrals.rewards import REWARD_REVERSED, ReferralReward
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, spend, standing
from tests.referrals.programs import claim, code_of, make_people, make_program, tell
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

STEPS = [
    {
        "name": "verified",
        "fact_kind": "IDENTITY_VERIFIED",
        "referrer_points": 300,
        "referee_points": 100,
        "reversed_by": ["IDENTITY_REVOKED"],
    }
]


async def work(database: Database, graph: GraphClient) -> None:
    stores = Stores(database, graph)
    await sweep_graph(stores)
    await sweep_outbox(stores)


async def rewarded(database: Database, graph: GraphClient, **definition: Any) -> tuple[str, str, str]:
    """A programme and its referrer and referee, both with their points."""
    program = await make_program(database, steps=STEPS, budget_points=1000, reversible_days=30, **definition)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "IDENTITY_VERIFIED")
    await work(database, graph)
    return program, lin, wu


async def rewards_of(database: Database, program: str) -> dict[str, tuple[str, str | None, int]]:
    async with database.read() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == program))).all()
    return {row.side: (row.status, row.reason, row.lost_points) for row in rows}


async def reserved(database: Database, program: str) -> int:
    async with database.read() as session:
        return (await session.get_one(ReferralProgram, program)).reserved_points


@pytest.mark.parametrize("policy", list(ShortfallPolicy))
async def test_a_reversed_step_takes_both_rewards_back(
    database: Database, graph: GraphClient, policy: ShortfallPolicy
) -> None:
    """Given 300 of which 120 are spent, and 100 untouched, when the step is undone, then 120 are short."""
    program, lin, wu = await rewarded(database, graph, shortfall=policy)
    assert [await standing(database, one) for one in (lin, wu)] == [(300, 0, 0), (100, 0, 0)]
    await spend(database, lin, 120)
    await tell(database, wu, "IDENTITY_REVOKED")
    await work(database, graph)
    owed = 120 if policy == ShortfallPolicy.DEBT else 0
    assert [await standing(database, one) for one in (lin, wu)] == [(0, 0, owed), (0, 0, 0)]
    assert await rewards_of(database, program) == {
        "REFERRER": ("CLAWED_BACK", "REVERSED", 120),
        "REFEREE": ("CLAWED_BACK", "REVERSED", 0),
    }
    assert await reserved(database, program) == 120
    await books_hold(database, lin, wu)


async def test_pending_points_of_a_reversed_step_are_never_released(database: Database, graph: GraphClient) -> None:
    program, lin, wu = await rewarded(database, graph, hold_days=7)
    assert [await standing(database, one) for one in (lin, wu)] == [(0, 300, 0), (0, 100, 0)]
    await tell(database, wu, "IDENTITY_REVOKED")
    await work(database, graph)
    assert [await standing(database, one) for one in (lin, wu)] == [(0, 0, 0), (0, 0, 0)]
    assert await reserved(database, program) == 0
    await books_hold(database, lin, wu)


async def test_many_workers_take_a_reward_back_once(stores: Addresses, database: Database, graph: GraphClient) -> None:
    """Given two rewards to go, each owed three times over, when four workers sweep at once, each has gone once."""
    program, lin, wu = await rewarded(database, graph)
    now = utc_now()
    async with database.write() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == program))).all()
        for row in rows:
            for number in range(3):
                payload = {"reward_id": row.id, "reason": "REVERSED"}
                await owe(session, topic=REWARD_REVERSED, key=f"{row.key}:{number}", payload=payload, now=now)
    pools = [stores.database() for _ in range(4)]
    try:
        await asyncio.gather(*(sweep_outbox(Stores(pool, graph)) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    await work(database, graph)
    assert [await standing(database, one) for one in (lin, wu)] == [(0, 0, 0), (0, 0, 0)]
    assert await reserved(database, program) == 0
    async with database.read() as session:
        booked = select(LedgerPosting.key).where(
            LedgerPosting.kind == PostingKind.CLAWBACK, col(LedgerPosting.cause_id).in_([row.id for row in rows])
        )
        assert sorted((await session.exec(booked)).all()) == sorted(f"clawback:{row.key}" for row in rows)
        left = select(Outbox.id).where(Outbox.topic == REWARD_REVERSED, col(Outbox.settled_at).is_(None))
        assert (await session.exec(left)).all() == []
    await books_hold(database, lin, wu)
