"""Reading ahead: it changes how often the stores are asked and nothing else."""

from typing import Any

import pytest

from api.relay import global_id, local_id
from community.access import MemberRole
from tests.api.conftest import System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers, make_event

pytestmark = pytest.mark.anyio

COMMUNITY = """
query($id: ID!, $cursor: String, $most: Int, $members: Boolean = true) { community(id: $id) {
  name tags { key }
  members(first: $most, after: $cursor) @include(if: $members) { edges { role node { displayName } } }
  officers: members(roles: [OWNER, MODERATOR]) { edges { role } }
  events(first: $most) { edges { node { title registeredCount community { name } } } }
} }
"""


async def make_inside(system: System, owner: str, visibility: str) -> str:
    """The global id of a community with members and an event."""
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(owner), visibility=visibility)
    for member in await make_customers(graph, 20):
        await add_member(graph, community, member, MemberRole.MEMBER)
    await make_event(graph, community)
    return global_id("Community", community)


async def test_whoever_may_not_see_is_shown_nothing_that_was_read_ahead(system: System, unique: str) -> None:
    """Given communities of each visibility; when an outsider, an invited one and a member ask; then each has what they
    may see and no more."""
    owner, outsider, invited = (f"{who}-{unique}" for who in ("owner", "outsider", "invited"))
    callers = {name: await system.customer(name) for name in (owner, outsider, invited)}
    seen: dict[tuple[str, str], Any] = {}
    for visibility in ("PUBLIC", "PRIVATE"):
        community = await make_inside(system, owner, visibility)
        local = local_id("Community", community, "id")
        await add_member(system.edge.graph, local, local_of(invited), MemberRole.INVITED)
        for name, caller in callers.items():
            found = (await caller.ask(COMMUNITY, id=community))["community"]
            counted = found and [len(found[part]["edges"]) for part in ("members", "officers", "events")]
            seen[visibility, name.split("-")[0]] = counted
    inside, outside = [20, 1, 1], [0, 0, 0]
    assert seen == {
        ("PUBLIC", "owner"): inside,
        ("PUBLIC", "outsider"): inside,
        ("PUBLIC", "invited"): inside,
        ("PRIVATE", "owner"): inside,
        ("PRIVATE", "outsider"): None,
        ("PRIVATE", "invited"): outside,
    }


async def test_wrong_arguments_are_told_by_their_own_field(system: System, unique: str) -> None:
    """Given arguments that a list refuses; when it is asked for; then its field says so, and of a community that
    is out of sight nothing is said."""
    caller = await system.customer(f"owner-{unique}")
    community = await make_inside(system, f"owner-{unique}", "PRIVATE")
    for wrong in ({"cursor": "none"}, {"most": 0}):
        answer = (await caller.post(COMMUNITY, {"id": community, **wrong})).json()
        places = sorted({error["path"][1] for error in answer["errors"]})
        assert places == ["members"]
    stranger = await system.customer(f"stranger-{unique}")
    assert await stranger.ask(COMMUNITY, id=community, cursor="none", most=0) == {"community": None}


async def test_what_is_not_asked_for_is_not_read(system: System, unique: str) -> None:
    """Given a document that leaves its members out by a variable; when it runs; then one statement fewer is sent."""
    caller = await system.customer(f"owner-{unique}")
    community = await make_inside(system, f"owner-{unique}", "PUBLIC")
    with_members = await cost(system, caller, COMMUNITY, id=community)
    without = await cost(system, caller, COMMUNITY, id=community, members=False)
    assert (with_members[0] - without[0], with_members[1] - without[1]) == (1, 0)
