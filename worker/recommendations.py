"""All recommendations: `python -m worker.recommendations`, any number of times at once, on any number of machines.

All of them are one run, whose ranges they share; each goes on until the run is done. Started again within minutes of
its end it does nothing, unless told `--again`. `--learn` only makes this machine's copy of the last run's model.
The worker starts it as a process apart.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace

import structlog

from community.recommendation_learning import ScoringPolicy
from community.recommendation_models import ModelFolder, Population
from community.recommendation_policies import RunPlan, plan_now
from community.recommendation_runs import (
    LEARNING,
    LEASE,
    RANGE,
    RecommendationRange,
    claim,
    close_if_done,
    finish_learning,
    finish_range,
    keep_claim,
    learnt_run,
    open_run,
)
from community.recommendations import RunReport, compute_lists, learn, write_popularity
from core.clock import iso, utc_now
from core.db import Database
from core.ids import new_id
from core.log import configure_logging
from core.settings import load_settings
from graph.client import GraphClient
from graph.export import day_number, export_customer_ids
from worker.recommending import model_folder
from worker.work import Stores

log = structlog.get_logger(__name__)

# Between two looks whether somebody else's piece is done, or left.
PAUSE_SECONDS = 1.0
# The memberships choose a policy no more often: trying several takes as long as many runs.
CHOSEN_DAYS = 7.0
STANDARD = ScoringPolicy()


async def run_recommendations(
    stores: Stores,
    folder: ModelFolder,
    *,
    policy: ScoringPolicy | None = STANDARD,
    again: bool = False,
    range_size: int = RANGE,
) -> RunReport | None:
    """Take pieces of the open run, or of a new one, until it is done; None where one has just been done.

    Without a policy the memberships choose one. Returns what was done here. Cut off anywhere, the others or the next
    one go on: what was written stays.
    """
    began, worker = time.monotonic(), new_id()
    async with stores.database.write() as session:
        run = await open_run(session, now=utc_now(), again=again)
    if run is None:
        return None
    work = Ranges(stores, folder, policy, run.id, range_size)
    customers = lists = 0
    while True:
        async with stores.database.write() as session:
            held = await claim(session, run.id, worker=worker, now=utc_now())
            is_over = held is None and await close_if_done(session, run.id, now=utc_now())
        if held is not None:
            async with kept(stores.database, held):
                seen, written = await work.do(held)
            customers, lists = customers + seen, lists + written
        elif is_over:
            folder.forget_old()
            return RunReport(customers, lists, time.monotonic() - began)
        else:
            await asyncio.sleep(PAUSE_SECONDS)


class Ranges:
    """The pieces of one run, as this process does them."""

    def __init__(
        self, stores: Stores, folder: ModelFolder, policy: ScoringPolicy | None, run_id: str, range_size: int
    ) -> None:
        self.stores, self.folder, self.policy = stores, folder, policy
        self.run_id, self.range_size = run_id, range_size

    async def do(self, held: RecommendationRange) -> tuple[int, int]:
        """Do one piece; returns of how many customers it was, and how many lists were written."""
        if held.number == LEARNING:
            await self.learn(held)
            return 0, 0
        return await self.compute(held)

    async def customers_of(self, held: RecommendationRange) -> list[str]:
        """Who is in a range by now; it begins behind the customer with whom the one before it ends."""
        found = await export_customer_ids(self.stores.graph, first_id=held.after, last_id=held.upto, there=True)
        return [customer for customer in found if customer > held.after]

    async def learn(self, held: RecommendationRange) -> None:
        """Learn, keep the model, and cut the run into ranges."""
        begun = utc_now()
        population = await self.population()
        await write_popularity(self.stores.graph, population.model, now=begun, run_id=self.run_id)
        ends = population.customers[self.range_size - 1 : -1 : self.range_size]
        cuts = [end.decode() for end in ends.tolist()]
        async with self.stores.database.write() as session:
            await finish_learning(session, held, cuts, learnt_at=begun, now=utc_now())

    async def population(self) -> Population:
        """The model of the run; learnt here where this machine has none of it."""
        return await population_of(self.stores, self.folder, self.run_id, self.policy)

    async def compute(self, held: RecommendationRange) -> tuple[int, int]:
        """Compute the lists of a range from what is known of it now."""
        population, begun = await self.population(), utc_now()
        customers = await self.customers_of(held)
        lists = await compute_lists(self.stores.graph, population, customers, now=begun, run_id=self.run_id)
        async with self.stores.database.write() as session:
            await finish_range(session, held, customers=len(customers), lists=lists, now=utc_now())
        return len(customers), lists


async def population_of(stores: Stores, folder: ModelFolder, run_id: str, policy: ScoringPolicy | None) -> Population:
    """The model of a run, opened from its files; learnt first where this machine has none."""
    if not folder.has(run_id):
        async with stores.database.read() as session:
            plan = await plan_now(session)
        learnt = await learn_once_a_week(stores.graph, folder, policy, plan)
        await asyncio.to_thread(folder.save, run_id, learnt)
        del learnt
    return folder.load(run_id)


async def learn_once_a_week(
    graph: GraphClient, folder: ModelFolder, policy: ScoringPolicy | None, plan: RunPlan
) -> Population:
    """Learn by the given policy or, where none is given, by what the memberships chose within the last week."""
    if policy is not None:
        return await learn(graph, policy, now=utc_now(), plan=plan)
    before = await asyncio.to_thread(folder.last_chosen)
    if day_number(iso(utc_now())) - before.day < CHOSEN_DAYS:
        learnt = await learn(graph, before.policy, now=utc_now(), plan=plan)
        return replace(learnt, chosen=before)
    return await learn(graph, ScoringPolicy(), now=utc_now(), plan=plan, choosing=True)


@asynccontextmanager
async def kept(database: Database, held: RecommendationRange) -> AsyncGenerator[None, None]:
    """Renew the lease of a piece for as long as somebody is at it."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            async with database.write() as session:
                await keep_claim(session, held, now=utc_now())

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def learn_last(stores: Stores, folder: ModelFolder, *, policy: ScoringPolicy | None = STANDARD) -> None:
    """Make this machine's copy of the model by which single lists are brought up to date."""
    async with stores.database.read() as session:
        run = await learnt_run(session)
    if run is not None:
        await population_of(stores, folder, run.id, policy)
        folder.forget_old()


async def main(*, again: bool, only_learn: bool) -> None:
    """Recompute every customer's list."""
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(settings.database_url or "", pool_size=2)
    try:
        async with GraphClient.of(settings) as graph:
            stores, folder = Stores(database, graph), model_folder()
            if only_learn:
                await learn_last(stores, folder, policy=None)
                return
            report = await run_recommendations(stores, folder, policy=None, again=again)
    finally:
        await database.close()
    if report is not None:
        log.info("recommendations", **asdict(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compute all recommendations, together with whoever else is at it.")
    parser.add_argument("--again", action="store_true", help="though a run has just been done")
    parser.add_argument("--learn", action="store_true", help="only make this machine's copy of the last run's model")
    given = parser.parse_args()
    asyncio.run(main(again=given.again, only_learn=given.learn))
