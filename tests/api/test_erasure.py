"""What a person may ask of their data: all of it, and its end; for themself and administrators alone."""

from typing import Any

import pytest

from api.relay import global_id
from core.ids import new_id
from core.traces import all_traces, rows_naming
from customers.export import export_node
from loyalty.export import export_entries
from tests.api.conftest import System
from tests.api.test_customer360 import WHOLE, acts, somebody, staff
from tests.loyalty.accounts import give
from tests.worker.test_erasing import furnish

pytestmark = pytest.mark.anyio

EXPORT = "query($id: ID!) { exportCustomer(customerId: $id) }"
ERASE = """
mutation($id: ID!, $reason: String!) {
  eraseCustomer(input: {customerId: $id, reason: $reason}) {
    ... on EraseCustomerSuccess { report { customerId requestedBy finishedAt places { place count } } }
    ... on Refusal { code path }
  }
}
"""
REPORT = """
query($id: ID!) { erasureReport(customerId: $id) { backups reason requestedBy finishedAt places { place count } } }
"""


async def test_a_customer_takes_all_of_it_away(system: System, unique: str) -> None:
    """Given a customer with something everywhere; when they export it; then everything that they told is in it."""
    lin, around = await furnish(system.edge.database, system.edge.graph, unique)
    id = global_id("Customer", lin.customer_id)
    caller = system.caller(f"lin-{unique}", "customer")
    found = (await caller.ask(EXPORT, id=id))["exportCustomer"]
    assert found["profile"] == {
        "full_name": lin.full_name,
        "phone": lin.phone,
        "email": lin.email,
        "birth_date": lin.birth_date,
    }
    tables = found["tables"]
    assert {row["key"] for row in tables["customer_alias.customer_id"]} == {"1", f"lin-{unique}"}
    assert tables["consent.customer_id"][0]["evidence"] == f"E{unique}"
    assert tables["event_feedback.customer_id"][0]["comment"].endswith(unique)
    assert sum(row["points"] for row in found["ledger"]) == 210
    ties = {tie["kind"] for tie in found["graph"]["relationships"] + found["graph"]["relationships_of_others"]}
    assert ties >= {"MEMBER_OF", "KNOWS", "TAGGED", "USES", "SERVED_BY", "REGISTERED_FOR", "WROTE"}
    written = [tie["written"]["text"] for tie in found["graph"]["relationships"] if tie["kind"] == "WROTE"]
    assert len(written) == 2
    # Nothing that is sealed or hashed, and of others no more than an id.
    assert [name for row in tables["customer.id"] for name in row if "hash" in name or name in ("phone", "email")] == []
    assert "token_hash" not in str(found)
    assert around["other"] in str(found)
    assert found["truncated"] == []
    # Of whom there is more than one answer may hold it is said where.
    truncated: list[str] = []
    async with system.edge.database.read() as session:
        rows = await rows_naming(session, list(all_traces()), lin.customer_id, truncated, most=1)
        entries = await export_entries(session, lin.customer_id, truncated, most=1)
    node = await export_node(system.edge.graph, lin.customer_id, truncated, most=1)
    assert len(rows["customer_alias.customer_id"]) == len(entries) == len(node["relationships"]) == 1
    assert {"customer_alias.customer_id", "ledger", "relationships"} <= set(truncated)
    assert "customer.id" not in truncated
    assert ("CUSTOMER_EXPORTED", lin.customer_id) in await acts(system, lin.customer_id)


async def test_nobody_else_exports_or_erases(system: System, unique: str) -> None:
    """Given the own manager, another customer and an officer; then neither, whether there is such a customer or not."""
    lin = await somebody(system, unique)
    other = await system.customer(f"x-{unique}")
    for caller in (staff(system, f"zhou-{unique}"), other, system.caller("sun", "complaints_officer")):
        for document, variables in ((EXPORT, {}), (ERASE, {"reason": "A-1"})):
            answers = [
                await caller.fail(document, id=global_id("Customer", id), **variables)
                for id in (lin.customer_id, new_id())
            ]
            assert answers[0]["extensions"]["code"] == answers[1]["extensions"]["code"] == "FORBIDDEN"
        assert (await caller.fail(REPORT, id=global_id("Customer", lin.customer_id)))["extensions"][
            "code"
        ] == "FORBIDDEN"
    assert await acts(system, lin.customer_id) == [
        ("CUSTOMER_DENIED", f"zhou-{unique}"),
        ("CUSTOMER_DENIED", f"zhou-{unique}"),
        ("CUSTOMER_DENIED", "sun"),
        ("CUSTOMER_DENIED", "sun"),
    ]
    admin = system.caller("he-jing", "administrator")
    assert (await admin.fail(EXPORT, id=global_id("Customer", new_id())))["extensions"]["code"] == "NOT_FOUND"
    absent = await admin.ask(ERASE, id=global_id("Customer", new_id()), reason="A-1")
    assert absent["eraseCustomer"] == {"code": "NOT_FOUND", "path": ["input", "customerId"]}


async def test_a_customer_erases_themself_and_the_report_says_what_was_done(system: System, unique: str) -> None:
    lin = await somebody(system, unique)
    await give(system.edge.database, lin.customer_id, 70)
    id = global_id("Customer", lin.customer_id)
    caller, admin = system.caller(f"lin-{unique}", "customer"), system.caller("he-jing", "administrator")
    error = await caller.fail(ERASE, id=id, reason=f"{lin.full_name} wishes it")
    assert error["extensions"]["reason"] == "ERASURE_REASON_INVALID"
    report = (await caller.ask(ERASE, id=id, reason="My wish"))["eraseCustomer"]["report"]
    assert (report["requestedBy"], report["finishedAt"]) == (lin.customer_id, None)
    # At once: who signs in so is nobody, and the profile is empty for an administrator too.
    assert (await caller.fail(WHOLE, id=id))["extensions"]["code"] == "FORBIDDEN"
    empty: dict[str, Any] = {"fullName": None, "phone": None, "email": None, "birthDate": None}
    whole = (await admin.ask(WHOLE, id=id))["customer360"]
    assert (whole["profile"], whole["aliases"]) == (empty, [])
    await system.work()
    done = (await admin.ask(REPORT, id=id))["erasureReport"]
    assert (done["reason"], done["requestedBy"]) == ("My wish", lin.customer_id)
    assert done["finishedAt"] is not None
    assert "plain text" in done["backups"]
    places = {one["place"]: one["count"] for one in done["places"]}
    assert (places["points forfeited"], places["personal_key destroyed"]) == (70, 1)
    whole = (await admin.ask(WHOLE, id=id))["customer360"]
    assert (whole["customer"]["displayName"], whole["managers"]) == ("—", [])
    again = (await admin.ask(ERASE, id=id, reason="A-2"))["eraseCustomer"]["report"]
    assert again["requestedBy"] == lin.customer_id
    assert (await admin.ask(REPORT, id=global_id("Customer", new_id())))["erasureReport"] is None
