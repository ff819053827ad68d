"""Customer profiles: personal data sealed in one erasable SQL table, a pseudonymous node in the graph."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import aliased
from sqlmodel import Field, and_, col, select

from core.clock import iso
from core.coalescing import Coalesced
from core.db import Database, Record, Session, among, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import new_id
from core.principal import Principal
from core.sealing import blind_hash, keyed_id
from graph.client import GraphClient, Row

# Tokens name their bearer by subject; a subject is an alias of this source.
SIGN_IN = "oidc"
# What is shown where a name was.
NOBODY = "—"


class AlreadySignedUp(Refusal):
    code = "ALREADY_SIGNED_UP"
    en = "You already have a profile."
    zh = "您已注册。"


class DisplayNameInvalid(BadUserInput):
    code = "DISPLAY_NAME_INVALID"
    en = "A display name has 1 to 60 characters."
    zh = "昵称需为1至60个字符。"


class Customer(Record, table=True):
    """One customer; what is personal is sealed, and opened by customers/personal.py alone.

    `customer_since` is empty for somebody who is only invited. Phones and addresses are found by keyed hashes.
    """

    id: str = Field(primary_key=True)
    display_name: str
    full_name: str | None = None
    phone: str | None = None
    email: str | None = None
    birth_date: str | None = None
    phone_hash: str | None = Field(default=None, index=True)
    email_hash: str | None = Field(default=None, index=True)
    phone_verified: bool = False
    email_verified: bool = False
    identity_hash: str | None = Field(default=None, unique=True)
    customer_since: datetime | None = instant(optional=True)
    created_at: datetime = instant()
    merged_into: str | None = None
    erased_at: datetime | None = instant(optional=True)


def is_present() -> ColumnElement[bool]:
    """The condition that a row is somebody's: neither erased nor merged into another."""
    return and_(col(Customer.erased_at).is_(None), col(Customer.merged_into).is_(None))


class CustomerAlias(Record, table=True):
    """The name that one source (a bank system, the sign-in) has for a customer."""

    source: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    customer_id: str = Field(foreign_key="customer.id", index=True)


@cache
def aliases_among(*, is_sqlite: bool) -> Any:
    """The customers whom a `source` knows by these `keys`; built once, because every request asks by it."""
    return select(CustomerAlias.key, CustomerAlias.customer_id).where(
        col(CustomerAlias.source) == bindparam("source"), among(col(CustomerAlias.key), "keys", is_sqlite=is_sqlite)
    )


def identities(database: Database) -> Coalesced[str, str]:
    """Our ids of customers by their subjects, as of when each is asked for; one for each process."""

    async def look_up(subjects: Sequence[str]) -> dict[str, str]:
        known = aliases_among(is_sqlite=database.is_sqlite)
        return {key: customer_id for key, customer_id in await database.glance(known, source=SIGN_IN, keys=subjects)}

    return Coalesced(look_up)


def display_name_of(customer_id: ColumnElement[str]) -> Any:
    """The name that others see of a customer, as a column of a statement; null where there is nobody."""
    named = select(Customer.display_name).where(col(Customer.id) == customer_id, col(Customer.merged_into).is_(None))
    return named.scalar_subquery().label("name")


async def customer_id_of(session: Session, source: str, key: str) -> str | None:
    """Our id of the customer whom the source knows by this key."""
    return (await customer_ids_of(session, source, [key])).get(key)


async def customer_ids_of(session: Session, source: str, keys: Sequence[str], *, hold: bool = False) -> dict[str, str]:
    """Our ids by the source's keys, for those that are known.

    Held, they stay so until the transaction ends: an erasure or a merge waits for whoever writes by them. Aliases are
    locked before customers by all, so that nobody waits in a circle.
    """
    aliases = aliases_among(is_sqlite=session.get_bind().dialect.name == "sqlite")
    known = aliases.order_by(col(CustomerAlias.key)).with_for_update(read=True) if hold else aliases
    return dict((await session.exec(known, params={"source": source, "keys": list(keys)})).all())


async def hold_aliases(session: Session, ids: Sequence[str]) -> None:
    """Wait for whoever writes by the names of these customers, and keep others from it until the transaction ends."""
    statement = select(CustomerAlias.key).where(col(CustomerAlias.customer_id).in_(list(ids)))
    ordered = statement.order_by(col(CustomerAlias.source), col(CustomerAlias.key))
    await session.exec(ordered.with_for_update())


async def profile(session: Session, customer_id: str) -> Customer | None:
    return await session.get(Customer, customer_id)


async def survivor_of(session: Session, customer_id: str) -> str:
    """The id under which a customer is known by now: another one where profiles were merged."""
    found = customer_id
    while (into := (await session.exec(select(Customer.merged_into).where(Customer.id == found))).first()) is not None:
        found = into
    return found


async def known_as(session: Session, customer_id: str) -> tuple[str, bool | None]:
    """The id by which a customer is known by now, and whether they were erased; None where there is nobody.

    It stays so until the transaction ends: an erasure waits for whoever writes of a person, and then finds it.
    """
    state = select(Customer.merged_into, Customer.erased_at).with_for_update(read=True, key_share=True)
    id = customer_id
    while (row := (await session.exec(state.where(Customer.id == id))).first()) is not None:
        into, erased_at = row
        if into is None:
            return id, erased_at is not None
        id = into
    return id, None


async def is_erased(session: Session, customer_id: str) -> bool:
    """Whether a customer was erased, be it under another id; it stays so likewise."""
    return (await known_as(session, customer_id))[1] is True


async def erased_among(session: Session, ids: Sequence[str]) -> set[str]:
    """Those of these customers who were erased, be it as part of another profile; all of them stay so likewise."""
    if not ids:
        return set()
    survivor = aliased(Customer)
    statement = (
        select(Customer.id, Customer.erased_at, survivor.erased_at)
        .join(survivor, col(survivor.id) == Customer.merged_into, isouter=True)
        .where(col(Customer.id).in_(list(ids)))
        .order_by(col(Customer.id))
        .with_for_update(read=True, key_share=True, of=Customer)
    )
    rows = (await session.exec(statement)).all()
    return {customer_id for customer_id, own, others in rows if own is not None or others is not None}


async def aliases_of(session: Session, customer_id: str) -> Sequence[CustomerAlias]:
    """The names that sources have for a customer."""
    statement = select(CustomerAlias).where(CustomerAlias.customer_id == customer_id)
    return (await session.exec(statement.order_by(col(CustomerAlias.source), col(CustomerAlias.key)))).all()


async def customers_since(session: Session, ids: Sequence[str]) -> dict[str, datetime | None]:
    """Since when these have been customers, by their ids; None for who was only invited."""
    statement = select(Customer.id, Customer.customer_since).where(col(Customer.id).in_(list(ids)))
    return dict((await session.exec(statement)).all())


def customer_id_from(hash_key: str, source: str, key: str) -> str:
    """The id that a new customer gets by how a source names it; without the key nobody tells whose it is."""
    return keyed_id(hash_key, "customer", source, key)


def contact_hash(hash_key: str, use: str, value: str | None) -> str | None:
    """By what a phone or e-mail (the use), in normal form, is found; the same for every customer."""
    return None if value is None else blind_hash(hash_key, use, value)


async def sign_up(
    session: Session, principal: Principal, *, display_name: str, hash_key: str, now: datetime
) -> Customer:
    """Make a profile for a signed-in person who has none; raises AlreadySignedUp.

    The graph node follows by `put_customers`; both carry an id computed from the subject, so that
    doing it twice makes one customer. Who was erased comes back as somebody else, also where the profile that the
    subject made had become one with another before.
    """
    name = display_name.strip()
    if not 1 <= len(name) <= 60:
        raise DisplayNameInvalid(path=("displayName",))
    customer_id = customer_id_from(hash_key, SIGN_IN, principal.subject)
    before = await session.get(Customer, customer_id)
    if before is not None and (before.erased_at is not None or before.merged_into is not None):
        customer_id = new_id()
    verified: dict[str, Any] = {"phone_verified": False, "email_verified": False}
    values = {"id": customer_id, "display_name": name, "created_at": now, **verified}
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
