"""Fraud through the API: what is held, why, who decides, and that nobody else sees or does anything."""

from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import CLAIM, CODE, FACTS, alias, local_of, make_program

pytestmark = pytest.mark.anyio

QUEUE = """
query($first: Int, $after: String) { rewardReviewQueue(first: $first, after: $after) {
  edges { node { reward { id status points } customer { id } referral { status } case { id status } } }
  pageInfo { hasNextPage endCursor }
} }
"""
CASES = "query($status: FraudCaseStatus) { fraudCases(status: $status, first: 100) { edges { node { id status } } } }"
CASE = """
query($id: ID!) { fraudCase(id: $id) {
  kind status score decidedBy reason
  members { id }
  signals { name weight exempted path { relationship customer { id } identifierKind sharedBy reference } }
  rewards { reward { id status reason } reviewedBy reviewReason case { id } }
} }
"""
REVIEW = """
mutation($id: ID!, $decision: ReviewDecision!, $reason: String!, $fraud: Boolean! = false) {
  reviewReferralReward(input: {rewardId: $id, decision: $decision, reason: $reason, referralIsFraud: $fraud}) {
    __typename
    ... on ReviewReferralRewardSuccess { held { reward { status reason } reviewedBy case { status } } }
    ... on Refusal { code path }
  }
}
"""
DECIDE = """
mutation($id: ID!, $decision: ReviewDecision!, $reason: String!) {
  decideFraudCase(input: {caseId: $id, decision: $decision, reason: $reason}) {
    __typename
    ... on DecideFraudCaseSuccess { case { status rewards { reward { status } } } }
    ... on Refusal { code path }
  }
}
"""
DECLARE = """
mutation($ids: [ID!]!, $reason: String!) {
  declareHousehold(input: {customerIds: $ids, reason: $reason}) {
    __typename
    ... on DeclareHouseholdSuccess { household { id reason declaredBy endedAt members { id } } }
    ... on Refusal { code path }
  }
}
"""
END = """
mutation($id: ID!, $reason: String!) {
  endHousehold(input: {householdId: $id, reason: $reason}) {
    __typename
    ... on EndHouseholdSuccess { household { endedAt } }
    ... on Refusal { code path }
  }
}
"""


def admin(system: System) -> Caller:
    return system.caller("admin", "administrator")


def customer_gid(subject: str) -> str:
    return global_id("Customer", local_of(subject))


async def tell_cards(system: System, unique: str, *subjects: str) -> None:
    """The bank tells of one card of all these."""
    bank = system.caller("bank", "service", scope="facts:write")
    for subject in subjects:
        await alias(system, f"core-{unique}", subject, subject)
    facts = [
        {
            "key": f"card-{subject}",
            "kind": "CARD_LINKED",
            "customerKey": subject,
            "occurredAt": iso(utc_now()),
            "payload": {"value": f"6222 0000 {unique}"},
        }
        for subject in subjects
    ]
    sent = await bank.ask(FACTS, source=f"core-{unique}", facts=facts)
    assert sent["recordFacts"]["recorded"] == len(subjects), sent


async def refer(system: System, unique: str, *, cards: bool = True) -> tuple[str, str]:
    """Two sign up, the second claims the first's code and is verified; with one card between them where asked."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    program = await make_program(system)
    code = (await (await system.customer(lin)).ask(CODE, p=program))["viewer"]["referralCode"]["code"]
    await (await system.customer(wu)).ask(CLAIM, code=code, clicks=[])
    await alias(system, f"core-{unique}", wu, wu)
    if cards:
        await tell_cards(system, unique, lin, wu)
    fact = {"key": f"kyc-{wu}", "kind": "IDENTITY_VERIFIED", "customerKey": wu, "occurredAt": iso(utc_now())}
    await system.caller("bank", "service", scope="facts:write").ask(FACTS, source=f"core-{unique}", facts=[fact])
    return lin, wu


async def held_rewards(system: System, *subjects: str) -> list[dict[str, Any]]:
    """The queue's entries of these customers, read page by page."""
    found, after = [], None
    wanted = {customer_gid(subject) for subject in subjects}
    while True:
        page = (await admin(system).ask(QUEUE, first=50, after=after))["rewardReviewQueue"]
        found += [edge["node"] for edge in page["edges"] if edge["node"]["customer"]["id"] in wanted]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def points_of(system: System, subject: str) -> int:
    await system.work()
    answer = await system.caller(subject, "customer").ask("{ viewer { points { available } } }")
    return answer["viewer"]["points"]["available"]


async def test_a_shared_card_waits_for_a_reviewer_and_the_approved_side_gets_its_points(
    system: System, unique: str
) -> None:
    """Given a card of both; then neither has points, however often the worker looks, until a reviewer approves."""
    lin, wu = await refer(system, unique)
    for _ in range(3):
        assert (await points_of(system, lin), await points_of(system, wu)) == (0, 0)
    held = await held_rewards(system, lin, wu)
    (case_id,) = {entry["case"]["id"] for entry in held}
    case = (await admin(system).ask(CASE, id=case_id))["fraudCase"]
    assert [entry["reward"]["status"] for entry in held] == ["PENDING", "PENDING"]
    assert (case["kind"], case["status"], round(case["score"], 3)) == ("PAIR", "OPEN", 0.6)
    assert {member["id"] for member in case["members"]} == {customer_gid(lin), customer_gid(wu)}
    (signal,) = case["signals"]
    assert (signal["name"], signal["weight"], signal["exempted"]) == ("SHARED_CARD", 0.6, False)
    assert [step["relationship"] for step in signal["path"]] == [None, "USES", "USES"]
    assert (signal["path"][1]["identifierKind"], signal["path"][1]["sharedBy"]) == ("CARD", 2)
    assert {step["customer"]["id"] for step in signal["path"] if step["customer"]} == {
        customer_gid(lin),
        customer_gid(wu),
    }

    mine = next(entry["reward"] for entry in held if entry["customer"]["id"] == customer_gid(lin))
    other = next(entry["reward"] for entry in held if entry["customer"]["id"] == customer_gid(wu))
    given = {"reason": "supplementary card"}
    done = (await admin(system).ask(REVIEW, id=mine["id"], decision="APPROVE", **given))["reviewReferralReward"]
    assert done["held"] == {
        "reward": {"status": "APPROVED", "reason": None},
        "reviewedBy": "admin",
        "case": {"status": "OPEN"},
    }
    again = (await admin(system).ask(REVIEW, id=mine["id"], decision="DENY", **given))["reviewReferralReward"]
    assert (again["code"], again["path"]) == ("ALREADY_REVIEWED", ["input", "rewardId"])
    denied = (await admin(system).ask(REVIEW, id=other["id"], decision="DENY", **given))["reviewReferralReward"]
    assert denied["held"]["case"] == {"status": "CONFIRMED"}
    assert (await points_of(system, lin), await points_of(system, wu)) == (mine["points"], 0)
    assert await held_rewards(system, lin, wu) == []


async def test_a_case_is_decided_in_one_act_and_listed_by_its_status(system: System, unique: str) -> None:
    lin, wu = await refer(system, unique)
    await system.work()
    (case_id,) = {entry["case"]["id"] for entry in await held_rewards(system, lin, wu)}
    given = {"id": case_id, "decision": "DENY", "reason": "same person"}
    done = (await admin(system).ask(DECIDE, **given))["decideFraudCase"]["case"]
    again = (await admin(system).ask(DECIDE, **given))["decideFraudCase"]
    assert done == {"status": "CONFIRMED", "rewards": [{"reward": {"status": "CANCELLED"}}] * 2}
    assert again["code"] == "ALREADY_REVIEWED"
    listed = (await admin(system).ask(CASES, status="CONFIRMED"))["fraudCases"]["edges"]
    assert {"id": case_id, "status": "CONFIRMED"} in [edge["node"] for edge in listed]
    assert all(
        edge["node"]["status"] == "OPEN"
        for edge in (await admin(system).ask(CASES, status="OPEN"))["fraudCases"]["edges"]
    )
    node = await admin(system).ask("query($id: ID!) { node(id: $id) { __typename } }", id=case_id)
    assert node == {"node": {"__typename": "FraudCase"}}


async def test_a_household_shares_a_card_without_being_held(system: System, unique: str) -> None:
    """Given a household of both, declared before; then the points come at once; another declaration is refused."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    program = await make_program(system)
    code = (await (await system.customer(lin)).ask(CODE, p=program))["viewer"]["referralCode"]["code"]
    await (await system.customer(wu)).ask(CLAIM, code=code, clicks=[])
    await tell_cards(system, unique, lin, wu)
    ids = [customer_gid(lin), customer_gid(wu)]
    made = (await admin(system).ask(DECLARE, ids=ids, reason="one flat"))["declareHousehold"]
    assert made["household"]["declaredBy"] == "admin"
    assert {member["id"] for member in made["household"]["members"]} == set(ids)
    fact = {"key": f"kyc-{wu}", "kind": "IDENTITY_VERIFIED", "customerKey": wu, "occurredAt": iso(utc_now())}
    await system.caller("bank", "service", scope="facts:write").ask(FACTS, source=f"core-{unique}", facts=[fact])
    assert await points_of(system, lin) > 0

    refused = (await admin(system).ask(DECLARE, ids=ids, reason="again"))["declareHousehold"]
    assert (refused["code"], refused["path"]) == ("ALREADY_IN_HOUSEHOLD", ["input", "customerIds"])
    absent = [customer_gid(lin), global_id("Customer", new_id())]
    assert (await admin(system).ask(DECLARE, ids=absent, reason="x"))["declareHousehold"]["code"] == "NOT_FOUND"
    ended = {"id": made["household"]["id"], "reason": "moved out"}
    assert (await admin(system).ask(END, **ended))["endHousehold"]["household"]["endedAt"]
    assert (await admin(system).ask(END, **ended))["endHousehold"]["code"] == "HOUSEHOLD_ENDED"


async def test_nobody_but_administrators_sees_or_decides_anything(system: System, unique: str) -> None:
    """Given held rewards; when a customer they are of and staff of other kinds ask; then as for what is not there."""
    lin, wu = await refer(system, unique)
    await system.work()
    held = await held_rewards(system, lin, wu)
    case_id, reward_id = held[0]["case"]["id"], held[0]["reward"]["id"]
    before = await state(system)
    for caller in (
        system.caller(lin, "customer"),
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller(f"co-{unique}", "complaints_officer"),
        system.caller(f"sv-{unique}", "service", scope="facts:write"),
    ):
        for document, there, absent in (
            (REVIEW, {"id": reward_id}, {"id": global_id("ReferralReward", new_id())}),
            (DECIDE, {"id": case_id}, {"id": global_id("FraudCase", new_id())}),
        ):
            given = {"decision": "APPROVE", "reason": "mine"}
            errors = [(await caller.fail(document, **ids, **given))["extensions"]["code"] for ids in (there, absent)]
            assert errors == ["FORBIDDEN", "FORBIDDEN"]
        for document in (QUEUE, CASES):
            assert (await caller.fail(document))["extensions"]["code"] == "FORBIDDEN"
        ids = {"ids": [customer_gid(lin), customer_gid(wu)], "reason": "x"}
        assert (await caller.fail(DECLARE, **ids))["extensions"]["code"] == "FORBIDDEN"
        ended = {"id": global_id("Household", new_id()), "reason": "x"}
        assert (await caller.fail(END, **ended))["extensions"]["code"] == "FORBIDDEN"
        for local in (case_id, global_id("FraudCase", new_id())):
            assert await caller.ask(CASE, id=local) == {"fraudCase": None}
            assert await caller.ask("query($id: ID!) { node(id: $id) { id } }", id=local) == {"node": None}
    assert await state(system) == before
    assert len(await held_rewards(system, lin, wu)) == 2


async def test_a_reviewer_does_not_decide_about_referrals_of_their_own(system: System, unique: str) -> None:
    lin, wu = await refer(system, unique)
    await system.work()
    held = await held_rewards(system, lin, wu)
    own = system.caller(lin, "customer", "administrator")
    given = {"decision": "APPROVE", "reason": "mine"}
    for entry in held:
        refused = (await own.ask(REVIEW, id=entry["reward"]["id"], **given))["reviewReferralReward"]
        assert refused["code"] == "OWN_REWARD"
    assert (await own.ask(DECIDE, id=held[0]["case"]["id"], **given))["decideFraudCase"]["code"] == "OWN_REWARD"
    assert len(await held_rewards(system, lin, wu)) == 2
