"""The days of the steps of plans: by the calendar that a template names, and anew where its days become others."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

from sqlmodel import col, select

from core.business_calendar import Calendar, is_provisional
from core.days import start_of_day
from core.db import Session, rows_by_id, zone_of
from core.outbox import owe_all
from service.action_plan_definition import DayKind, Step
from service.action_plan_records import (
    ActionPlan,
    ActionPlanStep,
    ActionPlanTemplate,
    PlanStatus,
    StepStatus,
)
from service.action_plan_steps import PLAN_STEP_DUE, hold_plans
from service.calendars import calendars_by_id, hold_calendars

# The days of a calendar have changed by which steps of plans are counted; its key names calendar, change and place.
PLANS_RECOUNTED = "plan.recounted"


async def calendars_of(session: Session, templates: Collection[ActionPlanTemplate]) -> dict[str, Calendar]:
    """The calendars that these templates name, by their ids; nobody changes them until the transaction ends."""
    return await hold_calendars(session, {one.parsed().calendar_id for one in templates})


def day_of_step(step: Step, begins_on: date, calendar: Calendar) -> dict[str, Any]:
    """The day of a step, and whether it may still move because an arrangement of holidays is not known."""
    due_on = step.day(begins_on, calendar)
    return {
        "due_on": due_on,
        "is_provisional": step.days == DayKind.WORKING and is_provisional(calendar, due_on),
    }


async def plans_counted_by(session: Session, calendar_id: str, *, after: str, limit: int) -> Sequence[str]:
    """The active plans that go by a calendar, behind one in the order of their ids."""
    statement = select(ActionPlan.id).where(
        ActionPlan.calendar_id == calendar_id, ActionPlan.status == PlanStatus.ACTIVE, ActionPlan.id > after
    )
    return (await session.exec(statement.order_by(col(ActionPlan.id)).limit(limit))).all()


async def recount_plans(
    session: Session, plan_ids: Sequence[str], calendar_id: str, *, change: str, now: datetime
) -> list[str]:
    """Move the steps that wait for their day to where the calendar has it by now; returns the ids of those moved.

    `change` names what became known: a step is owed anew once for it, and what was owed for its former day does
    nothing then. A step that has its task keeps its day.
    """
    held = await hold_plans(session, plan_ids)
    calendar = (await calendars_by_id(session, [calendar_id]))[calendar_id]
    templates = await rows_by_id(session, ActionPlanTemplate, {one.plan.template_id for one in held.values()})
    moved: list[ActionPlanStep] = []
    for one in held.values():
        if one.plan.status != PlanStatus.ACTIVE:
            continue
        said = templates[one.plan.template_id].parsed().steps
        for step in one.steps.values():
            if step.status == StepStatus.PENDING and is_moved(step, said[step.position], one.plan, calendar):
                moved.append(step)
    await session.flush()
    await owe_steps(session, moved, change, now=now)
    return [step.id for step in moved]


def is_moved(step: ActionPlanStep, said: Step, plan: ActionPlan, calendar: Calendar) -> bool:
    """Write the day that a step has by a calendar; whether it is another one than before."""
    before = step.due_on
    for name, value in day_of_step(said, plan.begins_on, calendar).items():
        setattr(step, name, value)
    return step.due_on != before


async def owe_steps(session: Session, steps: Sequence[ActionPlanStep], change: str, *, now: datetime) -> None:
    """Owe steps for the beginning of their days in the bank's time zone, once for each change of their days."""
    zone = zone_of(session)
    keys = {f"{step.id}:{change}" if change else step.id: step for step in steps}
    payloads: dict[str, dict[str, Any]] = {
        key: {"step_id": step.id, "customer_id": step.customer_id} for key, step in keys.items()
    }
    due = {key: max(now, start_of_day(step.due_on, zone)) for key, step in keys.items()}
    await owe_all(session, topic=PLAN_STEP_DUE, payloads=payloads, now=now, not_before=due)
