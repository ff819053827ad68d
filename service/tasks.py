"""Tasks: what the bank's people are to do for a customer, each once by the key of what owes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Index, SmallInteger, UniqueConstraint, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_new, instant
from core.ids import derived_id
from core.live import tell
from core.paging import (
    Falling,
    Page,
    Place,
    argument_of,
    cut,
    held_in,
    in_order,
    instant_in_cursor,
    oldest_first,
    page_size,
    position_at,
)
from core.tasks import TaskKind, task_key
from service.entitlements import entitlements_of


class TaskStatus(StrEnum):
    """DONE and CANCELLED are final."""

    OPEN = "OPEN"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class TaskOutcome(StrEnum):
    """How a task ended; a code, so that nothing is written about a person here.

    The last one is of tasks that end by themselves, because there is no reason for them any more.
    """

    DONE = "DONE"
    CONTACTED = "CONTACTED"
    NOT_REACHED = "NOT_REACHED"
    NO_LONGER_DUE = "NO_LONGER_DUE"


class TaskOrder(StrEnum):
    """By when tasks are due, or those of the green channel first and then by when they are due."""

    DUE = "DUE"
    PRIORITY = "PRIORITY"


class Task(Record, table=True):
    """One thing to do; `assignee` is the employee, null where the customer had nobody, or it is for a `role`.

    `priority` is what the customer's tier is entitled to; the higher comes first.
    """

    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_task_assignee", "assignee", "status", "due_at", "id"),
        Index("ix_task_customer", "customer_id", "due_at", "id"),
        Index("ix_task_status", "status", "id"),
    )

    id: str = Field(primary_key=True)
    key: str
    kind: str
    customer_id: str
    assignee: str | None = None
    role: str | None = None
    subject: str
    status: str = TaskStatus.OPEN
    priority: int = Field(default=0, sa_type=SmallInteger)
    due_at: datetime = instant()
    opened_at: datetime = instant()
    ended_at: datetime | None = instant(optional=True)
    ended_by: str | None = None
    outcome: str | None = None
    reason: str | None = None


async def open_tasks(
    session: Session, owed: Sequence[dict[str, Any]], assignees: Mapping[str, str | None], *, now: datetime
) -> list[str]:
    """Open the tasks that are owed and not there yet, each for whose it is by its id; returns the new ids."""
    return await put_tasks(session, owed, assignees, TaskStatus.OPEN, now=now)


async def end_tasks(
    session: Session,
    over: Sequence[dict[str, Any]],
    assignees: Mapping[str, str | None],
    *,
    now: datetime,
    outcome: TaskOutcome = TaskOutcome.NO_LONGER_DUE,
    actor: str | None = None,
) -> None:
    """End tasks for which there is no reason any more; one that was not opened yet is put as done, and so stays."""
    await put_tasks(session, over, assignees, TaskStatus.DONE, now=now)
    ids = sorted(task_id_of(one) for one in over)
    open_ones = update(Task).where(col(Task.id).in_(ids), col(Task.status) == TaskStatus.OPEN)
    ended = open_ones.values(status=TaskStatus.DONE, ended_at=now, outcome=outcome, ended_by=actor)
    rows = await session.exec(
        ended.returning(col(Task.id), col(Task.assignee)).execution_options(synchronize_session=False)
    )
    for task_id, assignee in rows.all():
        tell_of(session, task_id, assignee)


async def put_tasks(
    session: Session,
    payloads: Sequence[dict[str, Any]],
    assignees: Mapping[str, str | None],
    status: TaskStatus,
    *,
    now: datetime,
) -> list[str]:
    if not payloads:
        return []
    entitled = await entitlements_of(session, {one["customer_id"] for one in payloads}, now=now)
    rows: list[dict[str, Any]] = [
        {
            "id": task_id_of(one),
            "key": task_key(TaskKind(one["kind"]), one["subject"]),
            "kind": one["kind"],
            "customer_id": one["customer_id"],
            "assignee": None if one.get("role") else assignees.get(task_id_of(one)),
            "role": one.get("role"),
            "subject": one["subject"],
            "status": status,
            "priority": entitled[one["customer_id"]].has.priority,
            "due_at": datetime.fromisoformat(one["due_at"]),
            "opened_at": now,
            "ended_at": None if status == TaskStatus.OPEN else now,
            "outcome": None if status == TaskStatus.OPEN else TaskOutcome.NO_LONGER_DUE,
        }
        for one in payloads
    ]
    new = await insert_new(session, Task, rows)
    if status == TaskStatus.OPEN:
        whose = {row["id"]: row["assignee"] for row in rows}
        for task_id in new:
            tell_of(session, task_id, whose[task_id])
    return new


def of_employees(payloads: Sequence[dict[str, Any]], employees: Mapping[str, str]) -> dict[str, str | None]:
    """Whose these tasks are where they are of who looks after the customer, by the tasks' ids."""
    return {task_id_of(one): employees.get(one["customer_id"]) for one in payloads}


def tell_of(session: Session, task_id: str, assignee: str | None) -> None:
    """Let the employee whose task it is hear of it."""
    if assignee is not None:
        tell(session, channel_of(assignee), {"task_id": task_id})


def channel_of(employee_id: str) -> str:
    """The channel on which an employee hears of their tasks."""
    return f"tasks:{employee_id}"


def task_id_of(payload: dict[str, Any]) -> str:
    return derived_id("task", task_key(TaskKind(payload["kind"]), payload["subject"]))


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted: of an employee, of nobody (`unassigned`), of a role, or of one customer.

    Each of `hidden` selects subjects of whose tasks the asking employee must not learn.
    """

    status: TaskStatus = TaskStatus.OPEN
    assignee: str | None = None
    unassigned: bool = False
    role: str | None = None
    customer_id: str | None = None
    hidden: Sequence[Any] = ()
    kinds: Sequence[TaskKind] = ()
    due_before: datetime | None = None

    def where(self) -> list[ColumnElement[bool]]:
        guards: list[ColumnElement[bool]] = [col(Task.status) == self.status]
        if self.assignee is not None:
            guards.append(col(Task.assignee) == self.assignee)
        if self.unassigned:
            guards += [col(Task.assignee).is_(None), col(Task.role).is_(None)]
        if self.role is not None:
            guards.append(col(Task.role) == self.role)
        if self.customer_id is not None:
            guards.append(col(Task.customer_id) == self.customer_id)
        guards += [col(Task.subject).not_in(each) for each in self.hidden]
        if self.kinds:
            guards.append(col(Task.kind).in_(self.kinds))
        if self.due_before is not None:
            guards.append(col(Task.due_at) < self.due_before)
        return guards


async def list_tasks(
    session: Session,
    wanted: TaskFilter,
    order: TaskOrder = TaskOrder.DUE,
    *,
    first: int | None,
    after: Place,
) -> Page[Task]:
    """Tasks in this order, one page; a cursor is of its own order."""
    size = page_size(first)
    statement = select(Task).where(*wanted.where())
    if order == TaskOrder.DUE:
        page = oldest_first(statement, col(Task.due_at), col(Task.id), size=size, after=after)
        return cut((await session.exec(page)).all(), size, lambda row: (row.due_at.isoformat(), row.id), after)
    mark = None
    if (position := position_at(after, int, str, str)) is not None:
        mark = (held_in(16, position[0]), instant_in_cursor(position[1], argument_of(after)), position[2])
    columns = (Falling(col(Task.priority)), col(Task.due_at), col(Task.id))
    rows = (await session.exec(in_order(statement, *columns, size=size, place=after, position=mark))).all()
    return cut(rows, size, lambda row: (row.priority, row.due_at.isoformat(), row.id), after)


async def tasks_about(session: Session, subjects: Sequence[str]) -> dict[str, Task]:
    """The tasks of steps of plans, by the steps' ids."""
    keys = {task_key(TaskKind.PLAN_STEP, one): one for one in subjects}
    rows = (await session.exec(select(Task).where(col(Task.key).in_(sorted(keys))))).all()
    return {keys[row.key]: row for row in rows}


async def newer_priorities(session: Session, customer_ids: Sequence[str], *, now: datetime) -> None:
    """Let open tasks have the priority that their customers' tiers are entitled to by now."""
    open_ones = select(Task).where(col(Task.customer_id).in_(list(customer_ids)), Task.status == TaskStatus.OPEN)
    rows = (await session.exec(open_ones.order_by(col(Task.id)).with_for_update())).all()
    if rows:
        entitled = await entitlements_of(session, {row.customer_id for row in rows}, now=now)
        for row in rows:
            row.priority = entitled[row.customer_id].has.priority
        await session.flush()


async def open_tasks_after(session: Session, after: str, *, limit: int) -> Sequence[Task]:
    """The next open tasks that wait for no role, by id."""
    statement = select(Task).where(Task.status == TaskStatus.OPEN, Task.id > after, col(Task.role).is_(None))
    return (await session.exec(statement.order_by(col(Task.id)).limit(limit))).all()


async def hand_over(session: Session, tasks: Sequence[Task], assignees: Mapping[str, str | None]) -> int:
    """Give open tasks to whose they are by now, by the tasks' ids; returns how many have another owner."""
    moved = 0
    for one in tasks:
        assignee = assignees.get(one.id)
        if assignee == one.assignee:
            continue
        same = update(Task).where(col(Task.id) == one.id, col(Task.status) == TaskStatus.OPEN)
        if await changed_rows(session, same.values(assignee=assignee)):
            tell_of(session, one.id, one.assignee)
            tell_of(session, one.id, assignee)
            moved += 1
    return moved
