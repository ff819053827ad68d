"""Clawback against everything else that touches the same customer: exact counts, whoever comes first."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from loyalty.charges import charge_event, refund_all
from loyalty.clawback import Clawback
from loyalty.ledger import InsufficientPoints
from loyalty.lots import lot_id, release
from loyalty.shortfall import ShortfallPolicy
from tests.loyalty.accounts import books_hold, demand, give, spend, standing, take_back

pytestmark = pytest.mark.anyio

DEBT, WRITE_OFF = ShortfallPolicy.DEBT, ShortfallPolicy.WRITE_OFF


async def try_spend(database: Database, customer_id: str, points: int) -> int:
    """How much it could spend."""
    try:
        await spend(database, customer_id, points)
    except InsufficientPoints:
        return 0
    return points


async def release_one(database: Database, key: str) -> None:
    async with database.write() as session:
        await release(session, lot_id(key), now=utc_now())


async def all_of(acts: list[Awaitable[Any]]) -> list[Any]:
    """Run them at once; a circle of waits would be the error of one of them."""
    return await asyncio.gather(*acts)


async def test_one_clawback_asked_for_twenty_times_at_once_is_one(pools: list[Database], unique: str) -> None:
    await give(pools[0], unique, 100, key=f"{unique}:r")
    await spend(pools[0], unique, 40)
    answers = await all_of([take_back(pools[n % 4], demand(unique, f"{unique}:r", 100)) for n in range(20)])
    assert {(one.recovered, one.debt, one.posting_id) for (one,) in answers} == {(60, 40, answers[0][0].posting_id)}
    assert await standing(pools[0], unique) == (0, 0, 40)
    await books_hold(pools[0], unique)


@pytest.mark.parametrize("policy", [DEBT, WRITE_OFF])
async def test_against_redemptions_nothing_is_overdrawn(
    pools: list[Database], unique: str, policy: ShortfallPolicy
) -> None:
    """Given 200 points of which 100 are clawed back while thirty spend 10 each, then all of it adds up."""
    await give(pools[0], unique, 100, key=f"{unique}:r")
    await give(pools[0], unique, 100)
    acts: list[Awaitable[Any]] = [try_spend(pools[n % 4], unique, 10) for n in range(30)]
    acts.insert(9, take_back(pools[3], demand(unique, f"{unique}:r", 100, policy)))
    answers = await all_of(acts)
    (done,) = answers.pop(9)
    spent = sum(answers)
    assert done.recovered + done.debt + done.written_off == 100
    assert 100 <= spent <= 200
    assert done.recovered == min(100, 200 - spent)
    assert await standing(pools[0], unique) == (200 - spent - done.recovered, 0, done.debt)
    await books_hold(pools[0], unique)


async def test_against_the_release_of_the_lot_it_takes_from(pools: list[Database], unique: str) -> None:
    """Given twelve pending rewards, when each is released and clawed back at once, then nothing is left or owed."""
    keys = [f"{unique}:{number}" for number in range(12)]
    now = utc_now()
    for key in keys:
        await give(pools[0], unique, 10, key=key, available_in=timedelta(days=1), now=now)
    acts: list[Awaitable[Any]] = []
    for number, key in enumerate(keys):
        acts += [release_one(pools[number % 4], key), take_back(pools[(number + 1) % 4], demand(unique, key, 10))]
    answers = await all_of(acts)
    assert [one[0].recovered for one in answers if one] == [10] * 12
    assert await standing(pools[0], unique) == (0, 0, 0)
    await books_hold(pools[0], unique)


async def test_rewards_of_two_customers_taken_in_both_orders(pools: list[Database], unique: str) -> None:
    """Given twenty pairs of rewards, when each pair goes back in one transaction, in either order, then all go once."""
    lin, wu = f"{unique}-a", f"{unique}-b"
    acts: list[Awaitable[list[Clawback]]] = []
    for number in range(20):
        pair = [demand(one, f"{one}:{number}", 10, WRITE_OFF) for one in (lin, wu)]
        for one in pair:
            await give(pools[0], one.customer_id, 10, key=f"{one.customer_id}:{number}")
        acts.append(take_back(pools[number % 4], *(pair if number % 2 else reversed(pair))))
    answers = await all_of([*acts])
    assert [one.recovered for answer in answers for one in answer] == [10] * 40
    assert [await standing(pools[0], one) for one in (lin, wu)] == [(0, 0, 0), (0, 0, 0)]
    await books_hold(pools[0], lin, wu)


async def test_two_clawbacks_of_one_customer_and_what_is_earned_meanwhile(pools: list[Database], unique: str) -> None:
    """Given 200 spent, when both rewards go back while 150 are earned, then 50 are owed whatever comes first."""
    for name in ("a", "b"):
        await give(pools[0], unique, 100, key=f"{unique}:{name}")
    await spend(pools[0], unique, 200)
    acts: list[Awaitable[Any]] = [give(pools[n % 4], unique, 10) for n in range(15)]
    acts.insert(3, take_back(pools[1], demand(unique, f"{unique}:a", 100)))
    acts.insert(8, take_back(pools[2], demand(unique, f"{unique}:b", 100)))
    await all_of(acts)
    assert await standing(pools[0], unique) == (0, 0, 50)
    await books_hold(pools[0], unique)


async def test_against_the_refunds_of_a_cancelled_event(pools: list[Database], unique: str) -> None:
    """Given six who paid 30 from a reward each, when all is refunded and clawed back at once, nobody keeps or owes."""
    customers = [f"{unique}-{number}" for number in range(6)]
    now = utc_now()
    for customer in customers:
        await give(pools[0], customer, 30, key=f"{customer}:r", now=now)
        async with pools[0].write() as session:
            await charge_event(session, event_id=unique, customer_id=customer, sequence=1, points=30, now=now)

    async def refunds(database: Database) -> int:
        async with database.write() as session:
            return len(await refund_all(session, unique, limit=10, now=utc_now()))

    demands = [
        demand(one, f"{one}:r", 30, policy) for one, policy in zip(customers, [DEBT, WRITE_OFF] * 3, strict=True)
    ]
    backwards = take_back(pools[3], *reversed(demands[3:]))
    one_by_one = [take_back(pools[n], demands[n]) for n in range(3)]
    answers = await all_of([*one_by_one, refunds(pools[0]), backwards, refunds(pools[1])])
    assert sorted(one for one in answers if isinstance(one, int)) == [0, 6]
    assert [await standing(pools[0], one) for one in customers] == [(0, 0, 0)] * 6
    await books_hold(pools[0], *customers)
    assert await give(pools[0], customers[0], 5, key=new_id())
    assert await standing(pools[0], customers[0]) == (5, 0, 0)
