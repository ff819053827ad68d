"""Taking back what was given for nothing: planned by one pure function, which the preview and the act share."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func
from sqlmodel import col, select

from core.db import Session
from core.ids import new_id
from loyalty.ledger import AccountKind, Cause, LedgerEntry, LedgerPosting, Leg, PostingKind, hold, post
from loyalty.lots import LedgerLot, LotDebit
from loyalty.shortfall import ShortfallPolicy, shortfall_legs


@dataclass(frozen=True, slots=True)
class Demand:
    """Points to take back from a customer, first of all from the lot that they filled; booked once by `key`."""

    key: str
    cause: Cause
    customer_id: str
    lot_id: str
    points: int
    shortfall: ShortfallPolicy


@dataclass(frozen=True, slots=True)
class Take:
    """What a lot gives."""

    lot_id: str
    points: int


@dataclass(frozen=True, slots=True)
class Clawback:
    """What a demand takes, or took where it is booked: points from lots, and a shortfall owed or written off.

    `pending` of the points could not be spent yet.
    """

    key: str
    takes: tuple[Take, ...]
    pending: int
    debt: int
    written_off: int
    posting_id: str | None = None

    @property
    def recovered(self) -> int:
        return sum(take.points for take in self.takes)


@dataclass(frozen=True, slots=True)
class LotState:
    """A lot as planning sees it."""

    id: str
    customer_id: str
    remaining: int
    is_released: bool
    earned_at: datetime
    expires_at: datetime

    @property
    def burn_order(self) -> tuple[datetime, datetime, str]:
        return self.expires_at, self.earned_at, self.id


def plan_clawbacks(lots: Iterable[LotState], demands: Sequence[Demand], *, now: datetime) -> list[Clawback]:
    """What the demands take when they are met one after the other, each from the lots as those before left them.

    A demand takes what remains in its own lot, pending or expired as it may be, since that was never the customer's
    to keep; then from the customer's other lots, available and not expired, as a redemption would.
    """
    ordered = sorted(lots, key=lambda lot: lot.burn_order)
    left = {lot.id: lot.remaining for lot in ordered}
    return [meet(demand, ordered, left, now=now) for demand in demands]


def meet(demand: Demand, ordered: Sequence[LotState], left: dict[str, int], *, now: datetime) -> Clawback:
    """Count down in `left` what one demand takes."""
    mine = [lot for lot in ordered if lot.customer_id == demand.customer_id]
    own = [lot for lot in mine if lot.id == demand.lot_id]
    others = [lot for lot in mine if lot.id != demand.lot_id and lot.is_released and lot.expires_at > now]
    due, pending, takes = demand.points, 0, list[Take]()
    for lot in (*own, *others):
        if taken := min(due, left[lot.id]):
            takes.append(Take(lot.id, taken))
            left[lot.id] -= taken
            due -= taken
            pending += 0 if lot.is_released else taken
    is_debt = demand.shortfall == ShortfallPolicy.DEBT
    return Clawback(demand.key, tuple(takes), pending, debt=due if is_debt else 0, written_off=0 if is_debt else due)


async def preview_clawbacks(session: Session, demands: Sequence[Demand], *, now: datetime) -> list[Clawback]:
    """What claw_back would answer now; it writes nothing and holds nobody."""
    done = await clawbacks_by_key(session, [demand.key for demand in demands])
    fresh = [demand for demand in demands if demand.key not in done]
    planned = plan_clawbacks(state_of(await lots_for(session, fresh, now=now)), fresh, now=now)
    return in_order(demands, done, planned)


async def claw_back(session: Session, demands: Sequence[Demand], *, now: datetime) -> list[Clawback]:
    """Take back what is demanded, each demand once by its key; one that is booked gives its first answer.

    The customers are held from before the plan until the end of the transaction. What an erased customer would owe is
    written off, since nobody will repay it. Raises ValueError for a demand of less than one point.
    """
    if any(demand.points < 1 for demand in demands):
        raise ValueError("a clawback takes at least one point")
    erased = await hold(session, {demand.customer_id for demand in demands})
    demands = [unowed(demand) if demand.customer_id in erased else demand for demand in demands]
    done = await clawbacks_by_key(session, [demand.key for demand in demands])
    fresh = [demand for demand in demands if demand.key not in done]
    lots = {lot.id: lot for lot in await lots_for(session, fresh, now=now)}
    planned = plan_clawbacks(state_of(lots.values()), fresh, now=now)
    booked = [await book(session, demand, plan, lots, now=now) for demand, plan in zip(fresh, planned, strict=True)]
    await session.flush()
    return in_order(demands, done, booked)


def unowed(demand: Demand) -> Demand:
    return replace(demand, shortfall=ShortfallPolicy.WRITE_OFF)


def in_order(demands: Sequence[Demand], done: dict[str, Clawback], fresh: Iterable[Clawback]) -> list[Clawback]:
    found = {**done, **{one.key: one for one in fresh}}
    return [found[demand.key] for demand in demands]


def state_of(lots: Iterable[LedgerLot]) -> list[LotState]:
    return [
        LotState(lot.id, lot.customer_id, lot.remaining, lot.released, lot.earned_at, lot.expires_at) for lot in lots
    ]


async def lots_for(session: Session, demands: Sequence[Demand], *, now: datetime) -> Sequence[LedgerLot]:
    """The lots that the demands may take from; they stay as they are while their customers are held."""
    if not demands:
        return []
    free = col(LedgerLot.released).is_(True) & (col(LedgerLot.expires_at) > now)
    statement = (
        select(LedgerLot)
        .where(
            col(LedgerLot.customer_id).in_({demand.customer_id for demand in demands}),
            LedgerLot.remaining > 0,
            col(LedgerLot.id).in_({demand.lot_id for demand in demands}) | free,
        )
        .execution_options(populate_existing=True)
    )
    return (await session.exec(statement)).all()


async def book(
    session: Session, demand: Demand, plan: Clawback, lots: dict[str, LedgerLot], *, now: datetime
) -> Clawback:
    """Book what was planned, and take it from the lots."""
    legs = [
        Leg(AccountKind.AVAILABLE, plan.pending - plan.recovered, demand.customer_id),
        Leg(AccountKind.PENDING, -plan.pending, demand.customer_id),
        Leg(AccountKind.ISSUANCE, plan.recovered),
        *shortfall_legs(demand.shortfall, demand.customer_id, plan.debt + plan.written_off),
    ]
    posting_id = await post(
        session,
        key=demand.key,
        kind=PostingKind.CLAWBACK,
        cause=demand.cause,
        legs=legs,
        occurred_at=now,
        now=now,
    )
    if posting_id is None:
        raise ValueError(f"{demand.key} names two demands, or something that is no clawback of this customer")
    for take in plan.takes:
        lots[take.lot_id].remaining -= take.points
        session.add(LotDebit(id=new_id(), posting_id=posting_id, lot_id=take.lot_id, points=take.points))
    return replace(plan, posting_id=posting_id)


async def clawbacks_by_key(session: Session, keys: Sequence[str]) -> dict[str, Clawback]:
    """The clawbacks that are booked under these keys."""
    statement = select(LedgerPosting).where(
        col(LedgerPosting.key).in_(list(keys)), LedgerPosting.kind == PostingKind.CLAWBACK
    )
    postings = {posting.id: posting for posting in (await session.exec(statement)).all()} if keys else {}
    if not postings:
        return {}
    debits = select(LotDebit).where(col(LotDebit.posting_id).in_(postings)).order_by(col(LotDebit.id))
    takes: dict[str, list[Take]] = defaultdict(list)
    for debit in (await session.exec(debits)).all():
        takes[debit.posting_id].append(Take(debit.lot_id, debit.points))
    moved: Counter[tuple[str, str]] = Counter()
    for entry in (await session.exec(select(LedgerEntry).where(col(LedgerEntry.posting_id).in_(postings)))).all():
        moved[entry.posting_id, entry.account_id.rpartition(":")[2].upper()] += entry.points
    return {
        posting.key: Clawback(
            posting.key,
            tuple(takes[id]),
            pending=-moved[id, AccountKind.PENDING],
            debt=moved[id, AccountKind.DEBT],
            written_off=-moved[id, AccountKind.WRITE_OFF],
            posting_id=id,
        )
        for id, posting in postings.items()
    }


@dataclass(frozen=True, slots=True)
class Spending:
    """What points of some lots were spent on and not given back for, by the cause of the posting."""

    cause: Cause
    points: int


async def spendings_from(session: Session, lot_ids: Sequence[str], *, limit: int) -> list[Spending]:
    """What these lots were spent on, most points first."""
    total = func.sum(LotDebit.points)
    statement = (
        select(LedgerPosting.cause_kind, LedgerPosting.cause_id, total)
        .join(LotDebit)
        .where(
            col(LotDebit.lot_id).in_(list(lot_ids)),
            col(LedgerPosting.kind).in_([PostingKind.REDEEM, PostingKind.REFUND]),
        )
        .group_by(col(LedgerPosting.cause_kind), col(LedgerPosting.cause_id))
        .having(total > 0)
        .order_by(total.desc(), func.min(LotDebit.id))
        .limit(limit)
    )
    rows = (await session.exec(statement)).all() if lot_ids else []
    return [Spending(Cause(kind, id), int(points)) for kind, id, points in rows]
