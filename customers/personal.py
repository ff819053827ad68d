"""What is personal of customers: name, phone, e-mail and birth date, sealed by a data key of each customer.

Nothing else opens these columns. A customer whose data key is destroyed has no personal data any more, in no copy.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date

from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, ring_of
from core.sealing import KeyRing, new_data_key, seal, unseal
from customers.profiles import Customer, contact_hash


class PersonalKey(Record, table=True):
    """The data key of one customer, wrapped by the key of the ring that `key_id` names."""

    customer_id: str = Field(primary_key=True, foreign_key="customer.id")
    wrapped: str
    key_id: int = Field(index=True)


# The table of keys that are wrapped by the ring, and whose they are, for their rotation.
WRAPPED_KEYS = (PersonalKey, "customer_id")


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What is sealed, opened; its text form says nothing of it, because whatever is logged may hold one."""

    full_name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)


COLUMNS = tuple(one.name for one in fields(PersonalData))
EMPTY = PersonalData()


async def data_keys(session: Session, ids: Collection[str]) -> dict[str, bytes]:
    """The data keys of those of these customers who have one; raises PersonalDataLocked."""
    ring = ring_of(session)
    statement = select(PersonalKey).where(col(PersonalKey.customer_id).in_(sorted(set(ids))))
    return {row.customer_id: unwrapped(ring, row) for row in (await session.exec(statement)).all()}


async def keys_by_owner(session: Session, ids: Collection[str]) -> dict[str, tuple[str, bytes]]:
    """By what the words about these customers open: whose key it is, and the key; of a merged profile the survivor's.

    Raises PersonalDataLocked. One statement, and two more where somebody has no key.
    """
    own = await data_keys(session, ids)
    found = {id: (id, key) for id, key in own.items()}
    if lacking := sorted(set(ids) - own.keys()):
        merged = select(Customer.id, Customer.merged_into).where(col(Customer.id).in_(lacking))
        into = {id: survivor for id, survivor in (await session.exec(merged)).all() if survivor is not None}
        theirs = await data_keys(session, into.values()) if into else {}
        found |= {id: (survivor, theirs[survivor]) for id, survivor in into.items() if survivor in theirs}
    return found


def unwrapped(ring: KeyRing, row: PersonalKey) -> bytes:
    return ring.unwrap(row.key_id, row.wrapped, row.customer_id)


async def made_data_keys(session: Session, ids: Collection[str]) -> dict[str, bytes]:
    """The data keys of all of these customers, made for who has none; of two makers at once one wins for both."""
    found = await data_keys(session, ids)
    lacking = sorted(set(ids) - found.keys())
    if not lacking:
        return found
    ring = ring_of(session)
    rows = [{"customer_id": id, "wrapped": ring.wrap(new_data_key(), id), "key_id": ring.newest} for id in lacking]
    await insert_once(session, PersonalKey, rows, "customer_id")
    return found | await data_keys(session, lacking)


async def open_customers(session: Session, customers: Sequence[Customer]) -> dict[str, PersonalData]:
    """What is personal of these customers, by their ids, in one statement; empty for who has nothing sealed."""
    sealed = {one.id for one in customers if any(getattr(one, name) for name in COLUMNS)}
    keys = await data_keys(session, sealed) if sealed else {}
    return {one.id: opened(one, keys[one.id]) if one.id in keys else EMPTY for one in customers}


def opened(customer: Customer, key: bytes) -> PersonalData:
    """The columns of one customer, opened by the data key; raises PersonalDataLocked."""
    plain: dict[str, str] = {
        name: unseal(key, sealed, owner=customer.id, column=name)
        for name in COLUMNS
        if (sealed := getattr(customer, name)) is not None
    }
    born = date.fromisoformat(plain.pop("birth_date")) if "birth_date" in plain else None
    return PersonalData(**plain, birth_date=born)  # pyright: ignore[reportArgumentType] - what is left is text


async def personal_data_of(session: Session, customer_id: str) -> PersonalData | None:
    """What is personal of a customer; None for nobody. Who may read it is asked before."""
    customer = await session.get(Customer, customer_id)
    return None if customer is None else (await open_customers(session, [customer]))[customer_id]


async def emails_of(session: Session, ids: Collection[str]) -> dict[str, str | None]:
    """The e-mail addresses of customers by their ids, for what compares their letters."""
    rows = (await session.exec(select(Customer).where(col(Customer.id).in_(sorted(set(ids)))))).all()
    return {key: personal.email for key, personal in (await open_customers(session, rows)).items()}


def put_personal(
    customer: Customer, known: PersonalData, said: PersonalData, key: bytes, *, hash_key: str
) -> PersonalData:
    """Seal what is said of a customer and was not known so; returns what is known now."""
    news = {name: value for name in COLUMNS if (value := getattr(said, name)) not in (None, getattr(known, name))}
    for name, value in news.items():
        setattr(customer, name, seal(key, str(value), owner=customer.id, column=name))
    if said.phone is not None:
        customer.phone_hash = contact_hash(hash_key, "phone", said.phone)
    if said.email is not None:
        customer.email_hash = contact_hash(hash_key, "email", said.email)
    return replace(known, **news)


def clear_personal(customer: Customer) -> None:
    """Take out of a customer's row whatever is or was made of personal data."""
    blank: Mapping[str, None] = dict.fromkeys((*COLUMNS, "phone_hash", "email_hash", "identity_hash"))
    for name in blank:
        setattr(customer, name, None)
    customer.phone_verified = customer.email_verified = False
