"""Coupon codes: added once, assigned once, and none is left while somebody was refused."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from core.clock import utc_now
from core.db import Database, Session
from core.ids import new_id
from loyalty.catalogue import RewardKind
from loyalty.catalogue_changes import retire_reward
from loyalty.coupons import MOST_CODES, CouponBatch, NewCodes, coupon_stocks
from tests.loyalty.accounts import books_hold, give, make_reward, standing
from tests.loyalty.redeeming import answer, pool_of, put_codes, redemption_at, some_codes, try_redeem

pytestmark = pytest.mark.anyio


async def left(database: Database, reward_id: str) -> int:
    async with database.read() as session:
        return (await coupon_stocks(session, [reward_id]))[reward_id]


async def test_each_code_of_a_batch_has_its_answer(database: Database, unique: str) -> None:
    """Given a batch with a code twice, one in use elsewhere and three that cannot be, then only the new are added."""
    reward, other = [await make_reward(database, kind=RewardKind.COUPON) for _ in range(2)]
    await put_codes(database, other, [f"{unique}-taken"])
    codes = [f"{unique}-a", f" {unique}-a ", f"{unique}-taken", "x", "with a space", "券码券码", f"{unique}-b"]
    batch = await put_codes(database, reward, codes)
    assert batch.outcomes == ["ADDED", "DUPLICATE", "DUPLICATE", "INVALID", "INVALID", "INVALID", "ADDED"]
    assert [code for code, _ in await pool_of(database, reward)] == [f"{unique}-a", f"{unique}-b"]
    assert await left(database, reward) == 2


async def test_a_pool_is_counted_no_further_than_is_asked(database: Database, unique: str) -> None:
    """Given pools of five codes, of which one is taken, of two and of none, then each is counted by itself."""
    five, two, none = [await make_reward(database, kind=RewardKind.COUPON) for _ in range(3)]
    await give(database, unique, 100)
    await put_codes(database, five, some_codes(5))
    await put_codes(database, two, some_codes(2))
    await try_redeem(database, unique, five)
    async with database.read() as session:
        assert await coupon_stocks(session, [five, two, none]) == {five: 4, two: 2, none: 0}
        assert await coupon_stocks(session, [five, two, none], most=3) == {five: 3, two: 2, none: 0}
        assert await coupon_stocks(session, [none, five], most=1) == {five: 1, none: 0}
        assert await coupon_stocks(session, []) == {}


async def test_a_code_that_is_a_voucher_already_is_a_duplicate(database: Database, unique: str) -> None:
    voucher, pool = await make_reward(database), await make_reward(database, kind=RewardKind.COUPON)
    await give(database, unique, 100)
    code = (await redemption_at(database, await try_redeem(database, unique, voucher))).voucher_code
    assert (await put_codes(database, pool, [code or ""])).outcomes == ["DUPLICATE"]


async def test_one_batch_sent_twenty_times_at_once_is_one(pools: list[Database], unique: str) -> None:
    reward = await make_reward(pools[0], kind=RewardKind.COUPON)
    codes = some_codes(10)
    batches = await asyncio.gather(*(put_codes(pools[n % 4], reward, codes, key=unique) for n in range(20)))
    assert {tuple(batch.outcomes) for batch in batches} == {("ADDED",) * 10}
    assert [code for code, _ in await pool_of(pools[0], reward)] == codes
    assert await put_codes(pools[0], reward, codes[:9], key=unique) == "IDEMPOTENCY_KEY_REUSED"
    assert await put_codes(pools[0], reward, codes[::-1], key=unique) == "IDEMPOTENCY_KEY_REUSED"
    assert await left(pools[0], reward) == 10


async def test_overlapping_batches_at_once_add_each_code_once(pools: list[Database]) -> None:
    """Given eight batches that share all their codes in different orders, then each code is added by one of them.

    Four times over, because writers who meet in two orders wait for each other in a circle only now and then."""
    for _ in range(4):
        reward = await make_reward(pools[0], kind=RewardKind.COUPON)
        codes = some_codes(40)
        orders = [codes[n * 5 :] + codes[: n * 5] for n in range(8)]
        batches = await asyncio.gather(*(put_codes(pools[n % 4], reward, order) for n, order in enumerate(orders)))
        assert Counter(one for batch in batches for one in batch.outcomes) == {"ADDED": 40, "DUPLICATE": 280}
        assert sorted(code for code, _ in await pool_of(pools[0], reward)) == sorted(codes)


async def test_no_code_is_given_twice_and_none_is_left_while_somebody_is_refused(
    pools: list[Database], unique: str
) -> None:
    """Given 40 codes and 80 customers of whom 30 cannot pay, when all redeem at once, then 40 of those who can do."""
    database = pools[0]
    reward = await make_reward(database, kind=RewardKind.COUPON)
    codes = some_codes(40)
    await put_codes(database, reward, codes)
    customers = [f"{unique}-{number}" for number in range(80)]
    rich = {customer for number, customer in enumerate(customers) if number % 8 > 2}
    for customer in customers:
        await give(database, customer, 100 if customer in rich else 99)
    answers = await asyncio.gather(*(try_redeem(pools[n % 4], one, reward) for n, one in enumerate(customers)))
    refused = Counter(one for one in answers if one.isupper())
    assert sum(refused.values()) == 40
    assert set(refused) == {"OUT_OF_STOCK", "INSUFFICIENT_POINTS"}
    redeemed = [one for one in answers if not one.isupper()]
    pool = await pool_of(database, reward)
    assert sorted(owner or "" for _, owner in pool) == sorted(redeemed)
    given = {row.id: row.voucher_code for row in [await redemption_at(database, one) for one in redeemed]}
    assert {owner: code for code, owner in pool} == given
    assert {await redemption_at(database, one) and "FULFILLED" for one in redeemed} == {"FULFILLED"}
    left_over = Counter([(await standing(database, one))[0] for one in rich])
    assert left_over == {0: 40, 100: 10}
    await books_hold(database, *customers[:8])


async def test_a_code_that_a_refused_customer_let_go_goes_to_who_waited(pools: list[Database], unique: str) -> None:
    """Given one code, one who can pay and nineteen who cannot, when all redeem at once, then the one has it."""
    for number in range(3):
        reward = await make_reward(pools[0], kind=RewardKind.COUPON)
        await put_codes(pools[0], reward, some_codes(1))
        buyer = f"{unique}-{number}"
        await give(pools[0], buyer, 100)
        customers = [*(f"{buyer}-{n}" for n in range(10)), buyer, *(f"{buyer}-{n}" for n in range(10, 19))]
        answers = await asyncio.gather(*(try_redeem(pools[n % 4], one, reward) for n, one in enumerate(customers)))
        assert not answers[10].isupper(), answers
        assert await left(pools[0], reward) == 0
        assert (await standing(pools[0], buyer))[0] == 0


async def test_codes_are_handed_out_in_their_order_and_refills_count(database: Database, unique: str) -> None:
    reward = await make_reward(database, kind=RewardKind.COUPON, voucher_days=30)
    await give(database, unique, 300)
    assert await try_redeem(database, unique, reward) == "OUT_OF_STOCK"
    codes, now = some_codes(2), utc_now()
    await put_codes(database, reward, codes)
    rows = [await redemption_at(database, await try_redeem(database, unique, reward, now=now)) for _ in range(2)]
    assert [row.voucher_code for row in rows] == codes
    assert [row.voucher_until for row in rows] == [now + timedelta(days=30)] * 2
    assert await try_redeem(database, unique, reward) == "OUT_OF_STOCK"
    more = some_codes(1)
    await put_codes(database, reward, more)
    assert (await redemption_at(database, await try_redeem(database, unique, reward))).voucher_code == more[0]
    assert await standing(database, unique) == (0, 0, 0)


async def test_what_cannot_be_a_batch_is_refused_and_nothing_stays(database: Database, unique: str) -> None:
    voucher, pool = await make_reward(database), await make_reward(database, kind=RewardKind.COUPON)
    assert await put_codes(database, voucher, some_codes(1), key=unique) == "REWARD_HAS_NO_CODES"
    # The refusal kept nothing, so the key is free for what was meant.
    assert (await put_codes(database, pool, some_codes(1), key=unique)).outcomes == ["ADDED"]
    assert await put_codes(database, new_id(), some_codes(1)) == "NOT_FOUND"
    assert await put_codes(database, pool, []) == "COUPON_BATCH_INVALID"
    assert await put_codes(database, pool, ["c"] * (MOST_CODES + 1)) == "COUPON_BATCH_INVALID"
    assert await put_codes(database, pool, some_codes(1), key="short") == "IDEMPOTENCY_KEY_INVALID"

    async def retire(session: Session) -> None:
        await retire_reward(session, pool, reason="over", actor="admin", now=utc_now())

    await answer(database, retire)
    assert await put_codes(database, pool, some_codes(1)) == "REWARD_HAS_NO_CODES"
    assert await left(database, pool) == 1


def test_a_batch_does_not_show_its_codes() -> None:
    assert "SECRET" not in repr(NewCodes("reward", ["SECRET-1"], "key-00001"))
    assert "codes" not in CouponBatch.model_fields
