"""Points that one customer gives to another: both legs in one posting, and the lots go on with what they were."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import BigInteger, Field, func, select

from core.days import day_of, end_of_day, start_of_day
from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import derived_id
from loyalty.idempotency import check_key, check_same
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, hold, post
from loyalty.lots import LedgerLot, burn, collect_debt, lot_id, successor
from loyalty.shortfall import debtors

TRANSFER = "TRANSFER"
LONGEST_NOTE = 200


class TransferInvalid(BadUserInput):
    code = "TRANSFER_INVALID"
    en = "The transfer is not valid."
    zh = "转赠信息无效。"


class TransferToOneself(Refusal):
    code = "TRANSFER_TO_ONESELF"
    en = "You cannot transfer points to yourself."
    zh = "不能把积分转赠给自己。"


class RecipientNotFound(Refusal):
    code = "RECIPIENT_NOT_FOUND"
    en = "There is no such recipient."
    zh = "没有这样的接收人。"


class TransferTooSmall(Refusal):
    code = "TRANSFER_TOO_SMALL"
    en = "These are fewer points than can be transferred."
    zh = "低于单次转赠的最低积分。"


class TransferTooLarge(Refusal):
    code = "TRANSFER_TOO_LARGE"
    en = "These are more points than can be transferred at once."
    zh = "超过单次转赠的积分上限。"


class TransferLimitReached(Refusal):
    code = "TRANSFER_LIMIT_REACHED"
    en = "You cannot transfer so many points today."
    zh = "已达到今日转赠上限。"


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Points in one transfer, and what one customer may give away in a day of the programme."""

    smallest: int = 10
    largest: int = 10_000
    per_day: int = 20_000


class PointsTransfer(Record, table=True):
    """One gift of points; the note is the sender's words, and goes when either of them is erased."""

    __table_args__ = (
        UniqueConstraint("sender_id", "idempotency_key"),
        Index("ix_points_transfer_sender", "sender_id", "transferred_at"),
        Index("ix_points_transfer_receiver", "receiver_id", "transferred_at"),
    )

    id: str = Field(primary_key=True)
    sender_id: str
    receiver_id: str
    points: int = Field(sa_type=BigInteger)
    note: str | None = None
    idempotency_key: str
    posting_id: str | None = Field(default=None, foreign_key="ledger_posting.id")
    transferred_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Gift:
    """What somebody wants to give; `recipient_known` is whether there is such a customer."""

    sender_id: str
    receiver_id: str
    points: int
    idempotency_key: str
    note: str | None = None
    recipient_known: bool = True

    @property
    def words(self) -> str | None:
        """The note without the space around it; None where there are no words."""
        return (self.note or "").strip() or None


async def transfer(
    session: Session, gift: Gift, *, zone: str, now: datetime, limits: TransferLimits | None = None
) -> PointsTransfer:
    """Give points away; the same key again gives the first answer.

    Raises TransferInvalid, IdempotencyKeyInvalid, IdempotencyKeyReused, TransferToOneself, TransferTooSmall,
    TransferTooLarge, RecipientNotFound (unknown or erased: it does not say which), TransferLimitReached,
    InsufficientPoints; the caller's transaction then rolls back. `zone` says when the day of the limit begins.
    """
    limits = limits or TransferLimits()
    check_gift(gift)
    known = await earlier(session, gift)
    if known:
        return known
    if gift.sender_id == gift.receiver_id:
        raise TransferToOneself(path=("customerId",))
    if gift.points < limits.smallest:
        raise TransferTooSmall(path=("points",), detail=f"{limits.smallest} at least")
    if gift.points > limits.largest:
        raise TransferTooLarge(path=("points",), detail=f"{limits.largest} at most")
    if not gift.recipient_known:
        raise RecipientNotFound(path=("customerId",))
    # Both are held before anything is counted, in the one order in which everybody takes them.
    erased = await hold(session, {gift.sender_id, gift.receiver_id})
    known = await earlier(session, gift)
    if known:
        return known
    if gift.receiver_id in erased:
        raise RecipientNotFound(path=("customerId",))
    given = await given_today(session, gift.sender_id, zone=zone, now=now)
    if given + gift.points > limits.per_day:
        raise TransferLimitReached(path=("points",), detail=f"{limits.per_day} a day, {given} given")
    return await hand_over(session, gift, now=now)


def check_gift(gift: Gift) -> None:
    check_key(gift.idempotency_key)
    if gift.note is not None and (len(gift.note) > LONGEST_NOTE or "\0" in gift.note):
        raise TransferInvalid(path=("note",), detail=f"at most {LONGEST_NOTE} characters")


def transfer_id(gift: Gift) -> str:
    return derived_id("transfer", gift.sender_id, gift.idempotency_key)


async def earlier(session: Session, gift: Gift) -> PointsTransfer | None:
    """What was done under this key; raises IdempotencyKeyReused where that was something else."""
    found = await session.get(PointsTransfer, transfer_id(gift), populate_existing=True)
    if found:
        known = [found.receiver_id, found.points, found.note]
        check_same(known, [gift.receiver_id, gift.points, gift.words])
    return found


async def given_today(session: Session, sender_id: str, *, zone: str, now: datetime) -> int:
    """Points that a customer gives away in the day of `zone` that it is; who holds the customer counts exactly."""
    today = day_of(now, zone)
    statement = select(func.coalesce(func.sum(PointsTransfer.points), 0)).where(
        PointsTransfer.sender_id == sender_id,
        PointsTransfer.transferred_at >= start_of_day(today, zone),
        PointsTransfer.transferred_at < end_of_day(today, zone),
    )
    return int((await session.exec(statement)).one())


async def hand_over(session: Session, gift: Gift, *, now: datetime) -> PointsTransfer:
    """Book the transfer of two customers who are held, and split the sender's lots for the receiver."""
    id = transfer_id(gift)
    posting_id = await post(
        session,
        key=f"transfer:{id}",
        kind=PostingKind.TRANSFER,
        cause=Cause(TRANSFER, id),
        legs=[
            Leg(AccountKind.AVAILABLE, -gift.points, gift.sender_id),
            Leg(AccountKind.AVAILABLE, gift.points, gift.receiver_id),
        ],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"transfer {id} is new, yet its posting exists")
    row: dict[str, Any] = {
        "id": id,
        "sender_id": gift.sender_id,
        "receiver_id": gift.receiver_id,
        "points": gift.points,
        "note": gift.words,
        "idempotency_key": gift.idempotency_key,
        "posting_id": posting_id,
        "transferred_at": now,
    }
    await insert_once(session, PointsTransfer, row)
    taken = await burn(session, posting_id=posting_id, customer_id=gift.sender_id, points=gift.points, now=now)
    await fill(session, taken, id, gift.receiver_id, posting_id, now=now)
    return await session.get_one(PointsTransfer, id)


async def fill(
    session: Session,
    taken: list[tuple[LedgerLot, int]],
    id: str,
    receiver_id: str,
    posting_id: str,
    *,
    now: datetime,
) -> None:
    """Give the receiver a lot for each that the sender's points came from; what they owe is repaid first."""
    lots = [
        successor(
            lot,
            points,
            lot_id(f"transfer:{id}:{lot.id}"),
            customer_id=receiver_id,
            posting_id=posting_id,
            now=now,
        )
        for lot, points in taken
        if points
    ]
    session.add_all(lots)
    await session.flush()
    if await debtors(session, {receiver_id}):
        for lot in lots:
            await collect_debt(session, lot, now=now)
        await session.flush()
