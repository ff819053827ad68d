"""The close of a day as the worker does it. It touches everybody's points: do it in a database of your own."""

from datetime import UTC, date, datetime, timedelta

from core.days import end_of_day
from core.db import Database
from loyalty.day_close import ClosePhase, DayClose, close_some, keep_proof, open_days
from loyalty.trial_balance import trial_balance

ZONE = "Asia/Shanghai"
DAY = timedelta(days=1)
# Noon of the first of May in the programme's time zone.
FIRST = date(2030, 5, 1)
NOON = datetime(2030, 5, 1, 4, tzinfo=UTC)


async def open_until(database: Database, day: date, *, now: datetime | None = None, zone: str = ZONE) -> DayClose:
    async with database.write() as session:
        return await open_days(session, until=day, zone=zone, now=now or end_of_day(day, zone))


async def close_step(database: Database, day: date, *, batch: int = 1_000, now: datetime | None = None) -> ClosePhase:
    async with database.write() as session:
        return await close_some(session, day, now=now or end_of_day(day, ZONE), batch=batch)


async def close_whole(
    database: Database, day: date, *, batch: int = 1_000, now: datetime | None = None, zone: str = ZONE
) -> DayClose:
    """Begin and close one day, as if it were just over; the row as it then is."""
    await open_until(database, day, now=now, zone=zone)
    while await close_step(database, day, batch=batch, now=now) in (ClosePhase.ACTIVATE, ClosePhase.EXPIRE):
        pass
    async with database.read() as session:
        proof = await trial_balance(session)
    async with database.write() as session:
        await keep_proof(session, day, proof, now=now or end_of_day(day, zone))
    return await close_of(database, day)


async def close_of(database: Database, day: date) -> DayClose:
    async with database.read() as session:
        return await session.get_one(DayClose, day)
