"""Deliveries: one message by one channel, tried until it is taken or given up.

A worker takes a delivery for a time by a write that only one can make, sends outside of any transaction, and notes
what came of it. Killed in between, the delivery is due again when that time is over, and is sent again with the same
id, by which the other side knows it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, Update, text, update
from sqlmodel import Field, col, func, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import NotFound, Refusal
from core.ids import derived_id
from core.paging import Page, Place, cut, newest_first, page_size
from service.message_policy import MessageChannel

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
# With pauses of 5 s, 10 s, … 1 h that is about four and a half hours.
MOST_ATTEMPTS = 14
# So long a worker has a delivery; sending it takes less, or is given up.
LEASE = timedelta(seconds=60)


class DeliveryStatus(StrEnum):
    """DUE until it is SENT, DEAD after so many attempts, or not to be sent any more: EXPIRED, or WITHDRAWN."""

    DUE = "DUE"
    SENT = "SENT"
    DEAD = "DEAD"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"


class NoDeadLetter(Refusal):
    code = "NO_DEAD_LETTER"
    en = "This delivery is not given up, or somebody has replayed it already."
    zh = "该投递并未失败，或已被重新投递。"


class MessageDelivery(Record, table=True):
    """One message by one channel; `failure` is a code and never what the other side answered."""

    __table_args__ = (
        Index("ix_message_delivery_message", "message_id"),
        Index("ix_message_delivery_customer", "customer_id"),
        Index("ix_message_delivery_due", "channel", "due_at", "id"),
        Index(
            "ix_message_delivery_dead",
            "ended_at",
            "id",
            sqlite_where=text("status = 'DEAD'"),
            postgresql_where=text("status = 'DEAD'"),
        ),
    )

    id: str = Field(primary_key=True)
    message_id: str
    customer_id: str
    channel: str
    status: str = DeliveryStatus.DUE
    attempts: int = 0
    replays: int = 0
    failure: str | None = None
    created_at: datetime = instant()
    due_at: datetime | None = instant(optional=True)
    ended_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this worker has for now; `attempt` tells it from whoever takes it later."""

    id: str
    message_id: str
    customer_id: str
    channel: MessageChannel
    attempt: int


def delivery_id_of(message_id: str, channel: MessageChannel) -> str:
    return derived_id("message_delivery", message_id, channel)


async def put_deliveries(
    session: Session, message_id: str, customer_id: str, channels: Sequence[MessageChannel], *, now: datetime
) -> None:
    """Owe a message by these channels, each once; the app's own inbox has it in the same transaction."""
    rows = [
        {
            "id": delivery_id_of(message_id, channel),
            "message_id": message_id,
            "customer_id": customer_id,
            "channel": channel.value,
            "status": DeliveryStatus.SENT if channel is MessageChannel.APP else DeliveryStatus.DUE,
            "attempts": 0,
            "replays": 0,
            "created_at": now,
            "due_at": None if channel is MessageChannel.APP else now,
            "ended_at": now if channel is MessageChannel.APP else None,
        }
        for channel in channels
    ]
    await insert_once(session, MessageDelivery, rows, "id")


async def due_deliveries(session: Session, channel: MessageChannel, *, now: datetime, limit: int) -> Sequence[str]:
    """The ids of deliveries by a channel that nobody has, the longest due first."""
    statement = select(MessageDelivery.id).where(MessageDelivery.channel == channel, col(MessageDelivery.due_at) <= now)
    ordered = statement.order_by(col(MessageDelivery.due_at), col(MessageDelivery.id))
    return (await session.exec(ordered.limit(limit))).all()


async def take_delivery(session: Session, delivery_id: str, *, now: datetime) -> Taken | None:
    """Take a delivery for the time of a lease; None where another worker was faster, or it has ended."""
    free = update(MessageDelivery).where(
        col(MessageDelivery.id) == delivery_id,
        col(MessageDelivery.status) == DeliveryStatus.DUE,
        col(MessageDelivery.due_at) <= now,
    )
    if not await changed_rows(session, free.values(attempts=MessageDelivery.attempts + 1, due_at=now + LEASE)):
        return None
    row = await session.get_one(MessageDelivery, delivery_id, populate_existing=True)
    return Taken(row.id, row.message_id, row.customer_id, MessageChannel(row.channel), row.attempts)


async def end_delivery(
    session: Session, taken: Taken, status: DeliveryStatus, *, failure: str | None = None, now: datetime
) -> bool:
    """Note how a delivery ended. That it was sent is true whoever has it by now; anything else only its holder says."""
    row = due_still(taken) if status is DeliveryStatus.SENT else held_still(taken)
    return bool(await changed_rows(session, row.values(status=status, failure=failure, due_at=None, ended_at=now)))


async def fail_delivery(
    session: Session, taken: Taken, *, failure: str, is_final: bool, now: datetime
) -> DeliveryStatus | None:
    """Note a failed attempt: it is due again after a pause, or dead; None where somebody else has it by now."""
    if is_final or taken.attempt >= MOST_ATTEMPTS:
        ended = await end_delivery(session, taken, DeliveryStatus.DEAD, failure=failure, now=now)
        return DeliveryStatus.DEAD if ended else None
    row = held_still(taken)
    due_at = now + pause_after(taken.id, taken.attempt)
    return DeliveryStatus.DUE if await changed_rows(session, row.values(failure=failure, due_at=due_at)) else None


async def put_off_delivery(session: Session, taken: Taken, *, until: datetime) -> None:
    """Give back what was taken and not tried: it is due then, and the attempt does not count."""
    row = held_still(taken)
    await changed_rows(session, row.values(attempts=taken.attempt - 1, due_at=until))


def due_still(taken: Taken) -> Update:
    """Changes the delivery unless it has ended."""
    return update(MessageDelivery).where(
        col(MessageDelivery.id) == taken.id, col(MessageDelivery.status) == DeliveryStatus.DUE
    )


def held_still(taken: Taken) -> Update:
    """Likewise, unless somebody else has taken it since."""
    return due_still(taken).where(col(MessageDelivery.attempts) == taken.attempt)


def pause_after(delivery_id: str, attempt: int) -> timedelta:
    """How long to wait after a failed attempt: doubled each time, and of that three quarters to five quarters.

    The part is drawn from the id and the attempt: many deliveries that failed together do not come back together.
    """
    drawn = hashlib.sha256(f"{delivery_id}:{attempt}".encode()).digest()
    share = 0.75 + int.from_bytes(drawn[:4], "big") / 2**32 / 2
    return min(FIRST_PAUSE * 2 ** min(attempt - 1, 20), LONGEST_PAUSE) * share


async def is_any_left(session: Session, message_id: str) -> bool:
    """Whether a delivery of this message may yet be taken, or was."""
    statement = select(func.count()).where(
        MessageDelivery.message_id == message_id,
        col(MessageDelivery.status).in_([DeliveryStatus.DUE, DeliveryStatus.SENT]),
    )
    return bool((await session.exec(statement)).one())


async def deliveries_of(session: Session, message_ids: Sequence[str]) -> dict[str, list[MessageDelivery]]:
    """The deliveries of these messages, by message."""
    found: dict[str, list[MessageDelivery]] = {message_id: [] for message_id in message_ids}
    statement = select(MessageDelivery).where(col(MessageDelivery.message_id).in_(list(message_ids)))
    for row in (await session.exec(statement.order_by(col(MessageDelivery.channel)))).all():
        found[row.message_id].append(row)
    return found


async def list_dead_letters(session: Session, *, first: int | None, after: Place) -> Page[MessageDelivery]:
    """The deliveries that were given up, the latest first."""
    size = page_size(first)
    statement = select(MessageDelivery).where(MessageDelivery.status == DeliveryStatus.DEAD)
    page = newest_first(statement, col(MessageDelivery.ended_at), col(MessageDelivery.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, cursor_of, after)


def cursor_of(row: MessageDelivery) -> tuple[str, str]:
    return ((row.ended_at or row.created_at).isoformat(), row.id)


async def replay_dead_letter(session: Session, delivery_id: str, *, actor: str, now: datetime) -> MessageDelivery:
    """Let a delivery that was given up be tried again from its first attempt, with the id that it had.

    Raises NotFound, NoDeadLetter.
    """
    row = await session.get(MessageDelivery, delivery_id)
    if row is None:
        raise NotFound(path=("deliveryId",))
    dead = update(MessageDelivery).where(
        col(MessageDelivery.id) == delivery_id, col(MessageDelivery.status) == DeliveryStatus.DEAD
    )
    again: dict[str, Any] = {
        "status": DeliveryStatus.DUE,
        "attempts": 0,
        "replays": MessageDelivery.replays + 1,
        "due_at": now,
        "ended_at": None,
    }
    if not await changed_rows(session, dead.values(**again)):
        raise NoDeadLetter(path=("deliveryId",))
    await record_change(session, "message-delivery", delivery_id, "replayed", actor=actor, now=now)
    return await session.get_one(MessageDelivery, delivery_id, populate_existing=True)
