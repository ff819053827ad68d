"""What a customer has at an instant: balances, less what has expired though its day is not closed yet."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from core.db import Session
from loyalty.ledger import AccountKind, LedgerAccount
from loyalty.lots import NOTHING, UNRELEASED, LedgerLot


@dataclass(frozen=True, slots=True)
class Holdings:
    """Points to spend, points that cannot be spent yet and when the first of them can, and points owed."""

    available: int = 0
    pending: int = 0
    pending_until: datetime | None = None
    debt: int = 0


async def holdings(session: Session, customer_id: str, *, now: datetime) -> Holdings:
    """What a customer has, in one statement; somebody without accounts has nothing."""
    mine = LedgerLot.customer_id == customer_id
    expired = select(func.coalesce(func.sum(LedgerLot.remaining), 0)).where(
        mine, col(LedgerLot.remaining) > NOTHING, col(LedgerLot.released).is_(True), LedgerLot.expires_at <= now
    )
    due = select(func.min(LedgerLot.available_at)).where(mine, UNRELEASED, col(LedgerLot.remaining) > NOTHING)
    statement = select(LedgerAccount.kind, LedgerAccount.balance, expired.scalar_subquery(), due.scalar_subquery())
    rows = (await session.exec(statement.where(LedgerAccount.customer_id == customer_id))).all()
    balances = {AccountKind(kind): balance or 0 for kind, balance, _, _ in rows}
    if not rows:
        return Holdings()
    return Holdings(
        available=balances.get(AccountKind.AVAILABLE, 0) - int(rows[0][2]),
        pending=balances.get(AccountKind.PENDING, 0),
        pending_until=rows[0][3],
        debt=balances.get(AccountKind.DEBT, 0),
    )


async def expiring_within(session: Session, customer_id: str, *, now: datetime, until: datetime) -> int:
    """Available points of lots that expire after `now`, by `until`."""
    statement = select(func.coalesce(func.sum(LedgerLot.remaining), 0)).where(
        LedgerLot.customer_id == customer_id,
        col(LedgerLot.remaining) > NOTHING,
        col(LedgerLot.released).is_(True),
        LedgerLot.expires_at > now,
        LedgerLot.expires_at <= until,
    )
    return int((await session.exec(statement)).one())
