"""How a reservation ends: fulfilled, failed, cancelled or expired, exactly one of them however many say so at once.

The transition is an UPDATE that is guarded by the status it starts from. Whoever's passes it does the rest in the same
transaction: stock and points go back unless the reward was fulfilled. All others are told the first answer.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import col, select

from core.audit import LONGEST_REASON, act, checked_reason, record_act
from core.db import Session, changed_rows
from core.errors import BadUserInput, Forbidden, NotFound, Refusal
from core.notices import NOTICE_OWED, NoticeKind
from core.outbox import owe
from core.principal import Principal, Scope
from loyalty.catalogue import return_stock
from loyalty.ledger import AccountKind, Cause, Leg, PostingKind, hold, post
from loyalty.lots import ExpiredPolicy, refund
from loyalty.redemption_facts import record_ending
from loyalty.redemption_records import REDEMPTION, Redemption, RedemptionStatus

LONGEST_REFERENCE = 100
# Who ends what nobody else has ended in time.
TIME = "time"


class RedemptionReasonInvalid(BadUserInput):
    code = "REDEMPTION_REASON_INVALID"
    en = f"This needs a reason of 1 to {LONGEST_REASON} characters."
    zh = f"需填写1至{LONGEST_REASON}个字符的原因。"


class ReferenceInvalid(BadUserInput):
    code = "REFERENCE_INVALID"
    en = f"A reference has 1 to {LONGEST_REFERENCE} characters."
    zh = f"参考号需为1至{LONGEST_REFERENCE}个字符。"


class ReservationExpired(Refusal):
    code = "RESERVATION_EXPIRED"
    en = "The time limit of this redemption is over; its points go back."
    zh = "该兑换已超过履约时限，积分将退还。"


class RedemptionClosed(Refusal):
    code = "REDEMPTION_CLOSED"
    en = "This redemption has ended in another way."
    zh = "该兑换已以其他方式结束。"


@dataclass(frozen=True, slots=True)
class Ending:
    """How somebody ends a reservation; `tells` the customer, unless they did it themselves."""

    status: RedemptionStatus
    actor: str
    reason: str | None = None
    reference: str | None = None
    tells: bool = True


# What is audited, and what the customer is told, of each end.
NOTICES = {
    RedemptionStatus.FULFILLED: NoticeKind.REDEMPTION_FULFILLED,
    RedemptionStatus.FAILED: NoticeKind.REDEMPTION_FAILED,
    RedemptionStatus.CANCELLED: NoticeKind.REDEMPTION_CANCELLED,
    RedemptionStatus.EXPIRED: NoticeKind.REDEMPTION_EXPIRED,
}


def may_fulfil(principal: Principal) -> None:
    """Administrators report on fulfilment, and the systems of partners with the scope; raises Forbidden."""
    if not principal.is_administrator and Scope.REDEMPTIONS_WRITE not in principal.scopes:
        raise Forbidden


async def fulfil_redemption(
    session: Session, redemption_id: str, *, reference: str, actor: str, now: datetime
) -> Redemption:
    """Say that a partner has fulfilled a redemption; said again, the first answer.

    Raises ReferenceInvalid, NotFound, ReservationExpired from the time limit on, RedemptionClosed.
    """
    words = reference.strip()
    if not 1 <= len(words) <= LONGEST_REFERENCE or "\0" in words:
        raise ReferenceInvalid(path=("reference",))
    return await end(session, redemption_id, Ending(RedemptionStatus.FULFILLED, actor, reference=words), now=now)


async def fail_redemption(
    session: Session, redemption_id: str, *, reason: str, actor: str, now: datetime
) -> Redemption:
    """Say that a redemption cannot be fulfilled, so that the points go back; said again, the first answer.

    Raises RedemptionReasonInvalid, NotFound, RedemptionClosed.
    """
    words = checked_reason(reason, RedemptionReasonInvalid)
    return await end(session, redemption_id, Ending(RedemptionStatus.FAILED, actor, reason=words), now=now)


async def cancel_redemption(
    session: Session, redemption_id: str, *, principal: Principal, reason: str | None, now: datetime
) -> Redemption:
    """Give up a reservation of one's own, or as an administrator somebody else's, with a reason.

    Raises NotFound also for anybody else, RedemptionReasonInvalid, RedemptionClosed.
    """
    owner = (await session.exec(select(Redemption.customer_id).where(Redemption.id == redemption_id))).first()
    is_own = owner is not None and owner == principal.customer_id
    if owner is None or not (is_own or principal.is_administrator):
        raise NotFound(path=("redemptionId",))
    words = None if is_own and reason is None else checked_reason(reason or "", RedemptionReasonInvalid)
    ending = Ending(RedemptionStatus.CANCELLED, principal.subject, reason=words, tells=not is_own)
    return await end(session, redemption_id, ending, now=now)


async def expire_redemption(session: Session, redemption_id: str, *, now: datetime) -> bool:
    """End a reservation whose time limit is over, once; False where it has ended, or has time left."""
    return await close(session, redemption_id, Ending(RedemptionStatus.EXPIRED, TIME), now=now)


async def end(session: Session, redemption_id: str, ending: Ending, *, now: datetime) -> Redemption:
    """The redemption after its end; raises NotFound, and ReservationExpired or RedemptionClosed for another end."""
    await close(session, redemption_id, ending, now=now)
    row = await session.get(Redemption, redemption_id, populate_existing=True)
    if row is None:
        raise NotFound(path=("redemptionId",))
    if row.status == ending.status:
        return row
    is_late = row.status in (RedemptionStatus.EXPIRED, RedemptionStatus.RESERVED)
    if is_late and ending.status == RedemptionStatus.FULFILLED:
        raise ReservationExpired(path=("redemptionId",))
    raise RedemptionClosed(path=("redemptionId",), detail=row.status)


async def close(session: Session, redemption_id: str, ending: Ending, *, now: datetime) -> bool:
    """Make the transition with all that follows from it; False where its guard did not let it pass."""
    guarded = update(Redemption).where(
        col(Redemption.id) == redemption_id, col(Redemption.status) == RedemptionStatus.RESERVED, in_time(ending, now)
    )
    values = {"status": ending.status, "ended_at": now, "ended_by": ending.actor}
    if not await changed_rows(session, guarded.values(**values, reason=ending.reason, reference=ending.reference)):
        return False
    row = await session.get_one(Redemption, redemption_id, populate_existing=True)
    await record_ending(session, row, now=now)
    if ending.status != RedemptionStatus.FULFILLED:
        # The stock comes before the customer, as it does for whoever redeems.
        await return_stock(session, row.reward_id)
        await give_back(session, row, now=now)
    if ending.tells:
        await note(session, row, ending, now=now)
    return True


def in_time(ending: Ending, now: datetime) -> ColumnElement[bool]:
    """A reward is fulfilled before its time limit and expires from it on; the others may come at any time."""
    limit = col(Redemption.reserved_until)
    if ending.status == RedemptionStatus.FULFILLED:
        return limit > now
    return limit <= now if ending.status == RedemptionStatus.EXPIRED else limit.is_not(None)


async def give_back(session: Session, row: Redemption, *, now: datetime) -> None:
    """Book the refund, whose key is the redemption's, into the lots that paid."""
    if row.posting_id is None:
        raise RuntimeError(f"redemption {row.id} is reserved, yet nothing was paid for it")
    await hold(session, [row.customer_id])
    posting_id = await post(
        session,
        key=f"refund:redemption:{row.id}",
        kind=PostingKind.REFUND,
        cause=Cause(REDEMPTION, row.id),
        legs=[Leg(AccountKind.REDEMPTION, -row.points), Leg(AccountKind.AVAILABLE, row.points, row.customer_id)],
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise RuntimeError(f"redemption {row.id} is being refunded, yet its refund exists")
    await refund(
        session,
        debit_id=row.posting_id,
        refund_id=posting_id,
        now=now,
        expired=ExpiredPolicy(row.expired_policy),
        grace_days=row.grace_days,
    )
    row.refund_id = posting_id
    session.add(row)
    await session.flush()


async def note(session: Session, row: Redemption, ending: Ending, *, now: datetime) -> None:
    """Keep who ended it and why, and tell the customer. The partner's reference stands in the redemption alone."""
    key, kind = f"redemption:{row.id}:{ending.status}".lower(), NOTICES[ending.status]
    if ending.actor != TIME:
        entry = act(
            area=f"redemption:{row.id}",
            actor=ending.actor,
            action=kind,
            subject=row.id,
            at=now,
            concerns=row.customer_id,
            reason=ending.reason,
        )
        await record_act(session, key, entry)
    data = {"redemption_id": row.id, "reward_id": row.reward_id}
    payload = {"customer_id": row.customer_id, "kind": kind, "data": data}
    await owe(session, topic=NOTICE_OWED, key=key, payload=payload, now=now)
