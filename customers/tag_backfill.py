"""Tags that stand in the graph alone, from before SQL kept them: brought over once, before anything else is tagged."""

from datetime import datetime
from typing import Any

from sqlmodel import col, select

from core.clock import parse_instant, utc_now
from core.db import Database, insert_new, insert_once
from core.ids import derived_id
from core.outbox import Outbox, settle
from graph.client import GraphClient, Row
from segments.tagging import CustomerTag, Tag, TagFamily

# Migration 0018 owes it where there are customers already.
BACKFILL = "tags.backfill"
PAGE = 500

WORDS = """
MATCH (t:Tag)
WHERE t.key > $after
RETURN t.key AS key, coalesce(t.name_zh, t.key) AS name_zh, coalesce(t.name_en, t.key) AS name_en,
       coalesce(t.family, 'INTEREST') AS family
ORDER BY key
LIMIT $limit
"""
EDGES = """
MATCH (c:Customer)
WHERE c.id > $after
WITH c
ORDER BY c.id
LIMIT $limit
OPTIONAL MATCH (c)-[r:TAGGED]->(t:Tag)
RETURN c.id AS customer_id, t.key AS key, coalesce(t.family, 'INTEREST') AS family, r.source AS source,
       r.confidence AS confidence, r.since AS since, r.until AS until
ORDER BY customer_id, confidence DESC, key
"""


async def backfill_tags(database: Database, graph: GraphClient) -> int:
    """Bring tags over where that is owed; returns how many rows are new. Killed half-way it begins anew, to one end."""
    async with database.read() as session:
        owed = select(Outbox).where(Outbox.topic == BACKFILL, col(Outbox.settled_at).is_(None))
        if (await session.exec(owed)).first() is None:
            return 0
    await bring_words(database, graph)
    new, after = 0, ""
    while rows := await graph.read(EDGES, timeout=60, after=after, limit=PAGE):
        now = utc_now()
        async with database.write() as session:
            new += len(await insert_new(session, CustomerTag, rows_to_bring(rows, now)))
        after = rows[-1]["customer_id"]
    async with database.write() as session:
        for row in (await session.exec(owed.with_for_update())).all():
            settle(row, now=utc_now())
            session.add(row)
    return new


async def bring_words(database: Database, graph: GraphClient) -> None:
    after = ""
    while words := await graph.read(WORDS, after=after, limit=PAGE):
        async with database.write() as session:
            await insert_once(session, Tag, [{**word, "created_at": utc_now()} for word in words], "key")
        after = words[-1]["key"]


def rows_to_bring(edges: list[Row], now: datetime) -> list[dict[str, Any]]:
    """The rows of a page of edges; of several life-cycle tags of one customer, the surest stands."""
    found: list[dict[str, Any]] = []
    settled: set[str] = set()
    for edge in edges:
        if edge["key"] is None:
            continue
        is_life_cycle = edge["family"] == TagFamily.LIFE_CYCLE
        ended = now if is_life_cycle and edge["customer_id"] in settled else None
        if is_life_cycle:
            settled.add(edge["customer_id"])
        found.append(row_to_bring(edge, ended, now))
    return found


def row_to_bring(edge: Row, ended_at: datetime | None, now: datetime) -> dict[str, Any]:
    return {
        "id": derived_id("customer_tag", "graph", edge["customer_id"], edge["key"]),
        "customer_id": edge["customer_id"],
        "tag_key": edge["key"],
        "family": edge["family"],
        "source": edge["source"] or "import",
        "confidence": 1.0 if edge["confidence"] is None else edge["confidence"],
        "since": min(parse_instant(edge["since"]), now) if edge["since"] else now,
        "until": parse_instant(edge["until"]) if edge["until"] else None,
        "ended_at": ended_at,
        "end_reason": "EXCLUDED" if ended_at else None,
        "set_by": "graph",
        "recorded_at": now,
    }
