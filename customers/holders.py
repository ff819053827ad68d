"""Who holds what, for other rooms that look at products: page by page of a product, and all of some customers."""

from collections.abc import Sequence

from sqlmodel import col, select

from core.db import Session
from customers.profiles import Customer, is_present
from customers.records import Holding

# The topic of holdings that an import has ended; its payload names the customers.
HOLDINGS_ENDED = "holdings.ended"


async def holders_of(session: Session, product: str, *, after: str, limit: int) -> Sequence[str]:
    """The next customers who hold something of a product, by their ids."""
    statement = select(Holding.customer_id).where(
        Holding.product == product, Holding.customer_id > after, Holding.amount != 0
    )
    return (await session.exec(statement.distinct().order_by(col(Holding.customer_id)).limit(limit))).all()


async def products_held(session: Session, customer_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Who of these customers holds which products, each pair once."""
    statement = select(Holding.customer_id, Holding.product).where(
        col(Holding.customer_id).in_(list(customer_ids)), Holding.amount != 0
    )
    return (await session.exec(statement.distinct())).all() if customer_ids else []


async def hold_present(session: Session, customer_ids: Sequence[str]) -> Sequence[str]:
    """Those of these who are neither erased nor merged, and stay so until the transaction ends."""
    statement = select(Customer.id).where(col(Customer.id).in_(list(customer_ids)), is_present())
    ordered = statement.order_by(col(Customer.id)).with_for_update(read=True, key_share=True)
    return (await session.exec(ordered)).all() if customer_ids else []
