"""What sources say of one customer's money, to be shown; each row has its source and its time."""

from collections.abc import Sequence

from sqlmodel import col, select

from core.db import Session
from core.paging import Falling, Page, Place, argument_of, by_text, cut, day_in_cursor, in_order, page_size, position_at
from customers.records import Account, ChannelPreference, Holding, MonthlyBalance
from segments.traits import CustomerTrait, TraitDefinition

MOST_TRAITS = 500


async def traits_of_customer(session: Session, customer_id: str) -> Sequence[tuple[CustomerTrait, TraitDefinition]]:
    """All traits with what they are, by name and item."""
    statement = (
        select(CustomerTrait, TraitDefinition)
        .where(CustomerTrait.customer_id == customer_id, CustomerTrait.name == TraitDefinition.name)
        .order_by(col(CustomerTrait.name), col(CustomerTrait.item))
        .limit(MOST_TRAITS)
    )
    return (await session.exec(statement)).all()


async def accounts_of(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[Account]:
    """Accounts by id."""
    size = page_size(first)
    statement = select(Account).where(Account.customer_id == customer_id)
    page = by_text(statement, col(Account.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)


async def holdings_of(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[Holding]:
    """What is held by id; nothing is left of what has the amount 0."""
    size = page_size(first)
    statement = select(Holding).where(Holding.customer_id == customer_id, Holding.amount != 0)
    page = by_text(statement, col(Holding.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)


async def balances_of_customer(
    session: Session, customer_id: str, *, first: int | None, after: Place
) -> Page[MonthlyBalance]:
    """Monthly balances, the latest month first, and of a month by source and its names for the customer."""
    size, position = page_size(first), position_at(after, str, str, str)
    if position is not None:
        position = (day_in_cursor(position[0], argument_of(after)), *position[1:])
    statement = select(MonthlyBalance).where(MonthlyBalance.customer_id == customer_id)
    columns = (Falling(col(MonthlyBalance.month)), col(MonthlyBalance.source), col(MonthlyBalance.customer_key))
    page = in_order(statement, *columns, size=size, place=after, position=position)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.month.isoformat(), row.source, row.customer_key), after)


async def preferences_of(session: Session, customer_id: str) -> Sequence[ChannelPreference]:
    """Which channels sources say that the customer prefers; of several words of one source the newest counts."""
    statement = select(ChannelPreference).where(ChannelPreference.customer_id == customer_id)
    ordered = statement.order_by(
        col(ChannelPreference.channel), col(ChannelPreference.source), col(ChannelPreference.observed_at)
    )
    rows = (await session.exec(ordered.limit(MOST_TRAITS))).all()
    return list({(row.channel, row.source): row for row in rows}.values())
