"""Whose a task is: of who looks after the customer, but what comes from a complaint goes by the complaint.

Who looks after a customer may be the one of whom they complain. So the tasks of a complaint are whose the complaint is,
and what such a complaint has broken is nobody's to repair, and so the administrators'.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.db import Session
from core.tasks import TaskKind
from service.break_secrets import named_in_breaks
from service.complaint_tasks import assignees_of


class Assignable(NamedTuple):
    """What it depends on whose a task is."""

    id: str
    kind: str
    subject: str
    customer_id: str


async def assigned(
    session: Session, tasks: Sequence[Assignable], employees: Mapping[str, str], *, hold: bool
) -> dict[str, str | None]:
    """Whose these tasks are by now, by their ids; `employees` look after the customers.

    With `hold` the complaints keep their owners until the transaction ends.
    """
    marks = [one.subject for one in tasks if one.kind == TaskKind.COMPLAINT]
    owners = await assignees_of(session, marks, hold=hold) if marks else {}
    named = await named_in_breaks(session, [one.subject for one in tasks if one.kind == TaskKind.RECOVERY])

    def whose(one: Assignable) -> str | None:
        if one.kind == TaskKind.COMPLAINT:
            return owners.get(one.subject)
        employee = employees.get(one.customer_id)
        return None if (one.subject, employee) in named else employee

    return {one.id: whose(one) for one in tasks}
