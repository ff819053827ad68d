"""Messages to customers: each is stored once by its key, decided under the row of its customer, and keeps why.

A message is QUEUED until its first channel has it; whether it counts for caps is said by `released_at`, when it was
let out to its channels.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, func, update
from sqlmodel import Field, col, select

from core.clock import iso
from core.db import Record, Session, changed_rows, insert_into, insert_once, instant, json_column, rows_by_id
from core.ids import derived_id
from core.messages import MessageCategory
from core.notices import NoticeKind
from core.outbox import owe
from core.paging import Page, Place, cut, newest_first, page_size
from service.message_decision import Decision, Reason, Verdict
from service.message_deliveries import put_deliveries
from service.message_policy import MessageChannel, MessageDefinition
from service.message_words import is_known
from service.notifications import notify

# The topic of a message that was put off; its payload names the message.
MESSAGE_DUE = "message.due"
LONGEST_TEMPLATE = 60


class MessageStatus(StrEnum):
    """SENT as soon as one channel has it; FAILED when none of them ever took it."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    SUPPRESSED = "SUPPRESSED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class Message(Record, table=True):
    """One message that was owed to a customer; its words are made from `template` and `values` when it is read."""

    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_message_customer", "customer_id", "owed_at", "id"),
        Index("ix_message_released", "customer_id", "released_at"),
    )

    id: str = Field(primary_key=True)
    key: str
    customer_id: str
    category: str
    template: str
    subject: str
    words: dict[str, Any] = json_column()
    status: str = MessageStatus.QUEUED
    reason: str | None = None
    by_channel: dict[str, Any] = json_column()
    policy_id: str | None = None
    owed_at: datetime = instant()
    expires_at: datetime | None = instant(optional=True)
    decided_at: datetime | None = instant(optional=True)
    next_at: datetime | None = instant(optional=True)
    released_at: datetime | None = instant(optional=True)
    sent_at: datetime | None = instant(optional=True)


class MessageGuard(Record, table=True):
    """The row by which workers take turns when they decide messages of one customer."""

    customer_id: str = Field(primary_key=True)
    held_at: datetime = instant()


def message_id_of(key: str) -> str:
    return derived_id("message", key)


async def hold_customer(session: Session, customer_id: str, *, now: datetime) -> None:
    """Wait for whoever decides a message of this customer, and keep others from it until the transaction ends.

    What the others have released is read after this write, so that a cap is never counted by two at once.
    """
    put = insert_into(session, MessageGuard).values(customer_id=customer_id, held_at=now)
    await session.exec(put.on_conflict_do_update(index_elements=["customer_id"], set_={"held_at": now}))


async def put_message(
    session: Session, key: str, payload: Mapping[str, Any], *, customer_id: str, now: datetime
) -> Message:
    """The message that is owed by this key, stored once."""
    expires_at = payload.get("expires_at")
    row = {
        "id": message_id_of(key),
        "key": key,
        "customer_id": customer_id,
        "category": MessageCategory(payload["category"]).value,
        "template": payload["template"],
        "subject": payload["subject"],
        "words": payload.get("values") or {},
        "status": MessageStatus.QUEUED,
        "by_channel": {},
        "owed_at": now,
        "expires_at": datetime.fromisoformat(expires_at) if expires_at else None,
    }
    await insert_once(session, Message, row)
    return await session.get_one(Message, row["id"], populate_existing=True)


def is_open(message: Message) -> bool:
    """Whether a message is still to be decided."""
    return message.status == MessageStatus.QUEUED and message.released_at is None


async def released_of(
    session: Session, customer_id: str, policy: MessageDefinition, *, now: datetime
) -> dict[MessageCategory, list[datetime]]:
    """When messages with a cap were let out to a customer, as far back as any cap counts."""
    caps = [policy.total, *(rule.cap for rule in policy.categories.values() if rule.cap is not None)]
    # A day more than the longest cap: it begins at midnight of the customer's zone, wherever that is.
    since = now - timedelta(days=max(cap.days for cap in caps) + 1)
    capped = [category.value for category, rule in policy.categories.items() if rule.cap is not None]
    statement = select(Message.category, Message.released_at).where(
        Message.customer_id == customer_id, col(Message.released_at) >= since, col(Message.category).in_(capped)
    )
    found: dict[MessageCategory, list[datetime]] = {}
    for category, released_at in (await session.exec(statement)).all():
        if released_at is not None:
            found.setdefault(MessageCategory(category), []).append(released_at)
    return found


async def waiting_of(session: Session, message: Message) -> dict[MessageCategory, int]:
    """How many other messages of its customer wait, by category."""
    statement: Any = (
        select(Message.category, func.count())
        .where(
            Message.customer_id == message.customer_id,
            Message.status == MessageStatus.QUEUED,
            col(Message.released_at).is_(None),
            Message.id != message.id,
        )
        .group_by(col(Message.category))
    )
    return {MessageCategory(category): count for category, count in (await session.exec(statement)).all()}


async def fail_unknown(session: Session, message: Message, *, now: datetime) -> bool:
    """End a message that has no words; True where it had none."""
    if is_known(message.template):
        return False
    message.status, message.reason, message.decided_at = MessageStatus.FAILED, Reason.UNKNOWN_TEMPLATE, now
    await session.flush()
    return True


async def carry_out(session: Session, message: Message, decision: Decision, *, policy_id: str, now: datetime) -> bool:
    """Note a decision and do what follows from it; True where the app's inbox has something new."""
    message.reason, message.decided_at, message.policy_id = decision.reason, now, policy_id
    message.by_channel = {channel.value: str(reason) for channel, reason in (decision.by_channel or {}).items()}
    message.next_at = decision.until
    told = False
    if decision.verdict is Verdict.SUPPRESS:
        message.status = MessageStatus.SUPPRESSED
    elif decision.verdict is Verdict.EXPIRE:
        message.status = MessageStatus.EXPIRED
    elif decision.verdict is Verdict.DEFER and decision.until is not None:
        await put_off_until(session, message, decision.until, now=now)
    else:
        told = await release(session, message, decision.channels, now=now)
    await session.flush()
    return told


async def put_off_until(session: Session, message: Message, until: datetime, *, now: datetime) -> None:
    """Owe that it is decided again; the outbox keeps it until then."""
    await owe(
        session,
        topic=MESSAGE_DUE,
        key=f"{message.id}:{iso(until)}",
        payload={"message_id": message.id},
        now=now,
        not_before=until,
    )


async def release(session: Session, message: Message, channels: Sequence[MessageChannel], *, now: datetime) -> bool:
    """Let a message out: to the app's inbox at once, to others by deliveries that are due."""
    message.released_at = now
    await put_deliveries(session, message.id, message.customer_id, channels, now=now)
    if MessageChannel.APP not in channels:
        message.reason = Reason.ON_ITS_WAY
        return False
    message.status, message.sent_at = MessageStatus.SENT, now
    notice = {"customer_id": message.customer_id, "kind": NoticeKind.MESSAGE, "data": {"message_id": message.id}}
    return await notify(session, f"message:{message.id}", notice, now=now)


async def mark_sent(session: Session, message_id: str, *, now: datetime) -> None:
    """Note that a channel has it; a message that had failed is sent when its delivery is replayed."""
    still = col(Message.status).in_([MessageStatus.QUEUED, MessageStatus.FAILED])
    sent = update(Message).where(col(Message.id) == message_id, still)
    values: dict[str, Any] = {"status": MessageStatus.SENT, "reason": Reason.SENT, "sent_at": now}
    await changed_rows(session, sent.values(**values))


async def mark_ended(session: Session, message_id: str, status: MessageStatus, reason: Reason) -> None:
    """Note that no channel took it and none is left to; one that is SENT stays so."""
    ended = update(Message).where(col(Message.id) == message_id, col(Message.status) == MessageStatus.QUEUED)
    await changed_rows(session, ended.values(status=status, reason=reason))


async def list_messages(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[Message]:
    """A customer's messages, also those that were not sent, the latest owed first."""
    size = page_size(first)
    statement = select(Message).where(Message.customer_id == customer_id)
    page = newest_first(statement, col(Message.owed_at), col(Message.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.owed_at.isoformat(), row.id), after)


async def messages_by_id(session: Session, ids: Sequence[str]) -> dict[str, Message]:
    return await rows_by_id(session, Message, ids)
