"""The clocks of complaints as time goes by: what is due is noted in pages.

A page is noted in one transaction, so that a worker that is killed leaves it to the next one. Of several workers each
takes what no other has.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import update
from sqlmodel import col

from core.db import changed_rows
from service.calendars import look_at_calendars
from service.complaint_marks import due_complaints, hold_complaints, refresh_complaints
from service.complaint_records import Complaint
from worker.work import Stores

log = structlog.get_logger(__name__)

PAGE = 100
# A complaint whose clocks cannot be read is looked at again after so long, and holds up none of the others.
PAUSE = timedelta(minutes=10)


async def sweep_complaints(stores: Stores, *, now: datetime, page: int = PAGE) -> int:
    """Note what is due by now, the longest due first; returns at how many complaints it has looked."""
    looked = 0
    while True:
        async with stores.database.read() as session:
            ids = await due_complaints(session, limit=page, now=now)
        if not ids:
            return looked
        try:
            marked, held = await note_due(stores, ids, now=now)
        except Exception:
            log.exception("complaints_not_noted_together", complaints=len(ids))
            marked, held = await note_each(stores, ids, now=now)
        for complaint_id in sorted(marked):
            await stores.publish(f"complaint:{complaint_id}", {"complaint_id": complaint_id})
        looked += held
        if not held:
            # What is left another worker has.
            return looked


async def note_due(stores: Stores, ids: list[str], *, now: datetime) -> tuple[set[str], int]:
    """Note what is due of those of these complaints that no other worker has; which were marked, and how many held."""
    async with stores.database.write() as session:
        held = await hold_complaints(session, ids, now=now)
        return await refresh_complaints(session, held, now=now), len(held)


async def note_each(stores: Stores, ids: list[str], *, now: datetime) -> tuple[set[str], int]:
    """Likewise, each by itself; one that cannot be read is logged and waits."""
    marked, held = set[str](), 0
    for complaint_id in ids:
        try:
            found, count = await note_due(stores, [complaint_id], now=now)
            marked, held = marked | found, held + count
        except Exception:
            log.exception("complaint_not_noted", complaint_id=complaint_id)
            async with stores.database.write() as session:
                mine = update(Complaint).where(col(Complaint.id) == complaint_id)
                held += await changed_rows(session, mine.values(next_check_at=now + PAUSE))
    return marked, held


async def watch_calendars(stores: Stores, *, now: datetime) -> int:
    """Notice what has become known of days that were provisional; returns how many calendars have changed."""
    async with stores.database.write() as session:
        return await look_at_calendars(session, now=now)
