"""Erasure: what is personal of a customer is destroyed at once, and what else there is of them is owed.

Each customer's data is sealed by a key of their own; with it go all copies. A keyed hash of each name that a source had
for them stays, so that its rows do not bring them back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Field, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from core.audit import checked_reason, record_change
from core.clock import iso
from core.db import Record, Session, changed_rows, insert_once, instant, json_column
from core.errors import BadUserInput, NotFound
from core.ids import new_id
from core.outbox import owe
from core.sealing import PersonalDataLocked
from customers.merging import merged_ids_of
from customers.personal import PersonalKey, clear_personal, personal_data_of
from customers.profiles import NOBODY, Customer, CustomerAlias, aliases_of, hold_aliases, survivor_of
from customers.resolution import take_turn
from customers.reviews import ErasedAlias, IdentityReview, IdentityReviewCustomer, ReviewStatus, alias_hash
from graph.client import GraphClient, Transaction

CUSTOMER_ERASED = "customer.erased"


class ErasureReasonInvalid(BadUserInput):
    code = "ERASURE_REASON_INVALID"
    en = "A reason has 1 to 500 characters and does not name the person: it is kept."
    zh = "理由需为1至500个字符，且不得包含客户个人信息：该理由会被保留。"


class CustomerErasure(Record, table=True):
    """The report of one erasure: `places` has what was done where, and to how many things.

    `ids` are the customer's and the old ones that led to it, each with when it was done, or null. The report is kept
    with the data keys, so that a copy from before a merge or an erasure tells whom to erase again.
    """

    id: str = Field(primary_key=True)
    customer_id: str = Field(unique=True)
    reason: str
    requested_by: str
    requested_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True)
    places: dict[str, Any] = json_column()
    ids: dict[str, Any] = json_column()


async def erase(
    session: Session, customer_id: str, *, actor: str, reason: str, hash_key: str, now: datetime
) -> CustomerErasure:
    """Destroy what is personal, owe the rest, and return the report, which grows; again it returns the same.

    Raises NotFound, ErasureReasonInvalid, and Unavailable while an import is at work, which could write them anew.
    """
    await take_turn(session)
    await hold_aliases(session, [customer_id])
    customer = (await session.exec(select(Customer).where(Customer.id == customer_id).with_for_update())).first()
    if customer is None or customer.merged_into is not None:
        raise NotFound(path=("customerId",))
    if customer.erased_at is not None:
        return (await session.exec(select(CustomerErasure).where(CustomerErasure.customer_id == customer_id))).one()
    words = await lawful_reason(session, customer, reason)
    done = await destroy(session, customer, hash_key=hash_key, now=now)
    # What stayed under the ids of profiles that became this one goes as well.
    ids = [customer_id, *(await merged_ids_of(session, customer_id))]
    report = CustomerErasure(
        id=new_id(),
        customer_id=customer_id,
        reason=words,
        requested_by=actor,
        requested_at=now,
        places=done,
        ids=dict.fromkeys(ids),
    )
    session.add(report)
    await record_change(session, "customer", customer_id, "erased", actor=actor, now=now)
    for one in ids:
        await owe(session, topic=CUSTOMER_ERASED, key=one, payload={"customer_id": one}, now=now)
    await session.flush()
    return report


async def owe_again(
    session: Session, report: CustomerErasure, ids: Sequence[str], *, cause: str, now: datetime
) -> None:
    """Owe the erasure of these ids anew, once for its cause; the report is unfinished until all of it is done."""
    report.ids = {**report.ids, **dict.fromkeys(ids)}
    report.finished_at = None
    session.add(report)
    for one in ids:
        await owe(session, topic=CUSTOMER_ERASED, key=f"{one}:{cause}", payload={"customer_id": one}, now=now)


async def lawful_reason(session: Session, customer: Customer, reason: str) -> str:
    """Why, in words that stay; raises ErasureReasonInvalid where they have in them what is to go."""
    words = checked_reason(reason, ErasureReasonInvalid)
    try:
        personal = await personal_data_of(session, customer.id)
    except PersonalDataLocked:
        # Whoever cannot be read any more can be erased all the same.
        personal = None
    known = [customer.display_name, *(await names_of(session, customer.id))]
    if personal is not None:
        known += [personal.full_name or "", personal.phone or "", personal.email or "", str(personal.birth_date or "")]
    if any(len(one) > 1 and one.casefold() in words.casefold() for one in known):
        raise ErasureReasonInvalid(path=("reason",))
    return words


async def names_of(session: Session, customer_id: str) -> list[str]:
    # Short keys, such as numbers of one or two digits, stand in any text.
    return [alias.key for alias in await aliases_of(session, customer_id) if len(alias.key) >= 6]


async def destroy(session: Session, customer: Customer, *, hash_key: str, now: datetime) -> dict[str, int]:
    """Destroy the data key and everything of the profile that tells who it was; returns how much by place."""
    aliases = await aliases_of(session, customer.id)
    ids = [customer.id, *await merged_ids_of(session, customer.id)]
    names = [(alias.source, alias.key) for alias in aliases]
    await refuse_names(session, [*names, *await undecided_names(session, ids)], hash_key=hash_key, now=now)
    done = {"customer_alias deleted, keyed hashes kept": len(aliases)}
    mine = col(CustomerAlias.customer_id) == customer.id
    await changed_rows(session, delete(CustomerAlias).where(mine))
    key = delete(PersonalKey).where(col(PersonalKey.customer_id) == customer.id)
    done["personal_key destroyed"] = await changed_rows(session, key)
    clear_personal(customer)
    customer.display_name, customer.customer_since, customer.erased_at = NOBODY, None, now
    session.add(customer)
    done["customer emptied"] = 1
    reviews = update(IdentityReview).where(col(IdentityReview.id).in_(reviews_naming(ids)))
    done["identity_review emptied"] = await changed_rows(session, reviews.values(key="", reason=None))
    return done


async def refuse_names(session: Session, names: Sequence[tuple[str, str]], *, hash_key: str, now: datetime) -> None:
    """Keep a keyed hash of each name, a source and its key, by which its rows are refused from now on."""
    hashes = sorted({alias_hash(hash_key, source, key) for source, key in names})
    if hashes:
        await insert_once(session, ErasedAlias, [{"hash": one, "erased_at": now} for one in hashes], "hash")


def reviews_naming(ids: Sequence[str]) -> SelectOfScalar[str]:
    return select(IdentityReviewCustomer.review_id).where(col(IdentityReviewCustomer.customer_id).in_(ids))


async def undecided_names(session: Session, ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    """The names of rows that were held because they may be about these customers, unless decided to be another's.

    Without what tells of the erased such a row would name the other customer alone, and go into their profile.
    """
    is_theirs = or_(IdentityReview.status == ReviewStatus.OPEN, col(IdentityReview.customer_id).in_(ids))
    held = select(IdentityReview.source, IdentityReview.key).where(
        col(IdentityReview.id).in_(reviews_naming(ids)), is_theirs, IdentityReview.key != ""
    )
    return (await session.exec(held)).all()


async def finish_erasure(
    session: Session, customer_id: str, places: Mapping[str, int], *, now: datetime
) -> CustomerErasure | None:
    """Write into the report what was done elsewhere under one of its ids; None where there is no report.

    What was done under old ids stands beside by their numbers. It is finished when all of its ids are.
    """
    asked = select(CustomerErasure).where(CustomerErasure.customer_id == await survivor_of(session, customer_id))
    # Of two ids that are done at once each adds to what the other has written.
    locked = asked.with_for_update().execution_options(populate_existing=True)
    report = (await session.exec(locked)).first()
    if report is not None:
        report.ids = {**report.ids, customer_id: iso(now)}
        old = sorted(report.ids.keys() - {report.customer_id})
        by_id = "" if customer_id == report.customer_id else f"old id {old.index(customer_id) + 1}: "
        report.places = {**report.places, **{f"{by_id}{place}": count for place, count in places.items()}}
        report.finished_at = now if all(report.ids.values()) else None
        session.add(report)
    return report


async def erasure_of(session: Session, customer_id: str) -> CustomerErasure | None:
    return (await session.exec(select(CustomerErasure).where(CustomerErasure.customer_id == customer_id))).first()


# Relationships of customers: those that say something of a person go, those that are the shape of the graph stay, with
# ids and instants. A test holds both against all that the rooms draw.
CUT_TIES = ("DISMISSED", "SERVED_BY", "TAGGED", "USES")
KEPT_TIES = ("KNOWS", "MEMBER_OF", "REACTED", "REFERRED", "REGISTERED_FOR", "WROTE")

ERASE_NODE = """
MATCH (c:Customer {id: $customer_id})
OPTIONAL MATCH (c)-[r:SERVED_BY|TAGGED|USES]->()
DELETE r
RETURN count(r) AS ties
"""
EMPTY_NODE = """
MATCH (c:Customer {id: $customer_id})
SET c = {id: $customer_id, display_name: $nobody, erased: true}
"""
LISTS = """
MATCH (l:RecommendationList {customer_id: $customer_id})
DETACH DELETE l
"""
ORPHANS = """
MATCH (:Customer {id: $customer_id})-[:USES]->(i:Identifier)
RETURN i.key AS key
"""
DELETE_ORPHANS = """
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
WHERE NOT EXISTS { (i)<-[:USES]-() }
DETACH DELETE i
"""


async def erase_node(graph: GraphClient, customer_id: str) -> dict[str, int]:
    """Leave of the customer's node an id; who serves them, their tags, devices and recommendations go.

    All of it in one transaction: once the ties are cut nothing leads to a device that nobody else uses.
    """

    async def erase(tx: Transaction) -> int:
        keys = [row["key"] for row in await tx.run(ORPHANS, customer_id=customer_id)]
        rows = await tx.run(ERASE_NODE, customer_id=customer_id)
        await tx.run(DELETE_ORPHANS, keys=keys)
        await tx.run(LISTS, customer_id=customer_id)
        await tx.run(EMPTY_NODE, customer_id=customer_id, nobody=NOBODY)
        return rows[0]["ties"] if rows else 0

    ties = await graph.transact(erase, contended=customer_id, timeout=60)
    return {"manager, tags and devices cut off": ties, "node emptied": 1}
