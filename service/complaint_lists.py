"""Complaints in the order in which they are served: by priority, and within it who has waited longest first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import col, or_, select

from core.db import Session
from core.paging import Page, cut, decode_cursor, instant_in_cursor, page_size
from service.complaint_records import Complaint, ComplaintAccused, ComplaintStatus


class ComplaintOwnership(StrEnum):
    """Whose complaints are listed: one's own, those that one is asked to take, or those that nobody has taken."""

    MINE = "MINE"
    ASKED = "ASKED"
    UNOWNED = "UNOWNED"


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody sees of complaints: of these customers (null: of all), and with an employee's id what is theirs.

    What is about the employee is left out of every list, because a list tells of whom it is.
    """

    customer_ids: Collection[str] | None
    employee: str | None = None


async def list_complaints(
    session: Session,
    reach: Reach,
    *,
    customer_id: str | None = None,
    status: ComplaintStatus | None = None,
    ownership: ComplaintOwnership | None = None,
    first: int | None,
    after: str | None,
) -> Page[Complaint]:
    """The complaints within reach, served first first."""
    size, position = page_size(first), decode_cursor(after, int, str, str)
    statement = within(select(Complaint), reach)
    if customer_id is not None:
        statement = statement.where(Complaint.customer_id == customer_id)
    if status is not None:
        statement = statement.where(Complaint.status == status)
    if ownership is not None:
        statement = statement.where(owned(ownership, reach.employee))
    priority, filed, id = col(Complaint.priority), col(Complaint.filed_at), col(Complaint.id)
    if position:
        at: datetime = instant_in_cursor(str(position[1]))
        later = (filed > at) | ((filed == at) & (id > str(position[2])))
        statement = statement.where((priority > int(position[0])) | ((priority == int(position[0])) & later))
    rows = (await session.exec(statement.order_by(priority, filed, id).limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.priority, row.filed_at.isoformat(), row.id))


def within(statement: Any, reach: Reach) -> Any:
    if reach.employee is not None:
        about = select(ComplaintAccused.complaint_id).where(ComplaintAccused.employee == reach.employee)
        statement = statement.where(col(Complaint.id).not_in(about))
    if reach.customer_ids is not None:
        theirs = col(Complaint.customer_id).in_(reach.customer_ids)
        mine = [] if reach.employee is None else [owned(ComplaintOwnership.MINE, reach.employee)]
        asked = [] if reach.employee is None else [owned(ComplaintOwnership.ASKED, reach.employee)]
        statement = statement.where(or_(theirs, *mine, *asked))
    return statement


def owned(ownership: ComplaintOwnership, employee: str | None) -> Any:
    if ownership == ComplaintOwnership.UNOWNED:
        return col(Complaint.owner).is_(None)
    column = col(Complaint.owner) if ownership == ComplaintOwnership.MINE else col(Complaint.hand_off_to)
    return column == (employee or "")
