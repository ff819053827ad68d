"""The daily sweep for service breaks: `python -m worker.service_breaks` goes through what its rules look at, and ends.

The worker starts it as a process apart. Breaks are found when their facts come; this finds what was missed, such as
what happened before a rule was activated that applies from before.
"""

import asyncio
from datetime import datetime

from core.clock import utc_now
from core.db import Database
from service.break_looks import find_breaks
from service.break_sweeps import (
    PAGE,
    advance_break_sweep,
    count_found,
    is_break_sweep_due,
    next_facts,
    open_break_sweep,
)
from worker.daily_looks import look_once
from worker.promises import of_customers_present


async def sweep_breaks(database: Database, *, now: datetime, page: int = PAGE) -> int:
    """Look at every fact to which today's sweep has not come yet; returns how many breaks it opened."""
    async with database.write() as session:
        row = await open_break_sweep(session, zone=database.zone, now=now)
    found = 0
    while row is not None:
        async with database.write() as session:
            facts = await next_facts(session, row, now=now, limit=page)
            if not await advance_break_sweep(session, row, facts, now=utc_now()):
                return found
            new = await find_breaks(session, await of_customers_present(session, facts), now=now)
            await count_found(session, row, len(new))
        found += len(new)
        if not facts:
            return found
        row.kind, row.occurred_at, row.fact_id = facts[-1].kind, facts[-1].occurred_at, facts[-1].id
    return found


async def are_breaks_due(database: Database, *, now: datetime) -> bool:
    """Whether today's sweep is not done and nobody is at it."""
    async with database.read() as session:
        return await is_break_sweep_due(session, zone=database.zone, now=now)


if __name__ == "__main__":
    asyncio.run(look_once("service_breaks_swept", sweep_breaks))
