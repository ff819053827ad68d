"""Alerts and tasks over HTTP: a manager sees why, of their own customers alone, and works them off."""

from typing import Any

import pytest

from api.relay import global_id
from core.clock import utc_now
from core.ids import new_id
from customers.alert_rules import BalanceDrop, Evidence
from customers.profiles import Customer
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import make_customers
from tests.customers.insight import OCTOBER, put, raise_one

pytestmark = pytest.mark.anyio

SERVE = """
MATCH (c:Customer {id: $id})
MERGE (e:Employee {id: $rm})
MERGE (c)-[:SERVED_BY]->(e)
"""
ALERTS = """
query($status: AlertStatus, $cause: AlertCause, $customerId: ID, $first: Int, $after: String) {
  alerts(status: $status, cause: $cause, customerId: $customerId, first: $first, after: $after) {
    edges { cursor node {
      id cause status why currency acknowledgedBy closedBy reason
      customer { displayName }
      evidence { __typename ... on BalanceDropEvidence { month average best atMostPercent leastDrop } }
    } }
    pageInfo { hasNextPage }
  }
}
"""
ACKNOWLEDGE = """
mutation($id: ID!) {
  acknowledgeAlert(input: {alertId: $id}) {
    __typename
    ... on AcknowledgeAlertSuccess { alert { status acknowledgedBy } }
    ... on Refusal { code path }
  }
}
"""
RESOLVE = """
mutation($id: ID!, $outcome: AlertOutcome!) {
  resolveAlert(input: {alertId: $id, outcome: $outcome, reason: CONTACTED}) {
    __typename
    ... on ResolveAlertSuccess { alert { status closedBy reason } }
    ... on Refusal { code path }
  }
}
"""
COMPLAIN = """
mutation {
  fileComplaint(input: {topic: FEES, text: "You charged me twice."}) { __typename ... on Refusal { code } }
}
"""
ALERT = "query($id: ID!) { alert(id: $id) { why } }"
TASKS = """
query($status: TaskStatus! = OPEN, $unassigned: Boolean! = false, $after: String = null) {
  tasks(status: $status, unassigned: $unassigned, first: 50, after: $after) {
    edges { node { kind status dueAt customer { id displayName } alert { id why } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
COSTS = {
    "alerts": (2, 1),
    "acknowledgeAlert": (1, 4),
    "resolveAlert": (1, 5),
    "tasks": (2, 2),
}
DROP = BalanceDrop(
    month=OCTOBER,
    average=140_000_00,
    best=260_000_00,
    best_month=OCTOBER,
    at_most_percent=70,
    least_drop=50_000_00,
)


def nodes(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [edge["node"] for edge in answer[name]["edges"]]


async def looked_after(system: System, manager: str | None, count: int = 1) -> list[str]:
    """So many customers, whom this manager looks after."""
    ids = await make_customers(system.edge.graph, count)
    rows = [{"id": one, "display_name": "Test", "created_at": utc_now()} for one in ids]
    await put(system.edge.database, Customer, *rows)
    for one in ids if manager else ():
        await system.edge.graph.write(SERVE, id=one, rm=manager)
    return ids


async def raised(system: System, customer_id: str, seen: Evidence = DROP) -> str:
    """The global id of an alert, raised now."""
    (alert_id,) = await raise_one(system.edge.database, customer_id, seen, now=utc_now())
    return global_id("Alert", alert_id)


def manager_of(system: System, unique: str, language: str = "en") -> Caller:
    return system.caller(f"rm-{unique}", "relationship_manager", language=language)


async def test_a_manager_sees_why_and_works_an_alert_off(system: System, unique: str) -> None:
    """Given an alert about an own customer, then the manager has a task, sees why, and by closing it ends both."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    alert = await raised(system, customer)
    await system.work()
    manager = manager_of(system, unique)
    (found,) = nodes(await manager.ask(ALERTS), "alerts")
    assert (found["id"], found["cause"], found["status"], found["currency"]) == (alert, "BALANCE_DROP", "OPEN", "CNY")
    assert found["evidence"] == {
        "__typename": "BalanceDropEvidence",
        "month": "2026-10-01",
        "average": 140_000_00,
        "best": 260_000_00,
        "atMostPercent": 70,
        "leastDrop": 50_000_00,
    }
    assert "140,000.00 CNY, is at most 70 % of 260,000.00 CNY" in found["why"]
    chinese = nodes(await manager_of(system, unique, "zh").ask(ALERTS), "alerts")[0]["why"]
    assert chinese.startswith("2026年10月月均140,000.00 CNY") and chinese.endswith("。")
    (task,) = nodes(await manager.ask(TASKS), "tasks")
    assert (task["kind"], task["customer"]["id"]) == ("ALERT", global_id("Customer", customer))
    assert task["alert"] == {"id": alert, "why": found["why"]}

    assert (await manager.ask(ACKNOWLEDGE, id=alert))["acknowledgeAlert"]["alert"] == {
        "status": "ACKNOWLEDGED",
        "acknowledgedBy": f"rm-{unique}",
    }
    again = (await manager.ask(ACKNOWLEDGE, id=alert))["acknowledgeAlert"]
    assert (again["code"], again["path"]) == ("ALERT_NOT_OPEN", ["input", "alertId"])
    closed = (await manager.ask(RESOLVE, id=alert, outcome="FALSE_POSITIVE"))["resolveAlert"]["alert"]
    assert closed == {"status": "FALSE_POSITIVE", "closedBy": f"rm-{unique}", "reason": "CONTACTED"}
    assert (await manager.ask(RESOLVE, id=alert, outcome="RESOLVED"))["resolveAlert"]["code"] == "ALERT_CLOSED"
    await system.work()
    assert nodes(await manager.ask(TASKS), "tasks") == []
    assert len(nodes(await manager.ask(TASKS, status="DONE"), "tasks")) == 1


async def test_a_second_complaint_warns_the_manager(system: System, unique: str) -> None:
    """Given a customer of a manager who files one complaint and then another, then the second one raises an alert in
    both languages, within moments and once."""
    lin, customer = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    await system.edge.graph.write(SERVE, id=customer, rm=f"rm-{unique}")
    manager = manager_of(system, unique)
    for count in (0, 1):
        assert (await lin.ask(COMPLAIN))["fileComplaint"]["__typename"] == "ComplaintSuccess"
        for _ in range(3):
            await system.work()
        found = nodes(await manager.ask(ALERTS), "alerts")
        assert [one["cause"] for one in found] == ["COMPLAINTS"] * count
    assert found[0]["why"].startswith("2 complaints in 90 days")
    chinese = nodes(await manager_of(system, unique, "zh").ask(ALERTS), "alerts")[0]["why"]
    assert "90天" in chinese and "投诉" in chinese


async def test_others_see_nothing_of_it(system: System, unique: str) -> None:
    """Given an alert, then for another manager it is as if absent, for customers forbidden, and nothing has changed."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    alert, absent = await raised(system, customer), global_id("Alert", new_id())
    await system.work()
    other = system.caller(f"other-{unique}", "relationship_manager")
    before = await state(system)
    assert nodes(await other.ask(ALERTS), "alerts") == nodes(await other.ask(TASKS), "tasks") == []
    for which in (alert, absent):
        for document, variables in ((ACKNOWLEDGE, {}), (RESOLVE, {"outcome": "RESOLVED"})):
            ((_, answer),) = (await other.ask(document, id=which, **variables)).items()
            assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "alertId"]}
        assert await other.ask(ALERT, id=which) == {"alert": None}
    one = await other.fail(ALERTS, customerId=global_id("Customer", customer))
    assert one["extensions"]["code"] == "NOT_FOUND"
    stranger = system.caller(f"s-{unique}", "customer")
    for document in (ALERTS, TASKS):
        assert (await stranger.fail(document))["extensions"]["code"] == "FORBIDDEN"
    unassigned = await manager_of(system, unique).fail(TASKS, unassigned=True)
    assert unassigned["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_alerts_are_filtered_and_paged(system: System, unique: str) -> None:
    one, two = await looked_after(system, f"rm-{unique}", 2)
    manager = manager_of(system, unique)
    for customer in (one, two):
        await raised(system, customer)
    first = (await manager.ask(ALERTS, first=1))["alerts"]
    assert first["pageInfo"]["hasNextPage"]
    rest = (await manager.ask(ALERTS, first=1, after=first["edges"][0]["cursor"]))["alerts"]
    assert not rest["pageInfo"]["hasNextPage"]
    assert first["edges"][0]["node"]["id"] != rest["edges"][0]["node"]["id"]
    mine = nodes(await manager.ask(ALERTS, customerId=global_id("Customer", two)), "alerts")
    assert len(mine) == 1
    assert nodes(await manager.ask(ALERTS, cause="DORMANT"), "alerts") == []
    assert nodes(await manager.ask(ALERTS, status="RESOLVED"), "alerts") == []
    # An administrator finds those of all customers.
    administrator = system.caller("he", "administrator")
    assert len(nodes(await administrator.ask(ALERTS, customerId=global_id("Customer", one)), "alerts")) == 1
    assert len(nodes(await administrator.ask(ALERTS, first=2), "alerts")) == 2


async def test_whose_customers_are_nobodys_are_shown_to_administrators(system: System) -> None:
    (customer,) = await looked_after(system, None)
    alert = await raised(system, customer)
    await system.work()
    administrator, of = system.caller("he", "administrator"), global_id("Customer", customer)
    # Other tests leave tasks that are nobody's either, of customers who are not in the graph among them.
    found, after, more = list[str](), None, True
    while more:
        answer = await administrator.ask(TASKS, unassigned=True, after=after)
        mine = [task for task in nodes(answer, "tasks") if (task["customer"] or {}).get("id") == of]
        found += [task["alert"]["id"] for task in mine]
        more, after = answer["tasks"]["pageInfo"]["hasNextPage"], answer["tasks"]["pageInfo"]["endCursor"]
    assert found == [alert]


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given ten customers with an alert each, then lists cost what they cost for one."""
    ids = await looked_after(system, f"rm-{unique}", 10)
    alerts = [await raised(system, customer) for customer in ids]
    await system.work()
    manager = manager_of(system, unique)
    assert {
        "alerts": await cost(system, manager, ALERTS),
        "acknowledgeAlert": await cost(system, manager, ACKNOWLEDGE, id=alerts[0]),
        "resolveAlert": await cost(system, manager, RESOLVE, id=alerts[0], outcome="RESOLVED"),
        "tasks": await cost(system, manager, TASKS),
    } == COSTS
