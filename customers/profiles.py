"""Customer profiles: personal data in one erasable SQL table, a pseudonymous node in the graph."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlmodel import Field, col, select

from core.clock import iso
from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import derived_id
from core.principal import Principal, Role
from graph.client import GraphClient, Row

# Tokens name their bearer by subject; a subject is an alias of this source.
SIGN_IN = "oidc"


class AlreadySignedUp(Refusal):
    code = "ALREADY_SIGNED_UP"
    en = "You already have a profile."
    zh = "您已注册。"


class DisplayNameInvalid(BadUserInput):
    code = "DISPLAY_NAME_INVALID"
    en = "A display name has 1 to 60 characters."
    zh = "昵称需为1至60个字符。"


class Customer(Record, table=True):
    """Personal data of one customer; `customer_since` is empty for somebody who is only invited."""

    id: str = Field(primary_key=True)
    display_name: str
    full_name: str | None = None
    phone: str | None = Field(default=None, index=True)
    email: str | None = Field(default=None, index=True)
    birth_date: date | None = None
    identity_hash: str | None = Field(default=None, unique=True)
    customer_since: datetime | None = instant(optional=True)
    created_at: datetime = instant()


class CustomerAlias(Record, table=True):
    """The name that one source (a bank system, the sign-in) has for a customer."""

    source: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    customer_id: str = Field(foreign_key="customer.id", index=True)


async def customer_id_of(session: Session, source: str, key: str) -> str | None:
    """Our id of the customer whom the source knows by this key."""
    return (await customer_ids_of(session, source, [key])).get(key)


async def customer_ids_of(session: Session, source: str, keys: Sequence[str]) -> dict[str, str]:
    """Our ids by the source's keys, for those that are known."""
    statement = select(CustomerAlias.key, CustomerAlias.customer_id)
    rows = await session.exec(statement.where(CustomerAlias.source == source, col(CustomerAlias.key).in_(list(keys))))
    return dict(rows.all())


async def identify(session: Session, principal: Principal) -> Principal:
    """The principal with its customer id, where the subject has a profile."""
    return replace(principal, customer_id=await customer_id_of(session, SIGN_IN, principal.subject))


async def profile(session: Session, customer_id: str) -> Customer | None:
    return await session.get(Customer, customer_id)


async def customers_since(session: Session, ids: Sequence[str]) -> dict[str, datetime | None]:
    """Since when these have been customers, by their ids; None for who was only invited."""
    statement = select(Customer.id, Customer.customer_since).where(col(Customer.id).in_(list(ids)))
    return dict((await session.exec(statement)).all())


async def sign_up(session: Session, principal: Principal, *, display_name: str, now: datetime) -> Customer:
    """Make a profile for a signed-in person who has none; raises AlreadySignedUp.

    The graph node follows by `put_customers`; both carry an id computed from the subject, so that
    doing it twice makes one customer.
    """
    name = display_name.strip()
    if not 1 <= len(name) <= 60:
        raise DisplayNameInvalid(path=("displayName",))
    customer_id = derived_id("customer", SIGN_IN, principal.subject)
    values: dict[str, Any] = {"id": customer_id, "display_name": name, "created_at": now}
    await insert_once(session, Customer, values, "id")
    alias = {"source": SIGN_IN, "key": principal.subject, "customer_id": customer_id}
    if not await insert_once(session, CustomerAlias, alias, "source", "key"):
        raise AlreadySignedUp
    return await session.get_one(Customer, customer_id)


PUT_CUSTOMERS = """
UNWIND $rows AS row
MERGE (c:Customer {id: row.id})
SET c.display_name = row.display_name, c.since = row.since
"""


async def put_customers(graph: GraphClient, customers: Sequence[Customer]) -> None:
    """Write the customers' nodes: an id and a display name, never personal data."""
    rows = [
        {"id": c.id, "display_name": c.display_name, "since": iso(c.customer_since) if c.customer_since else None}
        for c in customers
    ]
    await graph.write(PUT_CUSTOMERS, rows=rows)


READ_CUSTOMERS = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
RETURN c.id AS id, c.display_name AS display_name, c.tier AS tier, c.since AS since
"""


async def read_customers(graph: GraphClient, ids: Sequence[str]) -> dict[str, Row]:
    """What everybody may see of customers, by id."""
    return {row["id"]: row for row in await graph.read(READ_CUSTOMERS, ids=list(ids))}


SERVED_BY = """
MATCH (c:Customer {id: $customer_id})-[:SERVED_BY]->(:Employee {id: $employee_id})
RETURN c.id AS id
"""


async def may_see_profile(graph: GraphClient, principal: Principal, customer_id: str) -> bool:
    """A profile is seen by its owner, by the owner's own relationship manager, and by administrators."""
    if principal.is_administrator or principal.customer_id == customer_id:
        return True
    if not principal.has(Role.RELATIONSHIP_MANAGER):
        return False
    return bool(await graph.read(SERVED_BY, customer_id=customer_id, employee_id=principal.subject))
