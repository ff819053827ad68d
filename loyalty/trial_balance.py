"""The proof of the books: everything that is kept beside the entries, folded anew and compared."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlmodel import func, select

from core.db import Session
from loyalty.ledger import LedgerEntry

# So many of each kind are named; whether the books hold is known from the first.
MOST_NAMED = 100

UNBALANCED = "SELECT posting_id FROM ledger_entry GROUP BY posting_id HAVING SUM(points) <> 0 LIMIT :most"
# A customer's account that keeps nothing is as wrong as one that keeps something else; no balance is below zero.
DRIFTED = """
SELECT account.id FROM ledger_account AS account
LEFT JOIN (
  SELECT account_id, SUM(points) AS points, COUNT(*) AS entries FROM ledger_entry GROUP BY account_id
) AS fold ON fold.account_id = account.id
WHERE account.customer_id IS NOT NULL
  AND (
    COALESCE(account.balance, -1) <> COALESCE(fold.points, 0)
    OR COALESCE(account.last_position, -1) <> COALESCE(fold.entries, 0)
  )
ORDER BY account.id LIMIT :most
"""
# An entry without a number or a balance is as wrong as one with another's.
MISNUMBERED = """
SELECT account_id FROM (
  SELECT account_id, COALESCE(position, 0) AS position, COALESCE(balance_after, -1) AS balance_after,
    ROW_NUMBER() OVER chain AS expected_position, SUM(points) OVER chain AS expected_balance
  FROM ledger_entry WHERE account_id NOT LIKE 'house:%'
  WINDOW chain AS (PARTITION BY account_id ORDER BY position, id ROWS UNBOUNDED PRECEDING)
) AS entry
WHERE position <> expected_position OR balance_after <> expected_balance
GROUP BY account_id ORDER BY account_id LIMIT :most
"""
DRIFTED_LOTS = """
SELECT lot.id FROM ledger_lot AS lot
LEFT JOIN (SELECT lot_id, SUM(points) AS points FROM lot_debit GROUP BY lot_id) AS fold ON fold.lot_id = lot.id
WHERE lot.remaining <> lot.points - COALESCE(fold.points, 0) ORDER BY lot.id LIMIT :most
"""
# Released lots hold what is available, the others what is pending.
UNCOVERED = """
SELECT account_id FROM (
  SELECT id AS account_id, balance AS points FROM ledger_account
  WHERE customer_id IS NOT NULL AND kind IN ('AVAILABLE', 'PENDING')
  UNION ALL
  SELECT customer_id || ':' || CASE WHEN released THEN 'available' ELSE 'pending' END, -remaining
  FROM ledger_lot WHERE remaining > 0
) AS side
GROUP BY account_id HAVING SUM(points) <> 0 ORDER BY account_id LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The sum of all entries, and what does not agree with their fold, at most 100 of each kind.

    `drifted_accounts` keep another balance or number of entries; in `misnumbered_accounts` the entries have gaps or
    wrong running balances; `drifted_lots` do not hold their points less their debits; the lots of a customer do not
    sum to the balance of `uncovered_accounts`.
    """

    total: int
    entries: int
    unbalanced_postings: list[str]
    drifted_accounts: list[str]
    misnumbered_accounts: list[str] = field(default_factory=list[str])
    drifted_lots: list[str] = field(default_factory=list[str])
    uncovered_accounts: list[str] = field(default_factory=list[str])

    @property
    def findings(self) -> dict[str, list[str]]:
        """What is wrong, by what it is; empty where the books hold but for their total."""
        found = {
            "unbalanced_postings": self.unbalanced_postings,
            "drifted_accounts": self.drifted_accounts,
            "misnumbered_accounts": self.misnumbered_accounts,
            "drifted_lots": self.drifted_lots,
            "uncovered_accounts": self.uncovered_accounts,
        }
        return {name: ids for name, ids in found.items() if ids}

    @property
    def holds(self) -> bool:
        return self.total == 0 and not self.findings


async def trial_balance(session: Session) -> TrialBalance:
    """Fold every entry, debit and lot anew and compare; it reads the whole ledger.

    Each comparison is one statement, so that it is of one moment though others write meanwhile.
    """
    total, count = (
        await session.exec(select(func.coalesce(func.sum(LedgerEntry.points), 0), func.count(LedgerEntry.id)))  # pyright: ignore[reportArgumentType] - SQLModel's columns
    ).one()
    connection = await session.connection()

    async def named(statement: str) -> list[str]:
        found: Any = await connection.execute(text(statement), {"most": MOST_NAMED})
        return list(found.scalars())

    return TrialBalance(
        total=int(total),
        entries=int(count),
        unbalanced_postings=await named(UNBALANCED),
        drifted_accounts=await named(DRIFTED),
        misnumbered_accounts=await named(MISNUMBERED),
        drifted_lots=await named(DRIFTED_LOTS),
        uncovered_accounts=await named(UNCOVERED),
    )
