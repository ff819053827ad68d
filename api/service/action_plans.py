"""Action plans: templates that administrators write, and the plans of customers with their dated steps."""

from datetime import date, datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.insight import customers_in_care
from api.customers.looked_after import in_care, present_in_care, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.ringing import ring_told
from core.errors import NotFound
from core.paging import window
from service.action_plan_definition import DayKind, Doer, Step, TriggerKind
from service.action_plan_records import ActionPlan as PlanRow
from service.action_plan_records import ActionPlanStep as StepRow
from service.action_plan_records import ActionPlanTemplate as TemplateRow
from service.action_plan_records import PlanStatus, StepStatus
from service.action_plans import (
    cancel_plan,
    create_template,
    find_plan,
    list_plans,
    list_templates,
    retire_template,
    start_plan,
)
from service.task_words import CancelReason

strawberry.enum(CancelReason, name="TaskCancelReason", description="Why a task or plan is not carried out.")
strawberry.enum(DayKind, name="ActionPlanDays", description="Which days an offset counts.")
strawberry.enum(Doer, name="StaffRole", description="Who does it: who looks after the customer, or who has the role.")
strawberry.enum(TriggerKind, name="ActionPlanTriggerKind", description="What starts a plan by itself.")
strawberry.enum(PlanStatus, name="ActionPlanStatus", description="A plan is DONE when its last step has ended.")
strawberry.enum(
    StepStatus,
    name="ActionPlanStepStatus",
    description="PENDING waits for its day, OPEN has a task; SKIPPED: its condition did not hold, or it was cancelled.",
)


@strawberry.type(description="A step as the template says it.")
class ActionPlanTemplateStep:
    offset: int = strawberry.field(description="How many days after the plan begins.")
    days: DayKind = strawberry.field(description="Which days these are.")
    within_days: int = strawberry.field(description="Within so many days from then it is to be done.")
    who: Doer = strawberry.field(description="Who does it.")
    condition: JSON | None = strawberry.field(description="It is skipped where this does not hold; docs/conditions.md.")
    said: strawberry.Private[Step]

    @strawberry.field(description="What is to be done, in the language of the request.")
    def text(self, info: Info) -> str:
        return info.context.text(self.said, "text")


@strawberry.type(description="What starts a plan by itself.")
class ActionPlanTrigger:
    on: TriggerKind = strawberry.field(description="What has to happen.")
    value: str = strawberry.field(description="The tier, the key of the need, or the cause of the alert.")


@strawberry.type(description="A template of action plans; what it says never changes.")
class ActionPlanTemplate(Node):
    steps: list[ActionPlanTemplateStep] = strawberry.field(description="Its steps in their order.")
    trigger: ActionPlanTrigger | None = strawberry.field(description="What starts a plan by itself; null: nothing.")
    condition: JSON | None = strawberry.field(description="Who gets a plan by its trigger; null: everybody.")
    created_by: str = strawberry.field(description="The administrator who wrote it.")
    created_at: datetime = strawberry.field(description="When.")
    retired_at: datetime | None = strawberry.field(description="Since when it starts no plans any more.")
    row: strawberry.Private[TemplateRow]

    @strawberry.field(description="Its name in the language of the request.")
    def name(self, info: Info) -> str:
        return info.context.text(self.row.parsed(), "name")


def template_of(row: TemplateRow) -> ActionPlanTemplate:
    said = row.parsed()
    steps = [
        ActionPlanTemplateStep(
            offset=step.offset,
            days=step.days,
            within_days=step.within_days,
            who=step.who,
            condition=cast(Any, step.condition),
            said=step,
        )
        for step in said.steps
    ]
    trigger = ActionPlanTrigger(on=said.trigger.on, value=said.trigger.value) if said.trigger else None
    return ActionPlanTemplate(
        id=global_id("ActionPlanTemplate", row.id),
        steps=steps,
        trigger=trigger,
        condition=cast(Any, said.condition),
        created_by=row.created_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
        row=row,
    )


@strawberry.type(description="A step of a customer's plan.")
class ActionPlanStep:
    id: strawberry.ID = strawberry.field(description="Global id.")
    position: int = strawberry.field(description="Its place, from 0.")
    status: StepStatus = strawberry.field(description="What became of it.")
    due_on: date = strawberry.field(description="The day on which it becomes a task.")
    is_provisional: bool = strawberry.field(
        description="Whether the day may still move, because the holidays of its year are not known yet."
    )
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    row: strawberry.Private[StepRow]

    @strawberry.field(description="What is to be done, in the language of the request.")
    async def text(self, info: Info) -> str:
        serving = info.context.serving
        plan = await serving.plans.load(self.row.plan_id)
        template = await serving.templates.load(plan.template_id) if plan else None
        return info.context.text(template.parsed().steps[self.row.position], "text") if template else ""

    @strawberry.field(description="Global id of its task; null until its day.")
    async def task_id(self, info: Info) -> strawberry.ID | None:
        row = await info.context.serving.tasks_about.load(self.row.id)
        return global_id("Task", row.id) if row else None


def step_of(row: StepRow) -> ActionPlanStep:
    return ActionPlanStep(
        id=global_id("ActionPlanStep", row.id),
        position=row.position,
        status=StepStatus(row.status),
        due_on=row.due_on,
        is_provisional=row.is_provisional,
        ended_at=row.ended_at,
        row=row,
    )


@strawberry.type(description="What is planned for a customer.")
class ActionPlan(Node):
    status: PlanStatus = strawberry.field(description="Whether it goes on.")
    begins_on: date = strawberry.field(description="The day from which its steps count.")
    started_by: str = strawberry.field(description="Who started it; kinship where it was an event.")
    started_at: datetime = strawberry.field(description="When.")
    ended_by: str | None = strawberry.field(description="Who cancelled it.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    reason: CancelReason | None = strawberry.field(description="Why it was cancelled.")
    row: strawberry.Private[PlanRow]

    @strawberry.field(description="The template that it follows.")
    async def template(self, info: Info) -> ActionPlanTemplate | None:
        row = await info.context.serving.templates.load(self.row.template_id)
        return template_of(row) if row else None

    @strawberry.field(description="For whom.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="Its steps in their order.")
    async def steps(self, info: Info) -> list[ActionPlanStep]:
        return [step_of(row) for row in await info.context.serving.steps_of_plan.load(self.row.id)]


def plan_of(row: PlanRow) -> ActionPlan:
    return ActionPlan(
        id=global_id("ActionPlan", row.id),
        status=PlanStatus(row.status),
        begins_on=row.begins_on,
        started_by=row.started_by,
        started_at=row.started_at,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
        reason=CancelReason(row.reason) if row.reason else None,
        row=row,
    )


async def load_plan(info: Info, local: str) -> ActionPlan | None:
    """The plan, for who looks after its customer."""
    staff(info)
    async with info.context.database.read() as session:
        try:
            row = await find_plan(session, local)
            await in_care(info, session, row.customer_id)
        except NotFound:
            return None
    return plan_of(row)


async def load_template(info: Info, local: str) -> ActionPlanTemplate | None:
    staff(info)
    row = await info.context.serving.templates.load(local)
    return template_of(row) if row else None


@strawberry.input(description="What a template says.")
class CreateActionPlanTemplateInput:
    definition: JSON = strawberry.field(description="Names, steps, trigger and conditions; docs/serving.md.")


@strawberry.input(description="Which template.")
class ActionPlanTemplateInput:
    template_id: strawberry.ID = strawberry.field(description="Global id of the template.")


@strawberry.input(description="A plan for a customer.")
class StartActionPlanInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    template_id: strawberry.ID = strawberry.field(description="Global id of the template.")
    begins_on: date | None = strawberry.field(
        description="From which day it counts; null or past: today.", default=None
    )


@strawberry.input(description="Which plan is not carried out, and why.")
class CancelActionPlanInput:
    plan_id: strawberry.ID = strawberry.field(description="Global id of the plan.")
    reason: CancelReason = strawberry.field(description="Why.")


@strawberry.type(description="The template is written.")
class CreateActionPlanTemplateSuccess:
    template: ActionPlanTemplate = strawberry.field(description="The template.")


@strawberry.type(description="It starts no plans any more.")
class RetireActionPlanTemplateSuccess:
    template: ActionPlanTemplate = strawberry.field(description="The template.")


@strawberry.type(description="The plan has begun.")
class StartActionPlanSuccess:
    plan: ActionPlan = strawberry.field(description="The plan.")


@strawberry.type(description="The plan has ended, with its open steps and their tasks.")
class CancelActionPlanSuccess:
    plan: ActionPlan = strawberry.field(description="The plan.")


CreateActionPlanTemplateResult = Annotated[
    CreateActionPlanTemplateSuccess | Refusal, result_union(CreateActionPlanTemplateSuccess)
]
RetireActionPlanTemplateResult = Annotated[
    RetireActionPlanTemplateSuccess | Refusal, result_union(RetireActionPlanTemplateSuccess)
]
StartActionPlanResult = Annotated[StartActionPlanSuccess | Refusal, result_union(StartActionPlanSuccess)]
CancelActionPlanResult = Annotated[CancelActionPlanSuccess | Refusal, result_union(CancelActionPlanSuccess)]


@strawberry.type
class ActionPlanQueries:
    @strawberry.field(description="Templates of action plans, the newest first; for the bank's people.")
    async def action_plan_templates(
        self,
        info: Info,
        retired: Annotated[bool, strawberry.argument(description="With those that start no plans any more.")] = False,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ActionPlanTemplate]:
        size, place = window(first, after, last, before)
        staff(info)
        async with info.context.database.read() as session:
            page = await list_templates(session, retired=retired, first=size, after=place)
        return connection(page, place, template_of)

    @strawberry.field(
        description="Action plans, the latest first: of their own customers for relationship managers, all for "
        "administrators."
    )
    async def action_plans(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this customer; null: all.")
        ] = None,
        status: Annotated[PlanStatus | None, strawberry.argument(description="Only these; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ActionPlan]:
        size, place = window(first, after, last, before)
        staff(info)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        async with info.context.database.read() as session:
            ids = await customers_in_care(info, session, customer)
            page = await list_plans(session, customer_ids=ids, status=status, first=size, after=place)
        return connection(page, place, plan_of)


@strawberry.type
class ActionPlanMutations:
    @strawberry.mutation(description="Write a template of action plans, which never changes; for administrators.")
    @refusals
    async def create_action_plan_template(
        self, info: Info, input: CreateActionPlanTemplateInput
    ) -> CreateActionPlanTemplateResult:
        actor, now = info.context.administrator().subject, info.context.now
        async with info.context.database.write() as session:
            row = await create_template(session, cast(Any, input.definition), actor=actor, now=now)
        return CreateActionPlanTemplateSuccess(template=template_of(row))

    @strawberry.mutation(
        description="Let a template start no plans any more; those that go on stay. For administrators."
    )
    @refusals
    async def retire_action_plan_template(
        self, info: Info, input: ActionPlanTemplateInput
    ) -> RetireActionPlanTemplateResult:
        actor, now = info.context.administrator().subject, info.context.now
        template_id = local_id("ActionPlanTemplate", input.template_id, "input", "templateId")
        async with info.context.database.write() as session:
            row = await retire_template(session, template_id, actor=actor, now=now)
        return RetireActionPlanTemplateSuccess(template=template_of(row))

    @strawberry.mutation(
        description="Start a plan for a customer whom you look after, once; there is one active from each template."
    )
    @refusals
    async def start_action_plan(self, info: Info, input: StartActionPlanInput) -> StartActionPlanResult:
        staff(info)
        context = info.context
        asked = local_id("Customer", input.customer_id, "input", "customerId")
        template_id = local_id("ActionPlanTemplate", input.template_id, "input", "templateId")
        async with context.database.write() as session:
            customer, principal = await present_in_care(info, session, asked)
            row = await start_plan(
                session,
                customer,
                template_id,
                actor=principal.subject,
                begins_on=input.begins_on,
                now=context.now,
            )
        return StartActionPlanSuccess(plan=plan_of(row))

    @strawberry.mutation(
        description="End a plan of a customer whom you look after; its open steps and their tasks end with it."
    )
    @refusals
    async def cancel_action_plan(self, info: Info, input: CancelActionPlanInput) -> CancelActionPlanResult:
        actor, now = staff(info).subject, info.context.now
        plan_id = local_id("ActionPlan", input.plan_id, "input", "planId")
        async with info.context.database.write() as session:
            row = await find_plan(session, plan_id)
            await in_care(info, session, row.customer_id, "planId")
            row = await cancel_plan(session, plan_id, reason=input.reason, actor=actor, now=now)
        await ring_told(info, session)
        return CancelActionPlanSuccess(plan=plan_of(row))
