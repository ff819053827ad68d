"""Events that nobody completes: two days after their end the worker does it, so that absences are known."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from community.acts import SYSTEM
from community.event_changes import mark_completed
from community.event_rows import EventStatus
from core.clock import iso, parse_instant
from graph.client import GraphClient, Row, Transaction

# A phone's list may come late; whoever is checked in afterwards is no absence any more.
PATIENCE = timedelta(hours=48)
# The index holds every event there ever was; a worker that was away for longer leaves the older ones alone.
LOOKS_BACK = timedelta(days=32)

# The range stands alone: with anything else beside it, the embedded engine reads all events instead of the index.
FORGOTTEN = """
MATCH (e:Event)
WHERE e.ends_at > $since AND e.ends_at <= $until
WITH e
WHERE e.status = 'PUBLISHED' AND e.ends_at + e.id > $after
RETURN e.id AS id, e.ends_at AS ends_at
ORDER BY ends_at, id
LIMIT $limit
"""


async def forgotten_events(graph: GraphClient, *, now: datetime, after: str = "", limit: int) -> Sequence[Row]:
    """Published events that ended long enough ago, by their end; `after` is end and id of the last one seen."""
    since, until = iso(now - LOOKS_BACK), iso(now - PATIENCE)
    return await graph.read(FORGOTTEN, since=since, until=until, after=after, limit=limit)


LOCK_FORGOTTEN = "MATCH (e:Event {id: $event_id}) SET e.touched_at = $now RETURN properties(e) AS event"


async def complete_forgotten(graph: GraphClient, event_id: str, *, now: datetime) -> bool:
    """Complete one of them; False where somebody was faster, or it was prolonged meanwhile."""

    async def work(tx: Transaction) -> bool:
        rows = await tx.run(LOCK_FORGOTTEN, event_id=event_id, now=iso(now))
        event: Row = rows[0]["event"] if rows else {}
        if event.get("status") != EventStatus.PUBLISHED or parse_instant(event["ends_at"]) > now - PATIENCE:
            return False
        await mark_completed(tx, event, SYSTEM, now)
        return True

    return await graph.transact(work, contended=event_id)
