"""Points that staff give or take by hand: small ones at once, large ones when a second person agrees."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, func, update
from sqlmodel import BigInteger, Field, col, select

from core.audit import LONGEST_REASON, act, checked_reason, record_act
from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import derived_id
from core.paging import Page, Place, cut, newest_first, page_size
from loyalty.idempotency import check_key, check_same
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, hold, post
from loyalty.lots import LedgerLot, burn, collect_debt, lot_id

ADJUSTMENT = "ADJUSTMENT"
AREA = "loyalty"
MOST_POINTS = 1_000_000_000
LONGEST_LIFE_DAYS = 3_660
# What one person has booked alone counts for so long.
ALONE = timedelta(days=1)


class AdjustmentInvalid(BadUserInput):
    code = "ADJUSTMENT_INVALID"
    en = f"An adjustment needs points other than zero and a reason of 1 to {LONGEST_REASON} characters."
    zh = f"调整需填写非零积分及1至{LONGEST_REASON}个字符的理由。"


class AdjustmentDecided(Refusal):
    code = "ADJUSTMENT_DECIDED"
    en = "This adjustment has been decided already."
    zh = "该调整已处理。"


class AdjustmentNeedsAnother(Refusal):
    code = "ADJUSTMENT_NEEDS_ANOTHER"
    en = "Somebody else than who asked for it has to decide."
    zh = "须由申请人以外的人员处理。"


class AdjustmentStatus(StrEnum):
    """PENDING waits for a second person; the others are final."""

    PENDING = "PENDING"
    BOOKED = "BOOKED"
    REJECTED = "REJECTED"


class Adjustment(Record, table=True):
    """Points given (positive) or taken by staff; the reasons go when the customer is erased."""

    __table_args__ = (
        UniqueConstraint("requested_by", "idempotency_key"),
        Index("ix_adjustment_status", "status", "requested_at", "id"),
        Index("ix_adjustment_customer", "customer_id", "requested_at"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    points: int = Field(sa_type=BigInteger)
    life_days: int
    reason: str | None = None
    status: str
    idempotency_key: str
    requested_by: str
    requested_at: datetime = instant()
    decided_by: str | None = None
    decided_at: datetime | None = instant(optional=True)
    decision_reason: str | None = None
    posting_id: str | None = Field(default=None, foreign_key="ledger_posting.id")


@dataclass(frozen=True, slots=True)
class NewAdjustment:
    """What somebody of the staff wants; points that are given live for `life_days` from when they are booked."""

    customer_id: str
    points: int
    reason: str
    idempotency_key: str
    life_days: int = 365


async def adjust(session: Session, new: NewAdjustment, *, actor: str, limit: int, now: datetime) -> Adjustment:
    """Book an adjustment of up to `limit` points, or let it wait for a second person; the same key, the first answer.

    What the actor alone has booked for the customer within the last day counts towards the limit, so that nothing is
    gained by many small ones.

    Raises AdjustmentInvalid, IdempotencyKeyInvalid, IdempotencyKeyReused, InsufficientPoints (nothing is overdrawn),
    NotFound for a customer who was erased; the caller's transaction then rolls back.
    """
    reason = check_adjustment(new)
    row: dict[str, Any] = {
        "id": derived_id("adjustment", actor, new.idempotency_key),
        "customer_id": new.customer_id,
        "points": new.points,
        "life_days": new.life_days,
        "reason": reason,
        "status": AdjustmentStatus.PENDING,
        "idempotency_key": new.idempotency_key,
        "requested_by": actor,
        "requested_at": now,
    }
    fresh = await insert_once(session, Adjustment, row)
    found = await session.get_one(Adjustment, row["id"], populate_existing=True)
    known = [found.customer_id, found.points, found.life_days, found.reason]
    check_same(known, [new.customer_id, new.points, new.life_days, reason])
    if fresh:
        await note(session, found, "ADJUSTMENT_REQUESTED", actor=actor, reason=reason, now=now)
        if await hold(session, {new.customer_id}):
            raise NotFound(path=("customerId",))
        if abs(new.points) + await booked_alone(session, new.customer_id, actor=actor, now=now) <= limit:
            found.status, found.decided_at = AdjustmentStatus.BOOKED, now
            await book(session, found, now=now)
    return found


async def booked_alone(session: Session, customer_id: str, *, actor: str, now: datetime) -> int:
    """Points, given and taken, that nobody else has approved within the last day; who holds the customer sees all."""
    statement = select(func.coalesce(func.sum(func.abs(Adjustment.points)), 0)).where(
        Adjustment.customer_id == customer_id,
        Adjustment.requested_by == actor,
        Adjustment.status == AdjustmentStatus.BOOKED,
        col(Adjustment.decided_by).is_(None),
        Adjustment.requested_at > now - ALONE,
    )
    return int((await session.exec(statement)).one())


def check_adjustment(new: NewAdjustment) -> str:
    """The reason without the space around it."""
    if not 1 <= abs(new.points) <= MOST_POINTS:
        raise AdjustmentInvalid(path=("points",))
    check_key(new.idempotency_key)
    if not 1 <= new.life_days <= LONGEST_LIFE_DAYS:
        raise AdjustmentInvalid(path=("lifeDays",), detail=f"1 to {LONGEST_LIFE_DAYS} days")
    return checked_reason(new.reason, AdjustmentInvalid)


async def decide_adjustment(
    session: Session, adjustment_id: str, status: AdjustmentStatus, *, actor: str, reason: str, now: datetime
) -> Adjustment:
    """Book or reject what waits, once; the same decision by the same person again is the first answer.

    Raises NotFound, AdjustmentNeedsAnother, AdjustmentDecided, and InsufficientPoints where too little is left by
    now: then it goes on waiting.
    """
    reason = checked_reason(reason, AdjustmentInvalid)
    claimed = update(Adjustment).where(
        col(Adjustment.id) == adjustment_id,
        col(Adjustment.status) == AdjustmentStatus.PENDING,
        col(Adjustment.requested_by) != actor,
    )
    decision = {"status": status, "decided_by": actor, "decided_at": now, "decision_reason": reason}
    is_first = await changed_rows(session, claimed.values(**decision))
    found = await session.get(Adjustment, adjustment_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("adjustmentId",))
    if is_first:
        await note(session, found, f"ADJUSTMENT_{status}", actor=actor, reason=reason, now=now)
        if status == AdjustmentStatus.BOOKED:
            await book(session, found, now=now)
    elif found.status == AdjustmentStatus.PENDING:
        raise AdjustmentNeedsAnother(path=("adjustmentId",))
    elif (found.status, found.decided_by) != (status, actor):
        raise AdjustmentDecided(path=("adjustmentId",))
    return found


async def note(
    session: Session, adjustment: Adjustment, action: str, *, actor: str, reason: str, now: datetime
) -> None:
    """Audit an act on an adjustment, once for each action."""
    entry = act(
        area=AREA,
        actor=actor,
        action=action,
        subject=f"adjustment:{adjustment.id}",
        at=now,
        concerns=adjustment.customer_id,
        reason=reason,
        points=adjustment.points,
    )
    await record_act(session, f"adjustment:{adjustment.id}:{action}", entry)


async def book(session: Session, adjustment: Adjustment, *, now: datetime) -> None:
    """Post the adjustment: into a lot of its own, or out of the customer's lots in the order of burning."""
    points, customer_id = adjustment.points, adjustment.customer_id
    if customer_id in await hold(session, {customer_id}):
        raise NotFound(path=("customerId",))
    posting_id = await post(
        session,
        key=f"adjustment:{adjustment.id}",
        kind=PostingKind.ADJUST,
        cause=Cause(ADJUSTMENT, adjustment.id),
        legs=[Leg(AccountKind.ADJUSTMENT, -points), Leg(AccountKind.AVAILABLE, points, customer_id)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"adjustment {adjustment.id} waits, yet its posting exists")
    adjustment.posting_id = posting_id
    session.add(adjustment)
    if points < 0:
        await burn(session, posting_id=posting_id, customer_id=customer_id, points=-points, now=now)
        await session.flush()
        return
    lot = LedgerLot(
        id=lot_id(f"adjustment:{adjustment.id}"),
        customer_id=customer_id,
        posting_id=posting_id,
        points=points,
        remaining=points,
        earned_at=now,
        available_at=now,
        expires_at=now + timedelta(days=adjustment.life_days),
        released=True,
    )
    session.add(lot)
    await session.flush()
    await collect_debt(session, lot, now=now)
    await session.flush()


async def list_adjustments(
    session: Session, status: AdjustmentStatus | None, *, first: int | None, after: Place
) -> Page[Adjustment]:
    """Adjustments, the latest first."""
    size = page_size(first)
    statement = select(Adjustment)
    if status is not None:
        statement = statement.where(Adjustment.status == status)
    page = newest_first(statement, col(Adjustment.requested_at), col(Adjustment.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.requested_at.isoformat(), row.id), after)
