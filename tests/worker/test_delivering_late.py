"""Deliveries that come to be sent long after they were let out: at night, or when somebody has died since."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import new_id
from core.messages import MessageCategory
from graph.client import GraphClient
from service.care_mutes import MuteReason, mute_care
from service.message_deliveries import delivery_id_of, replay_dead_letter
from service.message_policy import MessageChannel
from tests.customers.people import import_person
from tests.service.gateways import gateway
from tests.worker.messages import (
    LOCAL,
    NOON,
    decide_one,
    deliveries_of,
    make_customer,
    message_of,
    put_endpoint,
)
from worker.delivering import deliver
from worker.work import Stores

pytestmark = pytest.mark.anyio

CARE, MARKETING, SERVICE = MessageCategory.CARE, MessageCategory.MARKETING, MessageCategory.SERVICE
SMS, WECHAT = MessageChannel.SMS, MessageChannel.WECHAT
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
# In Shanghai, where nobody is disturbed from 21:00 to 09:00.
EVENING = datetime(2026, 11, 25, 12, 55, tzinfo=UTC)
NIGHT = datetime(2026, 11, 25, 13, tzinfo=UTC)
MORNING = datetime(2026, 11, 26, 1, tzinfo=UTC)


@pytest.mark.parametrize("category", [CARE, MARKETING])
async def test_what_is_tried_again_waits_for_the_morning(
    database: Database, graph: GraphClient, category: MessageCategory
) -> None:
    """Given a gateway that is down when the evening ends, then nobody is woken, and the wait is no attempt."""
    customer = await make_customer(database)
    stores = Stores(database, graph, outlets=LOCAL)
    async with gateway(503, 204) as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer, category, now=EVENING)
        id = delivery_id_of(found.id, WECHAT)
        assert not await deliver(stores, id, now=EVENING)
        assert not await deliver(stores, id, now=NIGHT)
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.attempts, row.failure, row.due_at) == ("DUE", 1, "HTTP_503", MORNING)
        assert not await deliver(stores, id, now=MORNING - SECOND)
        assert len(there.calls) == 1
        assert await deliver(stores, id, now=MORNING)
        assert len(there.calls) == 2
    row = (await deliveries_of(database, customer))["WECHAT"]
    assert (row.status, row.attempts) == ("SENT", 2)


async def test_what_is_promised_is_tried_again_at_night(database: Database, graph: GraphClient) -> None:
    """Given a category that does not wait for a morning, then its next attempt is at night."""
    person = await person_of(database, graph)
    stores = Stores(database, graph, outlets=LOCAL)
    async with gateway(503, 204) as there:
        await put_endpoint(database, SMS, there.url)
        found = await decide_one(database, person, SERVICE, now=EVENING)
        id = delivery_id_of(found.id, SMS)
        assert not await deliver(stores, id, now=EVENING)
        assert await deliver(stores, id, now=NIGHT)


async def person_of(database: Database, graph: GraphClient) -> str:
    return (await import_person(database, graph, new_id())).customer_id


async def test_a_dead_letter_that_is_replayed_at_night_waits_too(database: Database, graph: GraphClient) -> None:
    customer = await make_customer(database)
    stores = Stores(database, graph, outlets=LOCAL)
    async with gateway(410, 204) as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer, now=EVENING)
        id = delivery_id_of(found.id, WECHAT)
        assert not await deliver(stores, id, now=EVENING)
        async with database.write() as session:
            await replay_dead_letter(session, id, actor="he", now=NIGHT + HOUR)
        assert not await deliver(stores, id, now=NIGHT + HOUR)
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.attempts, row.due_at) == ("DUE", 0, MORNING)
        assert await deliver(stores, id, now=MORNING)


@pytest.mark.parametrize("reason", ["BEREAVEMENT", "OPEN_COMPLAINT"])
async def test_who_mourns_or_complains_meanwhile_is_left_in_peace(
    database: Database, graph: GraphClient, reason: str
) -> None:
    """Given a greeting that is tried again, when there is a cause to be silent, then it stays away for that reason."""
    customer = await make_customer(database)
    stores = Stores(database, graph, outlets=LOCAL)
    async with gateway(503, 204) as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer, CARE)
        id = delivery_id_of(found.id, WECHAT)
        assert not await deliver(stores, id, now=NOON)
        async with database.write() as session:
            if reason == "BEREAVEMENT":
                await mourn(session, customer)
            else:
                facts = [NewFact("desk", new_id(), "COMPLAINT_FILED", customer, NOON, {"complaint": new_id()})]
                await record_facts(session, facts, now=NOON)
        assert not await deliver(stores, id, now=NOON + MINUTE)
        assert len(there.calls) == 1
    row = (await deliveries_of(database, customer))["WECHAT"]
    assert (row.status, row.failure, row.ended_at) == ("WITHDRAWN", reason, NOON + MINUTE)
    # The app had it before.
    assert (await message_of(database, found.id)).status == "SENT"


async def mourn(session: Any, customer_id: str) -> None:
    today = date(2026, 11, 25)
    await mute_care(session, customer_id, reason=MuteReason.BEREAVEMENT, until=None, actor="rm", today=today, now=NOON)
