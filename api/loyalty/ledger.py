"""Points, the ledger and the trial balance."""

from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from api.context import Info
from api.relay import Connection, Node, connection, global_id
from api.scalars import SafeInt
from core.errors import BadUserInput
from core.paging import Page, Place
from loyalty.holdings import expiring_within, holdings
from loyalty.ledger import AccountKind, LedgerPosting, PostingKind
from loyalty.ledger import LedgerEntry as LedgerEntryRow
from loyalty.statements import EVERYTHING, LedgerFilter, LedgerLine, ledger_of, lifetime_earned
from loyalty.trial_balance import trial_balance

strawberry.enum(
    AccountKind,
    name="AccountKind",
    description="Whose points, and in which state. On DEBT stands what the customer owes: it is no part of the points.",
)
strawberry.enum(PostingKind, name="PostingKind", description="What a posting does.")

SOON_DAYS = 30
LONGEST_SOON_DAYS = 366


class DaysInvalid(BadUserInput):
    code = "DAYS_INVALID"
    en = f"Ask for 1 to {LONGEST_SOON_DAYS} days."
    zh = f"天数需在1至{LONGEST_SOON_DAYS}之间。"


Soon = Annotated[int, strawberry.argument(description=f"Within how many days from now, 1 to {LONGEST_SOON_DAYS}.")]
Account = Annotated[
    AccountKind | None,
    strawberry.argument(description="Only of this account: AVAILABLE, PENDING or DEBT; null: of all three."),
]
Kinds = Annotated[
    list[PostingKind] | None, strawberry.argument(description="Only of postings of these kinds; null: of all.")
]
BookedFrom = Annotated[
    datetime | None, strawberry.argument(name="from", description="Booked at this instant or later.")
]
BookedBefore = Annotated[datetime | None, strawberry.argument(name="to", description="Booked before this instant.")]


@strawberry.type(description="A customer's points.")
class Points:
    available: SafeInt = strawberry.field(
        description="Points to spend now, without those that have expired though their day is not closed yet."
    )
    pending: SafeInt = strawberry.field(description="Points earned that cannot be spent yet.")
    pending_until: datetime | None = strawberry.field(description="When the first of the pending points are released.")
    debt: SafeInt = strawberry.field(
        description="Points owed, because what was taken back had been spent; what becomes available repays them first."
    )
    customer_local: strawberry.Private[str | None] = None

    @strawberry.field(description=f"Available points that expire within {SOON_DAYS} days, or as many as you say.")
    async def expiring_soon(self, info: Info, days: Soon = SOON_DAYS) -> SafeInt:
        if not 1 <= days <= LONGEST_SOON_DAYS:
            raise DaysInvalid(path=("days",))
        if self.customer_local is None:
            return SafeInt(0)
        now = info.context.now
        until = now + timedelta(days=days)
        async with info.context.database.read() as session:
            return SafeInt(await expiring_within(session, self.customer_local, now=now, until=until))

    @strawberry.field(
        description="All points ever earned, pending ones too, less those that were taken back or are owed for it. "
        "What others transferred, staff gave, or a refund brought back is not earned; what was spent or has expired "
        "stays earned."
    )
    async def lifetime_earned(self, info: Info) -> SafeInt:
        if self.customer_local is None:
            return SafeInt(0)
        async with info.context.database.read() as session:
            return SafeInt(await lifetime_earned(session, self.customer_local))


@strawberry.type(description="One booking of the ledger; its entries sum to zero.")
class Posting(Node):
    kind: PostingKind = strawberry.field(description="What it does.")
    occurred_at: datetime = strawberry.field(description="When its cause happened.")
    booked_at: datetime = strawberry.field(description="When it was written.")


@strawberry.type(description="Points into (positive) or out of (negative) one account.")
class LedgerEntry(Node):
    points: SafeInt = strawberry.field(description="Points in or out.")
    account: AccountKind = strawberry.field(description="Which of the customer's accounts.")
    position: SafeInt = strawberry.field(description="Its number within the account: 1, 2, 3 and so on without a gap.")
    balance_after: SafeInt = strawberry.field(description="What stood on the account after it, whatever you filter by.")
    posting: Posting = strawberry.field(description="The booking that it belongs to; ask postingProvenance why.")


@strawberry.type(description="The proof that the books add up. Of each kind of fault at most 100 are named.")
class TrialBalance:
    holds: bool = strawberry.field(description="Whether everything adds up.")
    total: SafeInt = strawberry.field(description="Sum of all entries; zero.")
    entries: SafeInt = strawberry.field(description="How many entries there are.")
    unbalanced_postings: list[strawberry.ID] = strawberry.field(
        description="Postings whose entries do not sum to zero."
    )
    drifted_accounts: list[str] = strawberry.field(
        description="Accounts whose balance or number of entries is not the fold of their entries."
    )
    misnumbered_accounts: list[str] = strawberry.field(
        description="Accounts whose entries have gaps or wrong running balances."
    )
    drifted_lots: list[str] = strawberry.field(description="Lots that do not hold their points less their debits.")
    uncovered_accounts: list[str] = strawberry.field(
        description="Accounts whose balance is not the sum of the customer's lots."
    )


def posting_of_row(row: LedgerPosting) -> Posting:
    return Posting(
        id=global_id("Posting", row.id),
        kind=PostingKind(row.kind),
        occurred_at=row.occurred_at,
        booked_at=row.booked_at,
    )


def account_kind(entry: LedgerEntryRow) -> AccountKind:
    return AccountKind(entry.account_id.rsplit(":", 1)[1].upper())


def entry_of(line: LedgerLine) -> LedgerEntry:
    return LedgerEntry(
        id=global_id("LedgerEntry", line.entry.id),
        points=SafeInt(line.entry.points),
        account=account_kind(line.entry),
        position=SafeInt(line.entry.position or 0),
        balance_after=SafeInt(line.entry.balance_after or 0),
        posting=posting_of_row(line.posting),
    )


async def points_of(info: Info) -> Points:
    """The viewer's points; somebody without a profile has none."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return Points(available=SafeInt(0), pending=SafeInt(0), pending_until=None, debt=SafeInt(0))
    async with info.context.database.read() as session:
        found = await holdings(session, customer_id, now=info.context.now)
    return Points(
        available=SafeInt(found.available),
        pending=SafeInt(found.pending),
        pending_until=found.pending_until if found.pending else None,
        debt=SafeInt(found.debt),
        customer_local=customer_id,
    )


async def ledger_page(
    info: Info, first: int | None, after: Place, wanted: LedgerFilter = EVERYTHING
) -> Connection[LedgerEntry]:
    """The viewer's entries, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[LedgerLine]([], [], has_next=False), after, entry_of)
    async with info.context.database.read() as session:
        page = await ledger_of(session, customer_id, first=first, after=after, wanted=wanted)
    return connection(page, after, entry_of)


@strawberry.type
class LedgerQueries:
    @strawberry.field(
        description="The proof that the books add up; for administrators. It folds the whole ledger within the time "
        "limit of one request: of large books, ask dayCloses for the proof that each close of a day has kept."
    )
    async def trial_balance(self, info: Info) -> TrialBalance:
        info.context.administrator()
        async with info.context.database.read() as session:
            found = await trial_balance(session)
        return TrialBalance(
            holds=found.holds,
            total=SafeInt(found.total),
            entries=SafeInt(found.entries),
            unbalanced_postings=[global_id("Posting", posting) for posting in found.unbalanced_postings],
            drifted_accounts=found.drifted_accounts,
            misnumbered_accounts=found.misnumbered_accounts,
            drifted_lots=found.drifted_lots,
            uncovered_accounts=found.uncovered_accounts,
        )
