"""Each way in which books can be wrong, made by hand, is found; and what is right again is no longer named."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.db import Database
from core.ids import new_id
from loyalty.ledger import AccountKind, account_id
from loyalty.lots import lot_id
from loyalty.trial_balance import TrialBalance, trial_balance
from tests.loyalty.accounts import by_hand, give, spend

pytestmark = pytest.mark.anyio


class Undone(Exception):
    """Rolls a transaction back."""


async def proof_with(database: Database, *statements: str, **values: Any) -> TrialBalance:
    """The proof of books that are broken by these statements, which are then undone."""
    found: list[TrialBalance] = []
    with pytest.raises(Undone):
        async with database.write() as session:
            connection = await session.connection()
            for statement in statements:
                named = {name: value for name, value in values.items() if f":{name}" in statement}
                await connection.execute(text(statement), named)
            found.append(await trial_balance(session))
            raise Undone
    return found[0]


async def proof_of(database: Database) -> TrialBalance:
    async with database.read() as session:
        return await trial_balance(session)


@pytest.fixture
async def account(database: Database, unique: str) -> str:
    """Somebody with 40 points, of whom 15 are spent and 9 pending."""
    await give(database, unique, 40, key=unique)
    await spend(database, unique, 15)
    await give(database, unique, 9, available_in=timedelta(days=2))
    return account_id(AccountKind.AVAILABLE, unique)


PUT_ENTRY = """
INSERT INTO ledger_entry (id, posting_id, account_id, points, position, balance_after)
SELECT :id, posting_id, account_id, 0, :position, :balance FROM ledger_entry
WHERE account_id = :account AND position = 1
"""


async def test_good_books_name_nothing_of_the_customer(database: Database, account: str, unique: str) -> None:
    found = await proof_of(database)
    assert found.total == 0
    assert unique not in str(found.findings)
    assert lot_id(unique) not in found.drifted_lots


async def test_a_kept_balance_or_count_that_is_not_the_fold(database: Database, account: str) -> None:
    for change in (
        "UPDATE ledger_account SET balance = balance + 7 WHERE id = :account",
        "UPDATE ledger_account SET balance = balance - 25 WHERE id = :account",
        "UPDATE ledger_account SET last_position = last_position + 1 WHERE id = :account",
        "UPDATE ledger_account SET balance = NULL WHERE id = :account",
        "UPDATE ledger_account SET last_position = NULL WHERE id = :account",
    ):
        found = await proof_with(database, change, account=account)
        assert account in found.drifted_accounts
        assert not found.holds


async def test_a_lot_that_holds_something_else_than_its_debits_left(
    database: Database, account: str, unique: str
) -> None:
    """Given a lot of 40 with debits of 15, when 24 remain in it, then the lot and its customer's account are named."""
    found = await proof_with(database, "UPDATE ledger_lot SET remaining = 24 WHERE id = :lot", lot=lot_id(unique))
    assert lot_id(unique) in found.drifted_lots
    assert account in found.uncovered_accounts
    assert account not in found.drifted_accounts


async def test_lots_that_do_not_sum_to_the_balances(database: Database, account: str, unique: str) -> None:
    """Given pending points, when their lot is said to be released, then both accounts are named, and no lot."""
    pending = account_id(AccountKind.PENDING, unique)
    release = "UPDATE ledger_lot SET released = true WHERE customer_id = :customer"
    found = await proof_with(database, release, customer=unique)
    assert {account, pending} <= set(found.uncovered_accounts)
    # A customer whose lots are none of anybody's account.
    gone = "UPDATE ledger_lot SET customer_id = 'nobody-at-all' WHERE id = :lot"
    found = await proof_with(database, gone, lot=lot_id(unique))
    assert {account, "nobody-at-all:available"} <= set(found.uncovered_accounts)
    assert lot_id(unique) not in found.drifted_lots


@pytest.mark.parametrize(("position", "balance"), [(4, 25), (3, 24), (None, None)])
async def test_gaps_and_wrong_running_balances(
    database: Database, account: str, position: int | None, balance: int | None
) -> None:
    """Given entries 1 and 2, when a third has the number 4, another balance or neither, then the account is named."""
    values = {"account": account, "id": new_id(), "position": position, "balance": balance}
    recount = "UPDATE ledger_account SET last_position = 3 WHERE id = :account"
    found = await proof_with(database, PUT_ENTRY, recount, **values)
    assert account in found.misnumbered_accounts
    assert account not in found.drifted_accounts


async def test_a_posting_that_does_not_sum_to_zero(database: Database, account: str) -> None:
    put = """
    INSERT INTO ledger_entry (id, posting_id, account_id, points)
    SELECT :id, posting_id, 'house:issuance', 3 FROM ledger_entry WHERE account_id = :account AND position = 1
    """
    found = await proof_with(database, put, account=account, id=new_id())
    assert (found.total, len(found.unbalanced_postings)) == (3, 1)


async def test_what_is_mended_is_no_longer_named(database: Database, account: str) -> None:
    change = "UPDATE ledger_account SET balance = balance + :by WHERE id = :id"
    await by_hand(database, change, by=7, id=account)
    broken = await proof_of(database)
    await by_hand(database, change, by=-7, id=account)
    assert account in broken.drifted_accounts
    assert account in broken.uncovered_accounts
    assert account not in str((await proof_of(database)).findings)
