"""A customer's entries, page by page, with the running balance that was written with each of them."""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, union_all
from sqlmodel import col, func, select

from core.db import Session
from core.errors import BadUserInput
from core.paging import Page, PageInvalid, Place, cut, goes_back, page_size, position_at
from loyalty.ledger import OF_CUSTOMERS, AccountKind, LedgerEntry, LedgerPosting, PostingKind, account_id

BEYOND_ALL = 2**63 - 1


class LedgerRangeInvalid(BadUserInput):
    code = "LEDGER_RANGE_INVALID"
    en = "The range of time ends before it begins, or the account is none of a customer's."
    zh = "时间范围无效，或账户不属于客户。"


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which entries are wanted: of one account, of some kinds, booked from an instant on and before another."""

    account: AccountKind | None = None
    kinds: Collection[PostingKind] | None = None
    booked_from: datetime | None = None
    booked_before: datetime | None = None


EVERYTHING = LedgerFilter()


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """An entry of a customer's account together with its posting."""

    entry: LedgerEntry
    posting: LedgerPosting


def check_filter(wanted: LedgerFilter) -> None:
    """Raise LedgerRangeInvalid for a filter that could find nothing."""
    if wanted.account is not None and wanted.account not in OF_CUSTOMERS:
        raise LedgerRangeInvalid(path=("account",))
    if wanted.booked_from and wanted.booked_before and wanted.booked_before < wanted.booked_from:
        raise LedgerRangeInvalid(path=("to",))


async def ledger_of(
    session: Session, customer_id: str, *, first: int | None, after: Place, wanted: LedgerFilter = EVERYTHING
) -> Page[LedgerLine]:
    """The customer's entries, the latest first; raises LedgerRangeInvalid.

    A cursor names a position in each of their accounts, so that pages stay as they are while others book.
    """
    check_filter(wanted)
    size, rising = page_size(first), goes_back(after)
    marks = marks_at(after)
    found = await lines_of(session, customer_id, wanted, marks, limit=size + 1, oldest_first=rising)
    if not rising:
        # An account that no page has come to yet ends where it ends now: what is booked later is on none of them.
        marks = {kind: min(marks[kind], head_of(found, kind) + 1) for kind in OF_CUSTOMERS}
    lines = found[: size + 1]
    read = zip(lines, places_after(lines, marks), strict=True)
    places = {line.entry.id: place_of(line, place, rising=rising) for line, place in read}
    return cut(lines, size, lambda line: places[line.entry.id], after)


def marks_at(place: Place) -> dict[AccountKind, int]:
    """The position in each account beyond which a page lies: above it for one that is read backwards, else below."""
    position = position_at(place, *(int for _ in OF_CUSTOMERS))
    if position is None:
        return dict.fromkeys(OF_CUSTOMERS, 0 if goes_back(place) else BEYOND_ALL)
    marks = [min(abs(int(mark)), BEYOND_ALL) for mark in position]
    if goes_back(place):
        own = [int(mark) < 0 for mark in position]
        if own.count(True) != 1:
            # Cursors from the time when this list went one way only do not say in which account they stand.
            raise PageInvalid(path=("before",), detail="not a cursor to go back from")
        # The cursor's own line is not before it; of another account the line at the mark is the last that is.
        marks = [mark if at else max(0, mark - 1) for mark, at in zip(marks, own, strict=True)]
    return dict(zip(OF_CUSTOMERS, marks, strict=True))


def place_of(line: LedgerLine, read: Sequence[int], *, rising: bool) -> list[int]:
    """The positions in a line's cursor: below them comes what follows, and that of its own account is negative.

    From the end on, what was read last of another account follows the line as well, so its mark is one more.
    """
    own = OF_CUSTOMERS.index(kind_of(line.entry))
    return [-position if number == own else position + rising for number, position in enumerate(read)]


def head_of(lines: Sequence[LedgerLine], kind: AccountKind) -> int:
    """The highest position of an account among these lines."""
    return max((line.entry.position or 0 for line in lines if kind_of(line.entry) == kind), default=0)


def places_after(lines: Sequence[LedgerLine], marks: Mapping[AccountKind, int]) -> list[list[int]]:
    """After each line, the position in every account beyond which nothing has been read."""
    now, found = dict(marks), list[list[int]]()
    for line in lines:
        now[kind_of(line.entry)] = line.entry.position or 0
        found.append([now[kind] for kind in OF_CUSTOMERS])
    return found


def kind_of(entry: LedgerEntry) -> AccountKind:
    return AccountKind(entry.account_id.rpartition(":")[2].upper())


async def lines_of(
    session: Session,
    customer_id: str,
    wanted: LedgerFilter,
    marks: Mapping[AccountKind, int],
    *,
    limit: int,
    oldest_first: bool = False,
) -> list[LedgerLine]:
    """Entries beyond a mark in each account (`oldest_first`: above it, else below), up to `limit` of each account.

    They come in one statement; the first `limit` of them all are the first of what there is.
    """
    kinds = [wanted.account] if wanted.account else OF_CUSTOMERS
    parts = [
        select(part_of(customer_id, kind, marks[kind], wanted, limit=limit, oldest_first=oldest_first).subquery().c.id)
        for kind in kinds
    ]
    statement = select(LedgerEntry, LedgerPosting).join(LedgerPosting).where(col(LedgerEntry.id).in_(union_all(*parts)))
    rows = (await session.exec(statement)).all()
    return merged([LedgerLine(entry, posting) for entry, posting in rows], oldest_first=oldest_first)


def part_of(customer_id: str, kind: AccountKind, mark: int, wanted: LedgerFilter, *, limit: int, oldest_first: bool):
    """The ids of what is wanted of one account, in the order of their positions."""
    position = col(LedgerEntry.position)
    statement = select(LedgerEntry.id).where(LedgerEntry.account_id == account_id(kind, customer_id))
    statement = statement.where(position > mark if oldest_first else position < mark)
    if wanted.kinds is not None or wanted.booked_from or wanted.booked_before:
        statement = statement.join(LedgerPosting)
    if wanted.kinds is not None:
        statement = statement.where(col(LedgerPosting.kind).in_(set(wanted.kinds)))
    if wanted.booked_from:
        statement = statement.where(LedgerPosting.booked_at >= wanted.booked_from)
    if wanted.booked_before:
        statement = statement.where(LedgerPosting.booked_at < wanted.booked_before)
    return statement.order_by(position if oldest_first else position.desc()).limit(limit)


def merged(lines: Sequence[LedgerLine], *, oldest_first: bool) -> list[LedgerLine]:
    """The lines of all accounts in one order, which is within each account that of its positions.

    Ids are made by the clocks of several machines. They decide between accounts, and never within one.
    """
    queues: dict[str, deque[LedgerLine]] = defaultdict(deque)
    for line in sorted(lines, key=lambda one: one.entry.position or 0, reverse=not oldest_first):
        queues[line.entry.account_id].append(line)
    choose = min if oldest_first else max
    found: list[LedgerLine] = []
    while queues:
        account = choose(queues, key=lambda name: queues[name][0].entry.id)
        found.append(queues[account].popleft())
        if not queues[account]:
            del queues[account]
    return found


async def lifetime_earned(session: Session, customer_id: str) -> int:
    """Points ever earned, less what was clawed back of them or is owed for it.

    What a clawback wrote off the customer has kept, so it stays earned.
    """
    is_debt = col(LedgerEntry.account_id) == account_id(AccountKind.DEBT, customer_id)
    gained = case((is_debt, -col(LedgerEntry.points)), else_=col(LedgerEntry.points))
    statement = (
        select(func.coalesce(func.sum(gained), 0))
        .join(LedgerPosting)
        .where(
            col(LedgerEntry.account_id).in_([account_id(kind, customer_id) for kind in OF_CUSTOMERS]),
            col(LedgerPosting.kind).in_([PostingKind.EARN, PostingKind.CLAWBACK]),
        )
    )
    return int((await session.exec(statement)).one())


async def balances_before(session: Session, customer_id: str, instant: datetime | None) -> dict[AccountKind, int]:
    """The fold of what was booked before an instant; without one, nothing was."""
    found = dict.fromkeys(OF_CUSTOMERS, 0)
    if instant is None:
        return found
    accounts = {account_id(kind, customer_id): kind for kind in OF_CUSTOMERS}
    statement = (
        select(LedgerEntry.account_id, func.sum(LedgerEntry.points))
        .join(LedgerPosting)
        .where(col(LedgerEntry.account_id).in_(accounts), LedgerPosting.booked_at < instant)
        .group_by(col(LedgerEntry.account_id))
    )
    for account, points in (await session.exec(statement)).all():
        found[accounts[account]] = int(points)
    return found
