"""The double-entry ledger of points: append-only postings, each booked once by its key.

Points are whole numbers. A customer has an available and a pending account, and one of what they owe, whose balances
are kept beside the entries; the accounts of the house have no kept balance, because one row that every posting
changes would make all customers wait for each other.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, func, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.errors import Refusal
from core.ids import new_id
from core.paging import Page, cut, decode_cursor, page_size


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


class AccountKind(StrEnum):
    """Three accounts for each customer, the others for the house.

    DEBT holds what a customer owes, RECEIVABLE minus what all owe together; WRITE_OFF minus what was issued for
    nothing and could not be taken back.
    """

    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"
    DEBT = "DEBT"
    ISSUANCE = "ISSUANCE"
    REDEMPTION = "REDEMPTION"
    EXPIRY = "EXPIRY"
    RECEIVABLE = "RECEIVABLE"
    WRITE_OFF = "WRITE_OFF"


OF_CUSTOMERS: tuple[AccountKind, ...] = (AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.DEBT)


class LedgerAccount(Record, table=True):
    """An account; `balance` is kept for customers' accounts only and never falls below zero."""

    __table_args__ = (CheckConstraint("balance IS NULL OR balance >= 0", name="ck_ledger_account_not_overdrawn"),)

    id: str = Field(primary_key=True)
    kind: str
    customer_id: str | None = Field(default=None, index=True)
    balance: int | None = Field(default=None, sa_type=BigInteger)


class LedgerPosting(Record, table=True):
    """One booking; `occurred_at` is when its cause happened, `booked_at` when it was written here."""

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    kind: str
    cause_kind: str
    cause_id: str = Field(index=True)
    occurred_at: datetime = instant()
    booked_at: datetime = instant()


class LedgerEntry(Record, table=True):
    """One leg of a posting; the legs of a posting sum to zero."""

    __table_args__ = (Index("ix_ledger_entry_account", "account_id", "id"),)

    id: str = Field(primary_key=True)
    posting_id: str = Field(foreign_key="ledger_posting.id", index=True)
    account_id: str = Field(foreign_key="ledger_account.id")
    points: int = Field(sa_type=BigInteger)


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
    return f"{customer_id}:{kind.lower()}" if customer_id else f"house:{kind.lower()}"


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
    if len(legs) < 2 or sum(leg.points for leg in legs) != 0:
        raise ValueError("the legs of a posting sum to zero")
    posting_id = new_id()
    posting = {
        "id": posting_id,
        "key": key,
        "kind": kind,
        "cause_kind": cause.kind,
        "cause_id": cause.id,
        "occurred_at": occurred_at,
        "booked_at": now,
    }
    if not await insert_once(session, LedgerPosting, posting, "key"):
        return None
    # Accounts are always taken in one order, so that two postings never wait for each other in a circle.
    for leg in sorted(netted(legs), key=lambda leg: leg.account_id):
        await enter(session, posting_id, leg)
    return posting_id


def netted(legs: Sequence[Leg]) -> list[Leg]:
    """One leg for each account, without those that come to nothing."""
    points: Counter[tuple[AccountKind, str | None]] = Counter()
    for leg in legs:
        points[leg.kind, leg.customer_id] += leg.points
    return [Leg(kind, total, customer_id) for (kind, customer_id), total in points.items() if total]


async def enter(session: Session, posting_id: str, leg: Leg) -> None:
    """Write one leg and move the kept balance under its guard."""
    account: dict[str, Any] = {"id": leg.account_id, "kind": leg.kind, "customer_id": leg.customer_id}
    account["balance"] = 0 if leg.customer_id else None
    await insert_once(session, LedgerAccount, account, "id")
    if leg.customer_id:
        guarded = update(LedgerAccount).where(
            col(LedgerAccount.id) == leg.account_id, col(LedgerAccount.balance) + leg.points >= 0
        )
        if not await changed_rows(session, guarded.values(balance=col(LedgerAccount.balance) + leg.points)):
            raise InsufficientPoints
    entry = {"id": new_id(), "posting_id": posting_id, "account_id": leg.account_id, "points": leg.points}
    await insert_once(session, LedgerEntry, entry, "id")


async def hold(session: Session, customer_ids: Collection[str]) -> None:
    """Lock the accounts of customers until the transaction ends, in the order in which postings take them.

    Whoever decides by balances or lots before booking, or books more than once, holds the customers first. A
    customer's available account is the lock for all of theirs, so it is made where it is missing.
    """
    if not customer_ids:
        return
    rows: list[dict[str, Any]] = [
        {"id": account_id(AccountKind.AVAILABLE, one), "kind": AccountKind.AVAILABLE, "customer_id": one, "balance": 0}
        for one in sorted(customer_ids)
    ]
    await insert_once(session, LedgerAccount, rows, "id")
    accounts = [account_id(kind, one) for one in customer_ids for kind in OF_CUSTOMERS]
    statement = select(LedgerAccount.id).where(col(LedgerAccount.id).in_(accounts))
    await session.exec(statement.order_by(col(LedgerAccount.id)).with_for_update())


async def balances(session: Session, customer_id: str) -> dict[AccountKind, int]:
    """The kept balances of a customer; an account never used stands at zero."""
    found = dict.fromkeys(OF_CUSTOMERS, 0)
    statement = select(LedgerAccount).where(LedgerAccount.customer_id == customer_id)
    for account in (await session.exec(statement)).all():
        found[AccountKind(account.kind)] = account.balance or 0
    return found


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """An entry of a customer's account together with its posting."""

    entry: LedgerEntry
    posting: LedgerPosting


async def ledger_of(session: Session, customer_id: str, *, first: int | None, after: str | None) -> Page[LedgerLine]:
    """The customer's entries, the latest first."""
    size = page_size(first)
    position = decode_cursor(after, str)
    accounts = [account_id(kind, customer_id) for kind in OF_CUSTOMERS]
    statement = select(LedgerEntry, LedgerPosting).join(LedgerPosting).where(col(LedgerEntry.account_id).in_(accounts))
    if position:
        statement = statement.where(LedgerEntry.id < str(position[0]))
    rows = (await session.exec(statement.order_by(col(LedgerEntry.id).desc()).limit(size + 1))).all()
    return cut([LedgerLine(entry, posting) for entry, posting in rows], size, lambda line: (line.entry.id,))


async def posting_of(session: Session, posting_id: str) -> LedgerPosting | None:
    return await session.get(LedgerPosting, posting_id)


async def entries_of(session: Session, posting_id: str) -> Sequence[LedgerEntry]:
    statement = select(LedgerEntry).where(LedgerEntry.posting_id == posting_id).order_by(LedgerEntry.account_id)
    return (await session.exec(statement)).all()


def owner_of(entries: Sequence[LedgerEntry]) -> str | None:
    """The customer whose account a posting moves; None for a posting between accounts of the house."""
    owners = {entry.account_id.split(":")[0] for entry in entries} - {"house"}
    return min(owners, default=None)


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The proof of the books: the sum of all entries, and accounts whose kept balance is not their fold."""

    total: int
    entries: int
    unbalanced_postings: list[str]
    drifted_accounts: list[str]

    @property
    def holds(self) -> bool:
        return self.total == 0 and not self.unbalanced_postings and not self.drifted_accounts


async def trial_balance(session: Session) -> TrialBalance:
    """Fold every entry anew and compare; it reads the whole ledger."""
    total, count = (
        await session.exec(select(func.coalesce(func.sum(LedgerEntry.points), 0), func.count(col(LedgerEntry.id))))
    ).one()
    unbalanced = select(LedgerEntry.posting_id).group_by(col(LedgerEntry.posting_id))
    fold = (
        select(col(LedgerEntry.account_id).label("account_id"), func.sum(LedgerEntry.points).label("points"))
        .group_by(col(LedgerEntry.account_id))
        .subquery()
    )
    drifted = (
        select(LedgerAccount.id)
        .outerjoin(fold, fold.c.account_id == LedgerAccount.id)
        .where(col(LedgerAccount.balance).is_not(None), LedgerAccount.balance != func.coalesce(fold.c.points, 0))
    )
    return TrialBalance(
        total=int(total),
        entries=int(count),
        unbalanced_postings=list((await session.exec(unbalanced.having(func.sum(LedgerEntry.points) != 0))).all()),
        drifted_accounts=list((await session.exec(drifted)).all()),
    )
