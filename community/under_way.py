"""Events that have begun and go on: who looks for something to do finds what takes place right now, too."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from community.search_keys import ID_BITS, SearchKind, seconds_of
from core.clock import iso, parse_instant
from graph.client import GraphClient, Row

# What began longer ago is hardly joined any more, such as an exhibition of three months.
BEGAN_WITHIN = timedelta(hours=24)
# Of more than these at once none is left out beforehand.
MOST_KNOWN = 1_000


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Events under way as of `now`, the first of which began at `begins`; None for their ids where they are many.

    The index knows nothing of ends. These spare reading everything that began today and is over.
    """

    now: datetime
    begins: datetime
    ids: frozenset[str] | None

    def is_over(self, place: int, event_id: str) -> bool:
        """Whether what stands at this place has begun and is none of these."""
        has_begun = place >> ID_BITS < seconds_of(SearchKind.EVENT, self.now)
        return has_begun and self.ids is not None and event_id not in self.ids


# The range stands alone: with anything else beside it, the embedded engine reads all events instead of the index.
UNDER_WAY = """
MATCH (e:Event)
WHERE e.starts_at >= $begins AND e.starts_at < $now
WITH e
WHERE e.ends_at > $now AND e.status = 'PUBLISHED'
RETURN e.id AS id, e.starts_at AS starts_at
LIMIT $limit
"""


async def events_under_way(graph: GraphClient, *, now: datetime) -> UnderWay:
    """What began within 24 hours and has not ended, whoever may see it."""
    begins = now - BEGAN_WITHIN
    rows = await graph.read(UNDER_WAY, begins=iso(begins), now=iso(now), limit=MOST_KNOWN)
    if len(rows) == MOST_KNOWN:
        return UnderWay(now, begins, None)
    first = min((parse_instant(row["starts_at"]) for row in rows), default=now)
    return UnderWay(now, first, frozenset(row["id"] for row in rows))


def is_under_way(event: Row, now: datetime) -> bool:
    """Whether this event, as the graph gives it, began within 24 hours and has not ended."""
    began = iso(now - BEGAN_WITHIN) <= event["starts_at"] < iso(now)
    return began and event["status"] == "PUBLISHED" and event["ends_at"] > iso(now)
