"""The run of recommendations on Apache Spark: `python -m worker.recommendations_spark [--master local[2]]`.

This process takes several ranges at once, writes what is known of their customers into files, lets Spark score them by
the very function of the plain run, and stores the lists: so it shares a run with plain workers, and goes on like them.
The data folder has to be one that all executors see under the same name. It needs requirements/spark.txt and a Java.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from community.recommendation_learning import ScoringPolicy
from community.recommendation_models import ModelFolder
from community.recommendation_parts import save_part, scored_parts
from community.recommendation_runs import (
    LEARNING,
    RANGE,
    RecommendationRange,
    claim,
    close_if_done,
    finish_range,
    open_run,
)
from community.recommendations import RunReport, write_lists
from core.clock import iso, utc_now
from core.db import Database
from core.ids import new_id
from core.log import configure_logging
from core.processes import REPOSITORY
from core.settings import load_settings
from graph.client import GraphClient
from graph.evidence import known_of_range
from worker.recommendations import PAUSE_SECONDS, STANDARD, Ranges, kept
from worker.recommending import model_folder
from worker.work import Stores

log = structlog.get_logger(__name__)

# So many ranges are given to Spark together; their files and lists are what this process holds.
RANGES_AT_ONCE = 16


def spark_context(master: str) -> Any:
    """A context whose executors find our modules; a local one listens on loopback only."""
    from pyspark import SparkConf, SparkContext

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf().setMaster(master).setAppName("recommendations").set("spark.ui.enabled", "false")
    conf.setExecutorEnv("PYTHONPATH", str(REPOSITORY))
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
    return SparkContext(conf=conf)


async def run_on_spark(
    stores: Stores,
    folder: ModelFolder,
    spark: Any,
    *,
    policy: ScoringPolicy | None = STANDARD,
    again: bool = False,
    range_size: int = RANGE,
) -> RunReport | None:
    """Take ranges of the open run, or of a new one, until it is done; as the plain run does, many at once."""
    began, worker = time.monotonic(), new_id()
    async with stores.database.write() as session:
        run = await open_run(session, now=utc_now(), again=again)
    if run is None:
        return None
    work = Ranges(stores, folder, policy, run.id, range_size)
    customers = lists = 0
    while True:
        held = await claim_some(stores.database, run.id, worker)
        if held is None:
            folder.forget_old()
            return RunReport(customers, lists, time.monotonic() - began)
        async with AsyncExitStack() as stack:
            for one in held:
                await stack.enter_async_context(kept(stores.database, one))
            if held and held[0].number == LEARNING:
                await work.learn(held[0])
            elif held:
                seen, written = await compute_on(spark, work, held)
                customers, lists = customers + seen, lists + written
            else:
                await asyncio.sleep(PAUSE_SECONDS)


async def claim_some(database: Database, run_id: str, worker: str) -> list[RecommendationRange] | None:
    """Ranges that nobody is at, or the learning alone; None when the run is over."""
    held: list[RecommendationRange] = []
    async with database.write() as session:
        while len(held) < RANGES_AT_ONCE:
            one = await claim(session, run_id, worker=worker, now=utc_now())
            if one is None:
                break
            held.append(one)
            if one.number == LEARNING:
                break
        if not held and await close_if_done(session, run_id, now=utc_now()):
            return None
    return held


async def compute_on(spark: Any, work: Ranges, held: list[RecommendationRange]) -> tuple[int, int]:
    """Let Spark score these ranges, and store their lists; of how many customers, and how many lists."""
    parts = work.folder.path / f".parts-{work.run_id}-{os.getpid()}"
    ranges: dict[str, tuple[RecommendationRange, datetime]] = {}
    try:
        for one in held:
            path = parts / str(one.number)
            ranges[str(path)] = (one, utc_now())
            await put_part(work, one, path)
        score = partial(scored_parts, str(work.folder.path), work.run_id)
        scored = spark.parallelize(list(ranges), len(ranges)).mapPartitions(score)
        found = await asyncio.to_thread(scored.collect)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    customers = lists = 0
    for path, rows in found:
        one, begun = ranges[path]
        written = await write_lists(work.stores.graph, rows, now=begun, run_id=work.run_id)
        async with work.stores.database.write() as session:
            await finish_range(session, one, customers=len(rows), lists=written, now=utc_now())
        customers, lists = customers + len(rows), lists + written
    return customers, lists


async def put_part(work: Ranges, held: RecommendationRange, path: Path) -> None:
    """Export what is known of the customers of a range into files."""
    population = await work.population()
    known = await known_of_range(work.stores.graph, await work.customers_of(held), now=iso(utc_now()))
    await asyncio.to_thread(save_part, path, population, known)


async def main(master: str, *, again: bool, range_size: int) -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(settings.database_url or "", pool_size=2)
    spark = spark_context(master)
    try:
        async with GraphClient.of(settings) as graph:
            stores = Stores(database, graph)
            report = await run_on_spark(stores, model_folder(), spark, policy=None, again=again, range_size=range_size)
    finally:
        spark.stop()
        await database.close()
    if report is not None:
        log.info("recommendations", engine="spark", **asdict(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compute all recommendations on Spark.")
    parser.add_argument("--master", default="local[*]", help="Spark's master; its own settings apply besides")
    parser.add_argument("--again", action="store_true", help="though a run has just been done")
    parser.add_argument("--range-size", type=int, default=RANGE, help="customers of a range of a new run")
    given = parser.parse_args()
    asyncio.run(main(given.master, again=given.again, range_size=given.range_size))
