"""The rows of tags, customers, their tags and who knows whom."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, field_validator
from pydantic import Field as Setting
from sqlmodel import col, select

from core.clock import iso
from core.db import Session, insert_once
from core.ids import derived_id
from core.importing import Batch, ImportKind, ImportRow, Rejection
from customers.identity import identity_hash, normal_email, normal_phone
from customers.profiles import SIGN_IN, Customer, CustomerAlias, customer_ids_of, put_customers
from customers.tags import TagFamily

Key = Annotated[str, Setting(min_length=1, max_length=200)]
Name = Annotated[str, Setting(min_length=1, max_length=200)]


class TagRow(ImportRow):
    """A tag that customers and communities can carry."""

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    name_zh: Name
    name_en: Name
    family: TagFamily


class CustomerRow(ImportRow):
    """A person as one source knows them; `document` is hashed with a key and never stored."""

    key: Key
    display_name: Annotated[str, Setting(min_length=1, max_length=60)]
    full_name: Annotated[str, Setting(max_length=120)] | None = None
    phone: str | None = None
    email: str | None = None
    birth_date: date | None = None
    document: Annotated[str, Setting(min_length=4, max_length=60)] | None = None
    customer_since: AwareDatetime | None = None
    subject: Key | None = None
    relationship_manager: Key | None = None

    @field_validator("phone")
    @classmethod
    def read_phone(cls, text: str | None) -> str | None:
        return normal_phone(text)

    @field_validator("email")
    @classmethod
    def read_email(cls, text: str | None) -> str | None:
        return normal_email(text)


class CustomerTagRow(ImportRow):
    """A tag on a customer, with where it comes from and how sure it is."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    tag: Key
    origin: Name = "import"
    confidence: float = Setting(default=1.0, ge=0, le=1)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AcquaintanceRow(ImportRow):
    """Two customers who know each other; it holds both ways."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer", "other")

    customer: Key
    other: Key


PUT_TAGS = """
UNWIND $rows AS row
MERGE (t:Tag {key: row.key})
SET t.name_zh = row.name_zh, t.name_en = row.name_en, t.family = row.family
"""


async def write_tags(batch: Batch[TagRow]) -> list[Rejection]:
    await batch.graph.write(PUT_TAGS, timeout=60, rows=[item.row.model_dump(mode="json") for item in batch.rows])
    return []


async def write_customers(batch: Batch[CustomerRow]) -> list[Rejection]:
    """Put the profiles in, resolving each by alias, by who signs in so, by identity hash, else as a new customer."""
    hashes = {
        item.row.key: identity_hash(batch.hash_key, item.row.document) for item in batch.rows if item.row.document
    }
    ids = dict(batch.customers)
    by_hash = await ids_by_hash(batch.session, list(hashes.values()))
    # Who has signed up before the bank tells of them is the same customer, with points and a referrer already.
    by_subject = await customer_ids_of(batch.session, SIGN_IN, subjects_of(batch))
    rejected: list[Rejection] = []
    resolved: list[tuple[CustomerRow, str, str | None]] = []
    for item in batch.rows:
        document = hashes.get(item.row.key)
        subject = item.row.subject or ""
        known = ids.get(item.row.key) or by_subject.get(subject)
        if by_subject.get(subject, known) != known:
            rejected.append(Rejection(item.line, "subject", "another customer signs in by it: to be reviewed"))
            continue
        if known and document and by_hash.get(document, known) != known:
            rejected.append(Rejection(item.line, "document", "another customer has this document: to be reviewed"))
            continue
        customer_id = known or by_hash.get(document or "") or derived_id("customer", batch.source, item.row.key)
        ids[item.row.key] = customer_id
        if document:
            by_hash[document] = customer_id
        if subject:
            by_subject[subject] = customer_id
        resolved.append((item.row, customer_id, document))
    customers = await put_profiles(batch, resolved)
    await put_aliases(batch, ids)
    await put_customers(batch.graph, customers)
    await put_managers(batch, ids)
    return rejected


def subjects_of(batch: Batch[CustomerRow]) -> list[str]:
    return sorted({item.row.subject for item in batch.rows if item.row.subject})


async def ids_by_hash(session: Session, hashes: Sequence[str]) -> dict[str, str]:
    statement = select(Customer.identity_hash, Customer.id).where(col(Customer.identity_hash).in_(list(hashes)))
    return {key: customer_id for key, customer_id in (await session.exec(statement)).all() if key}


async def put_profiles(
    batch: Batch[CustomerRow], resolved: Sequence[tuple[CustomerRow, str, str | None]]
) -> list[Customer]:
    """Make or complete profiles: a later row adds what is missing and corrects what it states."""
    ids = {customer_id for _, customer_id, _ in resolved}
    known = (await batch.session.exec(select(Customer).where(col(Customer.id).in_(ids)))).all()
    customers = {customer.id: customer for customer in known}
    for row, customer_id, document in resolved:
        customer = customers.get(customer_id)
        if customer is None:
            customer = Customer(id=customer_id, display_name=row.display_name, created_at=batch.now)
            customers[customer_id] = customer
        stated = row.model_dump(include={"display_name", "full_name", "phone", "email", "birth_date", "customer_since"})
        for name, value in stated.items():
            if value is not None:
                setattr(customer, name, value)
        customer.identity_hash = document or customer.identity_hash
    batch.session.add_all(customers.values())
    await batch.session.flush()
    return list(customers.values())


async def put_aliases(batch: Batch[CustomerRow], ids: Mapping[str, str]) -> None:
    aliases: list[dict[str, Any]] = []
    for item in batch.rows:
        customer_id = ids.get(item.row.key)
        if customer_id is None:
            continue
        aliases.append({"source": batch.source, "key": item.row.key, "customer_id": customer_id})
        if item.row.subject:
            aliases.append({"source": SIGN_IN, "key": item.row.subject, "customer_id": customer_id})
    if aliases:
        await insert_once(batch.session, CustomerAlias, aliases, "source", "key")


PUT_MANAGERS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})
MERGE (e:Employee {id: row.employee_id})
MERGE (c)-[:SERVED_BY]->(e)
"""


async def put_managers(batch: Batch[CustomerRow], ids: Mapping[str, str]) -> None:
    rows = [
        {"customer_id": ids[item.row.key], "employee_id": item.row.relationship_manager}
        for item in batch.rows
        if item.row.relationship_manager and item.row.key in ids
    ]
    if rows:
        await batch.graph.write(PUT_MANAGERS, timeout=60, rows=rows)


PUT_CUSTOMER_TAGS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id}), (t:Tag {key: row.tag})
MERGE (c)-[r:TAGGED]->(t)
SET r.source = row.origin, r.confidence = row.confidence, r.since = row.since, r.until = row.until
RETURN row.line AS line
"""


async def write_customer_tags(batch: Batch[CustomerTagRow]) -> list[Rejection]:
    rows = [
        {
            "line": item.line,
            "customer_id": batch.customers[item.row.customer],
            "tag": item.row.tag,
            "origin": item.row.origin,
            "confidence": item.row.confidence,
            "since": iso(item.row.since or batch.now) if item.row.since else None,
            "until": iso(item.row.until) if item.row.until else None,
        }
        for item in batch.rows
    ]
    written = {row["line"] for row in await batch.graph.write(PUT_CUSTOMER_TAGS, timeout=60, rows=rows)}
    return [Rejection(item.line, "tag", "unknown tag") for item in batch.rows if item.line not in written]


# One relationship per pair, from the smaller id to the larger, so that told from either side it is one.
PUT_ACQUAINTANCES = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.one}), (b:Customer {id: row.other})
MERGE (a)-[:KNOWS]->(b)
"""


async def write_acquaintances(batch: Batch[AcquaintanceRow]) -> list[Rejection]:
    rejected: list[Rejection] = []
    pairs: set[tuple[str, str]] = set()
    for item in batch.rows:
        one, other = sorted((batch.customers[item.row.customer], batch.customers[item.row.other]))
        if one == other:
            rejected.append(Rejection(item.line, "other", "the same customer"))
        else:
            pairs.add((one, other))
    rows = [{"one": one, "other": other} for one, other in sorted(pairs)]
    await batch.graph.write(PUT_ACQUAINTANCES, timeout=60, rows=rows)
    return rejected


KINDS = (
    ImportKind("tag", TagRow, write_tags),
    ImportKind("customer", CustomerRow, write_customers),
    ImportKind("customer_tag", CustomerTagRow, write_customer_tags),
    ImportKind("acquaintance", AcquaintanceRow, write_acquaintances),
)
