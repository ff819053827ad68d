"""Complaints in the order in which they are served: by priority, and within it who has waited longest first."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import col, or_, select

from core.db import Session
from core.paging import Page, Place, argument_of, cut, held_in, in_order, instant_in_cursor, page_size, position_at
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
    after: Place,
) -> Page[Complaint]:
    """The complaints within reach, served first first."""
    size = page_size(first)
    statement = within(select(Complaint), reach)
    if customer_id is not None:
        statement = statement.where(Complaint.customer_id == customer_id)
    if status is not None:
        statement = statement.where(Complaint.status == status)
    if ownership is not None:
        statement = statement.where(owned(ownership, reach.employee))
    mark = None
    if (position := position_at(after, int, str, str)) is not None:
        mark = (held_in(32, position[0]), instant_in_cursor(position[1], argument_of(after)), position[2])
    columns = (col(Complaint.priority), col(Complaint.filed_at), col(Complaint.id))
    rows = (await session.exec(in_order(statement, *columns, size=size, place=after, position=mark))).all()
    return cut(rows, size, lambda row: (row.priority, row.filed_at.isoformat(), row.id), after)


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
