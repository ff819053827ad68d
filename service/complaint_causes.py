"""What complaints come from: closed ones counted by cause, channel, product, community or month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Integer, case, cast, func
from sqlalchemy import select as sql_select
from sqlmodel import col

from core.db import Session
from core.errors import BadUserInput
from service.complaint_records import Complaint, ComplaintStatus

MOST_GROUPS = 1_000


class ComplaintGroupingInvalid(BadUserInput):
    code = "COMPLAINT_GROUPING_INVALID"
    en = "Group by one to three different things."
    zh = "请指定一至三个不同的分组项。"


class ComplaintGrouping(StrEnum):
    """By what complaints are counted; MONTH is the one of closing, in the bank's zone."""

    CAUSE = "CAUSE"
    CHANNEL = "CHANNEL"
    PRODUCT = "PRODUCT"
    COMMUNITY = "COMMUNITY"
    MONTH = "MONTH"


COLUMNS: dict[ComplaintGrouping, Any] = {
    ComplaintGrouping.CAUSE: col(Complaint.cause),
    ComplaintGrouping.CHANNEL: col(Complaint.channel),
    ComplaintGrouping.PRODUCT: col(Complaint.product),
    ComplaintGrouping.COMMUNITY: col(Complaint.community_id),
    ComplaintGrouping.MONTH: col(Complaint.closed_month),
}


@dataclass(frozen=True, slots=True)
class CauseCount:
    """One group: how many were closed, the median of open minutes to the solution, and how many broke a promise."""

    keys: dict[ComplaintGrouping, Any]
    count: int
    median_minutes: float
    breached: int


async def complaint_causes(
    session: Session, by: Sequence[ComplaintGrouping], *, first_month: date, last_month: date
) -> list[CauseCount]:
    """Complaints that were closed in these months and are so still, the largest groups first.

    Raises ComplaintGroupingInvalid.
    """
    if not 1 <= len(by) <= 3 or len(set(by)) != len(by):
        raise ComplaintGroupingInvalid(path=("by",))
    named = [COLUMNS[one].label(one.lower()) for one in by]
    spread: list[ColumnElement[Any]] = [COLUMNS[one] for one in by]
    month = col(Complaint.closed_month)
    ranked = (
        sql_select(
            *named,
            col(Complaint.solution_minutes).label("minutes"),
            case((col(Complaint.is_breached), 1), else_=0).label("breached"),
            func.row_number()
            .over(partition_by=spread, order_by=[col(Complaint.solution_minutes), col(Complaint.id)])
            .label("place"),
            func.count().over(partition_by=spread).label("size"),
        )
        .where(col(Complaint.status) == ComplaintStatus.CLOSED, month >= first_month, month <= last_month)
        .subquery()
    )
    keys = [ranked.c[one.lower()] for one in by]
    # Of an even number the median is the mean of the two in the middle.
    middle = (ranked.c.place * 2 >= ranked.c.size) & (ranked.c.place * 2 <= ranked.c.size + 2)
    median = func.avg(case((middle, ranked.c.minutes)))
    statement = (
        sql_select(*keys, func.count(), median, cast(func.sum(ranked.c.breached), Integer))
        .group_by(*keys)
        .order_by(func.count().desc(), *keys)
        .limit(MOST_GROUPS)
    )
    rows = [tuple(row) for row in (await (await session.connection()).execute(statement)).all()]
    return [
        CauseCount(dict(zip(by, row, strict=False)), int(row[-3]), float(row[-2] or 0), int(row[-1])) for row in rows
    ]
