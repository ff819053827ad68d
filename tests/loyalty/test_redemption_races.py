"""Redemptions and their ends all at once: one wins, limits hold, points and stock add up."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database, Session
from core.ids import new_id
from loyalty.catalogue import Reward, RewardKind
from loyalty.catalogue_changes import lock_reward, restock_reward, update_reward
from loyalty.redemption_records import COUNTED, Redemption
from tests.loyalty.accounts import books_hold, give, make_reward, standing
from tests.loyalty.redeeming import (
    answer,
    cancel,
    customer,
    expire,
    fail,
    fulfil,
    redemption_at,
    refunds_of,
    stock_of,
    try_redeem,
)

pytestmark = pytest.mark.anyio


async def test_fail_cancel_fulfil_and_expire_at_once_and_one_of_them_wins(pools: list[Database], unique: str) -> None:
    """Given ten reservations at their time limit, when each is ended in four ways three times at once, one counts."""
    now = utc_now()
    limit = now + timedelta(minutes=1)
    reward = await make_reward(pools[0], kind=RewardKind.PARTNER, stock=10, time_limit_minutes=1)
    await give(pools[0], unique, 1000)
    redemptions = [await try_redeem(pools[0], unique, reward, now=now) for _ in range(10)]
    before = limit - timedelta(seconds=1)
    acts: list[Awaitable[str]] = []
    for number, one in enumerate(redemptions):
        for turn in range(3):
            pool = [pools[(number + turn + n) % 4] for n in range(4)]
            acts += [
                fail(pool[0], one, now=before),
                cancel(pool[1], one, customer(unique), now=before),
                fulfil(pool[2], one, now=before),
                expire(pool[3], one, now=limit),
            ]
    answers = await asyncio.gather(*(acts[place] for place in shuffled(len(acts))))
    by_place = dict(zip(shuffled(len(acts)), answers, strict=True))
    ends = [(await redemption_at(pools[0], one)).status for one in redemptions]
    for number, end in enumerate(ends):
        told = Counter(by_place[number * 12 + n] for n in range(12))
        assert told[end] == (1 if end == "EXPIRED" else 3), (end, told)
        assert set(told) <= {end, "NOTHING", "REDEMPTION_CLOSED", "RESERVATION_EXPIRED"}
    given_back = [one for one, end in zip(redemptions, ends, strict=True) if end != "FULFILLED"]
    assert await refunds_of(pools[0], redemptions) == sorted(given_back)
    assert await standing(pools[0], unique) == (100 * len(given_back), 0, 0)
    assert await stock_of(pools[0], reward) == len(given_back)
    await books_hold(pools[0], unique)


def shuffled(count: int) -> list[int]:
    """The numbers in an order that mixes them, always the same; 7 has no factor in common with the count."""
    return [(7 * number) % count for number in range(count)]


async def test_the_limits_hold_for_many_writers_of_one_customer(pools: list[Database], unique: str) -> None:
    """Given two per week and five ever, when sixteen are redeemed at once in three weeks, then 2, 2 and 1 are."""
    reward = await make_reward(
        pools[0], stock=100, limit_per_customer=5, limit_per_period=2, period_days=7, valid_from=utc_now() - MONTH
    )
    await give(pools[0], unique, 5000, now=utc_now() - MONTH)
    start = utc_now() - MONTH + timedelta(hours=1)
    found: list[Counter[str]] = []
    for week in range(3):
        now = start + timedelta(days=7 * week)
        answers = await asyncio.gather(*(try_redeem(pools[n % 4], unique, reward, now=now) for n in range(16)))
        found.append(Counter(one if one.isupper() else "REDEEMED" for one in answers))
    assert found[:2] == [{"REDEEMED": 2, "PERIOD_LIMIT_REACHED": 14}] * 2
    assert found[2] == {"REDEEMED": 1, "REDEMPTION_LIMIT_REACHED": 15}
    assert await standing(pools[0], unique) == (4500, 0, 0)
    assert await stock_of(pools[0], reward) == 95


MONTH = timedelta(days=30)


async def test_limits_count_what_is_cancelled_meanwhile_at_most_once(pools: list[Database], unique: str) -> None:
    """Given one per customer, when it is redeemed and cancelled by many at once, then at most one ever stands.

    The points would be enough for all of them, so that the limit alone keeps them from standing.
    """
    reward = await make_reward(pools[0], kind=RewardKind.PARTNER, stock=50, limit_per_customer=1)
    await give(pools[0], unique, 5000)
    seen: list[int] = []

    async def redeem_and_cancel(number: int) -> str:
        pool = pools[number % 4]
        made = await try_redeem(pool, unique, reward)
        seen.append(await counted(pool, unique, reward))
        return made if made.isupper() else await cancel(pool, made, customer(unique))

    answers = await asyncio.gather(*(redeem_and_cancel(number) for number in range(20)))
    assert set(answers) <= {"CANCELLED", "REDEMPTION_LIMIT_REACHED"}
    assert Counter(answers)["CANCELLED"] >= 1
    assert len(seen) == 20
    assert max(seen) == 1
    assert await standing(pools[0], unique) == (5000, 0, 0)
    assert await stock_of(pools[0], reward) == 50
    await books_hold(pools[0], unique)


async def counted(database: Database, customer_id: str, reward_id: str) -> int:
    """How many of a customer's redemptions of a reward count for its limits now."""
    own = (Redemption.customer_id == customer_id, Redemption.reward_id == reward_id)
    statement = select(func.count(col(Redemption.id))).where(*own, col(Redemption.status).in_(COUNTED))
    async with database.read() as session:
        return (await session.exec(statement)).one()


async def restock(database: Database, reward_id: str, change: int, key: str = "") -> Any:
    async def act(session: Session) -> int:
        row = await restock_reward(
            session,
            reward_id,
            change=change,
            reason="delivery",
            idempotency_key=key or new_id(),
            actor="admin",
            now=utc_now(),
        )
        return row.stock_after

    return await answer(database, act)


async def test_restocking_against_redemptions_adds_up_and_never_falls_below_zero(
    pools: list[Database], unique: str
) -> None:
    """Given 10 pieces, when 40 redeem while 3 of ten, three times, come and 5 of four go, then each piece is one."""
    reward = await make_reward(pools[0], stock=10)
    customers = [f"{unique}-{number}" for number in range(40)]
    for one in customers:
        await give(pools[0], one, 100)
    acts: list[Awaitable[Any]] = [try_redeem(pools[n % 4], one, reward) for n, one in enumerate(customers)]
    changes = [10, -4, -4, 10, -4, -4, 10, -4]
    for place, change in enumerate(changes):
        acts.insert(5 * place + 2, restock(pools[place % 4], reward, change))
    answers = await asyncio.gather(*acts)
    moved = [answers[5 * place + 2] for place in range(len(changes))]
    done = sum(change for change, after in zip(changes, moved, strict=True) if after != "STOCK_TOO_LOW")
    sold = sum(isinstance(one, str) and not one.isupper() for one in answers)
    assert all((isinstance(after, int) and after >= 0) or after == "STOCK_TOO_LOW" for after in moved)
    assert await stock_of(pools[0], reward) == 10 + done - sold
    assert sum([(await standing(pools[0], one))[0] == 0 for one in customers]) == sold


async def reprice(database: Database, reward_id: str, price: int) -> Any:
    async def act(session: Session) -> int:
        changes = {"price": price, "required_tags": ("tea",)}
        changed: Reward = await update_reward(session, reward_id, changes, actor="admin", now=utc_now())
        return changed.price

    return await answer(database, act)


async def test_a_reward_is_changed_and_restocked_while_it_is_redeemed(pools: list[Database], unique: str) -> None:
    """Given 20 who redeem, when it is repriced and restocked all the while, then all get one and the stock is exact.

    An error of the database, such as a deadlock, would come out of `answer`.
    """
    reward = await make_reward(pools[0], stock=20)
    customers = [f"{unique}-{number}" for number in range(20)]
    for one in customers:
        await give(pools[0], one, 100)
    sold_all = asyncio.Event()

    async def keep_house(pool: Database, act: Callable[[Database], Awaitable[Any]]) -> list[Any]:
        found = [await act(pool) for _ in range(5)]
        while not sold_all.is_set():
            found.append(await act(pool))
        return found

    async def sell() -> list[str]:
        try:
            return await asyncio.gather(*(try_redeem(pools[n % 4], one, reward) for n, one in enumerate(customers)))
        finally:
            sold_all.set()

    sold, dear, more, cheap = await asyncio.gather(
        sell(),
        keep_house(pools[0], lambda pool: reprice(pool, reward, 100)),
        keep_house(pools[1], lambda pool: restock(pool, reward, 3)),
        keep_house(pools[2], lambda pool: reprice(pool, reward, 99)),
    )
    assert not [one for one in sold if one.isupper()]
    assert (set(dear), set(cheap)) == ({100}, {99})
    assert await stock_of(pools[0], reward) == 20 + 3 * len(more) - 20
    await books_hold(pools[0], *customers)


async def test_customers_do_not_wait_for_staff_where_the_stock_is_not_counted(
    pools: list[Database], unique: str
) -> None:
    """Given a reward without limit that staff is about to change, then it is redeemed meanwhile.

    SQLite has one writer at a time, so there it is redeemed afterwards.
    """
    reward = await make_reward(pools[0])
    await give(pools[0], unique, 100)
    async with pools[0].write() as session:
        await lock_reward(session, reward)
        redeeming = asyncio.create_task(try_redeem(pools[1], unique, reward))
        if not pools[0].is_sqlite:
            assert not (await asyncio.wait_for(redeeming, 30)).isupper()
    assert not (await redeeming).isupper()
    assert await standing(pools[0], unique) == (0, 0, 0)


async def test_one_restocking_sent_many_times_at_once_is_one(pools: list[Database], unique: str) -> None:
    reward = await make_reward(pools[0], stock=1)
    assert set(await asyncio.gather(*(restock(pools[n % 4], reward, 5, unique) for n in range(12)))) == {6}
    assert await stock_of(pools[0], reward) == 6
    assert await restock(pools[0], reward, 6, unique) == "IDEMPOTENCY_KEY_REUSED"
    assert await restock(pools[0], reward, -7) == "STOCK_TOO_LOW"
    assert await restock(pools[0], reward, -6) == 0


async def test_one_key_with_two_wishes_at_once_is_one_redemption(pools: list[Database], unique: str) -> None:
    """Given one key, when twelve with one price and twelve with none arrive at once, then one kind is answered."""
    reward = await make_reward(pools[0], stock=5)
    await give(pools[0], unique, 1000)
    wishes: list[Awaitable[str]] = []
    for number in range(24):
        more = {"expected_price": 100} if number % 2 else {}
        wishes.append(try_redeem(pools[number % 4], unique, reward, unique, **more))
    told = Counter(await asyncio.gather(*wishes))
    assert told.pop("IDEMPOTENCY_KEY_REUSED") == 12
    assert list(told.values()) == [12]
    assert await standing(pools[0], unique) == (900, 0, 0)
    assert await stock_of(pools[0], reward) == 4
