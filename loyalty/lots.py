"""Lots: where points came from, when they may be spent, and which of them a debit took.

Points that become available (earned, released or refunded) first repay what clawbacks could not take: so nobody who
owes can spend, and it makes no difference whether a clawback came before or after them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant
from core.ids import derived_id, new_id
from core.outbox import owe
from loyalty.ledger import AccountKind, Cause, InsufficientPoints, LedgerPosting, Leg, PostingKind, hold, post
from loyalty.shortfall import Shortfall, debts, repay, written_off

POINTS_RELEASE = "points.release"
LOT = "LOT"


class LedgerLot(Record, table=True):
    """Points earned by one posting; `remaining` counts down as debits take from it."""

    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= points", name="ck_ledger_lot_remaining"),
        Index("ix_ledger_lot_burn", "customer_id", "expires_at", "earned_at", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    posting_id: str = Field(foreign_key="ledger_posting.id", unique=True)
    points: int = Field(sa_type=BigInteger)
    remaining: int = Field(sa_type=BigInteger)
    earned_at: datetime = instant()
    available_at: datetime = instant()
    expires_at: datetime = instant()
    released: bool


def lot_id(key: str) -> str:
    """The id of the lot that an earning with this key fills."""
    return derived_id("lot", key)


class LotDebit(Record, table=True):
    """How many points a posting took from a lot; below zero, how many a refund gave back to it."""

    id: str = Field(primary_key=True)
    posting_id: str = Field(foreign_key="ledger_posting.id", index=True)
    lot_id: str = Field(foreign_key="ledger_lot.id", index=True)
    points: int = Field(sa_type=BigInteger)


async def earn(
    session: Session,
    *,
    key: str,
    customer_id: str,
    points: int,
    cause: Cause,
    occurred_at: datetime,
    available_at: datetime,
    expires_at: datetime,
    now: datetime,
) -> str | None:
    """Issue points into a new lot, once by `key`; returns the posting's id, None where it was done before.

    Points whose `available_at` lies ahead go to the pending account, and their release is owed.
    """
    released = available_at <= now
    account = AccountKind.AVAILABLE if released else AccountKind.PENDING
    legs = [Leg(AccountKind.ISSUANCE, -points), Leg(account, points, customer_id)]
    posting_id = await post(
        session, key=key, kind=PostingKind.EARN, cause=cause, legs=legs, occurred_at=occurred_at, now=now
    )
    if posting_id is None:
        return None
    lot = LedgerLot(
        id=lot_id(key),
        customer_id=customer_id,
        posting_id=posting_id,
        points=points,
        remaining=points,
        earned_at=occurred_at,
        available_at=available_at,
        expires_at=expires_at,
        released=released,
    )
    session.add(lot)
    if released:
        await collect_debt(session, lot, now=now)
    else:
        payload = {"lot_id": lot.id}
        await owe(session, topic=POINTS_RELEASE, key=lot.id, payload=payload, now=now, not_before=available_at)
    return posting_id


async def release(session: Session, lot_id: str, *, now: datetime) -> None:
    """Move a lot's points from pending to available, once, and collect what the customer owes."""
    owner = (await session.exec(select(LedgerLot.customer_id).where(LedgerLot.id == lot_id))).all()
    # The customer comes before the lot, as for every debit: a clawback may be about to take from it.
    await hold(session, owner)
    claimed = update(LedgerLot).where(col(LedgerLot.id) == lot_id, col(LedgerLot.released).is_(False))
    if not await changed_rows(session, claimed.values(released=True)):
        return
    lot = await session.get_one(LedgerLot, lot_id, populate_existing=True)
    if lot.remaining == 0:
        return
    legs = [
        Leg(AccountKind.PENDING, -lot.remaining, lot.customer_id),
        Leg(AccountKind.AVAILABLE, lot.remaining, lot.customer_id),
    ]
    await post(
        session,
        key=f"release:{lot_id}",
        kind=PostingKind.RELEASE,
        cause=Cause(LOT, lot_id),
        legs=legs,
        occurred_at=lot.available_at,
        now=now,
    )
    await collect_debt(session, lot, now=now)


async def collect_debt(session: Session, lot: LedgerLot, *, now: datetime) -> None:
    """Repay what the customer owes from a lot that has just become available; the caller holds the customer."""
    if lot.expires_at > now:
        await pay_off(session, lot, lot.remaining, await debts(session, lot.customer_id), trigger=lot.id, now=now)


async def pay_off(
    session: Session, lot: LedgerLot, points: int, shortfalls: Sequence[Shortfall], *, trigger: str, now: datetime
) -> None:
    """Repay shortfalls in their order from up to `points` of a lot; `trigger` names what made them available."""
    for shortfall in shortfalls:
        taken = min(points, shortfall.points)
        if taken == 0:
            continue
        posting_id = await repay(
            session,
            shortfall,
            key=f"repayment:{trigger}:{shortfall.policy}:{shortfall.cause.kind}:{shortfall.cause.id}".lower(),
            customer_id=lot.customer_id,
            points=taken,
            now=now,
        )
        lot.remaining -= taken
        session.add(LotDebit(id=new_id(), posting_id=posting_id, lot_id=lot.id, points=taken))
        points -= taken


async def burn(session: Session, *, posting_id: str, customer_id: str, points: int, now: datetime) -> None:
    """Take points from the customer's lots, the earliest expiry first, ties by age and id.

    The caller has debited the available account in this transaction, which holds off every other
    debit of the same customer. Raises InsufficientPoints when the lots that have not expired hold less.
    """
    statement = (
        select(LedgerLot)
        .where(
            LedgerLot.customer_id == customer_id,
            col(LedgerLot.released).is_(True),
            LedgerLot.remaining > 0,
            LedgerLot.expires_at > now,
        )
        .order_by(col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for lot in (await session.exec(statement)).all():
        taken = min(points, lot.remaining)
        lot.remaining -= taken
        session.add(LotDebit(id=new_id(), posting_id=posting_id, lot_id=lot.id, points=taken))
        points -= taken
        if not points:
            return
    raise InsufficientPoints


async def refund(session: Session, *, debit_id: str, refund_id: str, now: datetime) -> None:
    """Give the points that the posting `debit_id` took back to the very lots from which it took them.

    The caller has booked the posting `refund_id`, once, into the customer's account, which orders it among their
    debits. A lot that has expired meanwhile takes its points back too, and nobody can spend them.

    Where a clawback came in between, the points go where it would have sent them had they been there: into what is
    open of the lot's own clawback, owed or written off, be the lot expired or not; and into the customer's other
    debts, the oldest first, unless the lot has expired.
    """
    statement = (
        select(LotDebit, LedgerLot, LedgerPosting.cause_kind, LedgerPosting.cause_id)
        .join(LedgerLot, col(LotDebit.lot_id) == col(LedgerLot.id))
        .join(LedgerPosting, col(LedgerLot.posting_id) == col(LedgerPosting.id))
        .where(LotDebit.posting_id == debit_id)
        .order_by(col(LotDebit.id))
        .with_for_update(of=LedgerLot)
        .execution_options(populate_existing=True)
    )
    returned = [(debit, lot, Cause(kind, id)) for debit, lot, kind, id in (await session.exec(statement)).all()]
    for debit, lot, _ in returned:
        lot.remaining += debit.points
        session.add(LotDebit(id=new_id(), posting_id=refund_id, lot_id=lot.id, points=-debit.points))
    owed = [*await written_off(session, {cause for _, _, cause in returned})]
    for customer_id in {lot.customer_id for _, lot, _ in returned}:
        owed += await debts(session, customer_id)
    for debit, lot, cause in returned:
        own = [one for one in owed if one.cause == cause]
        others = [one for one in owed if one.cause != cause and lot.expires_at > now]
        trigger = f"{refund_id}:{lot.id}"
        await pay_off(session, lot, debit.points, [*own, *others], trigger=trigger, now=now)


async def debits_of(session: Session, posting_id: str) -> Sequence[tuple[LotDebit, LedgerLot]]:
    """The lots that a posting took from, or gave back to, in the order in which it did."""
    statement = select(LotDebit, LedgerLot).join(LedgerLot).where(LotDebit.posting_id == posting_id)
    return (await session.exec(statement.order_by(col(LotDebit.id)))).all()


async def lot_of_posting(session: Session, posting_id: str) -> LedgerLot | None:
    return (await session.exec(select(LedgerLot).where(LedgerLot.posting_id == posting_id))).first()


async def fillers_of(session: Session, lot_ids: Sequence[str]) -> dict[str, LedgerPosting]:
    """The postings that filled lots, by the lots' ids."""
    statement = select(LedgerLot.id, LedgerPosting).join(LedgerPosting).where(col(LedgerLot.id).in_(list(lot_ids)))
    return dict((await session.exec(statement)).all())


async def next_release(session: Session, customer_id: str) -> datetime | None:
    """When the earliest pending points become available."""
    statement = select(func.min(LedgerLot.available_at)).where(
        LedgerLot.customer_id == customer_id, col(LedgerLot.released).is_(False), LedgerLot.remaining > 0
    )
    return (await session.exec(statement)).first()
