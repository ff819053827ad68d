"""What sources say of one customer's money, to be shown; each row has its source and its time."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import tuple_
from sqlmodel import col, select

from core.db import Session
from core.paging import Page, PageInvalid, cut, decode_cursor, page_size
from customers.records import Account, ChannelPreference, Holding, MonthlyBalance
from segments.traits import CustomerTrait, TraitDefinition

MOST_TRAITS = 500


def day_in_cursor(text: str) -> date:
    """The day that a cursor names; raises PageInvalid."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise PageInvalid(path=("after",), detail="not a cursor of this list") from error


async def traits_of_customer(session: Session, customer_id: str) -> Sequence[tuple[CustomerTrait, TraitDefinition]]:
    """All traits with what they are, by name and item."""
    statement = (
        select(CustomerTrait, TraitDefinition)
        .where(CustomerTrait.customer_id == customer_id, CustomerTrait.name == TraitDefinition.name)
        .order_by(col(CustomerTrait.name), col(CustomerTrait.item))
        .limit(MOST_TRAITS)
    )
    return (await session.exec(statement)).all()


async def accounts_of(session: Session, customer_id: str, *, first: int | None, after: str | None) -> Page[Account]:
    """Accounts by id."""
    size, position = page_size(first), decode_cursor(after, str)
    statement = select(Account).where(Account.customer_id == customer_id)
    if position:
        statement = statement.where(Account.id > str(position[0]))
    rows = (await session.exec(statement.order_by(col(Account.id)).limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.id,))


async def holdings_of(session: Session, customer_id: str, *, first: int | None, after: str | None) -> Page[Holding]:
    """What is held by id; nothing is left of what has the amount 0."""
    size, position = page_size(first), decode_cursor(after, str)
    statement = select(Holding).where(Holding.customer_id == customer_id, Holding.amount != 0)
    if position:
        statement = statement.where(Holding.id > str(position[0]))
    rows = (await session.exec(statement.order_by(col(Holding.id)).limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.id,))


async def balances_of_customer(
    session: Session, customer_id: str, *, first: int | None, after: str | None
) -> Page[MonthlyBalance]:
    """Monthly balances, the latest month first, and of a month by source and its names for the customer."""
    size, position = page_size(first), decode_cursor(after, str, str, str)
    statement = select(MonthlyBalance).where(MonthlyBalance.customer_id == customer_id)
    if position:
        month, source, key = day_in_cursor(str(position[0])), str(position[1]), str(position[2])
        later = tuple_(col(MonthlyBalance.source), col(MonthlyBalance.customer_key)) > tuple_(source, key)
        statement = statement.where(
            (col(MonthlyBalance.month) < month) | ((col(MonthlyBalance.month) == month) & later)
        )
    ordered = statement.order_by(
        col(MonthlyBalance.month).desc(), col(MonthlyBalance.source), col(MonthlyBalance.customer_key)
    )
    rows = (await session.exec(ordered.limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.month.isoformat(), row.source, row.customer_key))


async def preferences_of(session: Session, customer_id: str) -> Sequence[ChannelPreference]:
    """Which channels sources say that the customer prefers; of several words of one source the newest counts."""
    statement = select(ChannelPreference).where(ChannelPreference.customer_id == customer_id)
    ordered = statement.order_by(
        col(ChannelPreference.channel), col(ChannelPreference.source), col(ChannelPreference.observed_at)
    )
    rows = (await session.exec(ordered.limit(MOST_TRAITS))).all()
    return list({(row.channel, row.source): row for row in rows}.values())
