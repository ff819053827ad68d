"""Which notices a subscriber has, as a cursor says it, and which they have still to be told.

A notice is stamped before it is committed, so one may come to light after a younger one: a place in their order would
lose it. So a cursor names an instant and what was told of the minute that ends there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import col, select

from core.db import Session
from core.history import CursorExpired, CursorInvalid
from core.paging import PageInvalid, decode_cursor, encode_cursor, instant_in_cursor
from service.notifications import Notification

# No transaction that stores a notice takes longer from its stamp to its commit.
OVERLAP = timedelta(seconds=60)
# Beyond so many within a minute the cursor reaches back less far.
MOST_NAMED = 100
# Whoever was away for longer reads the list.
KEPT = timedelta(days=7)
PAGE = 100
# Hexadecimal digits of what stands for a notice in a cursor.
SHORT = 12


@dataclass(slots=True)
class Told:
    """What somebody was told: all before `since`, and of what is stamped later those in `named`.

    With each stands its stamp, which is not known of what a cursor names until it is met again.
    """

    customer_id: str
    since: datetime
    named: dict[str, datetime | None] = field(default_factory=dict[str, datetime | None])

    def has(self, row: Notification) -> bool:
        """Whether this one was told."""
        name = short(row.id)
        if name in self.named:
            self.named[name] = row.created_at
        return name in self.named

    def add(self, row: Notification) -> None:
        """Take in that this one was told."""
        self.named[short(row.id)] = row.created_at
        came = sorted(at for at in self.named.values() if at is not None)
        self.since = max(self.since, came[-1] - OVERLAP)
        if len(came) > MOST_NAMED:
            self.since = max(self.since, came[-MOST_NAMED])
        self.named = {name: at for name, at in self.named.items() if at is None or at >= self.since}

    def cursor(self) -> str:
        return encode_cursor((f"customer:{self.customer_id}", self.since.isoformat(), "".join(self.named)))

    @classmethod
    def at(cls, cursor: str, customer_id: str, *, now: datetime) -> "Told":
        """What who holds this cursor was told; raises CursorInvalid where it is not theirs, and CursorExpired."""
        try:
            found = decode_cursor(cursor, str, str, str) or ("", "", "")
            since = instant_in_cursor(found[1])
        except PageInvalid as error:
            raise CursorInvalid(path=("after",)) from error
        names = str(found[2])
        if found[0] != f"customer:{customer_id}" or len(names) % SHORT:
            raise CursorInvalid(path=("after",))
        if since < now - KEPT:
            raise CursorExpired(path=("after",))
        return cls(customer_id, since, {names[at : at + SHORT]: None for at in range(0, len(names), SHORT)})


def beginning(customer_id: str, *, now: datetime) -> Told:
    """What somebody was told who begins now: all but what is stamped within the last minute, which is to be added."""
    return Told(customer_id, now - OVERLAP)


def short(id: str) -> str:
    return hashlib.blake2s(id.encode(), digest_size=SHORT // 2).hexdigest()


async def untold_notifications(session: Session, told: Told) -> Sequence[Notification]:
    """The oldest of the notices that are still to be told, in the order in which they are stamped."""
    own = select(Notification).where(
        Notification.customer_id == told.customer_id, col(Notification.created_at) >= told.since
    )
    ordered = own.order_by(col(Notification.created_at), col(Notification.id)).limit(PAGE + len(told.named))
    return [row for row in (await session.exec(ordered)).all() if not told.has(row)]
