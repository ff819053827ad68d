"""Pages of notices in both directions: whatever is inserted meanwhile, what was there is seen once and in order."""

import random
from datetime import timedelta

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.paging import Before, Page, PageInvalid, Place, encode_cursor, window
from service.notifications import Notification, notifications_of

pytestmark = pytest.mark.anyio

NOW = utc_now()


async def insert(database: Database, customer_id: str, dice: random.Random, count: int) -> list[str]:
    """Notices at instants of which some are equal; their ids."""
    ids = [new_id() for _ in range(count)]
    async with database.write() as session:
        for one in ids:
            at = NOW - timedelta(seconds=dice.randrange(8))
            session.add(Notification(id=one, customer_id=customer_id, kind="DIGEST", data={}, created_at=at))
    return ids


async def read(database: Database, customer_id: str, size: int, place: Place) -> Page[Notification]:
    async with database.read() as session:
        return await notifications_of(session, customer_id, unread_only=False, first=size, after=place)


@pytest.mark.parametrize("seed", range(6))
async def test_inserts_move_nothing_in_either_direction(database: Database, unique: str, seed: int) -> None:
    """Given notices, when others come between pages, then each of the first is seen once and in order, both ways."""
    dice = random.Random(seed)
    there = set(await insert(database, unique, dice, 14))
    for backward in (False, True):
        seen: list[tuple[str, str]] = []
        place: Place = Before() if backward else None
        while True:
            page = await read(database, unique, dice.randint(1, 5), place)
            rows = [(row.created_at.isoformat(), row.id) for row in page.rows]
            assert rows == sorted(rows, reverse=True)
            seen = [*rows, *seen] if backward else [*seen, *rows]
            if not (page.has_previous if backward else page.has_next):
                break
            place = Before(page.cursors[0]) if backward else page.cursors[-1]
            await insert(database, unique, dice, dice.randint(0, 3))
        assert seen == sorted(set(seen), reverse=True)
        assert there <= {id for _, id in seen}


async def test_a_page_back_is_the_page_that_one_came_from(database: Database, unique: str) -> None:
    """Given two pages forwards, when one goes back from the second, then it is the first, and says what lies beside."""
    await insert(database, unique, random.Random(7), 9)
    first = await read(database, unique, 4, None)
    second = await read(database, unique, 4, first.cursors[-1])
    back = await read(database, unique, 4, Before(second.cursors[0]))
    assert (back.rows, back.cursors) == (first.rows, first.cursors)
    assert (back.has_previous, back.has_next) == (False, True)
    end = await read(database, unique, 2, Before())
    assert (end.has_previous, end.has_next) == (True, False)
    assert end.rows == (await read(database, unique, 9, None)).rows[-2:]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((1, None, 1, None), "last"),
        ((None, "x", None, "y"), "before"),
        ((None, None, 0, None), "last"),
        ((None, None, 101, None), "last"),
    ],
)
def test_a_page_of_both_directions_is_refused(
    arguments: tuple[int | None, str | None, int | None, str | None], path: str
) -> None:
    with pytest.raises(PageInvalid) as refused:
        window(*arguments)
    assert refused.value.path == (path,)


async def test_what_is_no_cursor_is_refused_by_its_own_argument(database: Database, unique: str) -> None:
    for cursor in ("", "nonsense", encode_cursor(["yesterday", "x"]), encode_cursor([1, 2])):
        with pytest.raises(PageInvalid) as refused:
            await read(database, unique, 1, Before(cursor))
        assert refused.value.path == ("before",)
