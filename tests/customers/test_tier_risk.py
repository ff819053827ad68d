"""Risk as it is told: the tier that is shown follows at once, and no decision of a month changes."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from customers.tier_records import TierDecision
from customers.tier_risk import owe_risks
from customers.tiers import tier_explain
from graph.client import GraphClient
from graph.eligibility import Tier
from service.tasks import Task
from tests.conftest import Addresses
from tests.customers.monthly import (
    decide_months,
    make_clients,
    outcome,
    own_stores,
    put_balances,
    put_trait,
    tiers_in_graph,
)
from tests.customers.people import import_person, import_rows
from tests.customers.test_tier_overrides import ask, changes, decide, shown
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio


async def tell_risk(own: Stores, customer: str, level: str) -> None:
    """A level of risk as an import tells it, and the worker's sweep after it."""
    await put_trait(own.database, customer, "risk_level", word=level)
    async with own.database.write() as session:
        await owe_risks(session, [customer], now=utc_now())
    await sweep_outbox(own)


async def tasks_of(own: Stores, customer: str) -> list[tuple[str, str]]:
    statement = select(Task).where(Task.customer_id == customer).order_by(col(Task.opened_at))
    async with own.database.read() as session:
        return [(row.kind, row.status) for row in (await session.exec(statement)).all()]


async def test_a_high_risk_caps_at_once_asks_once_and_changes_no_decision(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a VIP; when high risk is told, twice, and the month is run; then MASS shows in both stores with one task;
    when the risk is lower again, then VIP shows and the task is over; the month that was decided stays as it was."""
    async with own_stores(stores, graph, tmp_path) as own:
        one, other = await make_clients(own, 2)
        await put_balances(own.database, {one: [600_000, 600_000], other: [600_000, 600_000]})
        await decide_months(own)
        decided = (await outcome(own.database))["TierDecision"]
        for _ in range(2):
            await tell_risk(own, one, "HIGH")
        assert await shown(own, one) == ("MASS", False)
        assert await tiers_in_graph(graph, [one, other]) == ["MASS", "VIP"]
        assert await tasks_of(own, one) == [("TIER_REVIEW", "OPEN")]
        await tell_risk(own, one, "LOW")
        assert await tiers_in_graph(graph, [one, other]) == ["VIP", "VIP"]
        assert await tasks_of(own, one) == [("TIER_REVIEW", "DONE")]
        assert [cause for cause, *_ in await changes(own, one)] == ["FIRST", "RISK_CAP", "RISK_LIFTED"]
        assert (await outcome(own.database))["TierDecision"] == decided
        async with own.database.read() as session:
            found = await tier_explain(session, one)
        assert found is not None and found.decision.tier == Tier.VIP


async def test_the_next_month_asks_no_second_time(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    """Given a risk that was told before the first run, or between two; then the run finds the cap as it is."""
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        await tell_risk(own, one, "HIGH")
        await put_balances(own.database, {one: [600_000]})
        await decide_months(own)
        await sweep_outbox(own)
        assert await shown(own, one) == ("MASS", False)
        assert await tasks_of(own, one) == [("TIER_REVIEW", "OPEN")]
        async with own.database.read() as session:
            row = (await session.exec(select(TierDecision))).one()
        assert (row.standing, row.tier) == (2, 0)


async def test_a_risk_covers_an_override_at_once(stores: Addresses, graph: GraphClient, tmp_path: Path) -> None:
    async with own_stores(stores, graph, tmp_path) as own:
        (one,) = await make_clients(own, 1)
        await decide(own, await ask(own, one))
        await tell_risk(own, one, "HIGH")
        assert await shown(own, one) == ("MASS", False)
        await tell_risk(own, one, "LOW")
        assert await shown(own, one) == ("VIP", False)
        assert await shown(own, one, utc_now() + timedelta(days=2)) == ("MASS", False)
        assert [cause for cause, *_ in await changes(own, one)] == ["OVERRIDE", "RISK_CAP", "RISK_LIFTED"]


async def test_an_import_of_risk_owes_the_look(database: Database, graph: GraphClient, unique: str) -> None:
    """Given an override and an imported row of risk; then the sweep that follows shows the cap and opens a task."""
    own = Stores(database, graph)
    one = (await import_person(database, graph, unique)).customer_id
    await decide(own, await ask(own, one))
    risk = {"kind": "trait", "customer": "1", "name": "risk_level", "value": "HIGH"}
    await import_rows(database, graph, unique, {**risk, "observed_at": "2026-10-01T00:00:00Z"})
    while await sweep_outbox(own):
        pass
    assert await shown(own, one) == ("MASS", False)
    assert await tasks_of(own, one) == [("TIER_REVIEW", "OPEN")]
