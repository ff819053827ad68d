"""Day close: activate, expire, reconcile; in order, once, in batches, whatever happens at the same time."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, func, select

from core.days import day_of, end_of_day, next_month, start_of_day
from core.db import Database
from loyalty.day_close import (
    ClosePhase,
    DayBeforeFirst,
    DayClose,
    DayNotOver,
    DayTooFar,
    close_some,
    day_closes,
    due_day,
    open_day,
    open_days,
)
from loyalty.ledger import InsufficientPoints, LedgerPosting, PostingKind
from loyalty.lots import LedgerLot, debits_of, lot_id, release
from loyalty.trial_balance import trial_balance
from tests.conftest import Addresses
from tests.databases import own_database
from tests.loyalty.accounts import books_hold, by_hand, demand, give, spend, standing, take_back, unspend
from tests.loyalty.closing import (
    DAY,
    FIRST,
    NOON,
    ZONE,
    close_of,
    close_step,
    close_whole,
    open_until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def books(stores: Addresses, tmp_path: Path) -> AsyncGenerator[Database, None]:
    async with own_database(stores, tmp_path) as database:
        yield database


async def postings(database: Database, kind: PostingKind) -> int:
    async with database.read() as session:
        statement = select(func.count(col(LedgerPosting.id))).where(LedgerPosting.kind == kind)
        return (await session.exec(statement)).one()


async def test_a_day_activates_then_expires_then_proves(books: Database) -> None:
    """Given 20 due, 7 of which expire the same day, and 9 that expire at midnight, then 13 are left to spend."""
    await give(books, "lin", 13, key="due", available_in=timedelta(hours=3), now=NOON)
    await give(books, "lin", 7, key="brief", available_in=timedelta(hours=3), expires_in=timedelta(hours=6), now=NOON)
    await give(books, "lin", 9, key="midnight", expires_in=timedelta(hours=12), now=NOON)
    await give(books, "sun", 5, key="tomorrow", expires_in=timedelta(hours=13), now=NOON)
    await give(books, "sun", 6, key="later", available_in=2 * DAY, now=NOON)
    row = await close_whole(books, FIRST)
    assert (row.phase, row.holds, row.findings) == (ClosePhase.CLOSED, True, {})
    assert (row.activated_lots, row.activated_points) == (2, 20)
    assert (row.expired_lots, row.expired_points) == (2, 16)
    assert await standing(books, "lin") == (13, 0, 0)
    assert await standing(books, "sun") == (5, 6, 0)
    async with books.read() as session:
        # The other lot that expired was in the same batch, the first of the day.
        key = f"expire:{lot_id('midnight')}:{FIRST}:0"
        statement = select(LedgerPosting).where(LedgerPosting.key == key)
        posting = (await session.exec(statement)).one()
        assert (posting.kind, posting.occurred_at) == ("EXPIRE", NOON + timedelta(hours=12))
        assert [(debit.points, lot.id) for debit, lot in await debits_of(session, posting.id)] == [
            (9, lot_id("midnight"))
        ]
        assert row.entries == (await trial_balance(session)).entries
    await books_hold(books, "lin", "sun")


async def test_a_refund_from_before_the_expiry_that_comes_after_it_expires_with_the_next_close(books: Database) -> None:
    """Given a lot that a close has taken, when a refund of a moment before its end fills it again, then the next
    batch takes that, of the same day or of the day after.
    """
    expiry = NOON + timedelta(hours=1)
    await give(books, "lin", 30, key="brief", expires_in=timedelta(hours=1), now=NOON)
    spent = [await spend(books, "lin", points, now=NOON) for points in (4, 6)]
    await give(books, "sun", 5, expires_in=timedelta(hours=2), now=NOON)
    await open_until(books, FIRST)
    # Activation finds nothing; then lots expire one by one.
    for _ in range(2):
        await close_step(books, FIRST, batch=1)
    assert await standing(books, "lin") == (0, 0, 0)
    await unspend(books, "lin", spent[0], 4, now=expiry - timedelta(seconds=0.1))
    assert await standing(books, "lin") == (4, 0, 0)
    assert (await close_whole(books, FIRST, batch=1)).expired_points == 20 + 4 + 5
    await unspend(books, "lin", spent[1], 6, now=expiry - timedelta(seconds=0.1))
    row = await close_whole(books, FIRST + DAY)
    assert (row.phase, row.expired_lots, row.expired_points, row.holds) == (ClosePhase.CLOSED, 1, 6, True)
    assert await standing(books, "lin") == (0, 0, 0)
    await books_hold(books, "lin", "sun")


async def test_done_again_it_does_nothing(books: Database) -> None:
    await give(books, "lin", 9, expires_in=timedelta(hours=1), now=NOON)
    first = await close_whole(books, FIRST)
    again = await close_whole(books, FIRST, now=NOON + 9 * DAY)
    assert again == first
    assert await postings(books, PostingKind.EXPIRE) == 1


async def test_a_day_that_is_not_over_is_refused_and_nothing_changes(books: Database) -> None:
    """Given noon, then today and tomorrow cannot be closed; at midnight of the programme's zone today can."""
    for day in (FIRST, FIRST + DAY, date.max):
        with pytest.raises(DayNotOver):
            await open_until(books, day, now=NOON)
    with pytest.raises(DayNotOver):
        await open_until(books, FIRST, now=end_of_day(FIRST, ZONE) - timedelta(microseconds=1))
    async with books.read() as session:
        assert await open_day(session) is None
        assert await due_day(session, zone=ZONE, now=NOON) == FIRST - DAY
    assert (await open_until(books, FIRST, now=end_of_day(FIRST, ZONE))).phase == ClosePhase.ACTIVATE


async def test_missed_days_are_caught_up_in_order(books: Database) -> None:
    """Given the first of May closed, when the fifth is asked for, then the three between come before it."""
    await close_whole(books, FIRST)
    for number in range(1, 5):
        await give(books, f"c{number}", 10, expires_in=number * DAY, now=NOON)
    now = NOON + 9 * DAY
    fifth = FIRST + 4 * DAY
    await open_until(books, fifth, now=now)
    assert await close_step(books, fifth, now=now) == ClosePhase.ACTIVATE
    assert await postings(books, PostingKind.EXPIRE) == 0
    seen: list[date] = []
    while True:
        async with books.read() as session:
            day = await open_day(session)
        if day is None:
            break
        seen.append(day)
        assert (await close_whole(books, day, now=now)).expired_points == 10
    assert seen == [FIRST + number * DAY for number in range(1, 5)]
    async with books.read() as session:
        page = await day_closes(session, first=2, after=None)
        rest = await day_closes(session, first=9, after=page.cursors[-1])
    assert [row.day for row in [*page.rows, *rest.rows]] == [FIRST + number * DAY for number in range(4, -1, -1)]
    with pytest.raises(DayBeforeFirst):
        await open_until(books, FIRST - DAY, now=now)
    with pytest.raises(DayTooFar):
        await open_until(books, FIRST + 500 * DAY, now=NOON + 600 * DAY)


async def test_the_first_day_ever_closed_lies_not_long_ago(books: Database) -> None:
    """Given no day closed yet, then one of 401 days ago is refused, as all days after it would have to be closed."""
    with pytest.raises(DayTooFar):
        await open_until(books, FIRST - 401 * DAY, now=NOON)
    assert (await open_until(books, FIRST - 400 * DAY, now=NOON)).phase == ClosePhase.ACTIVATE


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
async def test_batches_of_any_size_do_the_same(books: Database, batch: int) -> None:
    """Given five customers with three due and four expiring lots each, then all are booked, a batch at a time."""
    for customer in range(5):
        for number in range(4):
            await give(books, f"c{customer}", 10 + number, expires_in=timedelta(hours=1 + number), now=NOON)
        for number in range(3):
            await give(books, f"c{customer}", 5, available_in=timedelta(hours=1 + number), now=NOON)
    row = await close_whole(books, FIRST, batch=batch)
    assert (row.activated_lots, row.expired_lots, row.expired_points) == (15, 20, 5 * 46)
    assert [await standing(books, f"c{customer}") for customer in range(5)] == [(15, 0, 0)] * 5
    await books_hold(books, *(f"c{customer}" for customer in range(5)))


async def test_debtors_repay_with_what_is_activated_and_not_with_what_has_expired(books: Database) -> None:
    await give(books, "lin", 30, key="reward", now=NOON)
    await spend(books, "lin", 30, now=NOON)
    await take_back(books, demand("lin", "reward", 30), now=NOON)
    await give(books, "lin", 12, available_in=timedelta(hours=1), now=NOON)
    await give(books, "lin", 8, available_in=timedelta(hours=1), expires_in=timedelta(hours=2), now=NOON)
    await close_whole(books, FIRST)
    assert await standing(books, "lin") == (0, 0, 18)
    await books_hold(books, "lin")


async def test_pending_points_that_expire_before_they_are_due_go_from_pending(books: Database) -> None:
    await give(books, "lin", 8, available_in=3 * DAY, expires_in=timedelta(hours=2), now=NOON)
    await close_whole(books, FIRST)
    assert await standing(books, "lin") == (0, 0, 0)
    async with books.write() as session:
        lot = (await session.exec(select(LedgerLot))).one()
        await release(session, lot.id, now=NOON + 3 * DAY)
    assert await standing(books, "lin") == (0, 0, 0)
    await books_hold(books, "lin")


async def test_books_that_do_not_hold_are_shown_with_the_day(books: Database) -> None:
    await give(books, "lin", 8, now=NOON)
    await by_hand(books, "UPDATE ledger_account SET balance = 9 WHERE id = 'lin:available'")
    row = await close_whole(books, FIRST)
    assert row.holds is False
    assert row.findings == {"drifted_accounts": ["lin:available"], "uncovered_accounts": ["lin:available"]}


async def test_two_closes_at_once_beside_customers_who_spend_and_earn(
    books: Database, stores: Addresses, tmp_path: Path
) -> None:
    """Given 12 customers with 20 due, 30 expiring and 40 to keep, when all is done at once, then each is exact."""
    customers = [f"c{number:02}" for number in range(12)]
    for customer in customers:
        await give(books, customer, 30, expires_in=timedelta(hours=2), now=NOON)
        await give(books, customer, 20, key=f"{customer}:due", available_in=timedelta(hours=2), now=NOON)
        await give(books, customer, 40, now=NOON)
    midnight = end_of_day(FIRST, ZONE)
    await open_until(books, FIRST)
    pools = [Database(books.url, timeout=60) for _ in range(4)]

    async def close_all(pool: Database) -> None:
        phase = ClosePhase.ACTIVATE
        while phase in (ClosePhase.ACTIVATE, ClosePhase.EXPIRE):
            async with pool.write() as session:
                phase = await close_some(session, FIRST, now=midnight, batch=5)

    async def act(pool: Database, customer: str) -> None:
        await spend(pool, customer, 35, now=midnight)
        async with pool.write() as session:
            await release(session, lot_id(f"{customer}:due"), now=midnight)
        await give(pool, customer, 1, now=midnight)
        with pytest.raises(InsufficientPoints):
            await spend(pool, customer, 40, now=midnight)

    try:
        acts = [act(pools[2 + number % 2], customer) for number, customer in enumerate(customers)]
        await asyncio.gather(close_all(pools[0]), close_all(pools[1]), *acts)
    finally:
        for pool in pools:
            await pool.close()
    assert [await standing(books, customer) for customer in customers] == [(26, 0, 0)] * 12
    assert await postings(books, PostingKind.EXPIRE) == 12
    assert await postings(books, PostingKind.RELEASE) == 12
    assert (await close_of(books, FIRST)).expired_points == 360
    await books_hold(books, *customers)


@pytest.mark.parametrize(
    ("zone", "day", "end"),
    [
        ("Asia/Shanghai", date(2030, 5, 1), datetime(2030, 5, 1, 16, tzinfo=UTC)),
        # Clocks go forward at midnight: the day ends when they do.
        ("Africa/Cairo", date(2024, 4, 25), datetime(2024, 4, 25, 22, tzinfo=UTC)),
        # They go back from midnight to eleven: the hour before it comes twice, and belongs to the day.
        ("Africa/Cairo", date(2024, 10, 31), datetime(2024, 10, 31, 22, tzinfo=UTC)),
        # They go back from one to midnight: the first midnight begins the next day.
        ("Atlantic/Azores", date(2024, 10, 26), datetime(2024, 10, 27, tzinfo=UTC)),
        # A day of 23 hours.
        ("Europe/Berlin", date(2024, 3, 31), datetime(2024, 3, 31, 22, tzinfo=UTC)),
        # A day that was left out.
        ("Pacific/Apia", date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_a_day_ends_at_its_local_midnight(zone: str, day: date, end: datetime) -> None:
    assert end_of_day(day, zone) == end
    assert start_of_day(day + DAY, zone) == end
    assert day_of(end - timedelta(microseconds=1), zone) <= day
    assert day_of(end, zone) == day + DAY


def test_the_month_after_december() -> None:
    assert [next_month(date(2029, 12, 31)), next_month(date(2030, 1, 31))] == [date(2030, 1, 1), date(2030, 2, 1)]


async def test_two_requests_for_one_day_begin_it_once(books: Database) -> None:
    pools = [Database(books.url, timeout=60) for _ in range(4)]
    midnight = end_of_day(FIRST, ZONE)

    async def begin(pool: Database) -> DayClose:
        async with pool.write() as session:
            return await open_days(session, until=FIRST, zone=ZONE, now=midnight)

    try:
        rows = await asyncio.gather(*(begin(pools[number % 4]) for number in range(12)))
    finally:
        for pool in pools:
            await pool.close()
    assert {row.day for row in rows} == {FIRST}
