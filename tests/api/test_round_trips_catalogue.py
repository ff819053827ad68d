"""What catalogue and redemptions cost in both stores, which is the same for one row and for many."""

import pytest

from core.ids import new_id
from tests.api.conftest import System
from tests.api.test_catalogue import ADD, LIST, RESTOCK, RETIRE, UPDATE
from tests.api.test_redemptions import CANCEL, FAIL, FULFILL, MINE, USE, VOUCHERS, administrator, partner
from tests.api.test_round_trips import cost
from tests.api.test_way_through import REDEEM, local_of, make_reward
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

# Round trips to the graph and statements to SQL of each.
COSTS = {
    "redeemReward (with conditions)": (1, 18),
    "redeemReward (coupon)": (0, 21),
    "redeemReward (partner)": (0, 21),
    "updateReward": (0, 9),
    "restockReward": (0, 8),
    "addCouponCodes": (0, 8),
    "fulfillRedemption": (0, 7),
    "failRedemption": (0, 22),
    "cancelRedemption": (0, 20),
    "useVoucher": (0, 5),
    "retireReward": (0, 3),
}


async def test_the_cost_of_each_act(system: System, unique: str) -> None:
    lin, admin = await system.customer(f"lin-{unique}"), administrator(system)
    await system.edge.graph.write("MATCH (c:Customer {id: $id}) SET c.tier = 'VIP'", id=local_of(f"lin-{unique}"))
    await give(system.edge.database, local_of(f"lin-{unique}"), 9000)
    vip = await make_reward(system, minimumTier="VIP", requiredTags=[])
    pool = await make_reward(system, kind="COUPON")
    partners = await make_reward(system, kind="PARTNER", stock=9, limitPerCustomer=9, limitPerPeriod=9, periodDays=9)
    codes = [f"{unique}-{number}" for number in range(100)]
    costs = {
        "addCouponCodes": await cost(system, admin, ADD, id=pool, codes=codes, key=unique),
        "redeemReward (with conditions)": await cost(system, lin, REDEEM, reward=vip, key=new_id()),
        "redeemReward (coupon)": await cost(system, lin, REDEEM, reward=pool, key=new_id()),
        "redeemReward (partner)": await cost(system, lin, REDEEM, reward=partners, key=new_id()),
    }
    made = [
        (await lin.ask(REDEEM, reward=partners, key=new_id()))["redeemReward"]["redemption"]["id"] for _ in range(3)
    ]
    costs |= {
        "fulfillRedemption": await cost(system, partner(system), FULFILL, id=made[0], reference="T"),
        "failRedemption": await cost(system, partner(system), FAIL, id=made[1], reason="none"),
        "cancelRedemption": await cost(system, lin, CANCEL, id=made[2]),
        "useVoucher": await cost(system, partner(system), USE, code=codes[0]),
        "updateReward": await cost(system, admin, UPDATE, input={"rewardId": pool, "price": 7}),
        "restockReward": await cost(system, admin, RESTOCK, id=partners, change=1, key=new_id()),
        "retireReward": await cost(system, admin, RETIRE, id=pool, reason="over"),
    }
    assert costs == COSTS


async def test_lists_cost_the_same_for_one_row_and_for_many(system: System, unique: str) -> None:
    """Given a reward of each kind with conditions and a voucher of each, then twice as many, then the same costs."""
    lin = await system.customer(f"lin-{unique}")
    await system.edge.graph.write("MATCH (c:Customer {id: $id}) SET c.tier = 'VIP'", id=local_of(f"lin-{unique}"))
    await give(system.edge.database, local_of(f"lin-{unique}"), 9000)
    found: list[dict[str, tuple[int, int]]] = []
    documents = LIST.replace("first: 2", "first: 50")
    for number in range(3):
        for kind in ("VOUCHER", "COUPON", "PARTNER"):
            limits = {"limitPerCustomer": 5, "limitPerPeriod": 5, "periodDays": 5}
            reward = await make_reward(system, kind=kind, category=unique, minimumTier="VIP", **limits)
            if kind == "COUPON":
                await administrator(system).ask(ADD, id=reward, codes=[f"{unique}-{number}"], key=new_id())
            await lin.ask(REDEEM, reward=reward, key=new_id())
        if number != 1:
            found.append(
                {
                    "rewards": await cost(system, lin, documents, category=unique, affordable=True),
                    "redemptions": await cost(system, lin, MINE),
                    "vouchers": await cost(system, lin, VOUCHERS, status=None),
                }
            )
    assert found[0] == found[1]
    # What is left and whether anything is are two questions about pools, of which this list asks both.
    assert found[0] == {"rewards": (1, 9), "redemptions": (0, 3), "vouchers": (0, 3)}
