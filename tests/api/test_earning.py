"""Earning rules over HTTP: drafted, activated, paused and retired; what they gave and why less; and who sees what."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import FACTS, know, local_of
from tests.loyalty.rules import kind_of

pytestmark = pytest.mark.anyio

CREATE = """
mutation($definition: JSON!) {
  createEarningRule(input: {nameZh: "参加活动", nameEn: "Attending", definition: $definition}) {
    ... on CreateEarningRuleSuccess { rule { id status } }
    ... on Refusal { code path }
  }
}
"""
UPDATE = """
mutation($input: UpdateEarningRuleInput!) {
  updateEarningRule(input: $input) {
    ... on UpdateEarningRuleSuccess { rule { name versions { version definition } terms { version } } }
    ... on Refusal { code path }
  }
}
"""
ACTIVATE = """
mutation($input: ActivateEarningRuleInput!) {
  activateEarningRule(input: $input) {
    ... on ActivateEarningRuleSuccess { rule { status terms { version mostPoints } turns { version } } }
    ... on Refusal { code path }
  }
}
"""
TURN = "mutation($id: ID!) { %s(input: {ruleId: $id}) { __typename ... on Refusal { code path } } }"
PAUSE, RETIRE = TURN % "pauseEarningRule", TURN % "retireEarningRule"
RULE = """
query($id: ID!) { earningRule(id: $id) {
  name status versions { version } turns { version }
  terms {
    version factKind points pointsPerUnit unit unitField mostPoints holdDays expiresDays onCap timeZone
    caps { period points times }
  }
} }
"""
RULES = """
query($after: String) { earningRules(first: 100, after: $after) {
  edges { node { id status } } pageInfo { hasNextPage endCursor }
} }
"""
EARNING = "fact { kind key } rule { name } version wantedPoints points reason capPeriod message reversedAt"
MINE = f"query($first: Int) {{ viewer {{ earnings(first: $first) {{ edges {{ node {{ {EARNING} }} }} }} }} }}"
THEIRS = f"query($id: ID!) {{ customerEarnings(customerId: $id) {{ edges {{ node {{ {EARNING} }} }} }} }}"
SIMULATE = """
mutation($input: SimulateEarningRuleInput!) {
  simulateEarningRule(input: $input) {
    ... on SimulateEarningRuleSuccess {
      simulated { facts points customers reversed caps { period reason times } topCustomers { customerId points } }
      actual { facts points customers }
      cut
    }
    ... on Refusal { code path }
  }
}
"""


async def draft(system: System, definition: dict[str, Any]) -> str:
    made = await system.caller("admin", "administrator").ask(CREATE, definition=definition)
    assert made["createEarningRule"]["rule"]["status"] == "DRAFT"
    return made["createEarningRule"]["rule"]["id"]


async def send(system: System, name: str, kind: str, *, key: str = "", **payload: Any) -> str:
    """The bank tells a fact of a customer, and the worker sees it; returns the fact's key."""
    key = key or new_id()
    fact = {"key": key, "kind": kind, "customerKey": name, "occurredAt": iso(utc_now()), "payload": payload}
    await system.caller("bank", "service", scope="facts:write").ask(FACTS, source="core", facts=[fact])
    await system.work()
    return key


async def earned(caller: Caller) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await caller.ask(MINE, first=20))["viewer"]["earnings"]["edges"]]


async def test_a_rule_from_draft_to_its_end_and_what_a_customer_sees(system: System, unique: str) -> None:
    """Given 50 points a visit and 80 a day, then the second visit says in both languages why it brought 30."""
    administrator, lin = system.caller("admin", "administrator"), await system.customer(f"lin-{unique}")
    await know(system, "core", f"lin-{unique}", lin)
    kind, gone = kind_of("VISITED", unique), kind_of("GONE", unique)
    caps = [{"period": "DAY", "points": 80}]
    rule = await draft(system, {"fact_kind": kind, "points": 50, "caps": caps, "reversed_by": [gone]})
    await send(system, f"lin-{unique}", kind)
    assert await earned(lin) == []
    since = iso(utc_now() - timedelta(minutes=1))
    active = await administrator.ask(ACTIVATE, input={"ruleId": rule, "effectiveFrom": since})
    assert active["activateEarningRule"]["rule"] == {
        "status": "ACTIVE",
        "terms": {"version": 1, "mostPoints": 50},
        "turns": [{"version": 1}],
    }
    first = await send(system, f"lin-{unique}", kind)
    await send(system, f"lin-{unique}", kind)
    cut, whole = await earned(lin)
    assert (whole["points"], whole["reason"], whole["message"], whole["rule"]) == (
        50,
        None,
        None,
        {"name": "Attending"},
    )
    assert (cut["wantedPoints"], cut["points"], cut["reason"], cut["capPeriod"]) == (50, 30, "CAP_POINTS", "DAY")
    assert cut["message"] == "The most points that this rule gives were reached."
    chinese = system.caller(f"lin-{unique}", "customer", language="zh")
    assert (await earned(chinese))[0]["message"] == "已达到该规则的积分上限。"

    await send(system, f"lin-{unique}", gone, reverses=first)
    seen = await administrator.ask(THEIRS, id=global_id("Customer", local_of(f"lin-{unique}")))
    assert {edge["node"]["reason"] for edge in seen["customerEarnings"]["edges"]} == {"CAP_POINTS", "REVERSED"}
    points = (await lin.ask("{ viewer { points { available debt } } }"))["viewer"]["points"]
    assert points == {"available": 30, "debt": 0}

    assert (await administrator.ask(PAUSE, id=rule))["pauseEarningRule"]["__typename"] == "PauseEarningRuleSuccess"
    again = (await administrator.ask(PAUSE, id=rule))["pauseEarningRule"]
    assert (again["code"], again["path"]) == ("EARNING_RULE_NOT_ACTIVE", ["input", "ruleId"])
    await administrator.ask(RETIRE, id=rule)
    for document, name in ((PAUSE, "pauseEarningRule"), (ACTIVATE, "activateEarningRule")):
        given = {"input": {"ruleId": rule}} if document is ACTIVATE else {"id": rule}
        assert (await administrator.ask(document, **given))[name]["code"] == "EARNING_RULE_RETIRED"


async def test_a_version_earns_from_the_instant_that_was_planned(system: System, unique: str) -> None:
    administrator, kind = system.caller("admin", "administrator"), kind_of("VISITED", unique)
    rule = await draft(system, {"fact_kind": kind, "points": 50})
    await administrator.ask(ACTIVATE, input={"ruleId": rule})
    other = {"fact_kind": kind, "per_unit": {"field": "minutes", "unit": 30, "points": 5, "maximum": 20}}
    updated = await administrator.ask(UPDATE, input={"ruleId": rule, "nameEn": "Visits", "definition": other})
    found = updated["updateEarningRule"]["rule"]
    assert (found["name"], [one["version"] for one in found["versions"]], found["terms"]) == (
        "Visits",
        [2, 1],
        {"version": 1},
    )
    tomorrow = iso(utc_now() + timedelta(days=1))
    planned = await administrator.ask(ACTIVATE, input={"ruleId": rule, "effectiveFrom": tomorrow})
    assert planned["activateEarningRule"]["rule"]["terms"] == {"version": 1, "mostPoints": 50}
    await administrator.ask(ACTIVATE, input={"ruleId": rule, "version": 2})
    terms = (await administrator.ask(RULE, id=rule))["earningRule"]["terms"]
    assert {name: terms[name] for name in ("points", "pointsPerUnit", "unit", "unitField", "mostPoints")} == {
        "points": None,
        "pointsPerUnit": 5,
        "unit": 30,
        "unitField": "minutes",
        "mostPoints": 20,
    }
    missing = await administrator.ask(ACTIVATE, input={"ruleId": rule, "version": 7})
    assert missing["activateEarningRule"] == {"code": "NOT_FOUND", "path": ["input", "version"]}


async def test_every_error_of_a_definition_has_its_path(system: System, unique: str) -> None:
    administrator = system.caller("admin", "administrator")
    error = await administrator.fail(CREATE, definition={"fact_kind": "ATTENDED", "points": 5, "caps": [{}]})
    assert error["extensions"]["reason"] == "EARNING_RULE_INVALID"
    assert error["extensions"]["inputPath"] == ["definition", "caps", "0", "period"]
    error = await administrator.fail(CREATE, definition={"fact_kind": "DEPOSIT_PLACED", "points": 5})
    assert error["extensions"]["inputPath"] == ["definition", "factKind"]


async def test_what_is_no_active_rule_is_for_administrators(system: System, unique: str) -> None:
    """Given a draft, a paused and an active rule, then a customer sees the last one, without its versions."""
    administrator, lin = system.caller("admin", "administrator"), await system.customer(f"lin-{unique}")
    kind = kind_of("VISITED", unique)
    hidden, paused, shown = [await draft(system, {"fact_kind": kind, "points": 5}) for _ in range(3)]
    for rule in (paused, shown):
        await administrator.ask(ACTIVATE, input={"ruleId": rule})
    await administrator.ask(PAUSE, id=paused)
    absent = global_id("EarningRule", new_id())
    for rule in (hidden, paused, absent):
        assert (await lin.ask(RULE, id=rule))["earningRule"] is None
    seen = (await lin.ask(RULE, id=shown))["earningRule"]
    assert (seen["versions"], seen["turns"], seen["terms"]["points"]) == ([], [], 5)
    assert (await administrator.ask(RULE, id=hidden))["earningRule"]["versions"] == [{"version": 1}]
    assert {hidden, paused}.isdisjoint(await all_rules(lin))
    assert {hidden, paused, shown} <= await all_rules(administrator)
    error = await lin.fail(THEIRS, id=global_id("Customer", local_of(f"lin-{unique}")))
    assert error["extensions"]["code"] == "FORBIDDEN"


async def all_rules(caller: Caller) -> set[str]:
    found: set[str] = set()
    after = None
    while True:
        page = (await caller.ask(RULES, after=after))["earningRules"]
        found |= {edge["node"]["id"] for edge in page["edges"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_a_trial_stands_beside_what_was_really_earned(system: System, unique: str) -> None:
    administrator, lin = system.caller("admin", "administrator"), await system.customer(f"lin-{unique}")
    await know(system, "core", f"lin-{unique}", lin)
    kind = kind_of("VISITED", unique)
    rule = await draft(system, {"fact_kind": kind, "points": 10})
    since = utc_now() - timedelta(minutes=1)
    await administrator.ask(ACTIVATE, input={"ruleId": rule, "effectiveFrom": iso(since)})
    for _ in range(3):
        await send(system, f"lin-{unique}", kind)
    other = {"fact_kind": kind, "points": 25, "caps": [{"period": "EVER", "times": 2}]}
    span = {"ruleId": rule, "from": iso(since), "to": iso(utc_now() + timedelta(minutes=1))}
    found = (await administrator.ask(SIMULATE, input={**span, "definition": other}))["simulateEarningRule"]
    me = global_id("Customer", local_of(f"lin-{unique}"))
    assert found == {
        "simulated": {
            "facts": 3,
            "points": 50,
            "customers": 1,
            "reversed": 0,
            "caps": [{"period": "EVER", "reason": "CAP_TIMES", "times": 1}],
            "topCustomers": [{"customerId": me, "points": 50}],
        },
        "actual": {"facts": 3, "points": 30, "customers": 1},
        "cut": False,
    }
    same = (await administrator.ask(SIMULATE, input=span))["simulateEarningRule"]
    assert same["simulated"]["points"] == same["actual"]["points"] == 30
    absent = {**span, "ruleId": global_id("EarningRule", new_id())}
    refused = (await administrator.ask(SIMULATE, input=absent))["simulateEarningRule"]
    assert (refused["code"], refused["path"]) == ("NOT_FOUND", ["input", "ruleId"])
    error = await administrator.fail(SIMULATE, input={**span, "to": span["from"]})
    assert error["extensions"]["reason"] == "EARNING_RULE_INVALID"


async def test_a_page_of_earnings_costs_what_one_does(system: System, unique: str) -> None:
    """Given three earnings, then one and three of them cost as much."""
    administrator, lin = system.caller("admin", "administrator"), await system.customer(f"lin-{unique}")
    await know(system, "core", f"lin-{unique}", lin)
    kind = kind_of("VISITED", unique)
    rule = await draft(system, {"fact_kind": kind, "points": 10})
    await administrator.ask(ACTIVATE, input={"ruleId": rule, "effectiveFrom": iso(utc_now() - timedelta(minutes=1))})
    for _ in range(3):
        await send(system, f"lin-{unique}", kind)
    assert len(await earned(lin)) == 3
    assert await cost(system, lin, MINE, first=1) == await cost(system, lin, MINE, first=3) == (0, 2)
