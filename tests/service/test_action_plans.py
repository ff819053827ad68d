"""Action plans: steps on their days, once each, whoever starts, ends or cancels at the same time."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from core.business_calendar import Calendar
from core.db import Database
from core.ids import new_id
from core.tasks import TaskKind
from graph.eligibility import Tier
from segments.conditions import ConditionInvalid
from service.action_plan_definition import ActionPlanTemplateInvalid, Step, TriggerKind
from service.action_plan_records import ActionPlan, PlanStatus, StepStatus
from service.action_plan_steps import PLAN_STEP_DUE, open_steps
from service.action_plans import (
    ActionPlanActive,
    ActionPlanOver,
    ActionPlanTemplateRetired,
    Happening,
    cancel_plan,
    create_template,
    merge_plans,
    retire_template,
    start_plan,
    start_plans,
    steps_by_plan,
)
from service.task_ends import TaskEnded, cancel_task, complete_task
from service.task_words import CancelReason
from service.tasks import TaskOutcome, TaskStatus
from tests.service.serving import DAY, NOON, TODAY, owed, set_tier, tasks_of

pytestmark = pytest.mark.anyio

IS_VIP = {"tier": {"in": ["VIP"]}}


def step(offset: int, **more: Any) -> dict[str, Any]:
    return {"text_zh": f"第{offset}天", "text_en": f"Day {offset}", "offset": offset, **more}


def definition(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name_zh": "欢迎", "name_en": "Welcome", "steps": list(steps or (step(0), step(7))), **more}


async def template_of(database: Database, *steps: dict[str, Any], **more: Any) -> str:
    async with database.write() as session:
        return (await create_template(session, definition(*steps, **more), actor="he", now=NOON)).id


async def started(database: Database, customer: str, template: str, *, actor: str = "rm") -> ActionPlan:
    async with database.write() as session:
        return await start_plan(session, customer, template, actor=actor, now=NOON)


async def come_due(database: Database, customer: str, day: date) -> None:
    """What the worker does with the steps that are due on a day, however often it is told."""
    now = NOON + (day - TODAY)
    async with database.write() as session:
        rows = await owed(session, PLAN_STEP_DUE, [customer])
        ids = [row.payload["step_id"] for row in rows if row.available_at is not None and row.available_at <= now]
        await open_steps(session, ids, {customer: "rm"}, now=now)


async def steps_of(database: Database, plan_id: str) -> list[str]:
    async with database.read() as session:
        return [row.status for row in (await steps_by_plan(session, [plan_id]))[plan_id]]


@pytest.mark.parametrize(
    ("days", "offset", "due"),
    [
        # The second of October 2026 is a Friday in the National Day holidays, which last until the seventh;
        # Saturday the tenth is worked for it.
        ("CALENDAR", 0, date(2026, 10, 2)),
        ("CALENDAR", 7, date(2026, 10, 9)),
        ("WORKING", 0, date(2026, 10, 8)),
        ("WORKING", 1, date(2026, 10, 8)),
        ("WORKING", 3, date(2026, 10, 10)),
        ("WORKING", 4, date(2026, 10, 12)),
    ],
)
def test_offsets_count_calendar_or_working_days(days: str, offset: int, due: date) -> None:
    said = Step.model_validate(step(offset, days=days))
    assert said.day(date(2026, 10, 2), Calendar()) == due


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (definition() | {"steps": []}, ("definition", "steps")),
        (definition(step(-1)), ("definition", "steps", "0", "offset")),
        (definition(step(0, text_zh=" ")), ("definition", "steps", "0", "textZh")),
        (definition(step(0, who="NOBODY")), ("definition", "steps", "0", "who")),
        (definition(trigger={"on": "TIER_ENTERED", "value": "GOLD"}), ("definition", "trigger")),
        (definition() | {"colour": "red"}, ("definition", "colour")),
    ],
)
async def test_what_cannot_be_is_refused_with_its_path(
    database: Database, data: dict[str, Any], path: tuple[str, ...]
) -> None:
    async with database.write() as session:
        with pytest.raises(ActionPlanTemplateInvalid) as caught:
            await create_template(session, data, actor="he", now=NOON)
    assert caught.value.path == path


async def test_conditions_are_read_when_the_template_is_written(database: Database) -> None:
    async with database.write() as session:
        with pytest.raises(ConditionInvalid) as caught:
            await create_template(session, definition(step(0, condition={"x": 1})), actor="he", now=NOON)
    assert caught.value.path[:4] == ("definition", "steps", "0", "condition")


async def test_steps_become_tasks_on_their_days_once(database: Database) -> None:
    """Given a plan of two steps, then each has one task from its day on, and the plan is done with the second."""
    customer = new_id()
    plan = await started(database, customer, await template_of(database, step(0), step(7, within_days=2)))
    for back in range(9):
        for _ in range(2):
            await come_due(database, customer, TODAY + back * DAY)
        expected = 1 if back < 7 else 2
        assert len(await tasks_of(database, customer)) == expected
    tasks = await tasks_of(database, customer)
    assert [(one.kind, one.assignee, one.status) for one in tasks] == [(TaskKind.PLAN_STEP, "rm", "OPEN")] * 2
    assert [one.due_at for one in tasks] == [NOON.replace(hour=16), NOON.replace(hour=16) + 9 * DAY]
    for one, outcome in zip(tasks, (TaskOutcome.DONE, TaskOutcome.DONE), strict=True):
        async with database.write() as session:
            await complete_task(session, one.id, outcome=outcome, actor="rm", now=NOON + 8 * DAY)
    assert await steps_of(database, plan.id) == [StepStatus.DONE, StepStatus.DONE]
    async with database.read() as session:
        row = await session.get_one(ActionPlan, plan.id)
    assert (row.status, row.ended_at) == (PlanStatus.DONE, NOON + 8 * DAY)


async def test_a_step_whose_condition_does_not_hold_is_skipped(database: Database) -> None:
    """Given one step for VIPs alone and one for a role, then a MASS customer's plan skips the first."""
    mass, vip = new_id(), new_id()
    await set_tier(database, vip, Tier.VIP)
    template = await template_of(database, step(0, condition=IS_VIP), step(0, who="COMPLAINTS_OFFICER", text_en="Look"))
    plans = [await started(database, one, template) for one in (mass, vip)]
    for one in (mass, vip):
        await come_due(database, one, TODAY)
    assert [await steps_of(database, one.id) for one in plans] == [["SKIPPED", "OPEN"], ["OPEN", "OPEN"]]
    (task,) = await tasks_of(database, mass)
    assert (task.assignee, task.role) == (None, "complaints_officer")
    async with database.write() as session:
        await cancel_task(session, task.id, reason=CancelReason.NOT_NEEDED, actor="co", now=NOON)
    assert await steps_of(database, plans[0].id) == ["SKIPPED", "SKIPPED"]


async def test_a_cancelled_plan_ends_its_tasks_and_opens_no_more(database: Database) -> None:
    customer = new_id()
    template = await template_of(database)
    plan = await started(database, customer, template)
    await come_due(database, customer, TODAY)
    for _ in range(2):
        async with database.write() as session:
            row = await cancel_plan(session, plan.id, reason=CancelReason.OTHER, actor="rm", now=NOON)
        assert (row.status, row.ended_by) == (PlanStatus.CANCELLED, "rm")
    await come_due(database, customer, TODAY + 7 * DAY)
    assert await steps_of(database, plan.id) == ["CANCELLED", "CANCELLED"]
    assert [one.status for one in await tasks_of(database, customer)] == [TaskStatus.DONE]
    async with database.write() as session:
        with pytest.raises(ActionPlanOver):
            await cancel_plan(session, plan.id, reason=CancelReason.OTHER, actor="other", now=NOON)
    again = await started(database, customer, template)
    assert again.id != plan.id


async def test_of_many_who_start_a_plan_one_does(pools: list[Database]) -> None:
    """Given one template, when four people start it four times each at once, then one does, with two steps owed."""
    customer, template = new_id(), await template_of(pools[0])
    found = await asyncio.gather(
        *(started(pools[number % 4], customer, template, actor=f"rm-{number // 4}") for number in range(16)),
        return_exceptions=True,
    )
    plans = [one for one in found if isinstance(one, ActionPlan)]
    assert (len(plans), len({one.id for one in plans})) == (4, 1)
    assert {type(one) for one in found if not isinstance(one, ActionPlan)} == {ActionPlanActive}
    async with pools[0].read() as session:
        assert len(await owed(session, PLAN_STEP_DUE, [customer])) == 2


async def test_what_happened_starts_a_plan_once(pools: list[Database]) -> None:
    """Given a template for who becomes VIP, when the same is told sixteen times at once, then one plan begins each."""
    key = f"N{new_id().replace('-', '').upper()}"
    trigger = {"on": "NEED_FOUND", "value": key}
    template = await template_of(pools[0], trigger=trigger, condition=IS_VIP)
    vips, mass = [new_id() for _ in range(3)], new_id()
    for one in vips:
        await set_tier(pools[0], one, Tier.VIP)
    told = [Happening(TriggerKind.NEED_FOUND, key, one, f"need-{one}") for one in (*vips, mass)]
    others = [Happening(TriggerKind.ALERT_RAISED, key, vips[0], "a"), Happening(TriggerKind.NEED_FOUND, "X", mass, "b")]

    async def happen(number: int) -> list[str]:
        async with pools[number % 4].write() as session:
            return await start_plans(session, [*told, *others], now=NOON)

    found = [plan for plans in await asyncio.gather(*(happen(n) for n in range(16))) for plan in plans]
    assert len(found) == len(set(found)) == 3
    # The plan was cancelled: the same happening does not start it again, another one does.
    async with pools[0].write() as session:
        await cancel_plan(session, found[0], reason=CancelReason.OTHER, actor="rm", now=NOON)
        assert await start_plans(session, told, now=NOON) == []
        plan = await session.get_one(ActionPlan, found[0])
        second = Happening(TriggerKind.NEED_FOUND, key, plan.customer_id, "need-later")
        assert len(await start_plans(session, [second], now=NOON)) == 1
    async with pools[0].write() as session:
        await retire_template(session, template, actor="he", now=NOON)
        third = Happening(TriggerKind.NEED_FOUND, key, plan.customer_id, "need-third")
        assert await start_plans(session, [third], now=NOON) == []
        with pytest.raises(ActionPlanTemplateRetired):
            await start_plan(session, mass, template, actor="rm", now=NOON)


async def test_a_step_ends_once_whoever_ends_its_task_or_plan(pools: list[Database]) -> None:
    """Given an open step, when its task is completed and its plan cancelled at once, then all of it agrees."""
    for _ in range(4):
        customer = new_id()
        plan = await started(pools[0], customer, await template_of(pools[0], step(0)))
        await come_due(pools[0], customer, TODAY)
        (task,) = await tasks_of(pools[0], customer)

        async def act(number: int, plan_id: str, task_id: str) -> None:
            async with pools[number % 4].write() as session:
                if number % 2:
                    await cancel_plan(session, plan_id, reason=CancelReason.OTHER, actor="rm", now=NOON)
                else:
                    await complete_task(session, task_id, outcome=TaskOutcome.DONE, actor="rm", now=NOON)

        found = await asyncio.gather(*(act(n, plan.id, task.id) for n in range(8)), return_exceptions=True)
        assert {type(one) for one in found if one is not None} <= {ActionPlanOver, TaskEnded}
        async with pools[0].read() as session:
            row = await session.get_one(ActionPlan, plan.id)
        (state,) = await steps_of(pools[0], plan.id)
        (task,) = await tasks_of(pools[0], customer)
        done = (PlanStatus.DONE, StepStatus.DONE, TaskOutcome.DONE)
        cancelled = (PlanStatus.CANCELLED, StepStatus.CANCELLED, TaskOutcome.NO_LONGER_DUE)
        assert (row.status, state, task.outcome) in (done, cancelled)


async def test_of_two_profiles_one_plan_goes_on(database: Database) -> None:
    survivor, merged = new_id(), new_id()
    template, other = await template_of(database), await template_of(database)
    mine, theirs = [await started(database, one, template) for one in (survivor, merged)]
    alone = await started(database, merged, other)
    async with database.write() as session:
        await merge_plans(session, merged, survivor, now=NOON + timedelta(hours=1))
    async with database.read() as session:
        rows = [await session.get_one(ActionPlan, one.id) for one in (mine, theirs, alone)]
    assert [row.status for row in rows] == ["ACTIVE", "CANCELLED", "ACTIVE"]
