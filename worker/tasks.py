"""Tasks that follow their customers: whoever looks after a customer by now has the open tasks about them.

Those of complaints are whose the complaints are: who looks after a customer may be the one of whom they complain.
What such a complaint has broken is then nobody's to repair, and so the administrators'.
"""

from core.live import told
from core.tasks import TaskKind
from customers.care import employees_of
from service.break_secrets import named_in_breaks
from service.complaint_tasks import assignees_of
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
            marks = [one.subject for one in tasks if one.kind == TaskKind.COMPLAINT]
            whose = await assignees_of(session, marks, hold=True) if marks else {}
            named = await named_in_breaks(session, [one.subject for one in tasks if one.kind == TaskKind.RECOVERY])
            assignees = {
                one.id: whose.get(one.subject) if one.kind == TaskKind.COMPLAINT else employees.get(one.customer_id)
                for one in tasks
                if (one.subject, employees.get(one.customer_id)) not in named
            }
            moved += await hand_over(session, tasks, assignees)
        for channel, message in told(session):
            await stores.publish(channel, message)
        after = tasks[-1].id
