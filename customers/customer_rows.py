"""The rows of customers: whom each is about is resolved, then profiles, aliases, traits and nodes are written."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import AwareDatetime, field_validator, model_validator
from pydantic import Field as Setting
from sqlmodel import col, select

from core.db import insert_into, insert_once, insert_rows, table_of
from core.ids import new_id
from core.importing import Batch, Hold, ImportRow, Numbered, Rejection
from customers.care_reads import owe_told_days
from customers.identity import identity_hash, normal_email, normal_phone
from customers.personal import PersonalData, made_data_keys, open_customers, put_personal
from customers.profiles import SIGN_IN, Customer, CustomerAlias, contact_hash, put_customers
from customers.resolution import Claim, Erased, Resolved, Resolver, take_turn
from customers.reviews import put_review
from graph.client import GraphClient, Transaction
from segments.traits import CustomerTrait

Key = Annotated[str, Setting(min_length=1, max_length=200)]
Name = Annotated[str, Setting(min_length=1, max_length=200)]


class CustomerRow(ImportRow):
    """A person as one source knows them; `document` is hashed with a key and never stored.

    A source says of a phone or e-mail that it has verified it; only such ones tell who somebody is. A manager who is
    named takes the place of the one whom this source named before; a row that names none says nothing of it, and
    `relationship_manager_ended` says that nobody serves the customer any more.
    """

    key: Key
    display_name: Annotated[str, Setting(min_length=1, max_length=60)]
    full_name: Annotated[str, Setting(max_length=120)] | None = None
    phone: str | None = None
    phone_verified: bool = False
    email: str | None = None
    email_verified: bool = False
    birth_date: date | None = None
    document: Annotated[str, Setting(min_length=4, max_length=60)] | None = None
    customer_since: AwareDatetime | None = None
    subject: Key | None = None
    relationship_manager: Key | None = None
    relationship_manager_ended: bool = False

    @field_validator("phone")
    @classmethod
    def read_phone(cls, text: str | None) -> str | None:
        return normal_phone(text)

    @field_validator("email")
    @classmethod
    def read_email(cls, text: str | None) -> str | None:
        return normal_email(text)

    @model_validator(mode="after")
    def names_a_manager_or_ends_one(self) -> "CustomerRow":
        if self.relationship_manager is not None and self.relationship_manager_ended:
            raise ValueError("relationship_manager_ended beside a relationship_manager")
        return self


Applied = Sequence[tuple[CustomerRow, Resolved]]


async def write_customers(batch: Batch[CustomerRow]) -> list[Rejection]:
    """Put the profiles in; rows that name several customers wait for a person, those of the erased are rejected."""
    await take_turn(batch.session)
    refused, applied = await resolve_rows(batch)
    customers = await put_profiles(batch, applied)
    await put_aliases(batch, applied)
    await put_births(batch, applied)
    await put_customers(batch.graph, customers)
    await put_managers(batch, applied)
    return refused


async def resolve_rows(batch: Batch[CustomerRow]) -> tuple[list[Rejection], Applied]:
    """What is not applied, and the rest with whose each row is."""
    claims = [claim_of(item, batch.hash_key) for item in batch.rows]
    resolver = Resolver(batch.source, batch.hash_key)
    await resolver.load(batch.session, claims)
    refused: list[Rejection] = []
    applied: list[tuple[CustomerRow, Resolved]] = []
    for item, claim in zip(batch.rows, claims, strict=True):
        answer = resolver.resolve(claim)
        if isinstance(answer, Resolved):
            applied.append((item.row, answer))
        elif isinstance(answer, Erased):
            refused.append(Rejection(item.line, "key", "this customer was erased at their wish"))
        else:
            await put_review(batch.session, batch.source, claim.key, item.line, answer, now=batch.now)
            causes = ", ".join(sorted({one.cause.lower() for one in answer}))
            refused.append(Hold(item.line, "key", f"several customers may be meant: to be reviewed ({causes})"))
    return refused, applied


def claim_of(item: Numbered[CustomerRow], hash_key: str) -> Claim:
    row = item.row
    return Claim(
        row.key,
        row.subject,
        identity_hash(hash_key, row.document) if row.document else None,
        contact_hash(hash_key, "phone", row.phone),
        contact_hash(hash_key, "email", row.email),
        row.phone_verified,
        row.email_verified,
    )


async def put_profiles(batch: Batch[CustomerRow], applied: Applied) -> list[Customer]:
    """Make or complete profiles: a later row adds what is missing and corrects what it states."""
    ids = {resolved.customer_id for _, resolved in applied}
    known = (await batch.session.exec(select(Customer).where(col(Customer.id).in_(sorted(ids))))).all()
    customers = {customer.id: customer for customer in known}
    personal = await open_customers(batch.session, known)
    for row, resolved in applied:
        if resolved.customer_id not in customers:
            made = Customer(id=resolved.customer_id, display_name=row.display_name, created_at=batch.now)
            customers[made.id] = made
    take_off_corrected(customers, applied)
    days_before = {
        id: (personal.get(id, PersonalData()).birth_date, one.customer_since) for id, one in customers.items()
    }
    batch.session.add_all(customers.values())
    # The keys of new customers refer to them.
    await batch.session.flush()
    keys = await made_data_keys(batch.session, {resolved.customer_id for row, resolved in applied if is_personal(row)})
    for row, resolved in applied:
        customer = customers[resolved.customer_id]
        customer.display_name = row.display_name
        customer.customer_since = row.customer_since or customer.customer_since
        customer.identity_hash = resolved.document or customer.identity_hash
        put_verified(customer, row, batch.hash_key)
        if customer.id in keys:
            said = PersonalData(row.full_name, row.phone, row.email, row.birth_date)
            before = personal.get(customer.id, PersonalData())
            personal[customer.id] = put_personal(customer, before, said, keys[customer.id], hash_key=batch.hash_key)
    await batch.session.flush()
    days = {id: (personal.get(id, PersonalData()).birth_date, one.customer_since) for id, one in customers.items()}
    told = [id for id in days if days[id] != days_before[id]]
    await owe_told_days(batch.session, told, new_id(), now=batch.now)
    return list(customers.values())


def take_off_corrected(customers: Mapping[str, Customer], applied: Applied) -> None:
    """Take off the documents that are corrected, before any is put on: each is unique, and may be another's old one."""
    for _, resolved in applied:
        customer = customers[resolved.customer_id]
        if resolved.document is not None and customer.identity_hash != resolved.document:
            customer.identity_hash = None


def is_personal(row: CustomerRow) -> bool:
    return any((row.full_name, row.phone, row.email, row.birth_date))


def put_verified(customer: Customer, row: CustomerRow, hash_key: str) -> None:
    """A contact that is told anew is verified where its source says so; the same one stays verified."""
    if row.phone:
        same = customer.phone_hash == contact_hash(hash_key, "phone", row.phone)
        customer.phone_verified = row.phone_verified or (same and customer.phone_verified)
    if row.email:
        same = customer.email_hash == contact_hash(hash_key, "email", row.email)
        customer.email_verified = row.email_verified or (same and customer.email_verified)


async def put_aliases(batch: Batch[CustomerRow], applied: Applied) -> None:
    aliases: list[dict[str, Any]] = []
    for row, resolved in applied:
        aliases.append({"source": batch.source, "key": row.key, "customer_id": resolved.customer_id})
        if row.subject:
            aliases.append({"source": SIGN_IN, "key": row.subject, "customer_id": resolved.customer_id})
    if aliases:
        await insert_once(batch.session, CustomerAlias, aliases, "source", "key")


async def put_births(batch: Batch[CustomerRow], applied: Applied) -> None:
    """The month of birth as a trait, by which customers are chosen; the day itself stays sealed."""
    rows = {
        resolved.customer_id: {
            "customer_id": resolved.customer_id,
            "name": "born",
            "item": "",
            "day": row.birth_date.replace(day=1),
            "source": batch.source,
            "observed_at": batch.now,
            "recorded_at": batch.now,
        }
        for row, resolved in applied
        if row.birth_date is not None
    }
    statement = insert_into(batch.session, CustomerTrait)
    changed = {name: getattr(statement.excluded, name) for name in ("day", "source", "observed_at", "recorded_at")}
    table = table_of(CustomerTrait)
    # What says the same again changes nothing.
    put = statement.on_conflict_do_update(
        index_elements=["customer_id", "name", "item"],
        set_=changed,
        where=table.c.day.is_distinct_from(statement.excluded.day),
    )
    await insert_rows(batch.session, put.returning(table.c.customer_id), [rows[key] for key in sorted(rows)])


# What a source has said before gives way to what it says now, and so does what was drawn before sources were kept.
END_MANAGERS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})-[r:SERVED_BY]->(e:Employee)
WHERE coalesce(r.source, '') IN ['', $source] AND (e.id <> row.employee_id OR coalesce(r.source, '') = '')
DELETE r
"""
PUT_MANAGERS = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})
MERGE (e:Employee {id: row.employee_id})
MERGE (c)-[:SERVED_BY {source: $source}]->(e)
"""


async def put_managers(batch: Batch[CustomerRow], applied: Applied) -> None:
    """Let the managers whom the source names serve their customers, and nobody whom it named before.

    Of rows of one customer the last counts. Both statements are one transaction: there is no moment without a manager.
    """
    said = {
        resolved.customer_id: row.relationship_manager or ""
        for row, resolved in applied
        if row.relationship_manager or row.relationship_manager_ended
    }
    rows = [{"customer_id": customer, "employee_id": employee} for customer, employee in sorted(said.items())]
    named = [row for row in rows if row["employee_id"]]

    async def put(tx: Transaction) -> None:
        await tx.run(END_MANAGERS, rows=rows, source=batch.source)
        await tx.run(PUT_MANAGERS, rows=named, source=batch.source)

    if rows:
        graph: GraphClient = batch.graph
        await graph.transact(put, contended=f"managers:{batch.source}", timeout=60)
