"""A process that dies while it redeems or refunds: it has happened wholly or not at all, and again it happens once."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.notices import NOTICE_OWED
from core.outbox import Outbox
from core.processes import REPOSITORY
from graph.client import GraphClient
from loyalty.catalogue import RewardKind
from loyalty.redemption import REDEMPTION_DUE
from loyalty.redemption_records import Redemption
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, give, make_reward, standing
from tests.loyalty.redeeming import (
    LATER,
    fail,
    pool_of,
    put_codes,
    redemption_at,
    refunds_of,
    reserve_one,
    some_codes,
    stock_of,
    try_redeem,
)
from worker.handlers import settle
from worker.sweeps import sweep_outbox
from worker.work import Stores

pytestmark = pytest.mark.anyio

POINTS = ["before-commit", "after-commit"]


async def die(stores: Addresses, folder: Path, *arguments: str) -> None:
    """Run the act in a process of its own, which kills itself."""
    script = str(REPOSITORY / "tests" / "loyalty" / "killed_redemption.py")
    with (folder / "killed.log").open("wb") as log:
        killed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, script, *arguments],
            env=stores.environment(),
            stdout=log,
            stderr=log,
            timeout=60,
        )
    assert killed.returncode == -9, (folder / "killed.log").read_text()


async def count(database: Database, customer_id: str) -> int:
    async with database.read() as session:
        return len((await session.exec(select(Redemption.id).where(Redemption.customer_id == customer_id))).all())


@pytest.mark.parametrize("point", POINTS)
async def test_the_same_key_after_a_crash_is_one_redemption(
    stores: Addresses, database: Database, unique: str, tmp_path: Path, point: str
) -> None:
    """Given a process that died at the commit, when the app asks again with its key, then one code was paid once."""
    reward = await make_reward(database, kind=RewardKind.COUPON)
    codes = some_codes(2)
    await put_codes(database, reward, codes)
    await give(database, unique, 300)
    await die(stores, tmp_path, point, "redeem", unique, reward, "one-wish")
    assert await count(database, unique) == (0 if point == "before-commit" else 1)
    first = await try_redeem(database, unique, reward, "one-wish")
    assert await try_redeem(database, unique, reward, "one-wish") == first
    assert await pool_of(database, reward) == [(codes[0], first), (codes[1], None)]
    assert (await redemption_at(database, first)).voucher_code == codes[0]
    assert await try_redeem(database, unique, reward, "one-wish", expected_price=100) == "IDEMPOTENCY_KEY_REUSED"
    assert await standing(database, unique) == (200, 0, 0)
    await books_hold(database, unique)


@pytest.mark.parametrize("point", POINTS)
async def test_a_failure_reported_again_after_a_crash_is_refunded_once(
    stores: Addresses, database: Database, unique: str, tmp_path: Path, point: str
) -> None:
    reward, redemption = await reserve_one(database, unique)
    await die(stores, tmp_path, point, "fail", redemption)
    assert await standing(database, unique) == ((0, 0, 0) if point == "before-commit" else (100, 0, 0))
    assert await fail(database, redemption) == "FAILED"
    assert (await standing(database, unique), await stock_of(database, reward)) == ((100, 0, 0), 5)
    assert await refunds_of(database, [redemption]) == [redemption]
    await books_hold(database, unique)


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_while_it_ends_what_is_due_leaves_it_to_the_sweep(
    stores: Addresses, database: Database, graph: GraphClient, unique: str, tmp_path: Path, point: str
) -> None:
    """Given a reservation whose time is over, when the worker dies and two sweeps follow, then it has ended once."""
    reward = await make_reward(database, kind=RewardKind.PARTNER, stock=3, valid_from=utc_now() - 2 * LATER)
    await give(database, unique, 100)
    redemption = await try_redeem(database, unique, reward, now=utc_now() - LATER)
    owed = derived_id("outbox", REDEMPTION_DUE, redemption)
    await die(stores, tmp_path, point, "settle", owed)
    expected = "RESERVED" if point == "before-commit" else "EXPIRED"
    assert (await redemption_at(database, redemption)).status == expected
    worker = Stores(database, graph)
    again = [await settle(worker, owed) for _ in range(2)]
    assert again == [point == "before-commit", False]
    assert (await redemption_at(database, redemption)).status == "EXPIRED"
    assert (await standing(database, unique), await stock_of(database, reward)) == ((100, 0, 0), 3)
    assert await refunds_of(database, [redemption]) == [redemption]
    async with database.read() as session:
        row = await session.get_one(Outbox, owed)
        notices = (await session.exec(select(Outbox.key).where(Outbox.topic == NOTICE_OWED))).all()
    assert row.settled_at is not None
    assert notices.count(f"redemption:{redemption}:expired") == 1
    await books_hold(database, unique)


async def test_many_workers_end_what_is_due_once_and_nothing_before_its_time(
    stores: Addresses, database: Database, graph: GraphClient, unique: str
) -> None:
    """Given eight reservations that are due and two that are not, when four workers sweep, then eight have ended."""
    reward = await make_reward(database, kind=RewardKind.PARTNER, stock=10, valid_from=utc_now() - 2 * LATER)
    await give(database, unique, 1000)
    then = utc_now() - LATER
    due = [await try_redeem(database, unique, reward, now=then) for _ in range(8)]
    open_ones = [await try_redeem(database, unique, reward) for _ in range(2)]
    pools = [stores.database() for _ in range(4)]
    try:
        await asyncio.gather(*(sweep_outbox(Stores(pool, graph)) for pool in pools))
    finally:
        for pool in pools:
            await pool.close()
    await sweep_outbox(Stores(database, graph))
    assert {(await redemption_at(database, one)).status for one in due} == {"EXPIRED"}
    assert {(await redemption_at(database, one)).status for one in open_ones} == {"RESERVED"}
    assert await refunds_of(database, due + open_ones) == sorted(due)
    assert (await standing(database, unique), await stock_of(database, reward)) == ((800, 0, 0), 8)
    await books_hold(database, unique)
