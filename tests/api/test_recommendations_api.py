"""Recommended communities over HTTP: one round trip, what is dismissed is gone at once, and comes back."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest

from api.relay import global_id
from community.access import MemberRole
from community.dismissals import MOST_DISMISSALS, dismissal_key
from core.clock import iso, parse_instant, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.ties import add_about, add_tag

pytestmark = pytest.mark.anyio

RECOMMENDED = """
query($tag: String, $first: Int, $after: String) { viewer {
  recommendedCommunities(tag: $tag, first: $first, after: $after) {
    edges { cursor score node { id name memberCount viewerRole tags { key name } } reasons { __typename text } }
    pageInfo { hasNextPage endCursor }
  }
} }
"""
DISMISS = """
mutation($id: ID!) { dismissRecommendation(input: {recommendedId: $id}) {
  __typename ... on DismissRecommendationSuccess { recommendedId until } ... on Refusal { code path }
} }
"""
RESTORE = """
mutation($id: ID!) { restoreRecommendation(input: {recommendedId: $id}) {
  __typename ... on RestoreRecommendationSuccess { recommendedId } ... on Refusal { code path }
} }
"""
# Round trips to the graph (of which a transaction counts each statement) and statements to SQL.
COSTS = {
    "viewer.recommendedCommunities": (1, 1),
    "dismissRecommendation": (4, 1),
    "restoreRecommendation": (1, 1),
}

PUT_LIST = """
MERGE (l:RecommendationList {customer_id: $customer_id})
SET l.community_ids = $ids, l.scores = $scores, l.reasons = $reasons, l.variant = $variant
"""


PUT_TAG = "MERGE (t:Tag {key: $key}) SET t.name_zh = '茶', t.name_en = 'Tea', t.family = 'INTEREST'"


async def put_list(
    system: System, customer_id: str, communities: list[str], *, variant: str | None = None, reason: Any = None
) -> None:
    """A list as the worker would write it."""
    await system.edge.graph.write(
        PUT_LIST,
        customer_id=customer_id,
        ids=communities,
        # A list is shown in its own order, whatever its scores are.
        scores=[0.5 + number / 100 for number in range(len(communities))],
        reasons=[orjson.dumps([reason or {"kind": "POPULAR"}]).decode()] * len(communities),
        variant=variant,
    )


async def seen(caller: Caller, **variables: Any) -> list[str]:
    found = await caller.ask(RECOMMENDED, **variables)
    return [edge["node"]["id"] for edge in found["viewer"]["recommendedCommunities"]["edges"]]


@dataclass
class Listed:
    """A customer with a list of three communities."""

    caller: Caller
    me: str
    communities: list[str]

    @property
    def ids(self) -> list[str]:
        return [global_id("Community", community) for community in self.communities]


@pytest.fixture
async def listed(system: System, unique: str) -> Listed:
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    communities = [await make_community(system.edge.graph) for _ in range(3)]
    await system.edge.graph.write(PUT_TAG, key=f"tea-{unique}")
    for community in communities:
        await add_about(system.edge.graph, community, f"tea-{unique}")
    await put_list(system, me, communities)
    return Listed(lin, me, communities)


async def test_a_list_is_shown_in_its_own_order(listed: Listed) -> None:
    assert await seen(listed.caller) == listed.ids
    first = await listed.caller.ask(RECOMMENDED, first=2)
    page = first["viewer"]["recommendedCommunities"]
    assert page["pageInfo"]["hasNextPage"]
    assert await seen(listed.caller, after=page["pageInfo"]["endCursor"]) == listed.ids[2:]


async def test_that_it_is_near_is_said_in_both_languages(system: System, listed: Listed, unique: str) -> None:
    """Given a community that is recommended for its place; then the reason says how far at most."""
    await put_list(system, listed.me, listed.communities, reason={"kind": "NEARBY", "kilometres": 50})
    found = await listed.caller.ask(RECOMMENDED, first=1)
    edge = found["viewer"]["recommendedCommunities"]["edges"][0]
    assert edge["reasons"] == [
        {"__typename": "NearbyReason", "text": "It usually meets within 50 km of your communities"}
    ]
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    edge = (await chinese.ask(RECOMMENDED, first=1))["viewer"]["recommendedCommunities"]["edges"][0]
    assert edge["reasons"][0]["text"] == "常聚地点距您所在的社群不超过 50 公里"


async def test_what_is_dismissed_is_gone_at_once_and_back_when_asked(listed: Listed) -> None:
    """Given a list; when one is dismissed twice; then the next read is without it until it is taken back."""
    before = utc_now()
    answers = [(await listed.caller.ask(DISMISS, id=listed.ids[1]))["dismissRecommendation"] for _ in range(2)]
    assert answers[0] == answers[1]
    until = parse_instant(answers[0]["until"])
    assert timedelta(days=90) <= until - before < timedelta(days=90, minutes=1)
    assert await seen(listed.caller) == [listed.ids[0], listed.ids[2]]
    for _ in range(2):
        answer = (await listed.caller.ask(RESTORE, id=listed.ids[1]))["restoreRecommendation"]
        assert answer == {"__typename": "RestoreRecommendationSuccess", "recommendedId": listed.ids[1]}
    assert await seen(listed.caller) == listed.ids


async def test_what_is_dismissed_is_gone_from_tags_and_from_what_a_newcomer_gets(system: System, unique: str) -> None:
    """Given a customer without a list; then dismissed communities are in no way of looking."""
    wu, me = await system.customer(f"wu-{unique}"), local_of(f"wu-{unique}")
    tag, graph = f"tea-{unique}", system.edge.graph
    await graph.write(PUT_TAG, key=tag)
    kept, gone = await make_community(graph), await make_community(graph)
    for community in (kept, gone):
        await add_about(graph, community, tag)
    await add_tag(graph, me, tag)
    await wu.ask(DISMISS, id=global_id("Community", gone))
    assert await seen(wu, tag=tag) == [global_id("Community", kept)]
    assert global_id("Community", gone) not in await seen(wu, first=100)


UNTIL = "MATCH (:Customer {id: $id})-[d:DISMISSED {key: $key}]->() SET d.until = $until"
COUNT = "MATCH (:Customer {id: $id})-[d:DISMISSED]->() RETURN count(d) AS count"


async def test_after_90_days_it_is_back(system: System, listed: Listed) -> None:
    """Given a dismissal that is over; then it is read as none, and the next one sweeps it away."""
    await listed.caller.ask(DISMISS, id=listed.ids[0])
    key = dismissal_key(listed.me, listed.communities[0])
    await system.edge.graph.write(UNTIL, id=listed.me, key=key, until=iso(utc_now() - timedelta(seconds=1)))
    assert await seen(listed.caller) == listed.ids
    await listed.caller.ask(DISMISS, id=listed.ids[1])
    assert await system.edge.graph.read(COUNT, id=listed.me) == [{"count": 1}]
    again = (await listed.caller.ask(DISMISS, id=listed.ids[0]))["dismissRecommendation"]
    assert parse_instant(again["until"]) > utc_now() + timedelta(days=89)


async def test_many_at_once_dismiss_once(system: System, listed: Listed) -> None:
    """Given twelve requests at once for two communities; then there are two dismissals."""
    answers = await asyncio.gather(*(listed.caller.ask(DISMISS, id=listed.ids[n % 2]) for n in range(12)))
    assert {one["dismissRecommendation"]["__typename"] for one in answers} == {"DismissRecommendationSuccess"}
    assert await system.edge.graph.read(COUNT, id=listed.me) == [{"count": 2}]
    assert await seen(listed.caller) == listed.ids[2:]


PUT_MANY = """
MATCH (me:Customer {id: $id})
MATCH (c:Community {id: $community_id})
UNWIND range(1, $count) AS number
CREATE (me)-[:DISMISSED {key: $id + ':many' + toString(number), until: $until}]->(c)
"""


async def test_dismissals_are_bounded(system: System, listed: Listed) -> None:
    await system.edge.graph.write(
        PUT_MANY,
        id=listed.me,
        community_id=listed.communities[2],
        count=MOST_DISMISSALS - 1,
        until=iso(utc_now() + timedelta(days=1)),
    )
    codes = [(await listed.caller.ask(DISMISS, id=id))["dismissRecommendation"].get("code") for id in listed.ids[:2]]
    assert codes == [None, "TOO_MANY_DISMISSALS"]
    # What is dismissed already is so still.
    assert "code" not in (await listed.caller.ask(DISMISS, id=listed.ids[0]))["dismissRecommendation"]


async def test_what_one_may_not_see_is_as_if_absent_and_nothing_changes(
    system: System, listed: Listed, unique: str
) -> None:
    """Given a private community, its event, a draft, people who are not found; then each is as what is not there."""
    graph = system.edge.graph
    secret, open_one = await make_community(graph, visibility="PRIVATE"), await make_community(graph)
    event, draft = await make_event(graph, secret), await make_event(graph, open_one, status="DRAFT")
    (somebody,) = await make_customers(graph, 1)
    hidden = [("Community", secret), ("Event", event), ("Event", draft), ("Customer", somebody)]
    before = await state(system)
    for kind, id in hidden:
        answers = [(await listed.caller.ask(DISMISS, id=global_id(kind, one))) for one in (id, new_id())]
        assert answers[0] == answers[1]
        found = answers[0]["dismissRecommendation"]
        assert (found["code"], found["path"]) == ("NOT_FOUND", ["input", "recommendedId"])
    for id in (global_id("Post", new_id()), "nonsense", ""):
        error = (await listed.caller.fail(DISMISS, id=id))["extensions"]
        assert (error["reason"], error["inputPath"]) == ("ID_INVALID", ["input", "recommendedId"])
    stranger = system.caller(f"new-{unique}", "customer")
    for document in (DISMISS, RESTORE):
        ((_, answer),) = (await stranger.ask(document, id=listed.ids[0])).items()
        assert answer["code"] == "NOT_SIGNED_UP"
        assert (await system.caller(None).fail(document, id=listed.ids[0]))["extensions"]["code"] == "UNAUTHENTICATED"
    assert await state(system) == before


async def test_one_s_dismissals_are_one_s_own(system: System, listed: Listed, unique: str) -> None:
    """Given two with the same list; when one dismisses and the other restores; then each has their own."""
    other = await system.customer(f"x-{unique}")
    await put_list(system, local_of(f"x-{unique}"), listed.communities)
    await listed.caller.ask(DISMISS, id=listed.ids[0])
    await other.ask(RESTORE, id=listed.ids[0])
    assert await seen(listed.caller) == listed.ids[1:]
    assert await seen(other) == listed.ids


async def test_conditions_are_asked_when_it_is_read(system: System, listed: Listed) -> None:
    """Given a list; when conditions change; then what is for a tier, a tag or a segment of others is not shown."""
    graph = system.edge.graph
    change = (
        "MATCH (c:Community {id: $id}) SET c.minimum_tier = $tier, c.required_tags = $tags, c.segment_id = $segment"
    )
    for number, (tier, tags, segment) in enumerate([("VIP", [], None), (None, ["gold"], None), (None, [], new_id())]):
        await graph.write(change, id=listed.communities[number], tier=tier, tags=tags, segment=segment)
    assert await seen(listed.caller) == []
    await graph.write("MATCH (c:Customer {id: $id}) SET c.tier = 'VIP'", id=listed.me)
    assert await seen(listed.caller) == listed.ids[:1]


async def test_costs(system: System, listed: Listed) -> None:
    """Given a list of three and one of six; then both are read with names and tags in one round trip."""
    found = {
        "viewer.recommendedCommunities": await cost(system, listed.caller, RECOMMENDED),
        "dismissRecommendation": await cost(system, listed.caller, DISMISS, id=listed.ids[0]),
        "restoreRecommendation": await cost(system, listed.caller, RESTORE, id=listed.ids[0]),
    }
    assert found == COSTS
    more = [*listed.communities, *[await make_community(system.edge.graph) for _ in range(3)]]
    await put_list(system, listed.me, more)
    assert await cost(system, listed.caller, RECOMMENDED) == COSTS["viewer.recommendedCommunities"]


async def test_whoever_is_anything_to_a_community_is_not_recommended_it(system: System, listed: Listed) -> None:
    for community, role in zip(listed.communities, ("BANNED", "PENDING", "INVITED"), strict=True):
        await add_member(system.edge.graph, community, listed.me, MemberRole(role))
    assert await seen(listed.caller) == []
