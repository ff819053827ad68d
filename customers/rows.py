"""The rows of tags, tags of customers and who knows whom; all kinds of rows of this room."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting
from sqlmodel import col, select

from core.clock import iso
from core.db import insert_once
from core.importing import Batch, ImportKind, ImportRow, Numbered, Rejection
from customers.customer_rows import CustomerRow, Key, Name, write_customers
from customers.tag_words import PUT_TAGS, Resolved, resolved_tags
from customers.tagging import NewTag, put_edges, settle_edges, tag_customers
from segments.tagging import Tag, TagFamily


class TagRow(ImportRow):
    """A tag that customers and communities can carry."""

    is_personal: ClassVar[bool] = False

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    name_zh: Name
    name_en: Name
    family: TagFamily


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


async def write_tags(batch: Batch[TagRow]) -> list[Rejection]:
    """Put the words in; names may change, a family never, because exclusion and history go by it."""
    rows = [{**item.row.model_dump(mode="json"), "created_at": batch.now} for item in batch.rows]
    await insert_once(batch.session, Tag, rows, "key")
    asked = select(Tag).where(col(Tag.key).in_({item.row.key for item in batch.rows})).order_by(col(Tag.key))
    locked = await batch.session.exec(asked.with_for_update(key_share=True))
    tags = {tag.key: tag for tag in locked.all()}
    good = [item for item in batch.rows if tags[item.row.key].family == item.row.family]
    for item in good:
        tags[item.row.key].name_zh, tags[item.row.key].name_en = item.row.name_zh, item.row.name_en
    await batch.session.flush()
    # A merged tag has no node any more: what named it names the other one.
    nodes = [item.row.model_dump(mode="json") for item in good if tags[item.row.key].merged_into is None]
    await batch.graph.write(PUT_TAGS, timeout=60, rows=nodes)
    lines = {item.line for item in good}
    return [Rejection(item.line, "family", "another family") for item in batch.rows if item.line not in lines]


async def write_customer_tags(batch: Batch[CustomerTagRow]) -> list[Rejection]:
    """Write them to SQL; their edges follow after the commit, and are owed in case it never comes to that."""
    known = await resolved_tags(batch.session, {item.row.tag for item in batch.rows})
    rejected = [rejection for item in batch.rows if (rejection := unfit(item, known, batch.now))]
    lines = {rejection.line for rejection in rejected}
    good = [item for item in batch.rows if item.line not in lines]
    tags = [
        NewTag(
            customer_id=batch.customers[item.row.customer],
            key=known[item.row.tag].tag.key,
            family=known[item.row.tag].tag.family,
            source=item.row.origin,
            confidence=item.row.confidence,
            since=item.row.since,
            until=item.row.until,
        )
        for item in good
    ]
    if good:
        owed_as = effect_of(batch, good[0].line)
        await tag_customers(batch.session, tags, set_by=f"import:{batch.source}", now=batch.now, owed_as=owed_as)
    return rejected


def unfit(item: Numbered[CustomerTagRow], known: Mapping[str, Resolved], now: datetime) -> Rejection | None:
    row = item.row
    if row.tag not in known:
        return Rejection(item.line, "tag", "unknown tag")
    if row.since is not None and row.since > now:
        return Rejection(item.line, "since", "it lies in the future")
    if row.since is not None and row.until is not None and row.until <= row.since:
        return Rejection(item.line, "until", "not after since")
    return None


def effect_of(batch: Batch[CustomerTagRow], line: int) -> str:
    """What the edges of a batch are owed as: by its source, its import and its first line that went in."""
    return f"{batch.source}:{iso(batch.now)}:{line}"


async def put_batch_edges(batch: Batch[CustomerTagRow]) -> list[Rejection]:
    """Write the edges of a batch that has gone in, instead of leaving it to whom they are owed."""
    ids = [batch.customers[item.row.customer] for item in batch.rows]
    await put_edges(batch.session, batch.graph, ids, now=batch.now)
    await settle_edges(batch.session, effect_of(batch, batch.rows[0].line), now=batch.now)
    return []


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
    ImportKind("customer_tag", CustomerTagRow, write_customer_tags, (put_batch_edges,)),
    ImportKind("acquaintance", AcquaintanceRow, write_acquaintances),
)
