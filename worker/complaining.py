"""What follows for open complaints from a change of the days by which their deadlines are counted."""

from datetime import datetime

from core.db import Session
from core.outbox import owe
from graph.client import GraphClient
from service.calendars import CALENDAR_CHANGED
from service.complaint_marks import open_complaints_by, refresh_complaints
from worker.settlement import ManyHandler, Payloads

# So many complaints are counted anew in one transaction.
PAGE = 100


async def on_calendars_changed(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Count the deadlines of a page of open complaints anew; the next page is an effect of its own."""
    for payload in payloads:
        complaints = await open_complaints_by(session, payload["calendar_id"], after=payload["after"], limit=PAGE)
        await refresh_complaints(session, complaints, now=now)
        if len(complaints) == PAGE:
            rest = {**payload, "after": complaints[-1].id}
            key = f"{payload['calendar_id']}:{payload['change']}:{rest['after']}"
            await owe(session, topic=CALENDAR_CHANGED, key=key, payload=rest, now=now)


COMPLAINING: dict[str, ManyHandler] = {CALENDAR_CHANGED: on_calendars_changed}
