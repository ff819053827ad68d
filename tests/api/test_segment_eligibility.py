"""Communities, events and rewards for a segment: who is in it now may, and nobody else."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_customer_tags import TAG, UNTAG, make_tags
from tests.api.test_segments import ARCHIVE, CREATE
from tests.api.test_way_through import local_of
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

FOUND = """
mutation($s: ID, $policy: JoinPolicy! = OPEN) {
  createCommunity(input: {nameZh: "社", nameEn: "Club", segmentId: $s, joinPolicy: $policy}) {
    ... on CreateCommunitySuccess { community { id segmentId } } ... on Refusal { code path }
  }
}
"""
CHANGE = """
mutation($id: ID!, $s: ID) {
  updateCommunity(input: {communityId: $id, segmentId: $s}) {
    ... on UpdateCommunitySuccess { community { segmentId } } ... on Refusal { code path }
  }
}
"""
JOIN = """
mutation($id: ID!) {
  joinCommunity(input: {communityId: $id}) {
    __typename ... on JoinCommunitySuccess { community { viewerRole segmentId } } ... on Refusal { code }
  }
}
"""
APPROVE = """
mutation($id: ID!, $who: ID!) {
  approveMember(input: {communityId: $id, customerId: $who}) { __typename ... on Refusal { code } }
}
"""
MAY_JOIN = "query($id: ID!) { community(id: $id) { viewerMayJoin } }"
EVENT = """
mutation($id: ID!, $s: ID, $from: DateTime!, $until: DateTime!) {
  createEvent(input: {communityId: $id, titleZh: "活动", titleEn: "Event", startsAt: $from, endsAt: $until,
    segmentId: $s, guestsAllowed: 2}) {
    ... on CreateEventSuccess { event { id segmentId } } ... on Refusal { code }
  }
}
"""
REGISTER = """
mutation($id: ID!, $guests: Int) {
  registerForEvent(input: {eventId: $id, guests: $guests}) { __typename ... on Refusal { code } }
}
"""
REWARD = """
mutation($s: ID) {
  createReward(input: {nameZh: "礼", nameEn: "Gift", price: 1, segmentId: $s}) {
    ... on CreateRewardSuccess { reward { id segmentId } } ... on Refusal { code }
  }
}
"""
NO_SEGMENT = """
mutation($id: ID!, $s: ID) {
  updateReward(input: {rewardId: $id, segmentId: $s}) {
    ... on UpdateRewardSuccess { reward { segmentId } } ... on Refusal { code }
  }
}
"""
REDEEM = """
mutation($id: ID!, $key: String!) {
  redeemReward(input: {rewardId: $id, idempotencyKey: $key}) { __typename ... on Refusal { code } }
}
"""
LOOK = "query($id: ID!) { reward(id: $id) { segmentId eligibility { obstacles { code } } } }"
ON_OFFER = "{ rewards(first: 100) { edges { node { id } } } }"


async def circle(system: System, unique: str) -> tuple[str, str]:
    """A tag, and a segment of those who carry it."""
    (tag,) = await make_tags(system, unique, "tea", family="INTEREST")
    made = await system.caller("he", "administrator").ask(CREATE, c={"tag": tag})
    return tag, made["createSegment"]["segment"]["id"]


async def tag(system: System, name: str, key: str, document: str = TAG) -> None:
    await system.caller("he", "administrator").ask(document, id=global_id("Customer", local_of(name)), tag=key)


def code_of(answer: dict[str, Any], success: str) -> str:
    (found,) = answer.values()
    return "SUCCESS" if found["__typename"] == success else found["code"]


async def test_a_community_and_its_event_are_for_who_is_in_the_segment_now(system: System, unique: str) -> None:
    """Given a community and an event for a segment; then a customer joins and registers while in it, and not before
    or after; who has a seat keeps it, and brings no more guests."""
    key, segment = await circle(system, unique)
    owner, lin = await system.customer(f"o-{unique}"), await system.customer(f"lin-{unique}")
    made = (await owner.ask(FOUND, s=segment))["createCommunity"]["community"]
    assert made["segmentId"] == segment
    times = {"from": iso(utc_now() + timedelta(days=1)), "until": iso(utc_now() + timedelta(days=1, hours=2))}
    event = (await owner.ask(EVENT, id=made["id"], s=segment, **times))["createEvent"]["event"]
    assert event["segmentId"] == segment

    async def tries() -> tuple[bool, str, str]:
        may = (await lin.ask(MAY_JOIN, id=made["id"]))["community"]["viewerMayJoin"]
        joined = code_of(await lin.ask(JOIN, id=made["id"]), "JoinCommunitySuccess")
        return may, joined, code_of(await lin.ask(REGISTER, id=event["id"]), "RegisterForEventSuccess")

    assert await tries() == (False, "NOT_ELIGIBLE", "NOT_ELIGIBLE")
    await tag(system, f"lin-{unique}", key)
    before = system.edge.database.statements
    assert await tries() == (True, "SUCCESS", "SUCCESS")
    # What a segment costs, three times: the segment, the words, the question.
    assert system.edge.database.statements - before == 3 + 3 * 3
    assert (await lin.ask(JOIN, id=made["id"]))["joinCommunity"]["community"]["segmentId"] is None
    await tag(system, f"lin-{unique}", key, UNTAG)
    more = code_of(await lin.ask(REGISTER, id=event["id"], guests=1), "RegisterForEventSuccess")
    same = code_of(await lin.ask(REGISTER, id=event["id"], guests=0), "RegisterForEventSuccess")
    assert (more, same) == ("NOT_ELIGIBLE", "SUCCESS")
    # Archived, a segment goes on for what names it; taken away, it is asked no more.
    await system.caller("he", "administrator").ask(ARCHIVE, id=segment)
    mei = await system.customer(f"mei-{unique}")
    assert code_of(await mei.ask(JOIN, id=made["id"]), "JoinCommunitySuccess") == "NOT_ELIGIBLE"
    assert (await owner.ask(CHANGE, id=made["id"], s=None))["updateCommunity"]["community"]["segmentId"] is None
    assert code_of(await mei.ask(JOIN, id=made["id"]), "JoinCommunitySuccess") == "SUCCESS"


async def test_a_request_is_filed_and_approved_while_in_the_segment(system: System, unique: str) -> None:
    key, segment = await circle(system, unique)
    owner, lin = await system.customer(f"o-{unique}"), await system.customer(f"lin-{unique}")
    made = (await owner.ask(FOUND, s=segment, policy="REQUEST"))["createCommunity"]["community"]
    who = global_id("Customer", local_of(f"lin-{unique}"))
    assert code_of(await lin.ask(JOIN, id=made["id"]), "JoinCommunitySuccess") == "NOT_ELIGIBLE"
    await tag(system, f"lin-{unique}", key)
    assert (await lin.ask(JOIN, id=made["id"]))["joinCommunity"]["community"]["viewerRole"] == "PENDING"
    for document, expected in ((UNTAG, "NOT_ELIGIBLE"), (TAG, "SUCCESS")):
        await tag(system, f"lin-{unique}", key, document)
        assert code_of(await owner.ask(APPROVE, id=made["id"], who=who), "ApproveMemberSuccess") == expected


async def test_a_reward_is_on_offer_to_who_is_in_the_segment_now(system: System, unique: str) -> None:
    """Given a reward for a segment; then it is seen and redeemed by who is in it alone."""
    key, segment = await circle(system, unique)
    admin, lin = system.caller("he", "administrator"), await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 10)
    gift = (await admin.ask(REWARD, s=segment))["createReward"]["reward"]
    assert gift["segmentId"] == segment

    async def tries(number: int) -> tuple[bool, list[str], str]:
        listed = [edge["node"]["id"] for edge in (await lin.ask(ON_OFFER))["rewards"]["edges"]]
        seen = (await lin.ask(LOOK, id=gift["id"]))["reward"]
        assert seen["segmentId"] is None
        redeemed = code_of(await lin.ask(REDEEM, id=gift["id"], key=f"{number}-{unique}"), "RedeemRewardSuccess")
        return gift["id"] in listed, [one["code"] for one in seen["eligibility"]["obstacles"]], redeemed

    assert await tries(1) == (False, ["NOT_IN_SEGMENT"], "NOT_ELIGIBLE")
    await tag(system, f"lin-{unique}", key)
    assert await tries(2) == (True, [], "SUCCESS")
    await tag(system, f"lin-{unique}", key, UNTAG)
    assert (await admin.ask(NO_SEGMENT, id=gift["id"], s=None))["updateReward"]["reward"]["segmentId"] is None
    assert await tries(3) == (True, [], "SUCCESS")


async def test_what_is_named_is_a_segment_that_stands(system: System, unique: str) -> None:
    """Given a segment that is archived, one that never was, and an id of something else; then none can be named."""
    _, segment = await circle(system, unique)
    admin, owner = system.caller("he", "administrator"), await system.customer(f"o-{unique}")
    made = (await owner.ask(FOUND))["createCommunity"]["community"]
    gift = (await admin.ask(REWARD))["createReward"]["reward"]
    await admin.ask(ARCHIVE, id=segment)
    times = {"from": iso(utc_now() + timedelta(days=1)), "until": iso(utc_now() + timedelta(days=1, hours=2))}

    async def reasons(named: str) -> set[str]:
        asked: list[tuple[Caller, str, dict[str, Any]]] = [
            (owner, FOUND, {}),
            (owner, CHANGE, {"id": made["id"]}),
            (owner, EVENT, {"id": made["id"], **times}),
            (admin, REWARD, {}),
            (admin, NO_SEGMENT, {"id": gift["id"]}),
        ]
        errors = [await caller.fail(document, s=named, **more) for caller, document, more in asked]
        return {error["extensions"]["reason"] for error in errors}

    assert await reasons(segment) == await reasons(global_id("Segment", new_id())) == {"SEGMENT_UNKNOWN"}
    assert await reasons(made["id"]) == {"ID_INVALID"}
