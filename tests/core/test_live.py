"""The bell: heard by every listener, bounded, and heard again after Redis was away."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.errors import Unavailable
from core.history import KEPT_HINTS, KEPT_PREFIX, LOST, PREFIX, CursorExpired, CursorInvalid, Hint, cursor_of
from core.live import MOST_HINTS, Bell, Heard, Listener, latest
from core.processes import free_port, stop
from core.redis_server import redis_answers, start_redis
from core.redis_server import redis_url as url_of_redis

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bell(redis_url: str) -> AsyncGenerator[Bell, None]:
    redis = Redis.from_url(redis_url)
    # What was rung within a Redis's first seconds is not told from what it lost before.
    while (await redis.info("server"))["uptime_in_seconds"] < 3:  # noqa: ASYNC110 - Redis has no event to wait for
        await asyncio.sleep(0.2)
    found = Bell(redis)
    yield found
    await found.close()
    await redis.aclose()


async def hints(listener: Listener) -> list[Hint]:
    """What a listener takes next."""
    return [heard.hint for heard in await asyncio.wait_for(listener.take(), 15)]


async def test_what_is_rung_is_heard_by_all_who_listen_and_by_nobody_else(bell: Bell, unique: str) -> None:
    async with bell.listen(f"event:{unique}") as one, bell.listen(f"event:{unique}") as two:
        async with bell.listen(f"community:{unique}") as other:
            await bell.ring(f"event:{unique}", {"customer_id": "1"})
            await bell.ring(f"community:{unique}", {"kind": "POST"})
            assert await hints(one) == [{"customer_id": "1"}]
            assert await hints(two) == [{"customer_id": "1"}]
            assert await hints(other) == [{"kind": "POST"}]
        assert bell.listeners(f"community:{unique}") == 0
        assert bell.listeners(f"event:{unique}") == 2


async def test_a_channel_left_and_joined_again_at_once_is_heard(bell: Bell, unique: str) -> None:
    for number in range(20):
        async with bell.listen(unique) as listener:
            await bell.ring(unique, {"number": number})
            assert await hints(listener) == [{"number": number}]


async def test_a_slow_listener_keeps_little_and_reads_the_rest_from_the_history(bell: Bell, unique: str) -> None:
    """Given one who does not take, when more is rung than they may keep, then they get all, in order, each once."""
    async with bell.listen(unique) as slow, bell.listen(unique) as quick:
        for number in range(MOST_HINTS + 10):
            await bell.ring(unique, {"number": number})
            assert await hints(quick) == [{"number": number}]
        first = await hints(slow)
        assert [hint["number"] for hint in first] == list(range(MOST_HINTS))
        assert [hint["number"] for hint in await hints(slow)] == list(range(MOST_HINTS, MOST_HINTS + 10))
        await bell.ring(unique, {"number": -1})
        assert await hints(slow) == [{"number": -1}]


async def test_who_falls_behind_further_than_the_history_is_told_that_something_is_missing(
    bell: Bell, unique: str
) -> None:
    async with bell.listen(unique) as slow:
        for number in range(MOST_HINTS + 1):
            await bell.ring(unique, {"number": number})
        await asyncio.sleep(0.2)
        assert len(await hints(slow)) == MOST_HINTS
        await bell.redis.delete(KEPT_PREFIX + unique)
        assert await hints(slow) == [{}]
        await bell.ring(unique, {"number": -1})
        assert await hints(slow) == [{"number": -1}]


async def test_who_comes_back_to_any_process_gets_what_they_missed_once_and_in_order(
    bell: Bell, redis_url: str, unique: str
) -> None:
    """Given two processes, when a listener of one comes back to the other while it goes on ringing, nothing is lost."""
    redis = Redis.from_url(redis_url)
    other = Bell(redis)
    try:
        async with bell.listen(unique) as listener:
            await bell.ring(unique, {"number": 0})
            (first,) = await listener.take()
            cursor = listener.cursor(first)
        for number in range(1, 200):
            await bell.ring(unique, {"number": number})

        async def go_on() -> None:
            for number in range(200, 400):
                await bell.ring(unique, {"number": number})

        async with other.listen(unique, cursor) as listener, asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on())
            heard: list[int] = []
            while len(heard) < 399:
                heard += [hint["number"] for hint in await hints(listener)]
            assert heard == list(range(1, 400))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(listener.take(), 0.2)
    finally:
        await other.close()
        await redis.aclose()


async def test_a_cursor_that_is_too_old_or_of_something_else_says_so(bell: Bell, unique: str) -> None:
    """Given cursors from before the history, of another channel, and of nothing; then each has its error."""
    async with bell.listen(unique) as listener:
        await bell.ring(unique, {"number": 0})
        (first,) = await listener.take()
        cursor = listener.cursor(first)
    assert cursor is not None
    for wrong in ("", "nonsense", "bm8", cursor[:-4], cursor_of(f"{unique}1", first.id), cursor_of(unique, "1-x")):
        with pytest.raises(CursorInvalid):
            async with bell.listen(unique, wrong):
                raise AssertionError
    # No entry was ever there, at a time of which the history knows.
    later = f"{int(str(first.id).split('-')[0]) + 1}-0"
    async with bell.listen(unique, cursor_of(unique, later)) as listener:
        with pytest.raises(CursorExpired):
            await listener.take()
    for number in range(KEPT_HINTS + 200):
        await bell.ring(unique, {"number": number})
    assert await bell.redis.xlen(KEPT_PREFIX + unique) <= KEPT_HINTS + 100
    assert 0 < await bell.redis.ttl(KEPT_PREFIX + unique) <= 3_600
    async with bell.listen(unique, cursor) as listener:
        with pytest.raises(CursorExpired):
            await listener.take()


async def test_nobody_goes_on_from_before_a_hint_that_could_not_be_rung(bell: Bell, unique: str) -> None:
    """Given a cursor, when another process could not ring and then can; then something is missing."""
    unlucky = Bell(bell.redis)
    async with bell.listen(unique) as listener:
        await bell.ring(unique, {"number": 0})
        (first,) = await listener.take()
        cursor = listener.cursor(first)
    try:
        # A thing of another kind stands where the history was to be.
        await bell.redis.set(KEPT_PREFIX + f"{unique}-broken", "text")
        await unlucky.ring(f"{unique}-broken", {"lost": True})
        await asyncio.sleep(0.6)
        await unlucky.ring(unique, {"number": 1})
        async with bell.listen(unique, cursor) as listener:
            with pytest.raises(CursorExpired):
                await listener.take()
    finally:
        await bell.redis.delete(LOST)
    async with bell.listen(unique, cursor) as listener:
        assert await hints(listener) == [{"number": 1}]


async def test_what_sql_keeps_is_not_kept_twice(bell: Bell, unique: str) -> None:
    async with bell.listen(f"customer:{unique}") as listener:
        await bell.ring(f"customer:{unique}", {"kind": "INVITED"})
        assert await listener.take() == [Heard({"kind": "INVITED"}, None)]
    assert not await bell.redis.exists(KEPT_PREFIX + f"customer:{unique}")
    assert PREFIX != KEPT_PREFIX


def test_hints_that_say_the_same_are_one_at_the_place_of_the_last() -> None:
    heard = [Heard({"a": number % 2, "n": number}, f"{number}-0") for number in range(5)]
    assert [one.id for one in latest(heard, lambda hint: hint["a"])] == ["3-0", "4-0"]


async def test_after_redis_was_away_listeners_are_told_that_they_may_have_missed_something(tmp_path: Path) -> None:
    """Given a listener, when Redis is killed and started again, then an empty hint comes, and then what is rung."""
    port = free_port()
    server = start_redis(tmp_path / "redis", port=port, log=tmp_path / "redis.log")
    await redis_answers(url := url_of_redis(tmp_path / "redis", port))
    redis = Redis.from_url(url)
    bell = Bell(redis)
    try:
        async with bell.listen("event:1") as listener:
            stop(server, patience=0)
            await bell.ring("event:1", {"lost": True})
            with pytest.raises(Unavailable):
                async with bell.listen("event:1", cursor_of("event:1", "1-0")) as back:
                    await back.take()
            async with bell.listen("event:2") as newcomer:
                server = start_redis(tmp_path / "redis", port=port, log=tmp_path / "redis.log")
                await redis_answers(url)
                assert await hints(listener) == [{}]
                assert await hints(newcomer) == [{}]
                await bell.ring("event:1", {"customer_id": "1"})
                assert await hints(listener) == [{"customer_id": "1"}]
    finally:
        await bell.close()
        await redis.aclose()
        stop(server, patience=3)
