"""Deliveries over real sockets: signed, tried again, given up and replayed, and never sent twice by two of us."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.messages import MessageCategory
from core.processes import REPOSITORY, free_port, start_leashed
from customers.consents import ConsentChannel, ConsentPurpose, Word, revoke_consent
from graph.client import GraphClient
from service.message_deliveries import (
    LEASE,
    MOST_ATTEMPTS,
    DeliveryStatus,
    MessageDelivery,
    NoDeadLetter,
    delivery_id_of,
    end_delivery,
    fail_delivery,
    list_dead_letters,
    pause_after,
    replay_dead_letter,
    take_delivery,
)
from service.message_outlets import MailServer, Outlets
from service.message_policy import MessageChannel
from service.message_preferences import NewWishes, set_wishes
from service.webhook_endpoints import disable_webhook_endpoint, rotate_webhook_secret
from tests.conftest import Addresses
from tests.customers.people import Person, import_person
from tests.service.gateways import gateway, mailbox
from tests.worker.messages import (
    LOCAL,
    NOON,
    allow,
    decide_one,
    deliveries_of,
    make_customer,
    message_of,
    put_endpoint,
    sleep_never,
)
from worker.delivering import deliver, sweep_deliveries
from worker.work import Stores

pytestmark = pytest.mark.anyio

SERVICE, MARKETING = MessageCategory.SERVICE, MessageCategory.MARKETING
SMS, EMAIL, WECHAT = MessageChannel.SMS, MessageChannel.EMAIL, MessageChannel.WECHAT
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def mailing(server: MailServer) -> Outlets:
    return Outlets(server, allows_loopback=True)


async def person_of(database: Database, graph: GraphClient, unique: str) -> Person:
    person = await import_person(database, graph, unique)
    await allow(database, person.customer_id)
    return person


async def test_a_gateway_is_sent_a_signed_message_once(database: Database, graph: GraphClient, unique: str) -> None:
    """Given four workers at once, then the gateway has one call, which its secret signs and no other."""
    person = await person_of(database, graph, unique)
    async with gateway() as there:
        _, secret = await put_endpoint(database, SMS, there.url)
        found = await decide_one(database, person.customer_id, SERVICE)
        id = delivery_id_of(found.id, SMS)
        stores = Stores(database, graph, outlets=LOCAL)
        done = await asyncio.gather(*(deliver(stores, id, now=NOON) for _ in range(4)))
        assert sorted(done) == [False, False, False, True]
        assert not await deliver(stores, id, now=NOON + DAY)
        (call,) = there.calls
    assert call.headers["webhook-id"] == id
    assert call.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert call.headers["host"] == f"127.0.0.1:{there.port}"
    assert call.is_signed_by(secret)
    assert not call.is_signed_by("whsec_AAAA")
    assert (call.data["phone"], call.data["customer_id"], call.data["language"]) == (
        person.phone,
        person.customer_id,
        "zh",
    )
    assert call.data["body"].startswith(person.full_name)
    row = (await deliveries_of(database, person.customer_id))["SMS"]
    assert (row.status, row.attempts, row.ended_at, row.failure) == ("SENT", 1, NOON, None)


async def test_what_is_not_taken_is_tried_again_given_up_and_replayed(database: Database, graph: GraphClient) -> None:
    """Given a gateway that fails, then pauses grow to an hour, and a dead letter is replayed with its old id."""
    customer = await make_customer(database)
    await sleep_never(database, customer)
    async with gateway(503) as there:
        await put_endpoint(database, WECHAT, there.url)
        async with database.write() as session:
            off = {(MARKETING, MessageChannel.APP): False}
            await set_wishes(session, customer, NewWishes(off, language="en"), now=NOON)
        found = await decide_one(database, customer)
        assert (found.status, found.reason, found.released_at) == ("QUEUED", "ON_ITS_WAY", NOON)
        id, now, stores = delivery_id_of(found.id, WECHAT), NOON, Stores(database, graph, outlets=LOCAL)
        for attempt in range(1, MOST_ATTEMPTS):
            assert not await deliver(stores, id, now=now)
            row = (await deliveries_of(database, customer))["WECHAT"]
            assert (row.status, row.attempts, row.failure) == ("DUE", attempt, "HTTP_503")
            assert row.due_at is not None
            assert row.due_at == now + pause_after(id, attempt)
            assert not await deliver(stores, id, now=row.due_at - SECOND)
            now = row.due_at
        assert not await deliver(stores, id, now=now)
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.attempts, row.due_at) == ("DEAD", MOST_ATTEMPTS, None)
        found = await message_of(database, found.id)
        assert (found.status, found.reason) == ("FAILED", "NOT_DELIVERED")
        async with database.read() as session:
            page = await list_dead_letters(session, first=100, after=None)
        assert id in [one.id for one in page.rows]
        there.statuses[:] = [204]
        outcomes = await asyncio.gather(*(replay(database, id) for _ in range(4)))
        assert sorted(outcomes) == ["NO_DEAD_LETTER"] * 3 + ["REPLAYED"]
        assert await deliver(stores, id, now=utc_now())
        assert {call.headers["webhook-id"] for call in there.calls} == {id}
        assert len(there.calls) == MOST_ATTEMPTS + 1
        assert there.calls[-1].data["subject"] == "For you: On pensions"
    found = await message_of(database, found.id)
    assert (found.status, found.reason) == ("SENT", "SENT")
    assert (await deliveries_of(database, customer))["WECHAT"].replays == 1


async def replay(database: Database, delivery_id: str) -> str:
    try:
        async with database.write() as session:
            await replay_dead_letter(session, delivery_id, actor="he", now=utc_now())
    except NoDeadLetter as refused:
        return refused.code
    return "REPLAYED"


def test_pauses_double_and_are_drawn_from_the_id() -> None:
    for attempt in range(1, 15):
        whole = min(timedelta(seconds=5) * 2 ** (attempt - 1), timedelta(hours=1))
        drawn = {pause_after(new_id(), attempt) for _ in range(20)}
        assert all(0.75 * whole <= one <= 1.25 * whole for one in drawn)
        assert len(drawn) > 15
    assert pause_after("a", 3) == pause_after("a", 3)


async def test_killed_between_sending_and_noting_it_is_sent_again_with_the_same_id(
    stores: Addresses, database: Database, graph: GraphClient, tmp_path: Path
) -> None:
    customer = await make_customer(database)
    await sleep_never(database, customer)
    async with gateway() as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer, MessageCategory.CARE)
        id = delivery_id_of(found.id, WECHAT)
        script, log = str(REPOSITORY / "tests" / "worker" / "killed_delivery.py"), tmp_path / "killed.log"
        process = start_leashed([sys.executable, script, id], log=log, env=stores.environment())
        assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.attempts) == ("DUE", 1)
        own = Stores(database, graph, outlets=LOCAL)
        # As long as the dead one had it for, nobody else takes it.
        assert not await deliver(own, id, now=utc_now())
        later = utc_now() + LEASE
        assert await deliver(own, id, now=later)
        assert not await deliver(own, id, now=later + LEASE)
        assert [call.headers["webhook-id"] for call in there.calls] == [id, id]
        assert there.calls[0].body == there.calls[1].body
    assert (await deliveries_of(database, customer))["WECHAT"].status == "SENT"


async def test_a_worker_that_was_slow_says_that_it_has_sent_and_nothing_else(
    database: Database, graph: GraphClient
) -> None:
    """Given one whose lease is over and another who has failed since, then what the slow one sent is sent."""
    customer = await make_customer(database)
    async with gateway(500, 200) as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer)
        id = delivery_id_of(found.id, WECHAT)
        async with database.write() as session:
            slow = await take_delivery(session, id, now=NOON)
        assert slow is not None
        assert not await deliver(Stores(database, graph, outlets=LOCAL), id, now=NOON + LEASE)
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.attempts, row.failure) == (2, "HTTP_500")
        async with database.write() as session:
            assert await fail_delivery(session, slow, failure="TIMEOUT", is_final=True, now=NOON + LEASE) is None
            assert await end_delivery(session, slow, DeliveryStatus.SENT, now=NOON + LEASE)
    assert (await deliveries_of(database, customer))["WECHAT"].status == "SENT"


async def test_both_secrets_sign_for_a_day_after_a_rotation(database: Database, graph: GraphClient) -> None:
    customer = await make_customer(database)
    async with gateway() as there:
        endpoint, old = await put_endpoint(database, WECHAT, there.url)
        async with database.write() as session:
            _, new = await rotate_webhook_secret(session, endpoint, actor="he", now=NOON)
        stores = Stores(database, graph, outlets=LOCAL)
        for now in (NOON, NOON + DAY):
            found = await decide_one(database, customer, MessageCategory.CARE, now=now)
            assert await deliver(stores, delivery_id_of(found.id, WECHAT), now=now)
        first, second = there.calls
    assert (first.is_signed_by(old), first.is_signed_by(new)) == (True, True)
    assert (second.is_signed_by(old), second.is_signed_by(new)) == (False, True)


async def test_what_is_gone_or_redirects_is_not_followed(database: Database, graph: GraphClient) -> None:
    """Given 410, then it is given up at once; given a redirect to elsewhere, then nobody goes there."""
    customer = await make_customer(database)
    async with gateway(410, 302) as there, gateway() as elsewhere:
        there.headers = f"Location: {elsewhere.url}\r\n"
        await put_endpoint(database, WECHAT, there.url)
        for expected in (("DEAD", "HTTP_410"), ("DUE", "HTTP_302")):
            found = await decide_one(database, customer, MessageCategory.CARE)
            id = delivery_id_of(found.id, WECHAT)
            assert not await deliver(Stores(database, graph, outlets=LOCAL), id, now=NOON)
            async with database.read() as session:
                row = await session.get_one(MessageDelivery, id)
            assert (row.status, row.failure) == expected
            # The app has it all the same.
            assert (await message_of(database, found.id)).status == "SENT"
        assert elsewhere.calls == []


async def test_in_production_nobody_knocks_inside_of_the_bank(database: Database, graph: GraphClient) -> None:
    """Given an endpoint of development in production, then nothing is sent to loopback."""
    customer = await make_customer(database)
    async with gateway() as there:
        await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer)
        id = delivery_id_of(found.id, WECHAT)
        assert not await deliver(Stores(database, graph, outlets=Outlets()), id, now=NOON)
        assert there.calls == []
    assert (await deliveries_of(database, customer))["WECHAT"].failure == "ADDRESS_REFUSED"


async def test_who_takes_their_word_back_meanwhile_is_not_written_to(database: Database, graph: GraphClient) -> None:
    """Given a message that waits for its gateway, when consent is revoked or its time is over, then it stays away."""
    stores = Stores(database, graph, outlets=LOCAL)
    withdrawn, late = [await make_customer(database) for _ in range(2)]
    async with gateway() as there:
        await put_endpoint(database, WECHAT, there.url)
        for customer in (withdrawn, late):
            async with database.write() as session:
                await set_wishes(session, customer, NewWishes({(MARKETING, MessageChannel.APP): False}), now=NOON)
        first = await decide_one(database, withdrawn)
        async with database.write() as session:
            word = Word(ConsentPurpose.MARKETING, ConsentChannel.WECHAT, withdrawn, "test")
            await revoke_consent(session, withdrawn, word, now=NOON)
        second = await decide_one(database, late, expires_at=NOON + SECOND)
        for found in (first, second):
            assert not await deliver(stores, delivery_id_of(found.id, WECHAT), now=NOON + SECOND)
        assert there.calls == []
    found = await message_of(database, first.id)
    assert (found.status, found.reason) == ("SUPPRESSED", "NO_CONSENT")
    found = await message_of(database, second.id)
    assert (found.status, found.reason) == ("EXPIRED", "TOO_LATE")
    assert (await deliveries_of(database, withdrawn))["WECHAT"].status == "WITHDRAWN"
    assert (await deliveries_of(database, late))["WECHAT"].status == "EXPIRED"


async def test_without_an_endpoint_it_waits_for_one(database: Database, graph: GraphClient) -> None:
    customer = await make_customer(database)
    stores = Stores(database, graph, outlets=LOCAL)
    async with gateway() as there:
        endpoint, _ = await put_endpoint(database, WECHAT, there.url)
        found = await decide_one(database, customer)
        id = delivery_id_of(found.id, WECHAT)
        async with database.write() as session:
            await disable_webhook_endpoint(session, endpoint, actor="he", now=NOON)
        assert not await deliver(stores, id, now=NOON)
        row = (await deliveries_of(database, customer))["WECHAT"]
        assert (row.status, row.failure) == ("DUE", "NO_ENDPOINT")
        await put_endpoint(database, WECHAT, there.url)
        assert await deliver(stores, id, now=NOON + DAY)
        assert len(there.calls) == 1


async def test_an_e_mail_has_an_id_of_its_own_that_stays(database: Database, graph: GraphClient, unique: str) -> None:
    """Given a mail server that first is busy, then it gets one e-mail with a Message-ID made from the delivery."""
    person = await person_of(database, graph, unique)
    with mailbox("451 busy") as box:
        stores = Stores(database, graph, outlets=mailing(box.server))
        values = {"title_zh": "养老\r\nBcc: all@bank.example", "title_en": "On pensions"}
        found = await decide_one(database, person.customer_id, MARKETING, outlets=stores.outlets, values=values)
        id = delivery_id_of(found.id, EMAIL)
        assert not await deliver(stores, id, now=NOON)
        row = (await deliveries_of(database, person.customer_id))["EMAIL"]
        assert (row.status, row.failure) == ("DUE", "SMTP_451")
        assert await deliver(stores, id, now=NOON + DAY)
        assert not await deliver(stores, id, now=NOON + 2 * DAY)
        (mail,) = box.mails
    assert mail["Message-ID"] == f"<{id}@bank.example>"
    assert (mail["To"], mail["From"], mail["Bcc"]) == (person.email, "Kinship <no-reply@bank.example>", None)
    assert mail["Subject"] == "为您推荐：养老 Bcc: all@bank.example"
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.decode().startswith(person.full_name)


async def test_an_address_that_is_refused_is_given_up_at_once(
    database: Database, graph: GraphClient, unique: str
) -> None:
    person = await person_of(database, graph, unique)
    with mailbox("550 nobody here") as box:
        stores = Stores(database, graph, outlets=mailing(box.server))
        found = await decide_one(database, person.customer_id, SERVICE, outlets=stores.outlets)
        assert not await deliver(stores, delivery_id_of(found.id, EMAIL), now=NOON)
    row = (await deliveries_of(database, person.customer_id))["EMAIL"]
    assert (row.status, row.failure) == ("DEAD", "SMTP_550")
    nowhere = mailing(MailServer("127.0.0.1", free_port(), "a@bank.example", starttls=False))
    found = await decide_one(database, person.customer_id, SERVICE, outlets=nowhere)
    assert not await deliver(Stores(database, graph, outlets=nowhere), delivery_id_of(found.id, EMAIL), now=NOON)
    rows = (await deliveries_of(database, person.customer_id))["EMAIL"]
    assert rows.failure in ("SMTP_UNREACHABLE", "SMTP_550")


async def test_a_sweep_sends_what_is_due_by_all_channels(database: Database, graph: GraphClient, unique: str) -> None:
    person = await person_of(database, graph, unique)
    async with gateway() as there:
        with mailbox() as box:
            stores = Stores(database, graph, outlets=mailing(box.server))
            await put_endpoint(database, SMS, there.url)
            await put_endpoint(database, WECHAT, there.url)
            found = await decide_one(database, person.customer_id, SERVICE, outlets=stores.outlets)
            ids = {channel: delivery_id_of(found.id, channel) for channel in (SMS, EMAIL)}
            await asyncio.gather(*(sweep_deliveries(stores, now=NOON) for _ in range(2)))
            assert [call.headers["webhook-id"] for call in there.calls].count(ids[SMS]) == 1
            assert [mail["Message-ID"] for mail in box.mails].count(f"<{ids[EMAIL]}@bank.example>") == 1
    statuses = {channel: row.status for channel, row in (await deliveries_of(database, person.customer_id)).items()}
    assert statuses == {"APP": "SENT", "SMS": "SENT", "EMAIL": "SENT"}
