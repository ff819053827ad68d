"""The index beside the embedded engine, on both SQL engines, against sets in memory."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlmodel import col, func, select

from community.search_keys import LAST_PLACE
from community.search_sql import Condition, Entry, SearchDocument, find_entries, lock_index, write_entries
from core.db import Database
from core.ids import new_id

pytestmark = pytest.mark.anyio

WORDS = ["摄影", "影", "活动", "wine", "don't", "3.5", "photo", "茶"]
KEYS = ["red", "blue", "green"]


def random_entry(dice: random.Random, world: str) -> Entry:
    return Entry(
        new_id(),
        dice.randrange(1_000_000),
        title=frozenset(dice.sample(WORDS, 2)),
        words=frozenset(dice.sample(WORDS, 3)),
        keys=frozenset({world, *dice.sample(KEYS, 1)}),
        is_open=dice.random() < 0.8,
    )


def meets(entry: Entry, condition: Condition) -> bool:
    """The plain model of a condition."""
    words = set(condition.words)
    if (
        entry.place is None
        or entry.is_open != condition.is_open
        or not condition.after < entry.place < condition.before
    ):
        return False
    if not all(entry.keys & set(group) for group in condition.keys):
        return False
    if condition.in_title is None:
        return words <= entry.title | entry.words
    return (
        words <= entry.title if condition.in_title else words <= entry.title | entry.words and not words <= entry.title
    )


async def find(database: Database, conditions: Sequence[Condition], limit: int = 1_000) -> list[tuple[int, int, str]]:
    found = await find_entries(database, conditions, limit=limit)
    return sorted((each.number, place, node_id) for each in found for place, node_id in each.found)


async def write(database: Database, entries: Sequence[Entry]) -> None:
    async with database.write() as session:
        await lock_index(session)
        await write_entries(session, "Event", entries)


async def test_conditions_are_met_as_sets_say(database: Database, unique: str) -> None:
    """Given 200 random entries, when random conditions are asked, then those and only those come, in order."""
    dice, world = random.Random(4), "w" + unique.replace("-", "")
    entries = [random_entry(dice, world) for _ in range(200)]
    await write(database, entries)
    for _ in range(60):
        after, before = sorted(dice.sample(range(-1, 1_000_001), 2))
        condition = Condition(
            number=0,
            label="Event",
            is_open=True,
            words=dice.sample(WORDS, dice.choice([1, 1, 2, 3])),
            in_title=dice.choice([None, True, False]),
            keys=[[world], *dice.choice([[], [["red", "blue"]], [["green"]]])],
            after=after,
            before=before,
        )
        expected = sorted((0, e.place, e.node_id) for e in entries if meets(e, condition) and e.place is not None)
        assert await find(database, [condition]) == expected
        assert await find(database, [condition], limit=3) == expected[:3]
        pair = [condition, replace(condition, number=1, words=[], in_title=None)]
        assert (await find(database, pair))[: len(expected)] == expected


async def test_what_changed_is_found_by_what_it_is_now(database: Database, unique: str) -> None:
    world = "w" + unique.replace("-", "")
    entry = Entry(new_id(), 7_000_000, frozenset({"photo"}), frozenset({"茶"}), frozenset({world}))
    asked = Condition(0, "Event", True, ["photo"], None, [[world]], -1, LAST_PLACE)
    await write(database, [entry])
    assert [row[2] for row in await find(database, [asked])] == [entry.node_id]
    await write(database, [replace(entry, title=frozenset({"wine"}))])
    assert await find(database, [asked]) == []
    assert [row[2] for row in await find(database, [replace(asked, words=["wine"])])] == [entry.node_id]
    await write(database, [Entry(entry.node_id, None)])
    assert await find(database, [replace(asked, words=[])]) == []


async def test_things_that_want_one_place_stand_behind_each_other(database: Database, unique: str) -> None:
    """Given ten entries of one place, in two portions, when they are written again, then each is there once."""
    world = "w" + unique.replace("-", "")
    entries = [Entry(new_id(), 8_000_000, words=frozenset({"茶"}), keys=frozenset({world})) for _ in range(10)]
    for part in (entries[:5], entries[5:], entries[2:7]):
        await write(database, part)
    found = await find(database, [Condition(0, "Event", True, ["茶"], None, [[world]], -1, LAST_PLACE)])
    assert sorted(row[2] for row in found) == sorted(entry.node_id for entry in entries)
    assert len({row[1] for row in found}) == 10
    async with database.read() as session:
        mine = col(SearchDocument.node_id).in_([entry.node_id for entry in entries])
        assert (await session.exec(select(func.count()).select_from(SearchDocument).where(mine))).one() == 10
