"""Customers with days of their own, in a database that no other test uses, and the care of a moment."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.days import day_of
from core.db import Database, Session
from core.ids import new_id
from core.messages import MESSAGE_OWED
from core.outbox import Outbox
from core.settings import DEVELOPMENT_ONLY
from core.tasks import TASK_OVER, TASK_OWED
from customers.consents import Consent, ConsentStatus
from service.care_calendar import CareCalendar, CareDay, greeted_at
from service.care_dates import CareDate, NewCareDate, add_care_date, row_of
from service.care_kinds import CareKind, CareSource
from service.care_occasions import CareOccasion
from service.care_zones import zones_of
from tests.customers.insight import put
from worker.care import PAGE, Care

ZONE = "Asia/Shanghai"
HASH_KEY = DEVELOPMENT_ONLY
DAY = timedelta(days=1)
LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


def nine(day: date, zone: str = ZONE) -> datetime:
    return greeted_at(day, zone, 9)


def solar(month: int, day: int) -> CareDay:
    return CareDay(CareCalendar.SOLAR, month, day)


async def allow(database: Database, *customer_ids: str, at: datetime = LONG_AGO) -> None:
    await say(database, *customer_ids, status=ConsentStatus.GRANTED, at=at)


async def say(
    database: Database, *customer_ids: str, status: ConsentStatus, at: datetime, channel: str = "ALL"
) -> None:
    """Let customers say something of care."""
    rows = [
        {"id": new_id(), "customer_id": one, "purpose": "CARE", "channel": channel, "status": status}
        | {"source": "test", "evidence": None, "given_by": "test", "given_at": at, "recorded_at": at}
        for one in customer_ids
    ]
    await put(database, Consent, *rows)


async def put_dates(database: Database, *dates: tuple[str, CareKind, CareDay]) -> list[str]:
    """Days as they were noted long ago; returns their ids."""
    rows = [row_of(one, NewCareDate(kind, day), CareSource.STAFF, "rm", HASH_KEY, LONG_AGO) for one, kind, day in dates]
    await put(database, CareDate, *rows)
    return [row["id"] for row in rows]


async def add(
    database: Database, customer_id: str, day: CareDay, *, now: datetime, kind: CareKind = CareKind.BIRTHDAY
) -> CareDate:
    async with database.write() as session:
        return await add_care_date(
            session,
            customer_id,
            NewCareDate(kind, day),
            source=CareSource.STAFF,
            actor="rm",
            today=day_of(now, ZONE),
            hash_key=HASH_KEY,
            now=now,
        )


async def care(database: Database, now: datetime, *, page: int = PAGE, zones: Any = zones_of) -> int:
    """Do what a worker does at a moment; returns how many greetings were owed."""
    return await Care(database, hash_key=HASH_KEY, now=now, page=page, zones=zones).run()


def living_in(zones: Mapping[str, str]) -> Any:
    """Zones as customers have chosen them."""

    async def chosen(_: Session, customer_ids: Sequence[str]) -> Mapping[str, str]:
        return {one: zones[one] for one in customer_ids if one in zones}

    return chosen


async def occasions(database: Database) -> list[CareOccasion]:
    async with database.read() as session:
        statement = select(CareOccasion).order_by(col(CareOccasion.on_day), col(CareOccasion.customer_id))
        return list((await session.exec(statement.order_by(col(CareOccasion.rank)))).all())


async def outcomes(database: Database, customer_ids: Sequence[str]) -> list[list[tuple[str, str | None]]]:
    """What became of what was planned for each of these customers."""
    found = await occasions(database)
    return [[(row.status, row.reason) for row in found if row.customer_id == one] for one in customer_ids]


async def owed(database: Database, topic: str = MESSAGE_OWED) -> list[Outbox]:
    async with database.read() as session:
        return list((await session.exec(select(Outbox).where(Outbox.topic == topic).order_by(Outbox.key))).all())


async def greeted(database: Database) -> list[tuple[str, str]]:
    """Whose messages are owed, and by which words."""
    return [(row.payload["customer_id"], row.payload["template"]) for row in await owed(database)]


async def tasks_for(database: Database) -> list[str]:
    """The customers for whom staff are to do something that is not over."""
    over = {row.key for row in await owed(database, TASK_OVER)}
    return sorted(row.payload["customer_id"] for row in await owed(database, TASK_OWED) if row.key not in over)
