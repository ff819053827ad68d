"""Series grow as time passes: each is looked at once a day, and a run that was missed is made up by the next."""

import structlog

from community.event_series import due_series, extend_series
from core.clock import utc_now
from worker.work import Stores

log = structlog.get_logger(__name__)

BATCH = 100


async def extend_due_series(stores: Stores) -> int:
    """Make the occurrences that have come within each due series' horizon; returns how many.

    One that cannot be extended is logged, stays due, and holds up none of the others.
    """
    made, after, now = 0, "", utc_now()
    while due := await due_series(stores.graph, after=after, limit=BATCH, now=now):
        for series_id in due:
            try:
                made += await extend_series(stores.graph, series_id, now=now)
            except Exception:
                log.exception("series_not_extended", series_id=series_id)
        after = due[-1]
    return made
