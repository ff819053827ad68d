"""Tasks that follow their customers: whoever looks after a customer by now has the open tasks about them."""

from core.live import told
from customers.care import employees_of
from service.task_assignment import Assignable, assigned
from service.tasks import hand_over, open_tasks_after
from worker.work import Stores

# So many open tasks are compared in one go.
PAGE = 1_000


async def hand_over_tasks(stores: Stores, *, page: int = PAGE) -> int:
    """Give each open task to whose it is now; returns how many have moved. Done twice it is idle."""
    moved, after = 0, ""
    while True:
        async with stores.database.read() as session:
            tasks = await open_tasks_after(session, after, limit=page)
        if not tasks:
            return moved
        employees = await employees_of(stores.graph, [one.customer_id for one in tasks])
        async with stores.database.write() as session:
            asked = [Assignable(one.id, one.kind, one.subject, one.customer_id) for one in tasks]
            assignees = await assigned(session, asked, employees, hold=True)
            moved += await hand_over(session, tasks, assignees)
        for channel, message in told(session):
            await stores.publish(channel, message)
        after = tasks[-1].id
