"""Customers for follow-ups and plans, and the days on which they are looked at."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.db import Database, Session
from core.facts import Fact
from core.outbox import Outbox
from core.tasks import TASK_OWED
from graph.eligibility import Tier
from segments.tiering import CustomerTier
from service.follow_up_definition import InteractionKind
from service.follow_ups import FollowUp, Turn, look, nothing_told, policy_in_use
from service.interaction_records import Direction, Interaction
from service.interactions import NewInteraction, log_interaction
from service.tasks import Task, of_employees, open_tasks
from tests.customers.insight import put

DAY = timedelta(days=1)
TODAY = date(2026, 11, 28)
# Noon of that day in the bank's time zone.
NOON = datetime(2026, 11, 28, 4, tzinfo=UTC)


async def set_tier(database: Database, customer_id: str, tier: Tier) -> None:
    """The tier of a customer from now on, as a run leaves it."""
    async with database.write() as session:
        row = await session.get(CustomerTier, customer_id)
        if row is not None:
            row.tier = row.computed_tier = tier
            return
    row = {"customer_id": customer_id, "tier": tier, "computed_tier": tier, "overridden_until": None}
    await put(database, CustomerTier, row | {"on_watch": False, "computed_watch": False, "decided_at": NOON})


async def look_on(database: Database, customer_ids: Sequence[str], now: datetime, *, page: int = 1_000) -> Turn:
    """The look of a day at these customers."""
    async with database.write() as session:
        policy = await policy_in_use(session, now=now)
        return await look(session, customer_ids, policy, told=nothing_told, now=now)


async def logged(
    database: Database,
    customer_id: str,
    kind: InteractionKind,
    now: datetime,
    *,
    at: datetime | None = None,
    actor: str = "rm",
    key: str | None = None,
) -> Interaction:
    """A contact that somebody logs."""
    new = NewInteraction(customer_id, kind, "PHONE", Direction.OUTBOUND, at or now, key)
    async with database.write() as session:
        return await log_interaction(session, new, sealed_summary=None, actor=actor, now=now)


async def settle_tasks(
    database: Database, customer_ids: Sequence[str], *, now: datetime, assignees: Mapping[str, str] | None = None
) -> list[str]:
    """Open the tasks that are owed for these customers, as the worker does, however often."""
    async with database.write() as session:
        payloads = [one.payload for one in await owed(session, TASK_OWED, customer_ids)]
        return await open_tasks(session, payloads, of_employees(payloads, assignees or {}), now=now)


async def owed(session: Session, topic: str, customer_ids: Sequence[str]) -> list[Outbox]:
    """What is owed of a topic about these customers, settled or not."""
    rows = (await session.exec(select(Outbox).where(Outbox.topic == topic).order_by(col(Outbox.key)))).all()
    return [row for row in rows if row.payload.get("customer_id") in set(customer_ids)]


async def follow_ups(database: Database, customer_id: str) -> dict[str, FollowUp]:
    async with database.read() as session:
        rows = (await session.exec(select(FollowUp).where(FollowUp.customer_id == customer_id))).all()
    return {row.obligation: row for row in rows}


async def tasks_of(database: Database, customer_id: str) -> list[Task]:
    statement = select(Task).where(Task.customer_id == customer_id)
    async with database.read() as session:
        return list((await session.exec(statement.order_by(col(Task.opened_at), col(Task.id)))).all())


async def facts_about(database: Database, customer_id: str, kind: str) -> list[dict[str, Any]]:
    statement = select(Fact).where(Fact.customer_id == customer_id, Fact.kind == kind)
    async with database.read() as session:
        return [row.payload for row in (await session.exec(statement.order_by(col(Fact.occurred_at)))).all()]
