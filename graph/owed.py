"""What a change in the graph owes to other stores: a node beside the change, in the same transaction.

The worker moves each into the SQL outbox, whose key makes it happen once, and then deletes the node. So a notice,
an entry of the audit trail or a reminder that a graph transaction causes can be late and never lost or doubled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import orjson

from core.clock import iso, parse_instant
from graph.client import GraphClient, Row, Transaction


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect by its topic and a key computed from the fact that causes it; it may be due later."""

    topic: str
    key: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    due_at: datetime | None = None


OWE: LiteralString = """
UNWIND $owed AS row
MERGE (o:Owed {key: row.key})
ON CREATE SET o.topic = row.topic, o.payload = row.payload, o.created_at = row.created_at, o.due_at = row.due_at
"""
# The same at the end of a statement that writes something else, which saves a round trip; $owed is from `owed_rows`.
OWE_ALSO: LiteralString = "WITH count(*) AS written" + OWE


async def owe_effects(tx: Transaction, effects: Sequence[Effect], *, now: datetime) -> None:
    """Owe these effects together with what else the transaction does; asked for none, it does nothing."""
    rows = owed_rows(effects, now=now)
    if rows:
        await tx.run(OWE, owed=rows)


def owed_rows(effects: Sequence[Effect], *, now: datetime) -> list[Row]:
    return [
        {
            "key": f"{effect.topic}:{effect.key}",
            "topic": effect.topic,
            "payload": orjson.dumps(effect.payload).decode(),
            "created_at": iso(now),
            "due_at": iso(effect.due_at or now),
        }
        for effect in effects
    ]


OWED = """
MATCH (o:Owed)
WHERE o.key > $after
RETURN o.key AS key, o.topic AS topic, o.payload AS payload, o.due_at AS due_at
ORDER BY o.key
LIMIT $limit
"""


async def owed_effects(graph: GraphClient, *, after: str, limit: int) -> list[Row]:
    """What is owed, by key from `after` (exclusive) on; `key` is that of the node, `effect` what it stands for.

    `effect` is None where Neo4j found a node by its index and its properties gone: it was settled in between.
    """
    rows = await graph.read(OWED, after=after, limit=limit)
    return [{"key": row["key"], "effect": effect_of(row)} for row in rows]


def effect_of(row: Row) -> Effect | None:
    topic, payload, due_at = row["topic"], row["payload"], row["due_at"]
    if topic is None or payload is None or due_at is None:
        return None
    return Effect(topic, row["key"].removeprefix(f"{topic}:"), orjson.loads(payload), parse_instant(due_at))


SETTLE_OWED = "UNWIND $keys AS key MATCH (o:Owed {key: key}) DELETE o"


async def settle_effects(graph: GraphClient, keys: Sequence[str]) -> None:
    """Forget what is in the outbox by now."""
    if keys:
        await graph.write(SETTLE_OWED, keys=list(keys))
