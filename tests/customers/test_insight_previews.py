"""Previews: what a policy would raise today is what its daily look then raises."""

from pathlib import Path

import pytest

from core.days import day_of
from core.db import Database
from customers.alert_definition import STANDARD_ALERTS, ComplaintsRule
from customers.alert_looks import AlertPolicy, policy_in_use
from customers.insight_previews import Preview, preview_alerts, preview_needs
from customers.need_looks import need_policy_in_use
from tests.conftest import Addresses
from tests.customers.insight import (
    DAY,
    NOON,
    TODAY,
    ZONE,
    make_people,
    put_complaints,
    put_holding,
    put_traits,
    raise_one,
)
from tests.databases import own_database
from worker.alerts import sweep_alerts
from worker.needs import sweep_needs

pytestmark = pytest.mark.anyio


async def previews(database: Database) -> tuple[Preview, Preview]:
    async with database.read() as session:
        alerts = await preview_alerts(session, await policy_in_use(session), now=NOON)
        return alerts, await preview_needs(session, await need_policy_in_use(session), now=NOON)


async def test_a_preview_says_what_the_look_then_does(stores: Addresses, tmp_path: Path) -> None:
    """Given reasons for alerts and needs, one of them told of already, then preview and look agree; after it, none."""
    assert day_of(NOON, ZONE) == TODAY
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, 6)
        for one in people[:4]:
            await put_complaints(database, one, NOON - DAY, NOON)
        await put_holding(database, people[0], TODAY + DAY)
        await put_traits(database, people[1], born=TODAY.replace(year=1960))
        await put_traits(database, people[2], child_born=TODAY - 9 * DAY, firm_founded=TODAY - DAY)
        await raise_one(database, people[3], now=NOON - DAY)
        alerts, needs = await previews(database)
        assert alerts == Preview({"COMPLAINTS": 3, "MATURITY": 1}, 6, 6)
        assert needs == Preview({"EDUCATION_FUND": 1, "PENSION": 1, "STARTUP_LOAN": 1}, 6, 6)
        async with database.read() as session:
            strict = STANDARD_ALERTS.model_copy(update={"complaints": ComplaintsRule(count=3), "maturity": None})
            policy = AlertPolicy((await policy_in_use(session)).terms.policy_id, strict, {})
            assert (await preview_alerts(session, policy, now=NOON)).counts == {}
        assert await sweep_alerts(database, now=NOON) == 4
        assert await sweep_needs(database, now=NOON) == 3
        alerts, needs = await previews(database)
        assert (alerts.counts, needs.counts) == ({}, {})
