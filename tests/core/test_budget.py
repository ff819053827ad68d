"""Budgets: many processes together never give out more than there is; without Redis everybody is served."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from redis.asyncio import Redis

from core.budget import PORTION, PREFIX, WINDOW_SECONDS, Budget, Left, RateLimited
from core.processes import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis, None]:
    found: Redis = Redis.from_url(redis_url)
    yield found
    await found.aclose()


async def spend(budget: Budget, who: str, units: int) -> int:
    """How much was given."""
    try:
        await budget.spend(who, units)
    except RateLimited as error:
        assert 1 <= error.seconds <= WINDOW_SECONDS
        return 0
    return units


@pytest.mark.parametrize("units", [1, 3, 50])
async def test_many_processes_together_give_what_there_is(redis: Redis, unique: str, units: int) -> None:
    """Given a budget of 1,000 and four processes; when 2,000 ask at once; then no more is given, and nearly all is."""
    most = 1_000
    processes = [Budget(redis, most) for _ in range(4)]
    given = await asyncio.gather(*(spend(processes[n % 4], unique, units) for n in range(2_000)))
    assert sum(given) <= most
    # What a process holds and cannot spend is less than a portion and one request.
    assert sum(given) > most - 4 * (most * PORTION + units)
    assert await spend(Budget(redis, most), unique, most) == 0
    assert await spend(Budget(redis, most), f"{unique}-other", most) == most


async def test_most_requests_do_not_ask_redis(redis: Redis, unique: str) -> None:
    """Given a budget of 10,000; when it is spent one by one; then Redis is asked less than thirty times."""
    budget = Budget(redis, 10_000)
    asked = 0
    borrow = budget._borrow  # pyright: ignore[reportPrivateUsage] - counted

    async def counted(**given: Any) -> Any:
        nonlocal asked
        asked += 1
        return await borrow(**given)

    budget._borrow = counted  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    for number in range(10_000):
        left = await budget.spend(unique, 1)
        assert left.units == 9_999 - number
        assert 0 < left.seconds <= WINDOW_SECONDS
    assert asked < 30
    assert await spend(budget, unique, 1) == 0


async def test_who_asks_little_of_many_processes_keeps_their_budget(redis: Redis, unique: str) -> None:
    """Given a hundred processes; when each is asked once; then nine tenths of the budget are still there."""
    for _ in range(100):
        assert await spend(Budget(redis, 100_000), unique, 1) == 1
    assert await spend(Budget(redis, 100_000), unique, 90_000) == 90_000


async def test_the_next_minute_begins_anew(redis: Redis, unique: str) -> None:
    """Given a spent budget; when its minute is over in Redis and here; then all of it is there again."""
    ahead = 0.0
    budget = Budget(redis, 100, now=lambda: asyncio.get_running_loop().time() + ahead)
    assert await spend(budget, unique, 100) == 100
    assert await spend(budget, unique, 1) == 0
    await redis.delete(PREFIX + unique)
    ahead = WINDOW_SECONDS + 1
    assert await budget.spend(unique, 40) == Left(60, int(WINDOW_SECONDS))


async def test_a_budget_ends_by_itself(redis: Redis, unique: str) -> None:
    await Budget(redis, 100).spend(unique, 1)
    assert 0 < await redis.pttl(PREFIX + unique) <= WINDOW_SECONDS * 1000


async def test_what_is_dearer_than_the_budget_takes_nothing(redis: Redis, unique: str) -> None:
    budget = Budget(redis, 100)
    assert await spend(budget, unique, 101) == 0
    assert await spend(budget, unique, 100) == 100


async def test_without_redis_everybody_is_served() -> None:
    """Given a Redis that is away, and one that does not answer; then nothing is counted, and nobody waits twice."""
    for listens in (False, True):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0 if listens else free_port()))
            if listens:
                silent.listen()
            lost: Redis = Redis.from_url(f"redis://127.0.0.1:{silent.getsockname()[1]}")
            budget = Budget(lost, 10)
            assert [await spend(budget, "a", 9) for _ in range(50)] == [9] * 50
            await lost.aclose()
