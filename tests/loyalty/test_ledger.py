"""The ledger: balanced, booked once, never overdrawn, never changed afterwards, and proven by folding it."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from core.clock import utc_now
from core.db import Database
from core.paging import PageInvalid
from loyalty.ledger import (
    AccountKind,
    Cause,
    InsufficientPoints,
    Leg,
    PostingKind,
    account_id,
    balances,
    entries_of,
    owners_of,
    post,
)
from loyalty.statements import ledger_of
from loyalty.trial_balance import trial_balance
from tests.conftest import Addresses
from tests.loyalty.accounts import by_hand, give, spend

pytestmark = pytest.mark.anyio


async def book(database: Database, customer_id: str, points: int, *, key: str) -> str | None:
    async with database.write() as session:
        return await post(
            session,
            key=key,
            kind=PostingKind.EARN,
            cause=Cause("TEST", key),
            legs=[Leg(AccountKind.ISSUANCE, -points), Leg(AccountKind.AVAILABLE, points, customer_id)],
            occurred_at=utc_now(),
            now=utc_now(),
        )


async def available(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        return (await balances(session, customer_id))[AccountKind.AVAILABLE]


async def test_a_posting_whose_legs_do_not_balance_is_refused(database: Database, unique: str) -> None:
    with pytest.raises(ValueError, match="sum to zero"):
        async with database.write() as session:
            await post(
                session,
                key=unique,
                kind=PostingKind.EARN,
                cause=Cause("TEST", unique),
                legs=[Leg(AccountKind.ISSUANCE, -5), Leg(AccountKind.AVAILABLE, 4, unique)],
                occurred_at=utc_now(),
                now=utc_now(),
            )
    assert await available(database, unique) == 0


async def test_twenty_writers_of_one_key_book_it_once(stores: Addresses, database: Database, unique: str) -> None:
    """Given one key, when twenty writers on four pools book it at once, then it is booked once."""
    pools = [stores.database() for _ in range(4)]
    try:
        booked = await asyncio.gather(*(book(pools[n % 4], unique, 10, key=f"k:{unique}") for n in range(20)))
    finally:
        for pool in pools:
            await pool.close()
    assert len([posting for posting in booked if posting]) == 1
    assert await available(database, unique) == 10


async def test_many_debits_never_overdraw(stores: Addresses, database: Database, unique: str) -> None:
    """Given 100 points, when fifty writers take 10 each at once, then exactly ten succeed."""
    await give(database, unique, 100)
    pools = [stores.database() for _ in range(4)]

    async def debit(number: int) -> bool:
        try:
            async with pools[number % 4].write() as session:
                await post(
                    session,
                    key=f"debit:{unique}:{number}",
                    kind=PostingKind.REDEEM,
                    cause=Cause("TEST", unique),
                    legs=[Leg(AccountKind.AVAILABLE, -10, unique), Leg(AccountKind.REDEMPTION, 10)],
                    occurred_at=utc_now(),
                    now=utc_now(),
                )
        except InsufficientPoints:
            return False
        return True

    try:
        done = await asyncio.gather(*(debit(number) for number in range(50)))
    finally:
        for pool in pools:
            await pool.close()
    assert sum(done) == 10
    assert await available(database, unique) == 0
    async with database.read() as session:
        assert account_id(AccountKind.AVAILABLE, unique) not in (await trial_balance(session)).drifted_accounts


async def test_opposite_transfers_do_not_wait_for_each_other_in_a_circle(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given two customers, when forty postings move points both ways at once, then all are booked."""
    one, other = f"{unique}-a", f"{unique}-b"
    await give(database, one, 1000)
    await give(database, other, 1000)
    pools = [stores.database() for _ in range(4)]

    async def move(number: int) -> None:
        giver, taker = (one, other) if number % 2 else (other, one)
        async with pools[number % 4].write() as session:
            await post(
                session,
                key=f"move:{unique}:{number}",
                kind=PostingKind.EARN,
                cause=Cause("TEST", unique),
                legs=[Leg(AccountKind.AVAILABLE, -1, giver), Leg(AccountKind.AVAILABLE, 1, taker)],
                occurred_at=utc_now(),
                now=utc_now(),
            )

    try:
        await asyncio.gather(*(move(number) for number in range(40)))
    finally:
        for pool in pools:
            await pool.close()
    assert [await available(database, one), await available(database, other)] == [1000, 1000]


@pytest.mark.parametrize("table", ["ledger_posting", "ledger_entry", "lot_debit"])
@pytest.mark.parametrize("statement", ["UPDATE {table} SET id = 'x'", "DELETE FROM {table}"])
async def test_what_is_booked_cannot_be_changed(database: Database, unique: str, table: str, statement: str) -> None:
    """Given a posting and a debit, when somebody changes them by SQL, then the database itself refuses."""
    await give(database, unique, 5)
    await spend(database, unique, 3)
    with pytest.raises(DBAPIError, match="append-only"):
        await by_hand(database, statement.format(table=table))
    assert await available(database, unique) == 2
    async with database.read() as session:
        assert [line.entry.points for line in (await ledger_of(session, unique, first=5, after=None)).rows] == [-3, 5]


async def test_the_trial_balance_finds_books_broken_by_hand(database: Database, unique: str) -> None:
    """Given good books, when a kept balance is changed by hand, then the trial balance names the account."""
    await give(database, unique, 40)
    account = account_id(AccountKind.AVAILABLE, unique)
    async with database.read() as session:
        assert account not in (await trial_balance(session)).drifted_accounts
    change = "UPDATE ledger_account SET balance = balance + :by WHERE id = :id"
    await by_hand(database, change, by=7, id=account)
    async with database.read() as session:
        found = await trial_balance(session)
    await by_hand(database, change, by=-7, id=account)
    assert account in found.drifted_accounts
    assert not found.holds


async def test_the_ledger_pages_from_the_latest_to_the_first(database: Database, unique: str) -> None:
    for points in range(1, 6):
        await give(database, unique, points)
    seen: list[int] = []
    after = None
    async with database.read() as session:
        while True:
            page = await ledger_of(session, unique, first=2, after=after)
            seen += [line.entry.points for line in page.rows]
            if not page.has_next:
                break
            after = page.cursors[-1]
        with pytest.raises(PageInvalid):
            await ledger_of(session, unique, first=2, after="nonsense")
    assert seen == [5, 4, 3, 2, 1]


async def test_a_posting_belongs_to_the_customer_whose_account_it_moves(database: Database, unique: str) -> None:
    posting_id = await give(database, unique, 5)
    async with database.read() as session:
        assert owners_of(await entries_of(session, posting_id or "")) == {unique}
