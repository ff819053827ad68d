"""Reading ahead: it changes how often the stores are asked and nothing else."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from api.context import Context
from api.relay import global_id, local_id
from community.access import MemberRole
from core.clock import utc_now
from core.coalescing import Coalesced
from core.ids import new_id
from core.paging import encode_cursor
from core.principal import Principal, Role
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


PAIR = """
query($one: ID!, $other: ID!) {
  one: community(id: $one) { events { edges { node { title } } } members { edges { role } } }
  other: community(id: $other) { events { edges { node { title } } } members { edges { role } } }
}
"""


async def test_one_that_is_out_of_sight_takes_nothing_from_another(system: System, unique: str) -> None:
    """Given a document that asks for two communities; when the viewer may see one of them; then that one is whole."""
    owner, viewer = f"owner-{unique}", f"viewer-{unique}"
    await system.customer(owner)
    caller = await system.customer(viewer)
    public, private = [await make_inside(system, owner, visibility) for visibility in ("PUBLIC", "PRIVATE")]
    for hidden in (private, global_id("Community", new_id())):
        for one, other in ((public, hidden), (hidden, public)):
            found = await caller.ask(PAIR, one=one, other=other)
            seen, unseen = (found["one"], found["other"]) if one == public else (found["other"], found["one"])
            assert (len(seen["events"]["edges"]), len(seen["members"]["edges"]), unseen) == (1, 20, None)


async def test_a_cursor_far_beyond_the_end_is_the_end(system: System, unique: str) -> None:
    caller = await system.customer(f"owner-{unique}")
    community = await make_inside(system, f"owner-{unique}", "PUBLIC")
    document = (
        "query($id: ID!, $c: String) { community(id: $id) { members(last: 3, before: $c) { edges { cursor } } } }"
    )
    before = system.edge.graph.statements
    last = await caller.ask(document, id=community)
    assert await caller.ask(document, id=community, c=encode_cursor((2**62,))) == last
    assert system.edge.graph.statements - before <= 6


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


async def test_who_asks_while_another_leaves_is_answered(system: System, unique: str) -> None:
    """Given a field that is cancelled while it looks up who asks; when another asks meanwhile, and two ask together of
    whom one is cancelled; then whoever stays is told, by one look."""
    looks: list[Sequence[str]] = []

    async def slow(subjects: Sequence[str]) -> dict[str, str]:
        looks.append(subjects)
        await asyncio.sleep(0.05)
        return dict.fromkeys(subjects, "lin")

    bearer = Principal(subject=unique, roles=frozenset({Role.CUSTOMER}), scopes=frozenset(), expires_at=0)
    edge = replace(system.edge, identities=Coalesced(slow))
    context = Context(edge=edge, bearer=bearer, language="en", now=utc_now(), request_id=unique)
    leaving = asyncio.create_task(context.principal())
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0)
    staying = [asyncio.create_task(context.principal()) for _ in range(2)]
    await asyncio.sleep(0.01)
    staying.pop().cancel()
    assert (await staying[0]).customer_id == "lin"
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert looks == [[unique]]
