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
from tests.api.test_invitation_links import CREATE as LINK
from tests.api.test_invitation_links import REVOKE as UNLINK
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


# Round trips to the graph and statements to SQL of each.
COSTS = {
    "createCommunity": (6, 1),
    "updateCommunity": (4, 1),
    "joinCommunity": (3, 1),
    "leaveCommunity": (3, 1),
    # What asks, invites or gives an office counts under the lock; what is audited or told is owed. Whoever asks, is
    # invited or banned has a place in a list, which is given and taken by a statement of its own.
    "joinCommunity (a request)": (7, 1),
    "approveMember": (6, 1),
    "updateMembershipRole": (6, 1),
    "removeMember": (5, 1),
    "inviteMember": (7, 1),
    "acceptInvitation": (4, 1),
    "banMember": (6, 1),
    "unbanMember": (6, 1),
    "rejectMember": (6, 1),
    "declineInvitation": (4, 1),
    "createInvitationLink": (4, 1),
    "revokeInvitationLink": (4, 1),
    "archiveCommunity": (4, 1),
}


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
    # The list with its rows, tags, members, officers, three kinds of guests by their places; the trail is one of SQL.
    assert many == few == [(10, 2), (2, 1), (2, 1)]


async def test_the_cost_of_each_act(system: System, unique: str) -> None:
    """Given fresh things, then each act takes this many round trips to the graph and statements to SQL."""
    owner, wu, he = [await system.customer(f"{name}-{unique}") for name in ("lin", "wu", "he")]
    graph = system.edge.graph
    open_one = await make_community(graph, owner_id=local_of(f"lin-{unique}"))
    closed = await make_community(graph, owner_id=local_of(f"lin-{unique}"), join_policy="REQUEST")
    here, there = ({"community": global_id("Community", key)} for key in (open_one, closed))
    on_wu = {**there, "customer": global_id("Customer", local_of(f"wu-{unique}"))}
    on_he = {**there, "customer": global_id("Customer", local_of(f"he-{unique}"))}
    renamed = {"communityId": here["community"], "nameEn": "Club"}
    costs = {
        "createCommunity": await cost(system, owner, CREATE, input={"nameZh": "社", "nameEn": "Club"}),
        "updateCommunity": await cost(system, owner, UPDATE, input=renamed),
        "joinCommunity": await cost(system, wu, JOIN, **here),
        "leaveCommunity": await cost(system, wu, LEAVE, **here),
        "joinCommunity (a request)": await cost(system, wu, JOIN, **there),
        "approveMember": await cost(system, owner, APPROVE, **on_wu),
        "updateMembershipRole": await cost(system, owner, PROMOTE, **on_wu),
        "removeMember": await cost(system, owner, REMOVE, **on_wu),
        "inviteMember": await cost(system, owner, INVITE, **on_he),
        "acceptInvitation": await cost(system, he, ACCEPT, **there),
        "banMember": await cost(system, owner, BAN, **on_he),
        "unbanMember": await cost(system, owner, UNBAN, **on_he),
    }
    await he.ask(JOIN, **there)
    costs["rejectMember"] = await cost(system, owner, REJECT, **on_he)
    await owner.ask(INVITE, **on_he)
    costs["declineInvitation"] = await cost(system, he, DECLINE, **there)
    costs["createInvitationLink"] = await cost(system, owner, LINK, id=there["community"])
    costs["revokeInvitationLink"] = await cost(system, owner, UNLINK, id=there["community"])
    costs["archiveCommunity"] = await cost(system, owner, ARCHIVE, **there)
    assert costs == COSTS
