"""The daily look for alerts: what it finds by each rule, and that it ends the same whatever kills it."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from core.db import Database
from core.fact_kinds import COMPLAINT_FILED
from core.facts import NewFact, record_facts
from core.outbox import Outbox
from core.processes import REPOSITORY
from customers.alert_definition import STANDARD_ALERTS, ConditionRule
from customers.alert_looks import ALERT_LOOK, owe_looks
from customers.insight_policies import PolicyKind
from customers.insight_sweeps import LONGEST_PAGE, LONGEST_SPAN, InsightSweep, advance_sweep, open_sweep
from tests.conftest import RING, Addresses
from tests.customers.insight import (
    DAY,
    NOON,
    TODAY,
    ZONE,
    alerts_by_customer,
    causes,
    leave,
    make_people,
    put_complaints,
    put_holding,
    put_months,
    put_moves,
    put_tier,
    put_traits,
    set_policy,
)
from tests.databases import own_database
from tests.service.complaining import filed
from worker.alerts import are_alerts_due, sweep_alerts
from worker.insight import on_alert_looks

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_look.py"


def run_killed(stores: Addresses, url: str, look: str, point: str, number: int) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), look, point, str(number)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


async def sweep_row(database: Database, day: date = TODAY) -> InsightSweep:
    async with database.read() as session:
        return await session.get_one(InsightSweep, ("ALERTS", day))


async def test_each_rule_speaks_of_who_it_is_about(stores: Addresses, tmp_path: Path) -> None:
    """Given one customer for each rule, and beside each one who stays just below it, then exactly they are told of."""
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, 18)
        drop, vip, steady, flow, flow_less, foreign, less, as_before, quiet, awake, *rest = people
        ripe, sold, angry, once, odd, even, rich, poor = rest
        for one, tier, last in ((drop, "MASS", 182_000_00), (vip, "VIP", 208_000_00), (steady, "MASS", 208_000_00)):
            await put_months(database, one, 260_000_00, 250_000_00, 240_000_00, last)
            await put_tier(database, one, tier)
        yesterday = NOON - DAY
        for one, amount, currency in (
            (flow, -300_000_00, "CNY"),
            (flow_less, -299_999_99, "CNY"),
            (foreign, -1 << 40, "USD"),
        ):
            await put_months(database, one, 1_000_000_00)
            # It is eight in the morning of the next day in the bank's time zone, twenty hours later.
            next_day = yesterday + timedelta(hours=20)
            await put_moves(database, one, (yesterday, amount), (next_day, -1), currency=currency)
        busy = [(NOON - (100 + n) * DAY, 5) for n in range(10)]
        await put_moves(database, less, *busy, *((NOON - (5 + n) * DAY, 5) for n in range(7)))
        await put_moves(database, as_before, *busy, *((NOON - (5 + n) * DAY, 5) for n in range(8)))
        await put_moves(database, quiet, (NOON - 180 * DAY, 5), (NOON - 900 * DAY, 5))
        await put_moves(database, awake, (NOON - 179 * DAY, 5), (NOON - 900 * DAY, 5))
        await put_holding(database, ripe, TODAY + 7 * DAY)
        await put_holding(database, ripe, TODAY + 8 * DAY)
        await put_holding(database, sold, TODAY - 3 * DAY, amount=0)
        await put_complaints(database, angry, NOON - 89 * DAY, NOON)
        await put_complaints(database, once, NOON - 90 * DAY, NOON)
        await put_months(database, odd, *[100, 120, 140] * 3, 300_00)
        await put_months(database, even, *[100, 120, 140] * 3, 180)
        await put_traits(database, rich, assets=5_000_000_00)
        await put_traits(database, poor, assets=5_000_000_00 - 1)
        condition = {"trait": {"name": "assets", "gte": 500_000_000}}
        rule = ConditionRule(key="very-rich", name_zh="高净值", name_en="Very rich", condition=condition)
        await set_policy(database, STANDARD_ALERTS.model_copy(update={"conditions": (rule,)}))

        assert await sweep_alerts(database, now=NOON, page=4) == 11
        nothing: list[str] = []
        assert await causes(database, [drop, vip, steady]) == [["BALANCE_DROP"], ["BALANCE_DROP"], nothing]
        assert await causes(database, [flow, flow_less, foreign]) == [["LARGE_OUTFLOW"], nothing, nothing]
        assert await causes(database, [less, as_before]) == [["ACTIVITY_DROP"], nothing]
        assert await causes(database, [quiet, awake]) == [["ACTIVITY_DROP", "DORMANT"], ["ACTIVITY_DROP"]]
        assert await causes(database, [ripe, sold]) == [["MATURITY"], nothing]
        assert await causes(database, [angry, once]) == [["COMPLAINTS"], nothing]
        assert await causes(database, [odd, even]) == [["ANOMALY"], nothing]
        assert await causes(database, [rich, poor]) == [["CONDITION"], nothing]
        found = (await alerts_by_customer(database))[flow][0]
        assert found.evidence == {
            "cause": "LARGE_OUTFLOW",
            "day": "2026-11-27",
            "outflow": 300_000_00,
            "balance": 1_000_000_00,
            "least": 200_000_00,
            "percent_of_balance": 30,
        }


async def test_vip_is_who_is_one_at_the_time_of_the_look(stores: Addresses, tmp_path: Path) -> None:
    """Given a balance at 80 % of the best, of two VIPs by override; then the one whose override is over is none."""
    async with own_database(stores, tmp_path) as database:
        still, over = await make_people(database, 2)
        for one, until in ((still, NOON + timedelta(microseconds=1)), (over, NOON)):
            await put_months(database, one, 260_000_00, 250_000_00, 240_000_00, 208_000_00)
            await put_tier(database, one, "VIP", overridden_until=until)
        await sweep_alerts(database, now=NOON)
        assert set(await alerts_by_customer(database)) == {still}


async def test_who_was_erased_or_merged_is_looked_at_no_more(stores: Addresses, tmp_path: Path) -> None:
    """Given a condition that holds for whoever has no assets, then it speaks of those who are still somebody."""
    async with own_database(stores, tmp_path) as database:
        first, erased, merged, last = await make_people(database, 4)
        await leave(database, erased, merged, last)
        unknown = {"trait": {"name": "assets", "known": False}}
        rule = ConditionRule(key="unknown", name_zh="资产未知", name_en="Assets unknown", condition=unknown)
        await set_policy(database, STANDARD_ALERTS.model_copy(update={"conditions": (rule,)}))
        assert await sweep_alerts(database, now=NOON) == 2
        assert set(await alerts_by_customer(database)) == {first, last}


async def fill(database: Database) -> list[str]:
    """Seven customers, every other one with two complaints and a deposit that matures in a week."""
    people = await make_people(database, 7)
    for one in people[::2]:
        await put_complaints(database, one, NOON - DAY, NOON - 2 * DAY)
        await put_holding(database, one, TODAY + 7 * DAY)
    return people


@pytest.mark.parametrize(
    ("point", "number"),
    [("before-commit", 1), ("after-commit", 2), ("before-commit", 5)],
)
async def test_killed_anywhere_and_run_again_it_ends_the_same(
    stores: Addresses, tmp_path: Path, point: str, number: int
) -> None:
    """Given seven customers in pages of two, when the look dies at one, then the next look does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        people = await fill(database)
        assert await are_alerts_due(database, now=NOON)
        assert run_killed(stores, database.url, "alerts", point, number) == -signal.SIGKILL
        await sweep_alerts(database, now=NOON, page=2)
        both: list[str] = ["COMPLAINTS", "MATURITY"]
        assert await causes(database, people) == [both, [], both, [], both, [], both]
        row = await sweep_row(database)
        assert (row.customers, row.raised, row.finished_at is not None) == (7, 8, True)
        async with database.read() as session:
            owed = (await session.exec(select(Outbox.key).where(Outbox.topic == "task.owed"))).all()
        assert len(owed) == len(set(owed)) == 8
        assert not await are_alerts_due(database, now=NOON)
        assert await sweep_alerts(database, now=NOON + DAY / 4) == 0
        assert (await sweep_row(database)).customers == 7


async def test_of_two_looks_at_once_one_gives_way(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        people = await fill(database)
        raised = await asyncio.gather(*(sweep_alerts(database, now=NOON, page=2) for _ in range(4)))
        assert sum(raised) == 8
        assert [len(found) for found in await causes(database, people)] == [2, 0, 2, 0, 2, 0, 2]
        row = await sweep_row(database)
        assert (row.customers, row.raised) == (7, 8)


async def test_a_look_that_somebody_is_at_is_not_due_until_their_time_is_over(
    stores: Addresses, tmp_path: Path
) -> None:
    """Given a look that is at a page, then no other is started beside it; a while after a page, one is."""
    async with own_database(stores, tmp_path) as database:
        people = await fill(database)
        async with database.write() as session:
            row = await open_sweep(session, PolicyKind.ALERTS, zone=ZONE, now=NOON)
            assert row is not None and await advance_sweep(session, row, people[:2], now=NOON)
        assert not await are_alerts_due(database, now=NOON + LONGEST_PAGE - timedelta(seconds=1))
        assert await are_alerts_due(database, now=NOON + LONGEST_PAGE)


async def test_days_that_were_missed_are_made_up_for(stores: Addresses, tmp_path: Path) -> None:
    """Given a week without a look, then deposits and outflows of that week are told of, each by its latest stage."""
    async with own_database(stores, tmp_path) as database:
        early, late, gone, first, before = await make_people(database, 5)
        assert await sweep_alerts(database, now=NOON - 8 * DAY) == 0
        await put_holding(database, early, TODAY + 7 * DAY)
        # Seven days ahead two days ago, and one day ahead tomorrow.
        await put_holding(database, late, TODAY + 5 * DAY)
        await put_holding(database, gone, TODAY + 6 * DAY, amount=0)
        await put_moves(database, first, (NOON - 7 * DAY, -250_000_00))
        await put_moves(database, before, (NOON - 20 * DAY, -250_000_00))
        assert await sweep_alerts(database, now=NOON) == 3
        assert await causes(database, [early, late, gone]) == [["MATURITY"], ["MATURITY"], []]
        assert await causes(database, [first, before]) == [["LARGE_OUTFLOW"], []]
        row = await sweep_row(database)
        assert row.first_day == TODAY - 7 * DAY
        assert await sweep_alerts(database, now=NOON + 100 * DAY) == 2
        long = await sweep_row(database, TODAY + 100 * DAY)
        assert (long.day - long.first_day).days == LONGEST_SPAN - 1


async def test_days_are_those_of_the_bank(stores: Addresses, tmp_path: Path) -> None:
    """Given half past midnight in Shanghai, which is the day before in UTC, then today's maturities are told of."""
    night = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)
    async with own_database(stores, tmp_path) as database:
        (one,) = await make_people(database, 1)
        await put_holding(database, one, TODAY + 7 * DAY)
        assert await sweep_alerts(database, now=night - timedelta(hours=1)) == 0
        assert await sweep_alerts(database, now=night) == 1


async def test_a_page_costs_the_same_however_many_customers_it_has(stores: Addresses, tmp_path: Path) -> None:
    """Given two customers and then twenty in one page, then the look makes as many statements for both."""
    costs: list[int] = []
    async with own_database(stores, tmp_path) as database:
        for number, count in enumerate((2, 18)):
            for one in await make_people(database, count):
                await put_months(database, one, 260_000_00, 250_000_00, 240_000_00, 100_00)
                await put_complaints(database, one, NOON - DAY, NOON)
            before = database.statements
            assert await sweep_alerts(database, now=NOON + number * DAY) == 2 * count
            costs.append(database.statements - before)
    # SQLite samples its tables before a look, by two statements.
    assert costs == [26, 26] if database.is_sqlite else [24, 24]


async def test_complaints_that_were_filed_here_count_too(stores: Addresses, tmp_path: Path) -> None:
    """Given two own complaints, an own and an imported one, one alone, and two of which one is 90 days old or was
    told by a fact of the bank's beside its record; then those alone are told of who complained twice within 90 days."""
    async with own_database(stores, tmp_path) as database:
        database.keys = RING
        twice, both, once, old, told = people = await make_people(database, 5)
        for one, at in ((twice, NOON - 89 * DAY), (twice, NOON), (both, NOON), (once, NOON), (old, NOON - 90 * DAY)):
            await filed(database, customer_id=one, now=at)
        await filed(database, customer_id=old, now=NOON)
        await put_complaints(database, both, NOON - DAY)
        await put_complaints(database, told, NOON)
        imported = NewFact("crm", "complaint:1:filed", COMPLAINT_FILED, told, NOON, {"complaint": "1"})
        async with database.write() as session:
            await record_facts(session, [imported], now=NOON)
        assert await sweep_alerts(database, now=NOON) == 2
        nothing: list[str] = []
        assert await causes(database, people) == [["COMPLAINTS"], ["COMPLAINTS"], nothing, nothing, nothing]
        seen = (await alerts_by_customer(database))[both][0].evidence
        assert (seen["count"], seen["days"], seen["latest_day"]) == (2, 90, TODAY.isoformat())


async def test_what_has_come_in_is_looked_at_at_once(stores: Addresses, tmp_path: Path) -> None:
    """Given an outflow of today and two complaints, when a look is owed, then both are told of and not again."""
    async with own_database(stores, tmp_path) as database, stores.graph() as graph:
        one, other, angry, old = await make_people(database, 4)
        await put_moves(database, one, (NOON - timedelta(hours=2), -200_000_00))
        await put_moves(database, other, (NOON - timedelta(hours=2), -200_000_00), (NOON, 1))
        await put_complaints(database, angry, NOON, NOON - DAY)
        async with database.write() as session:
            news = [(one, NOON), (other, NOON), (angry, NOON - 2 * DAY), (one, NOON), (old, NOON - 2.01 * DAY)]
            await owe_looks(session, news, now=NOON)
        async with database.read() as session:
            rows = (await session.exec(select(Outbox).where(Outbox.topic == ALERT_LOOK))).all()
        assert len(rows) == 3
        for _ in range(2):
            async with database.write() as session:
                await on_alert_looks(session, graph, [row.payload for row in rows], NOON)
        assert await causes(database, [one, other, angry]) == [["LARGE_OUTFLOW"], [], ["COMPLAINTS"]]
        # The look of the next day sees the same day once more, and knows it.
        assert await sweep_alerts(database, now=NOON + DAY) == 0
