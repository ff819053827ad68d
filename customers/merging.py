"""Two profiles of one person become one: the identity at once, what each room has by the worker.

A record says who merged what and why, how much moved and what stayed. The old id leads on to the survivor.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import Field, col, select

from core.audit import checked_reason, record_change
from core.db import Record, Session, changed_rows, instant, json_column
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.outbox import owe
from core.traces import all_traces, has_sealed, reseal_traces
from customers.personal import (
    COLUMNS,
    PersonalKey,
    clear_personal,
    data_keys,
    made_data_keys,
    open_customers,
    put_personal,
)
from customers.profiles import NOBODY, Customer, CustomerAlias, hold_aliases
from customers.resolution import take_turn
from graph.client import GraphClient, own_properties

CUSTOMER_MERGED = "customer.merged"


class MergeReasonInvalid(BadUserInput):
    code = "MERGE_REASON_INVALID"
    en = "A reason has 1 to 500 characters."
    zh = "理由需为1至500个字符。"


class MergeImpossible(Refusal):
    code = "MERGE_IMPOSSIBLE"
    en = "These profiles cannot be merged: they are the same, or one of them was merged or erased."
    zh = "无法合并：两个档案相同，或其中之一已合并或已删除。"


class CustomerMerge(Record, table=True):
    """One merge: `moved` has how much of what went to the survivor, and what stayed."""

    id: str = Field(primary_key=True)
    survivor_id: str = Field(index=True)
    merged_id: str = Field(unique=True)
    reason: str
    requested_by: str
    requested_at: datetime = instant()
    finished_at: datetime | None = instant(optional=True)
    moved: dict[str, Any] = json_column()


async def request_merge(
    session: Session, survivor_id: str, merged_id: str, *, actor: str, reason: str, hash_key: str, now: datetime
) -> CustomerMerge:
    """Make the survivor the one profile, and owe what the rooms have; again it returns the same record.

    Raises NotFound, MergeImpossible, MergeReasonInvalid.
    """
    words = checked_reason(reason, MergeReasonInvalid)
    await take_turn(session)
    survivor, merged = await locked_pair(session, survivor_id, merged_id)
    earlier = (await session.exec(select(CustomerMerge).where(CustomerMerge.merged_id == merged_id))).first()
    if earlier is not None and earlier.survivor_id == survivor_id:
        return earlier
    if survivor_id == merged_id or any(one.merged_into or one.erased_at for one in (survivor, merged)):
        raise MergeImpossible(path=("mergedId",))
    moved = await move_identity(session, survivor, merged, hash_key=hash_key)
    row = CustomerMerge(
        id=new_id(),
        survivor_id=survivor_id,
        merged_id=merged_id,
        reason=words,
        requested_by=actor,
        requested_at=now,
        moved=moved,
    )
    session.add(row)
    for one, other, part in ((survivor_id, merged_id, "took_over"), (merged_id, survivor_id, "merged")):
        await record_change(session, "customer", one, part, actor=actor, now=now, reason=words, other=other)
    await owe(session, topic=CUSTOMER_MERGED, key=row.id, payload={"merge_id": row.id}, now=now)
    await session.flush()
    return row


async def locked_pair(session: Session, survivor_id: str, merged_id: str) -> tuple[Customer, Customer]:
    """Both profiles, locked in the order of their ids, so that two merges never wait in a circle."""
    await hold_aliases(session, [survivor_id, merged_id])
    statement = select(Customer).where(col(Customer.id).in_([survivor_id, merged_id])).order_by(col(Customer.id))
    found = {one.id: one for one in (await session.exec(statement.with_for_update())).all()}
    for name, id in (("survivorId", survivor_id), ("mergedId", merged_id)):
        if id not in found:
            raise NotFound(path=(name,))
    return found[survivor_id], found[merged_id]


async def move_identity(session: Session, survivor: Customer, merged: Customer, *, hash_key: str) -> dict[str, int]:
    """Move names and what the survivor lacks of personal data; what was the other's is destroyed."""
    await fill_gaps(session, survivor, merged, hash_key=hash_key)
    await seal_for_survivor(session, survivor.id, merged.id)
    document, since = merged.identity_hash, merged.customer_since
    key = await session.get(PersonalKey, merged.id)
    if key is not None:
        await session.delete(key)
    clear_personal(merged)
    merged.display_name, merged.customer_since, merged.merged_into = NOBODY, None, survivor.id
    session.add(merged)
    # The document is free before it is the survivor's: it is unique.
    await session.flush()
    survivor.identity_hash = survivor.identity_hash or document
    starts = [one for one in (survivor.customer_since, since) if one is not None]
    survivor.customer_since = min(starts) if starts else None
    session.add(survivor)
    await session.flush()
    mine = col(CustomerAlias.customer_id) == merged.id
    aliases = await changed_rows(session, update(CustomerAlias).where(mine).values(customer_id=survivor.id))
    before = update(Customer).where(col(Customer.merged_into) == merged.id)
    await changed_rows(session, before.values(merged_into=survivor.id))
    return {"customer_alias.customer_id": aliases}


async def seal_for_survivor(session: Session, survivor_id: str, merged_id: str) -> None:
    """Let what rooms keep sealed of the other profile open by the survivor's key."""
    traces = list(all_traces())
    if await has_sealed(session, traces, merged_id):
        old = (await data_keys(session, [merged_id]))[merged_id]
        new = (await made_data_keys(session, [survivor_id]))[survivor_id]
        await reseal_traces(session, traces, (merged_id, old), (survivor_id, new))


async def fill_gaps(session: Session, survivor: Customer, merged: Customer, *, hash_key: str) -> None:
    """Seal for the survivor what only the other profile has."""
    opened = await open_customers(session, [survivor, merged])
    own, other = opened[survivor.id], opened[merged.id]
    lacking = {name for name in COLUMNS if getattr(own, name) is None}
    said = type(own)(**{name: getattr(other, name) for name in COLUMNS if name in lacking})
    if any(getattr(said, name) is not None for name in COLUMNS):
        keys = await made_data_keys(session, [survivor.id])
        put_personal(survivor, own, said, keys[survivor.id], hash_key=hash_key)
        survivor.phone_verified = survivor.phone_verified or (said.phone is not None and merged.phone_verified)
        survivor.email_verified = survivor.email_verified or (said.email is not None and merged.email_verified)


async def merged_ids_of(session: Session, customer_id: str) -> Sequence[str]:
    """The old ids that lead to a customer."""
    statement = select(Customer.id).where(Customer.merged_into == customer_id)
    return (await session.exec(statement.order_by(col(Customer.id)))).all()


async def merges_of(session: Session, customer_id: str) -> Sequence[CustomerMerge]:
    """The merges by which a customer is who they are, the latest first; also those of who was merged into them."""
    ids = [customer_id, *await merged_ids_of(session, customer_id)]
    statement = select(CustomerMerge).where(col(CustomerMerge.survivor_id).in_(ids))
    return (await session.exec(statement.order_by(col(CustomerMerge.requested_at).desc()))).all()


async def finish_merge(session: Session, merge: CustomerMerge, moved: Mapping[str, int], *, now: datetime) -> None:
    """Write into the record what moved; what moves later is added."""
    counts = dict(merge.moved)
    for name, count in moved.items():
        counts[name] = counts.get(name, 0) + count
    merge.moved = {name: count for name, count in counts.items() if count}
    merge.finished_at = merge.finished_at or now
    session.add(merge)


TIES = """
MATCH (a:Customer {id: $merged_id})-[r:KNOWS|TAGGED|SERVED_BY|USES]-(x)
RETURN type(r) AS kind, coalesce(x.id, x.key) AS other, properties(r) AS said
ORDER BY kind, other
"""
PUT_KNOWS = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.one}), (b:Customer {id: row.two})
MERGE (a)-[:KNOWS]->(b)
"""
PUT_TAGGED = """
UNWIND $rows AS row
MATCH (a:Customer {id: $survivor_id}), (t:Tag {key: row.other})
MERGE (a)-[r:TAGGED]->(t)
ON CREATE SET r += row.said
"""
PUT_SERVED = """
UNWIND $rows AS row
MATCH (a:Customer {id: $survivor_id}), (e:Employee {id: row.other})
MERGE (a)-[:SERVED_BY {source: coalesce(row.said.source, '')}]->(e)
"""
PUT_USES = """
UNWIND $rows AS row
MATCH (a:Customer {id: $survivor_id}), (i:Identifier {key: row.other})
MERGE (a)-[u:USES]->(i)
WITH u, row.said AS said
SET u.first_at = CASE WHEN u.first_at IS NULL OR u.first_at > said.first_at THEN said.first_at ELSE u.first_at END,
    u.last_at = CASE WHEN u.last_at IS NULL OR u.last_at < said.last_at THEN said.last_at ELSE u.last_at END
"""
DROP_TIES = """
MATCH (a:Customer {id: $merged_id})-[r:KNOWS|TAGGED|SERVED_BY|USES]-()
DELETE r
"""
LEAD_ON = """
MATCH (a:Customer {id: $merged_id}), (b:Customer {id: $survivor_id})
SET b.since = CASE WHEN b.since IS NULL OR a.since < b.since THEN coalesce(a.since, b.since) ELSE b.since END,
    a.display_name = $nobody, a.merged_into = $survivor_id, a.discoverable = null
"""
DROP_LIST = """
MATCH (l:RecommendationList {customer_id: $merged_id})
DETACH DELETE l
"""


async def merge_node(graph: GraphClient, merged_id: str, survivor_id: str) -> dict[str, int]:
    """Move who knows them, tags, managers and devices; the old node keeps its id and leads on."""
    ties: dict[str, list[dict[str, Any]]] = {"KNOWS": [], "TAGGED": [], "SERVED_BY": [], "USES": []}
    for row in await graph.read(TIES, timeout=60, merged_id=merged_id):
        said = own_properties(row["said"])
        one, two = sorted((survivor_id, row["other"]))
        ties[row["kind"]].append({"one": one, "two": two, "other": row["other"], "said": said})
    ties["KNOWS"] = [row for row in ties["KNOWS"] if row["other"] != survivor_id]
    await graph.write(PUT_KNOWS, rows=ties["KNOWS"])
    await graph.write(PUT_TAGGED, survivor_id=survivor_id, rows=ties["TAGGED"])
    await graph.write(PUT_SERVED, survivor_id=survivor_id, rows=ties["SERVED_BY"])
    await graph.write(PUT_USES, survivor_id=survivor_id, rows=ties["USES"])
    await graph.write(DROP_TIES, merged_id=merged_id)
    await graph.write(DROP_LIST, merged_id=merged_id)
    await graph.write(LEAD_ON, merged_id=merged_id, survivor_id=survivor_id, nobody=NOBODY)
    names = {"KNOWS": "acquaintances", "TAGGED": "tags", "SERVED_BY": "managers", "USES": "devices"}
    return {names[kind]: len(rows) for kind, rows in ties.items()}
