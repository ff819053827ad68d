"""Tasks: one for each key, for who looks after the customer, and over where their reason is, in whatever order."""

import asyncio

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.paging import Before
from core.tasks import TaskKind, task
from service.task_words import WORDS, title_of
from service.tasks import Task, TaskFilter, TaskOrder, TaskStatus, end_tasks, list_tasks, open_tasks, task_id_of
from tests.customers.insight import DAY

pytestmark = pytest.mark.anyio

NOW = utc_now()


def owed(customer_id: str, days: int = 3) -> dict[str, object]:
    return task(TaskKind.ALERT, customer_id=customer_id, subject=new_id(), due_at=NOW + days * DAY)


async def rows_of(database: Database, customer_id: str) -> list[Task]:
    async with database.read() as session:
        return list((await session.exec(select(Task).where(col(Task.customer_id) == customer_id))).all())


async def test_eight_workers_open_and_end_a_task_once(database: Database) -> None:
    customer, manager = new_id(), f"rm-{new_id()}"
    payload = owed(customer)

    async def work(number: int) -> None:
        async with database.write() as session:
            put = end_tasks if number % 2 else open_tasks
            await put(session, [payload], {task_id_of(payload): manager}, now=NOW)

    await asyncio.gather(*(work(number) for number in range(8)))
    (row,) = await rows_of(database, customer)
    assert (row.status, row.assignee, row.ended_at) == (TaskStatus.DONE, manager, NOW)


async def test_what_is_over_before_it_was_opened_stays_over(database: Database) -> None:
    """Given a task that is over before the worker opened it, then opening it later opens nothing."""
    customer = new_id()
    payload = owed(customer)
    async with database.write() as session:
        await end_tasks(session, [payload], {}, now=NOW)
    async with database.write() as session:
        assert await open_tasks(session, [payload], {}, now=NOW + DAY) == []
    assert [row.status for row in await rows_of(database, customer)] == [TaskStatus.DONE]


async def test_tasks_are_listed_by_when_they_are_due(database: Database) -> None:
    manager = f"rm-{new_id()}"
    customers = [new_id() for _ in range(3)]
    payloads = [owed(one, days) for one, days in zip(customers, (5, 1, 3), strict=True)]
    async with database.write() as session:
        await open_tasks(session, payloads, dict.fromkeys(map(task_id_of, payloads), manager), now=NOW)
    async with database.read() as session:
        page = await list_tasks(session, TaskFilter(assignee=manager), first=2, after=None)
        rest = await list_tasks(session, TaskFilter(assignee=manager), first=2, after=page.cursors[-1])
    assert [row.customer_id for row in (*page.rows, *rest.rows)] == [customers[1], customers[2], customers[0]]
    assert (page.has_next, rest.has_next) == (True, False)
    for order in TaskOrder:
        async with database.read() as session:
            whole = await list_tasks(session, TaskFilter(assignee=manager), order, first=9, after=None)
            end = await list_tasks(session, TaskFilter(assignee=manager), order, first=2, after=Before())
            begin = Before(end.cursors[0])
            start = await list_tasks(session, TaskFilter(assignee=manager), order, first=2, after=begin)
        assert [*start.rows, *end.rows] == whole.rows
        assert (start.has_previous, end.has_previous) == (False, True)


def test_every_kind_of_task_is_called_something() -> None:
    assert set(WORDS) == set(TaskKind)
    assert all(title_of(kind, "zh") != title_of(kind, "en") for kind in TaskKind)
