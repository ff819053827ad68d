"""Completes what nobody did: events are found by their end, page by page, and each is completed once."""

from datetime import datetime

import structlog

from community.completion import complete_forgotten, forgotten_events
from worker.work import Stores

log = structlog.get_logger(__name__)

BATCH = 100


async def complete_forgotten_events(stores: Stores, *, now: datetime) -> int:
    """Complete the events that ended two days ago or earlier and are still published; returns how many.

    One that cannot be completed is logged, is due again the next time, and holds up none of the others.
    """
    completed, after = 0, ""
    while events := await forgotten_events(stores.graph, now=now, after=after, limit=BATCH):
        for event in events:
            try:
                if await complete_forgotten(stores.graph, event["id"], now=now):
                    completed += 1
                    await stores.publish(f"event:{event['id']}", {"event_id": event["id"]})
            except Exception:
                log.exception("event_not_completed", event_id=event["id"])
        after = events[-1]["ends_at"] + events[-1]["id"]
    return completed
