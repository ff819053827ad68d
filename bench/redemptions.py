"""Redeeming points: one customer, sixteen at once for one reward, and sixteen for a reward each."""

import asyncio
import time
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from bench.stores import Stores
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from loyalty.catalogue import NewReward, create_reward
from loyalty.ledger import AccountKind, Cause, balances
from loyalty.lots import Earned, earn
from loyalty.redemption import redeem

REDEMPTIONS = 160
POINTS = 1_000


async def measure_redemptions(stores: Stores) -> None:
    """Print the speed of each; raises AssertionError where a customer paid more or less than what was redeemed."""
    title = f"{REDEMPTIONS} redemptions"
    table = Table("Customers at once", "Rewards", "Seconds", "Per second", "Times", title=title, title_justify="left")
    database = stores.database()
    try:
        await redeem_all(database, customers=1, rewards=1)
        first = 0.0
        for customers, rewards in ((1, 1), (16, 1), (16, 16)):
            seconds = await redeem_all(database, customers=customers, rewards=rewards)
            speed = REDEMPTIONS / seconds
            first = first or speed
            table.add_row(str(customers), str(rewards), f"{seconds:.2f}", f"{speed:.0f}", f"{speed / first:.1f}")
    finally:
        await database.close()
    Console().print(table)


async def redeem_all(database: Database, *, customers: int, rewards: int) -> float:
    """Share the redemptions among so many new customers at once; returns the seconds."""
    offered = [await put_reward(database) for _ in range(rewards)]
    buyers = [await put_customer(database) for _ in range(customers)]
    each = REDEMPTIONS // customers
    began = time.perf_counter()
    await asyncio.gather(*(redeem_some(database, buyer, offered[n % rewards], each) for n, buyer in enumerate(buyers)))
    seconds = time.perf_counter() - began
    async with database.read() as session:
        left = [(await balances(session, buyer))[AccountKind.AVAILABLE] for buyer in buyers]
    assert left == [POINTS - each] * customers, f"balances are {left}"
    return seconds


async def redeem_some(database: Database, customer_id: str, reward_id: str, count: int) -> None:
    """One after the other, as a customer does."""
    for _ in range(count):
        async with database.write() as session:
            await redeem(session, customer_id=customer_id, reward_id=reward_id, idempotency_key=new_id(), now=utc_now())


async def put_reward(database: Database) -> str:
    async with database.write() as session:
        return await create_reward(session, NewReward("咖啡券", "Coffee voucher", 1), now=utc_now())


async def put_customer(database: Database) -> str:
    """A customer with points, who needs to be known to the ledger only."""
    customer_id, now = new_id(), utc_now()
    async with database.write() as session:
        earned = Earned(
            key=f"bench:{customer_id}",
            customer_id=customer_id,
            points=POINTS,
            cause=Cause("BENCH", customer_id),
            occurred_at=now,
            available_at=now,
            expires_at=now + timedelta(days=365),
        )
        await earn(session, earned, now=now)
    return customer_id
