"""Counting who was shown what: exactly, under many writers and in any order; few people are not told."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func
from sqlmodel import select

from community.recommendation_exposures import (
    MOST_BUFFERED,
    Exposures,
    RecommendationCount,
    RecommendationExposure,
    Shown,
)
from community.recommendation_statistics import recommendation_statistics, veiled
from core.db import Database
from core.ids import new_id
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TODAY = NOW.date()
Counts = dict[tuple[date, str, str], tuple[int, int, int]]


async def counts(database: Database, community: str) -> Counts:
    async with database.read() as session:
        rows = await session.exec(select(RecommendationCount).where(RecommendationCount.community_id == community))
        return {(row.day, row.variant, row.reason): (row.shown, row.opened, row.joined) for row in rows}


@pytest.fixture
async def writers(stores: Addresses) -> AsyncGenerator[list[Exposures], None]:
    """Four processes, each with a database pool of its own."""
    databases = [Database(stores.database_url, timeout=60) for _ in range(4)]
    yield [Exposures(one) for one in databases]
    for one in databases:
        await one.close()


async def test_many_writers_count_each_person_once_a_day(database: Database, writers: list[Exposures]) -> None:
    """Given four processes that show fifty people three communities again and again; then fifty of each, exactly."""
    communities, people = [new_id() for _ in range(3)], [new_id() for _ in range(50)]

    async def serve(exposures: Exposures, turn: int) -> None:
        for round_ in range(4):
            for number, person in enumerate(people):
                shown = [Shown(one, "CONTROL", "POPULAR") for one in communities[(number + turn) % 2 :: 2]]
                exposures.show(person, shown, now=NOW)
                exposures.show(person, [Shown(communities[round_ % 3], "CONTROL", "POPULAR")], now=NOW)
            await exposures.flush()

    await asyncio.gather(*(serve(one, turn) for turn, one in enumerate(writers)))
    for community in communities:
        assert await counts(database, community) == {(TODAY, "CONTROL", "POPULAR"): (50, 0, 0)}
    async with database.read() as session:
        shown = select(func.count()).where(RecommendationExposure.community_id == communities[0])  # pyright: ignore[reportArgumentType]
        assert (await session.exec(shown)).one() == 50


async def test_the_way_from_shown_to_joined(database: Database) -> None:
    """Given a person who is shown it on two days, opens it on both, and joins thirty days later; then so it counts."""
    exposures, person, community = Exposures(database), new_id(), new_id()
    days = [NOW, NOW + timedelta(days=1), NOW + timedelta(days=31), NOW + timedelta(days=32)]
    for number, day in enumerate(days[:2]):
        exposures.show(person, [Shown(community, ("CONTROL", "TREATMENT")[number], "POPULAR")], now=day)
        exposures.open(person, community, now=day)
        exposures.open(person, community, now=day)
        await exposures.flush()
    for day in days[2:]:
        exposures.join(person, community, now=day)
        await exposures.flush()
    assert await counts(database, community) == {
        (days[0].date(), "CONTROL", "POPULAR"): (1, 1, 0),
        (days[1].date(), "TREATMENT", "POPULAR"): (1, 1, 0),
        (days[2].date(), "TREATMENT", "POPULAR"): (0, 0, 1),
    }


async def test_whoever_joins_too_late_or_was_never_shown_it_has_not_come_for_it(database: Database) -> None:
    exposures, community = Exposures(database), new_id()
    late, never = new_id(), new_id()
    exposures.show(late, [Shown(community, "CONTROL", "POPULAR")], now=NOW)
    await exposures.flush()
    for person in (late, never):
        exposures.open(person, community, now=NOW + timedelta(days=31))
        exposures.join(person, community, now=NOW + timedelta(days=31))
    await exposures.flush()
    assert await counts(database, community) == {(TODAY, "CONTROL", "POPULAR"): (1, 0, 0)}


async def test_two_days_in_one_flush_are_two(database: Database) -> None:
    exposures, person, community = Exposures(database), new_id(), new_id()
    for day in (NOW + timedelta(days=1), NOW):
        exposures.show(person, [Shown(community, "CONTROL", "POPULAR")], now=day)
    await exposures.flush()
    assert [row[0] for row in (await counts(database, community)).values()] == [1, 1]


async def test_what_a_full_buffer_cannot_hold_is_not_counted(database: Database) -> None:
    """Given more than a buffer holds; then it holds no more than that, and goes on after the flush."""
    exposures, community = Exposures(database), new_id()
    for number in range(MOST_BUFFERED + 5):
        exposures.show(f"nobody-{number}", [Shown(community, "CONTROL", "POPULAR")], now=NOW)
    assert (len(exposures.shown), exposures.dropped) == (MOST_BUFFERED, 5)
    exposures.shown = dict(list(exposures.shown.items())[:10])
    await exposures.flush()
    assert exposures.dropped == 0
    assert await counts(database, community) == {(TODAY, "CONTROL", "POPULAR"): (10, 0, 0)}


async def test_a_flush_that_fails_is_made_up_for_by_the_next(database: Database) -> None:
    """Given a database that does not answer; when it does again; then what was noted meanwhile is counted, too."""
    lost = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none", timeout=1)
    exposures, person, community = Exposures(lost), new_id(), new_id()
    exposures.show(person, [Shown(community, "CONTROL", "POPULAR")], now=NOW)
    await exposures.flush()
    exposures.open(person, community, now=NOW)
    exposures.database = database
    await exposures.flush()
    await lost.close()
    assert await counts(database, community) == {(TODAY, "CONTROL", "POPULAR"): (1, 1, 0)}


async def test_pairs_that_have_served_are_forgotten_and_the_counts_stay(database: Database) -> None:
    exposures, old, new, community = Exposures(database), new_id(), new_id(), new_id()
    exposures.show(old, [Shown(community, "CONTROL", "POPULAR")], now=NOW - timedelta(days=91))
    await exposures.flush()
    exposures.show(new, [Shown(community, "CONTROL", "POPULAR")], now=NOW)
    await exposures.flush()
    async with database.read() as session:
        assert await session.get(RecommendationExposure, (old, community)) is None
        assert await session.get(RecommendationExposure, (new, community)) is not None
    assert len(await counts(database, community)) == 2


async def test_figures_are_in_parts_what_they_are_in_all(database: Database) -> None:
    exposures, community = Exposures(database), new_id()
    for number in range(30):
        shown = Shown(community, ("CONTROL", "TREATMENT")[number % 2], ("POPULAR", "SHARED_TAGS")[number // 15])
        exposures.show(new_id(), [shown], now=NOW - timedelta(days=number % 3))
    await exposures.flush()
    async with database.read() as session:
        since = TODAY - timedelta(days=5)
        found = await recommendation_statistics(session, community, since=since, until=TODAY)
    assert found.total.shown == 30
    assert [one.shown for one in found.days.values()] == [10, 10, 10]
    assert {name: one.shown for name, one in found.variants.items()} == {"CONTROL": 15, "TREATMENT": 15}
    assert {name: one.shown for name, one in found.reasons.items()} == {"POPULAR": 15, "SHARED_TAGS": 15}


@given(st.lists(st.integers(0, 30), max_size=12))
def test_few_people_are_not_told_nor_to_be_computed(numbers: list[int]) -> None:
    """Given any counts and their sum; then no number below five is told, and what is hidden is no such number."""
    told = veiled(numbers)
    assert all(one is None or one == number for one, number in zip(told, numbers, strict=True))
    assert all(one is None or one == 0 or one >= 5 for one in told)
    hidden = [number for one, number in zip(told, numbers, strict=True) if one is None]
    if hidden and any(one for one in told):
        assert len(hidden) >= 2
        assert sum(hidden) >= 5
    if not any(0 < number < 5 for number in numbers):
        assert told == numbers
