"""Action plans: dated steps for a customer from a template, started by hand or by what has happened, once each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import col, select

from core.audit import record_change
from core.business_calendar import Calendar
from core.days import day_of
from core.db import Session, insert_once, zone_of
from core.errors import NotFound, Refusal
from core.ids import derived_id, new_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.tasks import TaskKind, task
from segments.conditions import load_vocabulary
from service.action_plan_days import calendars_of, day_of_step, owe_steps
from service.action_plan_definition import ActionPlanTemplateInvalid, TriggerKind, parse_template
from service.action_plan_records import (
    UNFINISHED,
    ActionPlan,
    ActionPlanStep,
    ActionPlanTemplate,
    PlanStatus,
    StepStatus,
)
from service.action_plan_steps import finish_step, hold_plans, meeting, steps_of
from service.calendars import calendars_by_id
from service.task_words import CancelReason
from service.tasks import TaskOutcome, end_tasks


class ActionPlanTemplateRetired(Refusal):
    code = "ACTION_PLAN_TEMPLATE_RETIRED"
    en = "This template starts no plans any more."
    zh = "该模板已停用，不能再启动计划。"


class ActionPlanActive(Refusal):
    code = "ACTION_PLAN_ACTIVE"
    en = "The customer has an active plan from this template already."
    zh = "该客户已有由此模板启动的进行中计划。"


class ActionPlanOver(Refusal):
    code = "ACTION_PLAN_OVER"
    en = "This plan has ended already."
    zh = "该计划已结束。"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that may start plans: the tier, need or cause, and a key that names it for ever."""

    on: TriggerKind
    value: str
    customer_id: str
    key: str


async def create_template(session: Session, definition: Any, *, actor: str, now: datetime) -> ActionPlanTemplate:
    """Write a template, which never changes; raises ActionPlanTemplateInvalid, ConditionInvalid."""
    parsed = parse_template(definition, await load_vocabulary(session))
    if not await calendars_by_id(session, [parsed.calendar_id]):
        raise ActionPlanTemplateInvalid(path=("definition", "calendarId"), detail="there is no such calendar")
    row = ActionPlanTemplate(
        id=new_id(),
        definition=parsed.model_dump(mode="json"),
        trigger_on=parsed.trigger.on if parsed.trigger else None,
        trigger_value=parsed.trigger.value if parsed.trigger else None,
        created_by=actor,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    await record_change(session, "action-plan-template", row.id, "created", actor=actor, now=now)
    return row


async def retire_template(session: Session, template_id: str, *, actor: str, now: datetime) -> ActionPlanTemplate:
    """Let a template start no more plans; retired already it stays so. Raises NotFound."""
    statement = select(ActionPlanTemplate).where(ActionPlanTemplate.id == template_id).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if row is None:
        raise NotFound(path=("templateId",))
    if row.retired_at is None:
        row.retired_by, row.retired_at = actor, now
        await session.flush()
        await record_change(session, "action-plan-template", row.id, "retired", actor=actor, now=now)
    return row


async def list_templates(
    session: Session, *, retired: bool, first: int | None, after: Place
) -> Page[ActionPlanTemplate]:
    """Templates, the newest first; retired ones only where they are asked for."""
    size = page_size(first)
    statement = select(ActionPlanTemplate)
    if not retired:
        statement = statement.where(col(ActionPlanTemplate.retired_at).is_(None))
    page = newest_first(
        statement, col(ActionPlanTemplate.created_at), col(ActionPlanTemplate.id), size=size, after=after
    )
    return cut((await session.exec(page)).all(), size, lambda row: (row.created_at.isoformat(), row.id), after)


async def start_plan(
    session: Session,
    customer_id: str,
    template_id: str,
    *,
    actor: str,
    now: datetime,
    begins_on: date | None = None,
) -> ActionPlan:
    """Start a plan by hand, today or on a day to come; again by the same person for that day it is the same plan.

    Of two people at once one is refused. Raises NotFound, ActionPlanTemplateRetired, ActionPlanActive.
    """
    template = await session.get(ActionPlanTemplate, template_id, populate_existing=True)
    if template is None:
        raise NotFound(path=("templateId",))
    if template.retired_at is not None:
        raise ActionPlanTemplateRetired(path=("templateId",))
    today = day_of(now, zone_of(session))
    begins = max(begins_on or today, today)
    calendars = await calendars_of(session, [template])
    found = await put_plan(
        session, template, customer_id, f"hand:{new_id()}", begins, actor=actor, now=now, calendars=calendars
    )
    if found is None:
        active = select(ActionPlan).where(
            ActionPlan.customer_id == customer_id,
            ActionPlan.template_id == template_id,
            ActionPlan.status == PlanStatus.ACTIVE,
        )
        found = (await session.exec(active.execution_options(populate_existing=True))).first()
        if found is None or (found.started_by, found.begins_on) != (actor, begins):
            raise ActionPlanActive(path=("templateId",))
        return found
    await record_change(session, "customer", customer_id, "action_plan_started", actor=actor, now=now, plan_id=found.id)
    return found


async def start_plans(session: Session, happenings: Sequence[Happening], *, now: datetime) -> list[str]:
    """Start what happened starts: once for each of them, and not beside an active plan; returns the new plans' ids."""
    templates = await triggered_by(session, {(one.on, one.value) for one in happenings})
    calendars = await calendars_of(session, templates)
    started: list[str] = []
    today = day_of(now, zone_of(session))
    for template in templates:
        concerned = sorted(
            (one for one in happenings if (one.on, one.value) == (template.trigger_on, template.trigger_value)),
            key=lambda one: (one.customer_id, one.key),
        )
        ids = sorted({one.customer_id for one in concerned})
        met = await meeting(session, template.parsed().condition, ids, now=now)
        for one in concerned:
            if one.customer_id not in met:
                continue
            cause = f"{one.on.lower()}:{one.key}"
            plan = await put_plan(
                session, template, one.customer_id, cause, today, actor="kinship", now=now, calendars=calendars
            )
            if plan is not None:
                started.append(plan.id)
    return started


async def triggered_by(session: Session, wanted: Collection[tuple[str, str]]) -> list[ActionPlanTemplate]:
    """The templates that one of these starts, by id, so that all take them in one order."""
    if not wanted:
        return []
    statement = select(ActionPlanTemplate).where(
        col(ActionPlanTemplate.trigger_on).in_(sorted({on for on, _ in wanted})),
        col(ActionPlanTemplate.trigger_value).in_(sorted({value for _, value in wanted})),
        col(ActionPlanTemplate.retired_at).is_(None),
    )
    rows = (await session.exec(statement.order_by(col(ActionPlanTemplate.id)))).all()
    return [row for row in rows if (row.trigger_on, row.trigger_value) in wanted]


async def put_plan(
    session: Session,
    template: ActionPlanTemplate,
    customer_id: str,
    cause: str,
    begins_on: date,
    *,
    actor: str,
    now: datetime,
    calendars: Mapping[str, Calendar],
) -> ActionPlan | None:
    """Write a plan and owe its steps for their days; None where it is there already, or another one is active."""
    id, said = derived_id("action_plan", template.id, cause), template.parsed()
    row = {
        "id": id,
        "customer_id": customer_id,
        "template_id": template.id,
        "calendar_id": said.calendar_id,
        "cause": cause,
        "status": PlanStatus.ACTIVE,
        "begins_on": begins_on,
        "started_by": actor,
        "started_at": now,
    }
    if not await insert_once(session, ActionPlan, row):
        return None
    steps: list[dict[str, Any]] = [
        {
            "id": derived_id("action_plan_step", id, str(position)),
            "plan_id": id,
            "customer_id": customer_id,
            "position": position,
            "status": StepStatus.PENDING,
            **day_of_step(step, begins_on, calendars[said.calendar_id]),
        }
        for position, step in enumerate(said.steps)
    ]
    await insert_once(session, ActionPlanStep, steps, "id")
    await owe_steps(session, [ActionPlanStep(**step) for step in steps], "", now=now)
    return await session.get_one(ActionPlan, id, populate_existing=True)


async def find_plan(session: Session, plan_id: str) -> ActionPlan:
    """The plan as it is by now; raises NotFound."""
    found = await session.get(ActionPlan, plan_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("planId",))
    return found


async def cancel_plan(session: Session, plan_id: str, *, reason: CancelReason, actor: str, now: datetime) -> ActionPlan:
    """End a plan, its open steps and their tasks; again by the same person for the same reason it stays so.

    Raises NotFound, ActionPlanOver.
    """
    held = (await hold_plans(session, [plan_id])).get(plan_id)
    if held is None:
        raise NotFound(path=("planId",))
    plan = held.plan
    if plan.status != PlanStatus.ACTIVE:
        if (plan.status, plan.ended_by, plan.reason) != (PlanStatus.CANCELLED, actor, reason):
            raise ActionPlanOver(path=("planId",))
        return plan
    plan.status, plan.ended_by, plan.ended_at, plan.reason = PlanStatus.CANCELLED, actor, now, reason
    left = [step for step in held.steps.values() if step.status in UNFINISHED]
    opened = [step for step in left if step.status == StepStatus.OPEN]
    for step in left:
        finish_step(held, step, StepStatus.CANCELLED, now=now)
    await session.flush()
    over = [task(TaskKind.PLAN_STEP, customer_id=step.customer_id, subject=step.id, due_at=now) for step in opened]
    await end_tasks(session, over, {}, outcome=TaskOutcome.NO_LONGER_DUE, actor=actor, now=now)
    await record_change(
        session, "customer", plan.customer_id, "action_plan_cancelled", actor=actor, now=now, plan_id=plan.id
    )
    return plan


async def list_plans(
    session: Session,
    *,
    customer_ids: Collection[str] | None,
    status: PlanStatus | None,
    first: int | None,
    after: Place,
) -> Page[ActionPlan]:
    """Plans of these customers, or of all, the latest first."""
    size = page_size(first)
    statement = select(ActionPlan)
    if customer_ids is not None:
        statement = statement.where(col(ActionPlan.customer_id).in_(list(customer_ids)))
    if status is not None:
        statement = statement.where(ActionPlan.status == status)
    page = newest_first(statement, col(ActionPlan.started_at), col(ActionPlan.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.started_at.isoformat(), row.id), after)


async def steps_by_plan(session: Session, plan_ids: Sequence[str]) -> dict[str, list[ActionPlanStep]]:
    """The steps of each of these plans, in their order."""
    found: dict[str, list[ActionPlanStep]] = {one: [] for one in plan_ids}
    for step in await steps_of(session, plan_ids):
        found[step.plan_id].append(step)
    return found


async def merge_plans(session: Session, merged_id: str, survivor_id: str, *, now: datetime) -> None:
    """Cancel those active plans of a merged profile beside which the survivor has one of the same template."""
    both = select(ActionPlan).where(
        col(ActionPlan.customer_id).in_([merged_id, survivor_id]), ActionPlan.status == PlanStatus.ACTIVE
    )
    plans = (await session.exec(both.order_by(col(ActionPlan.id)))).all()
    own = {plan.template_id for plan in plans if plan.customer_id == survivor_id}
    for plan in plans:
        if plan.customer_id == merged_id and plan.template_id in own:
            await cancel_plan(session, plan.id, reason=CancelReason.DUPLICATE, actor="kinship", now=now)
