"""What the house owes in points: what is outstanding by the month in which it expires, and how it came to be so.

Everything is by the instant of booking, so that the totals of a past day are the same whenever they are asked for:
what becomes known late is in the report of the day on which it was booked. So are the months in which points expire,
until somebody is erased: that ends their lots, and moves what was left in these to the month in which it happened.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import case, func, literal
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.days import day_of, end_of_day, next_month, start_of_day, start_of_month
from core.db import Session, table_of
from core.errors import BadUserInput
from loyalty.ledger import AccountKind, LedgerAccount, LedgerEntry, LedgerPosting, PostingKind, account_id
from loyalty.lots import LedgerLot, LotDebit

# Months are named one by one for ten years; what expires after them is counted together.
MOST_MONTHS = 120
OVERDUE, LATER = "OVERDUE", "LATER"
LONGEST_PERIOD = timedelta(days=3_660)
OUTSTANDING = (AccountKind.AVAILABLE, AccountKind.PENDING)


class LiabilityPeriodInvalid(BadUserInput):
    code = "LIABILITY_PERIOD_INVALID"
    en = "The period ends before it begins, is too long, or is not over."
    zh = "报表期间无效。"


@dataclass(frozen=True, slots=True)
class Movement:
    """Points that postings of one kind put into customers' accounts and took out of them."""

    kind: PostingKind
    points_in: int
    points_out: int


@dataclass(frozen=True, slots=True)
class ExpiringMonth:
    """Outstanding points whose lots expire in a month of the programme's calendar (`2026-12`), OVERDUE or LATER."""

    month: str
    available: int
    pending: int


@dataclass(frozen=True, slots=True)
class LiabilityReport:
    """Points from `booked_from` on and before `booked_before`; opening plus what came in less what went out is closing.

    `closing` is what is available and pending together. `owed` is what customers owe at the end, `written_off` what
    was booked as lost in the period.
    """

    booked_from: datetime
    booked_before: datetime
    opening: int
    movements: tuple[Movement, ...]
    available: int
    pending: int
    months: tuple[ExpiringMonth, ...]
    owed: int
    written_off: int

    @property
    def closing(self) -> int:
        return self.available + self.pending


async def liability_report(
    session: Session, *, booked_from: datetime, booked_before: datetime, zone: str
) -> LiabilityReport:
    """The report of a period; it folds the ledger up to its end. Raises LiabilityPeriodInvalid."""
    if not timedelta(0) <= booked_before - booked_from <= LONGEST_PERIOD:
        raise LiabilityPeriodInvalid(path=("since",))
    before: Counter[AccountKind] = Counter()
    within: Counter[AccountKind] = Counter()
    came: Counter[PostingKind] = Counter()
    went: Counter[PostingKind] = Counter()
    for is_before, kind, account, points_in, points_out in await folds(session, booked_from, booked_before):
        side = before if is_before else within
        side[account] += points_in - points_out
        if not is_before and account in OUTSTANDING:
            came[kind] += points_in
            went[kind] += points_out
    end = {one: before[one] + within[one] for one in AccountKind}
    return LiabilityReport(
        booked_from=booked_from,
        booked_before=booked_before,
        opening=sum(before[one] for one in OUTSTANDING),
        movements=tuple(Movement(kind, came[kind], went[kind]) for kind in PostingKind if came[kind] or went[kind]),
        available=end[AccountKind.AVAILABLE],
        pending=end[AccountKind.PENDING],
        months=await expiring(session, booked_before, zone),
        owed=end[AccountKind.DEBT],
        written_off=-within[AccountKind.WRITE_OFF],
    )


async def folds(
    session: Session, booked_from: datetime, booked_before: datetime
) -> Sequence[tuple[bool, PostingKind, AccountKind, int, int]]:
    """All entries booked before the end, in one statement: by side of the beginning, posting and account.

    The house's accounts have no balance to report, but for what was written off.
    """
    points = col(LedgerEntry.points)
    each = (
        sql_select(
            (col(LedgerPosting.booked_at) < booked_from).label("is_before"),
            col(LedgerPosting.kind).label("kind"),
            col(LedgerAccount.kind).label("account"),
            case((points > 0, points), else_=0).label("points_in"),
            case((points < 0, -points), else_=0).label("points_out"),
        )
        .select_from(LedgerEntry)
        .join(LedgerPosting, col(LedgerEntry.posting_id) == col(LedgerPosting.id))
        .join(LedgerAccount, col(LedgerEntry.account_id) == col(LedgerAccount.id))
        .where(
            col(LedgerPosting.booked_at) < booked_before,
            col(LedgerAccount.customer_id).is_not(None) | (col(LedgerAccount.id) == account_id(AccountKind.WRITE_OFF)),
        )
        .subquery()
        .c
    )
    groups = each.is_before, each.kind, each.account
    statement = sql_select(*groups, func.sum(each.points_in), func.sum(each.points_out)).group_by(*groups)
    rows = (await session.exec(cast(Any, statement))).all()
    return [(bool(one), PostingKind(kind), AccountKind(account), int(a), int(b)) for one, kind, account, a, b in rows]


async def expiring(session: Session, until: datetime, zone: str) -> tuple[ExpiringMonth, ...]:
    """What was left in lots at an instant, by the month in which they expire.

    A lot is as its debits booked by then left it; it was pending until its release was booked.
    """
    lot = table_of(LedgerLot).c
    filler, release, booking = (table_of(LedgerPosting).alias(name) for name in ("filler", "release", "booking"))
    taken = (
        select(col(LotDebit.lot_id).label("lot_id"), func.sum(LotDebit.points).label("points"))
        .join(booking, booking.c.id == col(LotDebit.posting_id))
        .where(booking.c.booked_at < until)
        .group_by(col(LotDebit.lot_id))
        .subquery()
    )
    left = lot.points - func.coalesce(taken.c.points, 0)
    is_pending = case(
        ((lot.available_at > filler.c.booked_at) & release.c.id.is_(None), literal(True)), else_=literal(False)
    )
    month = case(*months_of(lot.expires_at, until, zone), else_=literal(LATER))
    each = (
        sql_select(month.label("month"), is_pending.label("is_pending"), left.label("left"))
        .select_from(table_of(LedgerLot))
        .join(filler, filler.c.id == lot.posting_id)
        .outerjoin(taken, taken.c.lot_id == lot.id)
        .outerjoin(release, (release.c.key == literal("release:") + lot.id) & (release.c.booked_at < until))
        .where(filler.c.booked_at < until, left != 0)
        .subquery()
        .c
    )
    statement = sql_select(each.month, each.is_pending, func.sum(each.left)).group_by(each.month, each.is_pending)
    counted: dict[str, list[int]] = {}
    for name, pending, points in (await session.exec(cast(Any, statement))).all():
        counted.setdefault(name, [0, 0])[bool(pending)] += int(points)
    order = {OVERDUE: "", LATER: "~"}
    return tuple(
        ExpiringMonth(name, available, pending)
        for name, (available, pending) in sorted(counted.items(), key=lambda one: order.get(one[0], one[0]))
    )


def months_of(expires_at: Any, until: datetime, zone: str) -> list[tuple[Any, Any]]:
    """Branches that name the month of an expiry: first what is over, then month after month by its end."""
    month = start_of_month(day_of(until, zone))
    branches = [(expires_at <= until, literal(OVERDUE))]
    for _ in range(MOST_MONTHS):
        following = next_month(month)
        # A lot that expires at the first instant of a month was good until the end of the one before.
        branches.append((expires_at <= start_of_day(following, zone), literal(month.strftime("%Y-%m"))))
        month = following
    return branches


def period_of(
    day: date | None, since: date | None, as_of: datetime | None, *, zone: str, now: datetime
) -> tuple[datetime, datetime]:
    """The instants of a report: up to the end of a day (or `as_of`), from the start of a day or of its month on.

    Raises LiabilityPeriodInvalid for what is not over, for both ends at once, and beyond the calendar.
    """
    if day is not None and as_of is not None:
        raise LiabilityPeriodInvalid(path=("asOf",))
    today = day_of(now, zone)
    # Days are compared first: the last one of the calendar has none after it.
    if (as_of is not None and as_of > now) or (day is not None and day >= today):
        raise LiabilityPeriodInvalid(path=("asOf",) if as_of else ("day",))
    try:
        last = day or (day_of(as_of, zone) if as_of else today - timedelta(days=1))
        return start_of_day(since or start_of_month(last), zone), as_of or end_of_day(last, zone)
    except OverflowError as error:
        # The first day of the calendar begins before it in zones that are ahead.
        raise LiabilityPeriodInvalid(path=("since",) if since else ("asOf",) if as_of else ("day",)) from error
