"""What is kept of complaints: themselves, logs that are only added to, who is accused, and what was warned of."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.db import Record, Session, instant, json_column
from core.errors import NotFound
from service.complaint_clocks import EntryKind, Step


class ComplaintStatus(StrEnum):
    """WAITING is for the customer; a CLOSED one can be opened again."""

    OPEN = "OPEN"
    WAITING = "WAITING"
    CLOSED = "CLOSED"


class ComplaintTopic(StrEnum):
    """What a complaint is about, as who files it sees it."""

    FEES = "FEES"
    SERVICE = "SERVICE"
    PRODUCT = "PRODUCT"
    SALES = "SALES"
    SYSTEM = "SYSTEM"
    PRIVACY = "PRIVACY"
    COMMUNITY = "COMMUNITY"
    REWARDS = "REWARDS"
    OTHER = "OTHER"


class ComplaintChannel(StrEnum):
    """By which a complaint came."""

    APP = "APP"
    PHONE = "PHONE"
    BRANCH = "BRANCH"
    EMAIL = "EMAIL"
    WECHAT = "WECHAT"
    LETTER = "LETTER"
    REGULATOR = "REGULATOR"
    OTHER = "OTHER"


class ComplaintCause(StrEnum):
    """The root cause, as who closes a complaint found it."""

    PRODUCT_DESIGN = "PRODUCT_DESIGN"
    FEES_UNCLEAR = "FEES_UNCLEAR"
    PROCESS = "PROCESS"
    DELAY = "DELAY"
    STAFF_CONDUCT = "STAFF_CONDUCT"
    MISSELLING = "MISSELLING"
    SYSTEM_FAULT = "SYSTEM_FAULT"
    DATA_ERROR = "DATA_ERROR"
    PARTNER = "PARTNER"
    MISUNDERSTANDING = "MISUNDERSTANDING"
    UNFOUNDED = "UNFOUNDED"
    OTHER = "OTHER"


class Complaint(Record, table=True):
    """A complaint as it is by now; its deadlines are what its log gives by its policy's level and its calendar.

    `owner` is the employee who answers for it, null while nobody has taken it; `next_check_at` the next moment at which
    it is to be warned of or breached.
    """

    __table_args__ = (
        Index("ix_complaint_check", "next_check_at", "id"),
        Index("ix_complaint_queue", "status", "priority", "filed_at", "id"),
        Index("ix_complaint_owner", "owner", "status", "priority", "filed_at", "id"),
        Index("ix_complaint_candidate", "hand_off_to"),
        Index("ix_complaint_customer", "customer_id", "filed_at", "id"),
        Index("ix_complaint_calendar", "calendar_id", "status", "id"),
        Index("ix_complaint_closed", "closed_month"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    topic: str
    channel: str
    product: str | None = None
    community_id: str | None = None
    status: str = ComplaintStatus.OPEN
    owner: str | None = None
    hand_off_to: str | None = None
    filed_by: str | None = None
    filed_at: datetime = instant()
    policy_id: str = Field(foreign_key="complaint_policy.id")
    level: str
    priority: int
    calendar_id: str = Field(foreign_key="business_calendar.id")
    last_number: int = 0
    changed_at: datetime = instant()
    extensions: int = 0
    extension_asked_by: str | None = None
    cause: str | None = None
    told_on: date | None = None
    closed_at: datetime | None = instant(optional=True)
    closed_month: date | None = None
    solution_minutes: int | None = None
    is_breached: bool = False
    first_response_due: datetime | None = instant(optional=True)
    first_response_at: datetime | None = instant(optional=True)
    update_due: datetime | None = instant(optional=True)
    solution_due: datetime | None = instant(optional=True)
    statutory_due: datetime | None = instant(optional=True)
    is_provisional: bool = False
    next_check_at: datetime | None = instant(optional=True)

    @property
    def reference(self) -> str:
        """What a person can say on the phone."""
        return f"{self.filed_at:%y%m%d}-{self.id[-6:].upper()}"


class ComplaintEntry(Record, table=True):
    """One thing that happened; `employee` is null where the customer did it, `words` are sealed."""

    __table_args__ = (Index("ix_complaint_entry_customer", "customer_id"),)

    complaint_id: str = Field(primary_key=True, foreign_key="complaint.id")
    number: int = Field(primary_key=True)
    customer_id: str
    kind: str
    employee: str | None = None
    at: datetime = instant()
    words: str | None = None
    details: dict[str, Any] = json_column()


class ComplaintAccused(Record, table=True):
    """An employee whom a complaint is about."""

    __table_args__ = (Index("ix_complaint_accused_employee", "employee"),)

    complaint_id: str = Field(primary_key=True, foreign_key="complaint.id")
    employee: str = Field(primary_key=True)
    named_at: datetime = instant()


class ComplaintMark(Record, table=True):
    """A warning or a breach that has happened, once for a run of a clock; late where it was noticed much later.

    It is over when what it warns of is: the run has ended.
    """

    __table_args__ = (Index("ix_complaint_mark_complaint", "complaint_id", "due_at", "id"),)

    id: str = Field(primary_key=True)
    complaint_id: str = Field(foreign_key="complaint.id")
    clock: str
    anchor: int
    stage: str
    due_at: datetime = instant()
    marked_at: datetime = instant()
    is_late: bool
    is_over: bool


async def lock_complaint(session: Session, complaint_id: str) -> Complaint:
    """The complaint as it is by now, held for this transaction: what is done to it is done one after the other.

    Raises NotFound.
    """
    statement = select(Complaint).where(Complaint.id == complaint_id).with_for_update()
    found = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(path=("complaintId",))
    return found


async def find_complaint(session: Session, complaint_id: str) -> Complaint | None:
    return await session.get(Complaint, complaint_id, populate_existing=True)


async def logs_of(session: Session, ids: Collection[str]) -> dict[str, list[Step]]:
    """The logs of several complaints as far as clocks go by them, in one statement."""
    entry = ComplaintEntry
    statement = select(entry.complaint_id, entry.number, entry.kind, entry.at).where(col(entry.complaint_id).in_(ids))
    found: dict[str, list[Step]] = {id: [] for id in ids}
    for complaint_id, number, kind, at in (await session.exec(statement.order_by(col(entry.number)))).all():
        found[complaint_id].append(Step(number, EntryKind(kind), at))
    return found


async def accused_of(session: Session, ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Who is accused in several complaints, in one statement."""
    named = select(ComplaintAccused).where(col(ComplaintAccused.complaint_id).in_(ids))
    found: dict[str, set[str]] = {id: set() for id in ids}
    for row in (await session.exec(named)).all():
        found[row.complaint_id].add(row.employee)
    return {id: frozenset(names) for id, names in found.items()}


async def entries_of(session: Session, ids: Collection[str]) -> dict[str, Sequence[ComplaintEntry]]:
    """The logs of several complaints with their words as they are sealed, in one statement."""
    found: dict[str, list[ComplaintEntry]] = {id: [] for id in ids}
    statement = select(ComplaintEntry).where(col(ComplaintEntry.complaint_id).in_(ids))
    for row in (await session.exec(statement.order_by(col(ComplaintEntry.number)))).all():
        found[row.complaint_id].append(row)
    return dict(found)


async def marks_of(session: Session, ids: Collection[str]) -> dict[str, Sequence[ComplaintMark]]:
    """What was warned of and breached of several complaints, in the order in which it was due."""
    found: dict[str, list[ComplaintMark]] = {id: [] for id in ids}
    statement = select(ComplaintMark).where(col(ComplaintMark.complaint_id).in_(ids))
    for row in (await session.exec(statement.order_by(col(ComplaintMark.due_at), col(ComplaintMark.id)))).all():
        found[row.complaint_id].append(row)
    return dict(found)
