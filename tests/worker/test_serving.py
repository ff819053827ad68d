"""What follows for how a customer is served: from facts, alerts and needs, once, whatever kills the worker."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id, new_id
from core.sealing import seal, unseal
from customers.need_definition import STANDARD_NEEDS
from customers.needs import declare_need
from customers.personal import data_keys, made_data_keys
from customers.profiles import Customer
from customers.tier_standing import TIER_CHANGED
from graph.client import GraphClient
from graph.eligibility import Tier
from service.action_plan_records import ActionPlan, ActionPlanStep
from service.action_plan_steps import PLAN_STEP_DUE
from service.action_plans import create_template, retire_template, start_plan
from service.follow_up_definition import InteractionKind
from service.interaction_records import Direction, Interaction
from service.interactions import SUMMARY, NewInteraction, log_interaction
from service.tasks import Task, TaskStatus
from tests.conftest import Addresses
from tests.customers.insight import put, raise_one
from tests.customers.people import import_person
from tests.databases import own_database
from tests.service.serving import DAY, follow_ups, look_on, set_tier, tasks_of
from tests.worker.test_erasing import ask_erasure, ask_merge, kill_effect, settle_all
from worker.handlers import settle
from worker.tasks import hand_over_tasks
from worker.work import Stores

pytestmark = pytest.mark.anyio

SERVE = """
MERGE (c:Customer {id: $id})
MERGE (e:Employee {id: $rm})
MERGE (c)-[:SERVED_BY]->(e)
"""
LEAVE = "MATCH (:Customer {id: $id})-[r:SERVED_BY]->() DELETE r"


async def client_of(database: Database, graph: GraphClient, rm: str | None) -> str:
    """A customer in both stores, with this manager."""
    customer = new_id()
    await put(database, Customer, {"id": customer, "display_name": "Test", "created_at": utc_now()})
    if rm:
        await graph.write(SERVE, id=customer, rm=rm)
    return customer


async def template_of(database: Database, on: str, value: str, offset: int = 0) -> str:
    steps = [{"text_zh": "致电", "text_en": "Call", "offset": offset}]
    data: dict[str, Any] = {"name_zh": "计划", "name_en": "Plan", "steps": steps}
    async with database.write() as session:
        row = await create_template(session, data | {"trigger": {"on": on, "value": value}}, actor="he", now=utc_now())
    return row.id


async def plans_of(database: Database, customer: str, template: str) -> list[ActionPlan]:
    statement = select(ActionPlan).where(ActionPlan.customer_id == customer, ActionPlan.template_id == template)
    async with database.read() as session:
        return list((await session.exec(statement)).all())


async def retire(database: Database, template: str) -> None:
    """Other tests share the stores."""
    async with database.write() as session:
        await retire_template(session, template, actor="he", now=utc_now())


async def test_who_enters_a_tier_is_seen_sooner_has_priority_and_a_plan(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a customer with a task, when a fact tells that they became VIP, twice, then all of it follows once."""
    customer = await client_of(database, graph, f"rm-{unique}")
    now = utc_now()
    await set_tier(database, customer, Tier.POTENTIAL)
    await look_on(database, [customer], now - 200 * DAY)
    await look_on(database, [customer], now - 100 * DAY)
    await settle_all(database, graph)
    assert [(one.assignee, one.priority) for one in await tasks_of(database, customer)] == [(f"rm-{unique}", 1)]
    template = await template_of(database, "TIER_ENTERED", "VIP")
    await set_tier(database, customer, Tier.VIP)
    said = {"from": "POTENTIAL", "to": "VIP", "direction": "UP"}
    fact = NewFact(OWN_SOURCE, f"tier-change:{unique}", TIER_CHANGED, customer, now, said)
    for _ in range(2):
        async with database.write() as session:
            await record_facts(session, [fact], now=now)
        await settle_all(database, graph)
    await retire(database, template)
    found = await follow_ups(database, customer)
    assert {name: row.days for name, row in found.items()} == {"CONTACT": 30, "FACE_TO_FACE": 90}
    assert len(await plans_of(database, customer, template)) == 1
    kinds = sorted((one.kind, one.priority, one.status) for one in await tasks_of(database, customer))
    assert kinds == [("FOLLOW_UP", 2, "OPEN"), ("PLAN_STEP", 2, "OPEN")]


async def test_a_tier_told_by_others_changes_nothing(database: Database, graph: GraphClient, unique: str) -> None:
    """Given a system of the bank that sends a fact of our own kind, then no plan begins by it."""
    customer = await client_of(database, graph, None)
    template = await template_of(database, "TIER_ENTERED", "VIP")
    async with database.write() as session:
        fact = NewFact("crm", f"tier-{unique}", TIER_CHANGED, customer, utc_now(), {"to": "VIP"})
        await record_facts(session, [fact], now=utc_now())
    await settle_all(database, graph)
    await retire(database, template)
    assert await plans_of(database, customer, template) == []


async def test_an_alert_and_a_need_start_their_plans(database: Database, graph: GraphClient, unique: str) -> None:
    customer = await client_of(database, graph, f"rm-{unique}")
    now = utc_now()
    alert = await template_of(database, "ALERT_RAISED", "COMPLAINTS")
    need = await template_of(database, "NEED_FOUND", "PENSION")
    await raise_one(database, customer, now=now)
    async with database.write() as session:
        await declare_need(session, customer, "PENSION", STANDARD_NEEDS, source="customer", actor="he", now=now)
    for _ in range(2):
        await settle_all(database, graph)
    for template in (alert, need):
        await retire(database, template)
        assert len(await plans_of(database, customer, template)) == 1
    assert sorted(one.kind for one in await tasks_of(database, customer)) == ["ALERT", "PLAN_STEP", "PLAN_STEP"]


async def test_a_step_that_is_killed_half_way_becomes_a_task_once(
    stores: Addresses, database: Database, graph: GraphClient, unique: str, tmp_path: Path
) -> None:
    """Given a step that is due, when its worker dies and three others come at once, then there is one task."""
    customer = await client_of(database, graph, f"rm-{unique}")
    template = await template_of(database, "NEED_FOUND", "NOBODY_HAS_THIS")
    async with database.write() as session:
        plan = await start_plan(session, customer, template, actor="he", now=utc_now())
        statement = select(ActionPlanStep.id).where(ActionPlanStep.plan_id == plan.id)
        step = (await session.exec(statement)).one()
    await kill_effect(stores, tmp_path, PLAN_STEP_DUE, step, 1)
    assert await tasks_of(database, customer) == []
    row_id = derived_id("outbox", PLAN_STEP_DUE, step)
    await asyncio.gather(*(settle(Stores(database, graph), row_id) for _ in range(3)))
    (task,) = await tasks_of(database, customer)
    assert (task.assignee, task.subject, task.status) == (f"rm-{unique}", step, TaskStatus.OPEN)


async def test_open_tasks_follow_the_customer_to_another_manager(
    stores: Addresses, tmp_path: Path, graph: GraphClient, unique: str
) -> None:
    """Given three tasks, when one customer has another manager and one has none, then theirs move, and are told."""
    async with own_database(stores, tmp_path) as database:
        told: list[tuple[str, dict[str, Any]]] = []

        async def publish(channel: str, hint: dict[str, Any]) -> None:
            told.append((channel, hint))

        own = Stores(database, graph, publish)
        customers = [await client_of(database, graph, f"old-{unique}") for _ in range(3)]
        for one in customers:
            await set_tier(database, one, Tier.VIP)
        for now in (utc_now() - 60 * DAY, utc_now()):
            await look_on(database, customers, now)
        await settle_all(database, graph)
        await graph.write(LEAVE, id=customers[0])
        await graph.write(SERVE, id=customers[0], rm=f"new-{unique}")
        await graph.write(LEAVE, id=customers[1])
        assert [await hand_over_tasks(own, page=2) for _ in range(2)] == [2, 0]
        async with database.read() as session:
            rows = (await session.exec(select(Task).where(col(Task.customer_id).in_(customers)))).all()
        assert {row.customer_id: row.assignee for row in rows} == {
            customers[0]: f"new-{unique}",
            customers[1]: None,
            customers[2]: f"old-{unique}",
        }
        assert sorted(channel for channel, _ in told) == [f"tasks:new-{unique}", *[f"tasks:old-{unique}"] * 2]


async def note(database: Database, customer: str, words: str) -> str:
    """A contact with a summary that only the customer's key opens."""
    new = NewInteraction(customer, InteractionKind.PHONE, "PHONE", Direction.INBOUND, utc_now())
    async with database.write() as session:
        key = (await made_data_keys(session, [customer]))[customer]
        sealed = seal(key, words, owner=customer, column=SUMMARY)
        return (await log_interaction(session, new, sealed_summary=sealed, actor="rm", now=utc_now())).id


async def test_a_summary_opens_after_a_merge_and_goes_with_an_erasure(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given what was spoken with the other profile, then the survivor's key opens it; erased, nothing is left."""
    keep = await import_person(database, graph, unique, "1", phone=None, email=None)
    drop = await import_person(database, graph, unique, "2", document=None)
    id = await note(database, drop.customer_id, f"secret {unique}")
    await ask_merge(database, keep.customer_id, drop.customer_id)
    await settle_all(database, graph)
    async with database.read() as session:
        row = await session.get_one(Interaction, id)
        key = (await data_keys(session, [keep.customer_id]))[keep.customer_id]
    assert row.customer_id == keep.customer_id and row.summary is not None and unique not in row.summary
    assert unseal(key, row.summary, owner=keep.customer_id, column=SUMMARY) == f"secret {unique}"
    await ask_erasure(database, keep.customer_id)
    await settle_all(database, graph)
    async with database.read() as session:
        assert await session.get(Interaction, id) is None
    assert await follow_ups(database, keep.customer_id) == {}
