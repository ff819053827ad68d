"""Data loaders: what is asked for in one turn is loaded once, kept, and stopped when nobody waits for it."""

import asyncio
from collections.abc import Sequence

import pytest

from api.loading import DataLoader

pytestmark = pytest.mark.anyio


class Shelf:
    """Doubles numbers; the negative ones are errors. It notes what it was asked for and whether it was stopped."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked: list[list[int]] = []
        self.is_stopped = False
        self.seconds = seconds

    async def __call__(self, keys: list[int]) -> Sequence[int]:
        self.asked.append(keys)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.is_stopped = True
            raise
        return [2 * key if key >= 0 else ValueError(key) for key in keys]  # pyright: ignore[reportReturnType] - as loaders may


async def test_keys_of_one_turn_are_loaded_together_once() -> None:
    """Given many that ask for some keys in one turn and again later; then each key is loaded once."""
    shelf = Shelf()
    loader = DataLoader(shelf)
    one, many = await asyncio.gather(loader.load(3), loader.load_many([1, 2, 3, 1]))
    assert (one, many) == (6, [2, 4, 6, 2])
    assert await loader.load_many([2, 5]) == [4, 10]
    assert shelf.asked == [[3, 1, 2], [5]]


async def test_no_more_are_asked_for_at_a_time_than_is_said() -> None:
    shelf = Shelf()
    assert await DataLoader(shelf, max_batch_size=2).load_many(range(5)) == [0, 2, 4, 6, 8]
    assert shelf.asked == [[0, 1], [2, 3], [4]]


async def test_what_was_read_otherwise_is_not_loaded() -> None:
    """Given values that are primed, one of a key that was asked for before; then that one comes as it was asked for."""
    shelf = Shelf()
    loader = DataLoader(shelf)
    asked = loader.load(1)
    loader.prime_many({1: 100, 2: 200})
    assert (await asked, await loader.load(1), await loader.load(2)) == (2, 2, 200)
    assert shelf.asked == [[1]]


async def test_a_key_that_fails_fails_alone_and_a_load_that_fails_fails_for_all() -> None:
    shelf = Shelf()
    loader = DataLoader(shelf)
    found = await asyncio.gather(*(loader.load(key) for key in (1, -1, 2)), return_exceptions=True)
    assert [found[0], found[2]] == [2, 4] and isinstance(found[1], ValueError)

    async def away(keys: list[int]) -> Sequence[int]:
        raise OSError(len(keys))

    with pytest.raises(OSError, match="2"):
        await DataLoader(away).load_many([1, 2])


async def test_whoever_leaves_takes_nobody_along_and_the_last_one_stops_it() -> None:
    """Given three who wait for two keys; when they leave one after the other; then the load goes on until the last has
    left, and who comes afterwards has it loaded anew."""
    shelf = Shelf(5.0)
    loader = DataLoader(shelf)
    waiting = [asyncio.ensure_future(loader.load_many([key])) for key in (1, 2)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0.01)
    assert not shelf.is_stopped
    waiting[1].cancel()
    await asyncio.sleep(0.01)
    assert shelf.is_stopped
    shelf.seconds = 0.0
    assert await loader.load(1) == 2
    assert shelf.asked == [[1, 2], [1]]
