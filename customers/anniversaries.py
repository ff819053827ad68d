"""Since when people have been customers, page by page, for whoever looks for their anniversaries."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlmodel import col, select

from core.db import Session
from customers.profiles import Customer


async def customers_by_id(session: Session, *, after: str, limit: int) -> Sequence[tuple[str, datetime]]:
    """Customers in the order of their ids, each with when it began; nobody who was only invited."""
    statement = select(Customer.id, Customer.customer_since).where(
        Customer.id > after, col(Customer.customer_since).is_not(None)
    )
    rows = (await session.exec(statement.order_by(col(Customer.id)).limit(limit))).all()
    return cast(Sequence[tuple[str, datetime]], rows)
