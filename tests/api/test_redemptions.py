"""What becomes of redemptions over GraphQL: partners, customers and staff, vouchers at the counter, and their news."""

import asyncio
import base64
import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.loyalty.vouchers import VOUCHER_GUESSES, guesses_of
from api.relay import global_id, split_id
from core.clock import utc_now
from core.codes import new_code
from core.ids import new_id
from core.principal import Principal, Role, Scope
from tests.api.conftest import Caller, System
from tests.api.test_catalogue import ADD
from tests.api.test_denials import state
from tests.api.test_way_through import REDEEM, local_of, make_reward
from tests.loyalty.accounts import give
from tests.loyalty.redeeming import LATER, try_redeem

pytestmark = pytest.mark.anyio

SHOWN = "id status points reference reason reservedUntil endedAt voucherCode refundId postingId customer { id }"
FULFILL = f"""
mutation($id: ID!, $reference: String!) {{
  fulfillRedemption(input: {{redemptionId: $id, reference: $reference}}) {{
    __typename ... on FulfillRedemptionSuccess {{ redemption {{ {SHOWN} }} }} ... on Refusal {{ code path message }}
  }}
}}
"""
FAIL = f"""
mutation($id: ID!, $reason: String!) {{
  failRedemption(input: {{redemptionId: $id, reason: $reason}}) {{
    __typename ... on FailRedemptionSuccess {{ redemption {{ {SHOWN} }} }} ... on Refusal {{ code path message }}
  }}
}}
"""
CANCEL = f"""
mutation($id: ID!, $reason: String) {{
  cancelRedemption(input: {{redemptionId: $id, reason: $reason}}) {{
    __typename ... on CancelRedemptionSuccess {{ redemption {{ {SHOWN} }} }} ... on Refusal {{ code path message }}
  }}
}}
"""
USE = """
mutation($code: String!, $reward: ID) {
  useVoucher(input: {code: $code, rewardId: $reward}) {
    __typename
    ... on UseVoucherSuccess { usedAt validUntil redemptionId reward { name } }
    ... on Refusal { code path message }
  }
}
"""
MINE = f"""
query($statuses: [RedemptionStatus!]) {{
  viewer {{ points {{ available }} redemptions(statuses: $statuses) {{ edges {{ node {{ {SHOWN} }} }} }} }}
}}
"""
VOUCHERS = """
query($status: VoucherStatus) {
  viewer { vouchers(status: $status) { edges { node {
    id code status issuedAt validUntil usedAt redemptionId qrSvg qrPng reward { name }
  } } } }
}
"""
NODE = """
query($id: ID!) {
  node(id: $id) { __typename ... on Redemption { status voucherCode } ... on Voucher { code validUntil } }
}
"""
WAITING = """
query($reward: ID) {
  reservedRedemptions(rewardId: $reward) { edges { node { id voucherCode customer { displayName } } } }
}
"""
NEWS = """
{ viewer { notifications { edges { node { kind title body subject { __typename ... on Redemption { status } } } } } } }
"""
WHY = """
query($id: ID!) {
  postingProvenance(postingId: $id) {
    posting { kind }
    cause { ... on RedemptionCause { redemption { status voucherCode } } }
    lots { points origin { posting { kind } } }
  }
}
"""


@dataclass(frozen=True)
class Reserved:
    """Lin has reserved a partner's reward for 250 of 400 points."""

    lin: Caller
    reward: str
    redemption: str


async def reserved(system: System, unique: str, **reward: Any) -> Reserved:
    lin = await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 400)
    offered = await make_reward(system, **{"kind": "PARTNER", "stock": 2, **reward})
    made = (await lin.ask(REDEEM, reward=offered, key="wish-0001"))["redeemReward"]["redemption"]
    assert (made["status"], made["voucherCode"]) == ("RESERVED", None)
    return Reserved(lin, offered, made["id"])


def partner(system: System) -> Caller:
    return system.caller("partner", "service", scope="redemptions:write")


def administrator(system: System) -> Caller:
    return system.caller("admin-zhao", "administrator")


async def news(caller: Caller) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await caller.ask(NEWS))["viewer"]["notifications"]["edges"]]


async def test_a_partner_finds_what_waits_and_fulfils_it_once(system: System, unique: str) -> None:
    found = await reserved(system, unique)
    for caller, seen in ((partner(system), None), (administrator(system), {"displayName": f"lin-{unique}"[-20:]})):
        waiting = (await caller.ask(WAITING, reward=found.reward))["reservedRedemptions"]["edges"]
        expected = {"id": found.redemption, "voucherCode": None, "customer": seen}
        assert [edge["node"] for edge in waiting] == [expected]
    for reference in ("T-1", "T-2"):
        done = (await partner(system).ask(FULFILL, id=found.redemption, reference=reference))["fulfillRedemption"]
        assert (done["redemption"]["status"], done["redemption"]["reference"]) == ("FULFILLED", "T-1")
    refused = (await partner(system).ask(FAIL, id=found.redemption, reason="oh"))["failRedemption"]
    assert (refused["code"], refused["path"]) == ("REDEMPTION_CLOSED", ["input", "redemptionId"])
    assert (await partner(system).ask(WAITING, reward=found.reward))["reservedRedemptions"]["edges"] == []
    await system.work()
    # Besides this they are asked how it was.
    assert [one for one in await news(found.lin) if one["kind"] != "MESSAGE"] == [
        {
            "kind": "REDEMPTION_FULFILLED",
            "title": "Coffee voucher is yours",
            "body": "Our partner has fulfilled what you redeemed.",
            "subject": {"__typename": "Redemption", "status": "FULFILLED"},
        }
    ]


async def test_a_failure_gives_the_points_back_and_says_where_they_went(system: System, unique: str) -> None:
    """Given a failed redemption, then the posting of its refund names it and the lots, to its owner and staff only."""
    found = await reserved(system, unique)
    for _ in range(2):
        failed = (await partner(system).ask(FAIL, id=found.redemption, reason="none left"))["failRedemption"]
        assert failed["redemption"]["status"] == "FAILED"
        assert failed["redemption"]["reason"] is None
    mine = (await found.lin.ask(MINE, statuses=["FAILED", "EXPIRED"]))["viewer"]
    assert mine["points"] == {"available": 400}
    (row,) = [edge["node"] for edge in mine["redemptions"]["edges"]]
    assert row["refundId"] is not None
    why = (await found.lin.ask(WHY, id=row["refundId"]))["postingProvenance"]
    assert why == {
        "posting": {"kind": "REFUND"},
        "cause": {"redemption": {"status": "FAILED", "voucherCode": None}},
        "lots": [{"points": -250, "origin": {"posting": {"kind": "EARN"}}}],
    }
    wu = await system.customer(f"wu-{unique}")
    assert (await wu.ask(WHY, id=row["refundId"]))["postingProvenance"] is None
    seen = (await administrator(system).ask(FAIL, id=found.redemption, reason="again"))["failRedemption"]
    assert seen["redemption"]["reason"] == "none left"
    await system.work()
    told = await news(system.caller(f"lin-{unique}", "customer", language="zh"))
    assert [(one["kind"], one["title"]) for one in told] == [("REDEMPTION_FAILED", "您兑换的“咖啡券”未能完成")]


async def test_who_may_cancel_and_others_see_nothing_of_it(system: System, unique: str) -> None:
    found = await reserved(system, unique)
    wu = await system.customer(f"wu-{unique}")
    before = await state(system)
    there = (await wu.ask(CANCEL, id=found.redemption, reason="mine"))["cancelRedemption"]
    assert there == (await wu.ask(CANCEL, id=global_id("Redemption", new_id()), reason="mine"))["cancelRedemption"]
    assert there["code"] == "NOT_FOUND"
    error = await administrator(system).fail(CANCEL, id=found.redemption, reason=None)
    assert error["extensions"]["reason"] == "REDEMPTION_REASON_INVALID"
    # The scope of partners is for fulfilling and failing, which are theirs to say.
    refused = (await partner(system).ask(CANCEL, id=found.redemption, reason="x"))["cancelRedemption"]
    assert refused["code"] == "NOT_SIGNED_UP"
    assert await state(system) == before
    for _ in range(2):
        done = (await found.lin.ask(CANCEL, id=found.redemption, reason=None))["cancelRedemption"]
        assert done["redemption"]["status"] == "CANCELLED"
    assert (await found.lin.ask(MINE))["viewer"]["points"] == {"available": 400}
    refused = (await partner(system).ask(FULFILL, id=found.redemption, reference="T"))["fulfillRedemption"]
    assert refused["code"] == "REDEMPTION_CLOSED"


async def test_staff_cancel_for_a_customer_who_is_told(system: System, unique: str) -> None:
    found = await reserved(system, unique)
    done = (await administrator(system).ask(CANCEL, id=found.redemption, reason="wrong size"))["cancelRedemption"]
    assert (done["redemption"]["status"], done["redemption"]["reason"]) == ("CANCELLED", "wrong size")
    await system.work()
    (told,) = await news(found.lin)
    assert (told["kind"], told["title"]) == ("REDEMPTION_CANCELLED", "Your redemption of Coffee voucher was cancelled")
    (mine,) = (await found.lin.ask(MINE, statuses=["CANCELLED"]))["viewer"]["redemptions"]["edges"]
    assert mine["node"]["reason"] is None


async def test_what_is_not_fulfilled_in_time_comes_back_by_the_worker(system: System, unique: str) -> None:
    """Given a reservation of four days ago, when the worker sweeps twice, then it has expired, and late is refused."""
    lin = await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 250)
    begun = (utc_now() - 2 * LATER).isoformat()
    reward = split_id(await make_reward(system, kind="PARTNER", validFrom=begun))[1]
    made = await try_redeem(system.edge.database, local_of(f"lin-{unique}"), reward, now=utc_now() - LATER)
    redemption = global_id("Redemption", made)
    late = (await partner(system).ask(FULFILL, id=redemption, reference="T"))["fulfillRedemption"]
    assert late["code"] == "RESERVATION_EXPIRED"
    await system.work()
    await system.work()
    late = (await partner(system).ask(FULFILL, id=redemption, reference="T"))["fulfillRedemption"]
    assert (late["code"], late["path"]) == ("RESERVATION_EXPIRED", ["input", "redemptionId"])
    assert late["message"] == "The time limit of this redemption is over; its points go back."
    mine = (await lin.ask(MINE, statuses=["EXPIRED"]))["viewer"]
    assert (mine["points"], len(mine["redemptions"]["edges"])) == ({"available": 250}, 1)
    assert [one["kind"] for one in await news(lin)] == ["REDEMPTION_EXPIRED"]


async def test_a_voucher_is_its_owners_alone_and_used_once(system: System, unique: str) -> None:
    """Given a coupon, then its owner alone has its code and pictures, and of twenty counters one uses it."""
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 250)
    pool = await make_reward(system, kind="COUPON", voucherDays=30)
    admin, code = administrator(system), f"{unique}-Aa"
    await admin.ask(ADD, id=pool, codes=[code], key=unique)
    made = (await lin.ask(REDEEM, reward=pool, key="wish-0001"))["redeemReward"]["redemption"]
    assert made["voucherCode"] == code
    (voucher,) = [edge["node"] for edge in (await lin.ask(VOUCHERS, status="VALID"))["viewer"]["vouchers"]["edges"]]
    assert (voucher["code"], voucher["status"], voucher["redemptionId"]) == (code, "VALID", made["id"])
    assert voucher["qrSvg"].startswith("<?xml")
    assert base64.b64decode(voucher["qrPng"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert re.search("<path", voucher["qrSvg"])
    for other in (wu, admin, partner(system)):
        seen = [await other.ask(NODE, id=key) for key in (voucher["id"], made["id"])]
        assert seen[0] == {"node": None}
        assert code not in str(seen)
    assert (await admin.ask(NODE, id=made["id"]))["node"] == {
        "__typename": "Redemption",
        "status": "FULFILLED",
        "voucherCode": None,
    }
    assert (await wu.ask(NODE, id=made["id"])) == {"node": None}
    assert (await admin.ask(WHY, id=made["postingId"]))["postingProvenance"]["cause"] == {
        "redemption": {"status": "FULFILLED", "voucherCode": None}
    }

    counters = [system.caller(f"counter{n}-{unique}", "service", scope="redemptions:write") for n in range(20)]
    answers = await asyncio.gather(*(counter.ask(USE, code=f" {code} ", reward=pool) for counter in counters))
    told = [answer["useVoucher"] for answer in answers]
    assert Counter(one.get("code", "USED") for one in told) == {"USED": 1, "VOUCHER_USED": 19}
    (used,) = [one for one in told if "code" not in one]
    assert (used["redemptionId"], used["reward"]) == (made["id"], {"name": "Coffee voucher"})
    assert (await lin.ask(VOUCHERS, status="VALID"))["viewer"]["vouchers"]["edges"] == []
    for status in ("USED", None):
        (edge,) = (await lin.ask(VOUCHERS, status=status))["viewer"]["vouchers"]["edges"]
        assert (edge["node"]["status"], edge["node"]["usedAt"]) == ("USED", used["usedAt"])


async def test_a_voucher_of_ours_is_read_aloud_and_expires(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    database = system.edge.database
    await give(database, local_of(f"lin-{unique}"), 500)
    begun = (utc_now() - timedelta(days=9)).isoformat()
    reward = await make_reward(system, voucherDays=3, validFrom=begun)
    code = (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]["redemption"]["voucherCode"]
    spoken = f"{code[:4]}-{code[4:8]} {code[8:]}".lower()
    assert (await partner(system).ask(USE, code=spoken))["useVoucher"]["__typename"] == "UseVoucherSuccess"
    old = utc_now() - timedelta(days=4)
    await try_redeem(database, local_of(f"lin-{unique}"), split_id(reward)[1], now=old)
    (edge,) = (await lin.ask(VOUCHERS, status="EXPIRED"))["viewer"]["vouchers"]["edges"]
    refused = (await partner(system).ask(USE, code=edge["node"]["code"]))["useVoucher"]
    assert (refused["code"], refused["path"]) == ("VOUCHER_EXPIRED", ["input", "code"])


async def test_guessing_vouchers_is_limited_and_unknown_and_foreign_look_alike(system: System, unique: str) -> None:
    """Given a valid voucher of another reward, then it is as unknown as any, and after the limit nothing is told.

    The counters of a service client together are told of more wrong codes than one person is.
    """
    lin = await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 500)
    reward, other = await make_reward(system), await make_reward(system)
    code = (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]["redemption"]["voucherCode"]
    counter = system.caller(f"counter-{unique}", "administrator")
    before = await state(system)
    foreign = (await counter.ask(USE, code=code, reward=other))["useVoucher"]
    unknown = (await counter.ask(USE, code=new_code(12), reward=other))["useVoucher"]
    assert foreign == unknown
    assert (foreign["code"], foreign["path"]) == ("VOUCHER_UNKNOWN", ["input", "code"])
    assert code not in str(foreign)
    rest = await asyncio.gather(*(counter.ask(USE, code=new_code(12)) for _ in range(VOUCHER_GUESSES.most + 5)))
    told = Counter(one["useVoucher"]["code"] for one in rest)
    assert told == {"VOUCHER_UNKNOWN": VOUCHER_GUESSES.most - 2, "TOO_MANY_GUESSES": 7}
    assert (await counter.ask(USE, code=code))["useVoucher"]["code"] == "TOO_MANY_GUESSES"
    assert await state(system) == before
    client = system.caller(f"client-{unique}", "service", scope="redemptions:write")
    rest = await asyncio.gather(*(client.ask(USE, code=new_code(12)) for _ in range(VOUCHER_GUESSES.most + 5)))
    assert {one["useVoucher"]["code"] for one in rest} == {"VOUCHER_UNKNOWN"}
    assert (await client.ask(USE, code=code))["useVoucher"]["__typename"] == "UseVoucherSuccess"


def test_a_service_client_is_told_of_so_many_wrong_codes_as_many_counters_mistype() -> None:
    person = Principal("wu", frozenset({Role.ADMINISTRATOR}), frozenset(), 0)
    client = Principal("shop", frozenset(), frozenset({Scope.REDEMPTIONS_WRITE}), 0)
    limits = [guesses_of(one) for one in (person, client)]
    assert [(limit.most, limit.seconds) for limit in limits] == [(20, 3600), (1_000, 3600)]
    # Their counters in Redis are not the same.
    assert limits[0].name != limits[1].name


async def test_a_coupon_that_nobody_has_redeemed_is_unknown(system: System, unique: str) -> None:
    pool = await make_reward(system, kind="COUPON")
    await administrator(system).ask(ADD, id=pool, codes=[f"{unique}-1"], key=unique)
    counter = system.caller(f"counter-{unique}", "service", scope="redemptions:write")
    assert (await counter.ask(USE, code=f"{unique}-1"))["useVoucher"]["code"] == "VOUCHER_UNKNOWN"
