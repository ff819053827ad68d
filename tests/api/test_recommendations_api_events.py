"""Recommended events over HTTP: what speaks for them, in which order, and which never are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient
from tests.api.conftest import Caller, System
from tests.api.test_recommendations_api import DISMISS, PUT_TAG, RESTORE
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.happenings import put_registrations
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.ties import acquaint, add_tag, refer

pytestmark = pytest.mark.anyio

EVENTS = """
query($near: NearInput, $first: Int, $after: String) { viewer {
  recommendedEvents(near: $near, first: $first, after: $after) {
    edges { cursor score node { id title startsAt } reasons { __typename text
      ... on OwnCommunityReason { communityId } ... on SharedTagsReason { tags }
      ... on AcquaintancesReason { known: count }
      ... on ReferralTiesReason { count } ... on NearbyReason { kilometres } } }
    pageInfo { hasNextPage endCursor }
  }
} }
"""
COST = (2, 1)
ABOUT = "MATCH (e:Event {id: $event}), (t:Tag {key: $tag}) CREATE (e)-[:ABOUT]->(t)"
SET = "MATCH (e:Event {id: $id}) SET e += $more"
DISCOVERABLE = "UNWIND $ids AS id MATCH (c:Customer {id: id}) SET c.discoverable = true"


async def edges(caller: Caller, **asked: Any) -> list[dict[str, Any]]:
    return (await caller.ask(EVENTS, **asked))["viewer"]["recommendedEvents"]["edges"]


async def ids(caller: Caller, **asked: Any) -> list[str]:
    return [edge["node"]["id"] for edge in await edges(caller, **asked)]


def in_days(days: float) -> datetime:
    return utc_now() + timedelta(days=days)


async def about(graph: GraphClient, event: str, tag: str) -> None:
    await graph.write(PUT_TAG, key=tag)
    await graph.write(ABOUT, event=event, tag=tag)


@dataclass
class Home:
    """A customer with a community that holds an event tomorrow."""

    caller: Caller
    me: str
    community: str
    event: str


@pytest.fixture
async def home(system: System, unique: str) -> Home:
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    community = await make_community(system.edge.graph)
    await add_member(system.edge.graph, community, me, MemberRole.MEMBER)
    return Home(lin, me, community, await make_event(system.edge.graph, community))


async def test_every_reason_is_told_and_true(system: System, home: Home, unique: str) -> None:
    """Given one event for each kind of evidence; then each is shown for it, and four acquaintances are none."""
    graph, other = system.edge.graph, await make_community(system.edge.graph)
    tagged, known, few, invited, secret = [await make_event(graph, other) for _ in range(5)]
    await about(graph, tagged, f"tea-{unique}")
    await add_tag(graph, home.me, f"tea-{unique}")
    friends, referees = await make_customers(graph, 5), await make_customers(graph, 3)
    await acquaint(graph, home.me, friends)
    await refer(graph, home.me, referees)
    await graph.write(DISCOVERABLE, ids=referees[:2])
    await put_registrations(graph, known, friends)
    await put_registrations(graph, few, friends[:4])
    await put_registrations(graph, invited, referees)
    await put_registrations(graph, secret, referees[2:])
    found = {edge["node"]["id"]: edge["reasons"] for edge in await edges(home.caller)}
    assert found == {
        global_id("Event", home.event): [
            {
                "__typename": "OwnCommunityReason",
                "text": "It is by a community of yours",
                "communityId": global_id("Community", home.community),
            }
        ],
        global_id("Event", tagged): [
            {"__typename": "SharedTagsReason", "text": "It fits your interests: Tea", "tags": [f"tea-{unique}"]}
        ],
        global_id("Event", known): [
            {"__typename": "AcquaintancesReason", "text": "5 people you know are coming", "known": 5}
        ],
        global_id("Event", invited): [
            {"__typename": "ReferralTiesReason", "text": "2 people you invited are coming", "count": 2}
        ],
    }
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    assert {reason["text"] for edge in await edges(chinese) for reason in edge["reasons"]} == {
        "由您所在的社群举办",
        "与您的兴趣相符：茶",
        "您认识的 5 人将参加",
        "您推荐的 2 位朋友将参加",
    }


async def over(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"starts_at": iso(in_days(-1)), "ends_at": iso(in_days(-0.5))})


async def cancelled(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"status": "CANCELLED"})


async def unpublished(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"status": "DRAFT"})


async def full(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"capacity": 2, "registered": 2})


async def full_online(graph: GraphClient, home: Home) -> None:
    more = {"attendance_mode": "ONLINE", "link_capacity": 1, "link_registered": 1}
    await graph.write(SET, id=home.event, more=more)


async def full_both_ways(graph: GraphClient, home: Home) -> None:
    more = {"attendance_mode": "HYBRID", "capacity": 1, "registered": 1, "link_capacity": 1, "link_registered": 1}
    await graph.write(SET, id=home.event, more=more)


async def closed(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"registration_closes_at": iso(in_days(-0.1))})


async def for_vips(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"minimum_tier": "VIP"})


async def for_a_tag(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"required_tags": ["gold"]})


async def for_a_segment(graph: GraphClient, home: Home) -> None:
    await graph.write(SET, id=home.event, more={"segment_id": new_id()})


async def registered(graph: GraphClient, home: Home) -> None:
    await put_registrations(graph, home.event, [home.me])


async def taken_back(graph: GraphClient, home: Home) -> None:
    await put_registrations(graph, home.event, [home.me], status="CANCELLED")


async def archived(graph: GraphClient, home: Home) -> None:
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'then'", id=home.community)


async def left(graph: GraphClient, home: Home) -> None:
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() DELETE m", id=home.me)


NEVER: list[Callable[[GraphClient, Home], Awaitable[None]]] = [
    *(over, cancelled, unpublished, full, full_online, full_both_ways, closed, for_vips, for_a_tag, for_a_segment),
    *(registered, taken_back, archived, left),
]


@pytest.mark.parametrize("change", NEVER)
async def test_what_one_cannot_come_to_is_not_recommended(
    system: System, home: Home, change: Callable[[GraphClient, Home], Awaitable[None]]
) -> None:
    assert await ids(home.caller) == [global_id("Event", home.event)]
    await change(system.edge.graph, home)
    assert await ids(home.caller) == []


async def test_half_full_events_are_shown(system: System, home: Home) -> None:
    more = {"attendance_mode": "HYBRID", "capacity": 1, "registered": 1, "link_capacity": 2, "link_registered": 1}
    await system.edge.graph.write(SET, id=home.event, more=more)
    assert await ids(home.caller) == [global_id("Event", home.event)]


@pytest.mark.parametrize("visibility", ["UNLISTED", "PRIVATE"])
@pytest.mark.parametrize("role", [None, MemberRole.BANNED, MemberRole.MEMBER])
async def test_what_is_not_listed_is_for_members(
    system: System, home: Home, unique: str, visibility: str, role: MemberRole | None
) -> None:
    """Given an event about the viewer's tag to which people they know come, behind a door; then members find it."""
    graph = system.edge.graph
    hidden = await make_community(graph, visibility=visibility)
    event = await make_event(graph, hidden)
    await about(graph, event, f"tea-{unique}")
    await add_tag(graph, home.me, f"tea-{unique}")
    friends = await make_customers(graph, 5)
    await acquaint(graph, home.me, friends)
    await put_registrations(graph, event, friends)
    if role is not None:
        await add_member(graph, hidden, home.me, role)
    assert (global_id("Event", event) in await ids(home.caller)) == (role == MemberRole.MEMBER)


async def test_a_banned_customer_is_not_recommended_its_events(system: System, home: Home, unique: str) -> None:
    graph, banning = system.edge.graph, await make_community(system.edge.graph)
    event = await make_event(graph, banning)
    await about(graph, event, f"tea-{unique}")
    await add_tag(graph, home.me, f"tea-{unique}")
    assert global_id("Event", event) in await ids(home.caller)
    await add_member(graph, banning, home.me, MemberRole.BANNED)
    assert global_id("Event", event) not in await ids(home.caller)


async def test_sooner_and_nearer_come_first(system: System, home: Home) -> None:
    """Given events in a month and tomorrow, near and far; then soon before late, near before far, none out of reach."""
    graph = system.edge.graph
    late = await make_event(graph, home.community, starts_at=in_days(30))
    soon = await make_event(graph, home.community, starts_at=in_days(2))
    assert await ids(home.caller) == [global_id("Event", one) for one in (home.event, soon, late)]
    # About 20 km, 2 km and 1,000 km from the middle of Shanghai.
    for event, latitude, longitude in ((home.event, 31.05, 121.47), (soon, 31.24, 121.48), (late, 39.9, 116.4)):
        await graph.write(SET, id=event, more={"latitude": latitude, "longitude": longitude})
    near = {"latitude": 31.23, "longitude": 121.47, "radiusKm": 50}
    found = await edges(home.caller, near=near)
    assert [edge["node"]["id"] for edge in found] == [global_id("Event", one) for one in (soon, home.event)]
    assert [edge["reasons"][-1]["kilometres"] for edge in found] == [2, 21]
    assert found[0]["reasons"][-1]["text"] == "No farther than 2 km"
    error = (await home.caller.fail(EVENTS, near={**near, "latitude": 91}))["extensions"]
    assert (error["reason"], error["inputPath"]) == ("SEARCH_INVALID", ["near", "latitude"])


async def test_of_a_series_the_next_is_shown(system: System, home: Home) -> None:
    graph, series = system.edge.graph, new_id()
    others = [await make_event(graph, home.community, starts_at=in_days(7 * week)) for week in (1, 2)]
    for event in (home.event, *others):
        await graph.write(SET, id=event, more={"series_id": series})
    assert await ids(home.caller) == [global_id("Event", home.event)]


async def test_dismissed_events_are_gone_at_once(home: Home) -> None:
    event = global_id("Event", home.event)
    await home.caller.ask(DISMISS, id=event)
    assert await ids(home.caller) == []
    await home.caller.ask(RESTORE, id=event)
    assert await ids(home.caller) == [event]


async def test_pages_follow_each_other_and_cost_the_same(system: System, home: Home, unique: str) -> None:
    few = await cost(system, home.caller, EVENTS)
    for days in range(2, 8):
        await make_event(system.edge.graph, home.community, starts_at=in_days(days))
    whole = await ids(home.caller)
    assert len(whole) == 7
    assert await cost(system, home.caller, EVENTS) == few == COST
    found, cursor = list[str](), None
    while True:
        page = (await home.caller.ask(EVENTS, first=3, after=cursor))["viewer"]["recommendedEvents"]
        found += [edge["node"]["id"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    assert found == whole
    for cursor in ("!", "W10", "WzFd"):
        assert (await home.caller.fail(EVENTS, after=cursor))["extensions"]["reason"] == "PAGE_INVALID"
    assert await ids(system.caller(f"new-{unique}", "customer")) == []
    assert (await system.caller(None).fail(EVENTS))["extensions"]["code"] == "UNAUTHENTICATED"
