"""Days of customers as they become known: from profiles, old and new, and from people; what is near is planned."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlmodel import col, select

from core.days import day_of
from core.db import Session, zone_of
from core.outbox import owe
from core.settings import load_settings
from customers.care_reads import PROFILE_DAYS_ALL, PROFILE_DAYS_TOLD, days_of_profiles
from customers.insight_sweeps import next_customers
from graph.client import GraphClient
from service.care_calendar import greeted_at, next_occurrences
from service.care_dates import CARE_DATE_ADDED, CareDate, Told, day_of_date, put_told
from service.care_occasions import Due
from service.care_policies import active_care
from service.care_runs import due_of
from service.care_zones import zones_of
from worker.care import put_planned
from worker.settlement import ManyHandler, Payloads

# Profiles of so many customers are opened in one transaction; the next page is an effect of its own.
PAGE = 500
PROFILE = "profile"


def hash_key() -> str:
    return load_settings().identity_hash_key.get_secret_value()


async def on_days_told(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Note the days that profiles tell by now."""
    await note_days(session, [one["customer_id"] for one in payloads], now=now)


async def note_days(session: Session, customer_ids: Sequence[str], *, now: datetime) -> int:
    found = await days_of_profiles(session, customer_ids, zone=zone_of(session))
    told = [Told(one.customer_id, one.born, one.since) for one in found]
    return await put_told(session, told, source_name=PROFILE, hash_key=hash_key(), now=now)


async def on_all_days(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Note the days of one page of all profiles, and owe the next page."""
    for payload in payloads:
        ids = await next_customers(session, payload["after"], limit=PAGE)
        await note_days(session, ids, now=now)
        if len(ids) == PAGE:
            following: dict[str, Any] = {"after": ids[-1]}
            await owe(session, topic=PROFILE_DAYS_ALL, key=ids[-1], payload=following, now=now)


async def on_dates_added(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Plan what of new days is so near that the daily run has passed it; what of today is past stays for next year."""
    ids = [one["care_date_id"] for one in payloads]
    statement = select(CareDate).where(col(CareDate.id).in_(ids), col(CareDate.removed_at).is_(None))
    rows = (await session.exec(statement.order_by(col(CareDate.id)).with_for_update(read=True))).all()
    zone, definition = zone_of(session), await active_care(session)
    zones = await zones_of(session, sorted({row.customer_id for row in rows}))
    today, key = day_of(now, zone), hash_key()
    due = [
        one
        for row in rows
        for one in near(row, key, today, definition.task_days)
        if greeted_at(one.on_day, zones.get(row.customer_id, zone), definition.hour) >= now
    ]
    await put_planned(session, due, definition, zone=zone, zones=zones_of, now=now)


def near(row: CareDate, key: str, today: date, ahead: int) -> list[Due]:
    """What a day brings within so many days from today; a year in which it comes twice so soon there is none."""
    found = next_occurrences(day_of_date(row, key), start=today, count=1)
    due = [due_of(row, one.day, one.year) for one in found if (one.day - today).days <= ahead]
    return [one for one in due if one is not None]


CARE: dict[str, ManyHandler] = {
    PROFILE_DAYS_TOLD: on_days_told,
    PROFILE_DAYS_ALL: on_all_days,
    CARE_DATE_ADDED: on_dates_added,
}
