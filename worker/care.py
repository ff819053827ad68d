"""Care: `python -m worker.care`, any number of times at once, plans the days that come and sends what is due, and ends.

The worker starts it as a process apart where there is something to do.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from core.clock import utc_now
from core.days import day_of
from core.db import Database, Session
from core.log import configure_logging
from core.settings import load_settings
from customers.care_reads import customers_between, present_among, refusing_care
from service.care_decisions import PAGE as DECIDED
from service.care_decisions import Standing, decide, is_something_due, take_due
from service.care_kinds import CareSilence
from service.care_mutes import muted_among
from service.care_occasions import Due, owe_tasks, plan
from service.care_policies import CareDefinition, active_care
from service.care_runs import (
    CarePart,
    CareRun,
    advance_run,
    are_runs_due,
    claim_run,
    count_planned,
    dates_of_page,
    greeted_on_festival,
    open_runs,
)
from service.care_zones import Zones, zones_of
from service.complaint_state import open_complaints_of

log = structlog.get_logger(__name__)

# So many customers are planned for in one go.
PAGE = 1_000
LONGEST_STATEMENT_SECONDS = 600.0


class Care:
    """One worker's part of the care of a moment; all of them together do what one would."""

    def __init__(
        self, database: Database, *, hash_key: str, now: datetime, page: int = PAGE, zones: Zones = zones_of
    ) -> None:
        self.database, self.hash_key, self.now = database, hash_key, now
        self.page, self.zones = page, zones
        self.zone = database.zone
        self.today = day_of(now, self.zone)

    async def run(self) -> int:
        """Plan what is near, then send what is due; returns how many greetings were owed."""
        async with self.database.write() as session:
            definition = await active_care(session)
            await open_runs(session, definition, today=self.today, now=self.now)
        while await self.plan_shard(definition):
            pass
        sent = 0
        while (done := await self.decide_page(definition)) is not None:
            sent += done
        return sent

    async def plan_shard(self, definition: CareDefinition) -> bool:
        """Plan the next shard to its end; False where there is none."""
        run: CareRun | None = None
        while True:
            async with self.database.write() as session:
                run = run or await claim_run(session, now=self.now)
                if run is None:
                    return False
                due, place, looked_at = await self.page_of(session, run, definition)
                if not await advance_run(session, run, to=place, looked_at=looked_at, now=self.now):
                    return True
                await count_planned(session, run, await self.put(session, due, definition))
            if place is None:
                return True
            # It is of the session no more: what it says is only read from here on.
            run.cursor = place

    async def page_of(
        self, session: Session, run: CareRun, definition: CareDefinition
    ) -> tuple[Sequence[Due], str | None, int]:
        """What the next page of a shard brings, the place behind it, and at how many it looked."""
        if run.part == CarePart.DATES:
            due, place = await dates_of_page(session, run, hash_key=self.hash_key, limit=self.page)
            return due, place, len(due)
        after = run.cursor or run.shard
        ids = await customers_between(session, after, run.beyond, limit=self.page)
        due = await greeted_on_festival(session, definition, ids, run.day, now=self.now)
        return due, ids[-1] if len(ids) == self.page else None, len(ids)

    async def put(self, session: Session, due: Sequence[Due], definition: CareDefinition) -> int:
        new = await put_planned(session, due, definition, zone=self.zone, zones=self.zones, now=self.now)
        return len(new)

    async def decide_page(self, definition: CareDefinition) -> int | None:
        """Decide the next page of what is due; how many are sent, None where nothing is due."""
        async with self.database.write() as session:
            occasions = await take_due(session, now=self.now, limit=min(self.page, DECIDED))
            if not occasions:
                return None
            ids = sorted({one.customer_id for one in occasions})
            known = Standing(
                present=await present_among(session, ids),
                refusals=await refusals_of(session, ids, now=self.now),
                complaining=await open_complaints_of(session, ids),
                zones=await self.zones(session, ids),
                zone=self.zone,
            )
            return await decide(session, occasions, known, hour=definition.hour, now=self.now)


async def refusals_of(session: Session, customer_ids: Sequence[str], *, now: datetime) -> dict[str, CareSilence]:
    """Who does not allow to be greeted, and how they said so."""
    refused = await refusing_care(session, customer_ids, now=now)
    return {one: CareSilence.CONSENT_REVOKED if once else CareSilence.NO_CONSENT for one, once in refused.items()}


async def put_planned(
    session: Session, due: Sequence[Due], definition: CareDefinition, *, zone: str, zones: Zones, now: datetime
) -> Sequence[Due]:
    """Plan days, and owe tasks for those of the customers' own; returns what is new.

    No task speaks of somebody who is in mourning, or does not allow that the bank thinks of their days. Of an open
    complaint staff know, and decide themselves.
    """
    if not due:
        return []
    ids = sorted({one.customer_id for one in due})
    chosen = await zones(session, ids)
    new = await plan(session, due, chosen, zone=zone, hour=definition.hour, now=now)
    own = [one for one in new if one.care_date_id is not None]
    for day in sorted({one.on_day for one in own}):
        of_day = [one for one in own if one.on_day == day]
        people = sorted({one.customer_id for one in of_day})
        quiet = await muted_among(session, people, day) | set(await refusing_care(session, people, now=now))
        wanted = [one for one in of_day if one.customer_id not in quiet]
        await owe_tasks(session, wanted, zone=zone, today=day_of(now, zone), now=now)
    return new


async def is_care_due(database: Database, *, now: datetime) -> bool:
    """Whether there is something to plan or to send; it costs a handful of statements."""
    async with database.read() as session:
        definition = await active_care(session)
        today = day_of(now, database.zone)
        return await is_something_due(session, now=now) or await are_runs_due(session, definition, today=today, now=now)


async def main() -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(
        settings.database_url or "", pool_size=2, timeout=LONGEST_STATEMENT_SECONDS, zone=settings.loyalty_time_zone
    )
    try:
        care = Care(database, hash_key=settings.identity_hash_key.get_secret_value(), now=utc_now())
        log.info("care", greeted=await care.run())
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
