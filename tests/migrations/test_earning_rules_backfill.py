"""Revision 0015 keeps what was earned: the versions for one kind of fact become those of one rule."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import DateTime, bindparam, text
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from loyalty.earning_caps import Earning
from loyalty.earning_rules import (
    EarningRule,
    activate_earning_rule,
    create_earning_rule,
    pause_earning_rule,
    retire_earning_rule,
    timelines_of,
    update_earning_rule,
    watched_kinds,
)
from migrations.sql_migrations import is_sql_current, upgrade_sql
from tests.conftest import Addresses
from tests.databases import empty_database
from tests.loyalty.rules import earn, earnings, fact_of, make_rule, tell
from tests.migrations.test_referral_channels_backfill import migrated

pytestmark = pytest.mark.anyio

RULE = """
INSERT INTO earning_rule (id, fact_kind, version, points, hold_days, expires_days, active, created_at)
VALUES (:id, :kind, :version, :points, 0, 730, :active, :at)
"""
FACT = """
INSERT INTO fact (id, source, key, kind, customer_id, occurred_at, recorded_at, payload)
VALUES (:id, 'test', :id, :kind, 'lin', :at, :at, '{}')
"""
EARNING = "INSERT INTO earning (id, rule_id, fact_id, customer_id, points) VALUES (:id, :rule, :fact, 'lin', :points)"


async def test_rules_and_earnings_from_before_are_kept(stores: Addresses, tmp_path: Path) -> None:
    """Given two versions of one kind and one of another, then earnings name their versions, and no fact earns anew."""
    database = Database(await empty_database(stores, tmp_path), timeout=60)
    now = utc_now()
    try:
        await migrated(database, "0012")
        await fill(database, now)
        await upgrade_sql(database)
        assert await is_sql_current(database)
        await check(database, now)
        await earn(database, ["f-1", "f-2", "f-3"])
        assert len(await earnings(database, "lin")) == 3
        await migrated(database, "0012", down=True)
        await upgrade_sql(database)
        await check(database, now)
        (new,) = await tell(database, fact_of("lin", "ATTENDED", at=now))
        await earn(database, [new])
        assert [(one.version, one.points) for one in await earnings(database, "lin") if one.fact_id == new] == [(2, 9)]
    finally:
        await database.close()


async def test_a_downgrade_activates_only_what_counts_and_means_the_same(stores: Addresses, tmp_path: Path) -> None:
    """Given rules of each status and with what gets lost, then the one of each kind that earned as before is active."""
    database = Database(await empty_database(stores, tmp_path), timeout=60)
    try:
        await upgrade_sql(database)
        await make_rule(database, {"fact_kind": "PLAIN", "points": 5}, rule_id="plain")
        back = await make_rule(database, {"fact_kind": "BACK", "points": 5}, rule_id="back")
        async with database.write() as session:
            await create_earning_rule(
                session,
                name_zh="稿",
                name_en="Draft",
                definition={"fact_kind": "PLAIN", "points": 6},
                now=utc_now(),
                rule_id="draft",
            )
            # The second version was written, and never counted again.
            await update_earning_rule(session, back, definition={"fact_kind": "BACK", "points": 9}, now=utc_now())
            await activate_earning_rule(session, back, now=utc_now())
            await activate_earning_rule(session, back, version=1, now=utc_now())
        paused = await make_rule(database, {"fact_kind": "PAUSED", "points": 5})
        retired = await make_rule(database, {"fact_kind": "RETIRED", "points": 5})
        async with database.write() as session:
            await pause_earning_rule(session, paused, now=utc_now())
            await retire_earning_rule(session, retired, now=utc_now())
        for more in (
            {"caps": [{"period": "DAY", "times": 1}]},
            {"conditions": [{"field": "channel", "equals": "APP"}]},
            {"points": None, "per_unit": {"field": "minutes", "points": 1, "maximum": 9}},
            {"valid_until": "2020-01-01T00:00:00Z"},
            {"reversed_by": ["GONE"]},
        ):
            await make_rule(database, {"fact_kind": "LOST", "points": 5, **more})
        await migrated(database, "0012", down=True)
        async with database.read() as session:
            found = await (await session.connection()).execute(text("SELECT id, active FROM earning_rule"))
            rules = {row[0]: bool(row[1]) for row in found}
        assert len(rules) == 11
        assert sorted(rule for rule, active in rules.items() if active) == ["back", "plain"]
        await upgrade_sql(database)
        kinds = ("PLAIN", "BACK", "PAUSED", "RETIRED", "LOST")
        told = await tell(database, *(fact_of("wu", kind, key=kind, at=utc_now()) for kind in kinds))
        await earn(database, told)
        assert sorted(one.points for one in await earnings(database, "wu")) == [5, 5]
    finally:
        await database.close()


async def fill(database: Database, now: datetime) -> None:
    async with database.write() as session:
        connection = await session.connection()

        async def put(statement: str, **values: Any) -> None:
            timed = [bindparam("at", type_=DateTime(timezone=True))] if "at" in values else []
            await connection.execute(text(statement).bindparams(*timed), values)

        first, second = now - timedelta(days=9), now - timedelta(days=5)
        await put(RULE, id="r-1", kind="ATTENDED", version=1, points=5, active=False, at=first)
        await put(RULE, id="r-2", kind="ATTENDED", version=2, points=9, active=True, at=second)
        await put(RULE, id="r-3", kind="ANSWERED", version=1, points=2, active=True, at=first)
        for number, (kind, rule, points) in enumerate(
            [("ATTENDED", "r-1", 5), ("ATTENDED", "r-2", 9), ("ANSWERED", "r-3", 2)], start=1
        ):
            await put(FACT, id=f"f-{number}", kind=kind, at=now - timedelta(days=8))
            await put(EARNING, id=f"e-{number}", rule=rule, fact=f"f-{number}", points=points)


async def check(database: Database, now: datetime) -> None:
    async with database.read() as session:
        rules = (await session.exec(select(EarningRule).order_by(col(EarningRule.id)))).all()
        assert [(one.id, one.name_en, one.status) for one in rules] == [
            ("r-1", "ATTENDED", "ACTIVE"),
            ("r-3", "ANSWERED", "ACTIVE"),
        ]
        assert await watched_kinds(session, ["ATTENDED", "ANSWERED"]) == {"ANSWERED": ["r-3"], "ATTENDED": ["r-1"]}
        found = (await session.exec(select(Earning).order_by(col(Earning.id)))).all()
        assert [(one.id, one.key, one.rule_id, one.version, one.points, one.wanted_points) for one in found] == [
            ("e-1", "earning:f-1", "r-1", 1, 5, 5),
            ("e-2", "earning:f-2", "r-1", 2, 9, 9),
            ("e-3", "earning:f-3", "r-3", 1, 2, 2),
        ]
        timeline = (await timelines_of(session, ["r-1"]))["r-1"]
        numbers = [version.number if (version := timeline.at(now - timedelta(days=d))) else 0 for d in (99, 8, 5, 0)]
        assert numbers == [1, 1, 2, 2]
