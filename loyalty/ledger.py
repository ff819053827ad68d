"""The double-entry ledger of points: append-only postings, each booked once by its key.

Points are whole numbers. A customer has an available and a pending account, and one of what they owe, whose balances
are kept beside the entries; the accounts of the house have no kept balance, because one row that every posting
changes would make all customers wait for each other. For the same reason only the entries of customers' accounts are
numbered and say what the balance was after them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, bindparam, insert, update
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_into, insert_once, instant, table_of
from core.errors import Refusal
from core.ids import new_id


class InsufficientPoints(Refusal):
    code = "INSUFFICIENT_POINTS"
    en = "There are not enough points."
    zh = "积分不足。"


class PostingKind(StrEnum):
    """What a posting does."""

    EARN = "EARN"
    RELEASE = "RELEASE"
    REDEEM = "REDEEM"
    REFUND = "REFUND"
    CLAWBACK = "CLAWBACK"
    REPAYMENT = "REPAYMENT"
    EXPIRE = "EXPIRE"
    TRANSFER = "TRANSFER"
    ADJUST = "ADJUST"
    WRITE_OFF = "WRITE_OFF"


class AccountKind(StrEnum):
    """Three accounts for each customer, the others for the house.

    DEBT holds what a customer owes, RECEIVABLE minus what all owe together; WRITE_OFF minus what was issued for
    nothing and could not be taken back. ADJUSTMENT holds minus what staff gave, plus what they took.
    """

    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"
    DEBT = "DEBT"
    ISSUANCE = "ISSUANCE"
    REDEMPTION = "REDEMPTION"
    EXPIRY = "EXPIRY"
    ADJUSTMENT = "ADJUSTMENT"
    RECEIVABLE = "RECEIVABLE"
    WRITE_OFF = "WRITE_OFF"


OF_CUSTOMERS: tuple[AccountKind, ...] = (AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.DEBT)


class LedgerAccount(Record, table=True):
    """An account; `balance` is kept for customers' accounts only and never falls below zero.

    `last_position` is the number of its latest entry. A customer's available account has `closed_at` from their
    erasure on: what arrives after it belongs to nobody.
    """

    __table_args__ = (CheckConstraint("balance IS NULL OR balance >= 0", name="ck_ledger_account_not_overdrawn"),)

    id: str = Field(primary_key=True)
    kind: str
    customer_id: str | None = Field(default=None, index=True)
    balance: int | None = Field(default=None, sa_type=BigInteger)
    last_position: int | None = Field(default=None, sa_type=BigInteger)
    closed_at: datetime | None = instant(optional=True)


class LedgerPosting(Record, table=True):
    """One booking; `occurred_at` is when its cause happened, `booked_at` when it was written here."""

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    kind: str
    cause_kind: str
    cause_id: str = Field(index=True)
    occurred_at: datetime = instant()
    booked_at: datetime = instant(index=True)


class LedgerEntry(Record, table=True):
    """One leg of a posting; the legs of a posting sum to zero.

    Those of a customer's account are numbered from 1 without a gap, and `balance_after` is the sum of the points up to
    and with this one; the house's have neither.
    """

    __table_args__ = (Index("ux_ledger_entry_position", "account_id", "position", unique=True),)

    id: str = Field(primary_key=True)
    posting_id: str = Field(foreign_key="ledger_posting.id", index=True)
    account_id: str = Field(foreign_key="ledger_account.id")
    points: int = Field(sa_type=BigInteger)
    position: int | None = Field(default=None, sa_type=BigInteger)
    balance_after: int | None = Field(default=None, sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Cause:
    """What a posting is for: the kind and id of a redemption, a referral reward, an earning."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Leg:
    """Points into (positive) or out of (negative) an account."""

    kind: AccountKind
    points: int
    customer_id: str | None = None

    @property
    def account_id(self) -> str:
        return account_id(self.kind, self.customer_id)


def account_id(kind: AccountKind, customer_id: str | None = None) -> str:
    return f"{customer_id or 'house'}:{kind.lower()}"


@dataclass(frozen=True, slots=True)
class Booking:
    """A posting to be booked once by its key; raises ValueError when its legs do not sum to zero."""

    key: str
    kind: PostingKind
    cause: Cause
    legs: Sequence[Leg]
    occurred_at: datetime

    def __post_init__(self) -> None:
        if len(self.legs) < 2 or sum(leg.points for leg in self.legs) != 0:
            raise ValueError("the legs of a posting sum to zero")

    def row(self, id: str, *, now: datetime) -> dict[str, Any]:
        """The row of the posting under this id."""
        return {
            "id": id,
            "key": self.key,
            "kind": self.kind,
            "cause_kind": self.cause.kind,
            "cause_id": self.cause.id,
            "occurred_at": self.occurred_at,
            "booked_at": now,
        }


async def post(
    session: Session,
    *,
    key: str,
    kind: PostingKind,
    cause: Cause,
    legs: Sequence[Leg],
    occurred_at: datetime,
    now: datetime,
) -> str | None:
    """Book the legs once by `key`; returns the posting's id, or None where it was booked before.

    Raises InsufficientPoints when a customer's account would fall below zero, ValueError when the
    legs do not sum to zero.
    """
    posting_id, booking = new_id(), Booking(key, kind, cause, legs, occurred_at)
    if not await insert_once(session, LedgerPosting, booking.row(posting_id, now=now), "key"):
        return None
    await enter(session, posting_id, netted(legs))
    return posting_id


async def post_all(session: Session, bookings: Sequence[Booking], *, now: datetime) -> dict[str, str]:
    """Book what is not booked yet, in a number of statements that does not grow with it; posting ids by key.

    The caller holds all customers of the legs, so that nobody else books for them. Raises InsufficientPoints when an
    account would fall below zero.
    """
    statement = select(LedgerPosting.key).where(col(LedgerPosting.key).in_([one.key for one in bookings]))
    known = set((await session.exec(statement)).all())
    fresh = [one for one in bookings if one.key not in known]
    if not fresh:
        return {}
    ids = {one.key: new_id() for one in fresh}
    # A key that somebody books meanwhile, who does not hold its customer, ends the transaction by its constraint.
    await put_rows(session, LedgerPosting, [one.row(ids[one.key], now=now) for one in fresh])
    await enter_all(session, [(ids[one.key], leg) for one in fresh for leg in netted(one.legs)])
    return ids


async def put_rows(session: Session, model: type[Record], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that nobody else inserts; the driver is given them one after the other, so there may be many."""
    if rows:
        connection = await session.connection()
        await connection.execute(insert(table_of(model)), rows)


async def put_accounts(session: Session, legs: Iterable[Leg]) -> None:
    """Make the accounts of legs that are not there yet, in the order of their ids, which everybody keeps to."""
    accounts = {account["id"]: account for account in map(new_account, legs)}
    connection = await session.connection()
    await connection.execute(
        insert_into(session, LedgerAccount).on_conflict_do_nothing(index_elements=["id"]),
        [accounts[key] for key in sorted(accounts)],
    )


async def enter_all(session: Session, legs: Sequence[tuple[str, Leg]]) -> None:
    """Write the legs of postings, each with its posting's id, and move the balances of customers who are held."""
    named = [(leg.account_id, posting_id, leg) for posting_id, leg in legs]
    accounts = {account: leg for account, _, leg in named}
    await put_accounts(session, accounts.values())
    table = table_of(LedgerAccount)
    connection = await session.connection()
    owned = [key for key, leg in accounts.items() if leg.customer_id]
    statement = select(table.c.id, table.c.balance, table.c.last_position).where(table.c.id.in_(owned))
    standing = {key: (balance, position) for key, balance, position in (await connection.execute(statement)).all()}
    entries: list[dict[str, Any]] = []
    for account, posting_id, leg in named:
        balance, position = None, None
        if account in standing:
            balance, position = standing[account]
            balance, position = balance + leg.points, position + 1
            if balance < 0:
                raise InsufficientPoints
            standing[account] = balance, position
        entries.append(new_entry(posting_id, leg, position, balance))
    moved = update(table).where(table.c.id == bindparam("account"))
    moves = [{"account": key, "to": to, "last": last} for key, (to, last) in sorted(standing.items())]
    if moves:
        await connection.execute(moved.values(balance=bindparam("to"), last_position=bindparam("last")), moves)
    await put_rows(session, LedgerEntry, entries)


def new_account(leg: Leg) -> dict[str, Any]:
    """The account of a leg as it is before its first entry."""
    kept = 0 if leg.customer_id else None
    return {
        "id": leg.account_id,
        "kind": leg.kind,
        "customer_id": leg.customer_id,
        "balance": kept,
        "last_position": kept,
    }


def new_entry(posting_id: str, leg: Leg, position: int | None, balance_after: int | None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "posting_id": posting_id,
        "account_id": leg.account_id,
        "points": leg.points,
        "position": position,
        "balance_after": balance_after,
    }


def netted(legs: Sequence[Leg]) -> list[Leg]:
    """One leg for each account, without those that come to nothing."""
    points: Counter[tuple[AccountKind, str | None]] = Counter()
    for leg in legs:
        points[leg.kind, leg.customer_id] += leg.points
    return [Leg(kind, total, customer_id) for (kind, customer_id), total in points.items() if total]


async def enter(session: Session, posting_id: str, legs: Sequence[Leg]) -> None:
    """Write the legs of a posting; those of customers are numbered by the statements that move their balances."""
    entries: list[dict[str, Any]] = []
    # Accounts are always taken in one order, so that two postings never wait for each other in a circle: customers'
    # by their ids, then the house's, which nobody waits for once they are there.
    ordered = sorted(legs, key=lambda leg: (leg.customer_id is None, leg.account_id))
    for leg in ordered:
        position, balance = await move(session, leg) if leg.customer_id else (None, None)
        entries.append(new_entry(posting_id, leg, position, balance))
    house = [leg for leg in ordered if not leg.customer_id]
    if house:
        await put_accounts(session, house)
    await put_rows(session, LedgerEntry, entries)


async def move(session: Session, leg: Leg) -> tuple[int, int]:
    """Move a customer's balance under its guard; the number of this movement and the balance after it.

    Raises InsufficientPoints when it would fall below zero.
    """
    table = table_of(LedgerAccount)
    guarded = update(table).where(table.c.id == leg.account_id, table.c.balance + leg.points >= 0)
    moved = guarded.values(balance=table.c.balance + leg.points, last_position=table.c.last_position + 1)
    moved = moved.returning(table.c.last_position, table.c.balance)
    connection = await session.connection()
    found = (await connection.execute(moved)).first()
    if found is None:
        # Most accounts are there, so they are made only where one was missing.
        await put_accounts(session, [leg])
        found = (await connection.execute(moved)).first()
    if found is None:
        raise InsufficientPoints
    return found[0], found[1]


async def hold(session: Session, customer_ids: Collection[str]) -> set[str]:
    """Lock the accounts of customers until the transaction ends, in the order in which postings take them.

    Whoever decides by balances or lots before booking, or books more than once, holds the customers first. A
    customer's available account is the lock for all of theirs, so it is made where it is missing. Returns those of
    them who were erased.
    """
    if not customer_ids:
        return set()
    await put_accounts(session, [Leg(AccountKind.AVAILABLE, 0, one) for one in customer_ids])
    accounts = [account_id(kind, one) for one in customer_ids for kind in OF_CUSTOMERS]
    statement = select(LedgerAccount.customer_id, LedgerAccount.closed_at).where(col(LedgerAccount.id).in_(accounts))
    found = (await session.exec(statement.order_by(col(LedgerAccount.id)).with_for_update())).all()
    return {customer_id for customer_id, closed_at in found if customer_id and closed_at}


async def balances(session: Session, customer_id: str) -> dict[AccountKind, int]:
    """The kept balances of a customer; an account never used stands at zero."""
    found = dict.fromkeys(OF_CUSTOMERS, 0)
    statement = select(LedgerAccount).where(LedgerAccount.customer_id == customer_id)
    for account in (await session.exec(statement)).all():
        found[AccountKind(account.kind)] = account.balance or 0
    return found


async def posting_of(session: Session, posting_id: str) -> LedgerPosting | None:
    return await session.get(LedgerPosting, posting_id)


async def entries_of(session: Session, posting_id: str) -> Sequence[LedgerEntry]:
    statement = select(LedgerEntry).where(LedgerEntry.posting_id == posting_id).order_by(LedgerEntry.account_id)
    return (await session.exec(statement)).all()


def owners_of(entries: Sequence[LedgerEntry]) -> set[str]:
    """The customers whose accounts a posting moves; none for a posting between accounts of the house."""
    return {entry.account_id.split(":")[0] for entry in entries} - {"house"}
