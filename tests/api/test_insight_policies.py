"""Policies of early warning and needs over HTTP: written, tried over customers, and activated once."""

import asyncio
from typing import Any

import pytest

from api.relay import global_id
from core.ids import new_id
from customers.alert_definition import STANDARD_ALERTS
from customers.insight_policies import PolicyKind, active_policy
from customers.need_definition import STANDARD_NEEDS
from tests.api.conftest import System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost

pytestmark = pytest.mark.anyio

POLICIES = """
{
  alertPolicies(first: 100) { edges { node { id number status definition createdBy activatedBy } } }
  needPolicies(first: 100) { edges { node { id number status definition createdBy activatedBy } } }
}
"""


def mutation(name: str, argument: str, shown: str) -> str:
    success = name[0].upper() + name[1:]
    return (
        f"mutation({argument}) {{ {name}(input: {{{', '.join(map(passed, argument.split(', ')))}}}) {{ __typename "
        f"... on {success}Success {{ {shown} }} ... on Refusal {{ code path }} }} }}"
    )


def passed(declared: str) -> str:
    name = declared.removeprefix("$").partition(":")[0]
    return f"{name}: ${name}"


POLICY = "policy { id number status createdBy activatedBy }"
PREVIEW = "preview { counts { name count } lookedAt customers }"
CREATE_ALERTS = mutation("createAlertPolicy", "$definition: JSON!", POLICY)
PREVIEW_ALERTS = mutation("previewAlertPolicy", "$policyId: ID!", PREVIEW)
ACTIVATE_ALERTS = mutation("activateAlertPolicy", "$policyId: ID!", POLICY)
CREATE_NEEDS = mutation("createNeedPolicy", "$definition: JSON!", POLICY)
PREVIEW_NEEDS = mutation("previewNeedPolicy", "$policyId: ID!", PREVIEW)
ACTIVATE_NEEDS = mutation("activateNeedPolicy", "$policyId: ID!", POLICY)
COSTS = {
    "createAlertPolicy": (0, 5),
    "previewAlertPolicy": (0, 40),
    "activateAlertPolicy": (0, 7),
    "createNeedPolicy": (0, 6),
    "previewNeedPolicy": (0, 40),
    "activateNeedPolicy": (0, 7),
}


def policies(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [edge["node"] for edge in answer[name]["edges"]]


async def test_a_policy_is_written_tried_and_activated_once(system: System) -> None:
    """Given a draft, when it is activated, then it decides and the one before is retired for good."""
    administrator = system.caller("he", "administrator")
    for kind, standard, create, activate, name in (
        (PolicyKind.ALERTS, STANDARD_ALERTS, CREATE_ALERTS, ACTIVATE_ALERTS, "alertPolicies"),
        (PolicyKind.NEEDS, STANDARD_NEEDS, CREATE_NEEDS, ACTIVATE_NEEDS, "needPolicies"),
    ):
        definition = standard.model_dump(mode="json")
        former = policies(await administrator.ask(POLICIES), name)[0]
        ((_, answer),) = (await administrator.ask(create, definition=definition)).items()
        draft = answer["policy"]
        assert (draft["status"], draft["createdBy"], draft["activatedBy"]) == ("DRAFT", "he", None)
        assert draft["number"] == former["number"] + 1
        ((_, answer),) = (await administrator.ask(activate, policyId=draft["id"])).items()
        assert (answer["policy"]["status"], answer["policy"]["activatedBy"]) == ("ACTIVE", "he")
        found = policies(await administrator.ask(POLICIES), name)
        assert [one["status"] for one in found if one["status"] == "ACTIVE"] == ["ACTIVE"]
        assert found[0]["definition"] == definition
        for one in (draft, former):
            ((_, answer),) = (await administrator.ask(activate, policyId=one["id"])).items()
            assert (answer["code"], answer["path"]) == ("POLICY_NOT_DRAFT", ["input", "policyId"])
        ((_, answer),) = (await administrator.ask(activate, policyId=global_id(name_of(kind), new_id()))).items()
        assert answer["code"] == "NOT_FOUND"
        async with system.edge.database.read() as session:
            assert global_id(name_of(kind), (await active_policy(session, kind)).id) == draft["id"]


def name_of(kind: PolicyKind) -> str:
    return {PolicyKind.ALERTS: "AlertPolicy", PolicyKind.NEEDS: "NeedPolicy"}[kind]


async def test_what_cannot_be_is_refused_with_its_place(system: System) -> None:
    administrator = system.caller("he", "administrator")
    before = await state(system)
    condition = {"all": [{"trait": {"name": "assets", "gte": "much"}}]}
    rule = {"key": "a", "need": "NONE", "name_zh": "一", "name_en": "A", "condition": {"tier": {"in": ["VIP"]}}}
    for document, definition, reason, path in (
        (CREATE_ALERTS, {"dormant": {"days": 0}}, "ALERT_POLICY_INVALID", ["dormant", "days"]),
        (
            CREATE_ALERTS,
            {"conditions": [{"key": "a", "name_zh": "一", "name_en": "A", "condition": condition}]},
            "CONDITION_INVALID",
            ["conditions", "0", "condition", "all", "0", "trait", "gte"],
        ),
        (CREATE_NEEDS, {"rules": [rule]}, "NEED_POLICY_INVALID", ["rules", "0", "need"]),
        (CREATE_NEEDS, {"dismissedDays": 3}, "NEED_POLICY_INVALID", ["dismissedDays"]),
    ):
        error = (await administrator.fail(document, definition=definition))["extensions"]
        assert (error["reason"], error["inputPath"]) == (reason, ["definition", *path])
    assert await state(system) == before


async def test_two_policies_activated_at_once_leave_one_active(system: System) -> None:
    administrator = system.caller("he", "administrator")
    definition = STANDARD_ALERTS.model_dump(mode="json")
    drafts = [(await administrator.ask(CREATE_ALERTS, definition=definition)) for _ in range(4)]
    ids = [draft["createAlertPolicy"]["policy"]["id"] for draft in drafts]
    answers = await asyncio.gather(*(administrator.ask(ACTIVATE_ALERTS, policyId=one) for one in ids * 2))
    outcomes = [one["activateAlertPolicy"]["__typename"] for one in answers]
    assert sorted(outcomes) == 4 * ["ActivateAlertPolicySuccess"] + 4 * ["Refusal"]
    statuses = [one["status"] for one in policies(await administrator.ask(POLICIES), "alertPolicies")]
    assert statuses.count("ACTIVE") == 1


async def test_what_it_costs_and_a_preview_changes_nothing(system: System, unique: str) -> None:
    administrator, _ = system.caller("he", "administrator"), await system.customer(f"lin-{unique}")
    alerts, needs = (standard.model_dump(mode="json") for standard in (STANDARD_ALERTS, STANDARD_NEEDS))
    alert_id = (await administrator.ask(CREATE_ALERTS, definition=alerts))["createAlertPolicy"]["policy"]["id"]
    need_id = (await administrator.ask(CREATE_NEEDS, definition=needs))["createNeedPolicy"]["policy"]["id"]
    before = await state(system)
    answer = (await administrator.ask(PREVIEW_ALERTS, policyId=alert_id))["previewAlertPolicy"]["preview"]
    assert 0 < answer["lookedAt"] <= answer["customers"]
    answer = (await administrator.ask(PREVIEW_NEEDS, policyId=need_id))["previewNeedPolicy"]["preview"]
    assert 0 < answer["lookedAt"] <= answer["customers"]
    assert await state(system) == before
    found = {
        "createAlertPolicy": await cost(system, administrator, CREATE_ALERTS, definition=alerts),
        "activateAlertPolicy": await cost(system, administrator, ACTIVATE_ALERTS, policyId=alert_id),
        "createNeedPolicy": await cost(system, administrator, CREATE_NEEDS, definition=needs),
        "activateNeedPolicy": await cost(system, administrator, ACTIVATE_NEEDS, policyId=need_id),
    }
    assert found == {name: COSTS[name] for name in found}
    # Over four places among the customers' ids, some of which may have nobody.
    for name, document, policy_id in (
        ("previewAlertPolicy", PREVIEW_ALERTS, alert_id),
        ("previewNeedPolicy", PREVIEW_NEEDS, need_id),
    ):
        graph, sql = await cost(system, administrator, document, policyId=policy_id)
        assert (graph, sql <= COSTS[name][1]) == (0, True)
