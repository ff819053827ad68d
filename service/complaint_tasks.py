"""Whose the tasks of complaints are: a warning is the owner's, an escalation nobody's, and so the administrators'."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from core.db import Session, changed_rows
from core.tasks import TaskKind
from service.complaint_clocks import Stage
from service.complaint_records import Complaint, ComplaintAccused, ComplaintMark
from service.tasks import Task, TaskStatus


async def assignees_of(session: Session, mark_ids: Collection[str], *, hold: bool) -> Mapping[str, str | None]:
    """Whose task each of these marks is by now; held, their complaints keep their owners until the transaction ends.

    Whoever opens or hands over tasks holds them: else a complaint that changes hands meanwhile finds no task to pass on
    yet, and the task would be for who had it before, and who may be accused by now.
    """
    statement: Any = (
        select(ComplaintMark.id, ComplaintMark.stage, Complaint.owner)
        .join(Complaint, col(Complaint.id) == col(ComplaintMark.complaint_id))
        .where(col(ComplaintMark.id).in_(mark_ids))
    )
    if hold:
        statement = statement.order_by(col(Complaint.id)).with_for_update(read=True, of=Complaint)
    rows = (await session.exec(statement)).all()
    return {id: owner if stage == Stage.WARNING else None for id, stage, owner in rows}


async def pass_tasks_on(session: Session, complaint: Complaint) -> None:
    """Give the open warnings of a complaint to who owns it now."""
    warnings = select(ComplaintMark.id).where(
        ComplaintMark.complaint_id == complaint.id, ComplaintMark.stage == Stage.WARNING
    )
    mine = update(Task).where(
        col(Task.customer_id) == complaint.customer_id,
        col(Task.kind) == TaskKind.COMPLAINT,
        col(Task.status) == TaskStatus.OPEN,
        col(Task.subject).in_(warnings),
    )
    await changed_rows(session, mine.values(assignee=complaint.owner))


def marks_about(employee: str) -> Any:
    """Selects the marks of complaints that name this employee."""
    return (
        select(ComplaintMark.id)
        .join(ComplaintAccused, col(ComplaintAccused.complaint_id) == col(ComplaintMark.complaint_id))
        .where(ComplaintAccused.employee == employee)
    )


async def is_marked_about(session: Session, mark_id: str, employee: str) -> bool:
    """Whether the complaint of this mark names the employee."""
    return (await session.exec(marks_about(employee).where(ComplaintMark.id == mark_id))).first() is not None


async def complaints_of_marks(session: Session, mark_ids: Collection[str]) -> dict[str, str]:
    """The complaint of each of these marks."""
    statement = select(ComplaintMark.id, ComplaintMark.complaint_id).where(col(ComplaintMark.id).in_(mark_ids))
    return dict((await session.exec(statement)).all())
