"""What a transaction is told when the database ends it for the sake of another."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from sqlmodel import select

from core.db import Database
from core.errors import Unavailable
from loyalty.ledger import LedgerAccount, hold
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def test_two_that_wait_for_each_other_in_a_circle_are_told_to_try_again(stores: Addresses, unique: str) -> None:
    """Given two who lock two rows in opposite orders, then one of them is refused as busy and the other commits.

    SQLite lets one write after the other, so there nobody is refused.
    """
    names = [f"{unique}-{end}" for end in ("a", "b")]
    pools = [stores.database() for _ in names]
    async with pools[0].write() as session:
        await hold(session, names)
    meeting = asyncio.Barrier(2)

    async def lock(pool: Database, customers: Sequence[str]) -> str:
        try:
            async with pool.write() as session:
                for place, customer in enumerate(customers):
                    mine = select(LedgerAccount.id).where(LedgerAccount.customer_id == customer)
                    await session.exec(mine.with_for_update())
                    if place == 0:
                        with suppress(TimeoutError, asyncio.BrokenBarrierError):
                            await asyncio.wait_for(meeting.wait(), 1)
        except Unavailable:
            return "busy"
        return "done"

    try:
        answers = await asyncio.gather(lock(pools[0], names), lock(pools[1], names[::-1]))
    finally:
        for pool in pools:
            await pool.close()
    assert sorted(answers) == (["done", "done"] if pools[0].is_sqlite else ["busy", "done"])
