"""Follow-ups of the day: `python -m worker.follow_ups` looks at all customers and ends; several do it together.

The worker starts it as a process apart.
"""

import asyncio
from datetime import datetime

import structlog

from core.clock import utc_now
from core.db import Database, Session
from core.log import configure_logging
from core.settings import load_settings
from customers.insight_sweeps import customers_between, next_customers
from customers.interactions import latest_contacts
from service.follow_up_definition import FollowUpDefinition
from service.follow_up_rules import Owed
from service.follow_up_runs import (
    PAGE,
    Range,
    count_up,
    finish_run,
    give_out,
    hold_run,
    is_due,
    left_range,
    open_run,
    strike_off,
)
from service.follow_ups import FollowUpPolicy, look, policy_in_use
from service.policies import ServicePolicy

log = structlog.get_logger(__name__)

# One page is read by a handful of statements; no other statement comes near it.
LONGEST_STATEMENT_SECONDS = 600.0


async def sweep_follow_ups(database: Database, *, now: datetime, page: int = PAGE) -> int:
    """Look at everybody at whom today's look has not come; returns how many customers this call looked at.

    Cut off anywhere, the next call goes on; of several at once each takes other customers.
    """
    async with database.write() as session:
        in_use = await policy_in_use(session, now=now)
        run = await open_run(session, in_use.today, in_use.id, now=now)
    if run is None:
        return 0
    async with database.read() as session:
        row = await session.get_one(ServicePolicy, run.policy_id)
    policy = FollowUpPolicy(row.id, FollowUpDefinition.model_validate(row.definition), run.day)
    seen = 0
    while (taken := await next_range(database, policy, page=page)) is not None:
        seen += await look_at(database, policy, taken, now=now)
    async with database.write() as session:
        if await finish_run(session, policy.today, now=utc_now()):
            log.info("follow_ups_looked_at", day=policy.today.isoformat())
    return seen


async def next_range(database: Database, policy: FollowUpPolicy, *, page: int) -> Range | None:
    """The next customers to look at: those whom somebody has left, else those at whom nobody was."""
    now = utc_now()
    async with database.write() as session:
        left = await left_range(session, policy.today, now=now)
        if left is not None:
            return left
        run = await hold_run(session, policy.today)
        if run.is_given_out:
            return None
        return await give_out(session, run, await next_customers(session, run.cursor, limit=page), now=now)


async def look_at(database: Database, policy: FollowUpPolicy, taken: Range, *, now: datetime) -> int:
    """Look at the customers of a range, in one transaction with striking it off."""
    async with database.write() as session:
        if not await strike_off(session, taken):
            return 0
        return await look_within(session, policy, taken, now=now)


async def look_within(session: Session, policy: FollowUpPolicy, taken: Range, *, now: datetime) -> int:
    ids = await customers_between(session, taken.after, taken.last)
    turn = await look(session, ids, policy, told=latest_contacts, now=now)
    counts = {"tasks": Owed.TASK, "messages": Owed.MESSAGE, "missed": Owed.MISSED}
    figures = {name: turn.count(what) for name, what in counts.items()}
    await count_up(session, policy.today, customers=len(ids), **figures)
    return len(ids)


async def are_follow_ups_due(database: Database, *, now: datetime) -> bool:
    """Whether today's look is not done and something is left that nobody is at."""
    async with database.read() as session:
        return await is_due(session, (await policy_in_use(session, now=now)).today, now=now)


async def main() -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    database = Database(
        settings.database_url or "", pool_size=2, timeout=LONGEST_STATEMENT_SECONDS, zone=settings.loyalty_time_zone
    )
    try:
        log.info("follow_ups_swept", customers=await sweep_follow_ups(database, now=utc_now()))
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
