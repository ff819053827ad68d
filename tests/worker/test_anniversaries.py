"""Anniversaries become facts once a year, in bounded pages, for missed days too, and after a death half-way."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, func
from sqlmodel import col, select

from community.access import MemberRole
from core.anniversaries import AnniversarySearch, anniversary_in
from core.clock import iso, utc_now
from core.db import Database, changed_rows
from core.facts import Fact
from core.ids import new_id
from customers.profiles import Customer
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses
from tests.loyalty.accounts import standing
from tests.loyalty.rules import make_rule
from tests.worker.test_owed import run_killed
from worker import anniversaries
from worker.anniversaries import COMMUNITY_ANNIVERSARY, CUSTOMER_ANNIVERSARY, sweep_anniversaries
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2027, 3, 1, 4, tzinfo=UTC)


async def searched_through(database: Database, day: date | None) -> None:
    """As if all days up to this one had been searched; None: as if there had never been a search."""
    async with database.write() as session:
        await changed_rows(session, delete(AnniversarySearch))
        if day is not None:
            kinds = (CUSTOMER_ANNIVERSARY, COMMUNITY_ANNIVERSARY)
            session.add_all(AnniversarySearch(kind=kind, done_through=day) for kind in kinds)


async def customers_since(database: Database, *began: datetime | None) -> list[str]:
    ids = sorted(new_id() for _ in began)
    async with database.write() as session:
        session.add_all(
            Customer(id=key, display_name="Test", customer_since=since, created_at=utc_now())
            for key, since in zip(ids, began, strict=True)
        )
    return ids


async def told(database: Database, *customers: str, kind: str = CUSTOMER_ANNIVERSARY) -> list[Fact]:
    statement = select(Fact).where(col(Fact.customer_id).in_(customers), Fact.kind == kind)
    async with database.read() as session:
        return list((await session.exec(statement.order_by(col(Fact.occurred_at), col(Fact.customer_id)))).all())


async def told_on(database: Database, now: datetime) -> int:
    """How many anniversaries were recorded at this instant, of whomever."""
    kinds = col(Fact.kind).in_([CUSTOMER_ANNIVERSARY, COMMUNITY_ANNIVERSARY])
    async with database.read() as session:
        return (await session.exec(select(func.count(col(Fact.id))).where(kinds, Fact.recorded_at == now))).one()


def at_noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=ZONE)


def noon_of_today_in(year: int) -> datetime:
    """So that today is an anniversary, whatever day it is."""
    day = anniversary_in(utc_now().astimezone(ZONE).date(), year)
    return at_noon(day.year, day.month, day.day)


async def test_the_first_search_is_that_of_today_and_is_done_once(graph: GraphClient, database: Database) -> None:
    """Given customers of yesterday's, today's and tomorrow's date, when it is searched twice, then one has a fact."""
    people = await customers_since(
        database, at_noon(2020, 2, 28), at_noon(2020, 3, 1), at_noon(2020, 3, 2), at_noon(2027, 3, 1), None
    )
    await searched_through(database, None)
    stores = Stores(database, graph)
    assert await sweep_anniversaries(stores, zone=ZONE.key, now=NOON) >= 1
    assert await sweep_anniversaries(stores, zone=ZONE.key, now=NOON + timedelta(hours=11)) == 0
    (fact,) = await told(database, *people)
    assert (fact.customer_id, fact.payload, fact.source) == (people[1], {"years": 7}, "kinship")
    assert fact.occurred_at == datetime(2027, 2, 28, 16, tzinfo=UTC)


async def test_days_that_were_missed_are_made_up_for_day_by_day(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given three years without a worker, then each customer has a fact for each of the years, at its own day."""
    # Thirty-six passes over everybody whom other tests have left: pages of a size, and of customers alone.
    monkeypatch.setattr(anniversaries, "CUSTOMERS", 200)
    monkeypatch.setattr(anniversaries, "SEARCHES", {CUSTOMER_ANNIVERSARY: anniversaries.search_customers})
    leap, spring, autumn = await customers_since(
        database, at_noon(2020, 2, 29), at_noon(2020, 4, 1), at_noon(2020, 10, 1)
    )
    await searched_through(database, date(2024, 3, 1))
    stores = Stores(database, graph)
    await sweep_anniversaries(stores, zone=ZONE.key, now=NOON)
    found = {one: [fact.payload["years"] for fact in await told(database, one)] for one in (leap, spring, autumn)}
    assert found == {leap: [5, 6, 7], spring: [4, 5, 6], autumn: [4, 5, 6]}
    begun = [fact.occurred_at.astimezone(ZONE).date() for fact in await told(database, leap)]
    assert begun == [date(2025, 2, 28), date(2026, 2, 28), date(2027, 2, 28)]


async def test_killed_half_way_everybody_has_a_fact_once(
    stores: Addresses, graph: GraphClient, database: Database, tmp_path: Path
) -> None:
    """Given ten customers of today's date, when the search dies before and after a page's commit, then once each."""
    people = await customers_since(database, *([noon_of_today_in(2016)] * 10))
    await searched_through(database, utc_now().astimezone(ZONE).date() - timedelta(days=1))
    await run_killed(stores, tmp_path, "anniversaries", "before-commit", 1)
    await run_killed(stores, tmp_path, "anniversaries", "after-commit", 1)
    await run_killed(stores, tmp_path, "anniversaries", "after-commit", 1)
    worker = Stores(database, graph)
    for _ in range(2):
        await sweep_anniversaries(worker, zone=ZONE.key, now=utc_now())
    facts = await told(database, *people)
    assert sorted(fact.customer_id for fact in facts) == people


async def test_two_searches_at_once_record_everybody_once(
    stores: Addresses, graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anniversaries, "CUSTOMERS", 3)
    people = await customers_since(database, *([at_noon(2011, 3, 1)] * 12))
    before = await told_on(database, NOON)
    await searched_through(database, date(2027, 2, 28))
    pools = [stores.database() for _ in range(4)]
    try:
        swept = await asyncio.gather(
            *(sweep_anniversaries(Stores(pool, graph), zone=ZONE.key, now=NOON) for pool in pools)
        )
        swept.append(await sweep_anniversaries(Stores(database, graph), zone=ZONE.key, now=NOON))
    finally:
        for pool in pools:
            await pool.close()
    assert sum(swept) == await told_on(database, NOON) - before >= 12
    assert [fact.customer_id for fact in await told(database, *people)] == people


SET_SINCE = "MATCH (:Customer {id: $id})-[m:MEMBER_OF]->(:Community {id: $community}) SET m.since = $since"


async def put_member(graph: GraphClient, community: str, customer: str, since: datetime, **more: Any) -> None:
    await add_member(graph, community, customer, more.get("role", MemberRole.MEMBER))
    await graph.write(SET_SINCE, id=customer, community=community, since=iso(since))


async def test_members_have_their_anniversary_in_each_community(
    graph: GraphClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given forty members of two communities over several pages, then those of today's date have a fact."""
    monkeypatch.setattr(anniversaries, "PAGES", 2)
    people = await make_customers(graph, 22)
    first, second = await make_community(graph), await make_community(graph)
    for number, customer in enumerate(people[:20]):
        await put_member(graph, first, customer, at_noon(2022, 3, 1 + number % 2))
    await put_member(graph, second, people[0], at_noon(2024, 3, 1))
    await put_member(graph, second, people[20], at_noon(2024, 3, 1), role=MemberRole.PENDING)
    await searched_through(database, date(2027, 2, 28))
    stores = Stores(database, graph)
    for _ in range(2):
        await sweep_anniversaries(stores, zone=ZONE.key, now=NOON)
    facts = await told(database, *people, kind=COMMUNITY_ANNIVERSARY)
    expected = [(one, first, 5) for one in people[:20:2]] + [(people[0], second, 3)]
    assert sorted((fact.customer_id, fact.payload["community_id"], fact.payload["years"]) for fact in facts) == sorted(
        expected
    )


async def test_an_anniversary_earns_by_its_rule(graph: GraphClient, database: Database) -> None:
    """Given ten points for every year as a customer, 50 at most, then ten years and more bring 50 points, once."""
    (lin,) = await customers_since(database, noon_of_today_in(2016))
    definition = {
        "fact_kind": CUSTOMER_ANNIVERSARY,
        "per_unit": {"field": "years", "points": 10, "maximum": 50},
        "valid_from": iso(utc_now() - timedelta(days=1)),
    }
    await make_rule(database, definition)
    stores = Stores(database, graph)
    for _ in range(2):
        await searched_through(database, utc_now().astimezone(ZONE).date() - timedelta(days=1))
        await sweep_anniversaries(stores, zone=ZONE.key, now=utc_now())
        await sweep_outbox(stores)
    assert await standing(database, lin) == (50, 0, 0)
