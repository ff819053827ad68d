"""Simulation of earning rules: it says what the worker really books on the same facts, and writes nothing."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlmodel import col, func, select

from core.clock import utc_now
from core.db import Database
from core.facts import NewFact
from core.ids import new_id
from loyalty import earning_simulation
from loyalty.earning_definition import parse_earning_definition
from loyalty.earning_simulation import EarningOutcome, Trial, earned_so_far, simulate_rule
from loyalty.ledger import AccountKind, LedgerAccount
from ops.tables import METADATA
from tests.loyalty.rules import fact_of, kind_of, make_rule, tell, tell_and_earn

pytestmark = pytest.mark.anyio

START = datetime(2026, 5, 1, tzinfo=UTC)
END = START + timedelta(days=40)


async def simulate(database: Database, definition: dict[str, Any], *, end: datetime = END) -> Trial:
    async with database.read() as session:
        return await simulate_rule(session, parse_earning_definition(definition), start=START, end=end)


async def really(database: Database, rule: str, **more: Any) -> EarningOutcome:
    async with database.read() as session:
        return await earned_so_far(session, rule, start=START, end=END, **more)


async def available(database: Database, unique: str) -> int:
    """The points of all customers of a test, as the ledger has them."""
    statement = select(func.sum(LedgerAccount.balance)).where(
        col(LedgerAccount.customer_id).startswith(unique), LedgerAccount.kind == AccountKind.AVAILABLE
    )
    async with database.read() as session:
        return int((await session.exec(statement)).one() or 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "limits",
    [
        {"caps": [{"period": "DAY", "points": 25}, {"period": "MONTH", "times": 4}]},
        {"caps": [{"period": "WEEK", "points": 17}], "on_cap": "REJECT", "reversible_days": 3},
        {"caps": [{"period": "EVER", "times": 3}, {"period": "YEAR", "points": 40}]},
    ],
)
async def test_it_agrees_with_what_the_worker_really_booked(
    database: Database, unique: str, limits: dict[str, Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given random facts in random order of arrival, each batch earned as it came, then both say the same."""
    monkeypatch.setattr(earning_simulation, "PAGE", 7)
    random = Random(seed)
    kind, gone = kind_of("VISITED", unique), kind_of("GONE", unique)
    definition = {
        "fact_kind": kind,
        "per_unit": {"field": "visits", "points": 3, "maximum": 12},
        "reversed_by": [gone],
        **limits,
    }
    rule = await make_rule(database, definition)
    told: list[NewFact] = []
    now = utc_now()
    for number in range(30):
        batch = [random_fact(random, unique, kind, gone, told) for _ in range(random.randint(1, 4))]
        told += batch
        # Some of them come again.
        await tell_and_earn(database, *batch, *random.sample(told, 1), now=now + timedelta(seconds=number))
    expected = await really(database, rule)
    assert expected.points > 0
    assert expected.caps
    before = await rows(database)
    trial = await simulate(database, definition)
    assert trial == Trial(expected)
    assert await rows(database) == before
    assert expected.points == await available(database, unique)


def random_fact(random: Random, unique: str, kind: str, gone: str, told: list[NewFact]) -> NewFact:
    """Mostly something that earns; sometimes what takes back one fact, or all of a customer's before it."""
    customer_id = f"{unique}-{random.randrange(5)}"
    at = START + timedelta(hours=random.randrange(30 * 24))
    mine = [fact for fact in told if fact.customer_id == customer_id and fact.kind == kind]
    if mine and random.random() < 0.25:
        fact = random.choice(mine)
        at = fact.occurred_at + timedelta(hours=random.randrange(120))
        payload = {"reverses": fact.key} if random.random() < 0.7 else {}
        return NewFact("test", new_id(), gone, customer_id, at, payload)
    return fact_of(customer_id, kind, at=at, visits=random.randrange(6))


async def rows(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    async with database.read() as session:
        connection = await session.connection()
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in METADATA.sorted_tables
        }


async def test_another_definition_shows_what_it_would_have_given(database: Database, unique: str) -> None:
    kind = kind_of("VISITED", unique)
    rule = await make_rule(database, {"fact_kind": kind, "points": 10})
    facts = [fact_of(f"{unique}-{n % 3}", kind, at=START + timedelta(days=n), channel="AB"[n % 2]) for n in range(9)]
    await tell_and_earn(database, *facts)
    other = {"fact_kind": kind, "points": 7, "conditions": [{"field": "channel", "equals": "A"}]}
    trial = await simulate(database, other)
    assert (trial.outcome.facts, trial.outcome.points, trial.outcome.customers) == (5, 35, 3)
    assert trial.outcome.top == [(f"{unique}-0", 14), (f"{unique}-2", 14), (f"{unique}-1", 7)]
    assert (await really(database, rule)).points == 90


async def test_a_span_has_its_start_and_not_its_end(database: Database, unique: str) -> None:
    kind = kind_of("VISITED", unique)
    await make_rule(database, {"fact_kind": kind, "points": 10})
    edges = [START - timedelta(microseconds=1), START, END - timedelta(microseconds=1), END]
    await tell_and_earn(database, *(fact_of(unique, kind, at=at) for at in edges))
    trial = await simulate(database, {"fact_kind": kind, "points": 10})
    assert (trial.outcome.facts, trial.outcome.points) == (2, 20)


async def test_too_many_facts_are_cut_and_the_answer_says_where(
    database: Database, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given room for five facts, when four customers have three each, then two are played, beside the same two."""
    monkeypatch.setattr(earning_simulation, "MOST_FACTS", 5)
    monkeypatch.setattr(earning_simulation, "PAGE", 4)
    kind = kind_of("VISITED", unique)
    rule = await make_rule(database, {"fact_kind": kind, "points": 10})
    await tell_and_earn(database, *(fact_of(f"{unique}-{n % 4}", kind, at=START) for n in range(12)))
    trial = await simulate(database, {"fact_kind": kind, "points": 10})
    assert trial.through == f"{unique}-1"
    assert trial.outcome.points == 60
    assert await really(database, rule, through=trial.through) == trial.outcome


@pytest.mark.parametrize(("facts", "cut"), [(4, False), (5, False), (6, True), (8, True), (9, True)])
async def test_one_customer_with_too_many_facts_is_cut_too(
    database: Database, unique: str, monkeypatch: pytest.MonkeyPatch, facts: int, cut: bool
) -> None:
    """Given room for five facts, when one customer alone has more, then five are played and the answer says so."""
    monkeypatch.setattr(earning_simulation, "MOST_FACTS", 5)
    monkeypatch.setattr(earning_simulation, "PAGE", 4)
    kind = kind_of("VISITED", unique)
    await tell(database, *(fact_of(unique, kind, at=START) for _ in range(facts)))
    trial = await simulate(database, {"fact_kind": kind, "points": 10})
    assert (trial.outcome.points, trial.through) == (10 * min(facts, 5), unique if cut else None)
    await tell(database, fact_of(f"{unique}-z", kind, at=START))
    trial = await simulate(database, {"fact_kind": kind, "points": 10})
    if facts == 4:
        assert (trial.outcome.points, trial.through) == (50, None)
    else:
        assert (trial.outcome.points, trial.through) == (50, unique)
