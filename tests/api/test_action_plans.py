"""Action plans over HTTP: templates by administrators, plans by who looks after the customer."""

from typing import Any

import pytest

from api.relay import global_id
from core.ids import new_id
from tests.api.conftest import System
from tests.api.test_alerts import looked_after, manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_insight_policies import mutation
from tests.api.test_round_trips import cost
from tests.api.test_tasks import COMPLETE, TASKS

pytestmark = pytest.mark.anyio

TEMPLATE = (
    "template { id name createdBy retiredAt condition trigger { on value } steps { text offset days withinDays who } }"
)
PLAN = (
    "plan { id status reason endedBy template { id } customer { id } "
    "steps { id position text status dueOn isProvisional taskId } }"
)
CREATE = mutation("createActionPlanTemplate", "$definition: JSON!", TEMPLATE)
RETIRE = mutation("retireActionPlanTemplate", "$templateId: ID!", TEMPLATE)
START = mutation("startActionPlan", "$customerId: ID!, $templateId: ID!", PLAN)
CANCEL = mutation("cancelActionPlan", "$planId: ID!, $reason: TaskCancelReason!", PLAN)
TEMPLATES = """
query($retired: Boolean! = false) {
  actionPlanTemplates(first: 100, retired: $retired) { edges { node { id name steps { text } } } }
}
"""
PLANS = """
query($customer: ID, $status: ActionPlanStatus) {
  actionPlans(first: 50, customerId: $customer, status: $status) {
    edges { node { id status beginsOn startedBy template { name } customer { displayName }
                   steps { position text status dueOn taskId } } }
  }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
COSTS = {
    "createActionPlanTemplate": (0, 4),
    "retireActionPlanTemplate": (0, 3),
    "startActionPlan": (2, 13),
    "cancelActionPlan": (2, 14),
    "actionPlans": (2, 5),
}
WELCOME: dict[str, Any] = {
    "name_zh": "新贵宾欢迎计划",
    "name_en": "Welcome a new VIP",
    "steps": [
        {"text_zh": "致电欢迎", "text_en": "Call and welcome", "offset": 0, "within_days": 2},
        {"text_zh": "当面拜访", "text_en": "Meet face to face", "offset": 5, "days": "WORKING"},
    ],
}


async def template_of(system: System, **more: Any) -> str:
    answer = await system.caller("he", "administrator").ask(CREATE, definition=WELCOME | more)
    return answer["createActionPlanTemplate"]["template"]["id"]


async def test_a_plan_is_started_worked_off_and_told_in_both_languages(system: System, unique: str) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    template = await template_of(system)
    plan = (await manager.ask(START, customerId=id, templateId=template))["startActionPlan"]["plan"]
    assert [step["status"] for step in plan["steps"]] == ["PENDING", "PENDING"]
    assert (plan["template"]["id"], plan["customer"]["id"]) == (template, id)
    assert plan["steps"][0]["isProvisional"] is False
    again = (await manager.ask(START, customerId=id, templateId=template))["startActionPlan"]
    assert again["plan"]["id"] == plan["id"]
    administrator = system.caller("he", "administrator")
    again = (await administrator.ask(START, customerId=id, templateId=template))["startActionPlan"]
    assert (again["code"], again["path"]) == ("ACTION_PLAN_ACTIVE", ["input", "templateId"])
    await system.work()
    (task,) = nodes(await manager.ask(TASKS), "tasks")
    assert (task["kind"], task["title"], task["planStep"]) == ("PLAN_STEP", "Call and welcome", {"status": "OPEN"})
    (found,) = nodes(await manager_of(system, unique, "zh").ask(PLANS, customer=id), "actionPlans")
    assert (found["template"]["name"], found["startedBy"]) == ("新贵宾欢迎计划", f"rm-{unique}")
    assert [step["text"] for step in found["steps"]] == ["致电欢迎", "当面拜访"]
    assert [step["taskId"] for step in found["steps"]] == [task["id"], None]
    await manager.ask(COMPLETE, id=task["id"])
    ended = (await manager.ask(CANCEL, planId=plan["id"], reason="CUSTOMER_DECLINED"))["cancelActionPlan"]["plan"]
    assert (ended["status"], ended["reason"]) == ("CANCELLED", "CUSTOMER_DECLINED")
    assert [step["status"] for step in ended["steps"]] == ["DONE", "CANCELLED"]
    assert nodes(await manager.ask(PLANS, status="ACTIVE", customer=id), "actionPlans") == []


async def test_templates_are_written_and_retired_by_administrators(system: System, unique: str) -> None:
    template = await template_of(
        system, trigger={"on": "TIER_ENTERED", "value": "VIP"}, condition={"tier": {"in": ["VIP"]}}
    )
    administrator = system.caller("he", "administrator")
    bad = await administrator.fail(CREATE, definition=WELCOME | {"steps": []})
    assert (bad["extensions"]["reason"], bad["extensions"]["inputPath"]) == (
        "ACTION_PLAN_TEMPLATE_INVALID",
        ["definition", "steps"],
    )
    for _ in range(2):
        retired = (await administrator.ask(RETIRE, templateId=template))["retireActionPlanTemplate"]["template"]
        assert retired["retiredAt"] is not None
        assert retired["trigger"] == {"on": "TIER_ENTERED", "value": "VIP"}
    manager = manager_of(system, unique)
    assert template not in [one["id"] for one in nodes(await manager.ask(TEMPLATES), "actionPlanTemplates")]
    assert template in [one["id"] for one in nodes(await manager.ask(TEMPLATES, retired=True), "actionPlanTemplates")]
    (customer,) = await looked_after(system, f"rm-{unique}")
    refused = await manager.ask(START, customerId=global_id("Customer", customer), templateId=template)
    assert refused["startActionPlan"]["code"] == "ACTION_PLAN_TEMPLATE_RETIRED"
    assert (await manager.ask(NODE, id=template))["node"]["__typename"] == "ActionPlanTemplate"


async def test_others_start_cancel_and_see_no_plans(system: System, unique: str) -> None:
    """Given a plan, then for another manager it is as if absent, for customers forbidden, and nothing has changed."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    id, template = global_id("Customer", customer), await template_of(system)
    plan = (await manager_of(system, unique).ask(START, customerId=id, templateId=template))["startActionPlan"]["plan"]
    other = system.caller(f"other-{unique}", "relationship_manager")
    stranger = system.caller(f"s-{unique}", "customer")
    before = await state(system)
    for which in (plan["id"], global_id("ActionPlan", new_id())):
        answer = (await other.ask(CANCEL, planId=which, reason="OTHER"))["cancelActionPlan"]
        assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "planId"]}
        assert await other.ask(NODE, id=which) == {"node": None}
    assert nodes(await other.ask(PLANS), "actionPlans") == []
    assert (await other.fail(PLANS, customer=id))["extensions"]["code"] == "NOT_FOUND"
    forbidden: list[tuple[str, dict[str, Any]]] = [
        (CREATE, {"definition": WELCOME}),
        (RETIRE, {"templateId": template}),
        (START, {"customerId": id, "templateId": template}),
    ]
    for document, given in forbidden:
        for who in (other, stranger):
            assert (await who.fail(document, **given))["extensions"]["code"] == "FORBIDDEN"
    for document, given in ((PLANS, {}), (TEMPLATES, {}), (CANCEL, {"planId": plan["id"], "reason": "OTHER"})):
        assert (await stranger.fail(document, **given))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given a manager with ten plans, then the list costs what it costs for one."""
    ids = [global_id("Customer", one) for one in await looked_after(system, f"rm-{unique}", 11)]
    manager, template = manager_of(system, unique), await template_of(system)
    administrator = system.caller("he", "administrator")
    plans = [
        (await manager.ask(START, customerId=one, templateId=template))["startActionPlan"]["plan"]["id"]
        for one in ids[:10]
    ]
    await system.work()
    assert {
        "createActionPlanTemplate": await cost(system, administrator, CREATE, definition=WELCOME),
        "startActionPlan": await cost(system, manager, START, customerId=ids[10], templateId=template),
        "actionPlans": await cost(system, manager, PLANS),
        "cancelActionPlan": await cost(system, manager, CANCEL, planId=plans[0], reason="OTHER"),
        "retireActionPlanTemplate": await cost(system, administrator, RETIRE, templateId=template),
    } == COSTS
