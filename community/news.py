"""How much is new in communities, for digests: bounded counts along the index of each community's order."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from community.access import IS_MEMBER
from core.clock import iso
from graph.client import GraphClient

# A digest says "100" for any more; nobody reads on from there.
COUNTED_UP_TO = 100

MEMBERSHIPS = (
    """
UNWIND $ids AS id
MATCH (:Customer {id: id})-[m:MEMBER_OF]->(c:Community)
WHERE """
    + IS_MEMBER
    + """ AND c.archived_at IS NULL
RETURN id AS customer_id, c.id AS community_id
"""
)


async def communities_of_each(graph: GraphClient, customer_ids: Sequence[str]) -> dict[str, list[str]]:
    """The open communities that each of these customers belongs to."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in await graph.read(MEMBERSHIPS, ids=list(customer_ids)):
        found[row["customer_id"]].append(row["community_id"])
    return found


# One community at a time: the embedded engine takes a range of an index from parameters, not from rows.
NEW_POSTS = """
MATCH (p:Post)
WHERE p.order > $begins AND p.order < $ends AND p.deleted_at IS NULL
WITH p LIMIT $most
RETURN count(p) AS found
"""

# What the feed shows: of a series its first event only.
NEW_EVENTS = """
MATCH (e:Event)
WHERE e.feed_order > $begins AND e.feed_order < $ends AND e.status <> 'DRAFT'
WITH e LIMIT $most
RETURN count(e) AS found
"""


async def news_of(graph: GraphClient, community_id: str, *, begins: datetime, ends: datetime) -> tuple[int, int]:
    """How many posts were written and events announced in a community between two instants, each up to 100."""
    first, last = f"{community_id}:{iso(begins)}", f"{community_id}:{iso(ends)}"
    posts = await graph.read(NEW_POSTS, begins=first, ends=last, most=COUNTED_UP_TO)
    events = await graph.read(NEW_EVENTS, begins=first, ends=last, most=COUNTED_UP_TO)
    return posts[0]["found"], events[0]["found"]
