"""Wrong guesses: exactly so many as the limit says, however many come at once; without Redis nobody is kept out."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis

from core.processes import free_port
from core.rate import PREFIX, Guesses, Limit, TooManyGuesses

pytestmark = pytest.mark.anyio


class Wrong(Exception):
    pass


@pytest.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis, None]:
    found: Redis = Redis.from_url(redis_url)
    yield found
    await found.aclose()


async def guess(guesses: Guesses, limit: Limit, who: str, *, right: bool = False) -> str:
    try:
        async with guesses.allowed(limit, who, wrong=Wrong):
            await asyncio.sleep(0)
            if not right:
                raise Wrong
    except Wrong:
        return "WRONG"
    except TooManyGuesses as refusal:
        return refusal.code
    return "RIGHT"


async def test_of_two_hundred_at_once_exactly_the_limit_is_told(redis: Redis, unique: str) -> None:
    """Given a limit of 25, when 200 wrong guesses come at once, then 25 are told."""
    limit = Limit("test", 25, 60)
    told = await asyncio.gather(*(guess(Guesses(redis), limit, unique) for _ in range(200)))
    assert Counter(told) == {"WRONG": 25, TooManyGuesses.code: 175}
    assert await guess(Guesses(redis), limit, unique, right=True) == TooManyGuesses.code
    assert await guess(Guesses(redis), limit, f"{unique}-other", right=True) == "RIGHT"


async def test_right_guesses_never_count(redis: Redis, unique: str) -> None:
    limit = Limit("test", 2, 60)
    guesses = Guesses(redis)
    assert await guess(guesses, limit, unique) == "WRONG"
    told = await asyncio.gather(*(guess(guesses, limit, unique, right=True) for _ in range(50)))
    assert set(told) == {"RIGHT"}
    assert await guess(guesses, limit, unique) == "WRONG"
    assert await guess(guesses, limit, unique) == TooManyGuesses.code


async def test_what_is_right_but_comes_too_late_is_not_told(redis: Redis, unique: str) -> None:
    """Given a right guess under way, when wrong ones reach the limit before it ends, then it learns nothing."""
    limit = Limit("test", 3, 60)
    guesses = Guesses(redis)
    with pytest.raises(TooManyGuesses):
        async with guesses.allowed(limit, unique, wrong=Wrong):
            for _ in range(3):
                assert await guess(guesses, limit, unique) == "WRONG"


async def test_the_span_ends_and_a_blocked_guess_does_not_lengthen_it(redis: Redis, unique: str) -> None:
    limit = Limit("test", 1, 1.0)
    guesses = Guesses(redis)
    assert await guess(guesses, limit, unique) == "WRONG"
    with pytest.raises(TooManyGuesses) as refusal:
        async with guesses.allowed(limit, unique, wrong=Wrong):
            pass
    assert refusal.value.seconds == 1
    for _ in range(5):
        await asyncio.sleep(0.1)
        await guess(guesses, limit, unique)
    left = await redis.pttl(f"{PREFIX}test:{unique}")
    assert left <= 500
    await asyncio.sleep(max(left, 0) / 1000 + 0.05)
    assert await guess(guesses, limit, unique, right=True) == "RIGHT"


async def test_without_redis_everybody_may_guess(unique: str) -> None:
    away: Redis = Redis.from_url(f"redis://127.0.0.1:{free_port()}")
    limit = Limit("test", 1, 60)
    told = [await guess(Guesses(away), limit, unique, right=right) for right in (False, False, False, True)]
    await away.aclose()
    assert told == ["WRONG", "WRONG", "WRONG", "RIGHT"]
