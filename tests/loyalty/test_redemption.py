"""Redemption: never oversold, never overdrawn, once by its key, and every refusal changes nothing."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from sqlmodel import col, func, select

from core.clock import utc_now
from core.codes import normal_code
from core.db import Database
from core.errors import KinshipError
from loyalty.catalogue import NewReward, OutOfStock, Reward, RewardInvalid, RewardNotAvailable, create_reward
from loyalty.idempotency import IdempotencyKeyInvalid, IdempotencyKeyReused
from loyalty.ledger import AccountKind, InsufficientPoints, LedgerPosting, balances
from loyalty.redemption import RedemptionLimitReached, redeem
from loyalty.redemption_records import Redemption, RedemptionStatus, redemptions_of
from tests.conftest import Addresses
from tests.loyalty.accounts import give, make_reward

pytestmark = pytest.mark.anyio


async def try_redeem(database: Database, customer_id: str, reward_id: str, key: str) -> str:
    """The redemption's id, or the code of the refusal."""
    try:
        async with database.write() as session:
            return (
                await redeem(session, customer_id=customer_id, reward_id=reward_id, idempotency_key=key, now=utc_now())
            ).id
    except KinshipError as error:
        return error.code


async def stock_of(database: Database, reward_id: str) -> int | None:
    async with database.read() as session:
        return (await session.get_one(Reward, reward_id)).stock


async def points_of(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        return (await balances(session, customer_id))[AccountKind.AVAILABLE]


async def count_of(database: Database, customer_id: str) -> int:
    statement = select(func.count(col(Redemption.id))).where(Redemption.customer_id == customer_id)
    async with database.read() as session:
        return (await session.exec(statement)).one()


async def test_two_hundred_redemptions_of_a_stock_of_fifty_sell_exactly_fifty(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given 50 pieces and 200 customers who can pay, when all redeem at once on four pools, then 50 get one."""
    reward = await make_reward(database, stock=50)
    customers = [f"{unique}-{number}" for number in range(200)]
    for customer in customers:
        await give(database, customer, 100)
    async with AsyncExitStack() as stack:
        pools = [stores.database() for _ in range(4)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        answers = await asyncio.gather(
            *(try_redeem(pools[n % 4], customer, reward, "key-00000") for n, customer in enumerate(customers))
        )
    refused = Counter(answer for answer in answers if answer == "OUT_OF_STOCK")
    assert refused == {"OUT_OF_STOCK": 150}
    assert len(set(answers) - {"OUT_OF_STOCK"}) == 50
    assert await stock_of(database, reward) == 0
    redeemed = select(Redemption).where(Redemption.reward_id == reward)
    async with database.read() as session:
        rows = (await session.exec(redeemed)).all()
    assert len(rows) == 50
    assert len({row.voucher_code for row in rows}) == 50
    assert all(row.voucher_code and normal_code(row.voucher_code) == row.voucher_code for row in rows)
    left = [await points_of(database, customer) for customer in customers]
    assert Counter(left) == {0: 50, 100: 150}


async def test_one_key_sent_twenty_times_at_once_is_one_redemption(
    stores: Addresses, database: Database, unique: str
) -> None:
    reward = await make_reward(database, stock=5)
    await give(database, unique, 1000)
    async with AsyncExitStack() as stack:
        pools = [stores.database() for _ in range(4)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        answers = await asyncio.gather(*(try_redeem(pools[n % 4], unique, reward, "same-key") for n in range(20)))
    assert len(set(answers)) == 1
    assert await count_of(database, unique) == 1
    assert await stock_of(database, reward) == 4
    assert await points_of(database, unique) == 900


async def test_a_customer_who_redeems_everything_at_once_is_never_overdrawn(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given 250 points, when ten redemptions of 100 over two rewards run at once, then two succeed."""
    rewards = [await make_reward(database), await make_reward(database)]
    await give(database, unique, 250)
    async with AsyncExitStack() as stack:
        pools = [stores.database() for _ in range(4)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        answers = await asyncio.gather(
            *(try_redeem(pools[n % 4], unique, rewards[n % 2], f"key-{n:06}") for n in range(10))
        )
    assert Counter(answers)["INSUFFICIENT_POINTS"] == 8
    assert await points_of(database, unique) == 50
    assert await count_of(database, unique) == 2


async def test_the_limit_per_customer_holds_under_concurrency(
    stores: Addresses, database: Database, unique: str
) -> None:
    """Given a limit of three, when twelve redemptions run at once, then exactly three succeed."""
    reward = await make_reward(database, stock=100, limit_per_customer=3)
    await give(database, unique, 5000)
    async with AsyncExitStack() as stack:
        pools = [stores.database() for _ in range(4)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        answers = await asyncio.gather(*(try_redeem(pools[n % 4], unique, reward, f"key-{n:06}") for n in range(12)))
    assert Counter(answers)["REDEMPTION_LIMIT_REACHED"] == 9
    assert await stock_of(database, reward) == 97
    assert await points_of(database, unique) == 4700


@pytest.mark.parametrize(
    ("points", "reward", "refusal"),
    [
        (100, {"price": 101}, InsufficientPoints),
        (100, {"stock": 0}, OutOfStock),
        (100, {"valid_until": utc_now() - timedelta(hours=1)}, RewardNotAvailable),
        (100, {"valid_from": utc_now() + timedelta(days=300)}, RewardNotAvailable),
    ],
)
async def test_a_refused_redemption_changes_nothing(
    database: Database, unique: str, points: int, reward: dict[str, object], refusal: type[KinshipError]
) -> None:
    reward_id = await make_reward(database, **reward)
    await give(database, unique, points)
    stock = await stock_of(database, reward_id)
    assert await try_redeem(database, unique, reward_id, "key-00001") == refusal.code
    assert await stock_of(database, reward_id) == stock
    assert await points_of(database, unique) == points
    assert await count_of(database, unique) == 0
    async with database.read() as session:
        postings = select(func.count(col(LedgerPosting.id))).where(LedgerPosting.kind == "REDEEM")
        before = (await session.exec(postings)).one()
    # The key is free again, because nothing of the refused attempt stayed.
    assert await try_redeem(database, unique, reward_id, "key-00001") == refusal.code
    async with database.read() as session:
        assert (await session.exec(postings)).one() == before


async def test_an_unknown_reward_and_a_key_that_is_no_key_are_refused(database: Database, unique: str) -> None:
    reward = await make_reward(database)
    await give(database, unique, 500)
    assert await try_redeem(database, unique, "no-such", "key-00001") == RewardNotAvailable.code
    assert await try_redeem(database, unique, reward, "short") == IdempotencyKeyInvalid.code
    assert await try_redeem(database, unique, reward, "x" * 101) == IdempotencyKeyInvalid.code
    assert await points_of(database, unique) == 500


async def test_the_same_key_for_another_reward_is_refused(database: Database, unique: str) -> None:
    one, other = await make_reward(database), await make_reward(database)
    await give(database, unique, 500)
    await try_redeem(database, unique, one, "key-00001")
    assert await try_redeem(database, unique, other, "key-00001") == IdempotencyKeyReused.code
    assert await points_of(database, unique) == 400


async def test_redemption_limit_counts_each_customer_alone(database: Database, unique: str) -> None:
    reward = await make_reward(database, limit_per_customer=1)
    for customer in (f"{unique}-a", f"{unique}-b"):
        await give(database, customer, 500)
        assert await try_redeem(database, customer, reward, "key-00001") != RedemptionLimitReached.code
        assert await try_redeem(database, customer, reward, "key-00002") == RedemptionLimitReached.code


async def test_redemptions_page_from_the_latest(database: Database, unique: str) -> None:
    reward = await make_reward(database)
    await give(database, unique, 500)
    made = [await try_redeem(database, unique, reward, f"key-{number:05}") for number in range(3)]
    async with database.read() as session:
        page = await redemptions_of(session, unique, first=2, after=None)
        rest = await redemptions_of(session, unique, first=2, after=page.cursors[-1])
    assert [row.id for row in [*page.rows, *rest.rows]] == made[::-1]
    assert (page.has_next, rest.has_next) == (True, False)
    assert {row.status for row in page.rows} == {RedemptionStatus.FULFILLED}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name_zh": " "}, "nameZh"),
        ({"price": 0}, "price"),
        ({"stock": -1}, "stock"),
        ({"limit_per_customer": 0}, "limitPerCustomer"),
        ({"valid_from": utc_now(), "valid_until": utc_now() - timedelta(days=1)}, "validUntil"),
    ],
)
async def test_a_reward_that_cannot_be_is_refused_with_its_path(
    database: Database, change: dict[str, object], path: str
) -> None:
    reward = NewReward(**{"name_zh": "券", "name_en": "Voucher", "price": 5, **change})  # pyright: ignore[reportArgumentType] - the parameters are of many types
    with pytest.raises(RewardInvalid) as refused:
        async with database.write() as session:
            await create_reward(session, reward, now=utc_now())
    assert refused.value.path == (path,)
