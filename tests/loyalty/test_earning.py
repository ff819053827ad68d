"""Earning: what facts bring by versions, conditions and caps, once each, and what takes it back."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.days import Period
from core.db import OWED, Database
from core.facts import FACT_RECORDED, Fact, record_facts
from core.ids import derived_id
from core.outbox import Outbox
from loyalty.earning import earn_for_facts, earnings_of
from loyalty.earning_caps import EarningCounter, counter_id, fold
from loyalty.earning_course import LessReason, span_of
from loyalty.earning_rules import (
    activate_earning_rule,
    create_earning_rule,
    pause_earning_rule,
    retire_earning_rule,
    timelines_of,
    update_earning_rule,
)
from loyalty.ledger import hold
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, house, spend, standing
from tests.loyalty.rules import LONG_AGO, earn, earnings, fact_of, kind_of, make_rule, tell, tell_and_earn

pytestmark = pytest.mark.anyio

SHANGHAI = ZoneInfo("Asia/Shanghai")


async def test_a_fact_earns_once_by_every_rule_that_watches_its_kind(database: Database, unique: str) -> None:
    """Given two rules for one kind, when the fact is seen three times, then each rule gives once."""
    kind = kind_of("ATTENDED", unique)
    first = await make_rule(database, {"fact_kind": kind, "points": 50})
    second = await make_rule(database, {"fact_kind": kind, "points": 7, "hold_days": 3})
    ids = await tell(database, fact_of(unique, kind))
    for _ in range(3):
        await earn(database, ids)
    assert {(one.rule_id, one.points) for one in await earnings(database, unique)} == {(first, 50), (second, 7)}
    assert await standing(database, unique) == (50, 7, 0)
    await books_hold(database, unique)


async def test_conditions_and_units_decide_how_much(database: Database, unique: str) -> None:
    """Given 5 points for each whole half-hour of an app or web visit of an hour at least, 20 at most."""
    kind = kind_of("VISITED", unique)
    definition = {
        "fact_kind": kind,
        "conditions": [
            {"field": "channel", "one_of": ["APP", "WEB"]},
            {"field": "minutes", "at_least": 60},
            {"field": "first", "equals": True},
        ],
        "per_unit": {"field": "minutes", "unit": 30, "points": 5, "maximum": 20},
    }
    await make_rule(database, definition)
    visits: list[dict[str, Any]] = [
        {"channel": "APP", "minutes": 89.9, "first": True},
        {"channel": "WEB", "minutes": 1000, "first": True},
        {"channel": "APP", "minutes": 59, "first": True},
        {"channel": "APP", "minutes": "90", "first": True},
        {"channel": "TEL", "minutes": 90, "first": True},
        {"channel": "APP", "minutes": 90, "first": 1},
        {"minutes": 90, "first": True},
    ]
    start = utc_now() - timedelta(days=1)
    facts = [fact_of(unique, kind, at=start + timedelta(hours=n), **visit) for n, visit in enumerate(visits)]
    await tell_and_earn(database, *facts)
    assert [one.points for one in await earnings(database, unique)] == [10, 20]


async def test_the_version_that_counted_when_it_happened_decides(database: Database, unique: str) -> None:
    """Given versions of 10 and 20 points, a pause and a third, when facts come late, then each meets its own."""
    kind, begin = kind_of("ANSWERED", unique), utc_now() - timedelta(days=10)
    rule = await make_rule(database, {"fact_kind": kind, "points": 10}, effective_from=begin)
    async with database.write() as session:
        await update_earning_rule(session, rule, definition={"fact_kind": kind, "points": 20}, now=utc_now())
        await activate_earning_rule(session, rule, effective_from=begin + timedelta(days=2), now=utc_now())
        await pause_earning_rule(session, rule, now=begin + timedelta(days=4))
        await update_earning_rule(session, rule, definition={"fact_kind": kind, "points": 40}, now=utc_now())
        await activate_earning_rule(session, rule, effective_from=begin + timedelta(days=6), now=utc_now())
    hours = {-1: None, 0: 1, 47: 1, 48: 2, 95: 2, 96: None, 143: None, 144: 3}
    facts = [fact_of(unique, kind, at=begin + timedelta(hours=hour)) for hour in reversed(hours)]
    await tell_and_earn(database, *facts)
    found = {(one.occurred_at - begin) // timedelta(hours=1): one.version for one in await earnings(database, unique)}
    assert found == {hour: version for hour, version in hours.items() if version}
    assert (await standing(database, unique))[0] == 10 + 10 + 20 + 20 + 40
    async with database.read() as session:
        for days, number in ((-1, None), (1, 1), (3, 2), (5, None), (7, 3)):
            at = begin + timedelta(days=days)
            seen = (await timelines_of(session, [rule], at=at))[rule]
            assert (len(seen.turns), list(seen.versions)) == (4, [number] if number else [])
            assert (version.number if (version := seen.at(at)) else None) == number


async def test_what_was_earned_stays_when_a_version_changes_or_a_rule_ends(database: Database, unique: str) -> None:
    kind = kind_of("ANSWERED", unique)
    rule = await make_rule(database, {"fact_kind": kind, "points": 10})
    ids = await tell(database, fact_of(unique, kind, at=utc_now() - timedelta(days=1)))
    await earn(database, ids)
    async with database.write() as session:
        await update_earning_rule(session, rule, definition={"fact_kind": kind, "points": 99}, now=utc_now())
        await activate_earning_rule(session, rule, effective_from=utc_now() - timedelta(days=5), now=utc_now())
    await earn(database, ids)
    async with database.write() as session:
        await retire_earning_rule(session, rule, now=utc_now())
    await tell_and_earn(database, fact_of(unique, kind, at=utc_now() + timedelta(minutes=1)))
    assert [(one.version, one.points) for one in await earnings(database, unique)] == [(1, 10)]


async def test_caps_count_by_the_days_of_the_zone(database: Database, unique: str) -> None:
    """Given 80 points a day in Shanghai, then the last instant of a day and the first of the next count apart."""
    kind = kind_of("ATTENDED", unique)
    await make_rule(database, {"fact_kind": kind, "points": 50, "caps": [{"period": "DAY", "points": 80}]})
    midnight = datetime.now(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    late = midnight - timedelta(microseconds=1)
    for at in (late, midnight, late - timedelta(hours=5), midnight + timedelta(hours=23)):
        await tell_and_earn(database, fact_of(unique, kind, at=at))
    found = [(one.points, one.reason, one.cap_period) for one in await earnings(database, unique)]
    cut = (30, LessReason.CAP_POINTS, Period.DAY)
    assert found == [cut, (50, None, None), (50, None, None), cut]
    async with database.read() as session:
        page = await earnings_of(session, unique, first=3, after=None)
        rest = await earnings_of(session, unique, first=3, after=page.cursors[-1])
    latest = page.rows[0]
    assert (latest.reason, latest.period, latest.earning.wanted_points) == (cut[1], cut[2], 50)
    assert (len(page.rows), page.has_next, len(rest.rows), rest.has_next) == (3, True, 1, False)


async def test_a_refusing_cap_gives_all_or_nothing(database: Database, unique: str) -> None:
    kind = kind_of("ATTENDED", unique)
    caps = [{"period": "WEEK", "points": 80}, {"period": "EVER", "times": 2}]
    await make_rule(database, {"fact_kind": kind, "points": 50, "caps": caps, "on_cap": "REJECT"})
    start = datetime(2026, 11, 4, tzinfo=UTC)
    for days in (0, 1, 7, 14):
        await tell_and_earn(database, fact_of(unique, kind, at=start + timedelta(days=days)))
    assert [(one.points, one.reason, one.cap_period) for one in await earnings(database, unique)] == [
        (50, None, None),
        (0, "CAP_POINTS", "WEEK"),
        (50, None, None),
        (0, "CAP_TIMES", "EVER"),
    ]


async def test_many_workers_never_give_more_than_a_cap(stores: Addresses, database: Database, unique: str) -> None:
    """Given 40 facts of each of two customers, when eight workers earn them at once, then each gets 330."""
    kind = kind_of("CROWD", unique)
    caps = [{"period": "MONTH", "points": 330}, {"period": "EVER", "times": 9}]
    rule = await make_rule(database, {"fact_kind": kind, "points": 40, "caps": caps})
    people = [f"{unique}-a", f"{unique}-b"]
    at = utc_now()
    ids = await tell(database, *(fact_of(one, kind, at=at) for _ in range(40) for one in people))
    pools = [stores.database() for _ in range(8)]

    async def work(pool: Database, mine: list[str]) -> None:
        for start in range(0, len(mine), 3):
            await earn(pool, mine[start : start + 3])

    try:
        # Every fact is seen by two workers.
        await asyncio.gather(*(work(pool, ids[n % 4 :: 4]) for n, pool in enumerate(pools)))
    finally:
        for pool in pools:
            await pool.close()
    for one in people:
        found = await earnings(database, one)
        assert Counter((e.points, e.reason) for e in found) == {
            (40, None): 8,
            (10, "CAP_POINTS"): 1,
            (0, "CAP_POINTS"): 31,
        }
        assert await standing(database, one) == (330, 0, 0)
        await check_counters(database, rule, one, at)
    await books_hold(database, *people)


async def check_counters(database: Database, rule: str, customer_id: str, at: datetime) -> None:
    """Assert that the counters of this month and of ever equal the fold of the earnings."""
    spans = [span_of(period, at, "Asia/Shanghai") for period in (Period.MONTH, Period.EVER)]
    named = {counter_id((rule, customer_id), span): ((rule, customer_id), span) for span in spans}
    async with database.read() as session:
        rows = (await session.exec(select(EarningCounter).where(col(EarningCounter.id).in_(list(named))))).all()
        folded = await fold(session, named)
    assert {row.id: (row.points, row.times) for row in rows} == {
        key: value for key, value in folded.items() if key in {row.id for row in rows}
    }
    assert rows


async def test_a_counter_of_a_new_cap_begins_with_what_there_is(database: Database, unique: str) -> None:
    """Given two earnings of before the cap, when a version brings a cap of three a month, then one more is given."""
    kind, at = kind_of("ATTENDED", unique), utc_now()
    rule = await make_rule(database, {"fact_kind": kind, "points": 5})
    await tell_and_earn(database, fact_of(unique, kind, at=at), fact_of(unique, kind, at=at))
    capped = {"fact_kind": kind, "points": 5, "caps": [{"period": "EVER", "times": 3}]}
    async with database.write() as session:
        await update_earning_rule(session, rule, definition=capped, now=utc_now())
        await activate_earning_rule(session, rule, effective_from=at, now=utc_now())
    await tell_and_earn(database, fact_of(unique, kind, at=at), fact_of(unique, kind, at=at))
    assert Counter(one.points for one in await earnings(database, unique)) == {5: 3, 0: 1}
    await check_counters(database, rule, unique, at)


@pytest.mark.parametrize(("shortfall", "left"), [("DEBT", (0, 0, 30)), ("WRITE_OFF", (0, 0, 0))])
async def test_what_is_taken_back_is_clawed_back_once_by_the_rules_policy(
    database: Database, unique: str, shortfall: str, left: tuple[int, int, int]
) -> None:
    """Given 50 points of which 30 are spent, when the fact is taken back twice, then it is clawed back once."""
    kind, gone = kind_of("ATTENDED", unique), kind_of("GONE", unique)
    await make_rule(database, {"fact_kind": kind, "points": 50, "reversed_by": [gone], "shortfall": shortfall})
    fact = fact_of(unique, kind)
    await tell_and_earn(database, fact)
    await spend(database, unique, 30)
    for _ in range(2):
        await tell_and_earn(database, fact_of(unique, gone, at=utc_now(), reverses=fact.key))
    (one,) = await earnings(database, unique)
    assert (one.points, one.reversed_at is not None) == (50, True)
    assert await standing(database, unique) == left
    moved = await house(database, one.id)
    assert moved.get("WRITE_OFF", 0) == (-30 if shortfall == "WRITE_OFF" else 0)
    async with database.read() as session:
        (line,) = (await earnings_of(session, unique, first=5, after=None)).rows
    assert line.reason == LessReason.REVERSED
    await books_hold(database, unique)


async def test_what_is_taken_back_frees_its_cap_for_the_next(database: Database, unique: str) -> None:
    kind, gone, at = kind_of("ATTENDED", unique), kind_of("GONE", unique), utc_now()
    caps = [{"period": "EVER", "times": 1}]
    rule = await make_rule(database, {"fact_kind": kind, "points": 50, "reversed_by": [gone], "caps": caps})
    first, second, third = (fact_of(unique, kind, at=at) for _ in range(3))
    await tell_and_earn(database, first)
    await tell_and_earn(database, second)
    await tell_and_earn(database, fact_of(unique, gone, at=at, reverses=first.key))
    await tell_and_earn(database, third)
    points = {one.fact_id: (one.points, one.reversed_at is None) for one in await earnings(database, unique)}
    assert points == {first.id: (50, False), second.id: (0, True), third.id: (50, True)}
    assert await standing(database, unique) == (50, 0, 0)
    await check_counters(database, rule, unique, at)


async def test_a_reversal_that_comes_before_its_fact_leaves_nothing_to_earn(database: Database, unique: str) -> None:
    kind, gone, at = kind_of("ATTENDED", unique), kind_of("GONE", unique), utc_now()
    await make_rule(
        database, {"fact_kind": kind, "points": 50, "reversed_by": [gone], "caps": [{"period": "EVER", "times": 1}]}
    )
    fact = fact_of(unique, kind, at=at)
    await tell_and_earn(database, fact_of(unique, gone, at=at, reverses=fact.key))
    await tell_and_earn(database, fact)
    await tell_and_earn(database, fact_of(unique, kind, at=at))
    assert Counter((one.points, one.reason) for one in await earnings(database, unique)) == {
        (0, "REVERSED"): 1,
        (50, None): 1,
    }


async def test_nobody_is_taken_from_for_somebody_elses_fact(database: Database, unique: str) -> None:
    """Given a reversal of another customer that names the same key, then nothing happens."""
    kind, gone = kind_of("ATTENDED", unique), kind_of("GONE", unique)
    await make_rule(database, {"fact_kind": kind, "points": 50, "reversed_by": [gone]})
    fact = fact_of(unique, kind)
    await tell_and_earn(database, fact)
    await tell_and_earn(database, fact_of(f"{unique}-other", gone, reverses=fact.key), fact_of(f"{unique}-other", gone))
    assert await standing(database, unique) == (50, 0, 0)


async def test_a_batch_costs_no_more_statements_than_one(database: Database, unique: str) -> None:
    """Given a capped rule, then sixty facts of twenty customers take as many statements as one fact of each of two."""
    kind, at = kind_of("BATCH", unique), utc_now()
    definition = {"fact_kind": kind, "points": 5, "caps": [{"period": "MONTH", "points": 9}]}
    await make_rule(database, definition)
    counts: list[int] = []
    for people in (2, 20):
        facts = [fact_of(f"{unique}-{people}-{n}", kind, at=at) for n in range(people) for _ in range(3)]
        ids = await tell(database, *facts)
        before = database.statements
        await earn(database, ids)
        counts.append(database.statements - before)
    assert counts[0] == counts[1]


async def test_facts_that_no_rule_watches_cost_one_statement(database: Database, unique: str) -> None:
    ids = await tell(database, fact_of(unique, kind_of("NOISE", unique)))
    async with database.write() as session:
        facts = (await session.exec(select(Fact).where(col(Fact.id).in_(ids)))).all()
        before = database.statements
        await earn_for_facts(session, facts, now=utc_now())
        assert database.statements - before == 1


async def test_a_fact_and_what_takes_it_back_seen_at_once_leave_nothing(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given twelve facts and their reversals, when two workers see each pair at the same time, then nothing is left."""
    kind, gone, at = kind_of("RACED", unique), kind_of("GONE", unique), utc_now()
    definition = {"fact_kind": kind, "points": 5, "reversed_by": [gone], "caps": [{"period": "MONTH", "points": 900}]}
    rule = await make_rule(database, definition)
    facts = [fact_of(unique, kind, at=at) for _ in range(12)]
    pools = [stores.database() for _ in range(2)]
    try:
        for fact in facts:
            reversal = fact_of(unique, gone, at=at, reverses=fact.key)
            await tell(database, fact, reversal)
            await asyncio.gather(earn(pools[0], [fact.id]), earn(pools[1], [reversal.id]))
    finally:
        for pool in pools:
            await pool.close()
    found = await earnings(database, unique)
    assert [one.reversed_at is not None for one in found] == [True] * 12
    assert await standing(database, unique) == (0, 0, 0)
    await check_counters(database, rule, unique, at)
    await books_hold(database, unique)


async def test_a_rule_that_is_activated_while_its_customer_is_held_sees_the_fact(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given a worker who waits for a customer, when another rule for the kind begins meanwhile, then both earn.

    SQLite lets the worker begin only after the rule is there; on PostgreSQL it has looked for rules before.
    """
    kind = kind_of("WAITED", unique)
    await make_rule(database, {"fact_kind": kind, "points": 3})
    async with database.write() as session:
        given: dict[str, Any] = {"name_zh": "规则", "name_en": "Rule", "now": utc_now()}
        second = await create_earning_rule(session, definition={"fact_kind": kind, "points": 4}, **given)
    ids = await tell(database, fact_of(unique, kind))
    other = stores.database()
    try:
        async with database.write() as session:
            await hold(session, {unique})
            earning = asyncio.create_task(earn(other, ids))
            await asyncio.sleep(0.5)
            await activate_earning_rule(session, second, effective_from=LONG_AGO, now=utc_now())
        await earning
    finally:
        await other.close()
    assert sorted(one.points for one in await earnings(database, unique)) == [3, 4]


@pytest.mark.parametrize("hint", [True, False])
async def test_a_fact_that_lies_ahead_is_owed_from_when_it_happens(database: Database, unique: str, hint: bool) -> None:
    """Given facts of now and of nine minutes ahead, then only the first is due and told to workers."""
    now, kind = utc_now(), kind_of("AHEAD", unique)
    at = now + timedelta(minutes=9)
    facts = [fact_of(unique, kind, at=now), fact_of(unique, kind, at=at)]
    async with database.write() as session:
        assert await record_facts(session, facts, now=now, hint=hint) == [fact.id for fact in facts]
        told = list(session.info.get(OWED, []))
    rows = {fact.id: derived_id("outbox", FACT_RECORDED, fact.id) for fact in facts}
    assert told == ([rows[facts[0].id]] if hint else [])
    async with database.read() as session:
        found = [await session.get_one(Outbox, rows[fact.id]) for fact in facts]
    assert [row.available_at for row in found] == [now, at]
