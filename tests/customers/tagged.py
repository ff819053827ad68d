"""Customers with tags for tests, written as staff would."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database, insert_once
from core.ids import new_id
from customers.profiles import Customer, put_customers
from customers.tagging import NewTag, tag_customers
from graph.client import GraphClient
from segments.tagging import CustomerTag, Tag, TagFamily

EDGES = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})-[r:TAGGED]->(t:Tag)
RETURN c.id AS id, t.key AS key, r.confidence AS confidence, r.until AS until
ORDER BY id, key
"""
PUT_TAG = "UNWIND $rows AS row MERGE (t:Tag {key: row.key}) SET t += row"


async def make_profiles(database: Database, graph: GraphClient, count: int) -> list[str]:
    """That many customers in both stores; returns their ids in order."""
    people = [Customer(id=new_id(), display_name=f"Test {number}", created_at=utc_now()) for number in range(count)]
    async with database.write() as session:
        await insert_once(session, Customer, [one.model_dump() for one in people], "id")
    await put_customers(graph, people)
    return sorted(one.id for one in people)


async def make_words(
    database: Database, graph: GraphClient, keys: Sequence[str], family: TagFamily = TagFamily.LIFE_CYCLE
) -> None:
    names: list[dict[str, Any]] = [{"key": key, "name_zh": "标签", "name_en": key, "family": family} for key in keys]
    async with database.write() as session:
        await insert_once(session, Tag, [{**name, "created_at": utc_now()} for name in names], "key")
    await graph.write(PUT_TAG, rows=names)


async def put_tag(
    database: Database,
    customer_id: str,
    key: str,
    *,
    family: TagFamily = TagFamily.LIFE_CYCLE,
    now: datetime | None = None,
    **said: Any,
) -> list[str]:
    new = NewTag(customer_id, key, family, said.pop("source", "staff"), **said)
    async with database.write() as session:
        return await tag_customers(session, [new], set_by="zhou", now=now or utc_now())


async def rows_of(database: Database, *customer_ids: str) -> list[CustomerTag]:
    """All that was ever said of these customers, in the order in which it was."""
    statement = select(CustomerTag).where(col(CustomerTag.customer_id).in_(customer_ids))
    async with database.read() as session:
        rows = (await session.exec(statement.order_by(col(CustomerTag.recorded_at), col(CustomerTag.id)))).all()
    return list(rows)


async def edges_of(graph: GraphClient, *customer_ids: str) -> list[tuple[str, str]]:
    return [(row["id"], row["key"]) for row in await graph.read(EDGES, ids=list(customer_ids))]
