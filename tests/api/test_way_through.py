"""The main job, end to end: a referral becomes points, points become a voucher, and each says why."""

import json
from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.settings import DEVELOPMENT_ONLY
from customers.profiles import SIGN_IN, customer_id_from
from tests.api.conftest import Caller, System
from tests.community.places import make_community, make_event, soon

pytestmark = pytest.mark.anyio

VIEWER = "{ viewer { subject customer { id displayName } points { available pending } } }"
CODE = "query($p: ID!) { viewer { referralCode(programId: $p) { id code url qrUrl program { name } } } }"
CLAIM = """
mutation($code: String!, $clicks: [String!]!) {
  claimReferral(input: {code: $code, clickIds: $clicks}) {
    __typename
    ... on ClaimReferralSuccess { referral { id status referrer { displayName } } }
    ... on Refusal { code message path }
  }
}
"""
JOIN = """
mutation($id: ID!) {
  joinCommunity(input: {communityId: $id}) {
    __typename
    ... on JoinCommunitySuccess { community { memberCount viewerRole } }
    ... on Refusal { code path }
  }
}
"""
REGISTER = """
mutation($id: ID!) {
  registerForEvent(input: {eventId: $id}) {
    __typename
    ... on RegisterForEventSuccess { registration { id status event { registeredCount } } }
    ... on Refusal { code path }
  }
}
"""
CHECK_IN = """
mutation($event: ID!, $customer: ID!) {
  checkIn(input: {eventId: $event, customerId: $customer}) {
    __typename
    ... on CheckInSuccess { registration { status attendedAt } }
    ... on Refusal { code path }
  }
}
"""
FACTS = """
mutation($source: String!, $facts: [FactInput!]!) {
  recordFacts(input: {source: $source, facts: $facts}) {
    __typename
    ... on RecordFactsSuccess { recorded duplicates }
    ... on Refusal { code path }
  }
}
"""
LEDGER = """
{ viewer { points { available pending }
  ledger(first: 20) { edges { node { points account posting { id kind } } } } } }
"""
REDEEM = """
mutation($reward: ID!, $key: String!) {
  redeemReward(input: {rewardId: $reward, idempotencyKey: $key}) {
    __typename
    ... on RedeemRewardSuccess {
      points { available }
      redemption { id points status voucherCode postingId reward { name stock } }
    }
    ... on Refusal { code path }
  }
}
"""
PROVENANCE = """
query($id: ID!) {
  postingProvenance(postingId: $id) {
    posting { kind }
    cause { ... on RedemptionCause { redemption { reward { name } } } }
    lots {
      points
      origin {
        posting { kind }
        cause {
          __typename
          ... on ReferralRewardCause {
            reward { step side programVersion }
            fact { kind source key }
            referral { referee { displayName } }
            code { code }
            click { channel }
          }
          ... on EarningRuleCause { factKind version fact { kind source } }
        }
      }
    }
  }
}
"""
TRIAL = "{ trialBalance { holds total unbalancedPostings driftedAccounts } }"

STEPS = [
    {"name": "verified", "fact_kind": "IDENTITY_VERIFIED", "referrer_points": 300, "referee_points": 100},
    {"name": "first-event", "fact_kind": "EVENT_ATTENDED", "referrer_points": 200, "within_days": 90},
]


async def make_program(system: System, **more: Any) -> str:
    """An active programme; returns its global id."""
    administrator = system.caller("admin", "administrator")
    created = await administrator.ask(
        """
        mutation($input: CreateReferralProgramInput!) {
          createReferralProgram(input: $input) {
            ... on CreateReferralProgramSuccess { program { id status } }
            ... on Refusal { code path message }
          }
        }
        """,
        input={
            "nameZh": "邀友有礼",
            "nameEn": "Bring a friend",
            "startsAt": iso(utc_now() - timedelta(days=30)),
            "definition": {"steps": STEPS, **more},
        },
    )
    program = created["createReferralProgram"]["program"]["id"]
    activated = await administrator.ask(
        """
        mutation($id: ID!) {
          activateReferralProgram(input: {programId: $id}) {
            ... on ActivateReferralProgramSuccess { program { status } }
          }
        }
        """,
        id=program,
    )
    assert activated["activateReferralProgram"]["program"]["status"] == "ACTIVE"
    return program


async def make_reward(system: System, **input: Any) -> str:
    """A reward of the catalogue; returns its global id."""
    answer = await system.caller("admin", "administrator").ask(
        """
        mutation($input: CreateRewardInput!) {
          createReward(input: $input) { ... on CreateRewardSuccess { reward { id } } ... on Refusal { code path } }
        }
        """,
        input={"nameZh": "咖啡券", "nameEn": "Coffee voucher", "price": 250, **input},
    )
    return answer["createReward"]["reward"]["id"]


async def know(system: System, source: str, key: str, caller: Caller) -> None:
    """Let the bank's system know a signed-up customer by a key of its own."""
    row = {"kind": "customer", "key": key, "display_name": key[:20], "subject": key}
    answer = await system.caller("bank", "service", scope="imports:write").ask(
        """
        mutation($source: String!, $content: String!) {
          importBatch(input: {source: $source, content: $content}) {
            ... on ImportBatchSuccess { report { accepted rejected } }
          }
        }
        """,
        source=source,
        content=json.dumps(row),
    )
    assert answer["importBatch"]["report"] == {"accepted": 1, "rejected": 0}


async def customer_id(caller: Caller) -> str:
    return (await caller.ask(VIEWER))["viewer"]["customer"]["id"]


def local_of(subject: str) -> str:
    """The local id of somebody who signed up by this subject."""
    return customer_id_from(DEVELOPMENT_ONLY, SIGN_IN, subject)


async def test_from_click_to_voucher_and_back_to_the_click(system: System, unique: str) -> None:
    """Given a link, when a newcomer follows, claims, qualifies and attends, then both sides have points."""
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    code = (await lin.ask(CODE, p=program))["viewer"]["referralCode"]

    followed = await system.http.get(
        f"/r/{code['code'].lower()}?channel=wechat", headers={"User-Agent": "Mozilla/5.0 (iPhone)"}
    )
    assert followed.status_code == 302
    assert followed.headers["cache-control"] == "no-store"
    click = followed.headers["location"].split("click=")[1]

    wu = await system.customer(f"wu-{unique}")
    claimed = await wu.ask(CLAIM, code=code["code"], clicks=[click])
    assert claimed["claimReferral"]["__typename"] == "ClaimReferralSuccess", claimed

    community = await make_community(system.edge.graph, owner_id=local_of(f"lin-{unique}"), role=MemberRole.MANAGER)
    event = await make_event(system.edge.graph, community, capacity=1, starts_at=soon())
    assert (await wu.ask(JOIN, id=global_id("Community", community)))["joinCommunity"]["community"] == {
        "memberCount": 2,
        "viewerRole": "MEMBER",
    }
    registered = await wu.ask(REGISTER, id=global_id("Event", event))
    assert registered["registerForEvent"]["registration"]["event"]["registeredCount"] == 1
    checked = await lin.ask(CHECK_IN, event=global_id("Event", event), customer=await customer_id(wu))
    assert checked["checkIn"]["registration"]["status"] == "ATTENDED"

    bank = system.caller("bank", "service", scope="facts:write")
    source = f"core-{unique}"
    subject = f"wu-{unique}"
    await alias(system, source, "CIF-1", subject)
    fact = {"key": "kyc-1", "kind": "IDENTITY_VERIFIED", "customerKey": "CIF-1", "occurredAt": iso(utc_now())}
    sent = await bank.ask(FACTS, source=source, facts=[fact, fact])
    assert sent["recordFacts"] == {"__typename": "RecordFactsSuccess", "recorded": 1, "duplicates": 1}
    again = await bank.ask(FACTS, source=source, facts=[fact])
    assert again["recordFacts"] == {"__typename": "RecordFactsSuccess", "recorded": 0, "duplicates": 1}
    await system.work()
    await system.work()

    mine = (await lin.ask(LEDGER))["viewer"]
    assert mine["points"] == {"available": 500, "pending": 0}
    assert sorted(edge["node"]["points"] for edge in mine["ledger"]["edges"]) == [200, 300]
    assert (await wu.ask(LEDGER))["viewer"]["points"] == {"available": 100, "pending": 0}

    reward = await make_reward(system, price=400, stock=1)
    redeemed = (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]
    assert redeemed["points"] == {"available": 100}
    assert redeemed["redemption"]["status"] == "FULFILLED"
    assert redeemed["redemption"]["reward"] == {"name": "Coffee voucher", "stock": 0}
    assert (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]["redemption"] == redeemed[
        "redemption"
    ]

    why = (await lin.ask(PROVENANCE, id=redeemed["redemption"]["postingId"]))["postingProvenance"]
    assert why["posting"] == {"kind": "REDEEM"}
    assert sorted(lot["points"] for lot in why["lots"]) in ([100, 300], [200, 200])
    causes = {lot["origin"]["cause"]["reward"]["step"]: lot["origin"]["cause"] for lot in why["lots"]}
    assert causes["verified"]["fact"] == {"kind": "IDENTITY_VERIFIED", "source": source, "key": "kyc-1"}
    assert causes["verified"]["click"] == {"channel": "wechat"}
    assert causes["verified"]["code"] == {"code": code["code"]}
    assert causes["verified"]["reward"] == {"step": "verified", "side": "REFERRER", "programVersion": 1}
    assert causes["first-event"]["fact"]["source"] == "kinship"
    assert (await wu.ask(PROVENANCE, id=redeemed["redemption"]["postingId"]))["postingProvenance"] is None

    trial = (await system.caller("admin", "administrator").ask(TRIAL))["trialBalance"]
    assert trial == {"holds": True, "total": 0, "unbalancedPostings": [], "driftedAccounts": []}


async def alias(system: System, source: str, key: str, subject: str) -> None:
    """Tell the system that a source knows this signed-up person by a key, as the bank's import would."""
    from core.db import insert_once
    from customers.profiles import CustomerAlias

    async with system.edge.database.write() as session:
        row = {"source": source, "key": key, "customer_id": local_of(subject)}
        await insert_once(session, CustomerAlias, row, "source", "key")
