"""Tiers by GraphQL: policies and what they would change, overrides in pairs, and why a customer has a tier."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import strawberry
from sqlmodel import select
from strawberry.schema.config import StrawberryConfig

from api.context import Context, Info
from api.customers.money_of_customer import MoneyOfCustomer
from api.relay import global_id, split_id
from api.scalars import INSTANT, SAFE_INT, SafeInt
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.days import months_before
from customers.tier_policy import DEFAULT
from tests.api.conftest import Caller, System, running, settings_for
from tests.api.test_round_trips import cost
from tests.conftest import Addresses
from tests.customers.monthly import LAST, YUAN, decide_months, make_clients, put_balances, put_trait
from tests.databases import own_database
from worker.work import Stores

pytestmark = pytest.mark.anyio

MONTH = LAST.isoformat()[:7]
DAY = timedelta(days=1)
CREATE = """
mutation($definition: JSON!) { createTierPolicy(input: {definition: $definition}) {
  ... on CreateTierPolicySuccess { policy { id version status definition createdBy } } ... on Refusal { code path }
} }
"""
ACTIVATE = """
mutation($id: ID!) { activateTierPolicy(input: {policyId: $id}) {
  ... on ActivateTierPolicySuccess { policy { version status activatedBy } } ... on Refusal { code }
} }
"""
POLICIES = "{ tierPolicies { edges { node { id version status } } } }"
PREVIEW = """
query($id: ID, $definition: JSON, $month: String) {
  previewTierPolicy(policyId: $id, definition: $definition, month: $month) {
    month customers sampled onWatchBefore onWatchAfter capped moves { fromTier toTier customers }
  }
}
"""
OVERRIDE = """
mutation($id: ID!, $until: DateTime!) {
  overrideTier(input: {customerId: $id, tier: VIP, reason: "Board member", expiresAt: $until}) {
    ... on OverrideTierSuccess { override { id status tier requestedBy } } ... on Refusal { code path }
  }
}
"""
APPROVE = """
mutation($id: ID!) { approveTierOverride(input: {overrideId: $id, reason: "Agreed"}) {
  ... on ApproveTierOverrideSuccess { override { status decidedBy } } ... on Refusal { code }
} }
"""
REJECT = """
mutation($id: ID!) { rejectTierOverride(input: {overrideId: $id, reason: "No"}) {
  ... on RejectTierOverrideSuccess { override { status } } ... on Refusal { code }
} }
"""
END = """
mutation($id: ID!) { endTierOverride(input: {overrideId: $id, reason: "Left the board"}) {
  ... on EndTierOverrideSuccess { override { status endedBy } } ... on Refusal { code }
} }
"""
OVERRIDES = "{ tierOverrides(status: PENDING) { edges { node { id customer { id } } } } }"
EXPLAIN = """
query($id: ID!, $month: String) { tierExplain(customerId: $id, month: $month) {
  month tier standing earned before onWatch misses rule score currency riskLevel cap policy { version }
  terms { name value weight left { input height } right { input height } height points }
  checks { tier condition needed found isMet keeps }
  sources { input source month value word stale }
  words
} }
"""
CHANGES = """
query($since: DateTime) { tierChanges(since: $since) { edges { node {
  fromTier toTier cause words month customer { id }
} } } }
"""

# Round trips to the graph and statements to SQL of each, by the customer's relationship manager or an administrator.
COSTS = {
    "overrideTier": (1, 6),
    "approveTierOverride": (0, 10),
    "rejectTierOverride": (0, 7),
    "endTierOverride": (1, 9),
    "tierExplain": (1, 9),
    "tierChanges": (1, 1),
    "tierPolicies": (0, 1),
    "previewTierPolicy": (0, 5),
}


class Bank:
    """A bank of four of whom a relationship manager looks after two; its last month is decided."""

    def __init__(self, system: System, ids: list[str]) -> None:
        self.system = system
        self.ids = [global_id("Customer", id) for id in ids]
        self.rm = system.caller(f"rm-{ids[0]}", "relationship_manager")
        self.other = system.caller(f"other-{ids[0]}", "relationship_manager")
        self.he, self.admin = (system.caller(f"{name}-{ids[0]}", "administrator") for name in ("he", "admin"))
        self.stores = Stores(system.edge.database, system.edge.graph)

    async def explain(self, caller: Caller, nth: int = 0, month: str | None = None) -> dict[str, Any]:
        return (await caller.ask(EXPLAIN, id=self.ids[nth], month=month))["tierExplain"]


SERVE = "UNWIND $ids AS id MATCH (c:Customer {id: id}) MERGE (e:Employee {id: $rm}) MERGE (c)-[:SERVED_BY]->(e)"


@pytest.fixture
async def bank(stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[Bank, None]:
    """A database of its own, because a run decides of everybody."""
    async with own_database(stores, tmp_path) as database:
        settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"database_url": database.url})
        async with running(settings) as system:
            own = Stores(system.edge.database, system.edge.graph)
            ids = await make_clients(own, 4)
            await put_balances(own.database, {ids[0]: [600_000, 100], ids[1]: [10, 600_000], ids[2]: [600_000] * 2})
            await put_trait(own.database, ids[3], "potential", number=80)
            await put_trait(own.database, ids[2], "risk_level", word="HIGH")
            await own.graph.write(SERVE, ids=ids[:2], rm=f"rm-{ids[0]}")
            await decide_months(own, months_before(LAST, 1), LAST)
            yield Bank(system, ids)


async def test_an_administrator_tries_a_policy_before_it_is_activated(bank: Bank) -> None:
    """Given a harder draft; when previewed by id or definition; then the matrix says who would move, nothing has."""
    harder = {**DEFAULT, "entries": {"POTENTIAL": {"score": 30}, "VIP": {"score": 90}}}
    drafted = (await bank.he.ask(CREATE, definition=harder))["createTierPolicy"]["policy"]
    assert (drafted["version"], drafted["status"], drafted["definition"]["entries"]["VIP"]["score"]) == (2, "DRAFT", 90)
    by_id = (await bank.he.ask(PREVIEW, id=drafted["id"], month=MONTH))["previewTierPolicy"]
    by_definition = (await bank.he.ask(PREVIEW, definition=harder))["previewTierPolicy"]
    assert by_id == by_definition
    assert by_id == {
        "month": MONTH,
        "customers": 4,
        "sampled": 4,
        "onWatchBefore": 1,
        "onWatchAfter": 2,
        "capped": 1,
        "moves": [
            {"fromTier": "MASS", "toTier": "MASS", "customers": 1},
            {"fromTier": "POTENTIAL", "toTier": "POTENTIAL", "customers": 1},
            {"fromTier": "VIP", "toTier": "POTENTIAL", "customers": 1},
            {"fromTier": "VIP", "toTier": "VIP", "customers": 1},
        ],
    }
    activated = (await bank.he.ask(ACTIVATE, id=drafted["id"]))["activateTierPolicy"]["policy"]
    assert (activated["version"], activated["status"]) == (2, "ACTIVE")
    edges = (await bank.he.ask(POLICIES))["tierPolicies"]["edges"]
    assert [(edge["node"]["version"], edge["node"]["status"]) for edge in edges] == [(2, "ACTIVE"), (1, "RETIRED")]
    assert (await bank.he.ask(ACTIVATE, id=edges[1]["node"]["id"]))["activateTierPolicy"]["code"] == (
        "TIER_POLICY_RETIRED"
    )
    assert (await bank.explain(bank.rm))["policy"]["version"] == 1
    for wrong, code in (({}, "PREVIEW_NEEDS_ONE"), ({"definition": {}}, "TIER_POLICY_INVALID")):
        assert (await bank.he.fail(PREVIEW, **wrong))["extensions"]["reason"] == code
    error = await bank.he.fail(PREVIEW, definition=harder, month="2001-01")
    assert error["extensions"]["reason"] == "TIER_MONTH_NOT_RUN"


async def test_a_tier_explains_itself_in_numbers_and_words(bank: Bank) -> None:
    """Given a VIP whose assets went; then inputs, points of curves, terms and the rule are named in both languages."""
    found = await bank.explain(bank.rm)
    assert (found["month"], found["tier"], found["before"], found["earned"]) == (MONTH, "VIP", "VIP", "MASS")
    assert (found["rule"], found["onWatch"], found["misses"], found["cap"]) == ("WATCH", True, 1, None)
    terms = {term["name"]: term for term in found["terms"]}
    assert terms["assets"] == {
        "name": "assets",
        "value": 100 * YUAN,
        "weight": 500,
        "left": {"input": 0, "height": 0},
        "right": {"input": 5_000_000, "height": 30},
        "height": "0.060",
        "points": "0.030",
    }
    assert (terms["potential"]["value"], terms["potential"]["points"], terms["tenure"]["points"]) == (
        None,
        "0.000",
        "10.000",
    )
    assert found["score"] == "10.030"
    checks = {(check["tier"], check["condition"]): check for check in found["checks"]}
    assert checks["VIP", "assets"] == {
        "tier": "VIP",
        "condition": "assets",
        "needed": 500_000 * YUAN,
        "found": 100 * YUAN,
        "isMet": False,
        "keeps": False,
    }
    sources = [(one["input"], one["source"], one["month"], one["value"], one["stale"]) for one in found["sources"]]
    assert sources[0] == ("assets", "bank", MONTH, 100 * YUAN, False)
    assert found["words"] == ["This month is under 90 % of the entry, for 1 months in a row: still VIP, on watch."]
    chinese = bank.system.caller(f"he-{bank.ids[0]}", "administrator", language="zh")
    capped = await bank.explain(chinese, 2)
    assert (capped["tier"], capped["standing"], capped["cap"], capped["riskLevel"]) == ("MASS", "VIP", "MASS", "HIGH")
    assert capped["words"] == ["本月仍达到条件，保持贵宾。", "风险等级为HIGH，最高只能为大众，须人工复核。"]
    assert (await bank.explain(bank.rm, month="2001-01")) is None
    assert (await bank.rm.fail(EXPLAIN, id=bank.ids[0], month="2001"))["extensions"]["reason"] == "MONTH_INVALID"


async def test_a_manager_sees_own_customers_only_and_is_noted_otherwise(bank: Bank) -> None:
    """Given somebody else's customer; then it is as if absent, the denial is audited, and customers are no staff."""
    for nth in (2, 3):
        assert (await bank.rm.fail(EXPLAIN, id=bank.ids[nth]))["extensions"]["code"] == "FORBIDDEN"
    lin = await bank.system.customer(f"lin-{bank.ids[0]}"[-18:])
    for document in (EXPLAIN, OVERRIDES, CHANGES):
        assert (await lin.fail(document, id=bank.ids[0]))["extensions"]["code"] == "FORBIDDEN"
    for document, values in ((POLICIES, {}), (PREVIEW, {"definition": DEFAULT})):
        assert (await bank.rm.fail(document, **values))["extensions"]["code"] == "FORBIDDEN"
    async with bank.stores.database.read() as session:
        denied = (await session.exec(select(AuditEntry).where(AuditEntry.action == "CUSTOMER_DENIED"))).all()
    assert len(denied) == 2
    own = (await bank.rm.ask(CHANGES))["tierChanges"]["edges"]
    everybody = (await bank.he.ask(CHANGES))["tierChanges"]["edges"]
    assert [(edge["node"]["customer"]["id"], edge["node"]["cause"]) for edge in own] == [
        (bank.ids[1], "RISE"),
        (bank.ids[0], "FIRST"),
    ]
    assert (
        own[0]["node"]["words"] == "Rise"
        and len(everybody) == 3
        and (await bank.other.ask(CHANGES)) == {"tierChanges": {"edges": []}}
    )
    assert (await bank.he.ask(CHANGES, since=iso(utc_now() + DAY)))["tierChanges"]["edges"] == []


async def test_an_override_takes_two_persons_and_shows_at_once(bank: Bank) -> None:
    """Given a manager's request; then an administrator approves it; the graph, the picture and the words have it."""
    until = iso(utc_now() + DAY)
    customer, stranger = bank.ids[1], bank.ids[3]
    assert (await bank.rm.fail(OVERRIDE, id=stranger, until=until))["extensions"]["code"] == "FORBIDDEN"
    asked = (await bank.rm.ask(OVERRIDE, id=customer, until=until))["overrideTier"]["override"]
    assert asked["status"] == "PENDING"
    assert (await bank.other.fail(REJECT, id=asked["id"]))["extensions"]["code"] == "FORBIDDEN"
    assert (await bank.rm.ask(REJECT, id=asked["id"]))["rejectTierOverride"]["override"]["status"] == "REJECTED"
    asked = (await bank.rm.ask(OVERRIDE, id=customer, until=until))["overrideTier"]["override"]
    pending = (await bank.rm.ask(OVERRIDES))["tierOverrides"]["edges"]
    assert [edge["node"]["customer"]["id"] for edge in pending] == [customer]
    assert (await bank.other.ask(OVERRIDES))["tierOverrides"]["edges"] == []
    assert (await bank.rm.fail(APPROVE, id=asked["id"]))["extensions"]["code"] == "FORBIDDEN"
    approved = (await bank.he.ask(APPROVE, id=asked["id"]))["approveTierOverride"]["override"]
    assert (approved["status"], approved["decidedBy"]) == ("APPROVED", bank_subject(bank, "he"))
    words = (await bank.explain(bank.rm, 1))["words"]
    assert words[-1].startswith("By an override VIP is shown until")
    assert (await bank.other.ask(END, id=asked["id"]))["endTierOverride"]["code"] == "NOT_FOUND"
    assert (await bank.rm.ask(END, id=asked["id"]))["endTierOverride"]["override"]["status"] == "ENDED"


def bank_subject(bank: Bank, name: str) -> str:
    return f"{name}-{split_id(bank.ids[0])[1]}"


MONEY = """
{ money {
  tier { tier onWatch computedTier cap month override { tier } }
  tierChanges { edges { node { cause } } }
  traits { name title kind number word source stale }
  holdings { edges { node { id } } } accounts { edges { node { id } } }
  balances(first: 1) {
    edges { node { month average contribution currency source stale } } pageInfo { hasNextPage endCursor }
  }
  channelPreferences { channel }
} }
"""


async def test_the_picture_of_money_says_whence_and_how_old(bank: Bank) -> None:
    """Given the part of a customer's picture; then each value has its source, its time, and whether it is old."""
    local = split_id(bank.ids[0])[1]
    old = utc_now() - 400 * DAY
    await put_trait(bank.stores.database, local, "potential", number=5, observed_at=old)

    @strawberry.type
    class Probe:
        @strawberry.field
        async def money(self, info: Info) -> MoneyOfCustomer:
            return MoneyOfCustomer(local=local)

    schema = strawberry.Schema(Probe, config=StrawberryConfig(scalar_map={datetime: INSTANT, SafeInt: SAFE_INT}))
    context = Context(bank.system.edge, None, "en", utc_now(), "request")
    answer = await schema.execute(MONEY, context_value=context)
    assert answer.errors is None and answer.data is not None
    money = answer.data["money"]
    assert money["tier"] == {
        "tier": "VIP",
        "onWatch": True,
        "computedTier": "VIP",
        "cap": None,
        "month": MONTH,
        "override": None,
    }
    traits = {trait["name"]: (trait["number"], trait["source"], trait["stale"]) for trait in money["traits"]}
    assert traits["potential"] == (5, "bank", True)
    assert traits["assets"] == (100 * YUAN, "kinship", False)
    balance = money["balances"]["edges"][0]["node"]
    assert (balance["month"], balance["average"], balance["currency"], balance["stale"]) == (
        MONTH,
        100 * YUAN,
        "CNY",
        False,
    )
    assert money["balances"]["pageInfo"]["hasNextPage"]


async def test_the_cost_of_each(bank: Bank) -> None:
    system, until = bank.system, iso(utc_now() + DAY)
    found = {"overrideTier": await cost(system, bank.rm, OVERRIDE, id=bank.ids[0], until=until)}
    (one,) = (await bank.rm.ask(OVERRIDES))["tierOverrides"]["edges"]
    found["approveTierOverride"] = await cost(system, bank.he, APPROVE, id=one["node"]["id"])
    found["endTierOverride"] = await cost(system, bank.rm, END, id=one["node"]["id"])
    await bank.rm.ask(OVERRIDE, id=bank.ids[0], until=until)
    (one,) = (await bank.rm.ask(OVERRIDES))["tierOverrides"]["edges"]
    found["rejectTierOverride"] = await cost(system, bank.he, REJECT, id=one["node"]["id"])
    found["tierExplain"] = await cost(system, bank.rm, EXPLAIN, id=bank.ids[0])
    changes = "{ tierChanges { edges { node { cause } } } }"
    found["tierChanges"] = await cost(system, bank.rm, changes)
    found["tierPolicies"] = await cost(system, bank.he, POLICIES)
    found["previewTierPolicy"] = await cost(system, bank.he, PREVIEW, definition=DEFAULT)
    assert found == COSTS
