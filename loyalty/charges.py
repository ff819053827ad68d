"""Points charged for registrations at events, and given back: each charge once, in whatever order it is asked for.

Event, customer and sequence (a number that is new with each registration) name a charge for ever. A refund that
comes before its charge makes it void, so that a charge which was still under way is refused when it arrives.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant
from core.errors import Refusal
from core.ids import derived_id
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, hold, post
from loyalty.lots import burn, refund

EVENT_CHARGE = "EVENT_CHARGE"


class ChargeStatus(StrEnum):
    """RESERVED exists only inside the transaction that books the points."""

    RESERVED = "RESERVED"
    PAID = "PAID"
    REFUNDED = "REFUNDED"
    VOID = "VOID"


class ChargeOver(Refusal):
    code = "CHARGE_OVER"
    en = "This registration was given back before it was paid."
    zh = "该报名在支付前已取消。"


class EventCharge(Record, table=True):
    """The points of one registration, with the postings that took them and gave them back."""

    __table_args__ = (Index("ix_event_charge_event", "event_id", "status", "id"),)

    id: str = Field(primary_key=True)
    event_id: str
    customer_id: str
    sequence: int
    points: int
    status: str
    posting_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    refund_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    created_at: datetime = instant()

    @property
    def key(self) -> str:
        """Names the postings of this charge in the ledger."""
        return f"event:{self.event_id}:{self.customer_id}:{self.sequence}"


async def charge_event(
    session: Session, *, event_id: str, customer_id: str, sequence: int, points: int, now: datetime
) -> EventCharge:
    """Debit the points of a registration, the first time it is asked for.

    Raises ChargeOver where it was refunded or made void, InsufficientPoints; the caller's transaction (or its
    savepoint) then rolls back, so that nothing of it stays.
    """
    charge = await reserve(session, ChargeStatus.RESERVED, event_id, customer_id, sequence, points, now)
    if charge.status == ChargeStatus.PAID:
        return charge
    if charge.status != ChargeStatus.RESERVED:
        raise ChargeOver
    posting_id = await post(
        session,
        key=charge.key,
        kind=PostingKind.REDEEM,
        cause=Cause(EVENT_CHARGE, charge.id),
        legs=[Leg(AccountKind.AVAILABLE, -points, customer_id), Leg(AccountKind.REDEMPTION, points)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"charge {charge.id} is reserved, yet its posting exists")
    await burn(session, posting_id=posting_id, customer_id=customer_id, points=points, now=now)
    charge.status, charge.posting_id = ChargeStatus.PAID, posting_id
    session.add(charge)
    await session.flush()
    return charge


async def reserve(
    session: Session, status: ChargeStatus, event_id: str, customer_id: str, sequence: int, points: int, now: datetime
) -> EventCharge:
    """The charge under its key, locked: a new one in this status, or what an earlier transaction made of it."""
    row: dict[str, Any] = {
        "id": derived_id("event_charge", event_id, customer_id, str(sequence)),
        "event_id": event_id,
        "customer_id": customer_id,
        "sequence": sequence,
        "points": points,
        "status": status,
        "created_at": now,
    }
    await insert_once(session, EventCharge, row, "id")
    statement = select(EventCharge).where(EventCharge.id == row["id"]).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def refund_event(
    session: Session, *, event_id: str, customer_id: str, sequence: int, points: int, now: datetime
) -> bool:
    """Give the points of a registration back to the lots that they came from; False where there were none to give.

    A charge that was never booked is made void. Points whose lot has expired meanwhile go on to the house, as they
    would have had they stayed there.
    """
    charge = await reserve(session, ChargeStatus.VOID, event_id, customer_id, sequence, points, now)
    return await give_back(session, charge, now=now)


async def give_back(session: Session, charge: EventCharge, *, now: datetime) -> bool:
    if charge.status != ChargeStatus.PAID or charge.posting_id is None:
        return False
    posting_id = await post(
        session,
        key=f"refund:{charge.key}",
        kind=PostingKind.REFUND,
        cause=Cause(EVENT_CHARGE, charge.id),
        legs=[
            Leg(AccountKind.REDEMPTION, -charge.points),
            Leg(AccountKind.AVAILABLE, charge.points, charge.customer_id),
        ],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"charge {charge.id} is paid, yet its refund exists")
    await refund(session, debit_id=charge.posting_id, refund_id=posting_id, now=now)
    charge.status, charge.refund_id = ChargeStatus.REFUNDED, posting_id
    session.add(charge)
    await session.flush()
    return True


async def refund_all(session: Session, event_id: str, *, limit: int, now: datetime) -> Sequence[EventCharge]:
    """Give back up to `limit` of what was paid for an event that does not take place; asked again, it goes on."""
    statement = select(EventCharge).where(EventCharge.event_id == event_id, EventCharge.status == ChargeStatus.PAID)
    ordered = statement.order_by(col(EventCharge.id)).limit(limit).with_for_update()
    charges = (await session.exec(ordered)).all()
    await hold(session, {charge.customer_id for charge in charges})
    for charge in charges:
        await give_back(session, charge, now=now)
    return charges
