"""Governing a community over HTTP: a whole walk, its denials, and its audit trail."""

import asyncio
import base64
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
from tests.community.places import add_member, make_community, make_customers

pytestmark = pytest.mark.anyio

CREATE = """
mutation($input: CreateCommunityInput!) {
  createCommunity(input: $input) {
    __typename
    ... on CreateCommunitySuccess { community { id name viewerRole memberCount minimumTier tags { key } } }
    ... on Refusal { code path }
  }
}
"""
UPDATE = """
mutation($input: UpdateCommunityInput!) {
  updateCommunity(input: $input) {
    __typename
    ... on UpdateCommunitySuccess { community { name purpose visibility minimumTier } }
    ... on Refusal { code path }
  }
}
"""
TRAIL = """
query($id: ID!, $first: Int, $after: String) {
  community(id: $id) { auditTrail(first: $first, after: $after) {
    edges { node { action subjectId reason actor { id } } } pageInfo { hasNextPage endCursor }
  } }
}
"""
SEEN = """
query($id: ID!) {
  community(id: $id) {
    viewerRole viewerMayJoin viewerMayManage memberCount
    members(first: 10) { edges { node { displayName } role } }
    events(first: 10) { edges { node { id } } pageInfo { endCursor } }
    pendingMembers { edges { node { id } message } }
    invitedMembers { edges { node { id } invitedBy { id } } }
    bannedMembers { edges { node { id } reason until bannedBy { id } } }
    auditTrail { edges { node { action } } }
  }
}
"""
NOTICES = "MATCH (o:Owed) WHERE o.payload CONTAINS $id RETURN count(o) AS owed"


def on_community(name: str) -> str:
    """The document of a mutation that names a community only."""
    return f"""
    mutation($community: ID!) {{
      {name}(input: {{communityId: $community}}) {{ __typename ... on Refusal {{ code path }} }}
    }}
    """


def on_customer(name: str, more: str = "") -> str:
    """The document of a mutation that names a community and a customer."""
    return f"""
    mutation($community: ID!, $customer: ID!) {{
      {name}(input: {{communityId: $community, customerId: $customer{more}}}) {{
        __typename
        ... on {name[0].upper() + name[1:]}Success {{ community {{ memberCount }} customer {{ id }} }}
        ... on Refusal {{ code path }}
      }}
    }}
    """


JOIN, LEAVE = on_community("joinCommunity"), on_community("leaveCommunity")
ACCEPT, DECLINE = on_community("acceptInvitation"), on_community("declineInvitation")
ARCHIVE = on_community("archiveCommunity")
APPROVE, REJECT = on_customer("approveMember"), on_customer("rejectMember", ', reason: "Not now"')
INVITE = on_customer("inviteMember")
PROMOTE = on_customer("updateMembershipRole", ", role: MODERATOR")
REMOVE = on_customer("removeMember", ', reason: "Away"')
BAN, UNBAN = on_customer("banMember", ', reason: "Rude"'), on_customer("unbanMember")
MINE = (JOIN, LEAVE, ACCEPT, DECLINE, ARCHIVE)
ACTS = (APPROVE, REJECT, INVITE, PROMOTE, REMOVE, BAN, UNBAN)


def only(answer: dict[str, Any]) -> Any:
    """The answer of the one mutation in a document."""
    return next(iter(answer.values()))


async def done(caller: Caller, document: str, **variables: Any) -> Any:
    answer = only(await caller.ask(document, **variables))
    assert answer["__typename"].endswith("Success"), answer
    return answer


async def code(caller: Caller, document: str, **variables: Any) -> str:
    return only(await caller.ask(document, **variables))["code"]


async def test_a_community_from_its_founding_to_its_end(system: System, unique: str) -> None:
    """Given an owner and customers; when they ask, are invited, promoted, removed and banned; then all is told."""
    lin, wu, he, zhao = [await system.customer(f"{name}-{unique}") for name in ("lin", "wu", "he", "zhao")]
    ids = {name: global_id("Customer", local_of(f"{name}-{unique}")) for name in ("lin", "wu", "he", "zhao")}
    names = {"nameZh": "摄影社", "nameEn": "Photo club", "joinPolicy": "REQUEST"}
    made = (await done(lin, CREATE, input=names))["community"]
    assert (made["name"], made["viewerRole"], made["memberCount"]) == ("Photo club", "OWNER", 1)
    here = {"community": made["id"]}

    await done(wu, JOIN, **here)
    assert (await wu.ask(SEEN, id=made["id"]))["community"]["viewerRole"] == "PENDING"
    approved = await done(lin, APPROVE, **here, customer=ids["wu"])
    assert approved["community"]["memberCount"] == 2
    assert approved["customer"]["id"] == ids["wu"]
    await done(lin, PROMOTE, **here, customer=ids["wu"])
    await done(lin, INVITE, **here, customer=ids["he"])
    invited = "{ viewer { invitations { edges { node { id viewerMayJoin } invitedBy { id } since } } } }"
    (edge,) = (await he.ask(invited))["viewer"]["invitations"]["edges"]
    assert (edge["node"], edge["invitedBy"]) == ({"id": made["id"], "viewerMayJoin": True}, {"id": ids["lin"]})
    await done(he, ACCEPT, **here)
    assert (await he.ask(invited))["viewer"]["invitations"]["edges"] == []
    await done(wu, BAN, **here, customer=ids["zhao"])
    assert await code(zhao, JOIN, **here) == "BANNED"
    await done(wu, REMOVE, **here, customer=ids["he"])
    changed = await done(lin, UPDATE, input={"communityId": made["id"], "purposeEn": "Pictures", "minimumTier": "VIP"})
    assert changed["community"] == {
        "name": "Photo club",
        "purpose": "Pictures",
        "visibility": "PUBLIC",
        "minimumTier": "VIP",
    }
    assert await code(he, JOIN, **here) == "NOT_ELIGIBLE"
    await done(lin, UNBAN, **here, customer=ids["zhao"])
    await done(wu, LEAVE, **here)
    assert await code(lin, LEAVE, **here) == "LAST_OWNER"
    await done(lin, ARCHIVE, **here)
    await system.work()
    await system.work()

    entries: list[dict[str, Any]] = []
    after, more = None, True
    while more:
        page = (await lin.ask(TRAIL, id=made["id"], first=4, after=after))["community"]["auditTrail"]
        entries += [edge["node"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    told = [(entry["action"], entry["actor"]["id"], entry["subjectId"]) for entry in reversed(entries)]
    community = made["id"]
    assert told == [
        ("CREATED", ids["lin"], community),
        ("APPROVED", ids["lin"], ids["wu"]),
        ("ROLE_CHANGED", ids["lin"], ids["wu"]),
        ("INVITED", ids["lin"], ids["he"]),
        ("BANNED", ids["wu"], ids["zhao"]),
        ("REMOVED", ids["wu"], ids["he"]),
        ("UPDATED", ids["lin"], community),
        ("UNBANNED", ids["lin"], ids["zhao"]),
        ("RESIGNED", ids["wu"], ids["wu"]),
        ("ARCHIVED", ids["lin"], community),
    ]
    assert [entry["reason"] for entry in entries if entry["reason"]] == ["Away", "Rude"]
    admin = system.caller("admin", "administrator")
    seen = (await admin.ask(TRAIL, id=made["id"], first=100))["community"]["auditTrail"]
    assert [edge["node"]["action"] for edge in seen["edges"]] == [entry["action"] for entry in entries]
    for other in (wu, he, zhao):
        assert (await other.ask(TRAIL, id=made["id"]))["community"] == {"auditTrail": None}
    assert (await system.edge.graph.read(NOTICES, id=local_of(f"lin-{unique}")))[0]["owed"] == 0


async def test_for_who_does_not_manage_a_community_it_is_as_if_it_were_absent(system: System, unique: str) -> None:
    """Given a private community, when an outsider tries each act, then it is as with none, and nothing has changed."""
    outsider, member = await system.customer(f"o-{unique}"), await system.customer(f"m-{unique}")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=(await make_customers(graph, 1))[0], visibility="PRIVATE")
    target, pending = await make_customers(graph, 2)
    await add_member(graph, community, target, MemberRole.MEMBER)
    await add_member(graph, community, pending, MemberRole.PENDING)
    await add_member(graph, community, local_of(f"m-{unique}"), MemberRole.MEMBER)
    here, nowhere = ({"community": global_id("Community", local)} for local in (community, new_id()))
    before = await state(system)
    for document in MINE:
        assert await outsider.ask(document, **here) == await outsider.ask(document, **nowhere)
        assert await code(outsider, document, **here) == "NOT_FOUND"
    for customer in (target, pending):
        on = {"customer": global_id("Customer", customer)}
        for document in ACTS:
            assert await outsider.ask(document, **here, **on) == await outsider.ask(document, **nowhere, **on)
            assert await code(member, document, **here, **on) == "NOT_FOUND"
    for caller in (outsider, member):
        change = {"communityId": here["community"], "nameEn": "Other"}
        assert await code(caller, UPDATE, input=change) == "NOT_FOUND"
    assert (await outsider.ask(SEEN, id=here["community"])) == {"community": None}
    assert await code(member, ARCHIVE, **here) == "NOT_FOUND"
    assert await state(system) == before


async def test_acts_need_a_sign_in_and_a_profile(system: System, unique: str) -> None:
    before = await state(system)
    here = {"community": global_id("Community", new_id()), "customer": global_id("Customer", new_id())}
    documents = [(document, {"community": here["community"]}) for document in MINE]
    documents += [(document, here) for document in ACTS]
    documents.append((CREATE, {"input": {"nameZh": "社", "nameEn": "Club"}}))  # pyright: ignore[reportArgumentType]
    documents.append((UPDATE, {"input": {"communityId": here["community"]}}))  # pyright: ignore[reportArgumentType]
    stranger = system.caller(f"new-{unique}", "customer")
    for document, variables in documents:
        error = await system.caller(None).fail(document, **variables)
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert await code(stranger, document, **variables) == "NOT_SIGNED_UP"
    assert await state(system) == before


async def test_lists_of_people_are_for_those_whom_they_concern(system: System, unique: str) -> None:
    """Given every role in a private and a public community; then each sees what the role allows."""
    graph = system.edge.graph
    callers = {role: await system.customer(f"{role.lower()}-{unique}") for role in MemberRole}
    outsider = await system.customer(f"outsider-{unique}")
    for visibility in ("PRIVATE", "PUBLIC"):
        community = await make_community(graph, visibility=visibility, join_policy="REQUEST")
        for role in MemberRole:
            await add_member(graph, community, local_of(f"{role.lower()}-{unique}"), role)
        here = global_id("Community", community)
        seen = {role: (await caller.ask(SEEN, id=here))["community"] for role, caller in callers.items()}
        managers = {MemberRole.OWNER, MemberRole.MANAGER}
        for role, row in seen.items():
            inside = role not in ("PENDING", "INVITED", "BANNED")
            if visibility == "PRIVATE" and not inside and role != "INVITED":
                assert row is None
                continue
            assert row["viewerRole"] == (None if role == "BANNED" else role)
            assert row["viewerMayManage"] == (role in managers)
            assert row["viewerMayJoin"] == (role == "INVITED")
            assert len(row["members"]["edges"]) == (5 if inside or visibility == "PUBLIC" else 0)
            assert row["memberCount"] == 5
            for name in ("pendingMembers", "invitedMembers", "bannedMembers"):
                allowed = {*managers, MemberRole.MODERATOR} if name == "bannedMembers" else managers
                assert (row[name] is not None) == (role in allowed), (role, name)
                assert row[name] is None or len(row[name]["edges"]) == 1
            assert (row["auditTrail"] is not None) == (role == "OWNER")
        row = (await outsider.ask(SEEN, id=here))["community"]
        assert row is None if visibility == "PRIVATE" else row["viewerMayJoin"]


@pytest.mark.parametrize(
    ("change", "reason", "path"),
    [
        ({"nameEn": " "}, "COMMUNITY_INVALID", "nameEn"),
        ({"tags": ["no-such-tag"]}, "COMMUNITY_INVALID", "tags"),
        ({"rulesZh": "字" * 5001}, "COMMUNITY_INVALID", "rulesZh"),
    ],
)
async def test_bad_input_has_its_code_and_path(
    system: System, unique: str, change: dict[str, Any], reason: str, path: str
) -> None:
    lin = await system.customer(f"lin-{unique}")
    before = await state(system)
    error = await lin.fail(CREATE, input={"nameZh": "社", "nameEn": "Club", **change})
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == (reason, [path])
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    ban = """
    mutation($community: ID!, $customer: ID!, $until: DateTime) {
      banMember(input: {communityId: $community, customerId: $customer, reason: "Rude", until: $until}) { __typename }
    }
    """
    here = {"community": global_id("Community", new_id()), "customer": global_id("Customer", new_id())}
    error = await lin.fail(ban, **here, until=iso(utc_now() - timedelta(days=1)))
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("UNTIL_INVALID", ["until"])
    error = await lin.fail(APPROVE, community=here["community"], customer=here["community"])
    assert error["extensions"]["inputPath"] == ["input", "customerId"]
    assert await state(system) == before


async def test_a_ban_that_is_over_is_forgotten_by_the_worker(system: System, unique: str) -> None:
    """Given bans until a moment ahead and for ever, when it has passed, then one is gone and the trail says so."""
    lin = await system.customer(f"lin-{unique}")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(f"lin-{unique}"))
    here = global_id("Community", community)
    short, long = await make_customers(graph, 2)
    until = utc_now() + timedelta(seconds=3)
    ban = """
    mutation($community: ID!, $customer: ID!, $until: DateTime) {
      banMember(input: {communityId: $community, customerId: $customer, reason: "Rude", until: $until}) { __typename }
    }
    """
    await done(lin, ban, community=here, customer=global_id("Customer", short), until=iso(until))
    await done(lin, ban, community=here, customer=global_id("Customer", long))
    await system.work()
    await asyncio.sleep(max(0.0, (until - utc_now()).total_seconds()) + 0.1)
    for _ in range(2):
        await system.work()
    seen = (await lin.ask(SEEN, id=here))["community"]
    assert [edge["node"]["id"] for edge in seen["bannedMembers"]["edges"]] == [global_id("Customer", long)]
    assert [edge["node"]["action"] for edge in seen["auditTrail"]["edges"]].count("BAN_ENDED") == 1


async def test_the_banks_experts_are_named_by_administrators(system: System, unique: str) -> None:
    """Given a private community, then an administrator makes a member its expert, an owner does not, others cannot."""
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    admin, other = system.caller(f"a-{unique}", "administrator"), system.caller(f"r-{unique}", "relationship_manager")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(f"lin-{unique}"), visibility="PRIVATE")
    await add_member(graph, community, local_of(f"wu-{unique}"), MemberRole.MEMBER)
    here = {"community": global_id("Community", community), "customer": global_id("Customer", local_of(f"wu-{unique}"))}
    expert = on_customer("updateMembershipRole", ", role: EXPERT")
    assert await code(lin, expert, **here) == "OUTRANKED"
    assert await code(wu, expert, **here) == "NOT_FOUND"
    assert await code(other, expert, **here) == "NOT_SIGNED_UP"
    nowhere = {**here, "community": global_id("Community", new_id())}
    assert await code(admin, expert, **nowhere) == "NOT_FOUND"
    answer = only(await admin.ask(expert, **here))
    assert (answer["__typename"], answer["community"]) == ("UpdateMembershipRoleSuccess", None)
    seen = (await wu.ask(SEEN, id=here["community"]))["community"]
    assert seen["viewerRole"] == "EXPERT"


async def test_two_acts_of_one_document_are_two_entries_and_each_sees_the_one_before(
    system: System, unique: str
) -> None:
    """Given one document that changes the same thing twice, then the trail has both, and each answer is fresh."""
    lin = await system.customer(f"lin-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"lin-{unique}"))
    document = """
    mutation($id: ID!) {
      a: updateCommunity(input: {communityId: $id, purposeEn: "Pictures"}) { ...Purpose }
      b: updateCommunity(input: {communityId: $id, purposeEn: "Films", visibility: UNLISTED}) { ...Purpose }
    }
    fragment Purpose on UpdateCommunityResult { ... on UpdateCommunitySuccess { community { purpose visibility } } }
    """
    answer = await lin.ask(document, id=global_id("Community", community))
    assert [answer[name]["community"] for name in "ab"] == [
        {"purpose": "Pictures", "visibility": "PUBLIC"},
        {"purpose": "Films", "visibility": "UNLISTED"},
    ]
    await system.work()
    trail = (await lin.ask(TRAIL, id=global_id("Community", community), first=9))["community"]["auditTrail"]
    assert [edge["node"]["action"] for edge in trail["edges"]] == ["UPDATED", "UPDATED"]


CURSORS = ["[-1000000000000000000]", "[99999999999999999999]", '["x","y"]', '["2026-01-01","y"]', '["\\u0000","y"]']


@pytest.mark.parametrize("key", CURSORS)
async def test_a_cursor_that_somebody_made_up_is_refused(system: System, unique: str, key: str) -> None:
    """Given cursors of no list of ours, then every list says so, and none reads or fails."""
    lin = await system.customer(f"lin-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"lin-{unique}"))
    after = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    here = {"id": global_id("Community", community), "after": after}
    for field in ("members", "bannedMembers", "auditTrail", "posts"):
        document = (
            f"query($id: ID!, $after: String) {{ community(id: $id) {{ {field}(after: $after) {{ __typename }} }} }}"
        )
        await refuses_page(lin, document, **here)
    for field in ("notifications", "redemptions", "feed", "registrations"):
        document = f"query($after: String) {{ viewer {{ {field}(after: $after) {{ __typename }} }} }}"
        await refuses_page(lin, document, after=after)


async def refuses_page(caller: Caller, document: str, **variables: Any) -> None:
    """The cursor is refused, or belongs to a list that is paged by texts like it and is empty there."""
    answer = (await caller.post(document, variables)).json()
    codes = [error["extensions"]["reason"] for error in answer.get("errors", ())]
    assert codes in ([], ["PAGE_INVALID"]), (document, answer)
