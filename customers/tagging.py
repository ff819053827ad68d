"""Tags put on customers and taken off: SQL keeps all of it, and the graph shows what stands (ADR 22).

A change owes the graph's edges in its own transaction; whoever writes them takes what SQL says by then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, update
from sqlmodel import col, select

from core.batches import in_batches
from core.clock import iso
from core.db import Session, changed_rows, insert_into, insert_rows
from core.errors import BadUserInput, NotFound
from core.ids import derived_id, new_id
from core.outbox import owe_all, settle, take_all
from customers.profiles import Customer
from graph.client import GraphClient, Row
from segments.tagging import CustomerTag, Tag, TagEnd, TagFamily

TAGS_CHANGED = "customer.tags"
# So many customers' edges are written as one effect.
PROJECTED = 500
LARGEST_BATCH = 1_000


class TaggingInvalid(BadUserInput):
    code = "TAGGING_INVALID"
    en = "The tag cannot be put on a customer so."
    zh = "无法按此方式添加标签。"


@dataclass(frozen=True, slots=True)
class NewTag:
    """A tag as it is said of a customer; without `since` it holds from now on."""

    customer_id: str
    key: str
    family: str
    source: str
    confidence: float = 1.0
    since: datetime | None = None
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    def says(self, row: CustomerTag) -> bool:
        """Whether this is what the open row says already."""
        same = (row.source, row.confidence, row.until) == (self.source, self.confidence, self.until)
        return same and self.since in (None, row.since)

    def ends(self, row: CustomerTag) -> bool:
        """Whether this, being over, is the end of what the same source said to have begun then."""
        return (row.source, row.since) == (self.source, self.since)


@dataclass(slots=True)
class Plan:
    """What a batch comes to: rows to end, by reason, and rows to write."""

    open: dict[str, dict[str, CustomerTag]]
    ended: dict[TagEnd, list[str]] = field(default_factory=dict[TagEnd, list[str]])
    written: list[CustomerTag] = field(default_factory=list[CustomerTag])
    changed: set[str] = field(default_factory=set[str])

    def end(self, row: CustomerTag, reason: TagEnd) -> None:
        del self.open[row.customer_id][row.tag_key]
        self.ended.setdefault(reason, []).append(row.id)
        self.changed.add(row.customer_id)

    def write(self, row: CustomerTag) -> None:
        self.written.append(row)
        self.changed.add(row.customer_id)


async def tag_customers(
    session: Session, tags: Sequence[NewTag], *, set_by: str, now: datetime, owed_as: str | None = None
) -> list[str]:
    """Put tags on customers, the later of two for one tag counting; returns the customers for whom that changed any.

    A life-cycle tag ends the one that stood before. The customers' rows are the guard: two writers of one customer
    come one after the other. Their edges are owed under `owed_as`, or at once by a hint. Raises TaggingInvalid.
    """
    for tag in tags:
        check_new_tag(tag, now)
    ids = sorted({tag.customer_id for tag in tags})
    await lock_customers(session, ids)
    plan = Plan(await open_tags(session, ids))
    for tag in last_said(tags, now):
        plan_tag(plan, tag, set_by, now)
    await carry_out(session, plan, now)
    await owe_edges(session, plan.changed, now=now, key=owed_as)
    return sorted(plan.changed)


def last_said(tags: Sequence[NewTag], now: datetime) -> list[NewTag]:
    """What counts of a batch that speaks twice of one thing, so that the batch said again changes nothing."""
    standing = {(tag.customer_id, slot_of(tag.family, tag.key)): tag for tag in tags if not tag.is_over(now)}
    return [*(tag for tag in tags if tag.is_over(now)), *standing.values()]


def slot_of(family: str, key: str) -> str:
    """What a customer has once: each tag, and one of the life cycle."""
    return family if family == TagFamily.LIFE_CYCLE else key


def check_new_tag(tag: NewTag, now: datetime) -> None:
    if not 0 <= tag.confidence <= 1:
        raise TaggingInvalid(path=("confidence",), detail="0 to 1")
    if tag.since is not None and tag.since > now:
        raise TaggingInvalid(path=("since",), detail="not in the future")
    if tag.until is not None and tag.since is not None and tag.until <= tag.since:
        raise TaggingInvalid(path=("until",), detail="after since")


async def lock_customers(session: Session, ids: Sequence[str]) -> None:
    """Let no other writer tag these customers, or write their edges, until the transaction ends."""
    statement = select(Customer.id).where(col(Customer.id).in_(ids)).order_by(col(Customer.id))
    await session.exec(statement.with_for_update(key_share=True))


async def open_tags(session: Session, ids: Sequence[str]) -> dict[str, dict[str, CustomerTag]]:
    """The rows of these customers that nothing has ended, by customer and tag; some of them may have expired."""
    found: dict[str, dict[str, CustomerTag]] = {}
    statement = select(CustomerTag).where(col(CustomerTag.customer_id).in_(ids), col(CustomerTag.ended_at).is_(None))
    for row in (await session.exec(statement.execution_options(populate_existing=True))).all():
        found.setdefault(row.customer_id, {})[row.tag_key] = row
    return found


def plan_tag(plan: Plan, tag: NewTag, set_by: str, now: datetime) -> None:
    """What is over when it comes is history and ends nothing, but for the span of which it tells the end."""
    standing = plan.open.get(tag.customer_id, {})
    same = standing.get(tag.key)
    if same is not None and tag.says(same):
        return
    if tag.is_over(now):
        if same is not None and tag.ends(same):
            plan.end(same, TagEnd.RESTATED)
        plan.write(row_of(tag, set_by, now, is_over=True))
        return
    if same is not None:
        plan.end(same, TagEnd.RESTATED)
    if tag.family == TagFamily.LIFE_CYCLE:
        for other in [row for row in standing.values() if row.family == TagFamily.LIFE_CYCLE]:
            plan.end(other, TagEnd.EXCLUDED)
    plan.write(row_of(tag, set_by, now, is_over=False))


def row_of(tag: NewTag, set_by: str, now: datetime, *, is_over: bool) -> CustomerTag:
    """The row of a new tag; what is over when it comes is history, and the same said again is the same row."""
    since = tag.since or (tag.until if is_over and tag.until else now)
    said = (tag.source, str(tag.confidence), iso(since), iso(tag.until) if tag.until else "")
    return CustomerTag(
        id=derived_id("customer_tag", tag.customer_id, tag.key, *said) if is_over else new_id(),
        customer_id=tag.customer_id,
        tag_key=tag.key,
        family=tag.family,
        source=tag.source,
        confidence=tag.confidence,
        since=since,
        until=tag.until,
        ended_at=now if is_over else None,
        end_reason=TagEnd.EXPIRED if is_over else None,
        set_by=set_by,
        recorded_at=now,
    )


async def carry_out(session: Session, plan: Plan, now: datetime) -> None:
    for reason, ids in plan.ended.items():
        await end_rows(session, ids, reason, now)
    rows = [row.model_dump() for row in plan.written]
    # History that is told again is there already; of what stands, the lock has seen to it that nobody else writes it.
    over = [row for row in rows if row["ended_at"] is not None]
    fresh = [row for row in rows if row["ended_at"] is None]
    insert = insert_into(session, CustomerTag)
    await insert_rows(session, insert.on_conflict_do_nothing(index_elements=["id"]).returning(insert.table.c.id), over)
    await insert_rows(session, insert.returning(insert.table.c.id), fresh)


async def end_rows(session: Session, ids: Collection[str], reason: TagEnd, now: datetime) -> None:
    ending = update(CustomerTag).where(col(CustomerTag.id).in_(ids), col(CustomerTag.ended_at).is_(None))
    await changed_rows(session, ending.values(ended_at=now, end_reason=reason))


async def untag_customer(session: Session, customer_id: str, keys: Collection[str], *, now: datetime) -> None:
    """Take a tag off, under whichever of its keys it stands; raises NotFound where the customer does not carry it."""
    if not await take_off(session, customer_id, keys, now=now):
        raise NotFound(path=("tag",))


async def carried(session: Session, customer_id: str, keys: Collection[str], *, now: datetime) -> Sequence[CustomerTag]:
    """What the customer carries of these keys now; nobody else changes it before the transaction ends."""
    await lock_customers(session, [customer_id])
    standing = (await open_tags(session, [customer_id])).get(customer_id, {}).values()
    return [row for row in standing if row.tag_key in keys and (row.until is None or row.until > now)]


async def take_off(
    session: Session, customer_id: str, keys: Collection[str], *, now: datetime, source: str | None = None
) -> bool:
    """Take a tag off, under whichever of its keys it stands, where it is this source's; whether there was one."""
    ids = [row.id for row in await carried(session, customer_id, keys, now=now) if source in (None, row.source)]
    if ids:
        await end_rows(session, ids, TagEnd.UNTAGGED, now)
        await owe_edges(session, [customer_id], now=now)
    return bool(ids)


async def end_life_cycle_of_merged(session: Session, merged_id: str, survivor_id: str, *, now: datetime) -> None:
    """End the life-cycle tag of a profile that is to move to another, where that has one of its own, which stands."""
    await lock_customers(session, [merged_id, survivor_id])
    found = await open_tags(session, [merged_id, survivor_id])
    ids = {
        owner: [row.id for row in found.get(owner, {}).values() if row.family == TagFamily.LIFE_CYCLE]
        for owner in (merged_id, survivor_id)
    }
    if ids[merged_id] and ids[survivor_id]:
        await end_rows(session, ids[merged_id], TagEnd.EXCLUDED, now)


async def owe_edges(session: Session, customer_ids: Iterable[str], *, now: datetime, key: str | None = None) -> None:
    """Owe what the graph shows of these customers' tags; with a key, whoever gives it writes them soon."""
    ids = sorted(customer_ids)
    name = key or new_id()
    payloads: dict[str, dict[str, Any]] = {
        f"{name}:{number}": {"customer_ids": part} for number, part in enumerate(in_batches(ids, PROJECTED))
    }
    if payloads:
        await owe_all(session, topic=TAGS_CHANGED, payloads=payloads, now=now, hint=key is None)


DROP_EDGES = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})-[r:TAGGED]->(t:Tag)
WHERE NOT t.key IN row.keys
DELETE r
"""
PUT_EDGES = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id}), (t:Tag {key: row.key})
MERGE (c)-[r:TAGGED]->(t)
SET r.source = row.source, r.confidence = row.confidence, r.since = row.since, r.until = row.until
"""


async def put_edges(session: Session, graph: GraphClient, customer_ids: Sequence[str], *, now: datetime) -> None:
    """Let the graph show the tags that stand in SQL, and no others.

    Whoever writes the edges of a customer holds the customer's row, so that what is written last is what was
    committed last, in whatever order the effects come.
    """
    ids = sorted(set(customer_ids))
    await lock_customers(session, ids)
    rows = await standing_tags(session, ids, now=now)
    keys: dict[str, list[str]] = {customer_id: [] for customer_id in ids}
    for row in rows:
        keys[row["customer_id"]].append(row["key"])
    kept = [{"customer_id": customer_id, "keys": mine} for customer_id, mine in keys.items()]
    await graph.write(DROP_EDGES, timeout=60, rows=kept)
    if rows:
        await graph.write(PUT_EDGES, timeout=60, rows=rows)


async def settle_edges(session: Session, key: str, *, now: datetime) -> None:
    """Settle what was owed under a key, by whoever has just written the edges; a worker may have been faster."""
    ids = [derived_id("outbox", TAGS_CHANGED, f"{key}:{page}") for page in range(LARGEST_BATCH // PROJECTED)]
    for row in await take_all(session, ids):
        settle(row, now=now)


async def standing_tags(session: Session, customer_ids: Sequence[str], *, now: datetime) -> list[Row]:
    """The tags that stand, under the keys that stand; of two that a merge made one, the surer."""
    key = func.coalesce(col(Tag.merged_into), col(Tag.key)).label("key")
    statement = (
        select(CustomerTag, key)
        .join(Tag, col(Tag.key) == col(CustomerTag.tag_key))
        .where(
            col(CustomerTag.customer_id).in_(customer_ids),
            col(CustomerTag.ended_at).is_(None),
            or_(col(CustomerTag.until).is_(None), col(CustomerTag.until) > now),
        )
        .order_by(col(CustomerTag.confidence), col(CustomerTag.id))
    )
    found = {(row.customer_id, key): edge_of(row, key) for row, key in (await session.exec(statement)).all()}
    return list(found.values())


def edge_of(row: CustomerTag, key: str) -> Row:
    return {
        "customer_id": row.customer_id,
        "key": key,
        "source": row.source,
        "confidence": row.confidence,
        "since": iso(row.since),
        "until": iso(row.until) if row.until else None,
    }


async def on_tags_changed(
    session: Session, graph: GraphClient, payloads: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """Write the edges that several changes owe, each customer's once and not more at a time than one effect names."""
    ids = sorted({one for payload in payloads for one in payload["customer_ids"]})
    for part in in_batches(ids, PROJECTED):
        await put_edges(session, graph, part, now=now)
