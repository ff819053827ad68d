"""Points given or taken by staff: alone up to a limit, by two above it, decided once, audited, never overdrawn."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.db import Database
from core.errors import NotFound, Refusal
from core.ids import new_id
from loyalty.adjustments import (
    Adjustment,
    AdjustmentDecided,
    AdjustmentInvalid,
    AdjustmentNeedsAnother,
    AdjustmentStatus,
    NewAdjustment,
    adjust,
    decide_adjustment,
    list_adjustments,
)
from loyalty.erasure import erase_customer
from loyalty.idempotency import IdempotencyKeyInvalid, IdempotencyKeyReused
from loyalty.ledger import InsufficientPoints
from loyalty.lots import LedgerLot
from tests.loyalty.accounts import books_hold, demand, give, spend, standing, take_back

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
BOOKED, REJECTED, PENDING = AdjustmentStatus.BOOKED, AdjustmentStatus.REJECTED, AdjustmentStatus.PENDING


async def ask(
    database: Database, customer_id: str, points: int, *, actor: str = "ann", key: str = "", reason: str = "Goodwill"
) -> Adjustment:
    new = NewAdjustment(customer_id, points, reason, key or new_id(), life_days=30)
    async with database.write() as session:
        return await adjust(session, new, actor=actor, limit=100, now=NOON)


async def decide(
    database: Database, adjustment: Adjustment, status: AdjustmentStatus, *, actor: str = "bob"
) -> Adjustment:
    async with database.write() as session:
        return await decide_adjustment(session, adjustment.id, status, actor=actor, reason="Checked", now=NOON)


async def audited(database: Database, adjustment: Adjustment) -> list[tuple[str, str]]:
    statement = select(AuditEntry).where(AuditEntry.subject == f"adjustment:{adjustment.id}")
    async with database.read() as session:
        rows = (await session.exec(statement.order_by(col(AuditEntry.action)))).all()
    return [(row.action, row.actor) for row in rows]


async def test_up_to_the_limit_it_is_booked_at_once(database: Database, unique: str) -> None:
    given = await ask(database, unique, 100)
    assert (given.status, given.decided_by, await standing(database, unique)) == (BOOKED, None, (100, 0, 0))
    async with database.read() as session:
        lot = (await session.exec(select(LedgerLot).where(LedgerLot.customer_id == unique))).one()
    assert (lot.earned_at, lot.expires_at, lot.posting_id) == (NOON, NOON + 30 * DAY, given.posting_id)
    await ask(database, unique, -30, actor="cay")
    assert await standing(database, unique) == (70, 0, 0)
    assert await audited(database, given) == [("ADJUSTMENT_REQUESTED", "ann")]
    await books_hold(database, unique)


async def test_above_it_a_second_person_decides(database: Database, unique: str) -> None:
    """Given 101 asked for, then they wait; who asked cannot decide; another can, once."""
    asked = await ask(database, unique, 101)
    assert (asked.status, await standing(database, unique)) == (PENDING, (0, 0, 0))
    for status in (BOOKED, REJECTED):
        with pytest.raises(AdjustmentNeedsAnother):
            await decide(database, asked, status, actor="ann")
    done = await decide(database, asked, BOOKED)
    assert (done.status, done.decided_by, done.decision_reason) == (BOOKED, "bob", "Checked")
    assert (await decide(database, asked, BOOKED)).posting_id == done.posting_id
    for status, actor in ((REJECTED, "bob"), (BOOKED, "eve"), (REJECTED, "eve"), (BOOKED, "ann")):
        with pytest.raises(AdjustmentDecided):
            await decide(database, asked, status, actor=actor)
    assert await standing(database, unique) == (101, 0, 0)
    assert await audited(database, asked) == [("ADJUSTMENT_BOOKED", "bob"), ("ADJUSTMENT_REQUESTED", "ann")]
    turned_down = await decide(database, await ask(database, unique, -101), REJECTED)
    assert (turned_down.status, turned_down.posting_id) == (REJECTED, None)
    assert await standing(database, unique) == (101, 0, 0)
    await books_hold(database, unique)


async def test_nothing_is_overdrawn_and_what_waits_goes_on_waiting(database: Database, unique: str) -> None:
    """Given 150 of which 50 have expired, then 101 cannot be taken, by one person or by two."""
    await give(database, unique, 100, now=NOON)
    await give(database, unique, 50, expires_in=DAY, now=NOON - 2 * DAY)
    with pytest.raises(InsufficientPoints):
        async with database.write() as session:
            new = NewAdjustment(unique, -101, "Mistake", new_id())
            await adjust(session, new, actor="ann", limit=1_000, now=NOON)
    asked = await ask(database, unique, -101)
    with pytest.raises(InsufficientPoints):
        await decide(database, asked, BOOKED)
    async with database.read() as session:
        assert (await session.get_one(Adjustment, asked.id)).status == PENDING
    assert await audited(database, asked) == [("ADJUSTMENT_REQUESTED", "ann")]
    await give(database, unique, 1, now=NOON)
    await decide(database, asked, BOOKED)
    assert await standing(database, unique) == (50, 0, 0)
    await books_hold(database, unique)


async def test_the_same_key_gives_the_first_answer(database: Database, unique: str) -> None:
    first = await ask(database, unique, 20, key=f"key-{unique}")
    assert (await ask(database, unique, 20, key=f"key-{unique}")).id == first.id
    with pytest.raises(IdempotencyKeyReused):
        await ask(database, unique, 21, key=f"key-{unique}")
    with pytest.raises(IdempotencyKeyReused):
        await ask(database, unique, 20, key=f"key-{unique}", reason="Another")
    assert (await ask(database, unique, 20, key=f"key-{unique}", actor="bob")).id != first.id
    assert await standing(database, unique) == (40, 0, 0)


async def test_what_is_given_repays_debts_first(database: Database, unique: str) -> None:
    await give(database, unique, 30, key=unique, now=NOON)
    await spend(database, unique, 30, now=NOON)
    await take_back(database, demand(unique, unique, 30), now=NOON)
    await ask(database, unique, 50)
    assert await standing(database, unique) == (20, 0, 0)
    await books_hold(database, unique)


async def test_what_is_not_valid_is_refused(database: Database, unique: str) -> None:
    for points, reason, key in ((0, "Goodwill", ""), (5, "  ", ""), (5, "x" * 501, "")):
        with pytest.raises(AdjustmentInvalid):
            await ask(database, unique, points, reason=reason, key=key)
    with pytest.raises(IdempotencyKeyInvalid):
        await ask(database, unique, 5, key="short")
    absent = Adjustment(
        id=new_id(),
        customer_id=unique,
        points=1,
        life_days=1,
        status=PENDING,
        idempotency_key="",
        requested_by="ann",
        requested_at=NOON,
    )
    with pytest.raises(NotFound):
        await decide(database, absent, BOOKED)
    async with database.write() as session:
        await erase_customer(session, unique, now=NOON)
    # Neither what is booked at once nor what would wait for somebody else is kept, with its words.
    for points in (5, 500):
        with pytest.raises(NotFound):
            await ask(database, unique, points)
    async with database.read() as session:
        kept = (await session.exec(select(Adjustment).where(Adjustment.customer_id == unique))).all()
    assert [row.reason for row in kept] == [None] * len(kept)


async def test_decided_by_many_at_once_it_is_decided_once(pools: list[Database], unique: str) -> None:
    """Given one that waits, when ten approve and ten reject at once, then one of them has decided."""
    asked = await ask(pools[0], unique, 500)

    async def one(number: int) -> AdjustmentStatus | None:
        status = BOOKED if number % 2 else REJECTED
        try:
            await decide(pools[number % 4], asked, status, actor=f"admin-{number}")
        except Refusal:
            return None
        return status

    answers = [found for found in await asyncio.gather(*(one(number) for number in range(20))) if found]
    assert len(answers) == 1
    assert await standing(pools[0], unique) == (500 if answers == [BOOKED] else 0, 0, 0)
    assert len(await audited(pools[0], asked)) == 2


async def test_negative_ones_at_once_never_overdraw(pools: list[Database], unique: str) -> None:
    await give(pools[0], unique, 95, now=NOON)

    async def one(number: int) -> bool:
        try:
            await ask(pools[number % 4], unique, -10, actor=f"admin-{number % 2}")
        except InsufficientPoints:
            return False
        return True

    assert sum(await asyncio.gather(*(one(number) for number in range(20)))) == 9
    assert await standing(pools[0], unique) == (5, 0, 0)
    await books_hold(pools[0], unique)


async def test_many_small_ones_at_once_are_not_more_than_the_limit_alone(pools: list[Database], unique: str) -> None:
    """Given twenty adjustments of ten points by one person, when asked for at once, then ten are booked and ten wait.

    Somebody else's own limit is not touched by them, nor what a second person approves.
    """
    asked = await asyncio.gather(*(ask(pools[number % 4], unique, 10) for number in range(20)))
    waiting = [one for one in asked if one.status == PENDING]
    assert (len(waiting), await standing(pools[0], unique)) == (10, (100, 0, 0))
    assert (await decide(pools[0], waiting[0], BOOKED)).status == BOOKED
    assert (await ask(pools[0], unique, 100, actor="cay")).status == BOOKED
    assert (await ask(pools[0], unique, -1)).status == PENDING
    assert await standing(pools[0], unique) == (210, 0, 0)
    await books_hold(pools[0], unique)


async def test_lists_are_by_status_the_latest_first(database: Database, unique: str) -> None:
    for points in (500, 10, 600):
        await ask(database, unique, points)
    async with database.read() as session:
        waiting = await list_adjustments(session, PENDING, first=100, after=None)
        page = await list_adjustments(session, None, first=1, after=None)
        rest = await list_adjustments(session, None, first=100, after=page.cursors[-1])
    assert {row.points for row in waiting.rows if row.customer_id == unique} == {500, 600}
    assert len([row for row in [*page.rows, *rest.rows] if row.customer_id == unique]) == 3
