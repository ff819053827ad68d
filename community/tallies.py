"""Counts of what many do to one thing at once, kept in shards so that they hardly wait for each other.

A reaction or a comment writes one of eight counters of its target, chosen by the customer, and never the target itself:
a hot post's node is locked by nobody who comments on it or likes it. Whoever reads a count adds up eight small nodes.
The shard is written first in its transaction, so it is also the lock under which "once per customer" is decided.
"""

from collections.abc import Sequence
from typing import LiteralString
from zlib import crc32

from graph.client import GraphClient

SHARDS = 8
COMMENTS = "COMMENT"


def tally_key(target_id: str, kind: str, customer_id: str) -> str:
    """The shard that counts this customer's doings of a kind to the target."""
    return f"{target_id}:{kind}:{crc32(customer_id.encode()) % SHARDS}"


# The beginning of a statement that counts: it locks the shard `t`, which is made at its first use.
TAKE_TALLY: LiteralString = """
MERGE (t:Tally {key: $tally})
ON CREATE SET t.target_id = $target_id, t.kind = $kind, t.count = 0
SET t.touched_at = $now
"""

TALLIES = """
UNWIND $target_ids AS id
MATCH (t:Tally {target_id: id})
RETURN id, t.kind AS kind, sum(t.count) AS count
"""


async def tallies_of(graph: GraphClient, target_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The counts of each target by kind; a kind that nobody did is left out."""
    found: dict[str, dict[str, int]] = {target: {} for target in target_ids}
    for row in await graph.read(TALLIES, target_ids=list(target_ids)):
        if row["count"]:
            found[row["id"]][row["kind"]] = row["count"]
    return found
