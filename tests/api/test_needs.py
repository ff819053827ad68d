"""Needs over HTTP: customers see what they said, managers also what rules think and why."""

from typing import Any

import pytest

from api.relay import global_id
from core.clock import utc_now
from core.ids import new_id
from customers.insight_policies import PolicyKind, active_policy
from customers.need_definition import STANDARD_NEEDS
from customers.needs import Suspicion, raise_needs
from tests.api.conftest import Caller, System
from tests.api.test_alerts import SERVE, manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of

pytestmark = pytest.mark.anyio

FIELDS = """
fragment Fields on Need {
  id status origin confidence rule source decidedBy reason why
  kind { key name }
  evidence { key name value source }
}
"""
NEEDS = (
    """
query($customerId: ID, $status: NeedStatus, $kind: String, $origin: NeedOrigin) {
  needs(customerId: $customerId, status: $status, kind: $kind, origin: $origin) { edges { node { ...Fields } } }
}
"""
    + FIELDS
)
MINE = "query($status: NeedStatus) { viewer { needs(status: $status) { edges { node { ...Fields } } } } }" + FIELDS
DECLARE = (
    """
mutation($kind: String!, $customerId: ID) {
  declareNeed(input: {kind: $kind, customerId: $customerId}) {
    __typename
    ... on DeclareNeedSuccess { need { ...Fields } }
    ... on Refusal { code path }
  }
}
"""
    + FIELDS
)
CONFIRM = """
mutation($id: ID!) {
  confirmNeed(input: {needId: $id}) {
    __typename ... on ConfirmNeedSuccess { need { status decidedBy } } ... on Refusal { code path }
  }
}
"""
MEET = """
mutation($id: ID!) {
  meetNeed(input: {needId: $id}) {
    __typename ... on MeetNeedSuccess { need { status decidedBy } } ... on Refusal { code path }
  }
}
"""
DISMISS = """
mutation($id: ID!) {
  dismissNeed(input: {needId: $id, reason: HAS_ALREADY}) {
    __typename ... on DismissNeedSuccess { need { status reason decidedBy } } ... on Refusal { code path }
  }
}
"""
KINDS = "{ needKinds { key name } }"
PUT_KIND = """
mutation($key: String!, $zh: String!, $en: String!, $tag: String) {
  putNeedKind(input: {key: $key, nameZh: $zh, nameEn: $en, tagKey: $tag}) {
    __typename ... on PutNeedKindSuccess { kind { key name } }
  }
}
"""
COSTS = {
    "needs": (1, 4),
    "viewer.needs": (0, 3),
    "declareNeed": (0, 13),
    "confirmNeed": (1, 9),
    "dismissNeed": (1, 12),
    "meetNeed": (1, 12),
    "putNeedKind": (0, 4),
}
PENSION = next(rule for rule in STANDARD_NEEDS.rules if rule.need == "PENSION")
BORN = {"trait:born": [{"value": "1970-05-01", "source": "core", "at": "2026-11-28T04:00:00.000000Z"}]}


async def suspected(system: System, customer_id: str) -> str:
    """The global id of a need that a rule thinks this customer has."""
    async with system.edge.database.write() as session:
        policy = await active_policy(session, PolicyKind.NEEDS)
        assert await raise_needs(session, [Suspicion(customer_id, PENSION, BORN)], policy.id, now=utc_now()) == 1
    manager = system.caller("he", "administrator")
    (found,) = nodes(await manager.ask(NEEDS, customerId=global_id("Customer", customer_id), kind="PENSION"), "needs")
    return found["id"]


async def own_customer(system: System, unique: str) -> tuple[Caller, str]:
    """A customer who signs in, and whom the manager of the test looks after."""
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    await system.edge.graph.write(SERVE, id=me, rm=f"rm-{unique}")
    return lin, me


def mine(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return nodes(answer["viewer"], "needs")


async def test_a_manager_sees_what_a_rule_thinks_and_why_and_the_customer_after_it_is_confirmed(
    system: System, unique: str
) -> None:
    lin, me = await own_customer(system, unique)
    need, manager = await suspected(system, me), manager_of(system, unique)
    (found,) = nodes(await manager.ask(NEEDS), "needs")
    assert found == {
        "id": need,
        "status": "SUSPECTED",
        "origin": "IMPLICIT",
        "confidence": 0.7,
        "rule": "fifty-and-over",
        "source": "policy",
        "decidedBy": None,
        "reason": None,
        "why": found["why"],
        "kind": {"key": "PENSION", "name": "Pension"},
        "evidence": [{"key": "trait:born", "name": "Month of birth", "value": "1970-05", "source": "core"}],
    }
    assert found["why"].startswith("50 and over: ") and "50" in found["why"].removeprefix("50 and over: ")
    chinese = nodes(await manager_of(system, unique, "zh").ask(NEEDS), "needs")[0]
    assert (chinese["why"][:6], chinese["evidence"][0]["name"]) == ("年满50岁：", "出生年月")
    assert mine(await lin.ask(MINE)) == []
    assert (await lin.ask(DISMISS, id=need))["dismissNeed"]["code"] == "NOT_FOUND"

    answer = (await manager.ask(CONFIRM, id=need))["confirmNeed"]
    assert answer["need"] == {"status": "CONFIRMED", "decidedBy": f"rm-{unique}"}
    assert (await manager.ask(CONFIRM, id=need))["confirmNeed"]["code"] == "NEED_NOT_OPEN"
    (seen,) = mine(await lin.ask(MINE))
    assert (seen["id"], seen["source"], seen["decidedBy"]) == (need, None, None)
    answer = (await manager.ask(MEET, id=need))["meetNeed"]
    assert answer["need"] == {"status": "MET", "decidedBy": f"rm-{unique}"}
    assert nodes(await manager.ask(NEEDS, status="SUSPECTED"), "needs") == []


async def test_a_customer_declares_a_need_and_takes_it_back(system: System, unique: str) -> None:
    lin, me = await own_customer(system, unique)
    need = (await lin.ask(DECLARE, kind="HOME"))["declareNeed"]["need"]
    assert (need["status"], need["origin"], need["why"]) == ("CONFIRMED", "EXPLICIT", "The customer said so.")
    assert (await lin.ask(DECLARE, kind="HOME"))["declareNeed"]["need"]["id"] == need["id"]
    assert [one["id"] for one in mine(await lin.ask(MINE))] == [need["id"]]
    manager = manager_of(system, unique)
    (found,) = nodes(await manager.ask(NEEDS, origin="EXPLICIT"), "needs")
    assert (found["id"], found["source"]) == (need["id"], "customer")
    told = (await manager.ask(DECLARE, kind="CAR", customerId=global_id("Customer", me)))["declareNeed"]["need"]
    assert (told["source"], told["why"]) == (f"rm-{unique}", "The customer told their manager.")
    answer = (await lin.ask(DISMISS, id=need["id"]))["dismissNeed"]
    assert answer["need"] == {"status": "DISMISSED", "reason": "HAS_ALREADY", "decidedBy": None}
    assert [one["id"] for one in mine(await lin.ask(MINE, status="CONFIRMED"))] == [told["id"]]
    unknown = (await lin.ask(DECLARE, kind="NONE"))["declareNeed"]
    assert (unknown["code"], unknown["path"]) == ("NOT_FOUND", ["input", "kind"])


async def test_others_neither_see_nor_change_it(system: System, unique: str) -> None:
    """Given a need, then for another manager and for another customer it is as if absent, and nothing has changed."""
    _, me = await own_customer(system, unique)
    need, absent = await suspected(system, me), global_id("Need", new_id())
    other, stranger = system.caller(f"o-{unique}", "relationship_manager"), await system.customer(f"s-{unique}")
    before = await state(system)
    assert nodes(await other.ask(NEEDS), "needs") == []
    for which in (need, absent):
        for document in (CONFIRM, MEET, DISMISS):
            ((_, answer),) = (await other.ask(document, id=which)).items()
            assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "needId"]}
        ((_, answer),) = (await stranger.ask(DISMISS, id=which)).items()
        assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "needId"]}
    for caller in (other, stranger):
        answer = (await caller.ask(DECLARE, kind="HOME", customerId=global_id("Customer", me)))["declareNeed"]
        assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "customerId"]}
    one = await other.fail(NEEDS, customerId=global_id("Customer", me))
    assert one["extensions"]["code"] == "NOT_FOUND"
    assert (await stranger.fail(NEEDS))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_an_administrator_adds_a_kind(system: System, unique: str) -> None:
    key = f"BOAT_{unique[-12:].upper()}"
    administrator, lin = system.caller("he", "administrator"), await system.customer(f"lin-{unique}")
    answer = (await administrator.ask(PUT_KIND, key=key, zh="游艇", en="Boat"))["putNeedKind"]
    assert answer["kind"] == {"key": key, "name": "Boat"}
    await administrator.ask(PUT_KIND, key=key, zh="游艇", en="A boat")
    assert {"key": key, "name": "A boat"} in (await lin.ask(KINDS))["needKinds"]
    for changed, path in (({"key": "boat"}, "key"), ({"en": " "}, "nameEn"), ({"tag": "none"}, "tagKey")):
        error = await administrator.fail(PUT_KIND, **({"key": key, "zh": "游艇", "en": "Boat"} | changed))
        assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("NEED_KIND_INVALID", [path])


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given three needs, then a list costs what it costs for one."""
    lin, me = await own_customer(system, unique)
    need, manager = await suspected(system, me), manager_of(system, unique)
    for kind in ("HOME", "CAR"):
        await lin.ask(DECLARE, kind=kind)
    administrator = system.caller("he", "administrator")
    assert {
        "needs": await cost(system, manager, NEEDS),
        "viewer.needs": await cost(system, lin, MINE),
        "declareNeed": await cost(system, lin, DECLARE, kind="TRAVEL"),
        "confirmNeed": await cost(system, manager, CONFIRM, id=need),
        "dismissNeed": await cost(system, manager, DISMISS, id=need),
        "meetNeed": await cost(system, manager, MEET, id=await suspected_again(lin)),
        "putNeedKind": await cost(system, administrator, PUT_KIND, key="HOME", zh="购房", en="Home", tag=None),
    } == COSTS


async def suspected_again(lin: Caller) -> str:
    return (await lin.ask(DECLARE, kind="INSURANCE"))["declareNeed"]["need"]["id"]
