"""Service breaks over HTTP: a manager sees and repairs those of their own customers, administrators write the rules."""

from typing import Any

import pytest
from sqlmodel import select

from api.relay import global_id
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.facts import NewFact, record_facts
from core.ids import new_id
from tests.api.conftest import System
from tests.api.test_alerts import TASKS, looked_after, manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.service.promised import DAY, own_kind

pytestmark = pytest.mark.anyio

BREAKS = """
query($status: ServiceBreakStatus, $rule: ID, $customer: ID, $first: Int, $after: String) {
  serviceBreaks(status: $status, ruleId: $rule, customerId: $customer, first: $first, after: $after) {
    edges { cursor node {
      id status ruleVersion owner actions note recoveredBy brokeAt openedAt dueAt endedAt
      rule { id name } customer { id displayName } evidence { kind } nextSurvey { kind occasion score answeredAt }
    } }
    pageInfo { hasNextPage }
  }
}
"""
RECOVER = """
mutation($id: ID!, $actions: [RecoveryAction!]!, $note: String) {
  recordRecovery(input: {breakId: $id, actions: $actions, note: $note}) {
    __typename
    ... on RecordRecoverySuccess { serviceBreak { status actions note recoveredBy } }
    ... on Refusal { code path }
  }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename ... on ServiceBreak { status } } }"
RULES = "query($after: String) { serviceBreakRules(first: 100, after: $after) { edges { cursor node { id name } } } }"
CREATE = """
mutation($definition: JSON!, $zh: String! = "测试规则", $en: String! = "A test") {
  createServiceBreakRule(input: {nameZh: $zh, nameEn: $en, definition: $definition}) {
    ... on CreateServiceBreakRuleSuccess { rule { id name status version appliesFrom } } ... on Refusal { code }
  }
}
"""
UPDATE = """
mutation($id: ID!, $definition: JSON, $en: String) {
  updateServiceBreakRule(input: {ruleId: $id, nameEn: $en, definition: $definition}) {
    ... on UpdateServiceBreakRuleSuccess { rule { name version versions { version definition createdBy } } }
    ... on Refusal { code }
  }
}
"""
PREVIEW = """
mutation($definition: JSON!) {
  previewServiceBreakRule(input: {definition: $definition}) {
    ... on PreviewServiceBreakRuleSuccess { breaks customers lookedAt days } ... on Refusal { code }
  }
}
"""
ACTIVATE = """
mutation($id: ID!, $version: Int, $from: DateTime) {
  activateServiceBreakRule(input: {ruleId: $id, version: $version, appliesFrom: $from}) {
    ... on ActivateServiceBreakRuleSuccess { rule { status version appliesFrom } } ... on Refusal { code path }
  }
}
"""
PAUSE = """
mutation($id: ID!) {
  pauseServiceBreakRule(input: {ruleId: $id}) {
    ... on PauseServiceBreakRuleSuccess { rule { status } } ... on Refusal { code }
  }
}
"""
RETIRE = """
mutation($id: ID!) {
  retireServiceBreakRule(input: {ruleId: $id}) {
    ... on RetireServiceBreakRuleSuccess { rule { status } } ... on Refusal { code }
  }
}
"""
COSTS = {
    "serviceBreaks": (2, 4),
    "recordRecovery": (1, 13),
    "serviceBreakRules": (0, 1),
    "createServiceBreakRule": (0, 4),
    "updateServiceBreakRule": (0, 5),
    "previewServiceBreakRule": (0, 3),
    "activateServiceBreakRule": (0, 6),
    "pauseServiceBreakRule": (0, 3),
    "retireServiceBreakRule": (0, 3),
}


def once(kind: str, **more: Any) -> dict[str, Any]:
    return {"condition": {"event": {"kind": kind, "within_days": 30}}, **more}


async def make_rule(system: System, kind: str, **more: Any) -> str:
    """A rule that is written and activated over HTTP; its global id."""
    administrator = system.caller("he", "administrator")
    rule = (await administrator.ask(CREATE, definition=once(kind, **more)))["createServiceBreakRule"]["rule"]
    assert (rule["status"], rule["version"], rule["appliesFrom"]) == ("DRAFT", None, None)
    at = iso(utc_now() - DAY)
    found = (await administrator.ask(ACTIVATE, **{"id": rule["id"], "from": at}))["activateServiceBreakRule"]["rule"]
    assert found == {"status": "ACTIVE", "version": 1, "appliesFrom": at}
    return rule["id"]


async def happened(system: System, kind: str, *customers: str) -> None:
    """A fact of each customer, with all that follows from it."""
    facts = [NewFact("test", new_id(), kind, customer, utc_now(), {}) for customer in customers]
    async with system.edge.database.write() as session:
        await record_facts(session, facts, now=utc_now())
    await system.work()


async def test_a_manager_repairs_a_break_and_its_task_is_over(system: System, unique: str) -> None:
    """Given a break of an own customer, then the manager has a task, sees why, and by the recovery ends both."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    kind, manager = own_kind(), manager_of(system, unique)
    rule = await make_rule(system, kind)
    await happened(system, kind, customer)
    (found,) = nodes(await manager.ask(BREAKS), "serviceBreaks")
    assert (found["status"], found["ruleVersion"], found["actions"], found["owner"]) == ("OPEN", 1, [], f"rm-{unique}")
    assert found["rule"] == {"id": rule, "name": "A test"}
    assert (found["evidence"], found["nextSurvey"], found["note"]) == ([{"kind": kind}], None, None)
    chinese = nodes(await manager_of(system, unique, "zh").ask(BREAKS), "serviceBreaks")[0]
    assert chinese["rule"]["name"] == "测试规则"
    (task,) = nodes(await manager.ask(TASKS), "tasks")
    assert (task["kind"], task["dueAt"], task["customer"]["id"]) == (
        "RECOVERY",
        found["dueAt"],
        global_id("Customer", customer),
    )
    said = {"id": found["id"], "actions": ["EXPLAINED", "APOLOGISED"], "note": "Lin was called back"}
    for _ in range(2):
        answer = (await manager.ask(RECOVER, **said))["recordRecovery"]["serviceBreak"]
        assert answer == {
            "status": "RECOVERED",
            "actions": ["APOLOGISED", "EXPLAINED"],
            "note": "Lin was called back",
            "recoveredBy": f"rm-{unique}",
        }
    other = (await manager.ask(RECOVER, **{**said, "actions": ["OTHER"]}))["recordRecovery"]
    assert (other["code"], other["path"]) == ("SERVICE_BREAK_ENDED", ["input", "breakId"])
    await system.work()
    assert nodes(await manager.ask(TASKS), "tasks") == []
    assert nodes(await manager.ask(BREAKS, status="RECOVERED"), "serviceBreaks")[0]["note"] == "Lin was called back"
    assert (await manager.ask(NODE, id=found["id"]))["node"] == {"__typename": "ServiceBreak", "status": "RECOVERED"}
    async with system.edge.database.read() as session:
        rows = (await session.exec(select(AuditEntry).where(AuditEntry.action == "SERVICE_BREAK_RECOVERED"))).all()
    (entry,) = [row for row in rows if row.actor == f"rm-{unique}"]
    assert "Lin" not in str((entry.reason, entry.details))


async def test_others_see_nothing_of_it_and_change_nothing(system: System, unique: str) -> None:
    """Given a break, then for another manager it is as if absent, for customers forbidden, and nothing has changed."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    kind = own_kind()
    rule = await make_rule(system, kind)
    await happened(system, kind, customer)
    (found,) = nodes(await manager_of(system, unique).ask(BREAKS), "serviceBreaks")
    other, absent = system.caller(f"other-{unique}", "relationship_manager"), global_id("ServiceBreak", new_id())
    before = await state(system)
    assert nodes(await other.ask(BREAKS), "serviceBreaks") == []
    for which in (found["id"], absent):
        answer = (await other.ask(RECOVER, id=which, actions=["OTHER"], note="mine"))["recordRecovery"]
        assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "breakId"]}
        assert await other.ask(NODE, id=which) == {"node": None}
    denied = await other.fail(BREAKS, customer=global_id("Customer", customer))
    assert denied["extensions"]["code"] == "NOT_FOUND"
    stranger = system.caller(f"s-{unique}", "customer")
    assert (await stranger.fail(BREAKS))["extensions"]["code"] == "FORBIDDEN"
    assert await stranger.ask(NODE, id=found["id"]) == {"node": None}
    assert (await stranger.fail(RECOVER, id=found["id"], actions=["OTHER"]))["extensions"]["code"] == "FORBIDDEN"
    definition = once(kind)
    for caller in (other, stranger):
        for document, variables in (
            (RULES, {}),
            (CREATE, {"definition": definition}),
            (UPDATE, {"id": rule, "en": "x"}),
            (PREVIEW, {"definition": definition}),
            (ACTIVATE, {"id": rule}),
            (PAUSE, {"id": rule}),
            (RETIRE, {"id": rule}),
        ):
            assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_breaks_are_filtered_and_paged(system: System, unique: str) -> None:
    one, two = await looked_after(system, f"rm-{unique}", 2)
    kind, other, manager = own_kind(), own_kind(), manager_of(system, unique)
    rule, _ = await make_rule(system, kind), await make_rule(system, other)
    await happened(system, kind, one, two)
    await happened(system, other, one)
    assert len(nodes(await manager.ask(BREAKS), "serviceBreaks")) == 3
    assert len(nodes(await manager.ask(BREAKS, rule=rule), "serviceBreaks")) == 2
    assert len(nodes(await manager.ask(BREAKS, customer=global_id("Customer", one)), "serviceBreaks")) == 2
    assert nodes(await manager.ask(BREAKS, status="EXPIRED"), "serviceBreaks") == []
    first = (await manager.ask(BREAKS, first=2))["serviceBreaks"]
    assert first["pageInfo"]["hasNextPage"]
    rest = (await manager.ask(BREAKS, first=2, after=first["edges"][1]["cursor"]))["serviceBreaks"]
    assert len(rest["edges"]) == 1 and not rest["pageInfo"]["hasNextPage"]
    administrator = system.caller("he", "administrator")
    assert len(nodes(await administrator.ask(BREAKS, rule=rule), "serviceBreaks")) == 2


async def test_a_rule_goes_through_its_life(system: System, unique: str) -> None:
    """Given a rule, then versions are written, activated and paused, and after its end nothing changes any more."""
    kind, administrator = own_kind(), system.caller("he", "administrator")
    rule = await make_rule(system, kind)
    changed = once(kind, same="case", recover_days=5)
    answer = (await administrator.ask(UPDATE, id=rule, definition=changed, en="Another"))["updateServiceBreakRule"]
    assert (answer["rule"]["name"], answer["rule"]["version"]) == ("Another", 1)
    assert [one["version"] for one in answer["rule"]["versions"]] == [2, 1]
    assert answer["rule"]["versions"][0]["definition"] == {**changed, "expires_days": 30}
    again = (await administrator.ask(UPDATE, id=rule, definition=changed))["updateServiceBreakRule"]
    assert len(again["rule"]["versions"]) == 2
    assert (await administrator.ask(PAUSE, id=rule))["pauseServiceBreakRule"]["rule"] == {"status": "PAUSED"}
    assert (await administrator.ask(PAUSE, id=rule))["pauseServiceBreakRule"] == {
        "code": "SERVICE_BREAK_RULE_NOT_ACTIVE"
    }
    assert (await administrator.ask(ACTIVATE, id=rule))["activateServiceBreakRule"]["rule"]["version"] == 2
    absent = (await administrator.ask(ACTIVATE, id=rule, version=9))["activateServiceBreakRule"]
    assert absent == {"code": "NOT_FOUND", "path": ["input", "version"]}
    for _ in range(2):
        assert (await administrator.ask(RETIRE, id=rule))["retireServiceBreakRule"]["rule"] == {"status": "RETIRED"}
    assert (await administrator.ask(ACTIVATE, id=rule))["activateServiceBreakRule"]["code"] == (
        "SERVICE_BREAK_RULE_RETIRED"
    )
    shipped = [one["name"] for one in nodes(await administrator.ask(RULES), "serviceBreakRules")]
    assert "A redemption failed twice in 30 days" in shipped


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({}, "SERVICE_BREAK_RULE_INVALID"),
        ({"condition": {"tier": {"at_least": "VIP"}}}, "SERVICE_BREAK_RULE_INVALID"),
        ({"condition": {"not": {"event": {"kind": "SEEN", "within_days": 3}}}}, "SERVICE_BREAK_RULE_INVALID"),
        ({"condition": {"event": {"kind": "SEEN", "within_days": 91}}}, "SERVICE_BREAK_RULE_INVALID"),
        ({"condition": {"event": {"kind": "SERVICE_BREAK_FOUND", "within_days": 3}}}, "SERVICE_BREAK_RULE_INVALID"),
        ({"condition": {"event": {"kind": "seen", "within_days": 3}}}, "CONDITION_INVALID"),
        (once("SEEN", same="Bad name"), "SERVICE_BREAK_RULE_INVALID"),
        (once("SEEN", recover_days=9, expires_days=8), "SERVICE_BREAK_RULE_INVALID"),
        (once("SEEN", unknown=1), "SERVICE_BREAK_RULE_INVALID"),
    ],
)
async def test_what_is_no_rule_is_refused(system: System, definition: dict[str, Any], reason: str) -> None:
    administrator = system.caller("he", "administrator")
    for document in (CREATE, PREVIEW):
        error = await administrator.fail(document, definition=definition)
        assert error["extensions"]["reason"] == reason
        assert error["extensions"]["inputPath"][0] == "definition"


async def test_a_preview_counts_what_would_have_been_found(system: System) -> None:
    kind, administrator = own_kind(), system.caller("he", "administrator")
    one, two = new_id(), new_id()
    await happened(system, kind, one, one, two)
    twice = {"condition": {"event": {"kind": kind, "within_days": 30, "at_least": 2}}}
    found = (await administrator.ask(PREVIEW, definition=twice))["previewServiceBreakRule"]
    assert found == {"breaks": 1, "customers": 1, "lookedAt": 3, "days": 30}


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given ten customers with a break each, then a list costs what it costs for one."""
    ids = await looked_after(system, f"rm-{unique}", 10)
    kind, manager, administrator = own_kind(), manager_of(system, unique), system.caller("he", "administrator")
    rule = await make_rule(system, kind)
    await happened(system, kind, *ids)
    found = [one["id"] for one in nodes(await manager.ask(BREAKS), "serviceBreaks")]
    definition = once(kind)
    assert {
        "serviceBreaks": await cost(system, manager, BREAKS),
        "recordRecovery": await cost(system, manager, RECOVER, id=found[0], actions=["OTHER"], note="words"),
        "serviceBreakRules": await cost(system, administrator, RULES),
        "createServiceBreakRule": await cost(system, administrator, CREATE, definition=definition),
        "updateServiceBreakRule": await cost(system, administrator, UPDATE, id=rule, en="Other"),
        "previewServiceBreakRule": await cost(system, administrator, PREVIEW, definition=definition),
        "activateServiceBreakRule": await cost(system, administrator, ACTIVATE, id=rule),
        "pauseServiceBreakRule": await cost(system, administrator, PAUSE, id=rule),
        "retireServiceBreakRule": await cost(system, administrator, RETIRE, id=rule),
    } == COSTS
