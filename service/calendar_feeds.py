"""Private calendar feeds: an address per customer whose secret we keep as a hash, and revisions of what it shows."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import UniqueConstraint, delete, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant, table_of

TOKEN_BYTES = 32
# A token is that many bytes in base64; anything longer is not looked up.
LONGEST_TOKEN = 64


class CalendarFeed(Record, table=True):
    """The one feed of a customer; `etag` and `modified_at` tell readers when what it shows last changed."""

    __table_args__ = (UniqueConstraint("token_hash"),)

    customer_id: str = Field(primary_key=True)
    token_hash: str
    language: str
    created_at: datetime = instant()
    etag: str | None = None
    modified_at: datetime = instant()


class CalendarRevision(Record, table=True):
    """How often an event has changed in what calendars show (RFC 5545, SEQUENCE), as far as they have asked."""

    event_id: str = Field(primary_key=True)
    fingerprint: str
    sequence: int
    changed_at: datetime = instant()


async def create_feed(session: Session, customer_id: str, *, language: str, now: datetime) -> str:
    """Give the customer a new secret token, shown this once; an earlier one stops working."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = {
        "customer_id": customer_id,
        "token_hash": hash_of(token),
        "language": language,
        "created_at": now,
        "etag": None,
        "modified_at": now,
    }
    if not await insert_once(session, CalendarFeed, row, "customer_id"):
        await changed_rows(session, update(CalendarFeed).where(owned_by(customer_id)).values(row))
    return token


async def revoke_feed(session: Session, customer_id: str) -> bool:
    """Take the feed away; False where there was none."""
    return bool(await changed_rows(session, delete(CalendarFeed).where(owned_by(customer_id))))


def owned_by(customer_id: str):
    return table_of(CalendarFeed).c.customer_id == customer_id


def hash_of(token: str) -> str:
    """What is kept of a token; it is long and random, so a plain hash cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()


async def feed_of_token(session: Session, token: str) -> CalendarFeed | None:
    """The feed of this secret address; None for an unknown or revoked one."""
    if not token.isascii() or len(token) > LONGEST_TOKEN:
        return None
    return (await session.exec(select(CalendarFeed).where(CalendarFeed.token_hash == hash_of(token)))).first()


async def feed_of_customer(session: Session, customer_id: str) -> CalendarFeed | None:
    return await session.get(CalendarFeed, customer_id)


async def note_content(session: Session, feed: CalendarFeed, etag: str, *, now: datetime) -> None:
    """Remember that the feed shows something else from now on."""
    same_token = col(CalendarFeed.token_hash) == feed.token_hash
    await changed_rows(session, update(CalendarFeed).where(same_token).values(etag=etag, modified_at=now))


async def revisions_of(session: Session, fingerprints: Mapping[str, str]) -> dict[str, CalendarRevision]:
    """The revisions known of these events, by event id."""
    if not fingerprints:
        return {}
    statement = select(CalendarRevision).where(col(CalendarRevision.event_id).in_(list(fingerprints)))
    return {row.event_id: row for row in (await session.exec(statement)).all()}


async def revise(session: Session, fingerprints: Mapping[str, str], *, now: datetime) -> None:
    """Give new events their first revision and changed ones their next; what is the same stays."""
    rows = [
        {"event_id": event_id, "fingerprint": fingerprint, "sequence": 0, "changed_at": now}
        for event_id, fingerprint in sorted(fingerprints.items())
    ]
    if rows:
        await insert_once(session, CalendarRevision, rows, "event_id")
    for row in rows:
        changed = update(CalendarRevision).where(
            col(CalendarRevision.event_id) == row["event_id"], col(CalendarRevision.fingerprint) != row["fingerprint"]
        )
        later = {"fingerprint": row["fingerprint"], "sequence": col(CalendarRevision.sequence) + 1, "changed_at": now}
        await changed_rows(session, changed.values(later))
