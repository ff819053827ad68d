"""Going on with notices after a cursor: each is told once, whatever the order in which they are committed."""

import random
from datetime import datetime, timedelta

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from service.notifications import Notification
from service.told_notifications import MOST_NAMED, OVERLAP, Told, beginning, untold_notifications

pytestmark = pytest.mark.anyio

NOW = utc_now()


async def insert(database: Database, customer_id: str, *stamps: datetime) -> list[str]:
    ids = [new_id() for _ in stamps]
    async with database.write() as session:
        for one, at in zip(ids, stamps, strict=True):
            session.add(Notification(id=one, customer_id=customer_id, kind="INVITED", data={}, created_at=at))
    return ids


async def tell_all(database: Database, told: Told) -> list[str]:
    """All that is still to be told, in the order in which it is."""
    ids: list[str] = []
    while True:
        async with database.read() as session:
            rows = await untold_notifications(session, told)
        if not rows:
            return ids
        for row in rows:
            told.add(row)
            ids.append(row.id)


@pytest.mark.parametrize("seed", range(4))
async def test_each_is_told_once_to_who_comes_and_goes(database: Database, unique: str, seed: int) -> None:
    """Given notices committed up to a minute after their stamps, when somebody comes back again and again, by the
    cursor of any message and having lost those after it, then they are told each once, and nothing is missing."""
    dice = random.Random(seed)
    old = await insert(database, unique, *(NOW - timedelta(seconds=dice.randrange(90)) for _ in range(5)))
    told = beginning(unique, now=NOW)
    await tell_all(database, told)
    written: list[str] = []
    seen: list[str] = []
    for second in range(0, 400, 10):
        stamps = [NOW + timedelta(seconds=second - dice.randrange(50)) for _ in range(dice.randrange(4))]
        written += await insert(database, unique, *stamps)
        cursors = [(len(seen), told.cursor())]
        async with database.read() as session:
            rows = await untold_notifications(session, told)
        for row in rows:
            told.add(row)
            seen.append(row.id)
            cursors.append((len(seen), told.cursor()))
        count, cursor = dice.choice(cursors)
        del seen[count:]
        told = Told.at(cursor, unique, now=NOW)
    seen += await tell_all(database, told)
    assert len(seen) == len(set(seen))
    assert set(seen) == set(written)
    assert not set(old) & set(seen)


async def test_a_burst_is_told_once_with_a_cursor_that_stays_short(database: Database, unique: str) -> None:
    """Given far more in a minute than a cursor names, many of one instant, then each is told once all the same."""
    stamps = [NOW + timedelta(milliseconds=10 * number) for number in range(3 * MOST_NAMED)]
    ids = await insert(database, unique, *stamps, *[NOW + timedelta(seconds=4)] * (2 * MOST_NAMED))
    told = beginning(unique, now=NOW)
    seen: list[str] = []
    while True:
        async with database.read() as session:
            rows = await untold_notifications(session, told)
        if not rows:
            break
        for row in rows[:37]:
            told.add(row)
            seen.append(row.id)
        assert len(told.named) <= 3 * MOST_NAMED + 1
        told = Told.at(told.cursor(), unique, now=NOW)
    assert sorted(seen) == sorted(ids)
    assert told.since > NOW - OVERLAP
