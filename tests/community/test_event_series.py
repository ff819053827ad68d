"""Series: each occurrence an event of its own; edits of one, of this and following, of all."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from community.access import MemberRole
from community.event_changes import CapacityTaken, EventClosed, cancel_event, update_event
from community.event_details import EventInvalid
from community.event_series import create_event_series, extend_series, occurrences_of, read_series
from community.event_series_edits import EventNotInSeries, SeriesChange, update_this_and_following
from community.feed import feed_of
from community.news import news_of
from community.recurrence import wall_of
from core.clock import iso, parse_instant, utc_now
from core.errors import KinshipError, NotFound
from graph.client import GraphClient, Row
from tests.community.happenings import make_managed, owed_about, put_registrations, recur, stored_event
from tests.community.places import add_member, make_customers, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

ZONE = "Europe/Berlin"
EVENTS = "MATCH (e:Event {series_id: $id}) RETURN properties(e) AS event ORDER BY event.recurrence_id"
ALL_EVENTS = "MATCH (e:Event {community_id: $id}) RETURN properties(e) AS event ORDER BY event.starts_at"


def monday(weeks: int, clock: str = "19:00") -> datetime:
    """A wall time on the next Monday, which is not today, or that many weeks later."""
    today = utc_now().date()
    first = today + timedelta(days=7 - today.weekday() + 7 * weeks)
    return datetime.fromisoformat(f"{first}T{clock}")


async def make(
    graph: GraphClient, community: str, manager: str, rule: str, start: datetime, *, publish: bool = True, **more: Any
) -> str:
    now = utc_now()
    return await create_event_series(
        graph,
        recur(rule, start, now=now, **more),
        community_id=community,
        manager_id=manager,
        publish=publish,
        now=now,
    )


async def events_in(graph: GraphClient, series: str) -> list[Row]:
    return [row["event"] for row in await graph.read(EVENTS, id=series)]


async def following(
    graph: GraphClient, event: Row, manager: str, *, publish: bool = False, template: Row | None = None, **schedule: Any
) -> str:
    change = SeriesChange(template=template or {}, schedule=schedule, publish=publish)
    return await update_this_and_following(
        graph, event_id=event["id"], change=change, manager_id=manager, now=utc_now()
    )


def clocks(events: list[Row]) -> set[str]:
    """What clocks in the zone show at the starts."""
    return {str(wall_of(parse_instant(event["starts_at"]), event["time_zone"]).time()) for event in events}


async def test_a_series_is_laid_out_through_the_change_of_the_clocks(graph: GraphClient) -> None:
    """Given a year of weeks, then each is an event at seven by the clock, an hour long, and with its own counters."""
    community, manager, member = await make_managed(graph)
    start = monday(1)
    series = await make(
        graph,
        community,
        manager,
        "FREQ=WEEKLY;COUNT=52",
        start,
        template={"capacity": 5, "host_ids": [member]},
        opens_minutes_before=7 * 24 * 60,
        closes_minutes_before=60,
        priority_minutes_before=24 * 60,
    )
    events = await events_in(graph, series)
    assert len(events) == 52
    assert len({event["starts_at"][11:] for event in events}) == 2, "both of the zone's offsets are in a year"
    assert clocks(events) == {"19:00:00"}
    first = parse_instant(events[0]["starts_at"])
    assert events[0]["ends_at"] == iso(first + timedelta(hours=1))
    assert events[0]["registration_opens_at"] == iso(first - timedelta(days=7))
    assert events[0]["registration_closes_at"] == iso(first - timedelta(hours=1))
    assert events[0]["priority_until"] == iso(first - timedelta(days=1))
    assert {(event["status"], event["capacity"], event["registered"]) for event in events} == {("PUBLISHED", 5, 0)}
    assert all(event["order"] == f"{community}:{event['starts_at']}:{event['id']}" for event in events)
    hosts = await graph.read(
        "MATCH (h:Customer {id: $id})-[:HOSTS_EVENT]->(e:Event) RETURN count(e) AS found", id=member
    )
    assert hosts[0]["found"] == 52
    found = (await read_series(graph, [series], viewer_id=None))[series]
    assert (found["rule"], found["time_zone"]) == ("FREQ=WEEKLY;COUNT=52", ZONE)
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = (await occurrences_of(graph, [series], viewer_id=None, first=20, after=cursor))[series]
        seen += [row["id"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
    assert seen == [event["id"] for event in events]
    assert [row["topic"] for row in await owed_about(graph, series)] == ["act.audited"]


async def test_an_endless_series_grows_day_by_day_and_by_many_workers_once(stores: Addresses) -> None:
    """Given an endless daily series, when eight workers look 40 days later, then 40 more are made, once."""
    async with stores.graph() as graph, stores.graph() as other:
        community, manager, _ = await make_managed(graph)
        series = await make(graph, community, manager, "FREQ=DAILY", monday(0))
        made = await events_in(graph, series)
        assert len(made) == 181
        assert await extend_series(graph, series, now=utc_now()) == 0
        later = utc_now() + timedelta(days=40)
        counts = await asyncio.gather(
            *(extend_series((graph, other)[number % 2], series, now=later) for number in range(8))
        )
        events = await events_in(graph, series)
        assert len(events) == 181 + sum(counts)
        assert Counter(counts)[0] == 7
        assert len({event["recurrence_id"] for event in events}) == len(events)
        assert clocks(events) == {"19:00:00"}
        last = wall_of(later, ZONE) + timedelta(days=180)
        assert events[-1]["recurrence_id"] <= last.isoformat()
        await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = '2026'", id=community)
        assert await extend_series(graph, series, now=later + timedelta(days=30)) == 0


async def test_hosts_who_left_host_no_more_of_it(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY", monday(0), template={"host_ids": [member]})
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() DELETE m", id=member)
    before = len(await events_in(graph, series))
    made = await extend_series(graph, series, now=utc_now() + timedelta(days=30))
    assert made == len(await events_in(graph, series)) - before > 0
    hosts = await graph.read(
        "MATCH (:Customer {id: $id})-[:HOSTS_EVENT]->(e:Event) RETURN count(e) AS found", id=member
    )
    assert hosts[0]["found"] == before


async def test_only_managers_make_series_and_bad_ones_leave_nothing(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    (outsider,) = await make_customers(graph, 1)
    for intruder in (member, outsider):
        with pytest.raises(NotFound):
            await make(graph, community, intruder, "FREQ=DAILY", monday(0))
    bad: list[tuple[str, datetime, dict[str, Any], str]] = [
        ("FREQ=HOURLY", monday(0), {}, "rule"),
        ("FREQ=WEEKLY;BYDAY=TU", monday(0), {}, "rule"),
        ("FREQ=WEEKLY", monday(-4), {}, "startsAtLocal"),
        ("FREQ=WEEKLY", monday(52 * 8), {}, "startsAtLocal"),
        ("FREQ=WEEKLY", datetime.fromisoformat("9999-12-31T10:00"), {}, "startsAtLocal"),
        ("FREQ=WEEKLY", monday(0), {"zone": "Mars/Olympus"}, "timeZone"),
        ("FREQ=WEEKLY", monday(0), {"duration_minutes": 0}, "durationMinutes"),
        ("FREQ=WEEKLY", monday(0), {"opens_minutes_before": -1}, "registrationOpensMinutesBefore"),
        ("FREQ=WEEKLY", monday(0), {"priority_minutes_before": -1}, "priorityMinutesBefore"),
        ("FREQ=WEEKLY", monday(0), {"priority_minutes_before": 5, "closes_minutes_before": 5}, "priorityMinutesBefore"),
        ("FREQ=WEEKLY", monday(0), {"priority_minutes_before": 9, "opens_minutes_before": 9}, "priorityMinutesBefore"),
        ("FREQ=WEEKLY", monday(0), {"template": {"title_zh": ""}}, "titleZh"),
        ("FREQ=WEEKLY", monday(0), {"template": {"tags": ["no-such-tag"]}}, "tags"),
    ]
    for rule, start, more, path in bad:
        with pytest.raises(EventInvalid) as invalid:
            await make(graph, community, manager, rule, start, **more)
        assert invalid.value.path == (path,)
    assert await graph.read(ALL_EVENTS, id=community) == []


async def test_one_occurrence_becomes_an_exception(graph: GraphClient) -> None:
    """Given updateEvent and cancelEvent on occurrences, then the others stay, and an extension makes neither anew."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=5", monday(1))
    events = await events_in(graph, series)
    moved = parse_instant(events[1]["starts_at"]) + timedelta(days=1)
    changes = {"starts_at": moved, "ends_at": moved + timedelta(hours=1), "venue": "Garden"}
    await update_event(graph, event_id=events[1]["id"], changes=changes, manager_id=manager, now=utc_now())
    await cancel_event(graph, event_id=events[2]["id"], reason="Holiday", manager_id=manager, now=utc_now())
    after = await events_in(graph, series)
    assert [event["recurrence_id"] for event in after] == [event["recurrence_id"] for event in events]
    assert [event.get("venue") for event in after] == [None, "Garden", None, None, None]
    assert after[1]["overrides"] == ["ends_at", "starts_at", "venue"]
    assert [event["status"] for event in after] == ["PUBLISHED"] * 2 + ["CANCELLED"] + ["PUBLISHED"] * 2
    await extend_series(graph, series, now=utc_now() + timedelta(days=3))
    assert len(await events_in(graph, series)) == 5


async def test_this_and_following_move_by_the_clock_and_keep_their_registrations(graph: GraphClient) -> None:
    """Given a year of weeks from the tenth on an hour earlier, then those are a series of their own at six."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=40", monday(1))
    events = await events_in(graph, series)
    people = await make_customers(graph, 2)
    await put_registrations(graph, events[0]["id"], people)
    await put_registrations(graph, events[20]["id"], people)
    start = datetime.fromisoformat(events[9]["recurrence_id"]).replace(hour=18)
    second = await following(graph, events[9], manager, starts_at_local=start, template={"venue": "The Bund"})
    assert second != series
    first_part, rest = await events_in(graph, series), await events_in(graph, second)
    assert [event["id"] for event in first_part + rest] == [event["id"] for event in events]
    assert (len(first_part), len(rest)) == (9, 31)
    assert (clocks(first_part), clocks(rest)) == ({"19:00:00"}, {"18:00:00"})
    assert {event["venue"] for event in rest} == {"The Bund"}
    assert all(event.get("venue") is None for event in first_part)
    assert rest[11]["registered"] == 2
    assert all(event["order"] == f"{community}:{event['starts_at']}:{event['id']}" for event in rest)
    rules = await read_series(graph, [series, second], viewer_id=None)
    assert rules[series]["rule"] == "FREQ=WEEKLY;COUNT=9"
    assert rules[second]["rule"] == "FREQ=WEEKLY;COUNT=31"
    told = [row for row in await owed_about(graph, rest[0]["id"]) if row["topic"] == "event.changed"]
    assert len(told) == 1
    for part in (series, second):
        assert await extend_series(graph, part, now=utc_now() + timedelta(days=700)) == 0


async def test_all_is_this_and_following_at_the_first(graph: GraphClient) -> None:
    """Given an edit at the first occurrence, then the series keeps its id and everything in it changes."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY", monday(1))
    before = await events_in(graph, series)
    assert await following(graph, before[0], manager, template={"title_en": "Night walk", "capacity": 7}) == series
    after = await events_in(graph, series)
    assert [event["id"] for event in after] == [event["id"] for event in before]
    assert {(event["title_en"], event["capacity"]) for event in after} == {("Night walk", 7)}
    assert await extend_series(graph, series, now=utc_now() + timedelta(days=60)) > 0
    assert {(event["title_en"], event["capacity"]) for event in await events_in(graph, series)} == {("Night walk", 7)}
    told = [row for row in await owed_about(graph, community) if row["topic"] == "event.changed"]
    assert told == []


async def test_a_new_rule_keeps_what_it_shares_and_cancels_the_rest(graph: GraphClient) -> None:
    """Given weekly made fortnightly from the third on, then every second stays with its registrations."""
    community, manager, _ = await make_managed(graph)
    (customer,) = await make_customers(graph, 1)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=10", monday(1))
    events = await events_in(graph, series)
    await put_registrations(graph, events[4]["id"], [customer])
    await put_registrations(graph, events[5]["id"], [customer])
    second = await following(graph, events[2], manager, rule="FREQ=WEEKLY;INTERVAL=2;COUNT=6")
    rest = await events_in(graph, second)
    kept = [event["id"] for event in rest if event["id"] in {one["id"] for one in events}]
    assert kept == [events[number]["id"] for number in (2, 4, 6, 8)]
    assert len(rest) == 6
    assert rest[1]["registered"] == 1
    old = {event["id"]: event for event in await events_in(graph, series)}
    assert [old[event["id"]]["status"] for event in events[:2]] == ["PUBLISHED"] * 2
    assert {old[events[number]["id"]]["status"] for number in (3, 5, 7, 9)} == {"CANCELLED"}
    topics = Counter(row["topic"] for row in await owed_about(graph, events[5]["id"]))
    assert topics["event.changed"] == 1
    assert topics["event.cancelled"] == 1


async def test_exceptions_keep_what_is_their_own(graph: GraphClient) -> None:
    """Given one moved and one cancelled occurrence, when all move an hour and get a venue, then neither moves."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=5", monday(1))
    events = await events_in(graph, series)
    moved = parse_instant(events[1]["starts_at"]) + timedelta(days=1)
    changes = {"starts_at": moved, "ends_at": moved + timedelta(hours=1)}
    await update_event(graph, event_id=events[1]["id"], changes=changes, manager_id=manager, now=utc_now())
    await cancel_event(graph, event_id=events[3]["id"], reason="Holiday", manager_id=manager, now=utc_now())
    start = monday(1, "20:00")
    assert await following(graph, events[0], manager, starts_at_local=start, template={"venue": "Hall"}) == series
    after = await events_in(graph, series)
    assert [event["id"] for event in after] == [event["id"] for event in events]
    assert [event.get("venue") for event in after] == ["Hall", "Hall", "Hall", None, "Hall"]
    assert after[1]["starts_at"] == iso(moved)
    assert after[3]["status"] == "CANCELLED"
    assert clocks([after[0], after[2], after[4]]) == {"20:00:00"}
    assert len(await events_in(graph, series)) == 5


async def test_what_has_begun_stays_as_it_is(graph: GraphClient) -> None:
    """Given a series two weeks under way, when all is edited, then only what is ahead changes, as a new series."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=6", monday(1))
    events = await events_in(graph, series)
    later = parse_instant(events[1]["starts_at"]) + timedelta(minutes=5)
    change = SeriesChange(template={"title_en": "Night walk"})
    second = await update_this_and_following(
        graph, event_id=events[0]["id"], change=change, manager_id=manager, now=later
    )
    assert second != series
    assert [event["title_en"] for event in await events_in(graph, series)] == ["Photo walk"] * 2
    assert [event["title_en"] for event in await events_in(graph, second)] == ["Night walk"] * 4
    over = parse_instant(events[5]["starts_at"]) + timedelta(minutes=5)
    with pytest.raises(EventClosed):
        await update_this_and_following(graph, event_id=events[5]["id"], change=change, manager_id=manager, now=over)


async def test_drafts_of_a_series_are_published_together_and_one_left_out_stays_out(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=5", monday(1), publish=False)
    assert await read_series(graph, [series], viewer_id=member) == {}
    assert (await occurrences_of(graph, [series], viewer_id=member, first=9, after=None))[series].rows == []
    events = await events_in(graph, series)
    await cancel_event(graph, event_id=events[2]["id"], reason="Holiday", manager_id=manager, now=utc_now())
    assert await following(graph, events[0], manager, publish=True) == series
    after = await events_in(graph, series)
    assert [event["id"] for event in after] == [event["id"] for event in events if event != events[2]]
    assert {event["status"] for event in after} == {"PUBLISHED"}
    assert all("published_at" in event for event in after)
    assert announced(after) == [after[0]["id"]]
    assert series in await read_series(graph, [series], viewer_id=member)


def announced(events: list[Row]) -> list[str]:
    """Ids of those that a feed shows."""
    return [event["id"] for event in events if event.get("feed_order")]


async def test_a_feed_shows_a_series_once(graph: GraphClient) -> None:
    """Given a year of weeks that is extended and edited, then feed and digest know of one new event."""
    community, manager, member = await make_managed(graph)
    begins = utc_now()
    series = await make(graph, community, manager, "FREQ=DAILY", monday(0))
    first, *others = await events_in(graph, series)
    assert first["feed_order"] == f"{community}:{first['published_at']}:{first['id']}"
    assert {event["published_at"] for event in others} == {first["published_at"]}
    assert await extend_series(graph, series, now=utc_now() + timedelta(days=30)) > 0
    start = datetime.fromisoformat(others[20]["recurrence_id"]).replace(hour=18)
    await following(graph, others[20], manager, starts_at_local=start, rule="FREQ=DAILY;INTERVAL=2", publish=True)
    await following(graph, first, manager, rule="FREQ=WEEKLY;COUNT=30")
    everything = [row["event"] for row in await graph.read(ALL_EVENTS, id=community)]
    assert len({event["series_id"] for event in everything}) == 2
    assert announced(everything) == [first["id"]]
    page = await feed_of(graph, member, first=20, after=None)
    assert [row["key"] for row in page.rows] == [first["id"]]
    assert await news_of(graph, community, begins=begins, ends=utc_now()) == (0, 1)


async def test_drafts_that_a_new_rule_leaves_out_are_announced_by_what_replaces_them(graph: GraphClient) -> None:
    """Given drafts all of which the published rule leaves out, then the first of the new events is in the feed."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=3", monday(1), publish=False)
    drafts = await events_in(graph, series)
    assert announced(drafts) == []
    out = [event["recurrence_id"] for event in drafts]
    await following(graph, drafts[0], manager, publish=True, rule="FREQ=WEEKLY;COUNT=6", exdates=out)
    events = await events_in(graph, series)
    assert (len(events), announced(events)) == (3, [events[0]["id"]])


async def test_refused_edits_change_nothing(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    moderator, *people = await make_customers(graph, 4)
    await add_member(graph, community, moderator, MemberRole.MODERATOR)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=4;BYDAY=MO", monday(1))
    events = await events_in(graph, series)
    await put_registrations(graph, events[2]["id"], people)
    before = [{**event, "touched_at": None} for event in await events_in(graph, series)]
    tuesday = monday(1) + timedelta(days=1)
    cases: list[tuple[str, dict[str, Any], type[KinshipError]]] = [
        (member, {"template": {"venue": "x"}}, NotFound),
        (moderator, {"template": {"venue": "x"}}, NotFound),
        (manager, {"template": {"capacity": 2}}, CapacityTaken),
        (manager, {"template": {"title_en": ""}}, EventInvalid),
        (manager, {"template": {"tags": ["no-such-tag"]}}, EventInvalid),
        (manager, {"rule": "FREQ=HOURLY"}, EventInvalid),
        # The rule says Mondays: whoever moves it to Tuesdays has to say so in the rule as well.
        (manager, {"starts_at_local": tuesday}, EventInvalid),
    ]
    for who, change, error in cases:
        with pytest.raises(error):
            await following(graph, events[0], who, **change)
        assert [{**event, "touched_at": None} for event in await events_in(graph, series)] == before
    single = await stored_event(graph, await make_event(graph, community))
    with pytest.raises(EventNotInSeries):
        await following(graph, single, manager, template={"venue": "x"})
    moved = await following(graph, events[0], manager, starts_at_local=tuesday, rule="FREQ=WEEKLY;COUNT=4;BYDAY=TU")
    assert [event["id"] for event in await events_in(graph, moved)] == [event["id"] for event in events]


async def test_two_managers_edit_a_series_at_once(stores: Addresses) -> None:
    """Given eight edits of the same occurrence through two clients, then one series holds all, the same everywhere."""
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        series = await make(one, community, manager, "FREQ=WEEKLY;COUNT=12", monday(1))
        events = await events_in(one, series)
        await asyncio.gather(
            *(
                following((one, other)[number % 2], events[6], manager, template={"venue": f"Hall {number}"})
                for number in range(8)
            )
        )
        everything = [row["event"] for row in await one.read(ALL_EVENTS, id=community)]
        assert [event["id"] for event in everything] == [event["id"] for event in events]
        rest = everything[6:]
        assert len({event["series_id"] for event in rest}) == 1
        assert len({event["venue"] for event in rest}) == 1
        assert {event["series_id"] for event in everything[:6]} == {series}


async def test_the_priority_of_each_start_moves_with_it_and_can_be_taken_away(graph: GraphClient) -> None:
    """Given a series with a priority until a day before, then one put off keeps that day, and from the third on nobody
    comes first any more while registration closes as before."""
    community, manager, _ = await make_managed(graph)
    leads: Row = {"priority_minutes_before": 24 * 60, "closes_minutes_before": 30}
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=4", monday(1), **leads)
    events = await events_in(graph, series)
    start = datetime.fromisoformat(events[1]["recurrence_id"]).replace(hour=20)
    moved = await following(graph, events[1], manager, starts_at_local=start)
    for event in await events_in(graph, moved):
        starts = parse_instant(event["starts_at"])
        assert event["priority_until"] == iso(starts - timedelta(days=1))
    third = (await events_in(graph, moved))[1]
    rest = await events_in(graph, await following(graph, third, manager, priority_minutes_before=None))
    assert len(rest) == 2
    for event in rest:
        assert event.get("priority_until") is None
        assert event["registration_closes_at"] == iso(parse_instant(event["starts_at"]) - timedelta(minutes=30))
