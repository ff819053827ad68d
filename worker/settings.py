"""What arq runs: `python -m worker`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from types import CoroutineType
from typing import Any, ClassVar

import structlog
from arq import cron, func
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Function

from core.clock import utc_now
from core.db import Database
from core.ids import derived_id
from core.live import Bell
from core.log import begin_lines, configure_logging
from core.outage import Outage
from core.outbox import hints_for
from core.processes import start_leashed, stop
from core.settings import load_settings
from graph.client import GraphClient
from service.message_outlets import Outlets
from worker.alerts import are_alerts_due
from worker.anniversaries import sweep_anniversaries
from worker.announcing import sweep_announcements
from worker.care import is_care_due
from worker.complaints import sweep_complaints, watch_calendars
from worker.completion import complete_forgotten_events
from worker.day_close import is_day_due
from worker.delivering import sweep_deliveries
from worker.follow_ups import are_follow_ups_due
from worker.merging import sweep_merged
from worker.needs import are_needs_due
from worker.reminders import sweep_digests, sweep_reminders
from worker.series import extend_due_series
from worker.service_breaks import are_breaks_due
from worker.sweeps import relay_owed, settle_attendance_of, settle_hinted, sweep_graph, sweep_outbox
from worker.tasks import hand_over_tasks
from worker.tiers import is_month_due
from worker.work import Stores

log = structlog.get_logger(__name__)

QUEUE = "kinship"
Context = dict[str, Any]
Job = Callable[..., "CoroutineType[Any, Any, None]"]
# No job takes longer; what does goes on beside the jobs.
LONGEST_JOB_SECONDS = 60


async def start(ctx: Context) -> None:
    """Open the stores; arq calls it once before the first job."""
    settings = load_settings()
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is not set: start the system with make run")
    pool: ArqRedis = ctx["redis"]
    database = Database(
        settings.database_url,
        pool_size=settings.database_pool_size,
        wake=Hints(pool).wake,
        keys=settings.key_ring,
        zone=settings.loyalty_time_zone,
    )
    ctx["stores"] = Stores(database, GraphClient.of(settings), Bell(pool).ring, Outlets.of(settings))
    ctx["running"] = {}
    log.info("worker_started")


class Hints:
    """The way of a worker to the others; whatever cannot be enqueued is left to the sweep."""

    def __init__(self, pool: ArqRedis) -> None:
        self._pool = pool
        # Without its patience a Redis that is stopped would hold up whatever a worker has just committed.
        self._outage = Outage("queue")

    async def wake(self, row_ids: Sequence[str]) -> None:
        """Hint at outbox rows that are due."""

        async def ask(ids: Sequence[str]) -> None:
            job_id = derived_id("settle_outbox", *ids)
            await self._pool.enqueue_job("settle_outbox", *ids, _job_id=job_id, _queue_name=QUEUE)

        for ids in hints_for(row_ids):
            await self._outage.asked(partial(ask, ids))


async def finish(ctx: Context) -> None:
    stores: Stores = ctx["stores"]
    tasks: list[asyncio.Task[None]] = list(ctx["running"].values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await stores.graph.close()
    await stores.database.close()


async def begin_job(ctx: Context) -> None:
    begin_lines(job_id=ctx["job_id"])


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


def beside(*, seconds: int) -> Callable[[Job], Job]:
    """Make a job only begin its work, which goes on beside the jobs for so long at most; again it begins nothing.

    What a killed worker was at arq keeps from the others until the longest time-out of all jobs is over, and it reads
    but the head of its queue: with time-outs of hours, killed workers fill that head, and nothing at all is done.
    """

    def begins(work: Job) -> Job:
        @wraps(work)
        async def begin(ctx: Context, *given: str) -> None:
            running: dict[str, asyncio.Task[None]] = ctx["running"]
            name = work.__name__
            if name not in running:
                running[name] = asyncio.create_task(within(seconds, work(ctx, *given)))
                running[name].add_done_callback(lambda task: ended(running, name, task))

        return begin

    return begins


async def within(seconds: int, work: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await work


def ended(running: dict[str, asyncio.Task[None]], name: str, task: asyncio.Task[None]) -> None:
    """Let it be begun again; what it died of is told, because nobody waits for it."""
    running.pop(name, None)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("work_failed", work=name, exc_info=error)


@beside(seconds=600)
async def watch_complaints(ctx: Context) -> None:
    """Warn of deadlines of complaints and escalate those that are over; cheap when there is nothing."""
    looked = await sweep_complaints(ctx["stores"], now=utc_now())
    if looked:
        log.info("complaints", looked_at=looked)


@beside(seconds=300)
async def know_days(ctx: Context) -> None:
    """Have deadlines counted anew where days are known that were provisional; hourly, as a release may bring them."""
    changed = await watch_calendars(ctx["stores"], now=utc_now())
    if changed:
        log.info("calendars_changed", calendars=changed)


async def deliver(ctx: Context) -> None:
    """Send what is due by e-mail and webhooks; cheap when there is nothing."""
    sent = await sweep_deliveries(ctx["stores"])
    if sent:
        log.info("deliveries_sent", deliveries=sent)


@beside(seconds=600)
async def announce(ctx: Context) -> None:
    """Owe the messages of articles that are announced; cut off, the next run goes on."""
    await sweep_announcements(ctx["stores"].database)


@beside(seconds=600)
async def remind(ctx: Context) -> None:
    """Owe the reminders and requests for feedback that are due; the sweep stores them."""
    owed = await sweep_reminders(ctx["stores"], now=utc_now())
    if owed:
        log.info("reminders", owed=owed)


@beside(seconds=600)
async def digest(ctx: Context) -> None:
    """Owe the digests of the week that is over, and go on with a run that was cut off."""
    owed = await sweep_digests(ctx["stores"], now=utc_now())
    if owed:
        log.info("digests", owed=owed)


@beside(seconds=1_800)
async def find_anniversaries(ctx: Context) -> None:
    """Record whose anniversary it is; hourly, so that a day is searched soon after it began, and cut off it goes on."""
    found = await sweep_anniversaries(ctx["stores"], zone=SETTINGS.loyalty_time_zone, now=utc_now())
    if found:
        log.info("anniversaries", facts=found)


@beside(seconds=300)
async def extend_series(ctx: Context) -> None:
    """Lay out recurring events; hourly, because a series is due once a day and one hour may be missed."""
    made = await extend_due_series(ctx["stores"])
    if made:
        log.info("series_extended", occurrences=made)


@beside(seconds=300)
async def complete_events(ctx: Context) -> None:
    """Complete events that nobody did; hourly, because the absences of one hour are few."""
    completed = await complete_forgotten_events(ctx["stores"], now=utc_now())
    if completed:
        log.info("events_completed", events=completed)


@beside(seconds=300)
async def follow_merged(ctx: Context) -> None:
    """Let points that came to merged profiles follow; hourly, because refunds to them are few."""
    await sweep_merged(ctx["stores"].database)


@beside(seconds=3_600)
async def recompute_recommendations(ctx: Context) -> None:
    """Compute all lists anew; cut off, the old ones stay valid."""
    await run_apart("worker.recommendations")


@beside(seconds=3_600)
async def search_for_rings(ctx: Context) -> None:
    """Search all customers for rings; cut off, the next hour does the rest."""
    await run_apart("worker.rings")


@beside(seconds=1_800)
async def recompute_influence(ctx: Context) -> None:
    """Rank anew who stands behind the most referrals; cut off, the old ranking stays valid."""
    await run_apart("worker.influence")


@beside(seconds=14_400)
async def close_days(ctx: Context, _: str = "") -> None:
    """Close the days that are over; cut off, the next run goes on. Looking whether there are any is cheap."""
    stores: Stores = ctx["stores"]
    if await is_day_due(stores.database, zone=SETTINGS.loyalty_time_zone):
        await run_apart("worker.day_close")


@beside(seconds=14_400)
async def decide_tiers(ctx: Context) -> None:
    """Decide the tiers of the months that are over; cut off, the next look goes on. Looking is cheap."""
    stores: Stores = ctx["stores"]
    if await is_month_due(stores.database, zone=SETTINGS.loyalty_time_zone):
        await run_apart("worker.tiers")


@beside(seconds=3_600)
async def follow_managers(ctx: Context) -> None:
    """Let open tasks follow customers who have another manager by now."""
    await hand_over_tasks(ctx["stores"])


@beside(seconds=14_400)
async def look_at_customers(ctx: Context) -> None:
    """Look for alerts, needs and follow-ups of the day; cut off, the next run goes on. Looking whether is cheap."""
    stores: Stores = ctx["stores"]
    if await are_alerts_due(stores.database, now=utc_now()):
        await run_apart("worker.alerts")
    if await are_needs_due(stores.database, now=utc_now()):
        await run_apart("worker.needs")
    if await are_follow_ups_due(stores.database, now=utc_now()):
        await run_apart("worker.follow_ups")


@beside(seconds=14_400)
async def greet_customers(ctx: Context) -> None:
    """Plan the days that come and send what is due; every minute, so that nine is nine. Looking is cheap."""
    stores: Stores = ctx["stores"]
    if await is_care_due(stores.database, now=utc_now()):
        await run_apart("worker.care")


@beside(seconds=3_600)
async def find_missed_breaks(ctx: Context) -> None:
    """Look for service breaks that were missed; cut off, the next run goes on. Looking whether it is done is cheap."""
    stores: Stores = ctx["stores"]
    if await are_breaks_due(stores.database, now=utc_now()):
        await run_apart("worker.service_breaks")


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
        func(recompute_recommendations, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        func(close_days, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        func(search_for_rings, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
    ]
    cron_jobs: ClassVar[list[Any]] = [
        cron(sweep, second=every(SETTINGS.sweep_interval_seconds), timeout=60, keep_result=0, max_tries=1),
        cron(watch_complaints, second=every(10), timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(know_days, minute={3}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(
            deliver,
            second=every(SETTINGS.sweep_interval_seconds),
            timeout=LONGEST_JOB_SECONDS,
            keep_result=0,
            max_tries=1,
        ),
        cron(announce, second={20}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(remind, second={30}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(digest, minute=every(10), second={45}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(complete_events, minute={41}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(find_anniversaries, minute={11}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(follow_merged, minute={29}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(extend_series, minute={23}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(close_days, minute=every(10), second={15}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(decide_tiers, minute={19}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(look_at_customers, minute=every(10), second={5}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(follow_managers, minute={33}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(greet_customers, second={1}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(
            find_missed_breaks, minute=every(10), second={35}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1
        ),
        cron(recompute_recommendations, minute={7}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(search_for_rings, minute={37}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
        cron(recompute_influence, minute={52}, timeout=LONGEST_JOB_SECONDS, keep_result=0, max_tries=1),
    ]
    on_startup = start
    on_shutdown = finish
    on_job_start = begin_job
    max_jobs = 10
    # Far more than all workers can have been at when they were killed.
    queue_read_limit = 1_000
    job_completion_wait = 5
    handle_signals = True
    health_check_interval = 30
