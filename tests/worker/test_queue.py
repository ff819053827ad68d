"""The queue beside workers that were killed: what they were at is nobody's for a while, and must stop nobody."""

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.constants import in_progress_key_prefix, job_key_prefix

from core import outbox
from core.audit import ACT_AUDITED, act, acts_by_key
from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.processes import free_port, start_leashed, stop
from tests.conftest import Addresses
from worker.settings import LONGEST_JOB_SECONDS, QUEUE, Hints, WorkerSettings, beside

pytestmark = pytest.mark.anyio

GHOSTS = 400


async def test_jobs_of_killed_workers_at_the_head_of_the_queue_stop_nothing(
    stores: Addresses, database: Database, redis_url: str, unique: str, tmp_path: Path
) -> None:
    """Given hundreds of jobs that killed workers were at, when something is owed, then another worker settles it."""
    pool = await create_pool(RedisSettings.from_dsn(redis_url))
    names = [f"ghost-{unique}-{number}" for number in range(GHOSTS)]
    await pool.zadd(QUEUE, dict.fromkeys(names, 1))
    for name in names:
        await pool.set(in_progress_key_prefix + name, b"1", ex=600)
    now = utc_now()
    payload = act(area=f"test:{unique}", actor="test", action="TRIED", subject=unique, at=now)
    async with database.write() as session:
        await outbox.owe(session, topic=ACT_AUDITED, key=unique, payload=payload, now=now)
    environment = {**stores.environment(), "REDIS_URL": redis_url, "SWEEP_INTERVAL_SECONDS": "1"}
    worker = start_leashed([sys.executable, "-m", "worker"], log=tmp_path / "worker.log", env=environment)
    try:
        assert await settled(database, unique), (tmp_path / "worker.log").read_text()[-2000:]
    finally:
        stop(worker, patience=5)
        await pool.zrem(QUEUE, *names)
        await pool.delete(*(in_progress_key_prefix + name for name in names))
        await pool.aclose()


async def settled(database: Database, key: str) -> bool:
    for _ in range(120):
        async with database.read() as session:
            if await acts_by_key(session, [key]):
                return True
        await asyncio.sleep(0.5)
    return False


@pytest.mark.parametrize("listens", [False, True], ids=["away", "silent"])
async def test_a_queue_that_is_away_holds_up_nobody(unique: str, listens: bool) -> None:
    """Given a Redis that refuses, or that never answers, when many rows are hinted at, one waits, for a second."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0 if listens else free_port()))
        if listens:
            silent.listen()
        pool = ArqRedis.from_url(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        hints, began = Hints(pool), time.monotonic()
        await hints.wake([f"{unique}-{number}" for number in range(2_000)])
        await hints.wake([unique])
        assert time.monotonic() - began < 3
        await pool.aclose()


async def test_rows_that_are_due_are_hinted_at(redis_url: str, unique: str) -> None:
    pool = await create_pool(RedisSettings.from_dsn(redis_url))
    job = derived_id("settle_outbox", unique)
    try:
        await Hints(pool).wake([unique])
        assert await pool.exists(job_key_prefix + job)
        assert await pool.zscore(QUEUE, job) is not None
    finally:
        await pool.zrem(QUEUE, job)
        await pool.delete(job_key_prefix + job)
        await pool.aclose()


def test_no_job_keeps_what_it_was_at_for_longer_than_a_minute() -> None:
    """Given that arq keeps it for the longest time-out of all, then none is long."""
    jobs: list[Any] = [*WorkerSettings.functions, *WorkerSettings.cron_jobs]
    assert {job.name for job in jobs if not 0 < (job.timeout_s or 0) <= LONGEST_JOB_SECONDS} == set()


async def test_long_work_goes_on_beside_the_jobs_and_once_at_a_time() -> None:
    """Given work that takes long, then the job ends at once, a second begins nothing, and afterwards one can again."""
    begun, may_end = 0, asyncio.Event()

    @beside(seconds=60)
    async def work(_: dict[str, Any]) -> None:
        nonlocal begun
        begun += 1
        await may_end.wait()

    context: dict[str, Any] = {"running": {}}
    await work(context)
    await work(context)
    await asyncio.sleep(0)
    assert (begun, len(context["running"])) == (1, 1)
    may_end.set()
    await asyncio.gather(*context["running"].values())
    await asyncio.sleep(0)
    assert context["running"] == {}
    await work(context)
    await asyncio.sleep(0)
    assert begun == 2
    await asyncio.gather(*context["running"].values())
