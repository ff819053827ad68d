"""What clawbacks could not take: owed by the customer or written off, and what comes back of it later.

Every shortfall is the fold of its entries: the clawback and its repayments are booked for one cause, so that the
entries of that cause on the customer's debt (or on the house's write-offs) sum to what is still open of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func
from sqlmodel import col, select

from core.db import Session
from loyalty.ledger import (
    AccountKind,
    Cause,
    LedgerAccount,
    LedgerEntry,
    LedgerPosting,
    Leg,
    PostingKind,
    account_id,
    post,
)


class ShortfallPolicy(StrEnum):
    """What becomes of points that were to be taken back and are gone."""

    DEBT = "DEBT"
    WRITE_OFF = "WRITE_OFF"


@dataclass(slots=True)
class Shortfall:
    """What is still open of the clawback for one cause; `points` counts down as it is repaid."""

    cause: Cause
    policy: ShortfallPolicy
    points: int


def shortfall_legs(policy: ShortfallPolicy, customer_id: str, points: int) -> list[Leg]:
    """Legs that open a shortfall, or settle it when `points` are below zero; they sum to zero.

    A debt stands beside what was issued until it is repaid. What is written off leaves issuance at once: it is a
    loss, no longer an expense for rewards.
    """
    if policy == ShortfallPolicy.DEBT:
        return [Leg(AccountKind.DEBT, points, customer_id), Leg(AccountKind.RECEIVABLE, -points)]
    return [Leg(AccountKind.ISSUANCE, points), Leg(AccountKind.WRITE_OFF, -points)]


async def debtors(session: Session, customer_ids: Collection[str]) -> set[str]:
    """Who of these customers owes something."""
    accounts = [account_id(AccountKind.DEBT, customer_id) for customer_id in customer_ids]
    statement = select(LedgerAccount.customer_id).where(
        col(LedgerAccount.id).in_(accounts), col(LedgerAccount.balance) > 0
    )
    return {one for one in (await session.exec(statement)).all() if one}


async def debts(session: Session, customer_id: str) -> Sequence[Shortfall]:
    """What the customer owes, by cause, the oldest first."""
    debt = account_id(AccountKind.DEBT, customer_id)
    total = func.sum(LedgerEntry.points)
    statement = (
        select(LedgerPosting.cause_kind, LedgerPosting.cause_id, total)
        .join(LedgerEntry)
        .where(LedgerEntry.account_id == debt)
        .group_by(col(LedgerPosting.cause_kind), col(LedgerPosting.cause_id))
        .having(total > 0)
        .order_by(func.min(LedgerEntry.position))
    )
    rows = (await session.exec(statement)).all()
    return [Shortfall(Cause(kind, id), ShortfallPolicy.DEBT, int(points)) for kind, id, points in rows]


async def written_off(session: Session, causes: Collection[Cause]) -> Sequence[Shortfall]:
    """What was written off for these causes, as far as it has not come back."""
    total = func.sum(LedgerEntry.points)
    statement = (
        select(LedgerPosting.cause_kind, LedgerPosting.cause_id, total)
        .join(LedgerEntry)
        .where(
            col(LedgerPosting.cause_id).in_({cause.id for cause in causes}),
            LedgerEntry.account_id == account_id(AccountKind.WRITE_OFF),
        )
        .group_by(col(LedgerPosting.cause_kind), col(LedgerPosting.cause_id))
        .having(total < 0)
    )
    rows = (await session.exec(statement)).all()
    found = [Shortfall(Cause(kind, id), ShortfallPolicy.WRITE_OFF, -int(points)) for kind, id, points in rows]
    return [one for one in found if one.cause in causes]


async def forgive(session: Session, shortfall: Shortfall, *, key: str, customer_id: str, now: datetime) -> None:
    """Write off a debt that nobody will repay, once by `key`; what was issued for it is then a loss."""
    points = shortfall.points
    await post(
        session,
        key=key,
        kind=PostingKind.WRITE_OFF,
        cause=shortfall.cause,
        legs=[
            *shortfall_legs(ShortfallPolicy.DEBT, customer_id, -points),
            *shortfall_legs(ShortfallPolicy.WRITE_OFF, customer_id, points),
        ],
        occurred_at=now,
        now=now,
    )


async def repay(
    session: Session, shortfall: Shortfall, *, key: str, customer_id: str, points: int, now: datetime
) -> str:
    """Take points from the available account for an open shortfall; returns the posting's id."""
    legs = [Leg(AccountKind.AVAILABLE, -points, customer_id), Leg(AccountKind.ISSUANCE, points)]
    posting_id = await post(
        session,
        key=key,
        kind=PostingKind.REPAYMENT,
        cause=shortfall.cause,
        legs=[*legs, *shortfall_legs(shortfall.policy, customer_id, -points)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"the points of {key} have just become available, yet they were taken before")
    shortfall.points -= points
    return posting_id
