"""What of breaks an employee must not learn: those that a complaint about them has caused.

The fact of a complaint has its id in its key, so that both engines find it without looking into payloads.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, literal
from sqlmodel import col, select

from core.db import Session
from core.facts import OWN_SOURCE, Fact
from service.breaks import ServiceBreakFact
from service.complaint_records import ComplaintAccused


def is_of_complaint() -> ColumnElement[bool]:
    """Whether a fact is one of the complaint that names an employee."""
    key = literal("complaint:").concat(col(ComplaintAccused.complaint_id)).concat(":%")
    return (col(Fact.source) == OWN_SOURCE) & col(Fact.key).like(key)


def breaks_about(employee: str) -> Any:
    """Selects the breaks that come from complaints which name this employee."""
    return (
        select(ServiceBreakFact.break_id)
        .join(Fact, col(Fact.id) == ServiceBreakFact.fact_id)
        .join(ComplaintAccused, is_of_complaint())
        .where(ComplaintAccused.employee == employee)
    )


async def is_break_about(session: Session, break_id: str, employee: str) -> bool:
    """Whether the break comes from a complaint that names the employee."""
    mine = breaks_about(employee).where(ServiceBreakFact.break_id == break_id)
    return (await session.exec(mine)).first() is not None


async def named_in_breaks(session: Session, break_ids: Collection[str]) -> set[tuple[str, str]]:
    """The breaks, each with an employee whom the complaint behind it names."""
    statement = (
        select(ServiceBreakFact.break_id, ComplaintAccused.employee)
        .join(Fact, col(Fact.id) == ServiceBreakFact.fact_id)
        .join(ComplaintAccused, is_of_complaint())
        .where(col(ServiceBreakFact.break_id).in_(sorted(break_ids)))
    )
    return set((await session.exec(statement)).all()) if break_ids else set()
