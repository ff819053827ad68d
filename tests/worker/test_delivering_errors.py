"""Deliveries over which we fall ourselves: they are tried as often as others, and end as others do."""

import base64
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from core.db import Database, changed_rows
from core.messages import MessageCategory
from core.sealing import KeyRing, PersonalDataLocked
from graph.client import GraphClient
from service.message_deliveries import LEASE, MOST_ATTEMPTS, delivery_id_of, pause_after
from service.message_outlets import Outlets
from service.message_policy import MessageChannel
from service.messages import Message
from tests.conftest import Addresses
from tests.customers.people import import_person, import_rows, row_of
from tests.databases import own_database
from tests.service.gateways import gateway, mailbox
from tests.worker.messages import (
    LOCAL,
    NOON,
    allow,
    decide_one,
    deliveries_of,
    make_customer,
    put_endpoint,
    sleep_never,
)
from worker.delivering import deliver, sweep_channel
from worker.work import Stores

pytestmark = pytest.mark.anyio

SERVICE, EMAIL, WECHAT = MessageCategory.SERVICE, MessageChannel.EMAIL, MessageChannel.WECHAT


async def test_an_address_that_cannot_be_read_ends_its_delivery(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given an address that an import takes and no e-mail can have, then it is given up by the sweep that meets it."""
    person = await import_person(database, graph, unique)
    report = await import_rows(database, graph, person.source, row_of(unique, email=f"{unique}@[y.z"))
    assert report.rejected == 0
    with mailbox() as box:
        stores = Stores(database, graph, outlets=Outlets(box.server, allows_loopback=True))
        await decide_one(database, person.customer_id, SERVICE, outlets=stores.outlets)
        await sweep_channel(stores, EMAIL, now=NOON)
    row = (await deliveries_of(database, person.customer_id))["EMAIL"]
    assert (row.status, row.attempts, row.failure) == ("DEAD", 1, "ADDRESS_INVALID")


async def test_what_nobody_expected_is_an_attempt_and_ends(
    stores: Addresses, graph: GraphClient, tmp_path: Path
) -> None:
    """Given a message whose words cannot be made, then pauses grow, and at last it is a dead letter."""
    # Nobody else is to read what is broken here.
    async with own_database(stores, tmp_path) as database:
        customer = await make_customer(database)
        await sleep_never(database, customer)
        own = Stores(database, graph, outlets=LOCAL)
        async with gateway() as there:
            await put_endpoint(database, WECHAT, there.url)
            found = await decide_one(database, customer)
            id, now = delivery_id_of(found.id, WECHAT), NOON
            async with database.write() as session:
                await changed_rows(session, update(Message).where(col(Message.id) == found.id).values(words=5))
            for attempt in range(1, MOST_ATTEMPTS):
                with pytest.raises(TypeError):
                    await deliver(own, id, now=now)
                row = (await deliveries_of(database, customer))["WECHAT"]
                assert (row.status, row.attempts, row.failure) == ("DUE", attempt, "ERROR")
                now += pause_after(id, attempt)
                assert row.due_at == now
            await sweep_channel(own, WECHAT, now=now)
            assert id not in [call.headers["webhook-id"] for call in there.calls]
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.attempts, row.failure) == ("DEAD", MOST_ATTEMPTS, "ERROR")


async def test_without_the_keys_nothing_is_given_up(
    stores: Addresses, database: Database, graph: GraphClient, unique: str
) -> None:
    """Given a worker that was started with other keys, then what it cannot open waits, and no attempt counts."""
    person = await import_person(database, graph, unique)
    await allow(database, person.customer_id)
    other = KeyRing.parse(f"9:{base64.b64encode(b'n' * 32).decode()}")
    keyless = Database(stores.database_url, timeout=60, keys=other)
    with mailbox() as box:
        outlets = Outlets(box.server, allows_loopback=True)
        found = await decide_one(database, person.customer_id, SERVICE, outlets=outlets)
        id, now = delivery_id_of(found.id, EMAIL), NOON
        try:
            for _ in range(3):
                with pytest.raises(PersonalDataLocked):
                    await deliver(Stores(keyless, graph, outlets=outlets), id, now=now)
                now += LEASE
                row = (await deliveries_of(database, person.customer_id))["EMAIL"]
                assert (row.status, row.attempts, row.failure, row.due_at) == ("DUE", 0, None, now)
        finally:
            await keyless.close()
        assert await deliver(Stores(database, graph, outlets=outlets), id, now=now)
