"""Tasks of the bank's people: listed by when they are due or by who comes first, and ended once."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.alerts import Alert, alert_of
from api.customers.insight import is_in_care
from api.customers.looked_after import bank_staff, in_care, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from api.ringing import ring_told
from api.service.action_plans import ActionPlanStep, step_of
from api.service.complaints import Complaint, complaint_of_mark
from api.service.follow_ups import FollowUp, follow_up_of
from core.db import Session
from core.errors import BadUserInput, Forbidden, NotFound
from core.paging import window
from core.principal import Role
from core.tasks import TaskKind
from service.action_plan_definition import Doer
from service.break_secrets import breaks_about, is_break_about
from service.complaint_access import Seat
from service.complaint_tasks import is_marked_about, marks_about
from service.task_ends import cancel_task, complete_task, find_task
from service.task_words import CancelReason, title_of
from service.tasks import Task as TaskRow
from service.tasks import TaskFilter, TaskOrder, TaskOutcome, TaskStatus, list_tasks

strawberry.enum(TaskKind, name="TaskKind", description="What a task is about.")
strawberry.enum(TaskStatus, name="TaskStatus", description="DONE and CANCELLED are final.")
strawberry.enum(TaskOutcome, name="TaskOutcome", description="How a task ended; NO_LONGER_DUE: by itself.")
strawberry.enum(TaskOrder, name="TaskOrder", description="DUE: the earliest first. PRIORITY: the green channel first.")


class TaskRequestInvalid(BadUserInput):
    code = "TASK_REQUEST_INVALID"
    en = "Tasks cannot be listed or ended so."
    zh = "任务请求无效。"


@strawberry.type(description="Something to do for a customer.")
class Task(Node):
    kind: TaskKind = strawberry.field(description="What it is about.")
    status: TaskStatus = strawberry.field(description="Whether it is open.")
    priority: int = strawberry.field(
        description="What the customer's tier is entitled to, 0 to 9; the higher is first."
    )
    assignee: str | None = strawberry.field(description="Whose it is; null where nobody's, or for a role.")
    role: Doer | None = strawberry.field(description="Who does it, where it has no owner.")
    due_at: datetime = strawberry.field(description="Until when.")
    opened_at: datetime = strawberry.field(description="Since when.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    ended_by: str | None = strawberry.field(description="Who ended it; null where it ended by itself.")
    outcome: TaskOutcome | None = strawberry.field(description="How it ended; null while open, or where cancelled.")
    reason: CancelReason | None = strawberry.field(description="Why it was cancelled.")
    row: strawberry.Private[TaskRow]

    @strawberry.field(description="What is to be done, in the language of the request.")
    async def title(self, info: Info) -> str:
        step = await step_about(info, self.row)
        return await step.text(info) if step else title_of(TaskKind(self.row.kind), info.context.language)

    @strawberry.field(description="For whom.")
    async def customer(self, info: Info) -> Customer | None:
        if self.row.kind == TaskKind.COMPLAINT:
            # Of a complaint about oneself one sees a task, and not whose it is.
            found = await complaint_of_mark(info, self.row.subject)
            if found is None or found.viewer_is == Seat.ACCUSED:
                return None
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="The complaint of whose deadline it warns; null where you do not see it any more.")
    async def complaint(self, info: Info) -> Complaint | None:
        return await complaint_of_mark(info, self.row.subject) if self.row.kind == TaskKind.COMPLAINT else None

    @strawberry.field(description="The alert that it is about; null where you do not look after the customer any more.")
    async def alert(self, info: Info) -> Alert | None:
        if self.row.kind != TaskKind.ALERT or not await is_in_care(info, self.row.customer_id):
            return None
        row = await info.context.insight.alerts.load(self.row.subject)
        return alert_of(row) if row else None

    @strawberry.field(description="The contact that it is about; null for an old one, and as for alerts.")
    async def follow_up(self, info: Info) -> FollowUp | None:
        if self.row.kind != TaskKind.FOLLOW_UP or not await is_in_care(info, self.row.customer_id):
            return None
        rows = await info.context.serving.follow_ups.load(self.row.customer_id)
        return next((follow_up_of(row) for row in rows if row.subject == self.row.subject), None)

    @strawberry.field(description="The step of a plan that it is about.")
    async def plan_step(self, info: Info) -> ActionPlanStep | None:
        return await step_about(info, self.row)


async def step_about(info: Info, row: TaskRow) -> ActionPlanStep | None:
    if row.kind != TaskKind.PLAN_STEP:
        return None
    step = await info.context.serving.steps.load(row.subject)
    return step_of(step) if step else None


def task_of(row: TaskRow) -> Task:
    return Task(
        id=global_id("Task", row.id),
        kind=TaskKind(row.kind),
        status=TaskStatus(row.status),
        priority=row.priority,
        assignee=row.assignee,
        role=Doer[Role(row.role).name] if row.role else None,
        due_at=row.due_at,
        opened_at=row.opened_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        outcome=TaskOutcome(row.outcome) if row.outcome else None,
        reason=CancelReason(row.reason) if row.reason else None,
        row=row,
    )


async def may_see_task(info: Info, session: Session, row: TaskRow) -> bool:
    """Whether the asking employee has the task's role, looks after its customer, or it is a complaint's and theirs."""
    principal = info.context.signed_in()
    if row.role is not None:
        return principal.is_administrator or principal.has(Role(row.role))
    if row.kind == TaskKind.COMPLAINT and row.assignee == principal.subject:
        return True
    if row.kind == TaskKind.COMPLAINT and await is_marked_about(session, row.subject, principal.subject):
        return False
    if row.kind == TaskKind.RECOVERY and await is_break_about(session, row.subject, principal.subject):
        return False
    try:
        await in_care(info, session, row.customer_id)
    except NotFound:
        return False
    return True


async def task_in_hand(info: Info, session: Session, task_id: str) -> None:
    """Raise NotFound for who may not end a task, as if there were none."""
    row = await find_task(session, task_id)
    if not await may_see_task(info, session, row):
        raise NotFound(path=("taskId",))


async def load_task(info: Info, local: str) -> Task | None:
    bank_staff(info)
    async with info.context.database.read() as session:
        row = await session.get(TaskRow, local)
        return task_of(row) if row is not None and await may_see_task(info, session, row) else None


@strawberry.input(description="Which task is done, and how it went.")
class CompleteTaskInput:
    task_id: strawberry.ID = strawberry.field(description="Global id of the task.")
    outcome: TaskOutcome = strawberry.field(
        description="How it went; after NOT_REACHED a follow-up is due again in a few days. NO_LONGER_DUE is not "
        "said by people.",
        default=TaskOutcome.DONE,
    )


@strawberry.input(description="Which task is not to be done, and why.")
class CancelTaskInput:
    task_id: strawberry.ID = strawberry.field(description="Global id of the task.")
    reason: CancelReason = strawberry.field(description="Why; kept in the audit trail.")


@strawberry.type(description="It is done.")
class CompleteTaskSuccess:
    task: Task = strawberry.field(description="The task.")


@strawberry.type(description="It is not to be done.")
class CancelTaskSuccess:
    task: Task = strawberry.field(description="The task.")


CompleteTaskResult = Annotated[CompleteTaskSuccess | Refusal, result_union(CompleteTaskSuccess)]
CancelTaskResult = Annotated[CancelTaskSuccess | Refusal, result_union(CancelTaskSuccess)]


async def chosen(
    info: Info, session: Session, *, unassigned: bool, role: Doer | None, customer_id: str | None
) -> TaskFilter:
    """Whose tasks are listed; raises Forbidden, NotFound, and TaskRequestInvalid where more than one is named."""
    context = info.context
    if sum((unassigned, role is not None, customer_id is not None)) > 1:
        raise TaskRequestInvalid(path=("unassigned",), detail="one of unassigned, role and customerId")
    if unassigned:
        context.administrator()
        return TaskFilter(unassigned=True)
    if role is not None:
        principal = bank_staff(info)
        wanted = Role[role.name]
        if not principal.is_administrator and not principal.has(wanted):
            raise Forbidden
        return TaskFilter(role=wanted)
    if customer_id is not None:
        principal = staff(info)
        customer = local_id("Customer", customer_id, "customerId")
        await in_care(info, session, customer, "customerId")
        return TaskFilter(
            customer_id=customer, hidden=(marks_about(principal.subject), breaks_about(principal.subject))
        )
    return TaskFilter(assignee=bank_staff(info).subject)


@strawberry.type
class TaskQueries:
    @strawberry.field(
        description="Your tasks; or those of a customer whom you look after, those that wait for a role of yours, or "
        "with `unassigned` those of customers whom nobody looks after, for administrators."
    )
    async def tasks(
        self,
        info: Info,
        status: Annotated[TaskStatus, strawberry.argument(description="Only these.")] = TaskStatus.OPEN,
        unassigned: Annotated[bool, strawberry.argument(description="Those that are nobody's.")] = False,
        role: Annotated[Doer | None, strawberry.argument(description="Those that wait for a role.")] = None,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Those about this customer.")
        ] = None,
        kinds: Annotated[list[TaskKind] | None, strawberry.argument(description="Only of these kinds.")] = None,
        due_before: Annotated[datetime | None, strawberry.argument(description="Only due before then.")] = None,
        order: Annotated[TaskOrder, strawberry.argument(description="In which order.")] = TaskOrder.DUE,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Task]:
        size, place = window(first, after, last, before)
        info.context.signed_in()
        async with info.context.database.read() as session:
            whose = await chosen(info, session, unassigned=unassigned, role=role, customer_id=customer_id)
            wanted = replace(whose, status=status, kinds=tuple(kinds or ()), due_before=due_before)
            page = await list_tasks(session, wanted, order, first=size, after=place)
        return connection(page, place, task_of)


@strawberry.type
class TaskMutations:
    @strawberry.mutation(
        description="Say that a task is done; again by you it changes nothing, of two at once one is refused. For who "
        "looks after the customer, or has the task's role. A task about an alert ends with the alert."
    )
    @refusals
    async def complete_task(self, info: Info, input: CompleteTaskInput) -> CompleteTaskResult:
        actor, now = bank_staff(info).subject, info.context.now
        task_id = local_id("Task", input.task_id, "input", "taskId")
        if input.outcome == TaskOutcome.NO_LONGER_DUE:
            raise TaskRequestInvalid(path=("outcome",), detail="tasks end so by themselves")
        async with info.context.database.write() as session:
            await task_in_hand(info, session, task_id)
            row = await complete_task(session, task_id, outcome=input.outcome, actor=actor, now=now)
        await ring_told(info, session)
        return CompleteTaskSuccess(task=task_of(row))

    @strawberry.mutation(
        description="Say that a task is not to be done, and why; likewise. What it was about begins its next cycle."
    )
    @refusals
    async def cancel_task(self, info: Info, input: CancelTaskInput) -> CancelTaskResult:
        actor, now = bank_staff(info).subject, info.context.now
        task_id = local_id("Task", input.task_id, "input", "taskId")
        async with info.context.database.write() as session:
            await task_in_hand(info, session, task_id)
            row = await cancel_task(session, task_id, reason=input.reason, actor=actor, now=now)
        await ring_told(info, session)
        return CancelTaskSuccess(task=task_of(row))
