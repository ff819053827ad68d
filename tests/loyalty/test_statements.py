"""Pages of the ledger: filtered, stable while others book, and with the balance that was right after each entry."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import Database
from core.ids import new_id
from core.paging import Before, PageInvalid, decode_cursor, encode_cursor
from loyalty.ledger import AccountKind, PostingKind
from loyalty.lots import lot_id, release
from loyalty.statements import EVERYTHING, LedgerFilter, LedgerLine, LedgerRangeInvalid, balances_before, ledger_of
from tests.loyalty.accounts import demand, give, spend, take_back

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
AVAILABLE, PENDING, DEBT = AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.DEBT


async def all_lines(
    database: Database, customer_id: str, wanted: LedgerFilter = EVERYTHING, *, first: int = 2, between: bool = False
) -> list[LedgerLine]:
    """All pages of this size; with `between`, points are earned after each page is read."""
    found: list[LedgerLine] = []
    after = None
    while True:
        async with database.read() as session:
            page = await ledger_of(session, customer_id, first=first, after=after, wanted=wanted)
        found += page.rows
        if not page.has_next:
            return found
        after = page.cursors[-1]
        if between:
            for days in (0, 1):
                await give(database, customer_id, 1, available_in=days * DAY, now=NOON + 9 * DAY)


async def history(database: Database, customer_id: str) -> None:
    """Earned 50, 20 pending, spent 30, clawed back 40 (10 of them owed), released 20 of which 20 repay."""
    await give(database, customer_id, 50, key=f"{customer_id}:a", now=NOON)
    await give(database, customer_id, 20, key=f"{customer_id}:b", available_in=2 * DAY, now=NOON + DAY)
    await spend(database, customer_id, 30, now=NOON + DAY)
    await take_back(database, demand(customer_id, f"{customer_id}:a", 50), now=NOON + 2 * DAY)
    async with database.write() as session:
        await release(session, lot_id(f"{customer_id}:b"), now=NOON + 3 * DAY)


async def lines_from_the_end(
    database: Database, customer_id: str, wanted: LedgerFilter = EVERYTHING, *, last: int
) -> list[LedgerLine]:
    """Likewise, read backwards; and each cursor on the way parts the list into what is before it and after it."""
    found: list[LedgerLine] = []
    whole = ids_of(await all_lines(database, customer_id, wanted, first=100))
    place: Before | None = Before()
    while place is not None:
        async with database.read() as session:
            page = await ledger_of(session, customer_id, first=last, after=place, wanted=wanted)
            for line, cursor in zip(page.rows, page.cursors, strict=True):
                at = whole.index(line.entry.id)
                before = await ledger_of(session, customer_id, first=100, after=Before(cursor), wanted=wanted)
                after = await ledger_of(session, customer_id, first=100, after=cursor, wanted=wanted)
                assert (ids_of(before.rows), ids_of(after.rows)) == (whole[:at], whole[at + 1 :])
        found = page.rows + found
        place = Before(page.cursors[0]) if page.has_previous else None
    return found


def ids_of(lines: list[LedgerLine]) -> list[str]:
    return [line.entry.id for line in lines]


def shown(lines: list[LedgerLine]) -> list[tuple[str, str, int, int | None]]:
    return [
        (line.posting.kind, line.entry.account_id.rpartition(":")[2], line.entry.points, line.entry.balance_after)
        for line in lines
    ]


async def test_every_account_runs_to_its_balance_on_pages_of_any_size(database: Database, unique: str) -> None:
    await history(database, unique)
    whole = shown(await all_lines(database, unique, first=100))
    assert sorted(whole) == sorted(
        [
            ("EARN", "available", 50, 50),
            ("EARN", "pending", 20, 20),
            ("REDEEM", "available", -30, 20),
            ("CLAWBACK", "available", -20, 0),
            ("CLAWBACK", "debt", 30, 30),
            ("RELEASE", "pending", -20, 0),
            ("RELEASE", "available", 20, 20),
            ("REPAYMENT", "available", -20, 0),
            ("REPAYMENT", "debt", -20, 10),
        ]
    )
    for first in (1, 2, 4):
        assert shown(await all_lines(database, unique, first=first)) == whole
        assert shown(await lines_from_the_end(database, unique, last=first)) == whole
    # What is booked while somebody turns pages is on none of the later ones.
    assert shown(await all_lines(database, unique, first=2, between=True)) == whole


async def test_filters_by_account_kind_and_time(database: Database, unique: str) -> None:
    """From is inclusive, to is exclusive; each entry keeps its own balance."""
    await history(database, unique)
    available = LedgerFilter(account=AVAILABLE)
    assert [line[2:] for line in shown(await all_lines(database, unique, available))] == [
        (-20, 0),
        (20, 20),
        (-20, 0),
        (-30, 20),
        (50, 50),
    ]
    for wanted in (available, LedgerFilter(kinds=[PostingKind.EARN, PostingKind.CLAWBACK, PostingKind.RELEASE])):
        found = await all_lines(database, unique, wanted)
        for last in (1, 2):
            assert ids_of(await lines_from_the_end(database, unique, wanted, last=last)) == ids_of(found)
    kinds = LedgerFilter(kinds=[PostingKind.EARN, PostingKind.REDEEM])
    assert {line[0] for line in shown(await all_lines(database, unique, kinds))} == {"EARN", "REDEEM"}
    second_day = LedgerFilter(booked_from=NOON + DAY, booked_before=NOON + 2 * DAY)
    assert sorted(shown(await all_lines(database, unique, second_day))) == [
        ("EARN", "pending", 20, 20),
        ("REDEEM", "available", -30, 20),
    ]
    nothing = LedgerFilter(kinds=[])
    assert await all_lines(database, unique, nothing) == []
    async with database.read() as session:
        assert await balances_before(session, unique, NOON + 2 * DAY) == {AVAILABLE: 20, PENDING: 20, DEBT: 0}
        assert await balances_before(session, unique, None) == {AVAILABLE: 0, PENDING: 0, DEBT: 0}
        with pytest.raises(LedgerRangeInvalid):
            await ledger_of(session, unique, first=1, after=None, wanted=LedgerFilter(account=AccountKind.EXPIRY))
        with pytest.raises(LedgerRangeInvalid):
            backwards = LedgerFilter(booked_from=NOON, booked_before=NOON - DAY)
            await ledger_of(session, unique, first=1, after=None, wanted=backwards)
        with pytest.raises(PageInvalid):
            await ledger_of(session, unique, first=1, after="WyJhIl0")


async def test_a_cursor_from_when_the_ledger_went_one_way_still_leads_on(database: Database, unique: str) -> None:
    """Given a cursor that does not say in which account it stands, then one goes on from it, and not back."""
    await history(database, unique)
    whole = ids_of(await all_lines(database, unique, first=100))
    async with database.read() as session:
        page = await ledger_of(session, unique, first=2, after=None)
        marks = decode_cursor(page.cursors[-1], int, int, int) or ()
        old = encode_cursor([abs(int(mark)) for mark in marks])
        assert ids_of((await ledger_of(session, unique, first=100, after=old)).rows) == whole[2:]
        with pytest.raises(PageInvalid) as caught:
            await ledger_of(session, unique, first=2, after=Before(old))
    assert caught.value.path == ("before",)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=st.lists(st.integers(-20, 30).filter(bool), min_size=1, max_size=12), first=st.integers(1, 5))
async def test_the_pages_of_any_history_are_its_running_sum(database: Database, points: list[int], first: int) -> None:
    customer_id, balance, expected = new_id(), 0, list[tuple[int, int]]()
    for amount in points:
        if amount > 0:
            await give(database, customer_id, amount, now=NOON)
        elif balance + amount >= 0:
            await spend(database, customer_id, -amount, now=NOON)
        else:
            continue
        balance += amount
        expected.insert(0, (amount, balance))
    lines = await all_lines(database, customer_id, LedgerFilter(account=AVAILABLE), first=first)
    assert [(line.entry.points, line.entry.balance_after) for line in lines] == expected
    assert [line.entry.position for line in lines] == list(range(len(expected), 0, -1))
