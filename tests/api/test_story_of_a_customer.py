"""One customer's story as GraphQL answers tell it: from two sources' rows to what is left after an erasure."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from core.clock import iso, utc_now
from core.days import months_before
from tests.api.conftest import Caller, System
from tests.customers.monthly import LAST, decide_months
from worker.alerts import sweep_alerts
from worker.needs import sweep_needs
from worker.work import Stores

pytestmark = pytest.mark.anyio

# While LAST is the last month that is over, and not later than now: an alert waits for the balances of that month.
LOOKED_AT = datetime.combine(months_before(LAST, -1), time(12), UTC) + timedelta(days=3)
IMPORT = """
mutation($source: String!, $rows: String!, $external: Boolean!) {
  importBatch(input: {source: $source, content: $rows, external: $external}) {
    ... on ImportBatchSuccess {
      report { accepted rejected reviewed rejections(first: 9) { edges { node { line field reason } } } }
    }
    ... on Refusal { code message }
  }
}
"""
FIND = """
query($segment: JSON!) {
  previewSegment(condition: $segment) { count words sample { id displayName } }
}
"""
WHOLE = """
query($id: ID!) {
  customer360(id: $id) {
    accessedAs
    customer { displayName }
    profile { fullName phone birthDate }
    aliases { source key }
    managers
    tier { tier }
    tags { tag { key } source confidence }
    balances(first: 6) { edges { node { month average source } } }
    alerts(first: 5) { edges { node { cause status } } }
    needs(first: 5) { edges { node { status kind { key } } } }
  }
}
"""
TAG = """
mutation($id: ID!) {
  tagCustomer(input: {customerId: $id, tag: "entrepreneur", reason: "Told me of her firm", confidence: 0.9}) {
    ... on TagCustomerSuccess { tags { tag { key } source confidence } }
    ... on Refusal { code message }
  }
}
"""
EXPLAIN = """
query($id: ID!) {
  tierExplain(customerId: $id) { month tier rule score words terms { name value points } }
}
"""
ALERTS = """
query($id: ID!) {
  alerts(customerId: $id) {
    edges { node { id cause status why
      evidence { __typename ... on BalanceDropEvidence { month average best atMostPercent } } } }
  }
  tasks { edges { node { kind status customer { id } } } }
}
"""
RESOLVE = """
mutation($id: ID!) {
  acknowledgeAlert(input: {alertId: $id}) {
    ... on AcknowledgeAlertSuccess { alert { status } } ... on Refusal { code }
  }
  resolveAlert(input: {alertId: $id, outcome: RESOLVED, reason: CONTACTED}) {
    ... on ResolveAlertSuccess { alert { status reason } } ... on Refusal { code }
  }
}
"""
NEEDS = """
query($id: ID!) {
  needs(customerId: $id) { edges { node { id status origin why kind { key } evidence { name value source } } } }
}
"""
DISMISS = """
mutation($id: ID!) {
  dismissNeed(input: {needId: $id, reason: NOT_WANTED}) {
    ... on DismissNeedSuccess { need { status reason } } ... on Refusal { code }
  }
}
"""
ERASE = """
mutation($id: ID!) {
  eraseCustomer(input: {customerId: $id, reason: "Asked in writing, A-17"}) {
    ... on EraseCustomerSuccess { report { requestedBy finishedAt } } ... on Refusal { code message }
  }
}
"""
REPORT = """
query($id: ID!) { erasureReport(customerId: $id) { reason finishedAt places { place count } } }
"""

Work = Callable[[], Awaitable[None]]


@dataclass
class Bank:
    """Who asks, and what the worker does: runs of tiers, looks at everybody, and what is owed."""

    admin: Caller
    manager: Caller
    stranger: Caller
    sources: dict[str, Caller]
    decide: Work
    look: Work
    settle: Work


def nodes(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in page["edges"]]


async def put(bank: Bank, source: str, *rows: dict[str, Any]) -> None:
    is_external = source != next(iter(bank.sources))
    basis = {"legal_basis": "CONSENT"} if is_external else {}
    content = "\n".join(json.dumps({**row, **basis}, ensure_ascii=False) for row in rows)
    answer = await bank.sources[source].ask(IMPORT, source=source, rows=content, external=is_external)
    report = answer["importBatch"]["report"]
    assert (report["accepted"], report["rejected"], report["reviewed"]) == (len(rows), 0, 0), report


def balances(key: str, averages: dict[date, int]) -> list[dict[str, Any]]:
    now = iso(utc_now())
    return [
        {"kind": "monthly_balance", "customer": key, "month": month.isoformat()[:7], "average": f"{yuan}.00",
         "currency": "CNY", "observed_at": now}
        for month, yuan in averages.items()
    ]  # fmt: skip


async def import_from_two_sources(bank: Bank, unique: str) -> str:
    """One person under two keys: of the core system with her document, and of a partner with her verified phone."""
    phone = f"+86138{int(unique[-8:], 16) % 10**8:08d}"
    core, partner = bank.sources
    tag = {"kind": "tag", "key": "entrepreneur", "name_zh": "企业家", "name_en": "Entrepreneur", "family": "LIFE_CYCLE"}
    person = {"kind": "customer", "display_name": "林", "phone": phone, "phone_verified": True}
    manager = {"relationship_manager": f"zhou-{unique}", "customer_since": "2016-01-01T00:00:00Z"}
    named = {"key": f"C{unique}", "full_name": "林悦", "document": f"P{unique}", "birth_date": "1970-03-04"}
    await put(bank, core, tag, {**person, **manager, **named})
    await put(bank, partner, {**person, "key": f"P-{unique}"})
    await put(bank, core, *balances(f"C{unique}", {months_before(LAST, n): 800_000 for n in range(4, 0, -1)}))
    found = await bank.admin.ask(FIND, segment={"trait": {"name": "born", "age_at_least": 50}})
    assert found["previewSegment"]["count"] == 1
    (lin,) = found["previewSegment"]["sample"]
    return lin["id"]


async def live(bank: Bank, id: str, unique: str) -> None:
    """She is tagged and tiered; her assets fall, an alert opens a task and is worked off; a need is dismissed."""
    tagged = (await bank.manager.ask(TAG, id=id))["tagCustomer"]["tags"]
    assert [(one["tag"]["key"], one["confidence"]) for one in tagged] == [("entrepreneur", 0.9)]
    await put(bank, next(iter(bank.sources)), *balances(f"C{unique}", {LAST: 400_000}))
    await bank.decide()
    tier = (await bank.manager.ask(EXPLAIN, id=id))["tierExplain"]
    assert (tier["month"], tier["tier"]) == (LAST.isoformat()[:7], "VIP")
    assert {term["name"]: term["value"] for term in tier["terms"]}["assets"] == 400_000_00
    await bank.look()
    seen = await bank.manager.ask(ALERTS, id=id)
    (alert,) = nodes(seen["alerts"])
    assert (alert["cause"], alert["status"], alert["evidence"]["average"]) == ("BALANCE_DROP", "OPEN", 400_000_00)
    assert (alert["evidence"]["best"], alert["evidence"]["atMostPercent"]) == (800_000_00, 80)
    assert [task["customer"]["id"] for task in nodes(seen["tasks"])] == [id]
    done = await bank.manager.ask(RESOLVE, id=alert["id"])
    assert [one["alert"]["status"] for one in done.values()] == ["ACKNOWLEDGED", "RESOLVED"]
    (need,) = nodes((await bank.manager.ask(NEEDS, id=id))["needs"])
    assert (need["kind"]["key"], need["status"], need["origin"]) == ("PENSION", "SUSPECTED", "IMPLICIT")
    assert (await bank.manager.ask(DISMISS, id=need["id"]))["dismissNeed"]["need"]["status"] == "DISMISSED"
    await bank.look()
    assert [one["status"] for one in nodes((await bank.manager.ask(NEEDS, id=id))["needs"])] == ["DISMISSED"]


async def tell(bank: Bank, unique: str) -> None:
    """The story from the first row to the last report."""
    id = await import_from_two_sources(bank, unique)
    await live(bank, id, unique)
    whole = (await bank.manager.ask(WHOLE, id=id))["customer360"]
    assert {alias["source"] for alias in whole["aliases"]} == set(bank.sources)
    assert (whole["profile"]["fullName"], whole["managers"]) == ("林悦", [f"zhou-{unique}"])
    assert [node["average"] for node in nodes(whole["balances"])] == [400_000_00, *[800_000_00] * 4]
    assert (await bank.stranger.fail(WHOLE, id=id))["extensions"]["code"] == "FORBIDDEN"
    assert (await bank.admin.ask(ERASE, id=id))["eraseCustomer"]["report"]["finishedAt"] is None
    await bank.settle()
    report = (await bank.admin.ask(REPORT, id=id))["erasureReport"]
    assert report["finishedAt"] is not None
    assert {one["place"] for one in report["places"]} >= {"personal_key destroyed", "monthly_balance.customer_id"}
    left = (await bank.admin.ask(WHOLE, id=id))["customer360"]
    assert (left["customer"]["displayName"], left["aliases"], left["tags"]) == ("—", [], [])
    assert set(left["profile"].values()) == {None}
    assert [nodes(left[name]) for name in ("balances", "alerts", "needs")] == [[], [], []]
    assert (await bank.manager.fail(WHOLE, id=id))["extensions"]["code"] == "FORBIDDEN"


async def test_the_story_of_one_customer(own_system: System, unique: str) -> None:
    system = own_system
    stores = Stores(system.edge.database, system.edge.graph)

    async def decide() -> None:
        await decide_months(stores, *(months_before(LAST, n) for n in range(4, -1, -1)))

    async def look() -> None:
        await sweep_alerts(stores.database, now=LOOKED_AT)
        await sweep_needs(stores.database, now=utc_now())
        await system.work()

    names = [f"{name}-{unique}" for name in ("core", "partner")]
    bank = Bank(
        admin=system.caller(f"he-{unique}", "administrator"),
        manager=system.caller(f"zhou-{unique}", "relationship_manager"),
        stranger=system.caller(f"sun-{unique}", "relationship_manager"),
        sources={name: system.caller(name, scope="imports:write") for name in names},
        decide=decide,
        look=look,
        settle=system.work,
    )
    await tell(bank, unique)
