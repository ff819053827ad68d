"""Complaints for tests: filed and acted on as the API does it, at instants that the test chooses."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.db import Database, Session
from core.ids import new_id
from core.principal import Principal, Role
from service.calendars import FIRST_CALENDAR_ID
from service.complaint_access import Hand, Seat, hand_of
from service.complaint_clocks import Clocks
from service.complaint_marks import read_clocks
from service.complaint_records import (
    Complaint,
    ComplaintCause,
    ComplaintChannel,
    ComplaintMark,
    ComplaintTopic,
    accused_of,
    lock_complaint,
    logs_of,
)
from service.complaints import (
    NewComplaint,
    answer_complaint,
    assign_complaint,
    close_complaint,
    file_complaint,
    pause_complaint,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# Nine in the morning of a Monday in Shanghai, a week without holidays.
MONDAY = datetime(2026, 3, 9, 1, tzinfo=UTC)
CALENDAR = FIRST_CALENDAR_ID


def employee(subject: str, *roles: Role, customer_id: str | None = None) -> Principal:
    return Principal(subject, frozenset(roles or (Role.COMPLAINTS_OFFICER,)), frozenset(), 0, customer_id)


def customer(customer_id: str) -> Principal:
    return Principal(f"sub-{customer_id}", frozenset({Role.CUSTOMER}), frozenset(), 0, customer_id)


OWNER = Hand(Seat.OWNER, "sun", is_officer=True)

Act = Callable[..., Awaitable[Complaint]]


async def act(
    database: Database, complaint_id: str, action: Act, *given: Any, by: Principal | Hand, now: datetime, **more: Any
) -> Complaint:
    """Do something to a complaint in a transaction of its own, as whoever it is to it."""
    async with database.write() as session:
        complaint = await lock_complaint(session, complaint_id)
        hand = by
        if isinstance(by, Principal):
            accused = (await accused_of(session, [complaint_id]))[complaint_id]
            hand = hand_of(complaint, accused, by, in_care=False)
        return await action(session, complaint, *given, by=hand, now=now, **more)


async def filed(
    database: Database,
    *,
    customer_id: str | None = None,
    employee: str | None = None,
    now: datetime = MONDAY,
    accused: str | None = None,
    words: str = "You charged me twice.",
    channel: ComplaintChannel = ComplaintChannel.PHONE,
    product: str | None = None,
) -> Complaint:
    """A complaint, filed by its customer, or by the employee who took it."""
    new = NewComplaint(
        customer_id=customer_id or new_id(),
        topic=ComplaintTopic.FEES,
        channel=channel,
        words=words,
        accused=accused,
        product=product,
    )
    async with database.write() as session:
        return await file_complaint(session, new, employee=employee, now=now)


async def closed(
    database: Database,
    complaint_id: str,
    *,
    by: Hand = OWNER,
    now: datetime,
    cause: ComplaintCause = ComplaintCause.PROCESS,
) -> Complaint:
    day = (now + 8 * HOUR).date()
    return await act(
        database, complaint_id, close_complaint, "It is paid back.", by=by, now=now, cause=cause, told_on=day
    )


async def answered(database: Database, complaint_id: str, *, by: Hand = OWNER, now: datetime) -> Complaint:
    return await act(database, complaint_id, answer_complaint, "We look into it.", by=by, now=now, is_internal=False)


async def paused(database: Database, complaint_id: str, *, by: Hand = OWNER, now: datetime) -> Complaint:
    return await act(database, complaint_id, pause_complaint, "On which day was it?", by=by, now=now)


async def taken(database: Database, complaint_id: str, *, by: Principal, now: datetime) -> Complaint:
    return await act(database, complaint_id, assign_complaint, None, by=by, now=now)


async def kinds_of(database: Database, complaint_id: str) -> list[str]:
    async with database.read() as session:
        return [step.kind.value for step in (await logs_of(session, [complaint_id]))[complaint_id]]


async def marks(database: Database, complaint_id: str) -> list[ComplaintMark]:
    """In the order in which they were due."""
    async with database.read() as session:
        found = select(ComplaintMark).where(ComplaintMark.complaint_id == complaint_id)
        ordered = found.order_by(col(ComplaintMark.due_at), col(ComplaintMark.id))
        return list((await session.exec(ordered)).all())


async def fresh(database: Database, complaint_id: str) -> Complaint:
    async with database.read() as session:
        return await session.get_one(Complaint, complaint_id)


def stored(complaint: Complaint) -> Clocks:
    return Clocks(
        complaint.first_response_due,
        complaint.first_response_at,
        complaint.update_due,
        complaint.solution_due,
        complaint.statutory_due,
        complaint.is_provisional,
    )


async def recomputed(session: Session, complaints: Sequence[Complaint]) -> list[Clocks]:
    return [reading.clocks for reading in await read_clocks(session, complaints)]


def day_in_march(number: int) -> date:
    return date(2026, 3, number)
