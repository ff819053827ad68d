"""Who is to be reminded of which event: found by time, told page by page, and noted on the event when all are told.

An event keeps the names of the rounds that are done in `told`, each with the instant that it was about. So an event
that is moved is due again, and a round that was interrupted starts over; the keys of its notices make each once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from community.seats import roll_of
from core.clock import iso
from core.notices import NoticeKind
from graph.client import GraphClient, Row
from graph.listed import listed_by, span


@dataclass(frozen=True, slots=True)
class Round:
    """One telling: of events whose start (or end) lies between two distances from now, to those with a status."""

    name: str
    kind: NoticeKind
    nearest: timedelta
    farthest: timedelta
    status: str
    by_end: bool = False

    def key(self, event: Row, customer_id: str) -> str:
        """What makes a notice of this round happen once; asking for feedback twice is asking once."""
        if self.by_end:
            return f"feedback:{event['id']}:{customer_id}"
        return f"reminder:{event['id']}:{customer_id}:{event['at']}:{self.name}"


NOTHING, HOUR, DAY = timedelta(), timedelta(hours=1), timedelta(days=1)
# Whoever is checked in after the end (a list from a phone that was offline) is asked by the second round.
ROUNDS = (
    Round("24h", NoticeKind.EVENT_REMINDER, HOUR, DAY, "REGISTERED"),
    Round("1h", NoticeKind.EVENT_REMINDER, NOTHING, HOUR, "REGISTERED"),
    Round("feedback", NoticeKind.FEEDBACK_ASKED, -DAY, NOTHING, "ATTENDED", by_end=True),
    Round("late-feedback", NoticeKind.FEEDBACK_ASKED, -2 * DAY, -DAY, "ATTENDED", by_end=True),
)

# The ranges stand alone: with anything else beside them, the embedded engine reads all events instead of the index.
STARTING = """
MATCH (e:Event)
WHERE e.starts_at > $begins AND e.starts_at <= $until
WITH e
WHERE e.status = 'PUBLISHED'
  AND NOT $name + ':' + e.starts_at IN coalesce(e.told, []) AND e.starts_at + e.id > $after
RETURN e.id AS id, e.community_id AS community_id, e.starts_at AS at
ORDER BY at, id
LIMIT $limit
"""

ENDED = """
MATCH (e:Event)
WHERE e.ends_at > $begins AND e.ends_at <= $until
WITH e
WHERE e.status IN ['PUBLISHED', 'COMPLETED']
  AND NOT $name + ':' + e.ends_at IN coalesce(e.told, []) AND e.ends_at + e.id > $after
RETURN e.id AS id, e.community_id AS community_id, e.ends_at AS at
ORDER BY at, id
LIMIT $limit
"""


async def events_to_tell(
    graph: GraphClient, telling: Round, *, now: datetime, after: str = "", limit: int
) -> Sequence[Row]:
    """Events due in this round, by their instant; `after` is instant and id of the last one seen."""
    return await graph.read(
        ENDED if telling.by_end else STARTING,
        begins=iso(now + telling.nearest),
        until=iso(now + telling.farthest),
        name=telling.name,
        after=after,
        limit=limit,
    )


PEOPLE_OF_EVENT = listed_by("roll")


async def people_to_tell(
    graph: GraphClient, event_id: str, *, status: str, after: str = "", limit: int
) -> Sequence[Row]:
    """Customers registered with this status, in the order in which they registered; `after` is a row's `place`."""
    bounds = span(roll_of(event_id, status))
    bounds["low"] = after or bounds["low"]
    return await graph.read(PEOPLE_OF_EVENT, **bounds, limit=limit)


NOTE_TOLD = """
MATCH (e:Event {id: $event_id})
WHERE NOT $mark IN coalesce(e.told, [])
SET e.told = coalesce(e.told, []) + [$mark]
"""


async def note_told(graph: GraphClient, telling: Round, event: Row) -> None:
    """Remember that everybody was told; the mark names the instant, so an event moved meanwhile is due again."""
    await graph.write(NOTE_TOLD, event_id=event["id"], mark=f"{telling.name}:{event['at']}")
