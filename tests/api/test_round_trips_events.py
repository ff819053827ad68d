"""Store round trips of events, series, feedback and statistics: counted, and the same however many there are."""

from datetime import timedelta

import pytest

from api.relay import global_id
from core.clock import utc_now
from tests.api.conftest import System
from tests.api.test_events import (
    CANCEL,
    COMPLETE,
    CREATE,
    EVENT,
    FEEDBACK,
    PUBLISH,
    SERIES,
    STATISTICS,
    UPDATE,
    SetScene,
    local,
    scene,
)
from tests.api.test_round_trips import cost, spared
from tests.community.happenings import put_registrations
from tests.community.places import make_customers, make_event

pytestmark = pytest.mark.anyio

__all__ = ["scene"]

PLACES = (
    "query($id: ID!) { community(id: $id) { events(first: 50, past: true) { edges { node { "
    + EVENT
    + " feedback(first: 5) { edges { node { rating customer { displayName } } } } } } } } }"
)
OCCURRENCES = (
    "query($id: ID!) { event(id: $id) { series { rule occurrences(first: 50) { edges { node { " + EVENT + " } } } } } }"
)


# Round trips to the graph and statements to SQL of each.
COSTS = {
    "createEvent": (4, 1),
    "updateEvent": (4, 1),
    "publishEvent": (5, 1),
    "cancelEvent": (4, 1),
    "completeEvent": (4, 1),
    "createEventSeries": (5, 1),
    "updateThisAndFollowingEvents": (9, 1),
    "submitEventFeedback": (3, 5),
    "eventStatistics": (2, 2),
}


async def test_a_list_of_events_costs_the_same_for_one_and_for_five(
    system: System, scene: SetScene, unique: str
) -> None:
    """Given events with hosts, tags, ratings and feedback, then a list with all of it is a fixed number of trips."""
    one = await scene()
    graph = system.edge.graph
    costs: list[tuple[int, int]] = []
    for count in (1, 4):
        for number in range(count):
            event = await one.create(hostIds=[global_id("Customer", one.member_id)])
            await graph.write(
                "MATCH (e:Event {id: $id}) SET e.starts_at = '2026-01-01T00:00:00.000000Z'", id=local(event)
            )
            await put_registrations(graph, local(event), [one.member_id], status="ATTENDED")
            await one.member.ask(FEEDBACK, id=event["id"], rating=number % 5 + 1)
        costs.append(await cost(system, one.manager, PLACES, id=global_id("Community", one.community)))
    # Identify; community, its list, events, tags, hosts, the givers of feedback; ratings, feedback.
    assert costs == [(6 - await spared(system), 3)] * 2


async def test_a_series_costs_the_same_for_two_and_for_twenty(system: System, scene: SetScene) -> None:
    one = await scene()
    costs: list[tuple[int, int]] = []
    for rule in ("FREQ=WEEKLY;COUNT=2", "FREQ=WEEKLY;COUNT=20"):
        made = (await one.manager.ask(SERIES, input=one.series(rule=rule)))["createEventSeries"]["series"]
        event = made["occurrences"]["edges"][0]["node"]["id"]
        costs.append(await cost(system, one.manager, OCCURRENCES, id=event))
    assert costs[0] == costs[1]
    assert costs[0] == (7, 2)


async def test_the_cost_of_each_action_on_events(system: System, scene: SetScene) -> None:
    """Given fresh things, then each action takes this many round trips to the graph and statements to SQL."""
    one = await scene()
    graph = system.edge.graph
    draft = await one.create(publish=False)
    running = await make_event(graph, one.community, starts_at=utc_now() - timedelta(hours=1))
    await put_registrations(graph, running, [one.member_id], status="ATTENDED")
    series = (await one.manager.ask(SERIES, input=one.series()))["createEventSeries"]["series"]
    ids = [edge["node"]["id"] for edge in series["occurrences"]["edges"]]
    slim = "{ __typename }"
    create = CREATE.replace("{ event { " + EVENT + " } }", "{ event { id } }")
    update = UPDATE.replace("{ event { " + EVENT + " } }", "{ event { id } }")
    costs = {
        "createEvent": await cost(system, one.manager, create, input=one.input()),
        "updateEvent": await cost(system, one.manager, update, input={"eventId": draft["id"], "venue": "Hall"}),
        "publishEvent": await cost(system, one.manager, PUBLISH, id=draft["id"]),
        "cancelEvent": await cost(system, one.manager, CANCEL, id=draft["id"]),
        "completeEvent": await cost(system, one.manager, COMPLETE, id=global_id("Event", running)),
        "createEventSeries": await cost(
            system,
            one.manager,
            "mutation($input: CreateEventSeriesInput!) { createEventSeries(input: $input) " + slim + " }",
            input=one.series(),
        ),
        "updateThisAndFollowingEvents": await cost(
            system,
            one.manager,
            "mutation($input: UpdateThisAndFollowingEventsInput!) { updateThisAndFollowingEvents(input: $input) "
            + slim
            + " }",
            input={"eventId": ids[2], "venue": "Hall"},
        ),
        "submitEventFeedback": await cost(system, one.member, FEEDBACK, id=global_id("Event", running), rating=5),
        "eventStatistics": await cost(system, one.manager, STATISTICS, id=global_id("Event", running)),
    }
    assert costs == COSTS


async def test_statistics_cost_the_same_for_three_and_for_three_hundred(system: System, scene: SetScene) -> None:
    one = await scene()
    graph = system.edge.graph
    event = await make_event(graph, one.community)
    costs: list[tuple[int, int]] = []
    for count in (3, 297):
        await put_registrations(graph, event, await make_customers(graph, count))
        costs.append(await cost(system, one.manager, STATISTICS, id=global_id("Event", event)))
    assert costs == [(2, 2)] * 2
