"""Steps of plans: each becomes a task on its day, once, and the plan is done with the last of them.

Whatever happens to a step holds its plan first: so a step that comes due, one that ends and a plan that is cancelled
take turns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import literal
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.batches import in_batches
from core.days import day_of, end_of_day
from core.db import Session, rows_by_id, zone_of
from core.tasks import TaskKind, task
from segments.condition_sql import compiled
from segments.conditions import load_vocabulary, parse_condition
from service.action_plan_definition import Step
from service.action_plan_records import (
    UNFINISHED,
    ActionPlan,
    ActionPlanStep,
    ActionPlanTemplate,
    PlanStatus,
    StepStatus,
)
from service.tasks import of_employees, open_tasks

# One step of a plan has come to its day.
PLAN_STEP_DUE = "plan.step_due"
# So many customers are asked about in one statement.
ASKED = 50


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """A plan and its steps, held for this transaction."""

    plan: ActionPlan
    steps: Mapping[str, ActionPlanStep]


async def hold_plans(session: Session, plan_ids: Collection[str]) -> dict[str, HeldPlan]:
    """These plans with their steps, as they are by now, held in one order."""
    plans = select(ActionPlan).where(col(ActionPlan.id).in_(sorted(plan_ids))).order_by(col(ActionPlan.id))
    fresh = plans.with_for_update().execution_options(populate_existing=True)
    held = {plan.id: HeldPlan(plan, {}) for plan in (await session.exec(fresh)).all()}
    steps: dict[str, dict[str, ActionPlanStep]] = {id: {} for id in held}
    for step in await steps_of(session, list(held)):
        steps[step.plan_id][step.id] = step
    return {id: HeldPlan(one.plan, steps[id]) for id, one in held.items()}


async def steps_of(session: Session, plan_ids: Sequence[str]) -> Sequence[ActionPlanStep]:
    """The steps of these plans, in their order."""
    statement = select(ActionPlanStep).where(col(ActionPlanStep.plan_id).in_(list(plan_ids)))
    ordered = statement.order_by(col(ActionPlanStep.plan_id), col(ActionPlanStep.position))
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()


async def hold_plan_of_step(session: Session, step_id: str) -> HeldPlan | None:
    """The plan of a step, held; None where it went with its customer."""
    found = await session.get(ActionPlanStep, step_id, populate_existing=True)
    return None if found is None else (await hold_plans(session, [found.plan_id])).get(found.plan_id)


async def open_steps(
    session: Session, step_ids: Sequence[str], assignees: Mapping[str, str], *, now: datetime
) -> list[str]:
    """Give steps whose day has come their tasks, or skip them where their condition does not hold.

    One whose plan has ended, that was seen to before, or whose day has moved on, stays as it is. Returns the ids of the
    new tasks.
    """
    zone = zone_of(session)
    today = day_of(now, zone)
    found = await rows_by_id(session, ActionPlanStep, step_ids)
    held = await hold_plans(session, {step.plan_id for step in found.values()})
    ready = [
        (one.plan, step)
        for one in held.values()
        for step in one.steps.values()
        if step.id in found and is_ready(one.plan, step, today)
    ]
    if not ready:
        return []
    templates = await rows_by_id(session, ActionPlanTemplate, {plan.template_id for plan, _ in ready})
    said = {step.id: templates[plan.template_id].parsed().steps[step.position] for plan, step in ready}
    met = await steps_met(session, [step for _, step in ready], said, now=now)
    tasks: list[dict[str, Any]] = []
    for plan, step in ready:
        if step.id in met:
            step.status = StepStatus.OPEN
            tasks.append(task_of(step, said[step.id], zone))
        else:
            finish_step(held[plan.id], step, StepStatus.SKIPPED, now=now)
    await session.flush()
    return await open_tasks(session, tasks, of_employees(tasks, assignees), now=now)


def is_ready(plan: ActionPlan, step: ActionPlanStep, today: date) -> bool:
    """Whether a step waits for its task and its day has come; it may have moved since it was owed."""
    return plan.status == PlanStatus.ACTIVE and step.status == StepStatus.PENDING and step.due_on <= today


def task_of(step: ActionPlanStep, said: Step, zone: str) -> dict[str, Any]:
    due_at = end_of_day(step.due_on + timedelta(days=said.within_days), zone)
    return task(TaskKind.PLAN_STEP, customer_id=step.customer_id, subject=step.id, due_at=due_at, role=said.who.role)


async def steps_met(
    session: Session, steps: Sequence[ActionPlanStep], said: Mapping[str, Step], *, now: datetime
) -> set[str]:
    """Those of these steps that have no condition, or whose customer meets it now."""
    met = {step.id for step in steps if said[step.id].condition is None}
    for step in steps:
        condition = said[step.id].condition
        if condition is not None and await meeting(session, condition, [step.customer_id], now=now):
            met.add(step.id)
    return met


async def meeting(
    session: Session, condition: dict[str, Any] | None, customer_ids: Sequence[str], *, now: datetime
) -> set[str]:
    """Those of these customers who meet a condition now; without one all of them do."""
    if condition is None or not customer_ids:
        return set(customer_ids)
    parsed, zone = parse_condition(condition, await load_vocabulary(session)), zone_of(session)
    found: set[str] = set()
    for ids in in_batches(customer_ids, ASKED):
        questions = [compiled(parsed, literal(one), now=now, zone=zone) for one in ids]
        answers = (await (await session.connection()).execute(sql_select(*questions))).one()
        found |= {one for one, is_met in zip(ids, answers, strict=True) if is_met}
    return found


def finish_step(held: HeldPlan, step: ActionPlanStep, status: StepStatus, *, now: datetime) -> None:
    """End a step, and with the last one its plan."""
    step.status, step.ended_at = status, now
    if held.plan.status == PlanStatus.ACTIVE and all(one.status not in UNFINISHED for one in held.steps.values()):
        held.plan.status, held.plan.ended_at = PlanStatus.DONE, now


async def end_step(session: Session, held: HeldPlan, step_id: str, *, done: bool, now: datetime) -> None:
    """Note that the task of a step was ended by hand."""
    step = held.steps.get(step_id)
    if step is not None and step.status in UNFINISHED:
        finish_step(held, step, StepStatus.DONE if done else StepStatus.SKIPPED, now=now)
        await session.flush()
