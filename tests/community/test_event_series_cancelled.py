"""Series that end early: called off from an occurrence on, by whom, and that nothing grows after it."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from community.access import MemberRole
from community.event_changes import EventClosed, cancel_event
from community.event_details import EventInvalid
from community.event_series import extend_series, read_series
from community.event_series_edits import EventNotInSeries, cancel_this_and_following
from core.clock import parse_instant, utc_now
from core.errors import KinshipError, NotFound
from graph.client import GraphClient, Row
from tests.community.happenings import make_managed, owed_about, stored_event
from tests.community.places import add_member, make_customers, make_event
from tests.community.test_event_series import ALL_EVENTS, events_in, following, make, monday
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def cancel_following(graph: GraphClient, event: Row, manager: str, reason: str = "The hall closes") -> None:
    await cancel_this_and_following(graph, event_id=event["id"], reason=reason, manager_id=manager, now=utc_now())


async def test_a_series_is_called_off_from_an_occurrence_on(graph: GraphClient) -> None:
    """Given an endless series, when it is cancelled from the tenth on, then nine stay and none is ever made again."""
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=DAILY", monday(1))
    events = await events_in(graph, series)
    await cancel_event(graph, event_id=events[12]["id"], reason="Holiday", manager_id=manager, now=utc_now())
    for _ in range(2):
        await cancel_following(graph, events[9], manager)
    after = await events_in(graph, series)
    assert [event["id"] for event in after] == [event["id"] for event in events]
    assert {event["status"] for event in after[:9]} == {"PUBLISHED"}
    assert {event["status"] for event in after[9:]} == {"CANCELLED"}
    reasons = Counter(event["cancel_reason"] for event in after[9:])
    assert reasons == {"The hall closes": len(events) - 10, "Holiday": 1}
    assert await extend_series(graph, series, now=utc_now() + timedelta(days=100)) == 0
    found = (await read_series(graph, [series], viewer_id=None))[series]
    last = datetime.fromisoformat(events[9]["recurrence_id"]) - timedelta(seconds=1)
    assert found["rule"] == f"FREQ=DAILY;UNTIL={last:%Y%m%dT%H%M%S}"
    owed = await owed_about(graph, series)
    assert [row["payload"].count("SERIES_CANCELLED") for row in owed if "CANCELLED" in row["payload"]] == [1]
    # What is left may change, and does not come to life again.
    await following(graph, events[5], manager, template={"venue": "Garden"})
    everything = [row["event"] for row in await graph.read(ALL_EVENTS, id=community)]
    assert [event.get("venue") for event in everything[5:11]] == ["Garden"] * 4 + [None] * 2
    assert len(everything) == len(events)
    with pytest.raises(EventClosed):
        await following(graph, events[9], manager, template={"venue": "Garden"})


async def test_all_of_a_series_is_called_off_at_its_first_and_drafts_are_gone(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=6", monday(1))
    await cancel_following(graph, (await events_in(graph, series))[0], manager)
    assert {event["status"] for event in await events_in(graph, series)} == {"CANCELLED"}
    drafts = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=6", monday(1), publish=False)
    first, second, third, *_ = await events_in(graph, drafts)
    await cancel_following(graph, third, manager)
    assert [event["id"] for event in await events_in(graph, drafts)] == [first["id"], second["id"]]
    found = (await read_series(graph, [drafts], viewer_id=manager))[drafts]
    assert (found["rule"], found["exdates"]) == ("FREQ=WEEKLY;COUNT=2", [])


async def test_a_series_is_not_called_off_by_others_nor_where_there_is_none(graph: GraphClient) -> None:
    """Given a moderator, a member, no reason, a single event and one that is over, then nothing changes."""
    community, manager, member = await make_managed(graph)
    (moderator,) = await make_customers(graph, 1)
    await add_member(graph, community, moderator, MemberRole.MODERATOR)
    series = await make(graph, community, manager, "FREQ=WEEKLY;COUNT=4", monday(1))
    events = await events_in(graph, series)
    single = await stored_event(graph, await make_event(graph, community))
    before = [{**event, "touched_at": None} for event in events]
    refused: list[tuple[Row, str, str, type[KinshipError]]] = [
        (events[0], moderator, "x", NotFound),
        (events[0], member, "x", NotFound),
        (events[0], manager, " ", EventInvalid),
        (single, manager, "x", EventNotInSeries),
    ]
    for event, who, reason, error in refused:
        with pytest.raises(error):
            await cancel_following(graph, event, who, reason)
    over = parse_instant(events[0]["ends_at"]) + timedelta(minutes=1)
    with pytest.raises(EventClosed):
        await cancel_this_and_following(graph, event_id=events[0]["id"], reason="x", manager_id=manager, now=over)
    assert [{**event, "touched_at": None} for event in await events_in(graph, series)] == before
    assert (await stored_event(graph, single["id"]))["status"] == "PUBLISHED"


async def test_cancelling_editing_and_growing_at_once_leave_one_end(stores: Addresses) -> None:
    """Given cancellations, edits and extensions of a series at once, then nothing after the cancelled takes place."""
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        series = await make(one, community, manager, "FREQ=DAILY", monday(1))
        events = await events_in(one, series)
        later = utc_now() + timedelta(days=5)
        outcomes = await asyncio.gather(
            *(cancel_following((one, other)[n % 2], events[3], manager) for n in range(3)),
            *(extend_series((one, other)[n % 2], series, now=later) for n in range(3)),
            following(other, events[8], manager, template={"venue": "Hall"}),
            return_exceptions=True,
        )
        assert all(not isinstance(end, BaseException) or isinstance(end, EventClosed) for end in outcomes)
        # An edit that was faster has made a series of its own of the ninth and what follows.
        rest = [event for event in await events_in(one, series) if event["recurrence_id"] >= events[3]["recurrence_id"]]
        assert {event["status"] for event in rest} == {"CANCELLED"}
        assert await extend_series(one, series, now=later + timedelta(days=30)) == 0
