"""The entries of a customer's accounts with their postings, for the customer to take away."""

from sqlalchemy import select

from core.db import Session, table_of
from core.traces import MOST_ROWS, Rows, within
from loyalty.ledger import LedgerAccount, LedgerEntry, LedgerPosting


async def export_entries(session: Session, customer_id: str, truncated: list[str], *, most: int = MOST_ROWS) -> Rows:
    """Every entry in the order in which it was booked; `truncated` gets "ledger" where there are more."""
    entry, posting = table_of(LedgerEntry).c, table_of(LedgerPosting).c
    account = table_of(LedgerAccount).c
    shown = (entry.account_id, entry.position, entry.points, entry.balance_after)
    caused = (posting.kind, posting.cause_kind, posting.cause_id, posting.occurred_at, posting.booked_at)
    statement = (
        select(*shown, *caused)
        .join_from(LedgerEntry, LedgerPosting, entry.posting_id == posting.id)
        .join(LedgerAccount, account.id == entry.account_id)
        .where(account.customer_id == customer_id)
        .order_by(entry.account_id, entry.position, entry.id)
    )
    connection = await session.connection()
    rows = [dict(row) for row in (await connection.execute(statement.limit(most + 1))).mappings()]
    return within(rows, "ledger", truncated, most)
