"""Hand-offs: the owner asks somebody, and owns the complaint until they accept."""

from datetime import datetime

from core.db import Session
from core.errors import Refusal
from core.fact_kinds import HAND_OFF_DECLINED
from service.complaint_access import Hand, Seat
from service.complaint_clocks import EntryKind
from service.complaint_records import Complaint
from service.complaint_tasks import pass_tasks_on
from service.complaints import (
    append,
    checked_name,
    checked_words,
    done,
    must_be_open,
    must_not_be_accused,
    record_fact,
)


class HandOffPending(Refusal):
    code = "HAND_OFF_PENDING"
    en = "Somebody is asked to take this complaint already, or owns it."
    zh = "该投诉已在转交中，或已由该员工负责。"


async def hand_off(
    session: Session, complaint: Complaint, to: str, words: str | None, *, by: Hand, now: datetime
) -> Complaint:
    """Ask somebody to take a complaint, one at a time.

    Raises ComplaintNotYours, ComplaintClosed, HandOffPending, AccusedCannotHandle, ComplaintInvalid.
    """
    by.needs(Seat.OWNER)
    must_be_open(complaint)
    employee = checked_name(to, "employeeId")
    if complaint.hand_off_to is not None or employee == complaint.owner:
        raise HandOffPending(path=("complaintId",))
    await must_not_be_accused(session, complaint, employee, "employeeId")
    said = None if words is None else checked_words(words)
    complaint.hand_off_to = employee
    details = {"employee": employee}
    await append(
        session, complaint, EntryKind.HAND_OFF_ASKED, employee=by.employee, words=said, details=details, now=now
    )
    return await done(session, complaint, now=now)


async def accept_hand_off(session: Session, complaint: Complaint, *, by: Hand, now: datetime) -> Complaint:
    """Own it from now on, with its warnings. Raises ComplaintNotYours, ComplaintClosed."""
    by.needs(Seat.CANDIDATE)
    must_be_open(complaint)
    details = {"before": complaint.owner}
    complaint.owner, complaint.hand_off_to = by.employee, None
    await append(session, complaint, EntryKind.HANDED_OFF, employee=by.employee, details=details, now=now)
    await pass_tasks_on(session, complaint)
    return await done(session, complaint, now=now)


async def decline_hand_off(
    session: Session, complaint: Complaint, words: str | None, *, by: Hand, now: datetime
) -> Complaint:
    """Leave it to its owner, which is a fact of the customer's. Raises ComplaintNotYours, ComplaintClosed."""
    by.needs(Seat.CANDIDATE)
    must_be_open(complaint)
    said = None if words is None else checked_words(words)
    complaint.hand_off_to = None
    await append(session, complaint, EntryKind.HAND_OFF_DECLINED, employee=by.employee, words=said, now=now)
    await record_fact(session, complaint, HAND_OFF_DECLINED, f"declined:{complaint.last_number}", now=now)
    return await done(session, complaint, now=now)
