"""Visibility holds everywhere: what every way of looking shows is what a plain model of the rules says."""

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.relay import global_id
from community.access import MemberRole
from core.ids import new_id
from core.paging import encode_cursor
from graph.client import GraphClient
from tests.api.conftest import Caller, System
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers, make_event

pytestmark = pytest.mark.anyio

VIEWERS = 3
INSIDE = {"OWNER", "MANAGER", "MODERATOR", "EXPERT", "MEMBER"}


@dataclass(frozen=True)
class Place:
    """A community of the model: what it is, and what each viewer is to it."""

    visibility: str
    join_policy: str
    archived: bool
    minimum_tier: str | None
    roles: tuple[MemberRole | None, ...]


@dataclass(frozen=True)
class Sight:
    """What somebody is shown of one community."""

    exists: bool
    has_node: bool
    role: str | None = None
    may_join: bool = False
    counted: int = 0
    members: int = 0
    events: int = 0
    sees_event: bool = False
    in_list: bool = False
    in_list_by_tag: bool = False
    is_mine: bool = False
    is_recommended: bool = False
    is_recommended_by_tag: bool = False
    invites: bool = False


places = st.builds(
    Place,
    visibility=st.sampled_from(["PUBLIC", "UNLISTED", "PRIVATE"]),
    join_policy=st.sampled_from(["OPEN", "REQUEST", "INVITE"]),
    archived=st.sampled_from([False, False, False, True]),
    minimum_tier=st.sampled_from([None, None, "VIP"]),
    roles=st.tuples(*[st.sampled_from([None, *MemberRole])] * VIEWERS),
)


def model(place: Place, role: str | None, tier: str | None) -> Sight:
    """The rules in plain words, which know nothing of how they are kept."""
    inside, private, public = role in INSIDE, place.visibility == "PRIVATE", place.visibility == "PUBLIC"
    if private and not inside and role != "INVITED":
        return Sight(exists=False, has_node=False)
    readable = inside or not private
    eligible = place.minimum_tier is None or tier == place.minimum_tier
    stranger = role is None
    # One of them is no viewer, so that there is always something inside to be seen or not.
    members = 1 + sum(other in INSIDE for other in place.roles)
    listed = not place.archived and (public or inside)
    recommended = public and not place.archived and stranger and eligible
    comes_in = role == "INVITED" or (stranger and not private and place.join_policy != "INVITE")
    return Sight(
        exists=True,
        has_node=True,
        role=None if role == "BANNED" else role,
        may_join=comes_in and eligible and not place.archived,
        counted=members,
        members=members if readable else 0,
        events=1 if readable else 0,
        sees_event=readable,
        in_list=listed,
        in_list_by_tag=listed,
        is_mine=inside,
        is_recommended=recommended,
        is_recommended_by_tag=recommended,
        invites=role == "INVITED" and not place.archived,
    )


PUT_TAG = "MERGE (t:Tag {key: $tag}) SET t.name_zh = $tag, t.name_en = $tag, t.family = 'INTEREST'"
DRESS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.id}), (t:Tag {key: $tag})
SET c.archived_at = row.archived_at, c.minimum_tier = row.minimum_tier
CREATE (c)-[:ABOUT]->(t)
"""
RECOMMEND = """
UNWIND $viewers AS viewer
MERGE (l:RecommendationList {customer_id: viewer})
SET l.community_ids = $ids, l.scores = $scores, l.reasons = $reasons
"""
TIERS = "UNWIND $rows AS row MATCH (x:Customer {id: row.id}) SET x.tier = row.tier"

LOOK = """
query($community: ID!, $event: ID!, $tag: String!, $before: String!) {
  community(id: $community) {
    viewerRole viewerMayJoin memberCount
    members(first: 50) { edges { node { id } } pageInfo { hasNextPage endCursor } }
    events(first: 50) { edges { node { id } } pageInfo { hasNextPage endCursor } }
  }
  node(id: $community) { id }
  event: node(id: $event) { id }
  event2: event(id: $event) { id }
  communities(first: 1, after: $before) { edges { node { id } } }
  byTag: communities(tag: $tag, first: 50) { edges { node { id } } }
  viewer {
    communities(first: 1, after: $before) { edges { node { id } } }
    invitations(first: 50) { edges { node { id } } }
    recommendedCommunities(first: 50) { edges { node { id } } }
    byTag: recommendedCommunities(tag: $tag, first: 50) { edges { node { id } } }
  }
}
"""


async def look(caller: Caller, community_id: str, event_id: str, tag: str) -> Sight:
    """What every way of looking shows of the community."""
    community = global_id("Community", community_id)
    found = await caller.ask(
        LOOK,
        community=community,
        event=global_id("Event", event_id),
        tag=tag,
        # Pages begin after the id before this one, so that they hold it whatever else there is.
        before=encode_cursor([community_id[:-1]]),
    )

    def shows(connection: dict[str, Any]) -> bool:
        return any(edge["node"]["id"] == community for edge in connection["edges"])

    row, viewer = found["community"], found["viewer"]
    if row:
        for name in ("members", "events"):
            # What is not shown does not tell of itself by a cursor either.
            assert row[name]["edges"] or not row[name]["pageInfo"]["endCursor"]
    assert (found["event"] is None) == (found["event2"] is None)
    return Sight(
        exists=row is not None,
        has_node=found["node"] is not None,
        role=row["viewerRole"] if row else None,
        may_join=bool(row and row["viewerMayJoin"]),
        counted=row["memberCount"] if row else 0,
        members=len(row["members"]["edges"]) if row else 0,
        events=len(row["events"]["edges"]) if row else 0,
        sees_event=found["event"] is not None,
        in_list=shows(found["communities"]),
        in_list_by_tag=shows(found["byTag"]),
        is_mine=shows(viewer["communities"]),
        is_recommended=shows(viewer["recommendedCommunities"]),
        is_recommended_by_tag=shows(viewer["byTag"]),
        invites=shows(viewer["invitations"]),
    )


async def build(graph: GraphClient, world: list[Place], viewers: list[str], tag: str) -> list[tuple[str, str]]:
    """The model's communities in the graph, each with an event; returns their ids."""
    await graph.write(PUT_TAG, tag=tag)
    (resident,) = await make_customers(graph, 1)
    ids: list[tuple[str, str]] = []
    for place in world:
        community = await make_community(
            graph, owner_id=resident, visibility=place.visibility, join_policy=place.join_policy
        )
        for viewer, role in zip(viewers, place.roles, strict=True):
            if role is not None:
                await add_member(graph, community, viewer, role)
        ids.append((community, await make_event(graph, community)))
    rows = [
        {"id": key, "archived_at": "2026-01-01" if place.archived else None, "minimum_tier": place.minimum_tier}
        for (key, _), place in zip(ids, world, strict=True)
    ]
    await graph.write(DRESS, rows=rows, tag=tag)
    reasons = [orjson.dumps([{"kind": "POPULAR"}]).decode()] * len(ids)
    scores = [1.0 - number / 10 for number in range(len(ids))]
    await graph.write(RECOMMEND, viewers=viewers, ids=[key for key, _ in ids], scores=scores, reasons=reasons)
    return ids


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    world=st.lists(places, min_size=1, max_size=3),
    tiers=st.tuples(*[st.sampled_from([None, "POTENTIAL", "VIP"])] * VIEWERS),
)
async def test_every_way_of_looking_shows_what_the_model_says(
    system: System, unique: str, world: list[Place], tiers: tuple[str | None, ...]
) -> None:
    """Given communities of any kind and viewers with any role; then each sees by every way what the model says."""
    names, tag = [f"v{number}-{unique}" for number in range(VIEWERS)], new_id()
    graph = system.edge.graph
    for name in names:
        if not await graph.read("MATCH (x:Customer {id: $id}) RETURN x.id AS id", id=local_of(name)):
            await system.customer(name)
    viewers = [local_of(name) for name in names]
    await graph.write(TIERS, rows=[{"id": key, "tier": tier} for key, tier in zip(viewers, tiers, strict=True)])
    ids = await build(graph, world, viewers, tag)
    for number, name in enumerate(names):
        caller = system.caller(name, "customer")
        for place, (community, event) in zip(world, ids, strict=True):
            seen = await look(caller, community, event, tag)
            assert seen == model(place, place.roles[number], tiers[number]), (place, number)
    stranger = system.caller(f"new-{unique}", "customer")
    for place, (community, event) in zip(world, ids, strict=True):
        seen, expected = await look(stranger, community, event, tag), model(place, None, None)
        # Somebody without a profile joins nothing, and is recommended what is popular or about the tag.
        assert (seen.exists, seen.has_node, seen.counted, seen.members, seen.events, seen.sees_event) == (
            expected.exists,
            expected.has_node,
            expected.counted,
            expected.members,
            expected.events,
            expected.sees_event,
        )
        assert (seen.in_list, seen.in_list_by_tag, seen.is_mine, seen.may_join) == (
            expected.in_list,
            expected.in_list_by_tag,
            False,
            False,
        )
        assert seen.is_recommended_by_tag <= expected.is_recommended_by_tag
