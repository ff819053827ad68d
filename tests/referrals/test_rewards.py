"""Referral rewards: each side of each step once, inside budget and caps, whatever order facts come in."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.outbox import Outbox
from graph.client import GraphClient
from referrals.attribution import Referral, ReferralStatus
from referrals.programs import ReferralProgram
from referrals.rewards import REWARD_MADE
from tests.conftest import Addresses
from tests.referrals.programs import claim, code_of, make_people, make_program, rewards_of, settle, tell

pytestmark = pytest.mark.anyio


async def reserved(database: Database, program: str) -> int:
    async with database.read() as session:
        return (await session.get_one(ReferralProgram, program)).reserved_points


async def test_facts_in_any_order_and_twice_give_each_side_of_each_step_once(
    graph: GraphClient, database: Database
) -> None:
    """Given a claim, when the later fact comes first and everything is settled thrice, then three rewards."""
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "EVENT_ATTENDED")
    await settle(database, wu)
    assert await rewards_of(database, program) == []
    await tell(database, wu, "IDENTITY_VERIFIED")
    await tell(database, wu, "IDENTITY_VERIFIED")
    for _ in range(3):
        await settle(database, wu)
    made = [
        (reward.step, reward.side, reward.customer_id, reward.points) for reward in await rewards_of(database, program)
    ]
    assert sorted(made) == [
        ("first-event", "REFERRER", lin, 200),
        ("verified", "REFEREE", wu, 100),
        ("verified", "REFERRER", lin, 300),
    ]
    assert await reserved(database, program) == 600
    async with database.read() as session:
        referral = (await session.exec(select(Referral).where(Referral.program_id == program))).one()
        owed = select(Outbox).where(Outbox.topic == REWARD_MADE, col(Outbox.key).contains(referral.id))
        assert len((await session.exec(owed)).all()) == 3
    assert referral.status == ReferralStatus.QUALIFIED


async def test_a_fact_that_shows_an_old_customer_cancels_what_is_not_issued(
    graph: GraphClient, database: Database
) -> None:
    """Given an approved reward, when an older fact of the first step arrives, then it is cancelled with its budget."""
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "IDENTITY_VERIFIED")
    await settle(database, wu)
    assert await reserved(database, program) == 400
    await tell(database, wu, "IDENTITY_VERIFIED", at=utc_now() - timedelta(days=300))
    await settle(database, wu)
    assert {(reward.status, reward.reason) for reward in await rewards_of(database, program)} == {
        ("CANCELLED", "EXISTING_CUSTOMER")
    }
    assert await reserved(database, program) == 0


async def test_the_budget_is_never_overshot_by_many_referees_at_once(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given a budget for five, when thirty referees qualify at once on four pools, then five are rewarded."""
    steps = [{"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 100}]
    program = await make_program(database, steps=steps, budget_points=550)
    lin, *referees = await make_people(graph, 31)
    code = await code_of(database, program, lin)
    for referee in referees:
        await claim(database, graph, code, referee)
        await tell(database, referee, "IDENTITY_VERIFIED")
    await settle_at_once(stores, referees)
    made = await rewards_of(database, program)
    assert Counter((reward.status, reward.reason) for reward in made) == {
        ("PENDING", None): 5,
        ("CANCELLED", "BUDGET_EXHAUSTED"): 25,
    }
    assert await reserved(database, program) == 500


async def test_the_cap_per_referrer_is_exact_under_concurrency(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    steps = [
        {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 100, "referee_points": 10},
    ]
    program = await make_program(database, steps=steps, rewards_per_referrer=3)
    lin, sun, *referees = await make_people(graph, 22)
    codes = [await code_of(database, program, lin), await code_of(database, program, sun)]
    for number, referee in enumerate(referees):
        await claim(database, graph, codes[number % 2], referee)
        await tell(database, referee, "IDENTITY_VERIFIED")
    await settle_at_once(stores, referees)
    made = await rewards_of(database, program)
    approved = Counter((reward.side, reward.customer_id) for reward in made if reward.status == "PENDING")
    assert approved[("REFERRER", lin)] == approved[("REFERRER", sun)] == 3
    assert sum(count for (side, _), count in approved.items() if side == "REFEREE") == 20
    assert await reserved(database, program) == 6 * 100 + 20 * 10


async def settle_at_once(stores: Addresses, referees: list[str]) -> None:
    """Settle each referee twice, all at once, on four pools, as several workers would."""
    pools = [stores.database() for _ in range(4)]
    todo = referees * 2
    random.Random(3).shuffle(todo)
    try:
        await asyncio.gather(*(settle(pools[n % 4], referee) for n, referee in enumerate(todo)))
    finally:
        for pool in pools:
            await pool.close()


async def test_a_reward_keeps_the_version_it_was_made_by(graph: GraphClient, database: Database) -> None:
    program = await make_program(database, hold_days=7, expires_days=30)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "IDENTITY_VERIFIED")
    await settle(database, wu)
    for reward in await rewards_of(database, program):
        assert reward.version == 1
        assert reward.available_at == reward.reached_at + timedelta(days=7)
        assert reward.expires_at == reward.reached_at + timedelta(days=30)
