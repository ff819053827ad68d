"""Coalescing: who asks at once is answered by one look-up, and nobody by one that had begun before they asked."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from core.coalescing import AT_ONCE, Coalesced

pytestmark = pytest.mark.anyio


async def test_those_of_one_moment_are_looked_up_together_and_each_is_told_their_own() -> None:
    """Given a hundred who ask in one turn of the loop, some by the same key; then there is one look-up of each key, and
    who is nobody is told so."""
    looks: list[Sequence[int]] = []

    async def look_up(keys: Sequence[int]) -> dict[int, str]:
        looks.append(keys)
        return {key: f"found {key}" for key in keys if key}

    coalesced = Coalesced(look_up)
    answers = await asyncio.gather(*(coalesced.ask(number % 10) for number in range(100)))
    assert answers == [f"found {number % 10}" if number % 10 else None for number in range(100)]
    assert looks == [list(range(10))]


WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


async def test_a_look_up_is_nobody_s_in_particular() -> None:
    """Given somebody who asks within an operation of theirs; then the look-up that others join knows nothing of it."""

    async def look_up(keys: Sequence[int]) -> dict[int, str]:
        return dict.fromkeys(keys, WHOSE.get())

    coalesced = Coalesced(look_up)
    WHOSE.set("lin's")
    assert await asyncio.gather(coalesced.ask(1), coalesced.ask(2)) == ["nobody's", "nobody's"]


async def test_nobody_is_told_what_was_there_before_they_asked() -> None:
    """Given a look-up that has read and not answered yet; when the value changes and somebody asks for it; then they
    are told the new one, though the earlier look-up answers after they asked."""
    value, held = "old", asyncio.Event()

    async def look_up(keys: Sequence[str]) -> dict[str, str]:
        seen = value
        await held.wait()
        return dict.fromkeys(keys, seen)

    coalesced = Coalesced(look_up)
    before = coalesced.ask("key")
    await asyncio.sleep(0.01)
    value = "new"
    after = coalesced.ask("key")
    await asyncio.sleep(0.01)
    held.set()
    assert (await before, await after) == ("old", "new")


async def test_so_many_are_under_way_and_the_others_go_with_the_next() -> None:
    """Given more askers one after the other than may be under way; then those beyond are one look-up once one ends."""
    under_way, most, looks = 0, 0, 0

    async def look_up(keys: Sequence[int]) -> dict[int, int]:
        nonlocal under_way, most, looks
        under_way, looks = under_way + 1, looks + 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return {key: key for key in keys}

    coalesced = Coalesced(look_up)
    asked: list[asyncio.Future[int | None]] = []
    for number in range(12):
        asked.append(coalesced.ask(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert await asyncio.gather(*asked) == list(range(12))
    assert (most, looks) == (AT_ONCE, AT_ONCE + 1)


async def test_a_failure_is_told_to_its_own_askers_and_one_who_left_does_no_harm() -> None:
    """Given a look-up that fails, of whose askers one has left; then the other is told, and the next is answered."""
    fails = True

    async def look_up(keys: Sequence[str]) -> dict[str, str]:
        await asyncio.sleep(0)
        if fails:
            raise ValueError("away")
        return dict.fromkeys(keys, "there")

    coalesced = Coalesced(look_up)
    leaving, staying = coalesced.ask("key"), coalesced.ask("key")
    leaving.cancel()
    with pytest.raises(ValueError, match="away"):
        await staying
    fails = False
    assert await coalesced.ask("key") == "there"
