"""What arq runs: `python -m worker`."""

import asyncio
import sys
from typing import Any, ClassVar

import structlog
from arq import cron, func
from arq.connections import RedisSettings
from arq.worker import Function

from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.live import Bell
from core.log import configure_logging
from core.outbox import hints_for
from core.processes import start_leashed, stop
from core.settings import load_settings
from graph.client import GraphClient
from worker.anniversaries import sweep_anniversaries
from worker.completion import complete_forgotten_events
from worker.day_close import is_day_due
from worker.handlers import Stores
from worker.reminders import sweep_digests, sweep_reminders
from worker.series import extend_due_series
from worker.sweeps import relay_owed, settle_attendance_of, settle_hinted, sweep_graph, sweep_outbox

log = structlog.get_logger(__name__)

QUEUE = "kinship"
Context = dict[str, Any]


async def start(ctx: Context) -> None:
    """Open the stores; arq calls it once before the first job."""
    settings = load_settings()
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set: start the system with make run")
    pool: Any = ctx["redis"]

    async def wake(row_ids: Any) -> None:
        await hint(pool, row_ids)

    database = Database(settings.database_url, pool_size=settings.database_pool_size, wake=wake)
    ctx["stores"] = Stores(database, GraphClient.of(settings), Bell(pool).ring)
    log.info("worker_started")


async def hint(pool: Any, row_ids: Any) -> None:
    """Tell the queue of owed effects; a queue that is away only makes the sweep do it."""
    try:
        for ids in hints_for(row_ids):
            job_id = derived_id("settle_outbox", *ids)
            await pool.enqueue_job("settle_outbox", *ids, _job_id=job_id, _queue_name=QUEUE)
    except OSError as error:
        log.warning("queue_unavailable", error=str(error))


async def finish(ctx: Context) -> None:
    stores: Stores = ctx["stores"]
    await stores.graph.close()
    await stores.database.close()


async def begin_job(ctx: Context) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(job_id=ctx["job_id"])


async def settle_outbox(ctx: Context, *row_ids: str) -> None:
    await settle_hinted(ctx["stores"], row_ids)


async def settle_attendance(ctx: Context, key: str) -> None:
    await settle_attendance_of(ctx["stores"], key)


async def relay(ctx: Context, _: str) -> None:
    """What a change in the graph hints at: move what it owes, and settle what is due of it."""
    stores: Stores = ctx["stores"]
    await relay_owed(stores)
    await sweep_outbox(stores)


async def sweep(ctx: Context) -> None:
    """Find what is owed in both stores; cheap when there is nothing."""
    stores: Stores = ctx["stores"]
    found = await sweep_graph(stores) + await sweep_outbox(stores)
    if found:
        log.info("sweep", settled=found)


async def remind(ctx: Context) -> None:
    """Owe the reminders and requests for feedback that are due; the sweep stores them."""
    owed = await sweep_reminders(ctx["stores"], now=utc_now())
    if owed:
        log.info("reminders", owed=owed)


async def digest(ctx: Context) -> None:
    """Owe the digests of the week that is over, and go on with a run that was cut off."""
    owed = await sweep_digests(ctx["stores"], now=utc_now())
    if owed:
        log.info("digests", owed=owed)


async def find_anniversaries(ctx: Context) -> None:
    """Record whose anniversary it is; hourly, so that a day is searched soon after it began, and cut off it goes on."""
    found = await sweep_anniversaries(ctx["stores"], zone=SETTINGS.loyalty_time_zone, now=utc_now())
    if found:
        log.info("anniversaries", facts=found)


async def extend_series(ctx: Context) -> None:
    """Lay out recurring events; hourly, because a series is due once a day and one hour may be missed."""
    made = await extend_due_series(ctx["stores"])
    if made:
        log.info("series_extended", occurrences=made)


async def complete_events(ctx: Context) -> None:
    """Complete events that nobody did; hourly, because the absences of one hour are few."""
    completed = await complete_forgotten_events(ctx["stores"], now=utc_now())
    if completed:
        log.info("events_completed", events=completed)


async def recompute_recommendations(ctx: Context) -> None:
    """Compute all lists anew; cut off, the old ones stay valid."""
    await run_apart("worker.recommendations")


async def search_for_rings(ctx: Context) -> None:
    """Search all customers for rings; cut off, the next hour does the rest."""
    await run_apart("worker.rings")


async def recompute_influence(ctx: Context) -> None:
    """Rank anew who stands behind the most referrals; cut off, the old ranking stays valid."""
    await run_apart("worker.influence")


async def close_days(ctx: Context, _: str = "") -> None:
    """Close the days that are over; cut off, the next run goes on. Looking whether there are any is cheap."""
    stores: Stores = ctx["stores"]
    if await is_day_due(stores.database, zone=SETTINGS.loyalty_time_zone):
        await run_apart("worker.day_close")


async def run_apart(module: str) -> None:
    """Run a bulk computation in a process of its own, so that its memory goes and the sweeps go on."""
    process = start_leashed([sys.executable, "-m", module], log=None)
    try:
        await asyncio.to_thread(process.wait)
    finally:
        # A worker that is asked to stop takes the computation with it; what was computed before stays valid.
        await asyncio.shield(asyncio.to_thread(stop, process))
    if process.returncode != 0:
        log.error("computation_failed", module=module, exit_code=process.returncode)


def every(seconds: int) -> set[int]:
    """The seconds of a minute at which something runs that often."""
    return set(range(0, 60, seconds))


SETTINGS = load_settings()
configure_logging(SETTINGS.log_level)


class WorkerSettings:
    """A job killed half-way is found by the sweep; so time-outs are short and nothing is retried here."""

    redis_settings = RedisSettings.from_dsn(SETTINGS.redis_url or "redis://127.0.0.1:6379")
    queue_name = QUEUE
    functions: ClassVar[list[Function]] = [
        func(settle_outbox, timeout=30, keep_result=0, max_tries=1),
        func(settle_attendance, timeout=30, keep_result=0, max_tries=1),
        func(relay, timeout=60, keep_result=0, max_tries=1),
        func(recompute_recommendations, timeout=3600, keep_result=0, max_tries=1),
        func(close_days, timeout=14_400, keep_result=0, max_tries=1),
        func(search_for_rings, timeout=3600, keep_result=0, max_tries=1),
    ]
    cron_jobs: ClassVar[list[Any]] = [
        cron(sweep, second=every(SETTINGS.sweep_interval_seconds), timeout=60, keep_result=0, max_tries=1),
        cron(remind, second={30}, timeout=600, keep_result=0, max_tries=1),
        cron(digest, minute=every(10), second={45}, timeout=600, keep_result=0, max_tries=1),
        cron(complete_events, minute={41}, timeout=300, keep_result=0, max_tries=1),
        cron(find_anniversaries, minute={11}, timeout=1800, keep_result=0, max_tries=1),
        cron(extend_series, minute={23}, timeout=300, keep_result=0, max_tries=1),
        cron(close_days, minute=every(10), second={15}, timeout=14_400, keep_result=0, max_tries=1),
        cron(recompute_recommendations, minute={7}, timeout=3600, keep_result=0, max_tries=1),
        cron(search_for_rings, minute={37}, timeout=3600, keep_result=0, max_tries=1),
        cron(recompute_influence, minute={52}, timeout=1800, keep_result=0, max_tries=1),
    ]
    on_startup = start
    on_shutdown = finish
    on_job_start = begin_job
    max_jobs = 10
    job_completion_wait = 5
    handle_signals = True
    health_check_interval = 30
