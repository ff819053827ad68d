"""Lots: where points came from, when they may be spent and until when, and which of them a debit took.

Points that become available (earned, released or refunded) first repay what clawbacks could not take: so nobody who
owes can spend, and it makes no difference whether a clawback came before or after them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, literal_column, text, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, instant
from core.ids import derived_id, new_id
from core.outbox import owe_all
from loyalty.ledger import (
    AccountKind,
    Booking,
    Cause,
    InsufficientPoints,
    LedgerPosting,
    Leg,
    PostingKind,
    hold,
    post,
    post_all,
)
from loyalty.shortfall import Shortfall, debtors, debts, repay, written_off

POINTS_RELEASE = "points.release"
LOT = "LOT"
# Partial indexes serve only conditions in which the number is written out.
NOTHING = literal_column("0")
HAS_LEFT, UNRELEASED = text("remaining > 0"), text("NOT released")


class ExpiredPolicy(StrEnum):
    """What becomes of points that a refund gives back when their lot has expired: the house's, or a new lot."""

    FORFEIT = "FORFEIT"
    REINSTATE = "REINSTATE"


class LedgerLot(Record, table=True):
    """Points that one posting put into an account; `remaining` counts down as debits take from it.

    What comes from another lot, transferred or reinstated, names it and keeps the instant when it was earned.
    """

    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= points", name="ck_ledger_lot_remaining"),
        Index(
            "ix_ledger_lot_burn",
            "customer_id",
            "expires_at",
            "earned_at",
            "id",
            sqlite_where=HAS_LEFT,
            postgresql_where=HAS_LEFT,
        ),
        Index(
            "ix_ledger_lot_pending",
            "customer_id",
            "available_at",
            "id",
            sqlite_where=UNRELEASED,
            postgresql_where=UNRELEASED,
        ),
        # Erasing, statements and reports look at all of a customer's lots.
        Index("ix_ledger_lot_customer", "customer_id", "id"),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    posting_id: str = Field(foreign_key="ledger_posting.id", index=True)
    source_lot_id: str | None = Field(default=None, foreign_key="ledger_lot.id")
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


@dataclass(frozen=True, slots=True)
class Earned:
    """Points to be issued into a lot of their own, once by `key`."""

    key: str
    customer_id: str
    points: int
    cause: Cause
    occurred_at: datetime
    available_at: datetime
    expires_at: datetime


async def earn(session: Session, earned: Earned, *, now: datetime) -> str | None:
    """Issue points into a new lot, once by their key; the posting's id, None where it was done before."""
    return (await earn_all(session, [earned], now=now)).get(earned.key)


async def earn_all(session: Session, earned: Sequence[Earned], *, now: datetime) -> dict[str, str]:
    """Issue points into new lots, each once by its key, in a number of statements that does not grow with them.

    Returns the postings by the keys of what was not done before. Points whose `available_at` lies ahead go to the
    pending account, and their release is owed; others first repay what the customer owes. What an erased customer
    earns has expired at once, and goes to the house when the day is closed.
    """
    erased = await hold(session, {one.customer_id for one in earned})
    bookings = [
        Booking(
            one.key,
            PostingKind.EARN,
            one.cause,
            [
                Leg(AccountKind.ISSUANCE, -one.points),
                Leg(
                    AccountKind.AVAILABLE if one.available_at <= now else AccountKind.PENDING,
                    one.points,
                    one.customer_id,
                ),
            ],
            one.occurred_at,
        )
        for one in earned
    ]
    postings = await post_all(session, bookings, now=now)
    fresh = [one for one in earned if one.key in postings]
    lots = [
        LedgerLot(
            id=lot_id(one.key),
            customer_id=one.customer_id,
            posting_id=postings[one.key],
            points=one.points,
            remaining=one.points,
            earned_at=one.occurred_at,
            available_at=one.available_at,
            expires_at=min(one.expires_at, now) if one.customer_id in erased else one.expires_at,
            released=one.available_at <= now,
        )
        for one in fresh
    ]
    session.add_all(lots)
    await session.flush()
    pending = {lot.id: lot.available_at for lot in lots if not lot.released}
    payloads: dict[str, dict[str, Any]] = {key: {"lot_id": key} for key in pending}
    await owe_all(session, topic=POINTS_RELEASE, payloads=payloads, now=now, not_before=pending)
    in_debt = await debtors(session, {lot.customer_id for lot in lots if lot.released})
    for lot in lots:
        if lot.released and lot.customer_id in in_debt:
            await collect_debt(session, lot, now=now)
    return postings


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
) -> int:
    """Repay shortfalls in their order from up to `points` of a lot; returns how many are left of them.

    `trigger` names what made them available.
    """
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
    return points


async def burn(
    session: Session, *, posting_id: str, customer_id: str, points: int, now: datetime
) -> list[tuple[LedgerLot, int]]:
    """Take points from the customer's lots, the earliest expiry first, ties by age and id; what each of them gave.

    The caller has debited the available account in this transaction, which holds off every other
    debit of the same customer. Raises InsufficientPoints when the lots that have not expired hold less.
    """
    taken_from: list[tuple[LedgerLot, int]] = []
    statement = (
        select(LedgerLot)
        .where(
            LedgerLot.customer_id == customer_id,
            col(LedgerLot.released).is_(True),
            col(LedgerLot.remaining) > NOTHING,
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
        taken_from.append((lot, taken))
        points -= taken
        if not points:
            return taken_from
    raise InsufficientPoints


async def refund(
    session: Session,
    *,
    debit_id: str,
    refund_id: str,
    now: datetime,
    expired: ExpiredPolicy = ExpiredPolicy.FORFEIT,
    grace_days: int = 0,
) -> None:
    """Give the points that the posting `debit_id` took back to the very lots from which it took them.

    The caller has booked the posting `refund_id`, once, into the customer's account, which orders it among their
    debits. Points of a lot that has expired meanwhile go on to the house by a posting of their own, or live on for
    `grace_days` in a new lot that names the old one; an erased customer's always go to the house. Raises ValueError
    where they are to be reinstated for less than a day.

    Where a clawback came in between, the points go where it would have sent them had they been there: into what is
    open of the lot's own clawback, owed or written off, be the lot expired or not; and into the customer's other
    debts, the oldest first, unless they have expired.
    """
    if expired == ExpiredPolicy.REINSTATE and grace_days < 1:
        raise ValueError("points are reinstated for a day at least")
    took = await taken_by(session, debit_id)
    if await hold(session, {lot.customer_id for _, lot, _ in took}):
        expired = ExpiredPolicy.FORFEIT
    until = now + timedelta(days=grace_days) if expired == ExpiredPolicy.REINSTATE else None
    back = [(give_back(session, debit, lot, refund_id, until, now=now), debit.points, own) for debit, lot, own in took]
    await session.flush()
    owed = [*await written_off(session, {own for _, _, own in back})]
    for customer_id in {lot.customer_id for lot, _, _ in back}:
        owed += await debts(session, customer_id)
    for lot, points, own in back:
        first = [one for one in owed if one.cause == own]
        others = [one for one in owed if one.cause != own and lot.expires_at > now]
        left = await pay_off(session, lot, points, [*first, *others], trigger=f"{refund_id}:{lot.id}", now=now)
        if left and lot.expires_at <= now:
            await forfeit(session, lot, left, key=f"expire:{lot.id}:{refund_id}", occurred_at=now, now=now)


async def taken_by(session: Session, debit_id: str) -> list[tuple[LotDebit, LedgerLot, Cause]]:
    """The debits of a posting with their lots, which stay locked, and the causes of what filled these."""
    statement = (
        select(LotDebit, LedgerLot, LedgerPosting.cause_kind, LedgerPosting.cause_id)
        .join(LedgerLot, col(LotDebit.lot_id) == col(LedgerLot.id))
        .join(LedgerPosting, col(LedgerLot.posting_id) == col(LedgerPosting.id))
        .where(LotDebit.posting_id == debit_id)
        .order_by(col(LotDebit.id))
        .with_for_update(of=LedgerLot)
        .execution_options(populate_existing=True)
    )
    return [(debit, lot, Cause(kind, id)) for debit, lot, kind, id in (await session.exec(statement)).all()]


def give_back(
    session: Session, debit: LotDebit, lot: LedgerLot, refund_id: str, until: datetime | None, *, now: datetime
) -> LedgerLot:
    """The lot that has the points of a debit again: the one that it took them from, or one that lives `until`."""
    if until is None or lot.expires_at > now:
        lot.remaining += debit.points
        session.add(LotDebit(id=new_id(), posting_id=refund_id, lot_id=lot.id, points=-debit.points))
        return lot
    key = lot_id(f"reinstate:{refund_id}:{lot.id}")
    heir = successor(lot, debit.points, key, customer_id=lot.customer_id, posting_id=refund_id, now=now)
    heir.expires_at = until
    session.add(heir)
    return heir


def successor(
    source: LedgerLot, points: int, id: str, *, customer_id: str, posting_id: str, now: datetime
) -> LedgerLot:
    """A lot that goes on with points of another: it keeps when they were earned and when they expire."""
    return LedgerLot(
        id=id,
        customer_id=customer_id,
        posting_id=posting_id,
        source_lot_id=source.id,
        points=points,
        remaining=points,
        earned_at=source.earned_at,
        available_at=now,
        expires_at=source.expires_at,
        released=True,
    )


async def forfeit(
    session: Session, lot: LedgerLot, points: int, *, key: str, occurred_at: datetime, now: datetime
) -> None:
    """Let points of a lot, pending or available, go to the house, once by `key`; the caller holds the customer."""
    account = AccountKind.AVAILABLE if lot.released else AccountKind.PENDING
    posting_id = await post(
        session,
        key=key,
        kind=PostingKind.EXPIRE,
        cause=Cause(LOT, lot.id),
        legs=[Leg(account, -points, lot.customer_id), Leg(AccountKind.EXPIRY, points)],
        occurred_at=occurred_at,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"lot {lot.id} still holds what was forfeited by {key}")
    lot.remaining -= points
    session.add(LotDebit(id=new_id(), posting_id=posting_id, lot_id=lot.id, points=points))


async def debits_of(session: Session, posting_id: str) -> Sequence[tuple[LotDebit, LedgerLot]]:
    """The lots that a posting took from, or gave back to, in the order in which it did."""
    statement = select(LotDebit, LedgerLot).join(LedgerLot).where(LotDebit.posting_id == posting_id)
    return (await session.exec(statement.order_by(col(LotDebit.id)))).all()


async def fillers_of(session: Session, lot_ids: Sequence[str]) -> dict[str, LedgerPosting]:
    """The postings that filled lots, by the lots' ids."""
    statement = select(LedgerLot.id, LedgerPosting).join(LedgerPosting).where(col(LedgerLot.id).in_(list(lot_ids)))
    return dict((await session.exec(statement)).all())
