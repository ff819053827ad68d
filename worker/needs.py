"""Needs that rules find: `python -m worker.needs` looks at all customers once a day and ends.

The worker starts it as a process apart.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from core.db import Database, Session
from customers.alert_reads import Who
from customers.insight_policies import InsightPolicy, PolicyKind
from customers.insight_sweeps import PAGE, is_due, open_sweep
from customers.need_looks import need_definition_in_use, read_need_policy, suspect
from customers.needs import Suspicion, raise_needs
from worker.daily_looks import look_once, look_through


async def sweep_needs(database: Database, *, now: datetime, page: int = PAGE) -> int:
    """Look at everybody at whom today's look has not come yet; returns how many needs it raised."""
    async with database.write() as session:
        zone = (await need_definition_in_use(session)).time_zone
        row = await open_sweep(session, PolicyKind.NEEDS, zone=zone, now=now)
    if row is None:
        return 0
    async with database.read() as session:
        policy = await read_need_policy(session, await session.get_one(InsightPolicy, row.policy_id))

    async def find(session: Session, who: Who) -> Sequence[Suspicion]:
        return await suspect(session, who, policy, now=now)

    async def put(session: Session, found: Sequence[Suspicion]) -> int:
        return await raise_needs(session, found, policy.id, now=now)

    return await look_through(database, row, find, put, page=page)


async def are_needs_due(database: Database, *, now: datetime) -> bool:
    """Whether today's look is not done and nobody is at it."""
    async with database.read() as session:
        zone = (await need_definition_in_use(session)).time_zone
        return await is_due(session, PolicyKind.NEEDS, zone=zone, now=now)


if __name__ == "__main__":
    asyncio.run(look_once("needs_swept", sweep_needs))
