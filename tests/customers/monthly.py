"""Customers with balances in a database of their own, and what runs of tiers make of them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select, update

from core.clock import utc_now
from core.days import day_of, months_before, start_of_month
from core.db import Database, insert_once
from core.ids import new_id
from core.outbox import Outbox
from customers.profiles import Customer, put_customers
from customers.records import MonthlyBalance
from customers.tier_overrides import TIER_OVERRIDE_DUE
from customers.tier_records import TierChange, TierDecision, TierOverride, TierRun
from graph.client import GraphClient
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait
from tests.conftest import Addresses
from tests.databases import own_database
from tests.loyalty.closing import ZONE
from worker.tiers import run_due_months
from worker.work import Stores

YUAN = 100
# The last month whose run is due whenever the tests run, and a month that is over for sure.
LAST = months_before(start_of_month(day_of(utc_now() - timedelta(days=5), ZONE)), 1)
SINCE = datetime(2015, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def own_stores(stores: Addresses, graph: GraphClient, folder: Path) -> AsyncGenerator[Stores, None]:
    """A database of its own, because a run decides of everybody; the graph is that of all."""
    async with own_database(stores, folder) as database:
        yield Stores(database, graph)


async def make_clients(stores: Stores, count: int, *, since: datetime | None = SINCE) -> list[str]:
    """Customers in both stores; their ids in order."""
    ids = sorted(new_id() for _ in range(count))
    people = [Customer(id=id, display_name="客", customer_since=since, created_at=SINCE) for id in ids]
    async with stores.database.write() as session:
        session.add_all(people)
    await put_customers(stores.graph, people)
    return ids


async def put_balances(
    database: Database,
    averages: Mapping[str, Sequence[int | None]],
    *,
    last: date = LAST,
    source: str = "bank",
    **more: Any,
) -> None:
    """Balances in yuan by customer, the oldest month first, up to the last month; None where none is told."""
    rows = [
        {
            "customer_id": customer,
            "month": months_before(last, len(yuan) - 1 - place),
            "source": source,
            "customer_key": "1",
            "average": average * YUAN,
            "contribution": 0,
            "currency": "CNY",
            "observed_at": utc_now(),
            "recorded_at": utc_now(),
            **more,
        }
        for customer, yuan in averages.items()
        for place, average in enumerate(yuan)
        if average is not None
    ]
    async with database.write() as session:
        await insert_once(session, MonthlyBalance, rows)


async def put_trait(database: Database, customer: str, name: str, *, number: int | None = None, **more: Any) -> None:
    row: dict[str, Any] = {"customer_id": customer, "name": name, "number": number, "source": "bank"}
    times: dict[str, Any] = {"observed_at": utc_now(), "recorded_at": utc_now()}
    async with database.write() as session:
        await session.merge(CustomerTrait.model_validate({**row, **times, **more}))


async def decide_months(stores: Stores, *months: date, batch: int = 3) -> None:
    """Run these months, one request after the other."""
    for month in months or (LAST,):
        await run_due_months(stores, zone=ZONE, month=month, batch=batch)


async def let_override_end(database: Database, override_id: str) -> datetime:
    """Let an override have ended just now, with nobody having settled it; returns when."""
    now = utc_now()
    async with database.write() as session:
        connection = await session.connection()
        await connection.execute(update(TierOverride).where(col(TierOverride.id) == override_id).values(expires_at=now))
        shown = update(CustomerTier).where(col(CustomerTier.override_id) == override_id)
        await connection.execute(shown.values(overridden_until=now))
        due = update(Outbox).where(col(Outbox.topic) == TIER_OVERRIDE_DUE, col(Outbox.key) == override_id)
        await connection.execute(due.values(available_at=now))
    return now


async def outcome(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All that runs leave behind, less when they did it."""
    found: dict[str, list[dict[str, Any]]] = {}
    models: tuple[type[Any], ...] = (TierRun, TierDecision, TierChange, CustomerTier, CustomerTrait)
    timeless = {"opened_at", "closed_at", "busy_until", "decided_at", "at", "recorded_at", "batches"}
    async with database.read() as session:
        for model in models:
            rows = [row.model_dump(exclude=timeless) for row in (await session.exec(select(model))).all()]
            found[model.__name__] = sorted(rows, key=repr)
    return found


async def tiers_in_graph(graph: GraphClient, ids: Sequence[str]) -> list[str | None]:
    rows = await graph.read("MATCH (c:Customer) WHERE c.id IN $ids RETURN c.id AS id, c.tier AS tier", ids=list(ids))
    found = {row["id"]: row["tier"] for row in rows}
    return [found[id] for id in ids]
