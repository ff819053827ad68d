"""Messages as the worker decides them: once by their key, within caps whoever decides, and with their reason kept."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.clock import iso, utc_now
from core.days import DEFAULT_ZONE, day_of
from core.db import Database
from core.facts import NewFact, record_facts
from core.ids import derived_id, new_id
from core.messages import MessageCategory
from core.outbox import Outbox
from core.processes import REPOSITORY, start_leashed
from core.traces import all_traces, erase_traces, move_traces
from customers.consents import ConsentChannel, ConsentPurpose, Word, revoke_consent
from customers.profiles import Customer
from customers.records import ChannelPreference
from graph.client import GraphClient
from service.care_mutes import MuteReason, mute_care
from service.message_decision import Reason
from service.message_policy import MessageChannel, QuietHours
from service.message_preferences import NewWishes, set_wishes
from service.messages import MESSAGE_DUE, Message, MessageStatus, hold_customer, message_id_of
from tests.conftest import Addresses
from tests.worker.messages import (
    LOCAL,
    NOON,
    decide_one,
    disable_endpoints,
    make_customer,
    message_of,
    notices_of,
    outbox_row,
    owe_message,
    payload_of,
)
from worker.handlers import settle
from worker.messaging import decide_due, decide_owed
from worker.work import Stores

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NIGHT = datetime(2026, 11, 25, 15, tzinfo=UTC)
MORNING = datetime(2026, 11, 26, 1, tzinfo=UTC)


async def messages_of(database: Database, customer_id: str) -> list[Message]:
    async with database.read() as session:
        statement = select(Message).where(Message.customer_id == customer_id)
        return list((await session.exec(statement.order_by(col(Message.owed_at)))).all())


async def test_many_workers_let_out_exactly_as_many_as_the_cap_says(pools: list[Database]) -> None:
    """Given twelve marketing messages decided at once by four processes; then two are sent, and ten say why not."""
    customer = await make_customer(pools[0])
    others = [await make_customer(pools[0]) for _ in range(2)]
    everybody = [customer] * 12 + others
    await asyncio.gather(*(decide_one(pools[n % 4], one) for n, one in enumerate(everybody)))
    found = [(row.status, row.reason) for row in await messages_of(pools[0], customer)]
    assert sorted(found) == [("SENT", "SENT")] * 2 + [("SUPPRESSED", "FREQUENCY_CAP")] * 10
    assert len(await notices_of(pools[0], customer)) == 2
    for one in others:
        assert [row.status for row in await messages_of(pools[0], one)] == ["SENT"]


async def test_one_key_at_many_workers_is_one_message(pools: list[Database]) -> None:
    customer, key = await make_customer(pools[0]), new_id()
    await asyncio.gather(*(decide_one(pools[n % 4], customer, key=key) for n in range(8)))
    assert [row.status for row in await messages_of(pools[0], customer)] == ["SENT"]
    assert [row.data for row in await notices_of(pools[0], customer)] == [{"message_id": message_id_of(key)}]


async def test_the_caps_of_all_categories_leave_room_for_what_waits(database: Database) -> None:
    """Given a full day, then what comes is put off until the next morning, and marketing gives way to care."""
    customer = await make_customer(database)
    for _ in range(3):
        assert (await decide_one(database, customer, MessageCategory.CARE)).status == "SENT"
    late = await decide_one(database, customer, MessageCategory.CARE)
    assert (late.status, late.reason, late.next_at) == ("QUEUED", "FULL_DAY", MORNING)
    assert (await decide_one(database, customer, MessageCategory.SERVICE)).status == "SENT"
    # In the next morning care fills the day again: marketing finds three that waited before it.
    for _ in range(2):
        await decide_one(database, customer, MessageCategory.SURVEY)
    found = await decide_one(database, customer, now=MORNING)
    assert (found.status, found.reason, found.next_at) == ("QUEUED", "GIVES_WAY", MORNING + DAY)


async def test_a_night_is_waited_for_by_the_outbox(database: Database, graph: GraphClient) -> None:
    """Given a message of the night, then the outbox keeps it until the morning, when it is sent once."""
    customer, key = await make_customer(database), new_id()
    found = await decide_one(database, customer, key=key, now=NIGHT)
    assert (found.status, found.reason, found.next_at, found.released_at) == ("QUEUED", "QUIET_HOURS", MORNING, None)
    row = await outbox_row(database, MESSAGE_DUE, f"{found.id}:{iso(MORNING)}")
    assert (row.available_at, row.payload) == (MORNING, {"message_id": found.id})
    assert await notices_of(database, customer) == []
    for _ in range(2):
        async with database.write() as session:
            await decide_due(session, found.id, LOCAL, now=MORNING)
    found = await message_of(database, found.id)
    assert (found.status, found.reason, found.next_at, found.released_at) == ("SENT", "SENT", None, MORNING)
    assert len(await notices_of(database, customer)) == 1


async def test_it_is_decided_by_the_customer_s_own_clock_and_wishes(database: Database) -> None:
    """Given noon in Shanghai, which is night in New York; then who lives there is told in their morning."""
    await disable_endpoints(database)
    customer = await make_customer(database)
    off = {(MessageCategory.CARE, MessageChannel.APP): False}
    wishes = NewWishes(off, time_zone="America/New_York", quiet=QuietHours(start="22:30", end="07:15"))
    async with database.write() as session:
        await set_wishes(session, customer, wishes, now=NOON)
    found = await decide_one(database, customer)
    assert (found.reason, found.next_at) == ("QUIET_HOURS", datetime(2026, 11, 25, 12, 15, tzinfo=UTC))
    found = await decide_one(database, customer, MessageCategory.CARE)
    assert (found.status, found.reason) == ("SUPPRESSED", "UNREACHABLE")
    assert found.by_channel == {"APP": "SWITCHED_OFF", "WECHAT": "UNREACHABLE"}


async def test_consents_and_what_the_bank_noted_are_asked_by_channel(database: Database) -> None:
    """Given no word, then no marketing; given a refusal of care, then none; of a disliked app, nothing there."""
    silent = await make_customer(database, consents=False)
    found = await decide_one(database, silent)
    assert (found.status, found.reason, found.by_channel["APP"]) == ("SUPPRESSED", "NO_CONSENT", "NO_CONSENT")
    assert (await decide_one(database, silent, MessageCategory.CARE)).status == "SENT"
    async with database.write() as session:
        word = Word(ConsentPurpose.CARE, ConsentChannel.APP, silent, "test")
        await revoke_consent(session, silent, word, now=NOON - DAY)
    assert (await decide_one(database, silent, MessageCategory.CARE)).by_channel["APP"] == "NO_CONSENT"
    disliking = await make_customer(database)
    async with database.write() as session:
        session.add(
            ChannelPreference(
                customer_id=disliking,
                channel="App",
                source="crm",
                is_preferred=False,
                observed_at=NOON,
                recorded_at=NOON,
            )
        )
    assert (await decide_one(database, disliking)).by_channel["APP"] == "SWITCHED_OFF"
    # What a promise takes is told in the app, whatever was noted.
    assert (await decide_one(database, disliking, MessageCategory.SERVICE)).status == "SENT"


async def test_an_open_complaint_mutes_marketing_and_care(database: Database) -> None:
    customer = await make_customer(database)
    filed = NewFact("crm", f"complaint:{customer}:filed", "COMPLAINT_FILED", customer, NOON - DAY, {"complaint": "1"})
    async with database.write() as session:
        await record_facts(session, [filed], now=NOON, hint=False)
    for category in (MessageCategory.MARKETING, MessageCategory.CARE):
        found = await decide_one(database, customer, category)
        assert (found.status, found.reason) == ("SUPPRESSED", "OPEN_COMPLAINT")
    assert (await decide_one(database, customer, MessageCategory.SERVICE)).status == "SENT"
    closed = NewFact("crm", f"complaint:{customer}:closed", "COMPLAINT_CLOSED", customer, NOON, {"complaint": "1"})
    async with database.write() as session:
        await record_facts(session, [closed], now=NOON, hint=False)
    assert (await decide_one(database, customer)).status == "SENT"


async def test_a_bereavement_mutes_marketing_and_care(database: Database) -> None:
    """Given a mute until tomorrow, then until then; another reason than a bereavement is for greetings alone."""
    mourning, ill = await make_customer(database), await make_customer(database)
    today = day_of(NOON, DEFAULT_ZONE)
    async with database.write() as session:
        for customer, reason in ((mourning, MuteReason.BEREAVEMENT), (ill, MuteReason.ILLNESS)):
            until = today + timedelta(days=1)
            await mute_care(session, customer, reason=reason, until=until, actor="rm", today=today, now=NOON - DAY)
    for category in (MessageCategory.MARKETING, MessageCategory.CARE):
        found = await decide_one(database, mourning, category)
        assert (found.status, found.reason) == ("SUPPRESSED", "BEREAVEMENT")
        assert (await decide_one(database, ill, category)).status == "SENT"
    assert (await decide_one(database, mourning, MessageCategory.SERVICE)).status == "SENT"
    assert (await decide_one(database, mourning, now=NOON + 3 * DAY)).status == "SENT"


async def test_what_has_no_words_or_comes_too_late_is_not_sent(database: Database) -> None:
    customer = await make_customer(database)
    found = await decide_one(database, customer, template="NONE_OF_OURS")
    assert (found.status, found.reason) == ("FAILED", Reason.UNKNOWN_TEMPLATE)
    found = await decide_one(database, customer, expires_at=NOON)
    assert (found.status, found.reason) == ("EXPIRED", Reason.TOO_LATE)
    assert await notices_of(database, customer) == []


async def test_the_worker_settles_what_is_owed_once(database: Database, graph: GraphClient) -> None:
    """Given an owed service message, when two workers settle it, then there is one notice, and its words are gone."""
    customer, key = await make_customer(database), new_id()
    told: list[str] = []

    async def publish(channel: str, _: object) -> None:
        told.append(channel)

    row_id = await owe_message(database, customer, key, category=MessageCategory.SERVICE)
    stores = Stores(database, graph, publish)
    assert sorted(await asyncio.gather(settle(stores, row_id), settle(stores, row_id))) == [False, True]
    assert told == [f"customer:{customer}"]
    assert len(await notices_of(database, customer)) == 1
    async with database.read() as session:
        row = await session.get_one(Outbox, row_id)
    assert (row.payload, row.settled_at is not None) == ({}, True)


async def test_the_erased_are_told_nothing_and_a_merged_profile_s_survivor_is(database: Database) -> None:
    erased, merged, survivor = [await make_customer(database) for _ in range(3)]
    async with database.write() as session:
        (await session.get_one(Customer, erased)).erased_at = NOON
        (await session.get_one(Customer, merged)).merged_into = survivor
    async with database.write() as session:
        assert await decide_owed(session, new_id(), payload_of(erased), LOCAL, now=NOON) is None
        assert await decide_owed(session, new_id(), payload_of(merged), LOCAL, now=NOON) == survivor
    assert await messages_of(database, erased) == []
    assert [row.status for row in await messages_of(database, survivor)] == ["SENT"]


async def test_messages_and_wishes_go_with_their_customer(database: Database) -> None:
    """Given messages and wishes of two; when they are merged and erased; then all moves, and nothing is left."""
    one, other = [await make_customer(database) for _ in range(2)]
    for customer in (one, other):
        await decide_one(database, customer)
        async with database.write() as session:
            await set_wishes(session, customer, NewWishes({}, language="en"), now=NOON)
    traces = [trace for trace in all_traces() if trace.place.startswith(("message", "notification"))]
    async with database.write() as session:
        await hold_customer(session, other, now=NOON)
        await move_traces(session, traces, one, other)
    assert len(await messages_of(database, other)) == 2
    assert await messages_of(database, one) == []
    # The merged customer has had two marketing messages by now.
    assert (await decide_one(database, other)).reason == "FREQUENCY_CAP"
    async with database.write() as session:
        done = await erase_traces(session, traces, other)
    assert {place for place, count in done.items() if count} >= {
        "message.customer_id",
        "message_delivery.customer_id",
        "message_setting.customer_id",
        "message_guard.customer_id",
    }
    assert await messages_of(database, other) == []


async def test_what_was_put_off_and_then_erased_is_nothing(database: Database) -> None:
    customer = await make_customer(database)
    found = await decide_one(database, customer, now=NIGHT)
    async with database.write() as session:
        await erase_traces(session, [one for one in all_traces() if one.place.startswith("message")], customer)
        assert await decide_due(session, found.id, LOCAL, now=MORNING) is None
        assert await decide_due(session, derived_id("message", new_id()), LOCAL, now=utc_now()) is None
    assert await notices_of(database, customer) == []


def test_statuses_are_as_published() -> None:
    assert [one.value for one in MessageStatus] == ["QUEUED", "SENT", "SUPPRESSED", "FAILED", "EXPIRED"]


@pytest.mark.parametrize(("point", "kept"), [("before-commit", 0), ("after-commit", 1)])
async def test_a_worker_that_dies_tells_once(
    stores: Addresses, database: Database, graph: GraphClient, tmp_path: Path, point: str, kept: int
) -> None:
    """Given a worker killed before or after its decision is kept, when another comes, then there is one notice."""
    customer, key = await make_customer(database), new_id()
    row_id = await owe_message(database, customer, key, category=MessageCategory.SERVICE)
    script, log = str(REPOSITORY / "tests" / "worker" / "killed_message.py"), tmp_path / "killed.log"
    process = start_leashed([sys.executable, script, row_id, point], log=log, env=stores.environment())
    assert await asyncio.to_thread(process.wait, 60) == -9, log.read_text()[-2000:]
    assert len(await notices_of(database, customer)) == kept
    assert await settle(Stores(database, graph), row_id) == (not kept)
    assert len(await notices_of(database, customer)) == 1
    assert [row.status for row in await messages_of(database, customer)] == ["SENT"]
