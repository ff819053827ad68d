"""Steps are told as facts of the referrer: once each, taken back when they are undone, and told anew after that."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.facts import Fact
from core.lawful import STEP_REACHED, STEP_UNDONE
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.settlement import reject_referral
from tests.referrals.programs import claim, code_of, make_people, make_program, settle, tell

pytestmark = pytest.mark.anyio

STEPS = [
    {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 100, "reversed_by": ["ACCOUNT_CLOSED"]},
    {"name": "event", "fact_kind": "EVENT_ATTENDED"},
]


async def told(database: Database, referrer: str) -> list[Fact]:
    statement = select(Fact).where(Fact.customer_id == referrer, col(Fact.kind).in_([STEP_REACHED, STEP_UNDONE]))
    async with database.read() as session:
        return list((await session.exec(statement.order_by(col(Fact.key)))).all())


async def referred(graph: GraphClient, database: Database) -> tuple[str, str, str]:
    """A referrer, whom they brought, and the referral's id."""
    program = await make_program(database, steps=STEPS, hold_days=30)
    lin, wu = await make_people(graph, 2)
    return lin, wu, await claim(database, graph, await code_of(database, program, lin), wu)


async def test_each_step_is_told_once_to_rules_about_the_referrer(graph: GraphClient, database: Database) -> None:
    lin, wu, referral = await referred(graph, database)
    at = utc_now()
    await tell(database, wu, "IDENTITY_VERIFIED", at=at)
    for _ in range(2):
        await settle(database, wu)
    (fact,) = await told(database, lin)
    assert (fact.key, fact.occurred_at) == (f"referral-step:{referral}:verified:0", at)
    assert (fact.payload["referral_id"], fact.payload["step"], fact.payload["position"]) == (referral, "verified", 0)
    await tell(database, wu, "EVENT_ATTENDED")
    await settle(database, wu)
    assert [(one.payload["step"], one.payload["position"]) for one in await told(database, lin)] == [
        ("event", 1),
        ("verified", 0),
    ]


async def test_what_is_undone_is_taken_back_and_told_anew_when_it_is_reached_again(
    graph: GraphClient, database: Database
) -> None:
    """Given both steps, when the first is undone and reached by another fact, then both are told again."""
    lin, wu, referral = await referred(graph, database)
    at = utc_now()
    await tell(database, wu, "IDENTITY_VERIFIED", at=at)
    await tell(database, wu, "EVENT_ATTENDED", at=at + timedelta(seconds=1))
    await settle(database, wu)
    await tell(database, wu, "ACCOUNT_CLOSED", at=at + timedelta(seconds=2))
    for _ in range(2):
        await settle(database, wu)
    await tell(database, wu, "IDENTITY_VERIFIED", at=at + timedelta(seconds=3))
    for _ in range(2):
        await settle(database, wu)
    name = f"referral-step:{referral}"
    facts = {fact.key: fact for fact in await told(database, lin)}
    assert sorted(facts) == sorted(
        f"{name}:{step}:{rest}" for step in ("verified", "event") for rest in ("0", "0:undone", "2")
    )
    for key, fact in facts.items():
        undone = key.endswith(":undone")
        assert fact.kind == (STEP_UNDONE if undone else STEP_REACHED)
        assert fact.payload.get("reverses") == (key.removesuffix(":undone") if undone else None)


async def test_a_referral_that_was_fraud_takes_back_what_was_told(graph: GraphClient, database: Database) -> None:
    lin, wu, referral = await referred(graph, database)
    await tell(database, wu, "IDENTITY_VERIFIED")
    await settle(database, wu)
    for _ in range(2):
        async with database.write() as session:
            row = await session.get_one(Referral, referral)
            await reject_referral(session, row, reason="FRAUD", now=utc_now())
    assert [fact.kind for fact in await told(database, lin)] == [STEP_REACHED, STEP_UNDONE]
