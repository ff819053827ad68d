"""Store round trips of what concerns membership: counted, and the same however many rows there are."""

import pytest

from api.relay import global_id
from community.access import MemberRole
from tests.api.conftest import System
from tests.api.test_governance import (
    ACCEPT,
    APPROVE,
    ARCHIVE,
    BAN,
    CREATE,
    DECLINE,
    INVITE,
    JOIN,
    LEAVE,
    PROMOTE,
    REJECT,
    REMOVE,
    UNBAN,
    UPDATE,
)
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_customers

pytestmark = pytest.mark.anyio

MANAGED = """
{ viewer { communities(first: 50) { edges { node {
  name viewerMayJoin viewerMayManage tags { key }
  members(first: 10) { edges { node { displayName } } }
  officers: members(first: 10, roles: [OWNER, MANAGER]) { edges { node { displayName } } }
  pendingMembers { edges { node { displayName } message } }
  invitedMembers { edges { node { displayName } invitedBy { displayName } } }
  bannedMembers { edges { node { displayName } bannedBy { displayName } } }
  auditTrail { edges { node { action actor { displayName } } } }
} } } } }
"""
LISTED = "{ communities(first: 20) { edges { node { name viewerRole } } } }"
INVITATIONS = "{ viewer { invitations { edges { node { name } invitedBy { displayName } } } } }"


async def grow(system: System, owner_id: str) -> None:
    """One more community that the customer owns, with somebody in every role and an entry in its trail."""
    graph = system.edge.graph
    community = await make_community(graph, owner_id=owner_id, join_policy="REQUEST")
    for role, customer in zip(MemberRole, await make_customers(graph, len(MemberRole)), strict=True):
        await add_member(graph, community, customer, role)
    inviting = await make_community(graph, owner_id=(await make_customers(graph, 1))[0])
    await add_member(graph, inviting, owner_id, MemberRole.INVITED)


async def test_lists_cost_the_same_for_one_community_and_for_four(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    await grow(system, local_of(f"lin-{unique}"))
    few = [await cost(system, lin, document) for document in (MANAGED, LISTED, INVITATIONS)]
    for _ in range(3):
        await grow(system, local_of(f"lin-{unique}"))
    many = [await cost(system, lin, document) for document in (MANAGED, LISTED, INVITATIONS)]
    # The list, its rows, tags, members, officers, three kinds of guests; and the trail by one statement of SQL.
    assert many == few == [(8, 2), (2, 1), (2, 1)]


async def test_the_cost_of_each_act(system: System, unique: str) -> None:
    """Given fresh things, then each act takes this many round trips to the graph and statements to SQL."""
    owner, wu, he = [await system.customer(f"{name}-{unique}") for name in ("lin", "wu", "he")]
    graph = system.edge.graph
    open_one = await make_community(graph, owner_id=local_of(f"lin-{unique}"))
    closed = await make_community(graph, owner_id=local_of(f"lin-{unique}"), join_policy="REQUEST")
    here, there = ({"community": global_id("Community", key)} for key in (open_one, closed))
    on_wu = {**there, "customer": global_id("Customer", local_of(f"wu-{unique}"))}
    on_he = {**there, "customer": global_id("Customer", local_of(f"he-{unique}"))}
    costs = {
        "create": await cost(system, owner, CREATE, input={"nameZh": "社", "nameEn": "Club"}),
        "update": await cost(system, owner, UPDATE, input={"communityId": here["community"], "nameEn": "Club"}),
        "join": await cost(system, wu, JOIN, **here),
        "leave": await cost(system, wu, LEAVE, **here),
        "request": await cost(system, wu, JOIN, **there),
        "approve": await cost(system, owner, APPROVE, **on_wu),
        "promote": await cost(system, owner, PROMOTE, **on_wu),
        "remove": await cost(system, owner, REMOVE, **on_wu),
        "invite": await cost(system, owner, INVITE, **on_he),
        "accept": await cost(system, he, ACCEPT, **there),
        "ban": await cost(system, owner, BAN, **on_he),
        "unban": await cost(system, owner, UNBAN, **on_he),
    }
    await he.ask(JOIN, **there)
    costs["reject"] = await cost(system, owner, REJECT, **on_he)
    await owner.ask(INVITE, **on_he)
    costs["decline"] = await cost(system, he, DECLINE, **there)
    costs["archive"] = await cost(system, owner, ARCHIVE, **there)
    assert costs == {
        "create": (6, 1),
        "update": (4, 1),
        "join": (3, 1),
        "leave": (3, 1),
        # What asks, invites or gives an office counts under the lock; what is audited or told is owed.
        "request": (6, 1),
        "approve": (5, 1),
        "promote": (6, 1),
        "remove": (5, 1),
        "invite": (6, 1),
        "accept": (3, 1),
        "ban": (5, 1),
        "unban": (5, 1),
        "reject": (5, 1),
        "decline": (3, 1),
        "archive": (4, 1),
    }
