"""Merging one tag into another: at once for whoever asks by either key, and then customer by customer.

A merged key goes on to mean the tag that it was merged into; the history of customers keeps it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from core.audit import checked_reason, record_change
from core.db import Session, changed_rows, insert_into, insert_rows
from core.errors import BadUserInput, NotFound
from core.ids import new_id
from core.outbox import owe
from customers.tagging import end_rows, lock_customers, open_tags, put_edges
from graph.client import GraphClient
from segments.tagging import CustomerTag, Tag, TagEnd

TAG_MERGED = "tag.merged"
# So many customers change their tag in one transaction.
PAGE = 500


class TagMergeInvalid(BadUserInput):
    code = "TAG_MERGE_INVALID"
    en = "These tags cannot be merged."
    zh = "无法合并这两个标签。"


async def merge_tags(session: Session, from_key: str, into_key: str, *, reason: str, actor: str, now: datetime) -> Tag:
    """Let one tag mean another from now on, and owe what follows; done again it changes nothing.

    Raises NotFound for a tag that does not exist, TagMergeInvalid for one that is merged, or of another family.
    """
    words = checked_reason(reason, TagMergeInvalid)
    one, other = await lock_tags(session, from_key, into_key)
    if one.merged_into == other.key:
        return other
    if one.key == other.key or one.merged_into is not None or other.merged_into is not None:
        raise TagMergeInvalid(path=("from",), detail="two tags of which neither is merged yet")
    if one.family != other.family:
        raise TagMergeInvalid(path=("into",), detail="a tag of the same family")
    # Whatever means the first one means the second from now on, so that a key is never resolved twice.
    moved = update(Tag).where((col(Tag.key) == one.key) | (col(Tag.merged_into) == one.key))
    await changed_rows(session, moved.values(merged_into=other.key))
    await record_change(session, "tag", one.key, "MERGED", actor=actor, now=now, reason=words, into=other.key)
    payload = {"from": one.key, "done": 0}
    await owe(session, topic=TAG_MERGED, key=f"{one.key}:0", payload=payload, now=now)
    return other


async def lock_tags(session: Session, from_key: str, into_key: str) -> tuple[Tag, Tag]:
    """Both tags, locked in the order of their keys, so that two merges never wait for each other in a circle."""
    asked = select(Tag).where(col(Tag.key).in_([from_key, into_key])).order_by(col(Tag.key))
    # Their keys stay free, because whoever tags a customer refers to them.
    found = {tag.key: tag for tag in (await session.exec(asked.with_for_update(key_share=True))).all()}
    for path, key in (("from", from_key), ("into", into_key)):
        if key not in found:
            raise NotFound(path=(path,))
    return found[from_key], found[into_key]


async def move_page(session: Session, graph: GraphClient, payload: dict[str, Any], *, now: datetime) -> bool:
    """Move the next customers' tags to the one that stands, and owe the page after; True where this was the last.

    The rows say for themselves how far it is, so that killed half-way it goes on.
    """
    key = payload["from"]
    tag = await session.get_one(Tag, key)
    into = tag.merged_into or key
    asked = select(CustomerTag.customer_id).where(CustomerTag.tag_key == key, col(CustomerTag.ended_at).is_(None))
    ids = list((await session.exec(asked.order_by(col(CustomerTag.customer_id)).limit(PAGE))).all())
    await lock_customers(session, ids)
    standing = await open_tags(session, ids)
    moved = [rows[key] for rows in standing.values() if key in rows]
    others = {row.customer_id: other for row in moved if (other := standing[row.customer_id].get(into))}
    over = [row for row in others.values() if is_over(row, now)]
    held = others.keys() - {row.customer_id for row in over}
    await end_rows(session, [row.id for row in moved], TagEnd.MERGED, now)
    await end_rows(session, [row.id for row in over], TagEnd.RESTATED, now)
    fresh = [said_of(row, into, now) for row in moved if row.customer_id not in held and not is_over(row, now)]
    insert = insert_into(session, CustomerTag)
    await insert_rows(session, insert.returning(insert.table.c.id), fresh)
    if ids:
        await put_edges(session, graph, ids, now=now)
    if len(ids) < PAGE:
        return True
    done = payload["done"] + PAGE
    await owe(session, topic=TAG_MERGED, key=f"{key}:{done}", payload={"from": key, "done": done}, now=now)
    return False


def is_over(row: CustomerTag, now: datetime) -> bool:
    """Whether a row stands open though its time is over."""
    return row.until is not None and row.until <= now


def said_of(row: CustomerTag, into: str, now: datetime) -> dict[str, Any]:
    """The same of the other tag: from now on, by the same source, as sure and as long."""
    return row.model_dump() | {"id": new_id(), "tag_key": into, "since": now, "recorded_at": now}
