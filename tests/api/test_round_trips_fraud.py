"""Store round trips of what reviewers do: counted, and the same however many rows there are."""

import pytest

from tests.api.conftest import System
from tests.api.test_fraud import (
    CASE,
    DECIDE,
    DECLARE,
    END,
    QUEUE,
    REVIEW,
    admin,
    customer_gid,
    held_rewards,
    refer,
)
from tests.api.test_round_trips import cost

pytestmark = pytest.mark.anyio

# Round trips to the graph and statements to SQL of each.
COSTS = {
    "fraudCase": (1, 3),
    "rewardReviewQueue": (1, 3),
    "reviewReferralReward (approved)": (0, 10),
    "reviewReferralReward (denied)": (0, 14),
    # For two rewards; it grows with what the case holds, because each decision is kept and audited by itself.
    "decideFraudCase": (0, 20),
    "declareHousehold": (1, 5),
    "endHousehold": (0, 4),
}


async def test_the_cost_of_what_reviewers_do(system: System, unique: str) -> None:
    people = await refer(system, unique)
    others = await refer(system, f"{unique}x")
    await system.work()
    held, more = await held_rewards(system, *people), await held_rewards(system, *others)
    given = {"reason": "seen the papers"}
    ids = [customer_gid(subject) for subject in people]
    staff, case = admin(system), held[0]["case"]["id"]
    looked = await cost(system, staff, CASE, id=case)
    queue = await cost(system, staff, QUEUE, first=50)
    approved = await cost(system, staff, REVIEW, id=held[0]["reward"]["id"], decision="APPROVE", **given)
    denied = await cost(system, staff, REVIEW, id=held[1]["reward"]["id"], decision="DENY", **given)
    decided = await cost(system, staff, DECIDE, id=more[0]["case"]["id"], decision="DENY", **given)
    declared = await cost(system, staff, DECLARE, ids=ids, **given)
    household = (await staff.ask(DECLARE, ids=[customer_gid(one) for one in others], **given))["declareHousehold"]
    ended = await cost(system, staff, END, id=household["household"]["id"], **given)
    assert {
        "fraudCase": looked,
        "rewardReviewQueue": queue,
        "reviewReferralReward (approved)": approved,
        "reviewReferralReward (denied)": denied,
        "decideFraudCase": decided,
        "declareHousehold": declared,
        "endHousehold": ended,
    } == COSTS
