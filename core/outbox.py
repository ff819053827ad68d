"""What is owed: rows written together with the change that causes them, settled by the worker.

The queue only wakes a worker up. A row stays owed until its effect has committed in the same
transaction as its `settled_at`, so that a lost message delays an effect and never loses it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, UniqueConstraint, update
from sqlmodel import Field, col, select

from core.batches import in_batches
from core.db import OWED, Record, Session, changed_rows, insert_new, instant, json_column
from core.ids import derived_id

# A failing effect is tried again after 1, 2, 4 … seconds, at most every ten minutes, for ever.
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=10)
# A message tells a worker of so many effects at most, which it settles within the time that a job has.
HINT = 100


class Outbox(Record, table=True):
    """One effect that is owed, named by its topic and a key computed from the fact that causes it."""

    __table_args__ = (
        UniqueConstraint("topic", "key"),
        Index("ix_outbox_owed", "available_at"),
    )

    id: str = Field(primary_key=True)
    topic: str
    key: str
    payload: dict[str, Any] = json_column()
    created_at: datetime = instant()
    available_at: datetime | None = instant(optional=True)
    settled_at: datetime | None = instant(optional=True)
    attempts: int = 0
    failure: str | None = None


async def owe(
    session: Session,
    *,
    topic: str,
    key: str,
    payload: dict[str, Any],
    now: datetime,
    not_before: datetime | None = None,
) -> None:
    """Owe an effect, once per topic and key; it may be settled from `not_before` on."""
    due = {} if not_before is None else {key: not_before}
    is_due = not_before is None or not_before <= now
    await owe_all(session, topic=topic, payloads={key: payload}, now=now, not_before=due, hint=is_due)


async def owed(session: Session, *, now: datetime, limit: int) -> Sequence[tuple[str, str]]:
    """Topics and ids of effects that are due, the longest waiting first; settled rows have no `available_at`."""
    statement = select(Outbox.topic, Outbox.id).where(col(Outbox.available_at) <= now)
    return (await session.exec(statement.order_by(col(Outbox.available_at)).limit(limit))).all()


async def topics_of(session: Session, row_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Topics and ids of those of these effects that are still owed, in the order of the ids."""
    statement = select(Outbox.topic, Outbox.id).where(col(Outbox.id).in_(row_ids), col(Outbox.settled_at).is_(None))
    topics = {row_id: topic for topic, row_id in (await session.exec(statement)).all()}
    return [(topics[row_id], row_id) for row_id in row_ids if row_id in topics]


def hints_for(row_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The effects of one message each, so many as are settled together."""
    return in_batches(row_ids, HINT)


async def take(session: Session, row_id: str) -> Outbox | None:
    """Lock an owed row for this transaction; None when it is settled or another worker has it."""
    statement = select(Outbox).where(Outbox.id == row_id, col(Outbox.settled_at).is_(None))
    return (await session.exec(statement.with_for_update(skip_locked=True))).first()


async def take_all(session: Session, row_ids: Sequence[str]) -> Sequence[Outbox]:
    """Lock those of several owed rows that are not settled and that no other worker has."""
    statement = select(Outbox).where(col(Outbox.id).in_(list(row_ids)), col(Outbox.settled_at).is_(None))
    return (await session.exec(statement.order_by(col(Outbox.id)).with_for_update(skip_locked=True))).all()


def settle(row: Outbox, *, now: datetime, forget: bool = False) -> None:
    """Mark the row's effect as done; it commits together with the effect.

    `forget` takes its words away, where they may speak of somebody who is erased later; its key stays.
    """
    if forget:
        row.payload = {}
    row.settled_at = now
    row.available_at = None
    row.failure = None


async def postpone(session: Session, row_id: str, *, failure: str, now: datetime) -> None:
    """Note a failed attempt and wait longer each time before the next one."""
    row = await session.get(Outbox, row_id)
    if row is None or row.settled_at is not None:
        return
    pause = min(FIRST_PAUSE * 2 ** min(row.attempts, 20), LONGEST_PAUSE)
    statement = update(Outbox).where(col(Outbox.id) == row_id, col(Outbox.settled_at).is_(None))
    await changed_rows(
        session,
        statement.values(attempts=col(Outbox.attempts) + 1, failure=failure[:500], available_at=now + pause),
    )


async def owe_all(
    session: Session,
    *,
    topic: str,
    payloads: Mapping[str, dict[str, Any]],
    now: datetime,
    not_before: Mapping[str, datetime] | None = None,
    hint: bool = False,
) -> int:
    """Owe many effects by their keys, each once; returns how many are new.

    Those in `not_before` may be settled from then on. The sweep finds them; with `hint`, workers are told of them.
    """
    rows = [
        {
            "id": derived_id("outbox", topic, key),
            "topic": topic,
            "key": key,
            "payload": payload,
            "created_at": now,
            "available_at": (not_before or {}).get(key, now),
            "attempts": 0,
        }
        for key, payload in payloads.items()
    ]
    new = await insert_new(session, Outbox, rows)
    if hint:
        session.info.setdefault(OWED, []).extend(new)
    return len(new)
