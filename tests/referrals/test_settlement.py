"""Settlement: rewards follow the facts, forward and back, for both sides and the level above."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from core.outbox import Outbox
from graph.client import GraphClient
from referrals.attribution import Referral, referral_id
from referrals.rewards import REWARD_REVERSED, RewardStatus
from referrals.settlement import reject_referral, steps_of
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import claim, code_of, make_people, make_program, rewards_of, settle, tell

pytestmark = pytest.mark.anyio

STEPS: list[dict[str, Any]] = [
    {"name": "open", "fact_kind": "ACCOUNT_OPENED", "referrer_points": 100, "reversed_by": ["ACCOUNT_CLOSED"]},
    {"name": "event", "fact_kind": "EVENT_ATTENDED", "referee_points": 40, "reversed_by": ["NOT_ATTENDED"]},
]


async def states_of(database: Database, program: str) -> list[tuple[str, str, str | None]]:
    return sorted((one.step, one.status, one.reason) for one in await rewards_of(database, program))


async def referral_of(database: Database, program: str, referee: str) -> Referral:
    async with database.read() as session:
        return await session.get_one(Referral, referral_id(program, referee))


async def take_back(database: Database, customer_id: str, kind: str, fact_key: str) -> None:
    """Tell that the fact with this key did not happen."""
    fact = NewFact("test", new_id(), kind, customer_id, utc_now(), {"reverses": fact_key})
    async with database.write() as session:
        await record_facts(session, [fact], now=utc_now())


async def test_a_closed_account_cancels_what_was_promised_and_opens_the_referral_again(
    graph: GraphClient, database: Database
) -> None:
    program = await make_program(database, steps=STEPS, hold_days=30)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    for kind in ("ACCOUNT_OPENED", "EVENT_ATTENDED"):
        await tell(database, wu, kind)
    await settle(database, wu)
    assert (await referral_of(database, program, wu)).status == "QUALIFIED"
    await tell(database, wu, "ACCOUNT_CLOSED")
    await settle(database, wu)
    assert await states_of(database, program) == [("event", "CANCELLED", "REVERSED"), ("open", "CANCELLED", "REVERSED")]
    referral = await referral_of(database, program, wu)
    assert (referral.status, referral.qualified_at) == ("OPEN", None)
    async with database.read() as session:
        assert await steps_of(session, [referral.id]) == []


async def test_an_attendance_that_was_none_undoes_its_step_alone(graph: GraphClient, database: Database) -> None:
    program = await make_program(database, steps=STEPS, hold_days=30)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "ACCOUNT_OPENED")
    attended = NewFact("test", "attended-1" + wu, "EVENT_ATTENDED", wu, utc_now(), {})
    async with database.write() as session:
        await record_facts(session, [attended], now=utc_now())
    await settle(database, wu)
    await take_back(database, wu, "NOT_ATTENDED", attended.key)
    await settle(database, wu)
    assert await states_of(database, program) == [("event", "CANCELLED", "REVERSED"), ("open", "PENDING", None)]
    await tell(database, wu, "EVENT_ATTENDED")
    await settle(database, wu)
    made = await rewards_of(database, program)
    assert sorted((one.step, one.status, one.key.endswith(":1")) for one in made) == [
        ("event", "CANCELLED", False),
        ("event", "PENDING", True),
        ("open", "PENDING", False),
    ]


async def test_what_is_in_the_ledger_is_owed_a_clawback_once(graph: GraphClient, database: Database) -> None:
    """Given an issued reward, when the account closes and everything is settled thrice, then one clawback is owed."""
    program = await make_program(database, steps=STEPS, hold_days=30)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "ACCOUNT_OPENED")
    await settle(database, wu)
    await by_hand(database, "UPDATE referral_reward SET status = 'ISSUED' WHERE program_id = :id", id=program)
    await tell(database, wu, "ACCOUNT_CLOSED")
    for _ in range(3):
        await settle(database, wu)
    (reward,) = await rewards_of(database, program)
    assert reward.status == RewardStatus.ISSUED
    assert reward.reversed_at is not None
    async with database.read() as session:
        owed = select(Outbox).where(Outbox.topic == REWARD_REVERSED, Outbox.key == reward.key)
        assert [row.payload for row in (await session.exec(owed)).all()] == [
            {"reward_id": reward.id, "reason": "REVERSED"}
        ]
    await tell(database, wu, "ACCOUNT_OPENED", at=utc_now() + timedelta(minutes=1))
    await settle(database, wu)
    assert sorted(one.status for one in await rewards_of(database, program)) == ["ISSUED", "PENDING"]


async def test_an_old_customer_is_one_only_as_long_as_the_fact_stands(graph: GraphClient, database: Database) -> None:
    """Given a fact from before the referral, when it is taken back, then the referral counts again."""
    program = await make_program(database, steps=STEPS, hold_days=30)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "ACCOUNT_OPENED")
    await settle(database, wu)
    old = NewFact("test", "old-1" + wu, "ACCOUNT_OPENED", wu, utc_now() - timedelta(days=200), {})
    async with database.write() as session:
        await record_facts(session, [old], now=utc_now())
    await settle(database, wu)
    assert (await referral_of(database, program, wu)).reason == "EXISTING_CUSTOMER"
    assert await states_of(database, program) == [("open", "CANCELLED", "EXISTING_CUSTOMER")]
    await take_back(database, wu, "ACCOUNT_CLOSED", old.key)
    await settle(database, wu)
    referral = await referral_of(database, program, wu)
    assert (referral.status, referral.reason, referral.rejected_at) == ("OPEN", None, None)
    assert [one.status for one in await rewards_of(database, program) if one.key.endswith(":1")] == ["PENDING"]


async def test_a_referral_that_was_rejected_as_fraud_stays_so_whatever_facts_come(
    graph: GraphClient, database: Database
) -> None:
    program = await make_program(database, steps=STEPS)
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    await tell(database, wu, "ACCOUNT_OPENED")
    await settle(database, wu)
    async with database.write() as session:
        referral = await session.get_one(Referral, referral_id(program, wu))
        await reject_referral(session, referral, reason="FRAUD", now=utc_now())
    await tell(database, wu, "EVENT_ATTENDED")
    await settle(database, wu)
    assert await states_of(database, program) == [("open", "CANCELLED", "FRAUD")]
    assert (await referral_of(database, program, wu)).status == "REJECTED"


SECOND = [{"name": "open", "fact_kind": "ACCOUNT_OPENED", "referrer_points": 100, "second_level_points": 20}]


async def test_the_level_above_is_paid_by_explicit_policy_and_no_level_above_that(
    graph: GraphClient, database: Database
) -> None:
    """Given a chain of four in a programme of depth two, when the last qualifies, then two above are rewarded."""
    program = await make_program(database, steps=SECOND, reward_depth=2, second_level_approval="Legal, 2026-11")
    chain = await make_people(graph, 4)
    for one, other in pairwise(chain):
        await claim(database, graph, await code_of(database, program, one), other)
    await tell(database, chain[3], "ACCOUNT_OPENED")
    await settle(database, chain[3])
    made = [(one.side, one.customer_id, one.points) for one in await rewards_of(database, program)]
    assert sorted(made) == [("REFERRER", chain[2], 100), ("SECOND_LEVEL", chain[1], 20)]


async def test_a_programme_of_depth_one_pays_nobody_above(graph: GraphClient, database: Database) -> None:
    program = await make_program(database, steps=STEPS)
    chain = await make_people(graph, 3)
    for one, other in pairwise(chain):
        await claim(database, graph, await code_of(database, program, one), other)
    await tell(database, chain[2], "ACCOUNT_OPENED")
    await settle(database, chain[2])
    assert [one.customer_id for one in await rewards_of(database, program)] == [chain[1]]
