"""Policies of follow-ups and of entitlements over HTTP, and what a tier is entitled to."""

import asyncio
from typing import Any

import pytest

from api.relay import global_id
from core.ids import new_id
from graph.eligibility import Tier
from service.entitlements import STANDARD_ENTITLEMENTS
from service.follow_up_definition import STANDARD_FOLLOW_UPS
from tests.api.conftest import System
from tests.api.test_alerts import looked_after, manager_of
from tests.api.test_denials import state
from tests.api.test_insight_policies import mutation, policies
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.service.serving import set_tier

pytestmark = pytest.mark.anyio

POLICY = "policy { id number status createdBy activatedBy }"
CREATE_FOLLOW_UPS = mutation("createFollowUpPolicy", "$definition: JSON!", POLICY)
ACTIVATE_FOLLOW_UPS = mutation("activateFollowUpPolicy", "$policyId: ID!", POLICY)
CREATE_ENTITLEMENTS = mutation("createEntitlementPolicy", "$definition: JSON!", POLICY)
ACTIVATE_ENTITLEMENTS = mutation("activateEntitlementPolicy", "$policyId: ID!", POLICY)
POLICIES = """
{
  followUpPolicies(first: 100) { edges { node { id number status definition } } }
  entitlementPolicies(first: 100) { edges { node { id number status definition } } }
}
"""
ENTITLEMENTS = """
query($customer: ID) {
  entitlements(customerId: $customer) {
    tier ownManager greenChannel priority earlyInvitationHours contentLevel
  }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
FOLLOW_UPS: dict[str, Any] = STANDARD_FOLLOW_UPS.model_dump(mode="json")
TABLE: dict[str, Any] = STANDARD_ENTITLEMENTS.model_dump(mode="json")
COSTS = {
    "createFollowUpPolicy": (0, 4),
    "activateFollowUpPolicy": (0, 7),
    "createEntitlementPolicy": (0, 4),
    "activateEntitlementPolicy": (0, 7),
    "entitlements": (0, 3),
}


async def test_a_policy_is_written_and_activated_once(system: System) -> None:
    """Given two drafts of the same, when one is activated eight times at once, then it decides, and no other."""
    administrator = system.caller("he", "administrator")
    for definition, create, activate, name, kind in (
        (FOLLOW_UPS, CREATE_FOLLOW_UPS, ACTIVATE_FOLLOW_UPS, "followUpPolicies", "FollowUpPolicy"),
        (TABLE, CREATE_ENTITLEMENTS, ACTIVATE_ENTITLEMENTS, "entitlementPolicies", "EntitlementPolicy"),
    ):
        former = policies(await administrator.ask(POLICIES), name)[0]
        ((_, answer),) = (await administrator.ask(create, definition=definition)).items()
        draft = answer["policy"]
        assert (draft["number"], draft["status"], draft["createdBy"]) == (former["number"] + 1, "DRAFT", "he")
        answers = await asyncio.gather(*(administrator.ask(activate, policyId=draft["id"]) for _ in range(8)))
        kinds = sorted(next(iter(one.values()))["__typename"] for one in answers)
        assert kinds == [f"Activate{kind}Success"] + ["Refusal"] * 7
        found = policies(await administrator.ask(POLICIES), name)
        assert [one["id"] for one in found if one["status"] == "ACTIVE"] == [draft["id"]]
        assert found[0]["definition"] == definition
        assert (await administrator.ask(NODE, id=draft["id"]))["node"]["__typename"] == kind
        ((_, absent),) = (await administrator.ask(activate, policyId=global_id(kind, new_id()))).items()
        assert absent["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("create", "definition", "reason", "path"),
    [
        (CREATE_FOLLOW_UPS, {"tiers": {"GOLD": {}}}, "FOLLOW_UP_POLICY_INVALID", ["definition", "tiers"]),
        (
            CREATE_FOLLOW_UPS,
            {"tiers": {"VIP": {"CONTACT": {"days": 30, "counts": ["BROADCAST"]}}}},
            "FOLLOW_UP_POLICY_INVALID",
            ["definition", "tiers", "VIP", "CONTACT", "counts"],
        ),
        (CREATE_ENTITLEMENTS, {"tiers": {"VIP": {}}}, "ENTITLEMENT_POLICY_INVALID", ["definition", "tiers"]),
        (
            CREATE_ENTITLEMENTS,
            {"tiers": TABLE["tiers"] | {"VIP": {"priority": 10}}},
            "ENTITLEMENT_POLICY_INVALID",
            ["definition", "tiers", "VIP", "priority"],
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_its_path(
    system: System, create: str, definition: dict[str, Any], reason: str, path: list[str]
) -> None:
    error = await system.caller("he", "administrator").fail(create, definition=definition)
    assert error["extensions"]["reason"] == reason
    assert error["extensions"]["inputPath"][: len(path)] == path


async def test_only_administrators_write_policies(system: System, unique: str) -> None:
    before = await state(system)
    given: list[tuple[str, dict[str, Any]]] = [
        (CREATE_FOLLOW_UPS, {"definition": FOLLOW_UPS}),
        (ACTIVATE_FOLLOW_UPS, {"policyId": global_id("FollowUpPolicy", new_id())}),
        (CREATE_ENTITLEMENTS, {"definition": TABLE}),
        (ACTIVATE_ENTITLEMENTS, {"policyId": global_id("EntitlementPolicy", new_id())}),
        (POLICIES, {}),
    ]
    for document, variables in given:
        for who in (manager_of(system, unique), system.caller(f"s-{unique}", "customer")):
            assert (await who.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_a_tier_has_what_the_table_says(system: System, unique: str) -> None:
    """Given a newcomer and a VIP, then each sees their own, their manager theirs, and nobody else's."""
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    await set_tier(system.edge.database, local_of(f"wu-{unique}"), Tier.VIP)
    mine = (await lin.ask(ENTITLEMENTS))["entitlements"]
    assert mine == {
        "tier": "MASS",
        "ownManager": False,
        "greenChannel": False,
        "priority": 0,
        "earlyInvitationHours": 0,
        "contentLevel": "BASIC",
    }
    theirs = (await wu.ask(ENTITLEMENTS))["entitlements"]
    assert (theirs["tier"], theirs["greenChannel"], theirs["earlyInvitationHours"]) == ("VIP", True, 48)
    id = global_id("Customer", local_of(f"wu-{unique}"))
    for who in (lin, manager_of(system, unique)):
        assert (await who.fail(ENTITLEMENTS, customer=id))["extensions"]["code"] == "FORBIDDEN"
    assert (await system.caller("he", "administrator").ask(ENTITLEMENTS, customer=id))["entitlements"] == theirs
    (own,) = await looked_after(system, f"rm-{unique}")
    found = await manager_of(system, unique).ask(ENTITLEMENTS, customer=global_id("Customer", own))
    assert found["entitlements"]["tier"] == "MASS"


async def test_what_it_costs(system: System, unique: str) -> None:
    administrator, lin = system.caller("he", "administrator"), await system.customer(f"lin-{unique}")
    ((_, follow),) = (await administrator.ask(CREATE_FOLLOW_UPS, definition=FOLLOW_UPS)).items()
    ((_, table),) = (await administrator.ask(CREATE_ENTITLEMENTS, definition=TABLE)).items()
    assert {
        "createFollowUpPolicy": await cost(system, administrator, CREATE_FOLLOW_UPS, definition=FOLLOW_UPS),
        "activateFollowUpPolicy": await cost(
            system, administrator, ACTIVATE_FOLLOW_UPS, policyId=follow["policy"]["id"]
        ),
        "createEntitlementPolicy": await cost(system, administrator, CREATE_ENTITLEMENTS, definition=TABLE),
        "activateEntitlementPolicy": await cost(
            system, administrator, ACTIVATE_ENTITLEMENTS, policyId=table["policy"]["id"]
        ),
        "entitlements": await cost(system, lin, ENTITLEMENTS),
    } == COSTS
