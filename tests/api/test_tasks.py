"""Tasks over HTTP: a manager lists and ends their own, others find nothing, and who listens hears of it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import derived_id, new_id
from core.tasks import TaskKind, task, task_key
from graph.eligibility import Tier
from service.tasks import open_tasks, task_id_of
from tests.api.conftest import Caller, System, token
from tests.api.live import Live, follow, hear, serve
from tests.api.test_alerts import looked_after, manager_of, nodes, raised
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.service.serving import DAY, look_on, set_tier

pytestmark = pytest.mark.anyio

TASKS = """
query($status: TaskStatus! = OPEN, $role: StaffRole, $customerId: ID, $kinds: [TaskKind!], $dueBefore: DateTime,
      $order: TaskOrder! = DUE, $first: Int = 50, $after: String) {
  tasks(status: $status, role: $role, customerId: $customerId, kinds: $kinds, dueBefore: $dueBefore, order: $order,
        first: $first, after: $after) {
    edges { cursor node {
      id kind title status priority role outcome reason endedBy
      customer { id displayName } followUp { obligation nextOn taskSince } planStep { status }
    } }
    pageInfo { hasNextPage }
  }
}
"""
COMPLETE = """
mutation($id: ID!, $outcome: TaskOutcome! = DONE) {
  completeTask(input: {taskId: $id, outcome: $outcome}) {
    __typename
    ... on CompleteTaskSuccess { task { status outcome endedBy } }
    ... on Refusal { code path }
  }
}
"""
CANCEL = """
mutation($id: ID!) {
  cancelTask(input: {taskId: $id, reason: NOT_NEEDED}) {
    __typename
    ... on CancelTaskSuccess { task { status reason endedBy } }
    ... on Refusal { code path }
  }
}
"""
CHANGED = "subscription { taskChanged { task { id status kind } } }"
NODE = "query($id: ID!) { node(id: $id) { __typename } }"
COSTS = {"tasks of a manager": (2, 2), "completeTask": (1, 8), "cancelTask": (1, 8)}


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


async def due_vips(system: System, manager: str, count: int = 1) -> list[str]:
    """So many VIPs of a manager who are to be called, with the tasks for it."""
    ids = await looked_after(system, manager, count)
    for one in ids:
        await set_tier(system.edge.database, one, Tier.VIP)
    for now in (utc_now() - 40 * DAY, utc_now()):
        await look_on(system.edge.database, ids, now)
    await system.work()
    return ids


async def task_for_role(system: System, customer: str, role: str) -> str:
    """The global id of a task that waits for a role."""
    payload = task(TaskKind.PLAN_STEP, customer_id=customer, subject=new_id(), due_at=utc_now() + DAY, role=role)
    async with system.edge.database.write() as session:
        (task_id,) = await open_tasks(session, [payload], {}, now=utc_now())
    return global_id("Task", task_id)


async def test_a_manager_sees_whom_to_call_and_says_that_they_did(system: System, unique: str) -> None:
    (customer,) = await due_vips(system, f"rm-{unique}")
    manager = manager_of(system, unique)
    (found,) = nodes(await manager.ask(TASKS), "tasks")
    assert (found["kind"], found["title"], found["priority"]) == ("FOLLOW_UP", "Get in touch with the customer", 2)
    assert found["customer"]["id"] == global_id("Customer", customer)
    assert found["followUp"]["obligation"] == "CONTACT" and found["followUp"]["taskSince"] is not None
    assert nodes(await manager_of(system, unique, "zh").ask(TASKS), "tasks")[0]["title"] == "定期回访客户"
    done = {"status": "DONE", "outcome": "CONTACTED", "endedBy": f"rm-{unique}"}
    for _ in range(2):
        answer = (await manager.ask(COMPLETE, id=found["id"], outcome="CONTACTED"))["completeTask"]
        assert answer["task"] == done
    refused = (await manager.ask(CANCEL, id=found["id"]))["cancelTask"]
    assert refused == {"__typename": "Refusal", "code": "TASK_ENDED", "path": ["input", "taskId"]}
    assert nodes(await manager.ask(TASKS), "tasks") == []
    (ended,) = nodes(await manager.ask(TASKS, status="DONE"), "tasks")
    assert ended["followUp"] is None


async def test_a_task_about_an_alert_ends_with_the_alert(system: System, unique: str) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    await raised(system, customer)
    await system.work()
    manager = manager_of(system, unique)
    (found,) = nodes(await manager.ask(TASKS), "tasks")
    for document in (COMPLETE, CANCEL):
        ((_, answer),) = (await manager.ask(document, id=found["id"])).items()
        assert answer["code"] == "TASK_ENDS_ELSEWHERE"
    bad = await manager.fail(COMPLETE, id=found["id"], outcome="NO_LONGER_DUE")
    assert bad["extensions"]["reason"] == "TASK_REQUEST_INVALID"


async def test_of_many_devices_that_complete_a_task_all_are_told_the_same(system: System, unique: str) -> None:
    """Given a manager with eight devices, when all complete one task at once, then all succeed, and one act is kept."""
    await due_vips(system, f"rm-{unique}")
    manager = manager_of(system, unique)
    (found,) = nodes(await manager.ask(TASKS), "tasks")
    answers = await asyncio.gather(*(manager.ask(COMPLETE, id=found["id"]) for _ in range(8)))
    assert {one["completeTask"]["__typename"] for one in answers} == {"CompleteTaskSuccess"}
    assert len(nodes(await manager.ask(TASKS, status="DONE"), "tasks")) == 1


async def test_others_find_no_task_and_change_nothing(system: System, unique: str) -> None:
    """Given a task, then for another manager it is as if absent, for customers forbidden, and nothing has changed."""
    (customer,) = await due_vips(system, f"rm-{unique}")
    (found,) = nodes(await manager_of(system, unique).ask(TASKS), "tasks")
    other = system.caller(f"other-{unique}", "relationship_manager")
    officer = system.caller(f"co-{unique}", "complaints_officer")
    before = await state(system)
    for who in (other, officer):
        for which in (found["id"], global_id("Task", new_id())):
            for document in (COMPLETE, CANCEL):
                ((_, answer),) = (await who.ask(document, id=which)).items()
                assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "taskId"]}
            assert await who.ask(NODE, id=which) == {"node": None}
    assert nodes(await other.ask(TASKS), "tasks") == []
    one = await other.fail(TASKS, customerId=global_id("Customer", customer))
    assert one["extensions"]["code"] == "NOT_FOUND"
    stranger = system.caller(f"s-{unique}", "customer")
    for document, variables in ((TASKS, {}), (COMPLETE, {"id": found["id"]}), (CANCEL, {"id": found["id"]})):
        assert (await stranger.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_a_task_for_a_role_is_for_whoever_has_it(system: System, unique: str) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    which = await task_for_role(system, customer, "complaints_officer")
    officer = system.caller(f"co-{unique}", "complaints_officer")
    manager = manager_of(system, unique)
    assert (await manager.fail(TASKS, role="COMPLAINTS_OFFICER"))["extensions"]["code"] == "FORBIDDEN"
    assert (await manager.ask(COMPLETE, id=which))["completeTask"]["code"] == "NOT_FOUND"
    mine = [one for one in nodes(await officer.ask(TASKS, role="COMPLAINTS_OFFICER"), "tasks") if one["id"] == which]
    assert [one["role"] for one in mine] == ["COMPLAINTS_OFFICER"]
    assert (await officer.ask(COMPLETE, id=which))["completeTask"]["task"]["endedBy"] == f"co-{unique}"
    two = await officer.fail(TASKS, role="COMPLAINTS_OFFICER", customerId=global_id("Customer", customer))
    assert two["extensions"]["reason"] == "TASK_REQUEST_INVALID"


async def test_tasks_are_filtered_ordered_and_paged(system: System, unique: str) -> None:
    """Given a MASS customer who is due first and two VIPs, then by priority the VIPs come first, page by page."""
    manager = manager_of(system, unique)
    mass, early, late = await looked_after(system, f"rm-{unique}", 3)
    for one in (early, late):
        await set_tier(system.edge.database, one, Tier.VIP)
    payloads = [
        task(TaskKind.PLAN_STEP, customer_id=one, subject=new_id(), due_at=utc_now() + days * DAY)
        for one, days in ((mass, 1), (early, 2), (late, 3))
    ]
    async with system.edge.database.write() as session:
        await open_tasks(session, payloads, dict.fromkeys(map(task_id_of, payloads), f"rm-{unique}"), now=utc_now())

    async def who(**variables: Any) -> list[str]:
        found: list[str] = []
        after = None
        while True:
            answer = (await manager.ask(TASKS, first=1, after=after, **variables))["tasks"]
            found += [edge["node"]["customer"]["id"] for edge in answer["edges"]]
            if not answer["pageInfo"]["hasNextPage"]:
                return found
            after = answer["edges"][-1]["cursor"]

    ids = {one: global_id("Customer", one) for one in (mass, early, late)}
    assert await who() == [ids[mass], ids[early], ids[late]]
    assert await who(order="PRIORITY") == [ids[early], ids[late], ids[mass]]
    assert await who(customerId=ids[late]) == [ids[late]]
    assert await who(kinds=["FOLLOW_UP"]) == []
    assert await who(dueBefore=iso(utc_now() + 2.5 * DAY)) == [ids[mass], ids[early]]
    bad = await manager.fail(TASKS, order="PRIORITY", after="W10")
    assert bad["extensions"]["reason"] == "PAGE_INVALID"


async def test_who_listens_hears_of_their_tasks_and_of_nobody_elses(live: Live, unique: str) -> None:
    system = live.system
    (customer,) = await looked_after(system, f"rm-{unique}")
    mine, theirs = f"rm-{unique}", f"other-{unique}"
    roles = "relationship_manager"
    async with live.client(token(mine, roles)) as manager, live.client(token(theirs, roles)) as other:
        for socket, name in ((manager, mine), (other, theirs)):
            await follow(socket, CHANGED)
            await live.settled(f"tasks:{name}", 1)
        subject = new_id()
        payload = task(TaskKind.PLAN_STEP, customer_id=customer, subject=subject, due_at=utc_now() + timedelta(days=1))
        async with system.edge.database.write() as session:
            await open_tasks(session, [payload], {task_id_of(payload): mine}, now=utc_now())
        which = global_id("Task", derived_id("task", task_key(TaskKind.PLAN_STEP, subject)))
        await system.caller(mine, roles).ask(COMPLETE, id=which)
        heard = (await hear(manager))["payload"]["data"]["taskChanged"]["task"]
        assert heard == {"id": which, "status": "DONE", "kind": "PLAN_STEP"}
        await system.edge.ring(f"tasks:{theirs}", {"task_id": which.removeprefix("x")})
        await system.edge.ring(f"tasks:{mine}", {})
        assert (await hear(other))["payload"]["data"]["taskChanged"] == {"task": None}
        assert (await hear(manager))["payload"]["data"]["taskChanged"] == {"task": None}


async def test_customers_do_not_listen_to_tasks(live: Live, unique: str) -> None:
    async with live.client(token(f"c-{unique}", "customer")) as customer:
        await follow(customer, CHANGED)
        message = await hear(customer)
        errors = message["payload"]["errors"] if isinstance(message["payload"], dict) else message["payload"]
        assert errors[0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given ten VIPs with a task each, then the list costs what it costs for one."""
    await due_vips(system, f"rm-{unique}", 10)
    manager: Caller = manager_of(system, unique)
    first, second = [one["id"] for one in nodes(await manager.ask(TASKS), "tasks")][:2]
    assert {
        "tasks of a manager": await cost(system, manager, TASKS),
        "completeTask": await cost(system, manager, COMPLETE, id=first),
        "cancelTask": await cost(system, manager, CANCEL, id=second),
    } == COSTS
