"""Early warning: `python -m worker.alerts` looks at all customers once a day and ends.

The worker starts it as a process apart.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from core.db import Database, Session
from customers.alert_looks import look_at, policy_in_use, read_policy
from customers.alert_reads import Who, span_of
from customers.alerts import Finding, raise_alerts
from customers.insight_policies import InsightPolicy, PolicyKind
from customers.insight_sweeps import PAGE, is_due, open_sweep
from worker.daily_looks import look_once, look_through


async def sweep_alerts(database: Database, *, now: datetime, page: int = PAGE) -> int:
    """Look at everybody at whom today's look has not come yet; returns how many alerts it raised."""
    async with database.write() as session:
        zone = (await policy_in_use(session)).definition.time_zone
        row = await open_sweep(session, PolicyKind.ALERTS, zone=zone, now=now)
    if row is None:
        return 0
    async with database.read() as session:
        policy = await read_policy(session, await session.get_one(InsightPolicy, row.policy_id))
    span = span_of(row.first_day, zone=zone, now=now)

    async def find(session: Session, who: Who) -> Sequence[Finding]:
        return await look_at(session, who, policy, span)

    async def put(session: Session, found: Sequence[Finding]) -> int:
        return len(await raise_alerts(session, found, policy.terms, now=now))

    return await look_through(database, row, find, put, page=page)


async def are_alerts_due(database: Database, *, now: datetime) -> bool:
    """Whether today's look is not done and nobody is at it."""
    async with database.read() as session:
        zone = (await policy_in_use(session)).definition.time_zone
        return await is_due(session, PolicyKind.ALERTS, zone=zone, now=now)


if __name__ == "__main__":
    asyncio.run(look_once("alerts_swept", sweep_alerts))
