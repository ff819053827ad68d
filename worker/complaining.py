"""What follows for open complaints and plans from a change of the days by which they are counted."""

from datetime import datetime
from typing import Any

from core.db import Session
from core.outbox import owe
from graph.client import GraphClient
from service.action_plan_days import PLANS_RECOUNTED, plans_counted_by, recount_plans
from service.calendars import CALENDAR_CHANGED
from service.complaint_marks import open_complaints_by, refresh_complaints
from worker.settlement import ManyHandler, Payloads

# So many complaints or plans are counted anew in one transaction.
PAGE = 100


async def on_calendars_changed(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Count the deadlines of a page of open complaints anew; the next page, and plans, are effects of their own."""
    for payload in payloads:
        if not payload["after"]:
            await owe_recount(session, payload, now=now)
        complaints = await open_complaints_by(session, payload["calendar_id"], after=payload["after"], limit=PAGE)
        await refresh_complaints(session, complaints, now=now)
        if len(complaints) == PAGE:
            rest = {**payload, "after": complaints[-1].id}
            key = f"{payload['calendar_id']}:{payload['change']}:{rest['after']}"
            await owe(session, topic=CALENDAR_CHANGED, key=key, payload=rest, now=now)


async def owe_recount(session: Session, payload: dict[str, Any], *, now: datetime) -> None:
    """Owe the counting of the plans behind one, once for each change."""
    key = f"{payload['calendar_id']}:{payload['change']}:{payload['after']}"
    await owe(session, topic=PLANS_RECOUNTED, key=key, payload=payload, now=now)


async def on_plans_recounted(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Count the days of a page of plans anew; the next page is an effect of its own."""
    for payload in payloads:
        calendar_id, change = payload["calendar_id"], payload["change"]
        ids = await plans_counted_by(session, calendar_id, after=payload["after"], limit=PAGE)
        await recount_plans(session, ids, calendar_id, change=change, now=now)
        if len(ids) == PAGE:
            await owe_recount(session, {**payload, "after": ids[-1]}, now=now)


COMPLAINING: dict[str, ManyHandler] = {
    CALENDAR_CHANGED: on_calendars_changed,
    PLANS_RECOUNTED: on_plans_recounted,
}
