"""Until when advice and reviews are due: what the active table of entitlements gives to a tier, 48 hours and 5 days."""

from datetime import timedelta
from typing import Any

import pytest

from core.clock import parse_instant, utc_now
from graph.eligibility import Tier
from service.suitability import ProductRisk, RiskClass
from service.suitability_findings import Held, SuitabilityFinding, review_holdings
from tests.api.conftest import Caller, System
from tests.api.test_advice import ASK
from tests.api.test_alerts import SERVE, TASKS, manager_of, nodes
from tests.api.test_service_policies import ACTIVATE_ENTITLEMENTS, CREATE_ENTITLEMENTS, TABLE
from tests.api.test_way_through import local_of
from tests.service.serving import set_tier
from tests.service.suiting import assess_one, rate

pytestmark = pytest.mark.anyio

TIMES = "{ entitlements { tier adviceAnswerHours suitabilityReviewDays } }"


async def activate(administrator: Caller, table: dict[str, Any]) -> None:
    made = (await administrator.ask(CREATE_ENTITLEMENTS, definition=table))["createEntitlementPolicy"]["policy"]
    await administrator.ask(ACTIVATE_ENTITLEMENTS, policyId=made["id"])


async def hours_to_answer(system: System, unique: str, lin: Caller) -> list[int]:
    """Ask an advisor, and see in how many hours the tasks of all that was asked are due, the soonest first."""
    assert (await lin.ask(ASK, text="Shall I?"))["askAdvisor"]["__typename"] == "AskAdvisorSuccess"
    await system.work()
    tasks = nodes(await manager_of(system, unique).ask(TASKS), "tasks")
    due = [parse_instant(one["dueAt"]) - utc_now() for one in tasks if one["kind"] == "ADVICE"]
    return sorted(round(one / timedelta(hours=1)) for one in due)


async def days_to_review(system: System, customer_id: str, code: str) -> timedelta:
    async with system.edge.database.write() as session:
        (id,) = await review_holdings(session, [Held(customer_id, code)], now=utc_now())
        found = await session.get_one(SuitabilityFinding, id)
        return found.due_at - found.found_at


async def test_times_are_those_of_the_tier_in_the_active_table(own_system: System, unique: str) -> None:
    """Given the first table, then a VIP is answered within 48 hours and reviewed within 5 days; given another one, then
    what is asked and found from then on is due sooner, for VIPs alone, and they can read so."""
    system, administrator = own_system, own_system.caller("he", "administrator")
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    wu, other = await system.customer(f"wu-{unique}"), local_of(f"wu-{unique}")
    await set_tier(system.edge.database, me, Tier.VIP)
    for one in (me, other):
        await system.edge.graph.write(SERVE, id=one, rm=f"rm-{unique}")
        await assess_one(system.edge.database, one, RiskClass.C1)
    for code in ("A", "B"):
        await rate(system.edge.database, f"{code}-{unique}", ProductRisk.R5)
    first = {"tier": "VIP", "adviceAnswerHours": 48, "suitabilityReviewDays": 5}
    assert (await lin.ask(TIMES))["entitlements"] == first
    assert await hours_to_answer(system, unique, lin) == [48]
    assert await days_to_review(system, me, f"A-{unique}") == timedelta(days=5)

    soon = {**TABLE["tiers"]["VIP"], "answer_hours": 4, "review_days": 2}
    await activate(administrator, {"tiers": {**TABLE["tiers"], "VIP": soon}})
    assert (await lin.ask(TIMES))["entitlements"] == {**first, "adviceAnswerHours": 4, "suitabilityReviewDays": 2}
    assert await days_to_review(system, me, f"B-{unique}") == timedelta(days=2)
    assert await days_to_review(system, other, f"B-{unique}") == timedelta(days=5)
    # What was asked before keeps its time, and so does who is of another tier.
    assert await hours_to_answer(system, unique, lin) == [4, 48]
    assert await hours_to_answer(system, unique, wu) == [4, 48, 48]


async def test_times_that_cannot_be_are_refused(own_system: System, unique: str) -> None:
    administrator = own_system.caller("he", "administrator")
    for wrong in ({"answer_hours": 0}, {"answer_hours": 721}, {"review_days": 0}, {"review_days": 91}):
        table = {"tiers": {**TABLE["tiers"], "VIP": {**TABLE["tiers"]["VIP"], **wrong}}}
        error = await administrator.fail(CREATE_ENTITLEMENTS, definition=table)
        assert error["extensions"]["reason"] == "ENTITLEMENT_POLICY_INVALID"
    stranger = own_system.caller(f"rm-{unique}", "relationship_manager")
    assert (await stranger.fail(CREATE_ENTITLEMENTS, definition=TABLE))["extensions"]["code"] == "FORBIDDEN"
