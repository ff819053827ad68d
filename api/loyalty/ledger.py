"""Points, the ledger and the trial balance."""

from datetime import datetime

import strawberry

from api.context import Info
from api.relay import Connection, Node, connection, global_id
from core.paging import Page
from loyalty.ledger import AccountKind, LedgerLine, LedgerPosting, PostingKind, balances, ledger_of, trial_balance
from loyalty.ledger import LedgerEntry as LedgerEntryRow
from loyalty.lots import next_release

strawberry.enum(
    AccountKind,
    name="AccountKind",
    description="Whose points, and in which state. On DEBT stands what the customer owes: it is no part of the points.",
)
strawberry.enum(PostingKind, name="PostingKind", description="What a posting does.")


@strawberry.type(description="A customer's points.")
class Points:
    available: int = strawberry.field(description="Points to spend now.")
    pending: int = strawberry.field(description="Points earned that cannot be spent yet.")
    pending_until: datetime | None = strawberry.field(description="When the first of the pending points are released.")
    debt: int = strawberry.field(
        description="Points owed, because what was taken back had been spent; what becomes available repays them first."
    )


@strawberry.type(description="One booking of the ledger; its entries sum to zero.")
class Posting(Node):
    kind: PostingKind = strawberry.field(description="What it does.")
    occurred_at: datetime = strawberry.field(description="When its cause happened.")
    booked_at: datetime = strawberry.field(description="When it was written.")


@strawberry.type(description="Points into (positive) or out of (negative) one account.")
class LedgerEntry(Node):
    points: int = strawberry.field(description="Points in or out.")
    account: AccountKind = strawberry.field(description="Which of the customer's accounts.")
    posting: Posting = strawberry.field(description="The booking that it belongs to; ask postingProvenance why.")


@strawberry.type(description="The proof that the books add up.")
class TrialBalance:
    holds: bool = strawberry.field(description="Whether everything adds up.")
    total: int = strawberry.field(description="Sum of all entries; zero.")
    entries: int = strawberry.field(description="How many entries there are.")
    unbalanced_postings: list[strawberry.ID] = strawberry.field(
        description="Postings whose entries do not sum to zero."
    )
    drifted_accounts: list[str] = strawberry.field(description="Accounts whose balance is not the fold of its entries.")


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
        points=line.entry.points,
        account=account_kind(line.entry),
        posting=posting_of_row(line.posting),
    )


async def points_of(info: Info) -> Points:
    """The viewer's points; somebody without a profile has none."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return Points(available=0, pending=0, pending_until=None, debt=0)
    async with info.context.database.read() as session:
        found = await balances(session, customer_id)
        pending = found[AccountKind.PENDING]
        until = await next_release(session, customer_id) if pending else None
    return Points(
        available=found[AccountKind.AVAILABLE], pending=pending, pending_until=until, debt=found[AccountKind.DEBT]
    )


async def ledger_page(info: Info, first: int | None, after: str | None) -> Connection[LedgerEntry]:
    """The viewer's entries, the latest first."""
    customer_id = await info.context.viewer_id()
    if customer_id is None:
        return connection(Page[LedgerLine]([], [], has_next=False), after, entry_of)
    async with info.context.database.read() as session:
        page = await ledger_of(session, customer_id, first=first, after=after)
    return connection(page, after, entry_of)


@strawberry.type
class LedgerQueries:
    @strawberry.field(description="The proof that the books add up; for administrators. It reads the whole ledger.")
    async def trial_balance(self, info: Info) -> TrialBalance:
        info.context.administrator()
        async with info.context.database.read() as session:
            found = await trial_balance(session)
        return TrialBalance(
            holds=found.holds,
            total=found.total,
            entries=found.entries,
            unbalanced_postings=[global_id("Posting", posting) for posting in found.unbalanced_postings],
            drifted_accounts=found.drifted_accounts,
        )
