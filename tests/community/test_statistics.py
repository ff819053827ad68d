"""Figures of an event: exact counts by status and channel, rates where something can be said, days of the zone."""

from collections import Counter
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from community.access import MemberRole
from community.events import create_event
from community.statistics import event_statistics, registrations_per_day
from core.clock import utc_now
from core.errors import NotFound
from graph.client import GraphClient
from tests.community.happenings import describe, make_managed, put_registrations
from tests.community.places import add_member, make_customers

pytestmark = pytest.mark.anyio


async def test_an_event_in_figures(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    event = await create_event(
        graph,
        describe(attendance_mode="HYBRID", link="https://meet.example", capacity=9, link_capacity=30),
        community_id=community,
        manager_id=manager,
        now=utc_now(),
    )
    people = await make_customers(graph, 20)
    # In Shanghai it is the next day from 16:00 UTC on.
    first, second = "2026-11-01T15:59:59.000000Z", "2026-11-01T16:00:00.000000Z"
    await put_registrations(graph, event, people[:6], status="ATTENDED", at=first)
    await put_registrations(graph, event, people[6:8], status="NO_SHOW", at=second)
    await put_registrations(graph, event, people[8:9], at=second)
    await put_registrations(graph, event, people[9:11], status="CANCELLED", at=second)
    await put_registrations(graph, event, people[11:15], status="ATTENDED", channel="LINK", at=second)
    await put_registrations(graph, event, people[15:18], status="WAITING", channel="LINK", at=first)
    await put_registrations(graph, event, people[18:19], status="OFFERED", channel="LINK", at=first)
    await put_registrations(graph, event, people[19:], status="OFFER_EXPIRED", channel="LINK", at=first)
    before = graph.round_trips
    figures = await event_statistics(graph, event_id=event, manager_id=manager, now=utc_now())
    assert graph.round_trips - before == 2
    assert figures.statuses == {
        "ATTENDED": 10,
        "NO_SHOW": 2,
        "REGISTERED": 1,
        "CANCELLED": 2,
        "WAITING": 3,
        "OFFERED": 1,
        "OFFER_EXPIRED": 1,
    }
    place, link = figures.channels
    assert (place.total, place.seats, place.capacity) == (11, 9, 9)
    assert (link.total, link.seats, link.capacity) == (9, 5, 30)
    assert figures.days == [(date(2026, 11, 1), 11), (date(2026, 11, 2), 9)]
    assert (figures.attendance_rate, figures.no_show_rate) == (None, None)
    later = utc_now() + timedelta(days=2)
    assert (await event_statistics(graph, event_id=event, manager_id=manager, now=later)).attendance_rate == 10 / 13
    await graph.write("MATCH (e:Event {id: $id}) SET e.status = 'COMPLETED'", id=event)
    assert (await event_statistics(graph, event_id=event, manager_id=manager, now=later)).no_show_rate == 2 / 13

    (moderator,) = await make_customers(graph, 1)
    await add_member(graph, community, moderator, MemberRole.MODERATOR)
    for intruder in (member, moderator, people[0], ""):
        with pytest.raises(NotFound):
            await event_statistics(graph, event_id=event, manager_id=intruder, now=later)


ZONES = ["Asia/Shanghai", "Asia/Kathmandu", "Pacific/Chatham", "America/New_York", "Atlantic/Azores", "Pacific/Apia"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-28", "2026-03-29", "2026-07-01", "2026-10-25", "2026-11-01"])
def test_a_day_of_utc_is_cut_where_the_days_of_the_zone_begin(zone: str, day: str) -> None:
    """Given one registration in each quarter, then each counts on the date that the zone's clocks show."""
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    dates = [(start + timedelta(minutes=15 * n)).astimezone(ZoneInfo(zone)).date() for n in range(96)]
    found = registrations_per_day([{"date": day, "quarters": [1] * 96}], zone)
    assert found == sorted(Counter(dates).items())


async def test_an_event_without_anybody(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    event = await create_event(graph, describe(), community_id=community, manager_id=manager, now=utc_now())
    later = utc_now() + timedelta(days=2)
    figures = await event_statistics(graph, event_id=event, manager_id=manager, now=later)
    assert (figures.statuses.total(), figures.days, figures.attendance_rate) == (0, [], None)
