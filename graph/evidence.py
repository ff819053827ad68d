"""What is known of some customers, read together: of a range of them, or of any few by their ids.

Both queries return the same rows; where a kind of edge is added here, it is there in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
from scipy.sparse import coo_array, csr_array

from core.batches import in_batches
from core.clock import parse_instant
from graph.client import GraphClient
from graph.export import (
    BEYOND_ALL_IDS,
    IS_THERE,
    REPLY_WORTH,
    TIMEOUT_SECONDS,
    TO_ACQUAINTANCES,
    TO_ATTENDED,
    TO_COMMUNITIES,
    TO_OPEN_REFEREES,
    TO_REFEREES,
    TO_REFERRERS,
    TO_REPLIES,
    TO_TAGS,
    Edge,
    Numbers,
    Value,
    day_joined,
    entry_of,
    instants_of,
    pages_of_ranges,
    weight_of,
    with_engagement,
    worth_of,
)

SOME_AT_ONCE = 200

KINDS: dict[str, LiteralString] = {
    "communities": TO_COMMUNITIES,
    "attended": TO_ATTENDED,
    "replies": TO_REPLIES,
    "tags": TO_TAGS,
    "acquaintances": TO_ACQUAINTANCES,
    "referees": TO_REFEREES,
    "open_referees": TO_OPEN_REFEREES,
    "referrers": TO_REFERRERS,
}
COLLECTED: LiteralString = (
    "\nWITH c.id AS id, "
    + TO_COMMUNITIES
    + " AS communities, "
    + TO_ATTENDED
    + " AS attended, "
    + TO_REPLIES
    + " AS replies, "
    + TO_TAGS
    + " AS tags, "
    + TO_ACQUAINTANCES
    + " AS acquaintances, "
    + TO_REFEREES
    + " AS referees, "
    + TO_OPEN_REFEREES
    + " AS open_referees, "
    + TO_REFERRERS
    + """ AS referrers
RETURN collect([id, communities, attended, replies, tags, acquaintances, referees, open_referees, referrers]) AS rows
"""
)
KNOWN_OF_RANGE = "MATCH (c:Customer) WHERE c.id >= $first AND c.id <= $last AND " + IS_THERE + COLLECTED
KNOWN_OF_SOME = "UNWIND $ids AS id MATCH (c:Customer {id: id}) WHERE " + IS_THERE + COLLECTED


@dataclass(frozen=True, slots=True)
class Known:
    """Customers in order of id, and of each kind the edges of each of them."""

    customers: list[str]
    edges: dict[str, list[list[Edge]]]
    now: datetime

    def memberships(self, communities: Numbers) -> csr_array:
        """What they are members of, by how much they do there, and where they have another role (-1)."""
        attended = self.matrix("attended", communities, value=worth_of(self.now))
        replies = self.matrix("replies", communities, value=worth_of(self.now, REPLY_WORTH))
        return with_engagement(self.matrix("communities", communities, value=weight_of), attended, replies)

    def joined(self, communities: Numbers) -> csr_array:
        """The days since 1970 on which they joined."""
        return self.matrix("communities", communities, value=day_joined)

    def matrix(self, kind: str, columns: Numbers, *, once: bool = False, value: Value = entry_of) -> csr_array:
        """The edges of a kind, less those to what is not among the columns; with `once` each is 1, however often.

        What an edge holds becomes its entry by `value`, None is left out; several to one column add up.
        """
        lists = self.edges[kind]
        lengths = [len(found) for found in lists]
        targets = columns.of([edge[0] for found in lists for edge in found])
        # What is not is not a number here.
        weights = np.array([value(edge) for found in lists for edge in found], dtype=np.float32)
        rows = np.repeat(np.arange(len(lists)), lengths)
        known = (targets >= 0) & ~np.isnan(weights)
        places = (rows[known].astype(np.int32), targets[known].astype(np.int32))
        matrix = csr_array(coo_array((weights[known], places), shape=(len(lists), len(columns))))
        matrix.sort_indices()
        if once:
            matrix.data[:] = 1.0
        return matrix


def known_of(rows: Sequence[Sequence[Any]], now: str) -> Known:
    """What a query returned, in order of id."""
    ordered = sorted(rows, key=lambda row: row[0])
    edges = {kind: [row[place] for row in ordered] for place, kind in enumerate(KINDS, start=1)}
    return Known([row[0] for row in ordered], edges, parse_instant(now))


async def known_of_range(graph: GraphClient, customers: Sequence[str], *, now: str) -> Known:
    """What is known of these customers, who are all that there are between the first and the last of them."""
    rows: list[Sequence[Any]] = []
    async for page in pages_of_ranges(graph, KNOWN_OF_RANGE, customers, **instants_of(parse_instant(now))):
        rows += page
    return known_of(rows, now)


async def known_of_some(graph: GraphClient, customers: Sequence[str], *, now: str) -> Known:
    """The same of any few customers, in one round trip for two hundred; who is gone is left out."""
    rows: list[Sequence[Any]] = []
    said = instants_of(parse_instant(now))
    for part in in_batches(sorted(set(customers)), SOME_AT_ONCE):
        (page,) = await graph.read(KNOWN_OF_SOME, timeout=TIMEOUT_SECONDS, ids=list(part), **said)
        rows += page["rows"]
    return known_of(rows, now)


CHARTED_SINCE = """
MATCH (c:Community)
WHERE c.charted_at > $since AND c.charted_at < $end
WITH c
RETURN c.id AS id, c.visibility = 'PUBLIC' AND c.segment_id IS NULL AS is_public,
       c.archived_at IS NOT NULL AS is_archived, [(c)-[:ABOUT]->(t:Tag) | t.key] AS tags
ORDER BY id
LIMIT $limit
"""


@dataclass(frozen=True, slots=True)
class Charter:
    """What a community says of itself by now, as far as it is recommended by it."""

    id: str
    is_open: bool
    tags: list[str]


async def charters_since(graph: GraphClient, since: str, *, limit: int) -> list[Charter]:
    """Communities that are new, or whose tags or visibility changed, since an instant (ISO 8601, UTC)."""
    rows = await graph.read(CHARTED_SINCE, since=since, end=BEYOND_ALL_IDS, limit=limit)
    return [Charter(row["id"], row["is_public"] is True and not row["is_archived"], row["tags"]) for row in rows]
