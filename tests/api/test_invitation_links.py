"""Invitation links: whoever has the code becomes a member, until it ends, is replaced or taken back."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community

pytestmark = pytest.mark.anyio

CREATE = """
mutation($id: ID!, $days: Int! = 7) {
  createInvitationLink(input: {communityId: $id, validDays: $days}) {
    ... on CreateInvitationLinkSuccess { code expiresAt community { id } } ... on Refusal { code path }
  }
}
"""
REVOKE = """
mutation($id: ID!) {
  revokeInvitationLink(input: {communityId: $id}) { __typename ... on Refusal { code path } }
}
"""
JOIN = """
mutation($id: ID!, $code: String) {
  joinCommunity(input: {communityId: $id, invitationCode: $code}) {
    ... on JoinCommunitySuccess { community { viewerRole memberCount } } ... on Refusal { code path }
  }
}
"""
PREVIEW = "query($code: String!) { invitation(code: $code) { communityId name memberCount } }"
TRAIL = "query($id: ID!) { community(id: $id) { auditTrail { edges { node { action details } } } } }"
EXPIRE = "MATCH (c:Community {id: $id}) SET c.invitation_expires_at = $past"


async def join(caller: Caller, here: str, code: str | None) -> Any:
    return (await caller.ask(JOIN, id=here, code=code))["joinCommunity"]


@pytest.mark.parametrize(
    ("visibility", "policy"), [("PRIVATE", "INVITE"), ("UNLISTED", "INVITE"), ("PUBLIC", "REQUEST"), ("PUBLIC", "OPEN")]
)
async def test_a_link_makes_members_until_it_is_replaced_or_taken_back(
    system: System, unique: str, visibility: str, policy: str
) -> None:
    owner, lin, wu, he = [await system.customer(f"{name}-{unique}") for name in ("owner", "lin", "wu", "he")]
    graph = system.edge.graph
    community = await make_community(
        graph, owner_id=local_of(f"owner-{unique}"), visibility=visibility, join_policy=policy
    )
    here = global_id("Community", community)
    first = (await owner.ask(CREATE, id=here))["createInvitationLink"]
    assert (await lin.ask(PREVIEW, code=first["code"]))["invitation"] == {
        "communityId": here,
        "name": "Photo club",
        "memberCount": 1,
    }
    assert (await join(lin, here, first["code"]))["community"] == {"viewerRole": "MEMBER", "memberCount": 2}
    assert (await join(lin, here, first["code"]))["community"]["memberCount"] == 2

    second = (await owner.ask(CREATE, id=here, days=1))["createInvitationLink"]
    assert await wu.ask(PREVIEW, code=first["code"]) == {"invitation": None}
    refused = "NOT_FOUND" if visibility == "PRIVATE" else "INVITATION_INVALID"
    assert (await join(wu, here, first["code"]))["code"] == refused
    assert (await join(wu, here, second["code"]))["community"]["viewerRole"] == "MEMBER"

    assert (await owner.ask(REVOKE, id=here))["revokeInvitationLink"]["__typename"] == "RevokeInvitationLinkSuccess"
    assert (await owner.ask(REVOKE, id=here))["revokeInvitationLink"]["code"] == "NOT_FOUND"
    assert (await join(he, here, second["code"]))["code"] == refused
    third = (await owner.ask(CREATE, id=here))["createInvitationLink"]
    await graph.write(EXPIRE, id=community, past=iso(utc_now() - timedelta(seconds=1)))
    assert (await join(he, here, third["code"]))["code"] == refused
    assert await he.ask(PREVIEW, code=third["code"]) == {"invitation": None}

    await system.work()
    entries = (await owner.ask(TRAIL, id=here))["community"]["auditTrail"]["edges"]
    told = [edge["node"]["action"] for edge in reversed(entries)]
    created, revoked = "INVITATION_LINK_CREATED", "INVITATION_LINK_REVOKED"
    assert told == [created, created, revoked, created]
    assert not any(link["code"] in str(entries) for link in (first, second, third)), "no trail tells a code"


async def test_a_link_does_not_let_in_who_may_not_come(system: System, unique: str) -> None:
    """Given a link, then the banned and those of too low a tier stay outside, and an archived community is closed."""
    owner, banned, low = [await system.customer(f"{name}-{unique}") for name in ("owner", "banned", "low")]
    graph = system.edge.graph
    for visibility, told in (("PUBLIC", "BANNED"), ("PRIVATE", "NOT_FOUND")):
        community = await make_community(graph, owner_id=local_of(f"owner-{unique}"), visibility=visibility)
        await graph.write("MATCH (c:Community {id: $id}) SET c.minimum_tier = 'VIP'", id=community)
        await add_member(graph, community, local_of(f"banned-{unique}"), MemberRole.BANNED)
        here = global_id("Community", community)
        code = (await owner.ask(CREATE, id=here))["createInvitationLink"]["code"]
        assert (await join(banned, here, code))["code"] == told
        assert (await join(low, here, code))["code"] == "NOT_ELIGIBLE"
        await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = $now", id=community, now=iso(utc_now()))
        assert (await join(low, here, code))["code"] == "COMMUNITY_ARCHIVED"
        assert await low.ask(PREVIEW, code=code) == {"invitation": None}


async def test_only_managers_make_links(system: System, unique: str) -> None:
    people = {role: await system.customer(f"{role.lower()}-{unique}") for role in MemberRole}
    outsider = await system.customer(f"outsider-{unique}")
    graph = system.edge.graph
    community = await make_community(graph, visibility="PRIVATE")
    for role in MemberRole:
        await add_member(graph, community, local_of(f"{role.lower()}-{unique}"), role)
    here, nowhere = global_id("Community", community), global_id("Community", new_id())
    before = await state(system)
    others = [caller for role, caller in people.items() if role not in (MemberRole.OWNER, MemberRole.MANAGER)]
    for caller in (*others, outsider):
        for document in (CREATE, REVOKE):
            assert await caller.ask(document, id=here) == await caller.ask(document, id=nowhere)
    for code in ("", "x", "字", "A" * 43, "A" * 10_000):
        assert await outsider.ask(PREVIEW, code=code) == {"invitation": None}
    error = await people[MemberRole.OWNER].fail(CREATE, id=here, days=91)
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("VALID_DAYS_INVALID", ["validDays"])
    assert await state(system) == before
    for role in (MemberRole.OWNER, MemberRole.MANAGER):
        assert (await people[role].ask(CREATE, id=here))["createInvitationLink"]["code"]
