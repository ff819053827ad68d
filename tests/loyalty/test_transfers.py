"""Points given to others: whole or not at all, with their expiry, within limits that nobody gets around."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, func, select

from core.db import Database
from core.ids import new_id
from loyalty.erasure import erase_customer
from loyalty.idempotency import IdempotencyKeyInvalid, IdempotencyKeyReused
from loyalty.ledger import InsufficientPoints, LedgerEntry, LedgerPosting, PostingKind, owners_of
from loyalty.lots import LedgerLot, lot_id
from loyalty.transfers import (
    Gift,
    PointsTransfer,
    RecipientNotFound,
    TransferInvalid,
    TransferLimitReached,
    TransferLimits,
    TransferTooLarge,
    TransferToOneself,
    TransferTooSmall,
    transfer,
)
from tests.loyalty.accounts import books_hold, demand, give, spend, standing, take_back

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
# Noon in the programme's time zone.
NOON = datetime(2030, 5, 1, 4, tzinfo=UTC)
ZONE = "Asia/Shanghai"


async def hand(
    database: Database,
    sender: str,
    receiver: str,
    points: int,
    *,
    key: str = "",
    now: datetime = NOON,
    limits: TransferLimits | None = None,
    known: bool = True,
) -> PointsTransfer:
    gift = Gift(sender, receiver, points, key or new_id(), "For you", known)
    async with database.write() as session:
        return await transfer(session, gift, zone=ZONE, now=now, limits=limits)


async def lots_of(database: Database, customer_id: str) -> list[tuple[str | None, int, datetime, datetime]]:
    """Source, what is left, when earned and when expiring, in the order of burning."""
    statement = select(LedgerLot).where(LedgerLot.customer_id == customer_id)
    ordered = statement.order_by(col(LedgerLot.expires_at), col(LedgerLot.earned_at), col(LedgerLot.id))
    async with database.read() as session:
        rows = (await session.exec(ordered)).all()
    return [(lot.source_lot_id, lot.remaining, lot.earned_at, lot.expires_at) for lot in rows]


async def test_lots_go_on_with_their_expiry_and_name_where_they_come_from(database: Database, unique: str) -> None:
    """Given lots of 30 and 50, when 40 are given, then the receiver has 30 and 10 that expire as the sender's did."""
    lin, sun = f"{unique}-lin", f"{unique}-sun"
    await give(database, lin, 50, key=f"{unique}:long", expires_in=90 * DAY, now=NOON - DAY)
    await give(database, lin, 30, key=f"{unique}:short", expires_in=9 * DAY, now=NOON - 2 * DAY)
    done = await hand(database, lin, sun, 40)
    assert (await standing(database, lin), await standing(database, sun)) == ((40, 0, 0), (40, 0, 0))
    assert await lots_of(database, sun) == [
        (lot_id(f"{unique}:short"), 30, NOON - 2 * DAY, NOON + 7 * DAY),
        (lot_id(f"{unique}:long"), 10, NOON - DAY, NOON + 89 * DAY),
    ]
    assert [left for _, left, _, _ in await lots_of(database, lin)] == [0, 40]
    async with database.read() as session:
        posting = await session.get_one(LedgerPosting, done.posting_id)
        legs = (await session.exec(select(LedgerEntry).where(LedgerEntry.posting_id == posting.id))).all()
    assert (posting.kind, posting.cause_id) == (PostingKind.TRANSFER, done.id)
    assert sorted((leg.account_id, leg.points) for leg in legs) == [
        (f"{lin}:available", -40),
        (f"{sun}:available", 40),
    ]
    assert owners_of(legs) == {lin, sun}
    # The short one is spent first by whoever has it, and goes back by where it came from.
    await hand(database, sun, lin, 35)
    assert [left for _, left, _, _ in await lots_of(database, sun)] == [0, 5]
    await books_hold(database, lin, sun)


async def test_the_same_key_gives_the_first_answer_and_another_wish_is_refused(database: Database, unique: str) -> None:
    lin, sun = f"{unique}-lin", f"{unique}-sun"
    await give(database, lin, 100, now=NOON)
    first = await hand(database, lin, sun, 40, key="the-key-of-lin")
    again = await hand(database, lin, sun, 40, key="the-key-of-lin", now=NOON + DAY, limits=TransferLimits(per_day=1))
    assert (again.id, again.transferred_at) == (first.id, NOON)
    for receiver, points in ((sun, 41), (f"{unique}-wu", 40)):
        with pytest.raises(IdempotencyKeyReused):
            await hand(database, lin, receiver, points, key="the-key-of-lin")
    # The key is the sender's own.
    await hand(database, sun, lin, 10, key="the-key-of-lin")
    assert await standing(database, sun) == (30, 0, 0)


async def test_what_is_refused_changes_nothing(database: Database, unique: str) -> None:
    lin, sun = f"{unique}-lin", f"{unique}-sun"
    await give(database, lin, 100, now=NOON)
    await give(database, lin, 50, expires_in=DAY, now=NOON - 2 * DAY)
    limits = TransferLimits(smallest=10, largest=120, per_day=120)
    for error, receiver, points, known in (
        (TransferToOneself, lin, 20, True),
        (TransferTooSmall, sun, 9, True),
        (TransferTooSmall, sun, -20, True),
        (TransferTooLarge, sun, 121, True),
        (RecipientNotFound, sun, 20, False),
        (InsufficientPoints, sun, 101, True),
    ):
        with pytest.raises(error):
            await hand(database, lin, receiver, points, limits=limits, known=known)
    for gift, error in (
        (Gift(lin, sun, 20, "short"), IdempotencyKeyInvalid),
        (Gift(lin, sun, 20, new_id(), "x" * 201), TransferInvalid),
    ):
        with pytest.raises(error):
            async with database.write() as session:
                await transfer(session, gift, zone=ZONE, now=NOON)
    assert (await standing(database, lin), await standing(database, sun)) == ((150, 0, 0), (0, 0, 0))
    await books_hold(database, lin, sun)


async def test_the_limit_of_a_day_begins_anew_at_local_midnight(database: Database, unique: str) -> None:
    """Given 60 a day, when 40 are given at 23:59 local time, then 21 more are too many, and a minute later not."""
    lin, sun, limits = f"{unique}-lin", f"{unique}-sun", TransferLimits(per_day=60)
    await give(database, lin, 200, now=NOON - DAY)
    late = datetime(2030, 5, 1, 15, 59, tzinfo=UTC)
    await hand(database, lin, sun, 40, now=late, limits=limits)
    with pytest.raises(TransferLimitReached):
        await hand(database, lin, sun, 21, now=late, limits=limits)
    await hand(database, lin, sun, 20, now=late, limits=limits)
    await hand(database, lin, sun, 60, now=late + timedelta(minutes=1), limits=limits)
    assert await standing(database, lin) == (80, 0, 0)


async def test_what_the_receiver_owes_is_repaid_first(database: Database, unique: str) -> None:
    lin, sun = f"{unique}-lin", f"{unique}-sun"
    await give(database, lin, 100, now=NOON)
    await give(database, sun, 30, key=f"{unique}:r", now=NOON)
    await spend(database, sun, 30, now=NOON)
    await take_back(database, demand(sun, f"{unique}:r", 30), now=NOON)
    await hand(database, lin, sun, 50)
    assert (await standing(database, lin), await standing(database, sun)) == ((50, 0, 0), (20, 0, 0))
    await books_hold(database, lin, sun)


async def test_unknown_and_erased_recipients_look_alike(database: Database, unique: str) -> None:
    lin, gone = f"{unique}-lin", f"{unique}-gone"
    await give(database, lin, 100, now=NOON)
    await give(database, gone, 5, now=NOON)
    async with database.write() as session:
        await erase_customer(session, gone, now=NOON)
    words: list[str] = []
    for known in (True, False):
        with pytest.raises(RecipientNotFound) as refusal:
            await hand(database, lin, gone, 20, known=known)
        words.append(refusal.value.words("en") + str(refusal.value.path))
    assert words[0] == words[1]
    assert await standing(database, lin) == (100, 0, 0)


async def test_many_writers_in_all_directions_end_with_exact_sums(pools: list[Database], unique: str) -> None:
    """Given three customers, when sixty transfers of 10 go round both ways at once, then nothing is lost or waits."""
    people = [f"{unique}-{name}" for name in ("a", "b", "c")]
    for person in people:
        await give(pools[0], person, 1_000, now=NOON)

    async def move(number: int) -> None:
        sender = people[number % 3]
        receiver = people[(number + (1 if number % 2 else 2)) % 3]
        await hand(pools[number % 4], sender, receiver, 10)

    await asyncio.gather(*(move(number) for number in range(60)))
    assert [await standing(pools[0], person) for person in people] == [(1_000, 0, 0)] * 3
    await books_hold(pools[0], *people)


async def test_the_limit_of_a_day_is_exact_under_many_writers(pools: list[Database], unique: str) -> None:
    """Given 100 a day, when thirty transfers of 10 are asked for at once, then exactly ten are done."""
    lin, limits = f"{unique}-lin", TransferLimits(per_day=100)
    await give(pools[0], lin, 1_000, now=NOON)

    async def try_one(number: int) -> bool:
        try:
            await hand(pools[number % 4], lin, f"{unique}-{number % 5}", 10, limits=limits)
        except TransferLimitReached:
            return False
        return True

    assert sum(await asyncio.gather(*(try_one(number) for number in range(30)))) == 10
    assert await standing(pools[0], lin) == (900, 0, 0)
    received = [(await standing(pools[0], f"{unique}-{number}"))[0] for number in range(5)]
    assert sum(received) == 100
    await books_hold(pools[0], lin)


async def test_one_key_from_many_writers_is_one_transfer(pools: list[Database], unique: str) -> None:
    lin, sun = f"{unique}-lin", f"{unique}-sun"
    await give(pools[0], lin, 1_000, now=NOON)
    gift = Gift(lin, sun, 10, f"key-{unique}")

    async def one(number: int) -> str:
        async with pools[number % 4].write() as session:
            return (await transfer(session, replace(gift), zone=ZONE, now=NOON)).id

    assert len(set(await asyncio.gather(*(one(number) for number in range(20))))) == 1
    async with pools[0].read() as session:
        counted = select(func.count(col(PointsTransfer.id))).where(PointsTransfer.sender_id == lin)
        assert (await session.exec(counted)).one() == 1
    assert await standing(pools[0], sun) == (10, 0, 0)
