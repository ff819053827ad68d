"""Advice: customers ask in threads of their own, and whoever looks after them answers by notes.

What is said is sealed by a key of the thread, which goes with it when the customer is erased. It stays what it is when
a profile becomes one with another: a thread moves with its key.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Index, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant, ring_of
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.outbox import owe, owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from core.sealing import new_data_key, seal, unseal
from core.tasks import TASK_OVER, TASK_OWED, TaskKind, task, task_key
from service.assessments import hold_guard
from service.entitlements import entitlements_of

LONGEST_QUESTION = 2_000
# Of a thread's questions so many may wait for an answer, and of a customer's threads so many may be open.
MOST_WAITING = 10
MOST_QUESTIONS = 100
MOST_OPEN = 20


class QuestionInvalid(Refusal):
    code = "QUESTION_INVALID"
    en = f"A question has 1 to {LONGEST_QUESTION} characters."
    zh = f"问题需为1至{LONGEST_QUESTION}个字符。"


class QuestionsWaiting(Refusal):
    code = "QUESTIONS_WAITING"
    en = "Too many of your questions wait for an answer already."
    zh = "您有过多问题尚待答复。"


class ThreadFull(Refusal):
    code = "ADVICE_THREAD_FULL"
    en = "This thread is long enough; please open a new one."
    zh = "该咨询内容过多，请新建咨询。"


class AdviceThread(Record, table=True):
    """What a customer and their advisors say to each other; `wrapped` is the key by which it is sealed.

    `waiting_since` is when the oldest question was asked that has no answer yet.
    """

    __table_args__ = (
        Index("ix_advice_thread_customer", "customer_id", "opened_at", "id"),
        Index("ix_advice_thread_opened", "opened_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    product: str | None = None
    wrapped: str
    key_id: int = Field(index=True)
    waiting_since: datetime | None = instant(optional=True)
    opened_at: datetime = instant()


class AdviceQuestion(Record, table=True):
    """What a customer asks; `answered_at` is when a note was published after it."""

    __table_args__ = (Index("ix_advice_question_thread", "thread_id", "asked_at", "id"),)

    id: str = Field(primary_key=True)
    thread_id: str = Field(foreign_key="advice_thread.id")
    customer_id: str = Field(index=True)
    sealed_text: str
    asked_at: datetime = instant()
    due_at: datetime = instant()
    answered_at: datetime | None = instant(optional=True)


# The table of keys that are wrapped by the ring, and whose they are, for their rotation.
WRAPPED_KEYS = (AdviceThread, "id")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, opened."""

    id: str
    text: str
    asked_at: datetime
    due_at: datetime
    answered_at: datetime | None


def key_of(session: Session, thread: AdviceThread) -> bytes:
    """The key of a thread; raises PersonalDataLocked."""
    return ring_of(session).unwrap(thread.key_id, thread.wrapped, thread.id)


def sealed_in(session: Session, thread: AdviceThread, text: str, *, row_id: str, column: str) -> str:
    """Words sealed for one row of a thread."""
    return seal(key_of(session, thread), text, owner=row_id, column=column)


def opened_in(session: Session, thread: AdviceThread, sealed: str, *, row_id: str, column: str) -> str:
    return unseal(key_of(session, thread), sealed, owner=row_id, column=column)


async def new_thread(session: Session, customer_id: str, product: str | None, *, now: datetime) -> AdviceThread:
    """A thread without words."""
    thread_id, ring = new_id(), ring_of(session)
    row = AdviceThread(
        id=thread_id,
        customer_id=customer_id,
        product=product,
        wrapped=ring.wrap(new_data_key(), thread_id),
        key_id=ring.newest,
        opened_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def ask_advisor(
    session: Session,
    customer_id: str,
    text: str,
    *,
    thread_id: str | None = None,
    product: str | None = None,
    now: datetime,
) -> AdviceThread:
    """Ask in a new thread, or in one of one's own, and owe the task to answer in the time that the tier of now has.

    Raises QuestionInvalid, QuestionsWaiting, ThreadFull, NotFound. The customer is held by the caller.
    """
    words = text.strip()
    if not 1 <= len(words) <= LONGEST_QUESTION or "\0" in words:
        raise QuestionInvalid(path=("text",))
    thread = await thread_to_ask_in(session, customer_id, thread_id, product, now=now)
    asked = select(AdviceQuestion.answered_at).where(AdviceQuestion.thread_id == thread.id).limit(MOST_QUESTIONS)
    before = (await session.exec(asked)).all()
    if len(before) >= MOST_QUESTIONS:
        raise ThreadFull(path=("threadId",))
    if before.count(None) >= MOST_WAITING:
        raise QuestionsWaiting
    question_id = new_id()
    row = AdviceQuestion(
        id=question_id,
        thread_id=thread.id,
        customer_id=customer_id,
        sealed_text=sealed_in(session, thread, words, row_id=question_id, column="text"),
        asked_at=now,
        due_at=now + (await entitlements_of(session, [customer_id], now=now))[customer_id].answered_within,
    )
    session.add(row)
    await session.flush()
    payload = task(TaskKind.ADVICE, customer_id=customer_id, subject=question_id, due_at=row.due_at)
    await owe(session, topic=TASK_OWED, key=task_key(TaskKind.ADVICE, question_id), payload=payload, now=now)
    return thread


async def thread_to_ask_in(
    session: Session, customer_id: str, thread_id: str | None, product: str | None, *, now: datetime
) -> AdviceThread:
    if thread_id is None:
        await hold_guard(session, customer_id, now=now)
        open_ones = select(func.count()).where(
            AdviceThread.customer_id == customer_id, col(AdviceThread.waiting_since).is_not(None)
        )
        if (await session.exec(open_ones)).one() >= MOST_OPEN:
            raise QuestionsWaiting
        thread = await new_thread(session, customer_id, product, now=now)
        thread.waiting_since = now
        session.add(thread)
        return thread
    thread = await hold_thread(session, thread_id)
    if thread is None or thread.customer_id != customer_id:
        raise NotFound(path=("threadId",))
    thread.waiting_since = thread.waiting_since or now
    session.add(thread)
    return thread


async def hold_thread(session: Session, thread_id: str) -> AdviceThread | None:
    """A thread, held by a first write: questions are asked and answered one after the other."""
    held = update(AdviceThread).where(col(AdviceThread.id) == thread_id)
    if not await changed_rows(session, held.values(key_id=col(AdviceThread.key_id))):
        return None
    return await session.get_one(AdviceThread, thread_id, populate_existing=True)


async def answer_questions(session: Session, thread: AdviceThread, *, now: datetime) -> None:
    """What waited in a thread that is held is answered; its tasks are over."""
    statement = select(AdviceQuestion).where(
        AdviceQuestion.thread_id == thread.id, col(AdviceQuestion.answered_at).is_(None)
    )
    rows = (await session.exec(statement)).all()
    for row in rows:
        row.answered_at = now
        session.add(row)
    thread.waiting_since = None
    session.add(thread)
    await session.flush()
    payloads = {
        task_key(TaskKind.ADVICE, row.id): task(
            TaskKind.ADVICE, customer_id=row.customer_id, subject=row.id, due_at=row.due_at
        )
        for row in rows
    }
    await owe_all(session, topic=TASK_OVER, payloads=payloads, now=now)


async def list_threads(
    session: Session, customer_ids: Collection[str] | None, *, waiting_only: bool, first: int | None, after: Place
) -> Page[AdviceThread]:
    """The threads of these customers, or of all where none are named, the latest first."""
    size = page_size(first)
    statement = select(AdviceThread)
    if customer_ids is not None:
        statement = statement.where(col(AdviceThread.customer_id).in_(customer_ids))
    if waiting_only:
        statement = statement.where(col(AdviceThread.waiting_since).is_not(None))
    page = newest_first(statement, col(AdviceThread.opened_at), col(AdviceThread.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.opened_at.isoformat(), row.id), after)


def asked_of(session: Session, thread: AdviceThread, row: AdviceQuestion) -> Asked:
    words = opened_in(session, thread, row.sealed_text, row_id=row.id, column="text")
    return Asked(row.id, words, row.asked_at, row.due_at, row.answered_at)


async def all_asked(session: Session, threads: Sequence[AdviceThread]) -> dict[str, list[Asked]]:
    """All questions of threads by their ids, the oldest first, opened; who may read them is asked before."""
    known = {one.id: one for one in threads}
    statement = select(AdviceQuestion).where(col(AdviceQuestion.thread_id).in_(sorted(known)))
    found: dict[str, list[Asked]] = {one: [] for one in known}
    for row in (await session.exec(statement.order_by(col(AdviceQuestion.asked_at), col(AdviceQuestion.id)))).all():
        found[row.thread_id].append(asked_of(session, known[row.thread_id], row))
    return found
