"""Caps and budget: met exactly by many writers at once, and counters that always equal what they count."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

from core.clock import utc_now
from core.db import Database
from graph.client import GraphClient
from referrals.households import declare_household
from referrals.limits import ReferralCounter
from referrals.programs import MoneyBudget, ReferralProgram, activate_program, update_program
from referrals.rewards import COUNTED
from tests.conftest import Addresses
from tests.referrals.programs import claim, code_of, make_people, make_program, rewards_of, settle, tell

pytestmark = pytest.mark.anyio

STEP = {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 100, "reversed_by": ["CLOSED"]}
BOTH = {**STEP, "referee_points": 30}


async def referred(
    database: Database,
    graph: GraphClient,
    program: str,
    referrers: list[str],
    count: int,
    *,
    at: datetime | None = None,
) -> list[str]:
    """New customers, each brought by one of the referrers in turn and verified, and not settled yet."""
    referees = await make_people(graph, count)
    codes = [await code_of(database, program, referrer) for referrer in referrers]
    for number, referee in enumerate(referees):
        await claim(database, graph, codes[number % len(codes)], referee)
        await tell(database, referee, "IDENTITY_VERIFIED", at=at)
    return referees


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


async def check_counters(database: Database, program: str) -> ReferralProgram:
    """What is kept of the programme and its counters is the sum of its rewards; returns the programme."""
    rewards = await rewards_of(database, program)
    counted = [reward for reward in rewards if reward.status in COUNTED]
    async with database.read() as session:
        row = await session.get_one(ReferralProgram, program)
        counters = (await session.exec(select(ReferralCounter).where(ReferralCounter.program_id == program))).all()
    assert row.reserved_points == sum(reward.points for reward in counted) + sum(one.lost_points for one in rewards)
    assert row.reserved_worth == sum(reward.worth for reward in counted)
    for counter in counters:
        mine = [reward for reward in counted if counter.id in reward.counters]
        assert (counter.rewards, counter.points) == (len(mine), sum(reward.points for reward in mine)), counter.id
    return row


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ([{"scope": "REFERRER", "rewards": 3}], {("REFERRER", 100): 6, ("REFERRER", 0): 14, ("REFEREE", 30): 20}),
        ([{"scope": "REFERRER", "points": 250}], {("REFERRER", 100): 4, ("REFERRER", 0): 16, ("REFEREE", 30): 20}),
        ([{"scope": "PROGRAM", "period": "MONTH", "rewards": 7}], {"rewards": 7}),
        (
            [{"scope": "PROGRAM", "points": 400}, {"scope": "REFERRER", "period": "DAY", "points": 10**6}],
            {"at_most": 400},
        ),
    ],
)
async def test_a_cap_is_exact_under_many_writers(
    stores: Addresses, graph: GraphClient, database: Database, caps: list[dict[str, Any]], expected: dict[Any, int]
) -> None:
    """Given 20 referees of two referrers, when all are settled twice at once on four pools, then caps hold exactly."""
    program = await make_program(database, steps=[BOTH], caps=caps)
    referees = await referred(database, graph, program, await make_people(graph, 2), 20)
    await settle_at_once(stores, referees)
    rewards = await rewards_of(database, program)
    assert len(rewards) == 40
    granted = [reward for reward in rewards if reward.status == "PENDING"]
    if "rewards" in expected:
        assert len(granted) == expected["rewards"]
    elif "at_most" in expected:
        # What does not fit is refused, so at most the smallest reward is left unused.
        assert expected["at_most"] - 30 < sum(reward.points for reward in granted) <= expected["at_most"]
    else:
        assert Counter((reward.side, reward.points) for reward in rewards) == expected
    refused = [reward for reward in rewards if reward.status == "CANCELLED"]
    assert {(reward.points, reward.reason) for reward in refused} == {(0, "CAP_REACHED")}
    await check_counters(database, program)


async def test_partial_fills_the_last_of_a_budget_to_the_point(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given 550 points for rewards of 100, when 30 qualify at once, then five get 100 and one gets 50."""
    program = await make_program(database, steps=[STEP], budget_points=550, on_limit="PARTIAL")
    referees = await referred(database, graph, program, await make_people(graph, 1), 30)
    await settle_at_once(stores, referees)
    rewards = await rewards_of(database, program)
    assert Counter((reward.points, reward.reason) for reward in rewards) == {
        (100, None): 5,
        (50, "BUDGET_EXHAUSTED"): 1,
        (0, "BUDGET_EXHAUSTED"): 24,
    }
    assert {reward.wanted_points for reward in rewards} == {100}
    assert (await check_counters(database, program)).reserved_points == 550


async def test_a_budget_in_money_counts_what_is_pending(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given 1,000 points worth 333 fen and a budget of 100 fen, then 300 points fit (99.9) and no more."""
    money = MoneyBudget(amount=100, amount_per_thousand=333, currency="CNY")
    program = await make_program(database, steps=[STEP], money=money)
    referees = await referred(database, graph, program, await make_people(graph, 1), 12)
    await settle_at_once(stores, referees)
    assert Counter(reward.points for reward in await rewards_of(database, program)) == {100: 3, 0: 9}
    assert (await check_counters(database, program)).reserved_worth == 3 * 100 * 333


async def test_a_household_has_one_cap_together(stores: Addresses, graph: GraphClient, database: Database) -> None:
    """Given two of one household and one of none, then the two share three rewards and the third has three."""
    caps = [{"scope": "HOUSEHOLD", "rewards": 3}]
    program = await make_program(database, steps=[STEP], caps=caps)
    lin, lu, sun = await make_people(graph, 3)
    async with database.write() as session:
        await declare_household(session, customer_ids=[lin, lu], reason="One family", actor="staff", now=utc_now())
    referees = await referred(database, graph, program, [lin, lu, sun], 24)
    await settle_at_once(stores, referees)
    granted = Counter(reward.customer_id for reward in await rewards_of(database, program) if reward.points)
    assert granted[lin] + granted[lu] == 3
    assert granted[sun] == 3
    await check_counters(database, program)


async def test_a_span_counts_what_was_reached_in_it(graph: GraphClient, database: Database) -> None:
    """Given one a day, then the last instant of a day and the first of the next are counted apart, by UTC."""
    program = await make_program(database, steps=[STEP], caps=[{"scope": "REFERRER", "period": "DAY", "rewards": 1}])
    (lin,) = await make_people(graph, 1)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    late, early = midnight - timedelta(microseconds=1), midnight
    code = await code_of(database, program, lin)
    made: list[int] = []
    for at in (late, early, late - timedelta(hours=1), early + timedelta(hours=23)):
        (referee,) = await make_people(graph, 1)
        await claim(database, graph, code, referee, now=midnight - timedelta(days=1))
        await tell(database, referee, "IDENTITY_VERIFIED", at=at)
        await settle(database, referee)
        made.append((await rewards_of(database, program, customer_id=lin, referee_id=referee))[0].points)
    assert made == [100, 100, 0, 0]
    await check_counters(database, program)


async def test_what_is_undone_frees_its_place_for_the_next(graph: GraphClient, database: Database) -> None:
    program = await make_program(
        database, steps=[STEP], caps=[{"scope": "REFERRER", "rewards": 1}], budget_points=100, hold_days=30
    )
    (lin,) = await make_people(graph, 1)
    first, second = await referred(database, graph, program, [lin], 2)
    for referee in (first, second):
        await settle(database, referee)
    await tell(database, first, "CLOSED")
    await settle(database, first)
    assert (await check_counters(database, program)).reserved_points == 0
    # The second was refused when there was no place; only a new fact lets it ask again.
    await tell(database, second, "CLOSED")
    await settle(database, second)
    await tell(database, second, "IDENTITY_VERIFIED", at=utc_now() + timedelta(minutes=1))
    await settle(database, second)
    states = sorted((one.points, one.status, one.reason) for one in await rewards_of(database, program))
    assert states == [(0, "CANCELLED", "REVERSED"), (100, "CANCELLED", "REVERSED"), (100, "PENDING", None)]
    assert (await check_counters(database, program)).reserved_points == 100


async def test_a_counter_of_a_new_cap_begins_with_what_there_is(graph: GraphClient, database: Database) -> None:
    """Given two rewards of before the cap, when a version brings a cap of three, then one more is made."""
    program = await make_program(database, steps=[STEP])
    (lin,) = await make_people(graph, 1)
    for referee in await referred(database, graph, program, [lin], 2):
        await settle(database, referee)
    await renew(database, program, {"steps": [STEP], "caps": [{"scope": "REFERRER", "rewards": 3}]})
    for referee in await referred(database, graph, program, [lin], 3):
        await settle(database, referee)
    assert Counter(one.points for one in await rewards_of(database, program)) == {100: 3, 0: 2}
    async with database.read() as session:
        kept = select(func.sum(col(ReferralCounter.rewards))).where(ReferralCounter.program_id == program)
        assert (await session.exec(kept)).one() == 3


async def renew(database: Database, program: str, definition: dict[str, Any]) -> None:
    async with database.write() as session:
        await update_program(session, program, {}, definition=definition, now=utc_now())
        await activate_program(session, program)
