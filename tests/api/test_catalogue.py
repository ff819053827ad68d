"""The catalogue over GraphQL: what administrators make of it, and what each customer is offered and told."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import REDEEM, local_of, make_reward
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

FIELDS = """
id name description kind category price stock limitPerCustomer limitPerPeriod periodDays validFrom validUntil
voucherDays timeLimitMinutes expiredPolicy graceDays minimumTier requiredTags status
texts { nameZh nameEn descriptionZh descriptionEn }
priceHistory { price validFrom isPlanned }
"""
UPDATE = f"""
mutation($input: UpdateRewardInput!) {{
  updateReward(input: $input) {{
    __typename ... on UpdateRewardSuccess {{ reward {{ {FIELDS} }} }} ... on Refusal {{ code path }}
  }}
}}
"""
RETIRE = """
mutation($id: ID!, $reason: String!) {
  retireReward(input: {rewardId: $id, reason: $reason}) {
    __typename ... on RetireRewardSuccess { reward { status } } ... on Refusal { code path }
  }
}
"""
RESTOCK = """
mutation($id: ID!, $change: Int!, $key: String!) {
  restockReward(input: {rewardId: $id, change: $change, reason: "delivery", idempotencyKey: $key}) {
    __typename ... on RestockRewardSuccess { stockAfter reward { stock } } ... on Refusal { code path message }
  }
}
"""
ADD = """
mutation($id: ID!, $codes: [String!]!, $key: String!) {
  addCouponCodes(input: {rewardId: $id, codes: $codes, idempotencyKey: $key}) {
    __typename
    ... on AddCouponCodesSuccess { added results { index outcome } reward { stock } }
    ... on Refusal { code path }
  }
}
"""
ONE = f"query($id: ID!) {{ reward(id: $id) {{ {FIELDS} eligibility {{ eligible obstacles {{ code message }} }} }} }}"
LIST = """
query($category: String, $max: Int, $affordable: Boolean, $statuses: [RewardStatus!], $after: String) {
  rewards(category: $category, maxPrice: $max, affordable: $affordable, statuses: $statuses, first: 2, after: $after) {
    edges { node { id name price stock requiredTags eligibility { eligible obstacles { code } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def administrator(system: System) -> Caller:
    return system.caller("admin-zhao", "administrator")


async def listed(caller: Caller, **given: Any) -> list[str]:
    """The names of all rewards that are listed, read two at a time."""
    names: list[str] = []
    after = None
    while True:
        page = (await caller.ask(LIST, after=after, **given))["rewards"]
        names += [edge["node"]["name"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return names
        after = page["pageInfo"]["endCursor"]


async def test_a_reward_is_made_changed_and_retired(system: System, unique: str) -> None:
    """Given a reward with everything, then it shows all of it, only what is given changes, and nulls take away."""
    admin = administrator(system)
    reward = await make_reward(
        system,
        kind="PARTNER",
        descriptionZh="香浓",
        descriptionEn="Strong",
        category=unique,
        stock=3,
        limitPerCustomer=2,
        limitPerPeriod=1,
        periodDays=7,
        minimumTier="POTENTIAL",
        requiredTags=["interest:tea"],
        voucherDays=30,
        timeLimitMinutes=60,
        expiredPolicy="REINSTATE",
        graceDays=14,
    )
    before = (await admin.ask(ONE, id=reward))["reward"]
    assert before.pop("eligibility") == {
        "eligible": False,
        "obstacles": [
            {"code": "TIER_TOO_LOW", "message": "It is for customers of a higher tier."},
            {"code": "TAG_MISSING", "message": "It is for a certain circle of customers."},
            {"code": "POINTS_MISSING", "message": "You do not have the points that it costs."},
        ],
    }
    assert (before["kind"], before["expiredPolicy"], before["graceDays"]) == ("PARTNER", "REINSTATE", 14)
    assert (before["requiredTags"], before["status"], before["stock"]) == (["interest:tea"], "ON_OFFER", 3)
    changes = {"nameEn": "Espresso", "category": None, "requiredTags": None, "limitPerCustomer": None}
    changed = (await admin.ask(UPDATE, input={"rewardId": reward, **changes}))["updateReward"]["reward"]
    assert changed == {
        **before,
        "name": "Espresso",
        "texts": {**before["texts"], "nameEn": "Espresso"},
        "category": None,
        "requiredTags": [],
        "limitPerCustomer": None,
    }
    retired = await admin.ask(RETIRE, id=reward, reason="season is over")
    assert retired["retireReward"] == {"__typename": "RetireRewardSuccess", "reward": {"status": "RETIRED"}}
    refused = (await admin.ask(UPDATE, input={"rewardId": reward, "price": 1}))["updateReward"]
    assert (refused["code"], refused["path"]) == ("REWARD_RETIRED", ["input", "rewardId"])
    error = await admin.fail(RETIRE, id=reward, reason=" ")
    assert error["extensions"] == {
        "code": "BAD_USER_INPUT",
        "reason": "REWARD_REASON_INVALID",
        "inputPath": ["reason"],
    }


async def test_a_planned_price_is_seen_by_administrators_alone(system: System, unique: str) -> None:
    admin, customer = administrator(system), await system.customer(f"lin-{unique}")
    reward = await make_reward(system, price=250)
    switch = iso(utc_now() + timedelta(days=1))
    given = {"rewardId": reward, "price": 200, "priceFrom": switch}
    changed = (await admin.ask(UPDATE, input=given))["updateReward"]["reward"]
    assert changed["price"] == 250
    assert [(one["price"], one["isPlanned"]) for one in changed["priceHistory"]] == [(200, True), (250, False)]
    assert changed["priceHistory"][0]["validFrom"] == switch
    seen = (await customer.ask(ONE, id=reward))["reward"]
    assert [(one["price"], one["isPlanned"]) for one in seen["priceHistory"]] == [(250, False)]
    error = await admin.fail(UPDATE, input={"rewardId": reward, "priceFrom": switch})
    assert error["extensions"]["inputPath"] == ["priceFrom"]


async def test_each_customer_is_offered_what_is_for_them(system: System, unique: str) -> None:
    """Given rewards for all, for a tier and for a tag, then who has both sees all of them and others some."""
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    graph = system.edge.graph
    await graph.write("MATCH (c:Customer {id: $id}) SET c.tier = 'VIP'", id=local_of(f"lin-{unique}"))
    tag = f"club:{unique}"
    hold = "MATCH (c:Customer {id: $id}) MERGE (t:Tag {key: $key}) CREATE (c)-[:TAGGED]->(t)"
    await graph.write(hold, id=local_of(f"lin-{unique}"), key=tag)
    await give(system.edge.database, local_of(f"lin-{unique}"), 60)
    for name, more in (
        ("all", {}),
        ("dear", {"price": 90}),
        ("vip", {"minimumTier": "VIP"}),
        ("club", {"requiredTags": [tag]}),
    ):
        await make_reward(system, **{"nameEn": name, "category": unique, "price": 50, **more})
    planned = iso(utc_now() + timedelta(days=1))
    await make_reward(system, nameEn="planned", category=unique, validFrom=planned)
    assert await listed(lin, category=unique) == ["all", "dear", "vip", "club"]
    assert await listed(wu, category=unique) == ["all", "dear"]
    assert await listed(lin, category=unique, max=60) == ["all", "vip", "club"]
    assert await listed(lin, category=unique, affordable=True) == ["all", "vip", "club"]
    assert await listed(wu, category=unique, affordable=True) == []
    stranger = system.caller(f"new-{unique}", "customer")
    assert await listed(stranger, category=unique) == ["all", "dear"]
    admin = administrator(system)
    assert await listed(admin, category=unique, statuses=["PLANNED"]) == ["planned"]
    assert await listed(admin, category=unique, statuses=["ON_OFFER"]) == ["all", "dear", "vip", "club"]
    error = await lin.fail(LIST, category=unique, statuses=["ON_OFFER"])
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_what_is_not_for_somebody_is_refused_and_changes_nothing(system: System, unique: str) -> None:
    """Given 500 points, when a VIP's reward is redeemed, then NOT_ELIGIBLE; promoted, the same key redeems it."""
    lin = await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 500)
    reward = await make_reward(system, minimumTier="VIP")
    before = await state(system)
    refused = (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]
    assert (refused["code"], refused["path"]) == ("NOT_ELIGIBLE", ["input", "rewardId"])
    assert await state(system) == before
    change = "MATCH (c:Customer {id: $id}) SET c.tier = $tier"
    await system.edge.graph.write(change, id=local_of(f"lin-{unique}"), tier="VIP")
    first = (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"]
    assert first["redemption"]["points"] == 250
    await system.edge.graph.write(change, id=local_of(f"lin-{unique}"), tier=None)
    assert (await lin.ask(REDEEM, reward=reward, key="wish-0001"))["redeemReward"] == first


async def test_limits_and_stock_are_told_before_one_tries(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    await give(system.edge.database, local_of(f"lin-{unique}"), 500)
    reward = await make_reward(system, stock=1, limitPerCustomer=1, price=100)
    assert (await lin.ask(ONE, id=reward))["reward"]["eligibility"] == {"eligible": True, "obstacles": []}
    await lin.ask(REDEEM, reward=reward, key="wish-0001")
    told = (await lin.ask(ONE, id=reward))["reward"]["eligibility"]
    assert [one["code"] for one in told["obstacles"]] == ["LIMIT_REACHED", "OUT_OF_STOCK"]
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    told = (await chinese.ask(ONE, id=reward))["reward"]["eligibility"]
    assert [one["message"] for one in told["obstacles"]] == ["您已达到兑换上限", "已兑完"]


async def test_stock_comes_and_goes_once_by_its_key(system: System, unique: str) -> None:
    admin = administrator(system)
    reward, unlimited = await make_reward(system, stock=2), await make_reward(system)
    for _ in range(2):
        answer = (await admin.ask(RESTOCK, id=reward, change=3, key=unique))["restockReward"]
        assert (answer["stockAfter"], answer["reward"]) == (5, {"stock": 5})
    refused = (await admin.ask(RESTOCK, id=reward, change=4, key=unique))["restockReward"]
    assert refused["code"] == "IDEMPOTENCY_KEY_REUSED"
    refused = (await admin.ask(RESTOCK, id=reward, change=-6, key=new_id()))["restockReward"]
    assert (refused["code"], refused["path"]) == ("STOCK_TOO_LOW", ["input", "change"])
    assert "5 left" in refused["message"]
    refused = (await admin.ask(RESTOCK, id=unlimited, change=1, key=new_id()))["restockReward"]
    assert refused["code"] == "STOCK_NOT_COUNTED"
    refused = (await admin.ask(RESTOCK, id=global_id("Reward", new_id()), change=1, key=new_id()))["restockReward"]
    assert refused["code"] == "NOT_FOUND"


async def test_codes_are_added_and_none_is_repeated(system: System, unique: str) -> None:
    admin = administrator(system)
    pool = await make_reward(system, kind="COUPON")
    codes = [f"{unique}-1", f"{unique}-1", "no good", f"{unique}-2"]
    for _ in range(2):
        answer = await admin.ask(ADD, id=pool, codes=codes, key=unique)
        assert answer["addCouponCodes"] == {
            "__typename": "AddCouponCodesSuccess",
            "added": 2,
            "results": [
                {"index": 0, "outcome": "ADDED"},
                {"index": 1, "outcome": "DUPLICATE"},
                {"index": 2, "outcome": "INVALID"},
                {"index": 3, "outcome": "ADDED"},
            ],
            "reward": {"stock": 2},
        }
        assert unique not in str(answer)
    assert (await admin.ask(ADD, id=pool, codes=codes[:1], key=unique))["addCouponCodes"]["code"] == (
        "IDEMPOTENCY_KEY_REUSED"
    )
    error = await admin.fail(ADD, id=pool, codes=[], key=new_id())
    assert error["extensions"]["reason"] == "COUPON_BATCH_INVALID"
