"""Ending tasks by hand, once: of many at once one does it, and the same again is told the same."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col

from core.audit import record_change
from core.db import Session, changed_rows
from core.errors import NotFound, Refusal
from core.tasks import BOUND, TaskKind
from service.action_plan_steps import end_step, hold_plan_of_step
from service.follow_ups import end_cycle, hold_customer
from service.task_words import CancelReason
from service.tasks import Task, TaskOutcome, TaskStatus, tell_of


class TaskEnded(Refusal):
    code = "TASK_ENDED"
    en = "This task has ended already, in another way or by somebody else."
    zh = "该任务已由他人或以其他方式结束。"


class TaskEndsElsewhere(Refusal):
    code = "TASK_ENDS_ELSEWHERE"
    en = "This task ends with what it is about; please close that."
    zh = "该任务随其关联事项一并结束，请处理关联事项。"


@dataclass(frozen=True, slots=True)
class End:
    """How a task is to end, by whom."""

    status: TaskStatus
    outcome: TaskOutcome | None
    reason: CancelReason | None
    actor: str

    @property
    def reached(self) -> bool:
        """Whether what the task was for is settled; after a try that reached nobody it is not."""
        return self.outcome != TaskOutcome.NOT_REACHED

    def is_that_of(self, row: Task) -> bool:
        return (row.status, row.outcome, row.reason, row.ended_by) == (
            self.status,
            self.outcome,
            self.reason,
            self.actor,
        )


# What is held before a task of a kind is ended, and what follows from its end. The order is everywhere the same: what
# the task is about comes first, so that nobody waits in a circle.
Hold = Callable[[Session, Task], Awaitable[Any]]
Follow = Callable[[Session, Task, End, Any, datetime], Awaitable[None]]


async def hold_follow_ups(session: Session, row: Task) -> Any:
    return await hold_customer(session, row.customer_id)


async def after_follow_up(session: Session, row: Task, end: End, held: Any, now: datetime) -> None:
    await end_cycle(session, held, row.subject, reached=end.reached, now=now)


async def hold_plan(session: Session, row: Task) -> Any:
    return await hold_plan_of_step(session, row.subject)


async def after_step(session: Session, row: Task, end: End, held: Any, now: datetime) -> None:
    if held is not None:
        await end_step(session, held, row.subject, done=end.status == TaskStatus.DONE, now=now)


FOLLOWS: Mapping[TaskKind, tuple[Hold, Follow]] = {
    TaskKind.FOLLOW_UP: (hold_follow_ups, after_follow_up),
    TaskKind.PLAN_STEP: (hold_plan, after_step),
}


async def find_task(session: Session, task_id: str) -> Task:
    """The task as it is by now; raises NotFound."""
    found = await session.get(Task, task_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("taskId",))
    return found


async def complete_task(session: Session, task_id: str, *, outcome: TaskOutcome, actor: str, now: datetime) -> Task:
    """Say that a task is done, or was tried; again by the same person it changes nothing.

    Raises NotFound, TaskEnded, TaskEndsElsewhere.
    """
    return await end_task(session, task_id, End(TaskStatus.DONE, outcome, None, actor), now=now)


async def cancel_task(session: Session, task_id: str, *, reason: CancelReason, actor: str, now: datetime) -> Task:
    """Say that a task is not to be done, and why; likewise."""
    return await end_task(session, task_id, End(TaskStatus.CANCELLED, None, reason, actor), now=now)


async def end_task(session: Session, task_id: str, end: End, *, now: datetime) -> Task:
    row = await find_task(session, task_id)
    kind = TaskKind(row.kind)
    if kind in BOUND:
        raise TaskEndsElsewhere(path=("taskId",))
    hold, follow = FOLLOWS.get(kind, (None, None))
    held = await hold(session, row) if hold else None
    if not await put_end(session, task_id, end, now=now):
        row = await find_task(session, task_id)
        if not end.is_that_of(row):
            raise TaskEnded(path=("taskId",))
        return row
    row = await find_task(session, task_id)
    if follow:
        await follow(session, row, end, held, now)
    tell_of(session, row.id, row.assignee)
    said = {"outcome": end.outcome, "why": end.reason, "kind_of_task": row.kind, "concerns": row.customer_id}
    await record_change(session, "task", row.id, end.status.lower(), actor=end.actor, now=now, **said)
    return row


async def put_end(session: Session, task_id: str, end: End, *, now: datetime) -> bool:
    """End the task where it is open; of two at once one does."""
    open_one = update(Task).where(col(Task.id) == task_id, col(Task.status) == TaskStatus.OPEN)
    ended = open_one.values(status=end.status, outcome=end.outcome, reason=end.reason, ended_by=end.actor, ended_at=now)
    return bool(await changed_rows(session, ended))
