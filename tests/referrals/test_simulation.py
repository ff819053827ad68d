"""Simulation: it agrees with what settlement did on the same facts, and it writes nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlmodel import func, select

from core.clock import utc_now
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from graph.client import GraphClient
from ops.tables import METADATA
from referrals.definition import parse_definition
from referrals.programs import MoneyBudget, ReferralProgram
from referrals.simulation import Outcome, SimulationTooLarge, outcome_so_far, simulate
from tests.referrals.programs import claim, code_of, make_people, make_program, settle

pytestmark = pytest.mark.anyio

STEPS: list[dict[str, Any]] = [
    {
        "name": "open",
        "fact_kind": "ACCOUNT_OPENED",
        "referrer_points": 100,
        "referee_points": 30,
        "second_level_points": 9,
        "reversed_by": ["ACCOUNT_CLOSED"],
    },
    {"name": "event", "fact_kind": "EVENT_ATTENDED", "referrer_points": 70, "within_days": 60},
]
KINDS = ("ACCOUNT_OPENED", "ACCOUNT_OPENED", "ACCOUNT_CLOSED", "EVENT_ATTENDED", "NOISE")


async def nobody_since(ids: Sequence[str]) -> Mapping[str, datetime | None]:
    return dict.fromkeys(ids)


async def play(database: Database, program: str, definition: dict[str, Any]) -> Outcome:
    async with database.read() as session:
        row = await session.get_one(ReferralProgram, program)
        return await simulate(
            session,
            program_id=program,
            definition=parse_definition(definition),
            budget=row.budget,
            start=utc_now() - timedelta(days=1),
            end=utc_now() + timedelta(days=1),
            since_of=nobody_since,
        )


async def really(database: Database, program: str) -> Outcome:
    async with database.read() as session:
        return await outcome_so_far(
            session, program_id=program, start=utc_now() - timedelta(days=1), end=utc_now() + timedelta(days=1)
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "limits",
    [
        {"caps": [{"scope": "REFERRER", "period": "MONTH", "points": 250}], "on_limit": "PARTIAL"},
        {"caps": [{"scope": "PROGRAM", "rewards": 9}, {"scope": "HOUSEHOLD", "points": 300}]},
        {"budget_points": 777, "on_limit": "PARTIAL"},
        {"money": MoneyBudget(50, 77, "CNY")},
    ],
)
async def test_it_agrees_with_what_settlement_really_did(
    graph: GraphClient, database: Database, limits: dict[str, Any], seed: int
) -> None:
    """Given random facts in random order of arrival, each settled as it came, then the simulation says the same."""
    random = Random(seed)
    rules = {"hold_days": 20, "reward_depth": 2, "second_level_approval": "Legal, 2026-11"}
    program = await make_program(database, steps=STEPS, **rules, **limits)
    people = await make_people(graph, 9)
    for number, referee in enumerate(people[1:], start=1):
        await claim(database, graph, await code_of(database, program, people[random.randrange(number)]), referee)
    begin = utc_now()
    for _ in range(30):
        referee = random.choice(people[1:])
        at = begin + timedelta(hours=random.randint(-300, 300))
        fact = NewFact("test", new_id(), random.choice(KINDS), referee, at, {})
        async with database.write() as session:
            await record_facts(session, [fact], now=utc_now())
        await settle(database, referee)
    definition = {"steps": STEPS, **rules, **{name: limits[name] for name in ("caps", "on_limit") if name in limits}}
    expected = await really(database, program)
    assert expected.points > 0
    before = await rows(database)
    assert await play(database, program, definition) == expected
    assert await rows(database) == before


async def rows(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    async with database.read() as session:
        connection = await session.connection()
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in METADATA.sorted_tables
        }


async def test_another_definition_shows_what_it_would_have_paid(graph: GraphClient, database: Database) -> None:
    program = await make_program(database, steps=STEPS, reward_depth=2, second_level_approval="Legal")
    lin, wu = await make_people(graph, 2)
    await claim(database, graph, await code_of(database, program, lin), wu)
    fact = NewFact("test", new_id(), "ACCOUNT_OPENED", wu, utc_now(), {})
    async with database.write() as session:
        await record_facts(session, [fact], now=utc_now())
    await settle(database, wu)
    other = {"steps": [{"name": "open", "fact_kind": "ACCOUNT_OPENED", "referrer_points": 500}]}
    simulated = await play(database, program, other)
    assert (simulated.referrals, simulated.qualified, simulated.points) == (1, 1, 500)
    assert (await really(database, program)).points == 130


async def test_too_long_a_span_is_refused(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await make_program(database, steps=STEPS, reward_depth=2, second_level_approval="Legal")
    lin, wu, sun = await make_people(graph, 3)
    for referee in (wu, sun):
        await claim(database, graph, await code_of(database, program, lin), referee)
    monkeypatch.setattr("referrals.simulation.MOST_REFERRALS", 1)
    with pytest.raises(SimulationTooLarge):
        await play(database, program, {"steps": STEPS[1:]})
