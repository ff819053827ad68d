"""The daily look at follow-ups: everybody once a day, whoever is killed and however many are at it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, update
from sqlmodel import col, select

from core.db import Database, changed_rows
from core.facts import Fact
from core.outbox import Outbox
from core.processes import REPOSITORY
from core.tasks import TASK_OWED
from customers.records import ServiceRecord
from graph.eligibility import Tier
from service.follow_up_runs import FollowUpRange, FollowUpRun, is_due
from service.follow_ups import FOLLOW_UP_MISSED, FollowUp
from tests.conftest import Addresses
from tests.customers.insight import leave, make_people, put, told
from tests.databases import own_database
from tests.service.serving import DAY, NOON, TODAY, set_tier
from worker.follow_ups import are_follow_ups_due, sweep_follow_ups

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "tests" / "worker" / "killed_follow_ups.py"
STRUCK_OFF, TAKEN = "DELETE FROM follow_up_range", "INSERT INTO follow_up_range"


async def fill(database: Database, count: int = 7) -> list[str]:
    """So many customers, every other one a VIP, who were looked at on the first day."""
    people = await make_people(database, count)
    for one in people[::2]:
        await set_tier(database, one, Tier.VIP)
    assert await sweep_follow_ups(database, now=NOON, page=2) == count
    return people


async def owed_tasks(database: Database) -> list[str]:
    """Of whom tasks are owed, in order."""
    async with database.read() as session:
        rows = (await session.exec(select(Outbox).where(Outbox.topic == TASK_OWED))).all()
    return sorted(row.payload["customer_id"] for row in rows)


async def run_of(database: Database, day: date) -> FollowUpRun:
    async with database.read() as session:
        return await session.get_one(FollowUpRun, day)


async def free_ranges(database: Database) -> None:
    """As if two minutes were over since somebody took them."""
    async with database.write() as session:
        late = update(FollowUpRange).where(col(FollowUpRange.day).is_not(None))
        await changed_rows(session, late.values(busy_until=NOON - 9_999 * DAY))


def run_killed(stores: Addresses, url: str, statement: str, point: str, number: int) -> int:
    environment = {**os.environ, **stores.environment(), "DATABASE_URL": url}
    command = [sys.executable, str(SCRIPT), "30", statement, point, str(number)]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("statement", "point", "number"),
    [
        (TAKEN, "before-commit", 1),
        (TAKEN, "after-commit", 2),
        (STRUCK_OFF, "before-commit", 2),
        (STRUCK_OFF, "after-commit", 4),
    ],
)
async def test_killed_anywhere_and_run_again_everybody_is_looked_at_once(
    stores: Addresses, tmp_path: Path, statement: str, point: str, number: int
) -> None:
    """Given four VIPs who are due, when the look dies half-way, then the next one does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        people = await fill(database)
        now, day = NOON + 30 * DAY, TODAY + 30 * DAY
        assert await are_follow_ups_due(database, now=now)
        assert run_killed(stores, database.url, statement, point, number) == -signal.SIGKILL
        await sweep_follow_ups(database, now=now, page=2)
        await free_ranges(database)
        await sweep_follow_ups(database, now=now, page=2)
        assert await owed_tasks(database) == sorted(people[::2])
        run = await run_of(database, day)
        assert (run.customers, run.tasks, run.finished_at is not None) == (7, 4, True)
        assert not await are_follow_ups_due(database, now=now)
        assert await sweep_follow_ups(database, now=now + DAY / 4) == 0


async def test_several_workers_share_a_day(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        people = await fill(database, 21)
        now = NOON + 30 * DAY
        others = [Database(database.url, timeout=60) for _ in range(3)]
        seen = await asyncio.gather(*(sweep_follow_ups(one, now=now, page=2) for one in (database, *others)))
        for one in others:
            await one.close()
        assert sum(seen) == 21
        assert await owed_tasks(database) == sorted(people[::2])
        run = await run_of(database, TODAY + 30 * DAY)
        assert (run.customers, run.tasks, run.finished_at is not None) == (21, 11, True)


async def test_a_day_that_was_missed_is_made_up_for_and_told_late(stores: Addresses, tmp_path: Path) -> None:
    """Given no look from day 30 to 39, then on day 40 the task is opened, and missed from then; never twice."""
    async with own_database(stores, tmp_path) as database:
        people = await fill(database)
        for day in (40, 41, 42, 43, 44, 45):
            await sweep_follow_ups(database, now=NOON + day * DAY)
        assert await owed_tasks(database) == sorted(people[::2])
        async with database.read() as session:
            facts: Sequence[Fact] = (await session.exec(select(Fact).where(Fact.kind == FOLLOW_UP_MISSED))).all()
        assert sorted(one.customer_id for one in facts) == sorted(people[::2])
        assert {one.payload["day"] for one in facts} == {str(TODAY + 44 * DAY)}


async def test_what_the_banks_systems_tell_of_is_a_contact(stores: Addresses, tmp_path: Path) -> None:
    """Given three VIPs who are due, of whom one was called and one sent a leaflet, then two have tasks."""
    async with own_database(stores, tmp_path) as database:
        called, posted, _, _, alone = await fill(database, 5)
        await set_tier(database, posted, Tier.VIP)
        for number, (one, kind) in enumerate(((called, "CALL"), (alone, "LEAFLET"))):
            row = {"id": one, "customer_id": one, "key": str(number), "kind": kind, "channel": "PHONE", "topic": "X"}
            row |= {"occurred_at": NOON + 5 * DAY, "observed_at": NOON}
            await put(database, ServiceRecord, row | told())
        await sweep_follow_ups(database, now=NOON + 30 * DAY)
        assert called not in await owed_tasks(database) and alone in await owed_tasks(database)
        async with database.read() as session:
            row = await session.get_one(FollowUp, (called, "CONTACT"))
        assert (row.last_on, row.next_on) == (TODAY + 5 * DAY, TODAY + 35 * DAY)


async def test_who_was_erased_or_merged_is_looked_at_no_more(stores: Addresses, tmp_path: Path) -> None:
    async with own_database(stores, tmp_path) as database:
        first, _, erased, _, merged = await fill(database, 5)
        await leave(database, erased, merged, first)
        assert await sweep_follow_ups(database, now=NOON + 30 * DAY) == 3
        assert await owed_tasks(database) == [first]


async def test_a_range_that_somebody_is_at_is_left_to_them(stores: Addresses, tmp_path: Path) -> None:
    """Given a worker that died at a range, then others do not touch it, and the day is due again after a while."""
    async with own_database(stores, tmp_path) as database:
        await fill(database)
        now, day = NOON + 30 * DAY, TODAY + 30 * DAY
        assert run_killed(stores, database.url, TAKEN, "after-commit", 1) == -signal.SIGKILL
        assert await sweep_follow_ups(database, now=now, page=2) == 5
        run = await run_of(database, day)
        assert (run.customers, run.finished_at) == (5, None)
        async with database.read() as session:
            (left,) = (await session.exec(select(FollowUpRange))).all()
            assert left.day == day
            assert (await session.exec(select(func.count()).select_from(FollowUpRange))).one() == 1
            assert not await is_due(session, day, now=left.busy_until - timedelta(seconds=1))
            assert await is_due(session, day, now=left.busy_until)
