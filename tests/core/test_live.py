"""The bell: heard by every listener, bounded, and heard again after Redis was away."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.live import MOST_HINTS, Bell
from core.processes import free_port, stop
from core.redis_server import redis_answers, start_redis
from core.redis_server import redis_url as url_of_redis

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bell(redis_url: str) -> AsyncGenerator[Bell, None]:
    redis = Redis.from_url(redis_url)
    found = Bell(redis)
    yield found
    await found.close()
    await redis.aclose()


async def test_what_is_rung_is_heard_by_all_who_listen_and_by_nobody_else(bell: Bell, unique: str) -> None:
    async with bell.listen(f"event:{unique}") as one, bell.listen(f"event:{unique}") as two:
        async with bell.listen(f"community:{unique}") as other:
            await bell.ring(f"event:{unique}", {"customer_id": "1"})
            await bell.ring(f"community:{unique}", {"kind": "POST"})
            assert await asyncio.wait_for(one.take(), 5) == [{"customer_id": "1"}]
            assert await asyncio.wait_for(two.take(), 5) == [{"customer_id": "1"}]
            assert await asyncio.wait_for(other.take(), 5) == [{"kind": "POST"}]
        assert bell.listeners(f"community:{unique}") == 0
        assert bell.listeners(f"event:{unique}") == 2


async def test_a_channel_left_and_joined_again_at_once_is_heard(bell: Bell, unique: str) -> None:
    for number in range(20):
        async with bell.listen(unique) as listener:
            await bell.ring(unique, {"number": number})
            assert await asyncio.wait_for(listener.take(), 5) == [{"number": number}]


async def test_a_slow_listener_loses_the_oldest_hints(bell: Bell, unique: str) -> None:
    async with bell.listen(unique) as slow, bell.listen(unique) as quick:
        for number in range(MOST_HINTS + 10):
            await bell.ring(unique, {"number": number})
            assert await asyncio.wait_for(quick.take(), 5) == [{"number": number}]
        assert [hint["number"] for hint in await slow.take()] == list(range(10, MOST_HINTS + 10))


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
            async with bell.listen("event:2") as newcomer:
                server = start_redis(tmp_path / "redis", port=port, log=tmp_path / "redis.log")
                await redis_answers(url)
                assert await asyncio.wait_for(listener.take(), 15) == [{}]
                assert await asyncio.wait_for(newcomer.take(), 15) == [{}]
                await bell.ring("event:1", {"customer_id": "1"})
                assert await asyncio.wait_for(listener.take(), 5) == [{"customer_id": "1"}]
    finally:
        await bell.close()
        await redis.aclose()
        stop(server, patience=3)
