"""Customers and their records for early warning and needs, as imports would write them, in a database of their own."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update
from sqlmodel import SQLModel, col, select

from core.days import last_months
from core.db import Database, changed_rows, table_of
from core.ids import new_id
from customers.alert_definition import STANDARD_ALERTS, AlertDefinition
from customers.alert_rules import Complaints, Evidence
from customers.alerts import Alert, Finding, Terms, raise_alerts
from customers.insight_policies import InsightPolicy, PolicyKind, active_policy
from customers.need_definition import NeedDefinition
from customers.profiles import Customer
from customers.records import AccountTransaction, Holding, MonthlyBalance, ServiceRecord
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait

ZONE = "Asia/Shanghai"
DAY = timedelta(days=1)
TODAY = date(2026, 11, 28)
# Noon of that day in the bank's time zone.
NOON = datetime(2026, 11, 28, 4, tzinfo=UTC)
OCTOBER = date(2026, 10, 1)


async def put(database: Database, model: type[SQLModel], *rows: dict[str, Any]) -> None:
    async with database.write() as session:
        await (await session.connection()).execute(insert(table_of(model)), list(rows))


async def make_people(database: Database, count: int) -> list[str]:
    """So many customers in the order of their ids."""
    ids = sorted(new_id() for _ in range(count))
    await put(database, Customer, *({"id": one, "display_name": "Test", "created_at": NOON} for one in ids))
    return ids


async def leave(database: Database, erased: str, merged: str, survivor: str) -> None:
    """Let one customer be erased, and another one be merged into a third, as the profiles say it."""
    async with database.write() as session:
        (await session.get_one(Customer, erased)).erased_at = NOON
        (await session.get_one(Customer, merged)).merged_into = survivor


def told(source: str = "core") -> dict[str, Any]:
    return {"source": source, "recorded_at": NOON}


async def put_months(database: Database, customer_id: str, *averages: int, last: date = OCTOBER) -> None:
    """The averages of the months up to one."""
    rows = [
        {"customer_id": customer_id, "month": month, "average": average, "currency": "CNY", "observed_at": NOON}
        | told()
        | {"contribution": 0, "customer_key": "1"}
        for month, average in zip(last_months(last, len(averages)), averages, strict=True)
    ]
    await put(database, MonthlyBalance, *rows)


async def put_moves(database: Database, customer_id: str, *moves: tuple[datetime, int], currency: str = "CNY") -> None:
    """Money that came in, or went out, at instants."""
    rows = [
        {"id": (key := new_id()), "customer_id": customer_id, "key": key, "amount": amount, "currency": currency}
        | {"kind": "TRANSFER", "occurred_at": at, "observed_at": at}
        | told()
        for at, amount in moves
    ]
    await put(database, AccountTransaction, *rows)


async def put_holding(database: Database, customer_id: str, matures_on: date, amount: int = 100_000_00) -> str:
    holding_id = new_id()
    row = {"id": holding_id, "customer_id": customer_id, "key": holding_id, "product": "Fixed deposit"}
    row |= {"kind": "DEPOSIT", "amount": amount, "currency": "CNY", "matures_on": matures_on, "observed_at": NOON}
    await put(database, Holding, row | told())
    return holding_id


async def put_complaints(database: Database, customer_id: str, *instants: datetime) -> None:
    rows = [
        {"id": (key := new_id()), "customer_id": customer_id, "key": key, "kind": "COMPLAINT", "channel": "PHONE"}
        | {"topic": "FEES", "occurred_at": at, "observed_at": at}
        | told()
        for at in instants
    ]
    await put(database, ServiceRecord, *rows)


async def put_tier(
    database: Database, customer_id: str, tier: str, *, overridden_until: datetime | None = None
) -> None:
    """The tier that is shown; with an end it is one that staff set, over a computed MASS."""
    computed = tier if overridden_until is None else "MASS"
    row = {"customer_id": customer_id, "tier": tier, "computed_tier": computed, "overridden_until": overridden_until}
    await put(database, CustomerTier, row | {"on_watch": False, "decided_at": NOON})


async def put_traits(database: Database, customer_id: str, **values: int | str | date) -> None:
    """Values of traits by their names; `child_born_2` is another item of `child_born`."""
    rows: list[dict[str, Any]] = []
    for name, value in values.items():
        stem, item = (name[:-2], name[-1]) if name[-2:-1] == "_" and name[-1].isdigit() else (name, "")
        column = "day" if isinstance(value, date) else "word" if isinstance(value, str) else "number"
        row = {"customer_id": customer_id, "name": stem, "item": item, "number": None, "word": None, "day": None}
        rows.append(row | {column: value, "observed_at": NOON} | told())
    await put(database, CustomerTrait, *rows)


def complaint_seen(day: date = TODAY) -> Complaints:
    return Complaints(count=2, days=90, at_least=2, latest_day=day)


async def terms_of(database: Database) -> Terms:
    async with database.read() as session:
        policy = await active_policy(session, PolicyKind.ALERTS)
    return Terms(policy.id, "CNY", 30)


async def raise_one(
    database: Database, customer_id: str, seen: Evidence | None = None, *, now: datetime = NOON
) -> list[str]:
    """What a rule that has seen this raises."""
    found = Finding(customer_id, seen or complaint_seen(), now + 3 * DAY)
    terms = await terms_of(database)
    async with database.write() as session:
        return await raise_alerts(session, [found], terms, now=now)


async def alerts_by_customer(database: Database) -> Mapping[str, list[Alert]]:
    found: dict[str, list[Alert]] = {}
    async with database.read() as session:
        for row in (await session.exec(select(Alert).order_by(col(Alert.raised_at), col(Alert.cause)))).all():
            found.setdefault(row.customer_id, []).append(row)
    return found


async def causes(database: Database, customer_ids: Sequence[str]) -> list[list[str]]:
    """The causes of the alerts of each of these customers."""
    found = await alerts_by_customer(database)
    return [[row.cause for row in found.get(one, [])] for one in customer_ids]


async def set_policy(database: Database, definition: AlertDefinition | NeedDefinition = STANDARD_ALERTS) -> None:
    """Let the active policy of its kind say something else, in a database that no other test uses."""
    kind = PolicyKind.ALERTS if isinstance(definition, AlertDefinition) else PolicyKind.NEEDS
    async with database.write() as session:
        policy = await active_policy(session, kind)
        changed = update(InsightPolicy).where(col(InsightPolicy.id) == policy.id)
        await changed_rows(session, changed.values(definition=definition.model_dump(mode="json")))
