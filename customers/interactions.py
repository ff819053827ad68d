"""Contacts of customers with the bank, as its systems tell them; complaints are among them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, func, select

from core.db import Session
from core.paging import Page, Place, cut, newest_first, page_size
from customers.records import COMPLAINT, ServiceRecord


async def told_interactions(session: Session, customer_id: str, *, size: int, after: Place) -> Sequence[ServiceRecord]:
    """Contacts of a customer, the latest first, one more than the page, for whoever lays them beside others."""
    statement = select(ServiceRecord).where(ServiceRecord.customer_id == customer_id)
    page = newest_first(statement, col(ServiceRecord.occurred_at), col(ServiceRecord.id), size=size, after=after)
    return (await session.exec(page)).all()


async def latest_contacts(session: Session, customer_ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
    """When each of these customers was last in contact, by customer and kind, in one statement."""
    statement: Any = (
        select(ServiceRecord.customer_id, ServiceRecord.kind, func.max(ServiceRecord.occurred_at))
        .where(col(ServiceRecord.customer_id).in_(list(customer_ids)))
        .group_by(col(ServiceRecord.customer_id), col(ServiceRecord.kind))
    )
    return {(customer_id, kind): at for customer_id, kind, at in (await session.exec(statement)).all()}


async def interactions_of(
    session: Session, customer_id: str, *, complaints: bool, first: int | None, after: Place
) -> Page[ServiceRecord]:
    """Contacts of a customer, or the complaints among them, the latest first."""
    size = page_size(first)
    statement = select(ServiceRecord).where(ServiceRecord.customer_id == customer_id)
    if complaints:
        statement = statement.where(ServiceRecord.kind == COMPLAINT)
    page = newest_first(statement, col(ServiceRecord.occurred_at), col(ServiceRecord.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.occurred_at.isoformat(), row.id), after)
