"""The customer as a whole: for the own manager, administrators, the customer; whoever else tries leaves a trace."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from community.access import MemberRole
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.ids import new_id
from core.settings import DEVELOPMENT_ONLY
from customers.access import BreakGlass
from customers.erasure import erase
from customers.profiles import customer_ids_of
from customers.records import ServiceRecord
from tests.api.conftest import Caller, System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community
from tests.customers.people import Person, import_person, import_rows, row_of
from tests.worker.test_erasing import ask_merge

pytestmark = pytest.mark.anyio

WHOLE = """
query($id: ID!) {
  customer360(id: $id) {
    id
    accessedAs
    customer { displayName }
    profile { fullName phone email birthDate }
    aliases { source key }
    managers
    communities { edges { node { name } } }
    referrals { edges { node { status } } }
    broughtBy { status }
    interactions { edges { node { kind channel topic employeeId occurredAt closedAt source } } }
    complaints { edges { node { kind topic } } }
    consents { purpose channel status }
  }
}
"""
BREAK = """
mutation($id: ID!, $reason: String!) {
  breakGlass(input: {customerId: $id, reason: $reason}) {
    ... on BreakGlassSuccess { access { employeeId reason grantedAt until customer { displayName } } }
    ... on Refusal { code path }
  }
}
"""
BROKEN = "{ brokenGlasses { edges { node { employeeId reason customer { id } } } } }"
TRAIL = """
query($customer: ID, $area: String) {
  auditTrail(customer: $customer, area: $area, first: 100) { edges { node { action actor reason } } }
}
"""


PRIVATE = """
{ brokenGlasses(first: 20) { edges { node { customer { profile { fullName } tags { source } } } } } }
"""
GRANT = """
mutation($input: ConsentInput!) {
  grantConsent(input: $input) { ... on GrantConsentSuccess { consent { status } } ... on Refusal { code path } }
}
"""
TAG = """
mutation($id: ID!, $tag: String!) {
  tagCustomer(input: {customerId: $id, tag: $tag, reason: "x"}) {
    ... on TagCustomerSuccess { customer { id } } ... on Refusal { code path }
  }
}
"""
OVERRIDE = """
mutation($id: ID!, $at: DateTime!) {
  overrideTier(input: {customerId: $id, tier: VIP, reason: "x", expiresAt: $at}) {
    ... on OverrideTierSuccess { override { id } } ... on Refusal { code path }
  }
}
"""


def staff(system: System, name: str) -> Caller:
    return system.caller(name, "relationship_manager")


async def somebody(system: System, unique: str, **more: Any) -> Person:
    return await import_person(
        system.edge.database,
        system.edge.graph,
        unique,
        **{"relationship_manager": f"zhou-{unique}", "subject": f"lin-{unique}", **more},
    )


async def acts(system: System, customer_id: str) -> list[tuple[str, str]]:
    async with system.edge.database.read() as session:
        statement = select(AuditEntry).where(AuditEntry.area == f"customer:{customer_id}").order_by(col(AuditEntry.at))
        return [(row.action, row.actor) for row in (await session.exec(statement)).all()]


async def test_the_own_manager_an_administrator_and_the_customer_see_the_whole(system: System, unique: str) -> None:
    lin = await somebody(system, unique)
    id = global_id("Customer", lin.customer_id)
    community = await make_community(system.edge.graph)
    await add_member(system.edge.graph, community, lin.customer_id, MemberRole.MEMBER)
    async with system.edge.database.write() as session:
        for place, (kind, topic) in enumerate((("CALL", "LOAN"), ("COMPLAINT", "FEES"))):
            at = utc_now() - timedelta(days=place)
            session.add(
                ServiceRecord(
                    id=new_id(),
                    customer_id=lin.customer_id,
                    source="crm",
                    key=f"{unique}-{place}",
                    kind=kind,
                    channel="PHONE",
                    topic=topic,
                    employee_id="zhou",
                    occurred_at=at,
                    observed_at=at,
                    recorded_at=at,
                )
            )
    callers = {
        "MANAGER": staff(system, f"zhou-{unique}"),
        "ADMINISTRATOR": system.caller("he-jing", "administrator"),
        "SELF": system.caller(f"lin-{unique}", "customer"),
    }
    for accessed_as, caller in callers.items():
        found = (await caller.ask(WHOLE, id=id))["customer360"]
        assert found["accessedAs"] == accessed_as
        assert found["profile"] == {
            "fullName": lin.full_name,
            "phone": lin.phone,
            "email": lin.email,
            "birthDate": lin.birth_date,
        }
        assert {(one["source"], one["key"]) for one in found["aliases"]} == {("oidc", f"lin-{unique}"), (unique, "1")}
        assert found["managers"] == [f"zhou-{unique}"]
        assert len(found["communities"]["edges"]) == 1
        assert [edge["node"]["kind"] for edge in found["interactions"]["edges"]] == ["CALL", "COMPLAINT"]
        assert [edge["node"]["topic"] for edge in found["complaints"]["edges"]] == ["FEES"]
    # Graph and SQL: nothing grows with what the customer has.
    assert await cost(system, callers["MANAGER"], WHOLE, id=id) == COST


COST = (5, 12)


async def test_anybody_else_is_forbidden_whether_there_is_such_a_customer_or_not(system: System, unique: str) -> None:
    """Given another manager, an officer and a customer; when they ask for who is there and who is not; the same."""
    lin = await somebody(system, unique)
    nobody = new_id()
    other = await system.customer(f"other-{unique}")
    for caller in (staff(system, f"sun-{unique}"), system.caller("sun", "complaints_officer"), other):
        answers = [await caller.fail(WHOLE, id=global_id("Customer", id)) for id in (lin.customer_id, nobody)]
        assert answers[0] == answers[1]
        assert answers[0]["extensions"]["code"] == "FORBIDDEN"
    denied = [("CUSTOMER_DENIED", f"sun-{unique}"), ("CUSTOMER_DENIED", "sun")]
    assert await acts(system, lin.customer_id) == await acts(system, nobody) == denied
    error = await system.caller("he-jing", "administrator").fail(WHOLE, id=global_id("Customer", nobody))
    assert error["extensions"]["code"] == "NOT_FOUND"
    # Nor is anything of the profile seen beside it.
    document = "query($id: ID!) { customer(id: $id) { profile { fullName } } }"
    assert await staff(system, f"sun-{unique}").ask(document, id=global_id("Customer", lin.customer_id)) == {
        "customer": None
    }


async def test_broken_glass_is_access_for_a_time_and_leaves_a_trace(system: System, unique: str) -> None:
    """Given a manager of another; when they break the glass; then they see for four hours, and all of it is told."""
    lin = await somebody(system, unique)
    id = global_id("Customer", lin.customer_id)
    sun, zhou = staff(system, f"sun-{unique}"), staff(system, f"zhou-{unique}")
    for reason, code in ((" ", "BREAK_GLASS_REASON_INVALID"), ("x" * 501, "BREAK_GLASS_REASON_INVALID")):
        assert (await sun.fail(BREAK, id=id, reason=reason))["extensions"]["reason"] == code
    absent = await sun.ask(BREAK, id=global_id("Customer", new_id()), reason="x")
    assert absent["breakGlass"] == {"code": "NOT_FOUND", "path": ["input", "customerId"]}
    broken = (await sun.ask(BREAK, id=id, reason="Zhou is on leave"))["breakGlass"]["access"]
    assert broken["employeeId"] == f"sun-{unique}"
    assert (await sun.ask(WHOLE, id=id))["customer360"]["accessedAs"] == "BREAK_GLASS"
    assert await acts(system, lin.customer_id) == [
        ("CUSTOMER_GLASS_BROKEN", f"sun-{unique}"),
        ("CUSTOMER_GLASS_USED", f"sun-{unique}"),
    ]
    for caller in (zhou, system.caller("he-jing", "administrator")):
        told = [edge["node"] for edge in (await caller.ask(BROKEN))["brokenGlasses"]["edges"]]
        assert {"employeeId": f"sun-{unique}", "reason": "Zhou is on leave", "customer": {"id": id}} in told
    assert (await sun.ask(BROKEN))["brokenGlasses"]["edges"] == []
    async with system.edge.database.write() as session:
        row = (await session.exec(select(BreakGlass).where(BreakGlass.customer_id == lin.customer_id))).one()
        row.until = utc_now() - timedelta(seconds=1)
        session.add(row)
    assert (await sun.fail(WHOLE, id=id))["extensions"]["code"] == "FORBIDDEN"
    for caller in (system.caller(f"lin-{unique}", "customer"), system.caller("he", "administrator")):
        assert (await caller.fail(BREAK, id=id, reason="x"))["extensions"]["code"] == "FORBIDDEN"


async def test_a_page_of_customers_costs_as_much_as_one(system: System, unique: str) -> None:
    """Given twenty of a manager's customers in a list; then what is private of them is asked for together."""
    zhou, costs = staff(system, f"zhou-{unique}"), list[tuple[int, int]]()
    rows = [row_of(unique, str(place), relationship_manager=f"zhou-{unique}") for place in range(20)]
    await import_rows(system.edge.database, system.edge.graph, unique, *rows)
    async with system.edge.database.read() as session:
        ids = await customer_ids_of(session, unique, [row["key"] for row in rows])
    for some in (["0"], [str(place) for place in range(1, 20)]):
        for key in some:
            broken = await staff(system, "sun").ask(BREAK, id=global_id("Customer", ids[key]), reason="x")
            assert "access" in broken["breakGlass"]
        costs.append(await cost(system, zhou, PRIVATE))
    edges = (await zhou.ask(PRIVATE))["brokenGlasses"]["edges"]
    names = {edge["node"]["customer"]["profile"]["fullName"] for edge in edges}
    assert names == {row["full_name"] for row in rows}
    assert costs[0] == costs[1]


async def test_what_staff_write_of_an_old_id_is_the_survivors_and_of_the_erased_nothing(
    system: System, unique: str
) -> None:
    """Given a profile that became another's; when staff write of it; then of that one; and once erased of none."""
    lin = await somebody(system, unique)
    old = await import_person(system.edge.database, system.edge.graph, unique, "old", document=None)
    word = {"kind": "tag", "key": f"t{unique[-12:]}", "name_zh": "茶", "name_en": "Tea", "family": "INTEREST"}
    await import_rows(system.edge.database, system.edge.graph, unique, word)
    await ask_merge(system.edge.database, lin.customer_id, old.customer_id)
    await system.work()
    id = global_id("Customer", old.customer_id)
    admin, sun = system.caller("he-jing", "administrator"), staff(system, f"sun-{unique}")
    documents = (
        (admin, GRANT, {"input": {"purpose": "CARE", "customerId": id, "evidence": "A-1"}}),
        (admin, TAG, {"id": id, "tag": word["key"]}),
        (admin, OVERRIDE, {"id": id, "at": iso(utc_now() + timedelta(days=3))}),
        (sun, BREAK, {"id": id, "reason": "x"}),
    )
    for caller, document, variables in documents:
        (said,) = (await caller.ask(document, **variables)).values()
        assert "code" not in said
    done = {action for action, _ in await acts(system, lin.customer_id)}
    assert done >= {"CUSTOMER_CONSENT_NOTED", "CUSTOMER_TAGGED", "CUSTOMER_TIER_OVERRIDE_REQUESTED"}
    assert {action for action, _ in await acts(system, old.customer_id)} == {"CUSTOMER_MERGED"}
    edges = (await admin.ask(TRAIL, customer=id))["auditTrail"]["edges"]
    assert "CUSTOMER_TAGGED" in {edge["node"]["action"] for edge in edges}
    async with system.edge.database.write() as session:
        await erase(session, lin.customer_id, actor="he", reason="A-1", hash_key=DEVELOPMENT_ONLY, now=utc_now())
    for caller, document, variables in documents:
        (said,) = (await caller.ask(document, **variables)).values()
        assert said == {"code": "NOT_FOUND", "path": ["input", "customerId"]}


async def test_the_trail_is_for_administrators_and_the_customers_own_manager(system: System, unique: str) -> None:
    lin = await somebody(system, unique)
    id = global_id("Customer", lin.customer_id)
    sun, zhou = staff(system, f"sun-{unique}"), staff(system, f"zhou-{unique}")
    admin = system.caller("he-jing", "administrator")
    await sun.fail(WHOLE, id=id)
    for caller, variables in (
        (zhou, {"customer": id}),
        (admin, {"customer": id}),
        (admin, {"area": f"customer:{lin.customer_id}"}),
    ):
        edges = (await caller.ask(TRAIL, **variables))["auditTrail"]["edges"]
        assert [edge["node"] for edge in edges] == [
            {"action": "CUSTOMER_DENIED", "actor": f"sun-{unique}", "reason": None}
        ]
    for caller, variables in (
        (sun, {"customer": id}),
        (zhou, {"area": f"customer:{lin.customer_id}"}),
        (system.caller(f"lin-{unique}", "customer"), {"customer": id}),
    ):
        assert (await caller.fail(TRAIL, **variables))["extensions"]["code"] == "FORBIDDEN"
    for variables in ({}, {"customer": id, "area": "x"}, {"area": "x" * 201}):
        assert (await admin.fail(TRAIL, **variables))["extensions"]["reason"] == "AUDIT_TRAIL_INVALID"


async def test_a_denial_is_audited_also_where_the_act_was_rolled_back(system: System, unique: str) -> None:
    """Given a mutation that is denied inside its transaction; then nothing of it is there but the denial."""
    lin = await somebody(system, unique)
    grant = """
    mutation($id: ID!) { grantConsent(input: {customerId: $id, purpose: CARE, evidence: "A-1"}) { __typename } }
    """
    error = await staff(system, f"sun-{unique}").fail(grant, id=global_id("Customer", lin.customer_id))
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await acts(system, lin.customer_id) == [("CUSTOMER_DENIED", f"sun-{unique}")]
    assert local_of(f"lin-{unique}") != lin.customer_id
