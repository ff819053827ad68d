"""The worker's day close: whatever kills it, the next run ends with the same books."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.processes import REPOSITORY
from loyalty.day_close import ClosePhase, DayClose
from loyalty.days import day_of, start_of_day
from loyalty.ledger import LedgerPosting
from tests.conftest import Addresses
from tests.loyalty.accounts import books_hold, give, standing
from tests.loyalty.closing import DAY, ZONE, own_database
from worker.day_close import close_due_days, is_day_due

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
    [("before-commit", 1), ("after-commit", 2), ("before-commit", 4), ("after-commit", 6), ("after-commit", 7)],
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
