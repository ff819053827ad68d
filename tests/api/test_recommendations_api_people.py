"""Recommended people over HTTP: only who chose to be found, and is not known yet, for reasons that are true."""

from dataclasses import dataclass
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from graph.client import GraphClient
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_recommendations_api import DISMISS, RESTORE
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers
from tests.community.ties import acquaint, refer

pytestmark = pytest.mark.anyio

PEOPLE = """
query($first: Int, $after: String) { viewer { recommendedPeople(first: $first, after: $after) {
  edges { cursor score node { id displayName tags { tag { key } } } reasons { __typename text
    ... on SharedCommunitiesReason { communityIds count } ... on MutualAcquaintancesReason { count } } }
  pageInfo { hasNextPage endCursor }
} } }
"""
NAMES = """
query($first: Int, $after: String) { viewer { recommendedPeople(first: $first, after: $after) {
  edges { node { id displayName } } pageInfo { hasNextPage endCursor }
} } }
"""
CHOOSE = """
mutation($on: Boolean!) { setDiscoverability(input: {discoverable: $on}) {
  __typename ... on SetDiscoverabilitySuccess { discoverable } ... on Refusal { code }
} }
"""
CHOICE = "{ viewer { isDiscoverable } }"
COSTS = {"viewer.recommendedPeople": (1, 1), "setDiscoverability": (1, 1)}
FOUND = "UNWIND $ids AS id MATCH (c:Customer {id: id}) SET c.discoverable = true"


async def ids(caller: Caller, **asked: Any) -> list[str]:
    found = (await caller.ask(NAMES, **asked))["viewer"]["recommendedPeople"]["edges"]
    return [edge["node"]["id"] for edge in found]


@dataclass
class Circle:
    """A customer in two communities with six others who chose to be found, one of them in both."""

    caller: Caller
    me: str
    communities: list[str]
    others: list[str]


@pytest.fixture
async def circle(system: System, unique: str) -> Circle:
    graph = system.edge.graph
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    small, large = [await make_community(graph) for _ in range(2)]
    others = await make_customers(graph, 6)
    await graph.write(FOUND, ids=others)
    for community, members in ((small, others[:2]), (large, others[1:])):
        for one in (me, *members):
            await add_member(graph, community, one, MemberRole.MEMBER)
    return Circle(lin, me, [small, large], others)


def people(*locals: str) -> list[str]:
    return [global_id("Customer", one) for one in locals]


async def test_whoever_shares_more_and_smaller_communities_comes_first(
    system: System, circle: Circle, unique: str
) -> None:
    graph, (first, both, *rest) = system.edge.graph, circle.others
    assert (await ids(circle.caller))[:2] == people(both, first)
    assert sorted((await ids(circle.caller))[2:]) == sorted(people(*rest))
    friends = await make_customers(graph, 6)
    await acquaint(graph, circle.me, friends)
    await acquaint(graph, both, friends)
    await acquaint(graph, first, friends[:4])
    found = (await circle.caller.ask(PEOPLE))["viewer"]["recommendedPeople"]["edges"]
    assert found[0]["node"] == {"id": people(both)[0], "displayName": "Test", "tags": None}
    assert found[0]["reasons"] == [
        {
            "__typename": "SharedCommunitiesReason",
            "text": "You are both in 2 communities",
            "communityIds": [global_id("Community", one) for one in circle.communities],
            "count": 2,
        },
        {"__typename": "MutualAcquaintancesReason", "text": "You both know 6 people", "count": 6},
    ]
    # Four acquaintances in common are not told.
    assert [reason["text"] for reason in found[1]["reasons"]] == ["You are both in one community"]
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    texts = (await chinese.ask(PEOPLE))["viewer"]["recommendedPeople"]["edges"][0]["reasons"]
    assert [one["text"] for one in texts] == ["你们同在 2 个社群", "你们有 6 位共同认识的人"]


async def hide(graph: GraphClient, circle: Circle, other: str) -> None:
    await graph.write("MATCH (c:Customer {id: $id}) SET c.discoverable = null", id=other)


async def befriend(graph: GraphClient, circle: Circle, other: str) -> None:
    await acquaint(graph, other, [circle.me])


async def bring(graph: GraphClient, circle: Circle, other: str) -> None:
    await refer(graph, circle.me, [other])


async def be_brought(graph: GraphClient, circle: Circle, other: str) -> None:
    await refer(graph, other, [circle.me])


async def ban(graph: GraphClient, circle: Circle, other: str) -> None:
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() SET m.role = 'BANNED'", id=other)


async def leave(graph: GraphClient, circle: Circle, other: str) -> None:
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() DELETE m", id=other)


@pytest.mark.parametrize("change", [hide, befriend, bring, be_brought, ban, leave])
async def test_nobody_is_shown_who_did_not_choose_it_or_is_known(system: System, circle: Circle, change: Any) -> None:
    other = circle.others[1]
    assert people(other)[0] in await ids(circle.caller)
    await change(system.edge.graph, circle, other)
    assert people(other)[0] not in await ids(circle.caller)
    assert len(await ids(circle.caller)) == 5


@pytest.mark.parametrize("role", ["PENDING", "INVITED", "BANNED"])
async def test_whoever_is_no_member_sees_nobody_of_it(system: System, circle: Circle, role: str) -> None:
    query = "MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() SET m.role = $role"
    await system.edge.graph.write(query, id=circle.me, role=role)
    assert await ids(circle.caller) == []


async def test_large_and_archived_communities_tell_of_nobody(system: System, circle: Circle) -> None:
    small, large = circle.communities
    await system.edge.graph.write("MATCH (c:Community {id: $id}) SET c.member_count = 501", id=large)
    assert sorted(await ids(circle.caller)) == sorted(people(*circle.others[:2]))
    await system.edge.graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'then'", id=small)
    assert await ids(circle.caller) == []


async def test_one_chooses_for_oneself_and_can_take_it_back(system: System, circle: Circle, unique: str) -> None:
    """Given a new member of a community; then they are found from when they say so until they do no more."""
    wu, me = await system.customer(f"wu-{unique}"), local_of(f"wu-{unique}")
    await add_member(system.edge.graph, circle.communities[0], me, MemberRole.MEMBER)
    shown = people(me)[0]
    assert not (await wu.ask(CHOICE))["viewer"]["isDiscoverable"]
    assert shown not in await ids(circle.caller)
    for on in (True, True, False, False):
        answer = (await wu.ask(CHOOSE, on=on))["setDiscoverability"]
        assert answer == {"__typename": "SetDiscoverabilitySuccess", "discoverable": on}
        assert (await wu.ask(CHOICE))["viewer"]["isDiscoverable"] == on
        assert (shown in await ids(circle.caller)) == on
    before = await state(system)
    stranger = system.caller(f"new-{unique}", "customer")
    assert (await stranger.ask(CHOOSE, on=True))["setDiscoverability"]["code"] == "NOT_SIGNED_UP"
    assert (await stranger.ask(CHOICE))["viewer"]["isDiscoverable"] is False
    assert await ids(stranger) == []
    assert (await system.caller(None).fail(CHOOSE, on=True))["extensions"]["code"] == "UNAUTHENTICATED"
    assert await state(system) == before


async def test_dismissed_people_are_gone_at_once(circle: Circle) -> None:
    (other,) = people(circle.others[1])
    answer = (await circle.caller.ask(DISMISS, id=other))["dismissRecommendation"]
    assert answer["__typename"] == "DismissRecommendationSuccess"
    assert other not in await ids(circle.caller)
    await circle.caller.ask(RESTORE, id=other)
    assert other in await ids(circle.caller)
    own = (await circle.caller.ask(DISMISS, id=people(circle.me)[0]))["dismissRecommendation"]
    assert own["code"] == "NOT_FOUND"


async def test_pages_follow_each_other_and_cost_the_same(system: System, circle: Circle) -> None:
    costs = {
        "viewer.recommendedPeople": await cost(system, circle.caller, NAMES),
        "setDiscoverability": await cost(system, circle.caller, CHOOSE, on=True),
    }
    assert costs == COSTS
    whole, found, cursor = await ids(circle.caller), list[str](), None
    while True:
        page = (await circle.caller.ask(NAMES, first=2, after=cursor))["viewer"]["recommendedPeople"]
        found += [edge["node"]["id"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    assert found == whole
    assert len(whole) == 6
    assert (await circle.caller.fail(NAMES, after="W10"))["extensions"]["reason"] == "PAGE_INVALID"
