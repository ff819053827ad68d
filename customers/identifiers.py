"""Devices, cards and addresses of customers in the graph, each by its keyed hash: never what it was made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting

from core.clock import iso
from core.identifiers import LONGEST_VALUE, IdentifierKind, identifier_key
from core.importing import Batch, ImportKind, ImportRow, Rejection
from graph.client import GraphClient

TIMEOUT_SECONDS = 60.0


class IdentifierRow(ImportRow):
    """A device, card or address that a customer was seen with; `value` is hashed with a key and never stored."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Annotated[str, Setting(min_length=1, max_length=200)]
    identifier_kind: IdentifierKind
    value: Annotated[str, Setting(min_length=1, max_length=LONGEST_VALUE)]
    seen_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """A customer seen with an identifier, which is named by its key."""

    customer_id: str
    kind: IdentifierKind
    key: str
    at: datetime


# The customer is bound first: the embedded engine starts where the text does.
PUT_USES = """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})
MERGE (i:Identifier {key: row.key})
ON CREATE SET i.kind = row.kind
MERGE (c)-[u:USES]->(i)
SET u.first_at = CASE WHEN u.first_at IS NULL OR u.first_at > row.first_at THEN row.first_at ELSE u.first_at END,
    u.last_at = CASE WHEN u.last_at IS NULL OR u.last_at < row.last_at THEN row.last_at ELSE u.last_at END
"""


async def put_uses(graph: GraphClient, sightings: Iterable[Sighting]) -> None:
    """Draw who uses what, from the first sighting to the last; told in any order and twice it is the same."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in sightings:
        at = iso(one.at)
        fresh = {"customer_id": one.customer_id, "key": one.key, "kind": one.kind, "first_at": at, "last_at": at}
        row = rows.setdefault((one.key, one.customer_id), fresh)
        row["first_at"], row["last_at"] = min(row["first_at"], at), max(row["last_at"], at)
    if rows:
        # In one order everywhere: two writers wait for each other and never in a circle.
        ordered = [rows[place] for place in sorted(rows)]
        await graph.write(PUT_USES, timeout=TIMEOUT_SECONDS, rows=ordered)


async def write_identifiers(batch: Batch[IdentifierRow]) -> list[Rejection]:
    rejected: list[Rejection] = []
    sightings: list[Sighting] = []
    for item in batch.rows:
        row = item.row
        if row.seen_at > batch.now:
            rejected.append(Rejection(item.line, "seen_at", "it lies in the future"))
            continue
        try:
            key = identifier_key(batch.hash_key, row.identifier_kind, row.value)
        except ValueError as error:
            rejected.append(Rejection(item.line, "value", str(error)))
            continue
        sightings.append(Sighting(batch.customers[row.customer], row.identifier_kind, key, row.seen_at))
    await put_uses(batch.graph, sightings)
    return rejected


KINDS = (ImportKind("identifier", IdentifierRow, write_identifiers),)
