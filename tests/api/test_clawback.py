"""Taking rewards back: the preview is what then happens, once; only administrators, and everything says why."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from core.audit import AuditEntry
from core.clock import utc_now
from core.ids import new_id
from loyalty.lots import LedgerLot, lot_id
from referrals.programs import ReferralProgram
from referrals.rewards import ReferralReward, RewardStatus
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import REDEEM, local_of
from tests.api.test_way_through import make_reward as make_voucher
from tests.loyalty.accounts import books_hold, give, standing
from tests.referrals.programs import claim, code_of, make_program, tell

pytestmark = pytest.mark.anyio

REACH = """
  rewards { reward { id status reason points side } cancelled recovered debt writtenOff postingId customer { id } }
  lots { expiresAt points isOwn }
  redemptions { points spentAt reward { name } event { title } }
  customers { customer { id } tier }
  totals { points cancelled recovered debt writtenOff }
"""
PREVIEW = f"""
mutation($input: PreviewClawbackInput!) {{
  previewClawback(input: $input) {{
    __typename ... on PreviewClawbackSuccess {{ {REACH} }} ... on Refusal {{ code path }}
  }}
}}
"""
ACT = f"""
mutation($input: ClawBackRewardInput!) {{
  clawBackReward(input: $input) {{
    __typename ... on ClawBackRewardSuccess {{ {REACH} }} ... on Refusal {{ code path }}
  }}
}}
"""
MINE = """
{ viewer {
  points { available pending debt }
  ledger(first: 20) { edges { node { points account posting { id kind } } } }
  referrals(first: 5) { edges { node { id rewards { id status reason } } } }
} }
"""
WHY = """
query($id: ID!) {
  postingProvenance(postingId: $id) {
    posting { kind }
    cause {
      __typename
      ... on ReferralRewardCause {
        reward { step side status reason }
        review { reviewedAt reviewer reason }
        clawback { code clawedBackAt clawedBackBy reason }
      }
    }
    lots { points origin { posting { kind } cause { __typename } } }
  }
}
"""

# Round trips to the graph and statements to SQL, with two rewards of a referral.
COSTS = {"previewClawback": (1, 9), "clawBackReward": (1, 34)}


@dataclass(frozen=True)
class Rewarded:
    """A programme with a referral whose both sides have their points."""

    program: str
    referral: str
    lin: Caller
    wu: Caller
    lin_id: str
    wu_id: str


async def rewarded(system: System, unique: str, *, let_work: bool = True, **definition: Any) -> Rewarded:
    """Lin has brought Wu, for 300 points of Lin's and 100 of Wu's."""
    database, graph = system.edge.database, system.edge.graph
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    lin_id, wu_id = local_of(f"lin-{unique}"), local_of(f"wu-{unique}")
    program = await make_program(database, budget_points=1000, **definition)
    referral = await claim(database, graph, await code_of(database, program, lin_id), wu_id)
    await tell(database, wu_id, "IDENTITY_VERIFIED")
    if let_work:
        await system.work()
        await system.work()
    return Rewarded(program, referral, lin, wu, lin_id, wu_id)


def administrator(system: System) -> Caller:
    return system.caller("admin-zhao", "administrator")


async def rewards_of(system: System, program: str) -> Sequence[ReferralReward]:
    statement = select(ReferralReward).where(ReferralReward.program_id == program).order_by(col(ReferralReward.side))
    async with system.edge.database.read() as session:
        return (await session.exec(statement)).all()


async def reserved(system: System, program: str) -> int:
    async with system.edge.database.read() as session:
        return (await session.get_one(ReferralProgram, program)).reserved_points


async def preview(system: System, **target: str) -> dict[str, Any]:
    return (await administrator(system).ask(PREVIEW, input=target))["previewClawback"]


async def act(system: System, reason: str = "Lin's colleague", **target: str) -> dict[str, Any]:
    return (await administrator(system).ask(ACT, input={**target, "reason": reason}))["clawBackReward"]


def of_referral(found: Rewarded) -> dict[str, str]:
    return {"referralId": global_id("Referral", found.referral)}


@pytest.mark.parametrize("policy", ["DEBT", "WRITE_OFF"])
async def test_the_preview_is_what_then_happens_and_happens_once(system: System, unique: str, policy: str) -> None:
    """Given 300 of which 250 bought a voucher, when the referral's rewards go back twice, then 250 are short once."""
    found = await rewarded(system, unique, shortfall=policy)
    voucher = await make_voucher(system, price=250)
    assert (await found.lin.ask(REDEEM, reward=voucher, key="wish-0001"))["redeemReward"]["points"] == {"available": 50}
    before = await state(system)
    seen = await preview(system, **of_referral(found))
    assert await state(system) == before

    short = {"debt": 250, "writtenOff": 0} if policy == "DEBT" else {"debt": 0, "writtenOff": 250}
    assert seen["totals"] == {"points": 400, "cancelled": 0, "recovered": 150, **short}
    assert [(line["reward"]["side"], line["reward"]["status"], line["recovered"]) for line in seen["rewards"]] == [
        ("REFEREE", "ISSUED", 100),
        ("REFERRER", "ISSUED", 50),
    ]
    assert sorted((lot["points"], lot["isOwn"]) for lot in seen["lots"]) == [(50, True), (100, True)]
    assert [(one["points"], one["reward"], one["event"]) for one in seen["redemptions"]] == [
        (250, {"name": "Coffee voucher"}, None)
    ]
    assert {one["customer"]["id"] for one in seen["customers"]} == {
        global_id("Customer", found.lin_id),
        global_id("Customer", found.wu_id),
    }

    done = await act(system, **of_referral(found))
    assert done["totals"] == seen["totals"]
    assert {line["reward"]["status"] for line in done["rewards"]} == {"CLAWED_BACK"}
    assert [(line["recovered"], line["debt"], line["writtenOff"]) for line in done["rewards"]] == [
        (line["recovered"], line["debt"], line["writtenOff"]) for line in seen["rewards"]
    ]
    assert await act(system, reason="Another reason", **of_referral(found)) == done
    assert (await preview(system, **of_referral(found)))["totals"] == done["totals"]
    assert await standing(system.edge.database, found.lin_id) == (0, 0, short["debt"])
    assert await standing(system.edge.database, found.wu_id) == (0, 0, 0)
    assert await reserved(system, found.program) == 250
    await books_hold(system.edge.database, found.lin_id, found.wu_id)

    async with system.edge.database.read() as session:
        trail = await session.exec(select(AuditEntry).where(AuditEntry.area == f"referral-program:{found.program}"))
        entries = trail.all()
    assert {(one.actor, one.action, one.reason) for one in entries} == {
        ("admin-zhao", "REWARD_CLAWED_BACK", "Lin's colleague")
    }
    assert len(entries) == 2


async def test_a_debt_is_shown_repaid_and_explained(system: System, unique: str) -> None:
    """Given a debt of 250, when 400 are earned, then 150 are left, and each posting says why and for whom."""
    found = await rewarded(system, unique, shortfall="DEBT")
    await found.lin.ask(REDEEM, reward=await make_voucher(system, price=250), key="wish-0001")
    (mine,) = [one for one in await rewards_of(system, found.program) if one.customer_id == found.lin_id]
    await act(system, rewardId=global_id("ReferralReward", mine.id))
    seen = (await found.lin.ask(MINE))["viewer"]
    assert seen["points"] == {"available": 0, "pending": 0, "debt": 250}
    await give(system.edge.database, found.lin_id, 400)
    seen = (await found.lin.ask(MINE))["viewer"]
    assert seen["points"] == {"available": 150, "pending": 0, "debt": 0}
    lines = [edge["node"] for edge in seen["ledger"]["edges"]]
    assert [(one["posting"]["kind"], one["account"], one["points"]) for one in lines] == [
        ("REPAYMENT", "DEBT", -250),
        ("REPAYMENT", "AVAILABLE", -250),
        ("EARN", "AVAILABLE", 400),
        ("CLAWBACK", "DEBT", 250),
        ("CLAWBACK", "AVAILABLE", -50),
        ("REDEEM", "AVAILABLE", -250),
        ("EARN", "AVAILABLE", 300),
    ]
    for number, kind, points, origin in ((0, "REPAYMENT", 250, "OtherCause"), (3, "CLAWBACK", 50, None)):
        posting = lines[number]["posting"]["id"]
        why = (await found.lin.ask(WHY, id=posting))["postingProvenance"]
        assert why["posting"] == {"kind": kind}
        assert why["cause"]["reward"] == {
            "step": "verified",
            "side": "REFERRER",
            "status": "CLAWED_BACK",
            "reason": "RECALLED",
        }
        assert why["cause"]["clawback"]["code"] == "RECALLED"
        assert why["cause"]["clawback"]["clawedBackAt"]
        assert (why["cause"]["clawback"]["clawedBackBy"], why["cause"]["clawback"]["reason"]) == (None, None)
        expected = {"posting": {"kind": "EARN"}, "cause": {"__typename": origin or "ReferralRewardCause"}}
        assert why["lots"] == [{"points": points, "origin": expected}]
        told = (await administrator(system).ask(WHY, id=posting))["postingProvenance"]["cause"]["clawback"]
        assert (told["clawedBackBy"], told["reason"]) == ("admin-zhao", "Lin's colleague")
        assert (await found.wu.ask(WHY, id=posting))["postingProvenance"] is None


async def test_a_reviewed_reward_names_its_reviewer_to_administrators_only(system: System, unique: str) -> None:
    found = await rewarded(system, unique)
    async with system.edge.database.write() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == found.program))).all()
        for row in rows:
            row.reviewed_by, row.reviewed_at, row.review_reason = "admin-qian", utc_now(), "Known by sight"
    lines = [edge["node"] for edge in (await found.lin.ask(MINE))["viewer"]["ledger"]["edges"]]
    why = (await found.lin.ask(WHY, id=lines[0]["posting"]["id"]))["postingProvenance"]
    assert why["cause"]["clawback"] is None
    assert why["cause"]["review"]["reviewedAt"]
    assert (why["cause"]["review"]["reviewer"], why["cause"]["review"]["reason"]) == (None, None)
    told = (await administrator(system).ask(WHY, id=lines[0]["posting"]["id"]))["postingProvenance"]
    assert (told["cause"]["review"]["reviewer"], told["cause"]["review"]["reason"]) == ("admin-qian", "Known by sight")


async def test_what_is_not_in_the_ledger_yet_is_cancelled_with_its_budget(system: System, unique: str) -> None:
    """Given rewards that wait for their posting, when they go back, then they never come, also by later facts."""
    found = await rewarded(system, unique, let_work=False)
    await system.work()
    async with system.edge.database.write() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == found.program))).all()
        for row in rows:
            row.status = RewardStatus.PENDING
    seen = await preview(system, **of_referral(found))
    assert seen["totals"] == {"points": 400, "cancelled": 400, "recovered": 0, "debt": 0, "writtenOff": 0}
    assert (await act(system, **of_referral(found)))["totals"] == seen["totals"]
    assert (await act(system, **of_referral(found)))["totals"] == seen["totals"]
    assert {(one.status, one.reason) for one in await rewards_of(system, found.program)} == {("CANCELLED", "RECALLED")}
    assert await reserved(system, found.program) == 0
    await tell(system.edge.database, found.wu_id, "IDENTITY_VERIFIED")
    await system.work()
    assert len(await rewards_of(system, found.program)) == 2


async def test_a_case_takes_back_what_is_held_in_it(system: System, unique: str) -> None:
    found = await rewarded(system, unique)
    case = new_id()
    async with system.edge.database.write() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == found.program))).all()
        for row in rows:
            row.case_id = case if row.customer_id == found.wu_id else None
    done = await act(system, caseId=global_id("FraudCase", case))
    assert [line["recovered"] for line in done["rewards"]] == [100]
    assert await standing(system.edge.database, found.lin_id) == (300, 0, 0)


async def test_asked_for_at_once_it_is_done_once(system: System, unique: str) -> None:
    """Given both rewards, when they go back by referral and one by one at once, then each has gone once."""
    found = await rewarded(system, unique)
    rows = await rewards_of(system, found.program)
    one_by_one = [act(system, rewardId=global_id("ReferralReward", row.id)) for row in rows]
    answers = await asyncio.gather(*(act(system, **of_referral(found)) for _ in range(4)), *one_by_one)
    assert [one["totals"]["recovered"] for one in answers] == [400, 400, 400, 400, 100, 300]
    assert await standing(system.edge.database, found.lin_id) == (0, 0, 0)
    assert await reserved(system, found.program) == 0
    await books_hold(system.edge.database, found.lin_id, found.wu_id)


async def test_spent_and_expired_rewards_say_so(system: System, unique: str) -> None:
    """Given issued rewards, when all is spent or time has passed, then it is read from the lot and stored nowhere."""
    found = await rewarded(system, unique)
    (mine,) = [one for one in await rewards_of(system, found.program) if one.customer_id == found.lin_id]

    async def shown() -> list[str]:
        seen = (await found.lin.ask(MINE))["viewer"]["referrals"]["edges"]
        return [reward["status"] for edge in seen for reward in edge["node"]["rewards"]]

    assert await shown() == ["ISSUED"]
    async with system.edge.database.write() as session:
        lot = await session.get_one(LedgerLot, lot_id(mine.key))
        kept, lot.expires_at = lot.expires_at, utc_now() - timedelta(days=1)
    assert await shown() == ["EXPIRED"]
    async with system.edge.database.write() as session:
        (await session.get_one(LedgerLot, lot_id(mine.key))).expires_at = kept
    await found.lin.ask(REDEEM, reward=await make_voucher(system, price=300), key="wish-0001")
    assert await shown() == ["REDEEMED"]
    assert {one.status for one in await rewards_of(system, found.program)} == {"ISSUED"}
    await act(system, rewardId=global_id("ReferralReward", mine.id))
    assert await shown() == ["CLAWED_BACK"]


async def test_only_administrators_and_nothing_changes(system: System, unique: str) -> None:
    """Given rewards of one's own and ones that there are not, then nobody else is told a difference or does it."""
    found = await rewarded(system, unique)
    there, absent = (global_id("Referral", one) for one in (found.referral, new_id()))
    before = await state(system)
    bank = system.caller("bank", "service", scope="facts:write imports:write")
    officer = system.caller("officer", "complaints_officer", "relationship_manager")
    for caller in (found.lin, found.wu, bank, officer):
        for document, more in ((PREVIEW, {}), (ACT, {"reason": "Mine"})):
            errors = [await caller.fail(document, input={"referralId": target, **more}) for target in (there, absent)]
            assert {error["extensions"]["code"] for error in errors} == {"FORBIDDEN"}
            assert errors[0]["message"] == errors[1]["message"]
    assert await state(system) == before
    assert await standing(system.edge.database, found.lin_id) == (300, 0, 0)


async def test_what_cannot_be_taken_back_is_refused(system: System, unique: str) -> None:
    found = await rewarded(system, unique)
    async with system.edge.database.write() as session:
        rows = (await session.exec(select(ReferralReward).where(ReferralReward.program_id == found.program))).all()
        for row in rows:
            if row.customer_id == found.wu_id:
                row.status, row.reason = RewardStatus.CANCELLED, "CAP_REACHED"
    (capped,) = [row.id for row in rows if row.customer_id == found.wu_id]
    before = await state(system)
    for kind, name in (("ReferralReward", "rewardId"), ("Referral", "referralId"), ("FraudCase", "caseId")):
        for ask in (preview, act):
            answer = await ask(system, **{name: global_id(kind, new_id())})
            assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", name]}
    for ask in (preview, act):
        answer = await ask(system, rewardId=global_id("ReferralReward", capped))
        assert (answer["code"], answer["path"]) == ("NOTHING_TO_CLAW_BACK", ["input", "rewardId"])
    both = {**of_referral(found), "rewardId": global_id("ReferralReward", capped)}
    for wrong in ({}, both):
        error = await administrator(system).fail(PREVIEW, input=wrong)
        assert error["extensions"]["reason"] == "CLAWBACK_TARGET_INVALID"
    for reason in (" ", "x" * 501):
        error = await administrator(system).fail(ACT, input={**of_referral(found), "reason": reason})
        assert error["extensions"]["reason"] == "CLAWBACK_REASON_INVALID"
    assert await state(system) == before


async def test_what_it_costs(system: System, unique: str) -> None:
    found = await rewarded(system, unique)
    await found.lin.ask(REDEEM, reward=await make_voucher(system, price=250), key="wish-0001")
    target, caller = of_referral(found), administrator(system)
    mine = [row.id for row in await rewards_of(system, found.program) if row.customer_id == found.lin_id]
    one = {"rewardId": global_id("ReferralReward", mine[0])}
    assert await cost(system, caller, PREVIEW, input=one) == COSTS["previewClawback"]
    assert {
        "previewClawback": await cost(system, caller, PREVIEW, input=target),
        "clawBackReward": await cost(system, caller, ACT, input={**target, "reason": "For its cost"}),
    } == COSTS
