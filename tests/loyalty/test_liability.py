"""What the house owes: by month of expiry, opening plus movements is closing, and the past does not change."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from core.db import Database
from loyalty.ledger import PostingKind
from loyalty.liability import (
    LATER,
    OVERDUE,
    ExpiringMonth,
    LiabilityPeriodInvalid,
    LiabilityReport,
    Movement,
    liability_report,
    period_of,
)
from loyalty.shortfall import ShortfallPolicy
from tests.conftest import Addresses
from tests.databases import own_database
from tests.loyalty.accounts import demand, give, spend, take_back
from tests.loyalty.closing import DAY, FIRST, NOON, ZONE, close_whole

pytestmark = pytest.mark.anyio


@pytest.fixture
async def books(stores: Addresses, tmp_path: Path) -> AsyncGenerator[Database, None]:
    async with own_database(stores, tmp_path) as database:
        yield database


async def report(database: Database, begin: datetime, end: datetime) -> LiabilityReport:
    async with database.read() as session:
        return await liability_report(session, booked_from=begin, booked_before=end, zone=ZONE)


async def fill(database: Database) -> None:
    """Three days: 100 and 40 pending earned; 30 spent; 20 expired and a reward of 10 taken back without cover."""
    await give(database, "lin", 100, expires_in=60 * DAY, now=NOON)
    await give(database, "lin", 40, key="due", available_in=3 * DAY, expires_in=4_000 * DAY, now=NOON)
    await give(database, "sun", 20, expires_in=timedelta(hours=30), now=NOON)
    await give(database, "sun", 10, key="reward", expires_in=timedelta(hours=6), now=NOON)
    await spend(database, "lin", 30, now=NOON + DAY)
    await spend(database, "sun", 10, now=NOON)
    await close_whole(database, FIRST, now=NOON + DAY)
    await take_back(database, demand("sun", "reward", 10, ShortfallPolicy.WRITE_OFF), now=NOON + 2 * DAY)
    await close_whole(database, FIRST + DAY, now=NOON + 2 * DAY)


async def test_opening_and_movements_are_closing_in_every_period(books: Database) -> None:
    await fill(books)
    whole = await report(books, NOON - DAY, NOON + 3 * DAY)
    assert whole.movements == (
        Movement(PostingKind.EARN, 170, 0),
        Movement(PostingKind.REDEEM, 0, 40),
        Movement(PostingKind.EXPIRE, 0, 20),
    )
    assert (whole.opening, whole.available, whole.pending, whole.closing) == (0, 70, 40, 110)
    opening = 0
    for day in range(3):
        one = await report(books, NOON + day * DAY, NOON + (day + 1) * DAY)
        assert one.opening == opening
        assert one.closing == opening + sum(move.points_in - move.points_out for move in one.movements)
        opening = one.closing
    assert opening == whole.closing
    assert (whole.owed, whole.written_off) == (0, 10)


async def test_the_months_in_which_what_is_outstanding_expires(books: Database) -> None:
    """Given the first day, then what has expired and is not closed stands apart; given the third, it is gone."""
    await fill(books)
    first = await report(books, NOON, NOON + timedelta(hours=31))
    assert first.months == (
        ExpiringMonth(OVERDUE, 20, 0),
        ExpiringMonth("2030-06", 70, 0),
        ExpiringMonth(LATER, 0, 40),
    )
    third = await report(books, NOON, NOON + 3 * DAY)
    assert third.months == (ExpiringMonth("2030-06", 70, 0), ExpiringMonth(LATER, 0, 40))
    assert sum(month.available + month.pending for month in third.months) == third.closing


async def test_the_report_of_a_past_day_does_not_change(books: Database) -> None:
    await fill(books)
    before = await report(books, NOON, NOON + 2 * DAY)
    await close_whole(books, FIRST + 2 * DAY, now=NOON + 9 * DAY)
    await close_whole(books, FIRST + 3 * DAY, now=NOON + 9 * DAY)
    await give(books, "lin", 500, now=NOON + 9 * DAY)
    await spend(books, "lin", 5, now=NOON + 9 * DAY)
    assert await report(books, NOON, NOON + 2 * DAY) == before
    released = await report(books, NOON + 9 * DAY, NOON + 10 * DAY)
    assert (released.opening, released.pending) == (110, 0)


async def test_what_expires_at_the_first_instant_of_a_month_is_of_the_month_before(books: Database) -> None:
    june = datetime(2030, 5, 31, 16, tzinfo=UTC)
    await give(books, "lin", 7, expires_in=june - NOON, now=NOON)
    await give(books, "lin", 8, expires_in=june - NOON + timedelta(seconds=1), now=NOON)
    found = await report(books, NOON, NOON + DAY)
    assert found.months == (ExpiringMonth("2030-05", 7, 0), ExpiringMonth("2030-06", 8, 0))


def test_the_period_of_a_report() -> None:
    """Yesterday from the first of its month on, unless something else is said; nothing that is not over."""
    midnight = datetime(2030, 4, 30, 16, tzinfo=UTC)
    assert period_of(None, None, None, zone=ZONE, now=NOON) == (datetime(2030, 3, 31, 16, tzinfo=UTC), midnight)
    day, since = date(2030, 4, 20), date(2030, 4, 18)
    assert period_of(day, since, None, zone=ZONE, now=NOON) == (
        datetime(2030, 4, 17, 16, tzinfo=UTC),
        datetime(2030, 4, 20, 16, tzinfo=UTC),
    )
    assert period_of(None, None, NOON, zone=ZONE, now=NOON) == (midnight, NOON)
    refused: list[tuple[date | None, date | None, datetime | None]] = [
        (FIRST, None, None),
        (day, None, NOON),
        (None, None, NOON + DAY),
        (date.max, None, None),
        (date.min, None, None),
        (None, date.min, None),
        (None, None, datetime.max.replace(tzinfo=UTC)),
        (None, None, datetime.min.replace(tzinfo=UTC)),
    ]
    for arguments in refused:
        with pytest.raises(LiabilityPeriodInvalid):
            period_of(*arguments, zone=ZONE, now=NOON)


async def test_a_period_that_ends_before_it_begins_is_refused(books: Database) -> None:
    with pytest.raises(LiabilityPeriodInvalid):
        await report(books, NOON, NOON - DAY)
