"""The tasks of complaints: who handles a complaint has them, and who it is about does not learn whose it is."""

from datetime import timedelta

import pytest

from api.relay import global_id
from core.clock import utc_now
from service.complaint_records import ComplaintChannel, ComplaintTopic
from service.complaints import NewComplaint, file_complaint
from tests.api.conftest import Caller, System
from tests.api.test_complaints import looked_after, nodes
from tests.service.promised import make_rule
from worker.complaints import sweep_complaints
from worker.tasks import hand_over_tasks
from worker.work import Stores

pytestmark = pytest.mark.anyio

COMPLAINT_TASKS = """
query($unassigned: Boolean! = false, $customer: ID) {
  tasks(unassigned: $unassigned, customerId: $customer, first: 100) { edges { node {
  id kind customer { id } complaint { id viewerIs }
} } } }
"""


async def test_an_escalation_does_not_say_whose_it_is_to_whom_it_is_about(system: System, unique: str) -> None:
    """Given a breach of a complaint about an administrator, then of all who look through such tasks they see less."""
    customer = await looked_after(system, f"rm-{unique}")
    new = NewComplaint(customer, ComplaintTopic.SALES, ComplaintChannel.PHONE, "She lied.", accused=f"x-{unique}")
    then = utc_now() - timedelta(days=4_000)
    async with system.edge.database.write() as session:
        row = await file_complaint(session, new, employee=f"sun-{unique}", now=then)
    id = global_id("Complaint", row.id)
    await sweep_complaints(Stores(system.edge.database, system.edge.graph), now=utc_now())
    await system.work()
    for name, sees in (("he", True), (f"x-{unique}", False)):
        tasks = nodes(await system.caller(name, "administrator").ask(COMPLAINT_TASKS, unassigned=True), "tasks")
        about = [one for one in tasks if one["complaint"] and one["complaint"]["id"] == id]
        assert len(about) == 3
        for one in about:
            assert (one["customer"] is not None) == sees
            assert one["complaint"]["viewerIs"] == ("OFFICER" if sees else "ACCUSED")
    warned = nodes(await system.caller(f"sun-{unique}", "administrator").ask(COMPLAINT_TASKS), "tasks")
    assert [one["complaint"]["id"] for one in warned] == [id] * 3


async def test_the_tasks_of_a_complaint_stay_with_who_handles_it(system: System, unique: str) -> None:
    """Given a complaint about the customer's manager, then its owner follows its warnings, administrators its breaches,
    and the manager learns of none of them, neither by a list of the customer nor when tasks follow their customers."""
    customer = await looked_after(system, f"li-{unique}")
    new = NewComplaint(customer, ComplaintTopic.SALES, ComplaintChannel.PHONE, "He lied.", accused=f"li-{unique}")
    async with system.edge.database.write() as session:
        row = await file_complaint(session, new, employee=f"sun-{unique}", now=utc_now() - timedelta(days=4_000))
    id, stores = global_id("Complaint", row.id), Stores(system.edge.database, system.edge.graph)
    await sweep_complaints(stores, now=utc_now())
    await system.work()
    await hand_over_tasks(stores)
    officer = system.caller(f"sun-{unique}", "complaints_officer")
    own = nodes(await officer.ask(COMPLAINT_TASKS), "tasks")
    assert [one["complaint"]["id"] for one in own] == [id] * 3
    seen = await officer.ask("query($id: ID!) { node(id: $id) { ... on Task { id } } }", id=own[0]["id"])
    assert seen["node"] == {"id": own[0]["id"]}
    breaches = nodes(await system.caller("he", "administrator").ask(COMPLAINT_TASKS, unassigned=True), "tasks")
    assert len([one for one in breaches if one["complaint"] and one["complaint"]["id"] == id]) == 3
    manager = system.caller(f"li-{unique}", "relationship_manager")
    assert nodes(await manager.ask(COMPLAINT_TASKS), "tasks") == []
    assert nodes(await manager.ask(COMPLAINT_TASKS, customer=global_id("Customer", customer)), "tasks") == []
    hidden = await manager.ask("query($id: ID!) { node(id: $id) { ... on Task { id } } }", id=own[0]["id"])
    assert hidden["node"] is None


BREAKS = "query($customer: ID!) { serviceBreaks(customerId: $customer) { edges { node { id evidence { kind } } } } }"
RECOVERIES = """
query($customer: ID, $unassigned: Boolean! = false) {
  tasks(customerId: $customer, unassigned: $unassigned, kinds: [RECOVERY], first: 100) {
    edges { node { id customer { id } } }
  }
}
"""
BREAK = "query($id: ID!) { node(id: $id) { ... on ServiceBreak { id } } }"


async def test_what_a_complaint_has_broken_is_not_shown_to_whom_it_is_about(own_system: System, unique: str) -> None:
    """Given a late first answer to complaints about the customer's manager and about somebody else, then the manager
    repairs the second break; the first is for administrators, and as if it were not there for the manager."""
    system = own_system
    await make_rule(
        system.edge.database,
        {"event": {"kind": "COMPLAINT_FIRST_RESPONSE_LATE", "within_days": 30}},
        applies_from=utc_now() - timedelta(days=60),
    )
    manager, admin = system.caller(f"li-{unique}", "relationship_manager"), system.caller("he", "administrator")
    stores = Stores(system.edge.database, system.edge.graph)
    for accused, sees in ((f"li-{unique}", False), (f"somebody-{unique}", True)):
        customer = await looked_after(system, f"li-{unique}")
        new = NewComplaint(customer, ComplaintTopic.SALES, ComplaintChannel.PHONE, "He lied.", accused=accused)
        async with system.edge.database.write() as session:
            await file_complaint(session, new, employee=f"sun-{unique}", now=utc_now() - timedelta(days=8))
        await sweep_complaints(stores, now=utc_now())
        for _ in range(3):
            await system.work()
        await seen_by(manager, admin, global_id("Customer", customer), sees=sees)
        await hand_over_tasks(stores)
        await seen_by(manager, admin, global_id("Customer", customer), sees=sees)


async def seen_by(manager: Caller, admin: Caller, customer: str, *, sees: bool) -> None:
    """The break is there for the administrator, and for the manager only where they may see it."""
    breaks = nodes(await admin.ask(BREAKS, customer=customer), "serviceBreaks")
    assert [one["evidence"][0]["kind"] for one in breaks] == ["COMPLAINT_FIRST_RESPONSE_LATE"]
    assert bool(nodes(await manager.ask(BREAKS, customer=customer), "serviceBreaks")) is sees
    assert bool(nodes(await manager.ask(RECOVERIES, customer=customer), "tasks")) is sees
    assert ((await manager.ask(BREAK, id=breaks[0]["id"]))["node"] is not None) is sees
    for whose, there in (
        (await manager.ask(RECOVERIES), sees),
        (await admin.ask(RECOVERIES, unassigned=True), not sees),
    ):
        assert (customer in [one["customer"]["id"] for one in nodes(whose, "tasks")]) is there
