"""The words of complaints, sealed by a data key of each complaint, which goes when the customer is erased."""

from collections.abc import Sequence

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.db import Record, Session, ring_of
from core.sealing import new_data_key, seal, unseal
from service.complaint_records import Complaint, ComplaintEntry


class ComplaintKey(Record, table=True):
    """The data key of one complaint, wrapped by the key of the ring that `key_id` names."""

    __table_args__ = (Index("ix_complaint_key_customer", "customer_id"), Index("ix_complaint_key_ring", "key_id"))

    complaint_id: str = Field(primary_key=True, foreign_key="complaint.id")
    customer_id: str
    wrapped: str
    key_id: int


# The table of keys that are wrapped by the ring, and whose they are, for their rotation.
WRAPPED_KEYS = (ComplaintKey, "complaint_id")


async def put_key(session: Session, complaint: Complaint) -> bytes:
    """Make the key of a new complaint."""
    ring, key = ring_of(session), new_data_key()
    session.add(
        ComplaintKey(
            complaint_id=complaint.id,
            customer_id=complaint.customer_id,
            wrapped=ring.wrap(key, complaint.id),
            key_id=ring.newest,
        )
    )
    await session.flush()
    return key


async def keys_of(session: Session, ids: Sequence[str]) -> dict[str, bytes]:
    """The keys of complaints; there is none of an erased customer. Raises PersonalDataLocked."""
    statement = select(ComplaintKey).where(col(ComplaintKey.complaint_id).in_(ids))
    rows = (await session.exec(statement)).all()
    return {row.complaint_id: ring_of(session).unwrap(row.key_id, row.wrapped, row.complaint_id) for row in rows}


def sealed_words(key: bytes | None, complaint_id: str, number: int, words: str | None) -> str | None:
    """The words as they are kept; none where the customer was erased meanwhile."""
    return seal(key, words, owner=complaint_id, column=column_of(number)) if key and words is not None else None


def column_of(number: int) -> str:
    return f"entry:{number}"


async def open_words(session: Session, entries: Sequence[ComplaintEntry]) -> dict[tuple[str, int], str]:
    """What was said in these entries, by complaint and number, in one statement."""
    sealed = [entry for entry in entries if entry.words is not None]
    keys = await keys_of(session, sorted({entry.complaint_id for entry in sealed})) if sealed else {}
    return {
        (entry.complaint_id, entry.number): unseal(
            keys[entry.complaint_id], entry.words, owner=entry.complaint_id, column=column_of(entry.number)
        )
        for entry in sealed
        if entry.complaint_id in keys and entry.words is not None
    }
