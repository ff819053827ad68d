"""The end of a day: what is due becomes available, what is over expires, and the books are proven, in that order.

The row of a day says how far its close has come, and is changed in the transaction of each batch. So a close that is
killed goes on where it stopped, two at once take turns, and one that is done again finds nothing to do.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import func, update
from sqlmodel import BigInteger, Field, col, select

from core.days import day_of, end_of_day
from core.db import Record, Session, changed_rows, insert_once, instant, json_column
from core.errors import Refusal
from core.ids import new_id
from core.paging import Falling, Page, Place, cut, in_order, page_size, position_at
from loyalty.ledger import AccountKind, Booking, Cause, Leg, PostingKind, hold, post_all, put_rows
from loyalty.lots import LOT, NOTHING, UNRELEASED, LedgerLot, LotDebit, collect_debt
from loyalty.shortfall import debtors
from loyalty.trial_balance import TrialBalance

# So many lots are booked in one transaction.
BATCH = 1_000
# So many days that were missed are begun by one request.
MOST_MISSED = 400
# For so long after a batch, and after the proof was begun, a close counts as being at work. One that is killed is
# waited for no longer.
LONGEST_BATCH = timedelta(minutes=2)
LONGEST_PROOF = timedelta(hours=1)

log = structlog.get_logger(__name__)


class DayNotOver(Refusal):
    code = "DAY_NOT_OVER"
    en = "This day is not over yet."
    zh = "该日尚未结束。"


class DayBeforeFirst(Refusal):
    code = "DAY_BEFORE_FIRST"
    en = "The books were first closed for a later day."
    zh = "首次日结晚于该日。"


class DayTooFar(Refusal):
    code = "DAY_TOO_FAR"
    en = f"Too many days before this one are open: close an earlier one first, at most {MOST_MISSED} at once."
    zh = f"之前未日结的天数过多，请先处理较早的日期，每次最多{MOST_MISSED}天。"


class ClosePhase(StrEnum):
    """What a close is at; CLOSED is its end."""

    ACTIVATE = "ACTIVATE"
    EXPIRE = "EXPIRE"
    RECONCILE = "RECONCILE"
    CLOSED = "CLOSED"


AFTER = {ClosePhase.ACTIVATE: ClosePhase.EXPIRE, ClosePhase.EXPIRE: ClosePhase.RECONCILE}


class DayClose(Record, table=True):
    """The close of one day in the time zone that the programme had then.

    `cursor` is the customer up to whom the present phase is done. `holds` and `findings` are the trial balance.
    Until `busy_until` somebody is at it, so that no worker begins beside them; null once it is done.
    """

    day: date = Field(primary_key=True)
    time_zone: str
    ends_at: datetime = instant()
    phase: str
    cursor: str = ""
    activated_lots: int = 0
    activated_points: int = Field(default=0, sa_type=BigInteger)
    expired_lots: int = 0
    expired_points: int = Field(default=0, sa_type=BigInteger)
    opened_at: datetime = instant()
    busy_until: datetime | None = instant(optional=True)
    closed_at: datetime | None = instant(optional=True)
    holds: bool | None = None
    entries: int | None = Field(default=None, sa_type=BigInteger)
    findings: dict[str, Any] = json_column()


async def open_days(session: Session, *, until: date, zone: str, now: datetime) -> DayClose:
    """Begin the close of a day and of those before it that were missed; the row of the day, as it is by now.

    The first day ever closed has none before it: its close takes what is left of all of them. It is a late one, as all
    days after it are closed too. Raises DayNotOver, DayBeforeFirst, DayTooFar.
    """
    # Days are compared first: the last one of the calendar has none after it at which it could end.
    if until >= day_of(now, zone) or end_of_day(until, zone) > now:
        raise DayNotOver(path=("day",))
    first, last = await first_and_last(session)
    if first is not None and until < first:
        raise DayBeforeFirst(path=("day",))
    begin = until if last is None else min(until, last + timedelta(days=1))
    if (until - begin).days >= MOST_MISSED or (last is None and (day_of(now, zone) - until).days > MOST_MISSED):
        raise DayTooFar(path=("day",))
    missed = [begin + timedelta(days=number) for number in range((until - begin).days + 1)]
    await insert_once(session, DayClose, [new_day(day, zone, now=now) for day in missed], "day")
    return await session.get_one(DayClose, until, populate_existing=True)


def new_day(day: date, zone: str, *, now: datetime) -> dict[str, Any]:
    return {
        "day": day,
        "time_zone": zone,
        "ends_at": end_of_day(day, zone),
        "phase": ClosePhase.ACTIVATE,
        "cursor": "",
        "activated_lots": 0,
        "activated_points": 0,
        "expired_lots": 0,
        "expired_points": 0,
        "opened_at": now,
        "findings": {},
    }


async def first_and_last(session: Session) -> tuple[date | None, date | None]:
    """The first and the last day that was ever begun."""
    statement: Any = select(func.min(DayClose.day), func.max(DayClose.day))
    first, last = (await session.exec(statement)).one()
    return first, last


async def due_day(session: Session, *, zone: str, now: datetime) -> date | None:
    """The last day that is over, where it has not been begun; a programme that has never closed begins with it."""
    yesterday = day_of(now, zone) - timedelta(days=1)
    _, last = await first_and_last(session)
    if last is not None and last >= yesterday:
        return None
    # After a very long pause the days are begun in several goes.
    return yesterday if last is None else min(yesterday, last + timedelta(days=MOST_MISSED))


async def open_day(session: Session) -> date | None:
    """The earliest day whose close is not done."""
    found = await earliest_open(session)
    return found.day if found else None


async def earliest_open(session: Session) -> DayClose | None:
    statement = select(DayClose).where(col(DayClose.closed_at).is_(None)).order_by(col(DayClose.day))
    return (await session.exec(statement.limit(1))).first()


async def has_work(session: Session, *, zone: str, now: datetime) -> bool:
    """Whether there is a day to close that nobody is at; who is at one takes those after it, too."""
    found = await earliest_open(session)
    if found is not None:
        return found.busy_until is None or found.busy_until <= now
    return await due_day(session, zone=zone, now=now) is not None


async def close_some(session: Session, day: date, *, now: datetime, batch: int = BATCH) -> ClosePhase:
    """Book the next batch of a day's close; the phase that it is at afterwards.

    The row is locked first, then the customers of the batch. A day waits for those before it: who asks for another
    gets the phase in which it is, and nothing is done.
    """
    statement = select(DayClose).where(DayClose.day == day).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).one()
    phase = ClosePhase(row.phase)
    if phase in (ClosePhase.RECONCILE, ClosePhase.CLOSED) or await open_day(session) != day:
        return phase
    lots, is_last = await next_lots(session, row, limit=batch)
    if phase == ClosePhase.ACTIVATE:
        row.activated_points += await activate(session, lots, row.ends_at, now=now)
        row.activated_lots += len(lots)
    else:
        row.expired_points += await expire(session, lots, turn=f"{day}:{row.expired_lots}", now=now)
        row.expired_lots += len(lots)
    if is_last:
        row.phase, row.cursor = AFTER[phase], ""
    elif lots:
        row.cursor = lots[-1].customer_id
    row.busy_until = now + LONGEST_BATCH
    await session.flush()
    return ClosePhase(row.phase)


async def next_lots(session: Session, row: DayClose, *, limit: int) -> tuple[Sequence[LedgerLot], bool]:
    """The next lots that the phase is about, whose customers are held from now on; and whether no more follow.

    What was done is no longer found, so the last customer of a batch is looked at again: they may have more.
    """
    statement = select(LedgerLot.id, LedgerLot.customer_id).where(LedgerLot.customer_id >= row.cursor)
    if row.phase == ClosePhase.ACTIVATE:
        due = UNRELEASED, LedgerLot.available_at <= row.ends_at
        order = col(LedgerLot.customer_id), col(LedgerLot.available_at), col(LedgerLot.id)
    else:
        due = col(LedgerLot.remaining) > NOTHING, LedgerLot.expires_at <= row.ends_at
        order = col(LedgerLot.customer_id), col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id)
    found = (await session.exec(statement.where(*due).order_by(*order).limit(limit))).all()
    await hold(session, {customer_id for _, customer_id in found})
    # Somebody may have been faster with some of them.
    again = select(LedgerLot).where(col(LedgerLot.id).in_([id for id, _ in found]), *due).order_by(*order)
    lots = (await session.exec(again.execution_options(populate_existing=True))).all()
    return lots, len(found) < limit


async def activate(session: Session, lots: Sequence[LedgerLot], until: datetime, *, now: datetime) -> int:
    """Make pending lots available, in statements for all of them; who owes repays one by one. Returns the points."""
    filled = [lot for lot in lots if lot.remaining]
    bookings = [
        Booking(
            f"release:{lot.id}",
            PostingKind.RELEASE,
            Cause(LOT, lot.id),
            [
                Leg(AccountKind.PENDING, -lot.remaining, lot.customer_id),
                Leg(AccountKind.AVAILABLE, lot.remaining, lot.customer_id),
            ],
            lot.available_at,
        )
        for lot in filled
    ]
    if len(await post_all(session, bookings, now=now)) != len(bookings):
        raise RuntimeError("a lot that is not released has a posting that released it")
    await change_lots(session, lots, released=True)
    points = sum(lot.remaining for lot in filled)
    in_debt = await debtors(session, {lot.customer_id for lot in filled})
    for lot in filled:
        if lot.customer_id in in_debt:
            await collect_debt(session, lot, now=now)
    return points


async def expire(session: Session, lots: Sequence[LedgerLot], *, turn: str, now: datetime) -> int:
    """Let what is left of expired lots go to the house, one posting for each lot and `turn`. Returns the points.

    A refund whose instant is a little before the expiry may be booked after it, and fills the lot once more. So the
    key says which batch of which day took what it held: the day, and how many lots had expired in it before.
    """
    keys = {lot.id: f"expire:{lot.id}:{turn}" for lot in lots}
    bookings = [
        Booking(
            keys[lot.id],
            PostingKind.EXPIRE,
            Cause(LOT, lot.id),
            [
                Leg(AccountKind.AVAILABLE if lot.released else AccountKind.PENDING, -lot.remaining, lot.customer_id),
                Leg(AccountKind.EXPIRY, lot.remaining),
            ],
            lot.expires_at,
        )
        for lot in lots
    ]
    postings = await post_all(session, bookings, now=now)
    if len(postings) != len(bookings):
        raise RuntimeError("a batch that is booked has lots that hold points")
    debits = [
        {"id": new_id(), "posting_id": postings[keys[lot.id]], "lot_id": lot.id, "points": lot.remaining}
        for lot in lots
    ]
    await put_rows(session, LotDebit, debits)
    points = sum(lot.remaining for lot in lots)
    await change_lots(session, lots, remaining=0)
    return points


async def change_lots(session: Session, lots: Sequence[LedgerLot], **values: Any) -> None:
    """Change lots of held customers in one statement, which leaves the objects as they were read."""
    if lots:
        ids = [lot.id for lot in lots]
        await changed_rows(session, update(LedgerLot).where(col(LedgerLot.id).in_(ids)).values(**values))


async def begin_proof(session: Session, day: date, *, now: datetime) -> None:
    """Say that the books of a day whose bookings are done are being folded, which takes longer than a batch."""
    booked = update(DayClose).where(col(DayClose.day) == day, col(DayClose.phase) == ClosePhase.RECONCILE)
    await changed_rows(session, booked.values(busy_until=now + LONGEST_PROOF))


async def keep_proof(session: Session, day: date, proof: TrialBalance, *, now: datetime) -> None:
    """Keep the proof of the books with a day whose bookings are done, once; what does not hold is logged as an error.

    The caller folds the books in a transaction that only reads, because it takes as long as they are.
    """
    found = {**proof.findings, **({"total": proof.total} if proof.total else {})}
    closed = update(DayClose).where(col(DayClose.day) == day, col(DayClose.phase) == ClosePhase.RECONCILE)
    values: dict[str, Any] = {
        "phase": ClosePhase.CLOSED,
        "busy_until": None,
        "closed_at": now,
        "holds": proof.holds,
        "entries": proof.entries,
        "findings": found,
    }
    if await changed_rows(session, closed.values(**values)) and not proof.holds:
        log.error("books_do_not_hold", day=str(day), findings=found)


async def day_closes(session: Session, *, first: int | None, after: Place) -> Page[DayClose]:
    """The closes, the latest day first."""
    size, position = page_size(first), position_at(after, int)
    mark = None
    if position is not None:
        mark = [date.fromordinal(max(1, min(int(position[0]), date.max.toordinal())))]
    page = in_order(select(DayClose), Falling(col(DayClose.day)), size=size, place=after, position=mark)
    return cut((await session.exec(page)).all(), size, lambda row: (row.day.toordinal(),), after)
