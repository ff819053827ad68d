"""What becomes of the points of somebody who is erased: the books stay, and nothing in them is a person's any more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, update
from sqlmodel import col, select

from core.db import Session, changed_rows
from loyalty.adjustments import Adjustment, AdjustmentStatus
from loyalty.ledger import AccountKind, LedgerAccount, account_id, hold
from loyalty.lots import NOTHING, LedgerLot, forfeit
from loyalty.redemption_records import Redemption
from loyalty.shortfall import debts, forgive
from loyalty.transfers import PointsTransfer


@dataclass(frozen=True, slots=True)
class Erased:
    """Points that went to the house, and what the customer owed that was written off."""

    forfeited: int
    written_off: int


async def erase_customer(session: Session, customer_id: str, *, now: datetime) -> Erased:
    """Close a customer's accounts, so that nothing is owed to nobody and by nobody; once, and again it does nothing.

    What is left, pending or not, goes to the house; debts are written off; adjustments that wait are rejected; the
    words of staff and of givers go. The ledger keeps a pseudonymous id and no free text. What arrives later has
    expired at once, and what is clawed back later is written off.
    """
    await lock_records(session, customer_id)
    await hold(session, {customer_id})
    lots = (
        await session.exec(
            select(LedgerLot)
            .where(LedgerLot.customer_id == customer_id, col(LedgerLot.remaining) > NOTHING)
            .order_by(col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id))
            .execution_options(populate_existing=True)
        )
    ).all()
    forfeited = sum(lot.remaining for lot in lots)
    for lot in lots:
        await forfeit(session, lot, lot.remaining, key=f"erase:{lot.id}", occurred_at=now, now=now)
    await session.flush()
    owed = await debts(session, customer_id)
    written_off = sum(shortfall.points for shortfall in owed)
    for shortfall in owed:
        key = f"erase:{customer_id}:{shortfall.cause.kind}:{shortfall.cause.id}".lower()
        await forgive(session, shortfall, key=key, customer_id=customer_id, now=now)
    await close_accounts(session, customer_id, now=now)
    await blank_words(session, customer_id, now=now)
    return Erased(forfeited, written_off)


async def lock_records(session: Session, customer_id: str) -> None:
    """Lock what names the customer before the customer, in the order of ids.

    Whoever ends a reservation or decides an adjustment changes its row first and then holds the customer.
    """
    for statement in (
        select(Redemption.id).where(Redemption.customer_id == customer_id).order_by(col(Redemption.id)),
        select(Adjustment.id).where(Adjustment.customer_id == customer_id).order_by(col(Adjustment.id)),
        # Of two customers who are erased at once, each may have given to the other.
        select(PointsTransfer.id).where(either_side(customer_id)).order_by(col(PointsTransfer.id)),
    ):
        await session.exec(statement.with_for_update())


def either_side(customer_id: str) -> ColumnElement[bool]:
    """Transfers that the customer gave or received."""
    return (col(PointsTransfer.sender_id) == customer_id) | (col(PointsTransfer.receiver_id) == customer_id)


async def close_accounts(session: Session, customer_id: str, *, now: datetime) -> None:
    """Mark the account that everybody locks, and let no lot live beyond now: a refund to it goes to the house."""
    account = account_id(AccountKind.AVAILABLE, customer_id)
    closed = update(LedgerAccount).where(col(LedgerAccount.id) == account, col(LedgerAccount.closed_at).is_(None))
    await changed_rows(session, closed.values(closed_at=now))
    alive = update(LedgerLot).where(col(LedgerLot.customer_id) == customer_id, col(LedgerLot.expires_at) > now)
    await changed_rows(session, alive.values(expires_at=now))


async def blank_words(session: Session, customer_id: str, *, now: datetime) -> None:
    """Take the free text from what names the customer; what waits for a decision is rejected."""
    mine = col(Adjustment.customer_id) == customer_id
    waiting: dict[str, Any] = {"status": AdjustmentStatus.REJECTED, "decided_at": now}
    await changed_rows(
        session, update(Adjustment).where(mine, col(Adjustment.status) == AdjustmentStatus.PENDING).values(**waiting)
    )
    await changed_rows(session, update(Adjustment).where(mine).values(reason=None, decision_reason=None))
    await changed_rows(session, update(PointsTransfer).where(either_side(customer_id)).values(note=None))
    redemptions = update(Redemption).where(col(Redemption.customer_id) == customer_id)
    await changed_rows(session, redemptions.values(reason=None, reference=None))
