"""Alerts: one for a customer and cause in thirty days whoever writes, and each closed once."""

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.audit import AuditEntry
from core.db import Database
from core.errors import KinshipError, NotFound
from core.ids import new_id
from core.outbox import Outbox
from core.tasks import TASK_OVER, TASK_OWED
from customers.alert_rules import Maturity
from customers.alerts import (
    Alert,
    AlertClosed,
    AlertNotOpen,
    AlertReason,
    AlertStatus,
    acknowledge_alert,
    find_alert,
    resolve_alert,
)
from tests.customers.insight import DAY, NOON, TODAY, complaint_seen, raise_one

pytestmark = pytest.mark.anyio


async def alerts_of(database: Database, customer_id: str) -> list[Alert]:
    async with database.read() as session:
        return list((await session.exec(select(Alert).where(Alert.customer_id == customer_id))).all())


async def owed(database: Database, topic: str, *alert_ids: str) -> int:
    async with database.read() as session:
        keys = [f"alert:{alert_id}" for alert_id in alert_ids]
        rows = await session.exec(select(Outbox).where(Outbox.topic == topic, col(Outbox.key).in_(keys)))
        return len(rows.all())


async def test_of_sixteen_writers_one_raises_the_alert(database: Database) -> None:
    """Given sixteen looks that see the same at once, each on another day, then there is one alert and one task."""
    customer = new_id()
    writers = (raise_one(database, customer, complaint_seen(TODAY - number * DAY)) for number in range(16))
    raised = [alert_id for ids in await asyncio.gather(*writers) for alert_id in ids]
    assert len(raised) == 1
    assert [row.id for row in await alerts_of(database, customer)] == raised
    assert await owed(database, TASK_OWED, *raised) == 1


async def test_sixteen_writers_renew_it_once_when_its_time_is_over(database: Database) -> None:
    customer, later = new_id(), NOON + timedelta(days=30)
    await raise_one(database, customer)
    writers = (raise_one(database, customer, complaint_seen(TODAY + DAY), now=later) for _ in range(16))
    assert sum([len(ids) for ids in await asyncio.gather(*writers)]) == 1
    assert len(await alerts_of(database, customer)) == 2


async def test_a_cause_is_free_again_after_exactly_thirty_days(database: Database) -> None:
    """Given an alert, then a later complaint raises none a microsecond before thirty days, and one at them."""
    customer, end = new_id(), NOON + timedelta(days=30)
    later = complaint_seen(TODAY + DAY)
    assert len(await raise_one(database, customer)) == 1
    assert await raise_one(database, customer, later, now=end - timedelta(microseconds=1)) == []
    assert len(await raise_one(database, customer, later, now=end)) == 1
    # What an alert was about raises none again, however long ago it was.
    assert await raise_one(database, customer, later, now=end + timedelta(days=300)) == []


async def test_each_stage_of_each_holding_is_a_cause_of_its_own(database: Database) -> None:
    customer = new_id()
    for holding, stage, count in (("a", -14, 1), ("a", -7, 1), ("b", -7, 1), ("a", -7, 0)):
        seen = Maturity(holding_id=holding, product="Fund", amount=1, matures_on=TODAY, stage=stage)
        assert len(await raise_one(database, customer, seen)) == count
    assert len(await alerts_of(database, customer)) == 3


async def test_of_two_who_close_an_alert_one_is_refused(database: Database) -> None:
    """Given eight who close an alert at once, half of them as a mistake, then one does, and its task is over once."""
    (alert_id,) = await raise_one(database, new_id())

    async def close(number: int) -> str:
        outcome = (AlertStatus.RESOLVED, AlertStatus.FALSE_POSITIVE)[number % 2]
        try:
            async with database.write() as session:
                await resolve_alert(
                    session, alert_id, outcome, reason=AlertReason.CONTACTED, actor=f"rm-{number}", now=NOON
                )
        except KinshipError as error:
            return error.code
        return f"rm-{number}"

    answers = await asyncio.gather(*(close(number) for number in range(8)))
    (winner,) = [answer for answer in answers if answer != AlertClosed.code]
    async with database.read() as session:
        row = await find_alert(session, alert_id)
        entries = (await session.exec(select(AuditEntry).where(AuditEntry.area == f"alert:{alert_id}"))).all()
    assert (row.closed_by, row.reason) == (winner, "CONTACTED")
    assert [(entry.actor, entry.action) for entry in entries] == [(winner, f"ALERT_{row.status}")]
    assert await owed(database, TASK_OVER, alert_id) == 1


async def test_an_alert_is_acknowledged_once_and_closed_after_it(database: Database) -> None:
    (alert_id,) = await raise_one(database, new_id())
    async with database.write() as session:
        row = await acknowledge_alert(session, alert_id, actor="rm", now=NOON)
        assert (row.status, row.acknowledged_by, row.acknowledged_at) == ("ACKNOWLEDGED", "rm", NOON)
    with pytest.raises(AlertNotOpen):
        async with database.write() as session:
            await acknowledge_alert(session, alert_id, actor="other", now=NOON)
    async with database.write() as session:
        row = await resolve_alert(
            session, alert_id, AlertStatus.RESOLVED, reason=AlertReason.RETAINED, actor="rm", now=NOON
        )
        assert (row.status, row.acknowledged_by) == ("RESOLVED", "rm")
    with pytest.raises(AlertNotOpen):
        async with database.write() as session:
            await acknowledge_alert(session, alert_id, actor="rm", now=NOON)
    with pytest.raises(NotFound):
        async with database.write() as session:
            await acknowledge_alert(session, new_id(), actor="rm", now=NOON)
