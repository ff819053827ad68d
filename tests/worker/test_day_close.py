"""The worker's day close: whatever kills it, the next run ends with the same books."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.days import day_of, start_of_day
from core.db import Database
from core.processes import REPOSITORY
from loyalty.day_close import LONGEST_BATCH, LONGEST_PROOF, ClosePhase, DayClose, begin_proof
from loyalty.ledger import LedgerPosting
from tests.conftest import Addresses
from tests.databases import own_database
from tests.loyalty.accounts import books_hold, give, standing
from tests.loyalty.closing import DAY, ZONE, close_of, close_step, open_until
from worker.day_close import close_due_days, close_one, is_day_due

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_close.py"


def run_killed(stores: Addresses, url: str, point: str, number: int) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), point, str(number)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


async def fill(database: Database) -> list[str]:
    """Five customers with two lots due and two expiring yesterday, and one of each for later."""
    then = start_of_day(day_of(utc_now(), ZONE) - DAY, ZONE)
    customers = [f"c{number}" for number in range(5)]
    for customer in customers:
        for name in ("a", "b"):
            hour = timedelta(hours=1)
            await give(database, customer, 20, key=f"{customer}:due:{name}", available_in=hour, now=then)
            await give(database, customer, 7, key=f"{customer}:gone:{name}", expires_in=hour, now=then)
        await give(database, customer, 11, key=f"{customer}:due:later", available_in=9 * DAY, now=then)
        await give(database, customer, 3, key=f"{customer}:gone:later", expires_in=9 * DAY, now=then)
    return customers


async def outcome(database: Database, customers: list[str]) -> tuple[list[tuple[int, int, int]], list[str], DayClose]:
    async with database.read() as session:
        close = (await session.exec(select(DayClose))).one()
        statement = select(LedgerPosting.key).where(col(LedgerPosting.kind).in_(["RELEASE", "EXPIRE"]))
        keys = sorted((await session.exec(statement)).all())
    return [await standing(database, one) for one in customers], keys, close


@pytest.mark.parametrize(
    ("point", "number"),
    [("before-commit", 1), ("after-commit", 2), ("before-commit", 4), ("after-commit", 7), ("after-commit", 8)],
)
async def test_killed_anywhere_and_run_again_it_ends_the_same(
    stores: Addresses, tmp_path: Path, point: str, number: int
) -> None:
    """Given twenty lots in batches of four, when the close dies in one, then the next run does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        customers = await fill(database)
        assert await is_day_due(database, zone=ZONE)
        assert run_killed(stores, database.url, point, number) == -signal.SIGKILL
        await close_due_days(database, zone=ZONE, batch=4)
        assert not await is_day_due(database, zone=ZONE)
        found, keys, close = await outcome(database, customers)
        assert found == [(43, 11, 0)] * 5
        assert (len(keys), len(set(keys))) == (20, 20)
        assert (close.phase, close.holds) == (ClosePhase.CLOSED, True)
        assert (close.activated_lots, close.activated_points) == (10, 200)
        assert (close.expired_lots, close.expired_points) == (10, 70)
        await books_hold(database, *customers)
        assert await close_due_days(database, zone=ZONE) == 0
        assert await outcome(database, customers) == (found, keys, close)


async def test_a_day_that_somebody_is_at_is_not_due_until_their_time_is_over(stores: Addresses, tmp_path: Path) -> None:
    """Given a close that works, then no other is started beside it; given one that died, then a while later one is."""
    second = timedelta(seconds=1)
    async with own_database(stores, tmp_path) as database:
        await fill(database)
        yesterday = day_of(utc_now(), ZONE) - DAY
        await open_until(database, yesterday, now=utc_now())
        assert await is_day_due(database, zone=ZONE)
        for began, due in ((utc_now(), False), (utc_now() - LONGEST_BATCH - second, True)):
            assert await close_step(database, yesterday, batch=4, now=began) == ClosePhase.ACTIVATE
            assert await is_day_due(database, zone=ZONE) is due
        while await close_step(database, yesterday, now=utc_now()) != ClosePhase.RECONCILE:
            pass
        for began, due in ((utc_now() - LONGEST_PROOF + 60 * second, False), (utc_now() - LONGEST_PROOF, True)):
            async with database.write() as session:
                await begin_proof(session, yesterday, now=began)
            assert await is_day_due(database, zone=ZONE) is due
        assert await close_due_days(database, zone=ZONE) == 1
        assert not await is_day_due(database, zone=ZONE)
        assert (await close_of(database, yesterday)).busy_until is None


async def test_a_day_before_which_another_is_open_is_left_to_its_turn(stores: Addresses, tmp_path: Path) -> None:
    """Given a closer at a day, when an earlier one is begun by somebody else, then it takes that one first."""
    async with own_database(stores, tmp_path) as database:
        yesterday = day_of(utc_now(), ZONE) - DAY
        await open_until(database, yesterday - DAY)
        await open_until(database, yesterday, now=utc_now())
        async with asyncio.timeout(20):
            assert await close_one(database, yesterday) is False
            assert (await close_of(database, yesterday)).phase == ClosePhase.ACTIVATE
            assert await close_due_days(database, zone=ZONE) == 2
