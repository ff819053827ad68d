"""Interactions over HTTP: logged by who looks after the customer, sealed, in one list with what systems tell."""

from typing import Any

import pytest
from sqlmodel import select

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from customers.records import ServiceRecord
from graph.eligibility import Tier
from service.interaction_records import Interaction
from tests.api.conftest import System
from tests.api.test_alerts import looked_after, manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_tasks import TASKS, due_vips
from tests.api.test_way_through import local_of
from tests.customers.insight import put
from tests.service.serving import DAY, look_on, set_tier

pytestmark = pytest.mark.anyio

LOG = """
mutation($customer: ID!, $kind: InteractionKind! = PHONE, $channel: String! = "PHONE", $at: DateTime!,
         $direction: InteractionDirection! = OUTBOUND, $summary: String, $key: String) {
  logInteraction(input: {customerId: $customer, kind: $kind, channel: $channel, direction: $direction,
                         occurredAt: $at, summary: $summary, idempotencyKey: $key}) {
    __typename
    ... on LogInteractionSuccess {
      interaction { id kind channel direction summary employeeId source }
      followUp { obligation tier days nextOn lastContactOn taskSince missedOn }
    }
    ... on Refusal { code path }
  }
}
"""
INTERACTIONS = """
query($customer: ID!, $first: Int = 50, $after: String) {
  interactions(customerId: $customer, first: $first, after: $after) {
    edges { cursor node { id kind topic direction summary employeeId source } }
    pageInfo { hasNextPage }
  }
}
"""
WHOLE = """
query($customer: ID!) {
  customer360(id: $customer) {
    followUp { obligation nextOn }
    interactions(first: 10) { edges { node { kind summary source } } }
    complaints(first: 10) { edges { node { kind } } }
  }
}
"""
COSTS = {"logInteraction": (1, 15), "interactions": (1, 4)}


async def tell(system: System, customer: str, kind: str, at: Any) -> None:
    """What a system of the bank tells of."""
    key = new_id()
    row = {"id": key, "customer_id": customer, "source": "crm", "key": key, "kind": kind, "channel": "PHONE"}
    row |= {"topic": "FEES", "employee_id": "e1", "occurred_at": at, "observed_at": at, "recorded_at": at}
    await put(system.edge.database, ServiceRecord, row)


async def test_a_call_is_logged_sealed_and_ends_the_task(system: System, unique: str) -> None:
    """Given a VIP who is to be called, when the manager logs it, twice by one key, then it is there once."""
    (customer,) = await due_vips(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    told = {"customer": id, "at": iso(utc_now()), "summary": f"wants {unique}", "key": "call-1"}
    first, again = [(await manager.ask(LOG, **told))["logInteraction"] for _ in range(2)]
    assert first["interaction"] == again["interaction"]
    assert first["interaction"]["summary"] == f"wants {unique}"
    assert (first["interaction"]["source"], first["interaction"]["employeeId"]) == ("kinship", f"rm-{unique}")
    by_name = {one["obligation"]: one for one in first["followUp"]}
    assert by_name["CONTACT"]["taskSince"] is None and by_name["CONTACT"]["lastContactOn"] is not None
    assert by_name["FACE_TO_FACE"]["lastContactOn"] is None
    assert nodes(await manager.ask(TASKS), "tasks") == []
    (done,) = nodes(await manager.ask(TASKS, status="DONE"), "tasks")
    assert (done["outcome"], done["endedBy"]) == ("CONTACTED", f"rm-{unique}")
    async with system.edge.database.read() as session:
        rows = (await session.exec(select(Interaction).where(Interaction.customer_id == customer))).all()
    assert len(rows) == 1 and rows[0].summary is not None and unique not in rows[0].summary


async def test_both_kinds_of_contacts_are_one_list(system: System, unique: str) -> None:
    """Given three that were logged and three that were told, then pages of two have all six, the latest first."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    now = utc_now()
    for days in (1, 3, 5):
        await manager.ask(LOG, customer=id, at=iso(now - days * DAY), summary=f"s{days}")
        await tell(system, customer, "COMPLAINT" if days == 3 else "CALL", now - (days + 1) * DAY)
    found: list[dict[str, Any]] = []
    after, page = None, dict[str, Any]()
    for _ in range(3):
        page = (await manager.ask(INTERACTIONS, customer=id, first=2, after=after))["interactions"]
        found += [edge["node"] for edge in page["edges"]]
        after = page["edges"][-1]["cursor"]
    assert not page["pageInfo"]["hasNextPage"]
    assert [one["kind"] for one in found] == ["PHONE", "CALL", "PHONE", "COMPLAINT", "PHONE", "CALL"]
    assert [one["summary"] for one in found] == ["s1", None, "s3", None, "s5", None]
    assert [one["topic"] for one in found] == ["", "FEES"] * 3
    whole = (await manager.ask(WHOLE, customer=id))["customer360"]
    assert [edge["node"]["kind"] for edge in whole["interactions"]["edges"]] == [one["kind"] for one in found]
    assert [edge["node"]["kind"] for edge in whole["complaints"]["edges"]] == ["COMPLAINT"]
    assert [one["obligation"] for one in whole["followUp"]] == ["CONTACT"]


async def test_customers_see_that_they_were_called_and_not_what_was_noted(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    administrator = system.caller("he", "administrator")
    id = global_id("Customer", local_of(f"lin-{unique}"))
    await administrator.ask(LOG, customer=id, at=iso(utc_now()), summary="wants a loan")
    whole = (await lin.ask(WHOLE, customer=id))["customer360"]
    assert whole["followUp"] is None
    assert [edge["node"] for edge in whole["interactions"]["edges"]] == [
        {"kind": "PHONE", "summary": None, "source": "kinship"}
    ]


async def test_others_log_and_read_nothing(system: System, unique: str) -> None:
    """Given another's customer, then a manager is refused as for nobody, and nothing has changed."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    other = system.caller(f"other-{unique}", "relationship_manager")
    stranger = await system.customer(f"s-{unique}")
    before = await state(system)
    for who in (other, stranger):
        for id in (global_id("Customer", customer), global_id("Customer", new_id())):
            assert (await who.fail(LOG, customer=id, at=iso(utc_now())))["extensions"]["code"] == "FORBIDDEN"
            assert (await who.fail(INTERACTIONS, customer=id))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"channel": "phone"}, ["channel"]),
        ({"at": iso(utc_now() + DAY)}, ["occurredAt"]),
        ({"at": iso(utc_now() - 400 * DAY)}, ["occurredAt"]),
        ({"kind": "BROADCAST", "direction": "INBOUND"}, ["direction"]),
        ({"summary": " "}, ["summary"]),
        ({"summary": "x" * 2_001}, ["summary"]),
        ({"key": ""}, ["idempotencyKey"]),
    ],
)
async def test_what_cannot_be_is_refused(system: System, unique: str, given: dict[str, Any], path: list[str]) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    told = {"customer": global_id("Customer", customer), "at": iso(utc_now())} | given
    error = await manager_of(system, unique).fail(LOG, **told)
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("INTERACTION_INVALID", path)


async def test_what_it_costs(system: System, unique: str) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    await set_tier(system.edge.database, customer, Tier.VIP)
    await look_on(system.edge.database, [customer], utc_now())
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    for _ in range(3):
        await manager.ask(LOG, customer=id, at=iso(utc_now()), summary="x")
    await tell(system, customer, "CALL", utc_now())
    assert {
        "logInteraction": await cost(system, manager, LOG, customer=id, at=iso(utc_now()), summary="y"),
        "interactions": await cost(system, manager, INTERACTIONS, customer=id),
    } == COSTS
