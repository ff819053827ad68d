"""What greetings have to know of customers, many at a time: who is there, who allows it, which days profiles tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.days import day_of
from core.db import Session, table_of
from core.outbox import owe_all
from customers.consents import Consent, ConsentChannel, ConsentPurpose, ConsentStatus, counts
from customers.personal import open_customers
from customers.profiles import Customer, is_present

# The profiles of customers tell days that they have not told before, or others.
PROFILE_DAYS_TOLD = "customer.days_told"
# The days of profiles that were there before anybody asked for them, page after page.
PROFILE_DAYS_ALL = "customer.days_all"


async def owe_told_days(session: Session, customer_ids: Sequence[str], cause: str, *, now: datetime) -> None:
    """Owe a look at the days that profiles tell, once for each customer and cause; the days are not in it."""
    payloads: dict[str, dict[str, Any]] = {f"{cause}:{one}": {"customer_id": one} for one in set(customer_ids)}
    await owe_all(session, topic=PROFILE_DAYS_TOLD, payloads=payloads, now=now)


@dataclass(frozen=True, slots=True)
class ProfileDays:
    """What a profile tells of days: of birth, and since when somebody has been a customer, in the bank's zone."""

    customer_id: str
    born: date | None
    since: date | None


async def days_of_profiles(session: Session, customer_ids: Sequence[str], *, zone: str) -> list[ProfileDays]:
    """The days of those of these customers who are there, opened; they stay so until the transaction ends."""
    statement = select(Customer).where(col(Customer.id).in_(sorted(set(customer_ids))), is_present())
    held = statement.order_by(col(Customer.id)).with_for_update(read=True)
    customers = (await session.exec(held.execution_options(populate_existing=True))).all()
    opened = await open_customers(session, customers)
    return [
        ProfileDays(one.id, opened[one.id].birth_date, day_of(one.customer_since, zone) if one.customer_since else None)
        for one in customers
    ]


async def customers_between(session: Session, after: str, beyond: str, *, limit: int) -> Sequence[str]:
    """The customers behind one and before another in the order of their ids."""
    statement = select(Customer.id).where(Customer.id > after, Customer.id < beyond, is_present())
    return (await session.exec(statement.order_by(col(Customer.id)).limit(limit))).all()


async def present_among(session: Session, customer_ids: Sequence[str]) -> set[str]:
    """Those of these who are somebody: neither erased nor merged into another."""
    statement = select(Customer.id).where(col(Customer.id).in_(sorted(set(customer_ids))), is_present())
    return set((await session.exec(statement)).all())


async def refusing_care(session: Session, customer_ids: Sequence[str], *, now: datetime) -> Mapping[str, bool]:
    """Those of these customers who do not allow care by all channels, each with whether they once did."""
    ids = sorted(set(customer_ids))
    table = table_of(Consent).c
    # Columns and no objects: of a festival there are as many words as customers.
    statement = sql_select(table.customer_id, table.channel, table.status, table.given_at).where(
        table.customer_id.in_(ids), table.purpose == ConsentPurpose.CARE, table.given_at <= now
    )
    words: dict[str, dict[str, Any]] = {one: {} for one in ids}
    connection = await session.connection()
    for row in (await connection.execute(statement.order_by(table.given_at, table.id))).all():
        words[row.customer_id][row.channel] = row
    return {
        one: any(word.status == ConsentStatus.REVOKED for word in said.values())
        for one, said in words.items()
        if not is_allowed(said)
    }


def is_allowed(said: Mapping[str, Any]) -> bool:
    """Whether there is a channel by which somebody may be greeted; by which one it is is decided where it is sent."""
    general = said.get(ConsentChannel.ALL)
    return any(counts(said.get(channel), general) for channel in ConsentChannel)
