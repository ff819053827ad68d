"""Points of a profile that became one with another: they go over lot by lot, with their expiry and pending dates.

The ledger is append-only: what was booked before stays where it was. What comes to the old profile later, such as the
refund of what it paid, goes over the same way the next time this runs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from core.db import Session
from core.ids import new_id
from core.outbox import owe_all
from loyalty.ledger import AccountKind, Cause, LedgerAccount, Leg, PostingKind, account_id, hold, post
from loyalty.lots import NOTHING, POINTS_RELEASE, LedgerLot, LotDebit, collect_debt, lot_id, successor
from loyalty.shortfall import debtors, debts

MERGE = "MERGE"


@dataclass(frozen=True, slots=True)
class PointsMoved:
    """Points that went over, pending or not, and what was owed."""

    points: int
    owed: int


async def move_points(
    session: Session, merge_id: str, merged_id: str, survivor_id: str, *, now: datetime
) -> PointsMoved:
    """Move all lots that have something left, and what is owed, to the survivor; again it moves what came since.

    Nothing moves to or from somebody who was erased: their points are the house's.
    """
    if await hold(session, {merged_id, survivor_id}):
        return PointsMoved(0, 0)
    owed = await move_debts(session, merge_id, merged_id, survivor_id, now=now)
    statement = (
        select(LedgerLot)
        .where(LedgerLot.customer_id == merged_id, col(LedgerLot.remaining) > NOTHING)
        .order_by(col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id))
        .execution_options(populate_existing=True)
    )
    moved = 0
    for lot in (await session.exec(statement)).all():
        moved += await move_lot(session, merge_id, lot, survivor_id, now=now)
    if (owed or moved) and await debtors(session, {survivor_id}):
        await collect_all(session, survivor_id, now=now)
    return PointsMoved(moved, owed)


async def next_key(session: Session, merge_id: str, merged_id: str, kind: AccountKind) -> str:
    """A key that no movement of this account has had: it counts them. The customer is held."""
    statement = select(LedgerAccount.last_position).where(LedgerAccount.id == account_id(kind, merged_id))
    return f"merge:{merge_id}:{kind.lower()}:{(await session.exec(statement)).first() or 0}"


async def move_debts(session: Session, merge_id: str, merged_id: str, survivor_id: str, *, now: datetime) -> int:
    total = 0
    for shortfall in await debts(session, merged_id):
        legs = [
            Leg(AccountKind.DEBT, -shortfall.points, merged_id),
            Leg(AccountKind.DEBT, shortfall.points, survivor_id),
        ]
        await post(
            session,
            key=await next_key(session, merge_id, merged_id, AccountKind.DEBT),
            kind=PostingKind.TRANSFER,
            cause=shortfall.cause,
            legs=legs,
            occurred_at=now,
            now=now,
        )
        total += shortfall.points
    return total


async def move_lot(session: Session, merge_id: str, lot: LedgerLot, survivor_id: str, *, now: datetime) -> int:
    """Move what is left of a lot into one of the survivor's, which is spent, released and expires as it would have."""
    account = AccountKind.AVAILABLE if lot.released else AccountKind.PENDING
    key, points = await next_key(session, merge_id, lot.customer_id, account), lot.remaining
    posting_id = await post(
        session,
        key=key,
        kind=PostingKind.TRANSFER,
        cause=Cause(MERGE, merge_id),
        legs=[Leg(account, -points, lot.customer_id), Leg(account, points, survivor_id)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"{key} counts the movements of its account, yet it was booked before")
    lot.remaining = 0
    session.add(LotDebit(id=new_id(), posting_id=posting_id, lot_id=lot.id, points=points))
    heir = successor(lot, points, lot_id(key), customer_id=survivor_id, posting_id=posting_id, now=now)
    heir.available_at, heir.released = lot.available_at, lot.released
    session.add(heir)
    await session.flush()
    if not heir.released:
        payloads: dict[str, dict[str, Any]] = {heir.id: {"lot_id": heir.id}}
        due = {heir.id: heir.available_at}
        await owe_all(session, topic=POINTS_RELEASE, payloads=payloads, now=now, not_before=due)
    return points


async def collect_all(session: Session, customer_id: str, *, now: datetime) -> None:
    """Repay what the survivor owes by now from what they have: nobody who owes can spend."""
    statement = (
        select(LedgerLot)
        .where(
            LedgerLot.customer_id == customer_id,
            col(LedgerLot.remaining) > NOTHING,
            col(LedgerLot.released).is_(True),
            LedgerLot.expires_at > now,
        )
        .order_by(col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id))
    )
    for lot in (await session.exec(statement)).all():
        if await debts(session, customer_id):
            await collect_debt(session, lot, now=now)
