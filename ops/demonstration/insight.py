"""What the relationship manager of the demonstration finds: reasons for alerts and needs of the personas' records."""

from datetime import datetime, timedelta
from typing import Any

from core.days import day_of, months_before, start_of_day
from core.db import Database, Session, insert_once
from core.fact_kinds import COMPLAINT_FIRST_RESPONSE_LATE
from core.facts import NewFact, record_facts
from core.ids import derived_id
from customers.profiles import customer_id_of
from customers.records import AccountTransaction, Holding
from ops.demonstration.personas import COMMUNITY_OWNER, NUMBER_OF, REFERRER
from ops.demonstration.rows import customer_key
from segments.traits import CustomerTrait
from worker.alerts import sweep_alerts
from worker.needs import sweep_needs

SOURCE = "demonstration"
ZONE = "Asia/Shanghai"


async def load_insight(database: Database, *, now: datetime) -> None:
    """Put the records, and look at everybody as the worker does once a day; done again, it changes nothing."""
    async with database.write() as session:
        for key in (REFERRER, COMMUNITY_OWNER):
            customer_id = await customer_id_of(session, SOURCE, customer_key(NUMBER_OF[key]))
            if customer_id is not None:
                await put_records(session, key, customer_id, now=now)
    await sweep_alerts(database, now=now)
    await sweep_needs(database, now=now)


async def put_records(session: Session, key: str, customer_id: str, *, now: datetime) -> None:
    """A deposit of the referrer that matures in a week, a child of sixteen and a complaint that was answered late; the
    owner moves money, with a firm.
    """
    today = day_of(now, ZONE)
    told: dict[str, Any] = {"customer_id": customer_id, "source": SOURCE, "recorded_at": now}
    of_day = {"number": None, "word": None, "observed_at": now}
    if key == REFERRER:
        held = {"id": derived_id(SOURCE, "holding", key), "key": f"insight-{key}", "product": "三年期大额存单"}
        held |= {"kind": "DEPOSIT", "amount": 300_000_00, "currency": "CNY", "observed_at": now}
        await insert_once(session, Holding, told | held | {"matures_on": today + timedelta(days=7)})
        child = {"name": "child_born", "item": "1", "day": today.replace(day=1, year=today.year - 16)}
        await insert_once(session, CustomerTrait, told | of_day | child, "customer_id", "name", "item")
        late = {"complaint": f"insight-{key}"}
        at = now - timedelta(hours=2)
        fact = NewFact(SOURCE, f"late:{key}", COMPLAINT_FIRST_RESPONSE_LATE, customer_id, at, late)
        await record_facts(session, [fact], now=now)
    else:
        moved = {"id": derived_id(SOURCE, "transfer", key), "key": f"insight-{key}", "amount": -480_000_00}
        moved |= {"currency": "CNY", "kind": "TRANSFER"}
        yesterday = start_of_day(today - timedelta(days=1), ZONE) + timedelta(hours=10)
        await insert_once(
            session, AccountTransaction, told | moved | {"occurred_at": yesterday, "observed_at": yesterday}
        )
        firm = {"name": "firm_founded", "item": "1", "day": months_before(today, 10)}
        await insert_once(session, CustomerTrait, told | of_day | firm, "customer_id", "name", "item")
