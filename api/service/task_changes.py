"""Tasks followed live: whoever is at work hears of theirs as they come, go and end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry

from api.context import Info
from api.customers.looked_after import bank_staff
from api.relay import Resume
from api.service.tasks import Task, load_task
from core.history import Hint
from core.ids import is_id
from core.live import latest
from service.tasks import channel_of

# A listener is told at most this often; what comes closer together becomes one message where it can.
PAUSE_SECONDS = 0.1


@strawberry.type(description="A task of yours was opened, changed or ended.")
class TaskChange:
    task: Task | None = strawberry.field(
        description="The task as it is now; null where it is not yours any more, or where some may have been missed."
    )


async def task_changes(info: Info, after: str | None) -> AsyncGenerator[TaskChange, None]:
    """What changes of the asking employee's tasks, read anew each time under their rights of then."""
    context = info.context
    subject = bank_staff(info).subject
    async with context.edge.listen(channel_of(subject), after) as listener:
        while True:
            for heard in latest(await context.hear(listener), named):
                await context.begin_message()
                task_id = named(heard.hint)
                task = await load_task(info, task_id) if is_id(task_id) else None
                context.cursor = listener.cursor(heard)
                yield TaskChange(task=task if task is not None and task.assignee == subject else None)
            await context.rest(PAUSE_SECONDS)


def named(hint: Hint) -> str:
    """The task of a hint; an empty one stands for what may have been missed."""
    return str(hint.get("task_id", ""))


@strawberry.type
class TaskSubscriptions:
    @strawberry.subscription(description="Your tasks as they are opened, changed and ended; for people of the bank.")
    async def task_changed(self, info: Info, after: Resume = None) -> AsyncGenerator[TaskChange, None]:
        info.context.signed_in()
        async with aclosing(task_changes(info, info.context.going_on(after))) as changes:
            async for change in changes:
                yield change
