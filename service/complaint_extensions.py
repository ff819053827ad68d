"""Extensions of the statutory time of a complaint: asked for with a reason, granted or refused by a second person."""

from datetime import datetime, timedelta
from enum import StrEnum

from core.days import day_of
from core.db import Session, zone_of
from core.errors import Refusal
from service.complaint_access import ComplaintNotYours, Hand, Seat
from service.complaint_clocks import EntryKind
from service.complaint_policies import definitions_by_id
from service.complaint_records import Complaint
from service.complaints import append, checked_words, done, must_be_open, tell_customer


class ExtensionNotPossible(Refusal):
    code = "EXTENSION_NOT_POSSIBLE"
    en = "It is too late for an extension, or there was the last one already."
    zh = "已超过法定期限或已达到最多延期次数，不能再延期。"


class ExtensionAsked(Refusal):
    code = "EXTENSION_ASKED"
    en = "An extension was asked for already; a second person decides."
    zh = "已申请延期，等待第二人审批。"


class ExtensionNotAsked(Refusal):
    code = "EXTENSION_NOT_ASKED"
    en = "Nobody has asked for an extension."
    zh = "尚无延期申请。"


class ExtensionByAsker(Refusal):
    code = "EXTENSION_BY_ASKER"
    en = "Whoever asked for the extension cannot decide about it."
    zh = "延期须由申请人以外的人员审批。"


class ExtensionReason(StrEnum):
    """Why more time is needed; words of who asks stand beside it."""

    COMPLEX = "COMPLEX"
    EVIDENCE = "EVIDENCE"
    THIRD_PARTY = "THIRD_PARTY"
    LEGAL = "LEGAL"
    OTHER = "OTHER"


async def extend_complaint(
    session: Session, complaint: Complaint, words: str, *, reason: ExtensionReason, by: Hand, now: datetime
) -> Complaint:
    """Ask for the next statutory time, before the present one is over; nothing changes until it is granted.

    Raises ComplaintNotYours, ComplaintClosed, ExtensionAsked, ExtensionNotPossible, ComplaintInvalid.
    """
    by.needs(Seat.OWNER)
    must_be_open(complaint)
    if complaint.extension_asked_by is not None:
        raise ExtensionAsked(path=("complaintId",))
    await must_be_possible(session, complaint, now=now)
    said = checked_words(words)
    complaint.extension_asked_by = by.employee
    details = {"reason": reason.value}
    await append(
        session, complaint, EntryKind.EXTENSION_ASKED, employee=by.employee, words=said, details=details, now=now
    )
    return await done(session, complaint, now=now)


async def decide_extension(
    session: Session, complaint: Complaint, *, is_granted: bool, by: Hand, now: datetime
) -> Complaint:
    """Grant or refuse it; of the bank's officers whoever has not asked for it. The customer is told of a longer time.

    Raises ComplaintNotYours, ComplaintClosed, ExtensionNotAsked, ExtensionByAsker, ExtensionNotPossible.
    """
    by.needs(Seat.OFFICER, Seat.OWNER, Seat.CANDIDATE)
    must_be_open(complaint)
    if complaint.extension_asked_by is None:
        raise ExtensionNotAsked(path=("complaintId",))
    if complaint.extension_asked_by == by.employee:
        raise ExtensionByAsker(path=("complaintId",))
    if not by.is_officer:
        raise ComplaintNotYours(path=("complaintId",))
    asked_by, complaint.extension_asked_by = complaint.extension_asked_by, None
    details = {"asked_by": asked_by}
    if not is_granted:
        await append(session, complaint, EntryKind.EXTENSION_REFUSED, employee=by.employee, details=details, now=now)
        return await done(session, complaint, now=now)
    await must_be_possible(session, complaint, now=now)
    complaint.extensions += 1
    await append(session, complaint, EntryKind.EXTENDED, employee=by.employee, details=details, now=now)
    await done(session, complaint, now=now)
    if complaint.statutory_due is not None:
        last = day_of(complaint.statutory_due - timedelta(microseconds=1), zone_of(session))
        await tell_customer(session, complaint, "complaint-extended", now=now, until=last.isoformat())
    return complaint


async def must_be_possible(session: Session, complaint: Complaint, *, now: datetime) -> None:
    """Raise ExtensionNotPossible where the time is over, or no longer one is left."""
    policy = (await definitions_by_id(session, [complaint.policy_id]))[complaint.policy_id]
    is_over = complaint.statutory_due is None or now >= complaint.statutory_due
    if is_over or complaint.extensions + 1 >= len(policy.statutory_days):
        raise ExtensionNotPossible(path=("complaintId",))
