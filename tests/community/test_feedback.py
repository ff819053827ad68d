"""Feedback: once per attendee under any number of writers, and an average that says nothing of one person."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from community.feedback import (
    FeedbackGiven,
    FeedbackInvalid,
    NotAttended,
    check_attendance,
    feedback_of,
    give_feedback,
    ratings_of,
)
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from graph.client import GraphClient
from tests.community.happenings import put_registrations
from tests.community.places import make_community, make_customers, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def give(database: Database, event: str, customer: str, rating: int, comment: str | None = None) -> str:
    try:
        async with database.write() as session:
            await give_feedback(
                session, event_id=event, customer_id=customer, rating=rating, comment=comment, now=utc_now()
            )
    except FeedbackGiven as refusal:
        return refusal.code
    return "GIVEN"


async def test_twenty_writers_at_once_give_one(stores: Addresses) -> None:
    """Given 20 different opinions of one attendee through two pools, then one is kept and counted once."""
    pools = [stores.database(), stores.database()]
    event, customer = new_id(), new_id()
    try:
        outcomes = await asyncio.gather(
            *(give(pools[n % 2], event, customer, n % 5 + 1, f"Opinion {n}") for n in range(20))
        )
        assert Counter(outcomes) == {"GIVEN": 1, "FEEDBACK_GIVEN": 19}
        async with pools[0].read() as session:
            rating = (await ratings_of(session, [event]))[event]
            page = (await feedback_of(session, [event], first=5, after=None))[event]
        assert rating.count == len(page.rows) == 1
        assert rating.average == page.rows[0]["rating"]
    finally:
        for pool in pools:
            await pool.close()


async def test_the_same_said_twice_is_said_once(database: Database) -> None:
    """Given a phone that sends again because the answer was lost, then both are answered and one is kept."""
    event, customer = new_id(), new_id()
    outcomes = [await give(database, event, customer, 4, text) for text in ("Good", " Good ", "Better")]
    assert outcomes == ["GIVEN", "GIVEN", "FEEDBACK_GIVEN"]


async def test_many_attendees_at_once_are_all_counted(database: Database) -> None:
    event = new_id()
    stars = [number % 5 + 1 for number in range(40)]
    outcomes = await asyncio.gather(*(give(database, event, new_id(), rating) for rating in stars))
    assert set(outcomes) == {"GIVEN"}
    async with database.read() as session:
        rating = (await ratings_of(session, [event, new_id()]))[event]
    assert rating.distribution == [8] * 5
    assert rating.average == 3.0


@pytest.mark.parametrize(
    ("rating", "comment", "path"), [(0, None, "rating"), (6, None, "rating"), (3, "x" * 2001, "comment")]
)
async def test_bad_feedback_is_refused_with_its_path(
    database: Database, rating: int, comment: str | None, path: str
) -> None:
    event = new_id()
    with pytest.raises(FeedbackInvalid) as invalid:
        await give(database, event, new_id(), rating, comment)
    assert invalid.value.path == (path,)
    async with database.read() as session:
        assert await ratings_of(session, [event]) == {}


async def test_only_who_was_there_and_only_after_the_start(graph: GraphClient) -> None:
    community = await make_community(graph)
    there, absent, stranger = await make_customers(graph, 3)
    event = await make_event(graph, community)
    await put_registrations(graph, event, [there], status="ATTENDED")
    await put_registrations(graph, event, [absent], status="NO_SHOW")
    later = utc_now() + timedelta(days=2)
    await check_attendance(graph, event_id=event, customer_id=there, now=later)
    for customer, now in ((there, utc_now()), (absent, later), (stranger, later)):
        with pytest.raises(NotAttended):
            await check_attendance(graph, event_id=event, customer_id=customer, now=now)


async def test_feedback_of_several_events_pages_from_the_latest(database: Database) -> None:
    events = [new_id(), new_id(), new_id()]
    for number in range(7):
        await give(database, events[0], new_id(), 5, str(number))
    await give(database, events[1], new_id(), 1, "one")
    seen: list[str] = []
    cursor, more = None, True
    while more:
        async with database.read() as session:
            pages = await feedback_of(session, events, first=3, after=cursor)
        page = pages[events[0]]
        seen += [row["comment"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
        assert pages[events[2]].rows == []
    assert seen == [str(number) for number in reversed(range(7))]
