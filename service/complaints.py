"""Complaints: filed, answered, closed and opened again; each act is an entry of the log, from which the clocks follow.

Whoever acts has taken the complaint's row by `lock_complaint`, so that acts come one after the other.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import col, func, select

from core.business_calendar import business_minutes
from core.days import day_of, start_of_month
from core.db import Session, insert_once, zone_of
from core.errors import BadUserInput, Refusal
from core.fact_kinds import COMPLAINT_CLOSED, COMPLAINT_FILED, COMPLAINT_REOPENED
from core.facts import OWN_SOURCE, NewFact, record_facts
from core.ids import derived_id, new_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe
from service.calendars import calendars_by_id, hold_calendars
from service.complaint_access import AccusedCannotHandle, ComplaintNotYours, Hand, Seat
from service.complaint_clocks import EntryKind
from service.complaint_keys import keys_of, put_key, sealed_words
from service.complaint_marks import refresh_complaints
from service.complaint_policies import active_policy
from service.complaint_policy import level_for
from service.complaint_records import (
    Complaint,
    ComplaintAccused,
    ComplaintCause,
    ComplaintChannel,
    ComplaintEntry,
    ComplaintStatus,
    ComplaintTopic,
    accused_of,
    lock_complaint,
)
from service.complaint_tasks import pass_tasks_on
from service.products import CODE
from service.service_standings import hold_standings

LONGEST_WORDS = 4_000
EMPLOYEE = r"[!-~]{1,100}"


class ComplaintInvalid(BadUserInput):
    code = "COMPLAINT_INVALID"
    en = "The complaint is not valid."
    zh = "投诉内容无效。"


class ComplaintClosed(Refusal):
    code = "COMPLAINT_CLOSED"
    en = "This complaint is closed; it can be opened again."
    zh = "该投诉已办结，可申请重新受理。"


class ComplaintNotClosed(Refusal):
    code = "COMPLAINT_NOT_CLOSED"
    en = "This complaint is not closed."
    zh = "该投诉尚未办结。"


class ComplaintWaiting(Refusal):
    code = "COMPLAINT_WAITING"
    en = "This complaint waits for the customer already."
    zh = "该投诉已在等待客户补充。"


class ComplaintNotWaiting(Refusal):
    code = "COMPLAINT_NOT_WAITING"
    en = "This complaint does not wait for the customer."
    zh = "该投诉并未等待客户。"


class ComplaintTaken(Refusal):
    code = "COMPLAINT_TAKEN"
    en = "Somebody owns this complaint; it is handed off by them."
    zh = "该投诉已有首问责任人，请由其转交。"


class TooManyOpenComplaints(Refusal):
    code = "TOO_MANY_OPEN_COMPLAINTS"
    en = "You have as many open complaints as may be. Please add to one of them, or wait until one is closed."
    zh = "您未办结的投诉已达上限，请在已有投诉中补充，或待其办结后再提交。"


@dataclass(frozen=True, slots=True)
class NewComplaint:
    """A complaint as it is filed; `key` makes that what is sent twice is filed once."""

    customer_id: str
    topic: ComplaintTopic
    channel: ComplaintChannel
    words: str
    product: str | None = None
    community_id: str | None = None
    accused: str | None = None
    key: str | None = None


async def file_complaint(session: Session, new: NewComplaint, *, employee: str | None, now: datetime) -> Complaint:
    """File a complaint; the employee who takes it from the customer owns it, unless it is about them.

    Raises ComplaintInvalid, or TooManyOpenComplaints for a customer who files one beyond the limit of the policy.
    """
    words = checked_words(new.words)
    accused = None if new.accused is None else checked_name(new.accused, "accusedEmployeeId")
    complaint_id = new_id() if new.key is None else derived_id("complaint", new.customer_id, employee or "", new.key)
    policy = await active_policy(session)
    definition = policy.parsed()
    level = await level_for(session, definition, new.customer_id, now=now)
    row = {
        "id": complaint_id,
        "customer_id": new.customer_id,
        "topic": new.topic,
        "channel": new.channel,
        "product": None if new.product is None else checked_code(new.product),
        "community_id": new.community_id,
        "status": ComplaintStatus.OPEN,
        "filed_by": employee,
        "filed_at": now,
        "policy_id": policy.id,
        "level": level.key,
        "priority": level.priority,
        "calendar_id": level.calendar_id,
        "last_number": 0,
        "changed_at": now,
        "extensions": 0,
        "is_breached": False,
        "is_provisional": False,
    }
    if employee is None:
        await hold_standings(session, [new.customer_id])
    # Its deadlines are counted by days that stay until they can be found to be counted anew.
    await hold_calendars(session, [level.calendar_id])
    is_new = await insert_once(session, Complaint, row, "id")
    complaint = await lock_complaint(session, complaint_id)
    if not is_new:
        return complaint
    # What people tell the bank by phone or letter is taken in whatever else is open: no law knows a limit there.
    if employee is None:
        await must_have_room(session, new.customer_id, definition.most_open)
    key = await put_key(session, complaint)
    await append(session, complaint, EntryKind.FILED, employee=employee, words=words, key=key, now=now)
    await record_fact(session, complaint, COMPLAINT_FILED, "filed", now=now)
    if accused is not None:
        await put_accused(session, complaint, accused, by=employee, now=now)
    if employee is not None and employee != accused:
        complaint.owner = employee
        await append(session, complaint, EntryKind.TAKEN, employee=employee, now=now)
    return await done(session, complaint, now=now)


async def must_have_room(session: Session, customer_id: str, most: int) -> None:
    """Raise TooManyOpenComplaints where more than so many are open; whoever files holds the customer's standing."""
    counted = select(func.count()).where(
        Complaint.customer_id == customer_id, Complaint.status != ComplaintStatus.CLOSED
    )
    if (await session.exec(counted)).one() > most:
        raise TooManyOpenComplaints(detail=f"at most {most}")


async def assign_complaint(
    session: Session, complaint: Complaint, to: str | None, *, by: Hand, now: datetime
) -> Complaint:
    """Take a complaint that nobody owns, or give it to somebody; an administrator can also take it from its owner.

    Raises ComplaintNotYours, ComplaintClosed, ComplaintTaken, AccusedCannotHandle, ComplaintInvalid.
    """
    by.needs(Seat.OFFICER, Seat.MANAGER, Seat.OWNER, Seat.CANDIDATE)
    must_be_open(complaint)
    employee = by.employee if to is None else checked_name(to, "employeeId")
    if employee != by.employee and by.seat == Seat.MANAGER:
        raise ComplaintNotYours(path=("employeeId",))
    if complaint.owner is not None and (not by.is_administrator or complaint.owner == employee):
        raise ComplaintTaken(path=("complaintId",))
    await must_not_be_accused(session, complaint, employee, "employeeId")
    details = {"employee": employee, "before": complaint.owner}
    complaint.owner, complaint.hand_off_to = employee, None
    await append(session, complaint, EntryKind.TAKEN, employee=by.employee, details=details, now=now)
    await pass_tasks_on(session, complaint)
    return await done(session, complaint, now=now)


async def answer_complaint(
    session: Session, complaint: Complaint, words: str, *, is_internal: bool, by: Hand, now: datetime
) -> Complaint:
    """What is said: by the owner to the customer, or internally by staff; by the customer, who is waited for no longer.

    Raises ComplaintNotYours, ComplaintClosed, ComplaintInvalid.
    """
    said = checked_words(words)
    if by.seat == Seat.COMPLAINANT:
        kind = EntryKind.REPLIED
        if is_internal:
            raise ComplaintNotYours(path=("internal",))
    elif is_internal:
        by.needs(Seat.OWNER, Seat.CANDIDATE, Seat.OFFICER, Seat.MANAGER)
        kind = EntryKind.NOTED
    else:
        by.needs(Seat.OWNER)
        kind = EntryKind.ANSWERED
    must_be_open(complaint)
    if kind == EntryKind.REPLIED and complaint.status == ComplaintStatus.WAITING:
        complaint.status = ComplaintStatus.OPEN
    await append(session, complaint, kind, employee=by.employee, words=said, now=now)
    if kind == EntryKind.ANSWERED:
        await tell_customer(session, complaint, "complaint-answered", now=now)
    return await done(session, complaint, now=now)


async def pause_complaint(session: Session, complaint: Complaint, words: str, *, by: Hand, now: datetime) -> Complaint:
    """Ask the customer something, and stop the internal clocks until there is an answer.

    Raises ComplaintNotYours, ComplaintClosed, ComplaintWaiting, ComplaintInvalid.
    """
    by.needs(Seat.OWNER)
    must_be_open(complaint)
    if complaint.status == ComplaintStatus.WAITING:
        raise ComplaintWaiting(path=("complaintId",))
    complaint.status = ComplaintStatus.WAITING
    await append(session, complaint, EntryKind.WAITING, employee=by.employee, words=checked_words(words), now=now)
    await tell_customer(session, complaint, "complaint-waiting", now=now)
    return await done(session, complaint, now=now)


async def resume_complaint(session: Session, complaint: Complaint, *, by: Hand, now: datetime) -> Complaint:
    """Go on without waiting any longer. Raises ComplaintNotYours, ComplaintClosed, ComplaintNotWaiting."""
    by.needs(Seat.OWNER)
    must_be_open(complaint)
    if complaint.status != ComplaintStatus.WAITING:
        raise ComplaintNotWaiting(path=("complaintId",))
    complaint.status = ComplaintStatus.OPEN
    await append(session, complaint, EntryKind.RESUMED, employee=by.employee, now=now)
    return await done(session, complaint, now=now)


async def close_complaint(
    session: Session,
    complaint: Complaint,
    words: str,
    *,
    cause: ComplaintCause,
    told_on: date | None,
    by: Hand,
    now: datetime,
) -> Complaint:
    """Close with the root cause and the day (today) on which the customer was told; what was asked of others is over.

    Raises ComplaintNotYours, ComplaintClosed, ComplaintInvalid.
    """
    by.needs(Seat.OWNER)
    must_be_open(complaint)
    zone = zone_of(session)
    told_on = told_on or day_of(now, zone)
    if not day_of(complaint.filed_at, zone) <= told_on <= day_of(now, zone):
        raise ComplaintInvalid(path=("toldOn",), detail="a day from that of filing to today")
    said = checked_words(words)
    complaint.status, complaint.hand_off_to, complaint.extension_asked_by = ComplaintStatus.CLOSED, None, None
    complaint.cause, complaint.told_on = cause, told_on
    await append(
        session,
        complaint,
        EntryKind.CLOSED,
        employee=by.employee,
        words=said,
        details={"cause": cause.value, "told_on": told_on.isoformat()},
        now=now,
    )
    closed_at = complaint.changed_at
    calendar = (await calendars_by_id(session, [complaint.calendar_id]))[complaint.calendar_id]
    complaint.closed_at, complaint.closed_month = closed_at, start_of_month(day_of(closed_at, zone))
    complaint.solution_minutes = business_minutes(calendar, complaint.filed_at, closed_at)
    await record_fact(session, complaint, COMPLAINT_CLOSED, f"closed:{complaint.last_number}", now=now)
    await tell_customer(session, complaint, "complaint-closed", now=now)
    return await done(session, complaint, now=now)


async def reopen_complaint(session: Session, complaint: Complaint, words: str, *, by: Hand, now: datetime) -> Complaint:
    """Open a closed complaint again: its log goes on, its owner stays, and its clocks begin a new round.

    Raises ComplaintNotYours, ComplaintNotClosed, ComplaintInvalid.
    """
    by.needs(Seat.COMPLAINANT, Seat.OWNER, Seat.OFFICER)
    if complaint.status != ComplaintStatus.CLOSED:
        raise ComplaintNotClosed(path=("complaintId",))
    said = checked_words(words)
    # As in filing; what is closed is not counted anew.
    await hold_calendars(session, [complaint.calendar_id])
    # Facts are read in the order of their times: never both at one instant.
    now = max(now, complaint.changed_at + timedelta(microseconds=1))
    complaint.status, complaint.extensions = ComplaintStatus.OPEN, 0
    complaint.cause = complaint.told_on = complaint.closed_at = complaint.closed_month = None
    complaint.solution_minutes = None
    await append(session, complaint, EntryKind.REOPENED, employee=by.employee, words=said, now=now)
    await record_fact(session, complaint, COMPLAINT_REOPENED, f"reopened:{complaint.last_number}", now=now)
    return await done(session, complaint, now=now)


async def name_accused(session: Session, complaint: Complaint, employee: str, *, by: Hand, now: datetime) -> Complaint:
    """Say whom a complaint is about, from when on they neither own nor see it.

    Raises ComplaintNotYours, ComplaintInvalid.
    """
    by.needs(Seat.OWNER, Seat.OFFICER)
    await put_accused(session, complaint, checked_name(employee, "employeeId"), by=by.employee, now=now)
    return await done(session, complaint, now=now)


async def put_accused(session: Session, complaint: Complaint, accused: str, *, by: str | None, now: datetime) -> None:
    row = {"complaint_id": complaint.id, "employee": accused, "named_at": now}
    if not await insert_once(session, ComplaintAccused, row, "complaint_id", "employee"):
        return
    complaint.owner = None if complaint.owner == accused else complaint.owner
    complaint.hand_off_to = None if complaint.hand_off_to == accused else complaint.hand_off_to
    await append(session, complaint, EntryKind.ACCUSED, employee=by, details={"employee": accused}, now=now)
    await pass_tasks_on(session, complaint)


async def must_not_be_accused(session: Session, complaint: Complaint, employee: str | None, *path: str) -> None:
    """Raise AccusedCannotHandle for whom the complaint is about."""
    if employee in (await accused_of(session, [complaint.id]))[complaint.id]:
        raise AccusedCannotHandle(path=path)


def must_be_open(complaint: Complaint) -> None:
    """Raise ComplaintClosed for one that is closed."""
    if complaint.status == ComplaintStatus.CLOSED:
        raise ComplaintClosed(path=("complaintId",))


def checked_words(words: str, *path: str) -> str:
    """The words without space around them; raises ComplaintInvalid for none, too many, or NUL among them."""
    said = words.strip()
    if not 1 <= len(said) <= LONGEST_WORDS or "\0" in said:
        raise ComplaintInvalid(path=path or ("text",), detail=f"1 to {LONGEST_WORDS} characters")
    return said


def checked_name(name: str, *path: str) -> str:
    """The id of an employee; raises ComplaintInvalid.

    As a product's code it outlives the customer's words, so that it must not be words itself. Subjects of tokens are
    ASCII (OpenID Connect Core 1.0, section 2).
    """
    found = name.strip()
    if not re.fullmatch(EMPLOYEE, found):
        raise ComplaintInvalid(path=path, detail="1 to 100 ASCII characters without space")
    return found


def checked_code(code: str) -> str:
    """A product's code in the form that codes have, whether we know it or not; raises ComplaintInvalid."""
    found = code.strip()
    if not re.fullmatch(CODE, found):
        raise ComplaintInvalid(path=("product",), detail="a product's code")
    return found


async def append(
    session: Session,
    complaint: Complaint,
    kind: EntryKind,
    *,
    employee: str | None,
    now: datetime,
    words: str | None = None,
    details: dict[str, Any] | None = None,
    key: bytes | None = None,
) -> None:
    """Write the next entry; its time is never before that of the last one, whatever another machine's clock said."""
    complaint.last_number += 1
    complaint.changed_at = max(now, complaint.changed_at)
    if words is not None and key is None:
        key = (await keys_of(session, [complaint.id])).get(complaint.id)
    session.add(
        ComplaintEntry(
            complaint_id=complaint.id,
            number=complaint.last_number,
            customer_id=complaint.customer_id,
            kind=kind,
            employee=employee,
            at=complaint.changed_at,
            words=sealed_words(key, complaint.id, complaint.last_number, words),
            details=details or {},
        )
    )
    session.add(complaint)
    await session.flush()


async def done(session: Session, complaint: Complaint, *, now: datetime) -> Complaint:
    """Let the clocks follow an act."""
    await refresh_complaints(session, [complaint], now=max(now, complaint.changed_at))
    return complaint


async def record_fact(session: Session, complaint: Complaint, kind: str, what: str, *, now: datetime) -> None:
    fact = NewFact(
        source=OWN_SOURCE,
        key=f"complaint:{complaint.id}:{what}",
        kind=kind,
        customer_id=complaint.customer_id,
        occurred_at=complaint.changed_at,
        payload={"complaint": complaint.id},
    )
    await record_facts(session, [fact], now=now)


async def tell_customer(session: Session, complaint: Complaint, template: str, *, now: datetime, **said: str) -> None:
    """Owe the customer a message of the last entry; what was said stands in the complaint and not in the message."""
    values = {"reference": complaint.reference, **said}
    payload = message(
        MessageCategory.SERVICE,
        customer_id=complaint.customer_id,
        template=template,
        subject=complaint.id,
        values=values,
    )
    await owe(
        session,
        topic=MESSAGE_OWED,
        key=f"complaint:{complaint.id}:{complaint.last_number}",
        payload=payload,
        now=now,
    )


async def complaints_filed(session: Session, customer_id: str) -> list[Complaint]:
    """All complaints of a customer, the earliest first."""
    statement = select(Complaint).where(Complaint.customer_id == customer_id)
    return list((await session.exec(statement.order_by(col(Complaint.filed_at), col(Complaint.id)))).all())
