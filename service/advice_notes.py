"""Advice notes: a rationale about a product, and the suitability check as it was when the note was published.

A note is a draft of staff until then, which no customer sees; for a product that does not fit it is never published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Index, update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, instant
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import owe
from core.paging import Page, Place, cut, newest_first, page_size
from service.advice import AdviceThread, all_asked, answer_questions, hold_thread, opened_in, sealed_in
from service.advice_words import ADVICE_PUBLISHED
from service.assessments import current_assessment, hold_guard
from service.products import offers_of
from service.suitability import Suitability, check_suitability, suitability_of_snapshot

LONGEST_RATIONALE = 5_000
MOST_NOTES = 200


class RationaleInvalid(Refusal):
    code = "RATIONALE_INVALID"
    en = f"A rationale has 1 to {LONGEST_RATIONALE} characters."
    zh = f"建议理由需为1至{LONGEST_RATIONALE}个字符。"


class NotePublished(Refusal):
    code = "ADVICE_NOTE_PUBLISHED"
    en = "This note is published already; please draft a new one."
    zh = "该建议已发布，请另行起草。"


class ProductUnsuitable(Refusal):
    code = "PRODUCT_UNSUITABLE"
    en = "The product does not fit the customer; the note stays a draft."
    zh = "该产品不适合此客户，建议保持草稿状态。"


class TooManyNotes(Refusal):
    code = "TOO_MANY_ADVICE_NOTES"
    en = f"A thread has {MOST_NOTES} notes at most."
    zh = f"每个咨询至多{MOST_NOTES}条建议。"


class NoteStatus(StrEnum):
    """What is published is never changed."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"


class AdviceNote(Record, table=True):
    """One note; `snapshot` is what was found when it was published, null for a draft."""

    __table_args__ = (
        Index("ix_advice_note_customer", "customer_id", "drafted_at", "id"),
        Index("ix_advice_note_thread", "thread_id", "drafted_at", "id"),
        Index("ix_advice_note_drafted", "drafted_at", "id"),
    )

    id: str = Field(primary_key=True)
    thread_id: str = Field(foreign_key="advice_thread.id")
    customer_id: str
    product: str
    sealed_rationale: str
    status: str = NoteStatus.DRAFT
    snapshot: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    drafted_by: str
    drafted_at: datetime = instant()
    changed_at: datetime = instant()
    published_by: str | None = None
    published_at: datetime | None = instant(optional=True)

    @property
    def is_published(self) -> bool:
        return self.status == NoteStatus.PUBLISHED

    def checked(self) -> Suitability | None:
        return suitability_of_snapshot(self.snapshot) if self.snapshot is not None else None


@dataclass(frozen=True, slots=True)
class NoteWords:
    """What a note says."""

    product: str
    rationale: str


async def draft_advice_note(
    session: Session, thread: AdviceThread, words: NoteWords, *, actor: str, now: datetime
) -> AdviceNote:
    """Draft a note in a thread that is held; raises RationaleInvalid, TooManyNotes."""
    rationale = checked_rationale(words.rationale)
    ids = select(AdviceNote.id).where(AdviceNote.thread_id == thread.id).limit(MOST_NOTES)
    if len((await session.exec(ids)).all()) >= MOST_NOTES:
        raise TooManyNotes
    note_id = new_id()
    row = AdviceNote(
        id=note_id,
        thread_id=thread.id,
        customer_id=thread.customer_id,
        product=words.product,
        sealed_rationale=sealed_in(session, thread, rationale, row_id=note_id, column="rationale"),
        drafted_by=actor,
        drafted_at=now,
        changed_at=now,
    )
    session.add(row)
    await session.flush()
    await record_change(session, "advice-note", row.id, "drafted", actor=actor, now=now, concerns=row.customer_id)
    return row


async def redraft_advice_note(
    session: Session, note_id: str, words: NoteWords, *, actor: str, now: datetime
) -> AdviceNote:
    """Let a draft say something else; raises RationaleInvalid, NotFound, NotePublished."""
    rationale = checked_rationale(words.rationale)
    row, thread = await hold_note(session, note_id)
    row.product, row.changed_at = words.product, now
    row.sealed_rationale = sealed_in(session, thread, rationale, row_id=row.id, column="rationale")
    session.add(row)
    await session.flush()
    await record_change(session, "advice-note", row.id, "redrafted", actor=actor, now=now, concerns=row.customer_id)
    return row


def checked_rationale(text: str) -> str:
    words = text.strip()
    if not 1 <= len(words) <= LONGEST_RATIONALE or "\0" in words:
        raise RationaleInvalid(path=("rationale",))
    return words


async def hold_note(session: Session, note_id: str) -> tuple[AdviceNote, AdviceThread]:
    """A draft and its thread, both held; raises NotFound, NotePublished."""
    note = await session.get(AdviceNote, note_id)
    thread = await hold_thread(session, note.thread_id) if note is not None else None
    if thread is None:
        raise NotFound(path=("noteId",))
    held = update(AdviceNote).where(col(AdviceNote.id) == note_id, col(AdviceNote.status) == NoteStatus.DRAFT)
    if not await changed_rows(session, held.values(status=NoteStatus.DRAFT)):
        raise NotePublished(path=("noteId",))
    return await session.get_one(AdviceNote, note_id, populate_existing=True), thread


async def publish_advice_note(session: Session, note_id: str, *, actor: str, now: datetime) -> AdviceNote:
    """Show a draft to the customer, who is told, where its product fits; what waited in the thread is answered by it.

    Neither the product's rating nor the customer's class changes until it is published. Raises NotFound, NotePublished,
    ProductUnsuitable, which names the reasons.
    """
    row, thread = await hold_note(session, note_id)
    await hold_guard(session, row.customer_id, now=now)
    found = await check_of(session, row.customer_id, row.product, now=now, hold=True)
    if not found.is_suitable:
        raise ProductUnsuitable(path=("noteId",), detail=", ".join(found.reasons))
    row.status, row.snapshot = NoteStatus.PUBLISHED, found.as_snapshot()
    row.published_by, row.published_at = actor, now
    session.add(row)
    await session.flush()
    await answer_questions(session, thread, now=now)
    told = message(MessageCategory.SERVICE, customer_id=row.customer_id, template=ADVICE_PUBLISHED, subject=row.id)
    await owe(session, topic=MESSAGE_OWED, key=f"advice:{row.id}", payload=told, now=now)
    await record_change(session, "advice-note", row.id, "published", actor=actor, now=now, concerns=row.customer_id)
    return row


async def check_of(
    session: Session, customer_id: str, product: str, *, now: datetime, hold: bool = False
) -> Suitability:
    """Whether a product fits a customer now; held, its rating stays so until the transaction ends."""
    offer = (await offers_of(session, [product], hold=hold)).get(product)
    known = await current_assessment(session, customer_id, now=now)
    return check_suitability(product, offer, known.assessed() if known else None, now=now)


def rationale_of(session: Session, thread: AdviceThread, note: AdviceNote) -> str:
    """What a note says, opened; who may read it is asked before."""
    return opened_in(session, thread, note.sealed_rationale, row_id=note.id, column="rationale")


async def list_notes(
    session: Session,
    customer_ids: Sequence[str] | None,
    *,
    published_only: bool,
    thread_id: str | None = None,
    first: int | None,
    after: Place,
) -> Page[AdviceNote]:
    """The notes of these customers, or of all where none are named, the latest drafted first."""
    size = page_size(first)
    statement = select(AdviceNote)
    if customer_ids is not None:
        statement = statement.where(col(AdviceNote.customer_id).in_(customer_ids))
    if thread_id is not None:
        statement = statement.where(AdviceNote.thread_id == thread_id)
    if published_only:
        statement = statement.where(AdviceNote.status == NoteStatus.PUBLISHED)
    page = newest_first(statement, col(AdviceNote.drafted_at), col(AdviceNote.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.drafted_at.isoformat(), row.id), after)


async def export_advice(session: Session, customer_id: str, *, most: int = MOST_NOTES) -> list[dict[str, Any]]:
    """What a customer asked and was advised, opened, for them to take away; drafts are no advice yet."""
    statement = select(AdviceThread).where(AdviceThread.customer_id == customer_id)
    threads = (
        await session.exec(statement.order_by(col(AdviceThread.opened_at), col(AdviceThread.id)).limit(most))
    ).all()
    asked = await all_asked(session, threads)
    published = select(AdviceNote).where(
        col(AdviceNote.thread_id).in_([one.id for one in threads]), AdviceNote.status == NoteStatus.PUBLISHED
    )
    notes = (await session.exec(published.order_by(col(AdviceNote.published_at), col(AdviceNote.id)))).all()
    return [
        {
            "thread": thread.id,
            "product": thread.product,
            "questions": [{"text": one.text, "asked_at": one.asked_at.isoformat()} for one in asked[thread.id]],
            "notes": [
                {
                    "product": note.product,
                    "rationale": rationale_of(session, thread, note),
                    "check": note.snapshot,
                    "published_by": note.published_by,
                    "published_at": note.published_at.isoformat() if note.published_at else None,
                }
                for note in notes
                if note.thread_id == thread.id
            ],
        }
        for thread in threads
    ]
