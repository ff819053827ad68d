"""Messages owed, decided and delivered, for tests of what becomes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from core.clock import utc_now
from core.db import Database
from core.ids import derived_id, new_id
from core.messages import MESSAGE_OWED, MessageCategory, message
from core.outbox import Outbox, owe
from customers.consents import ConsentChannel, ConsentPurpose, Word, grant_consent
from customers.profiles import Customer
from service.message_deliveries import MessageDelivery
from service.message_outlets import Outlets
from service.message_policy import MessageChannel, QuietHours
from service.message_preferences import NewWishes, set_wishes
from service.message_words import CONTENT_PUBLISHED
from service.messages import Message, message_id_of
from service.notifications import Notification
from service.webhook_endpoints import WebhookEndpoint, create_webhook_endpoint, disable_webhook_endpoint
from worker.messaging import decide_owed

# Noon in Shanghai, so that nothing waits for a morning.
NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
LOCAL = Outlets(allows_loopback=True)
VALUES = {"title_zh": "养老新知", "title_en": "On pensions"}


async def make_customer(database: Database, *, consents: bool = True) -> str:
    """A customer without contacts, who allows marketing unless said otherwise."""
    customer_id = new_id()
    async with database.write() as session:
        session.add(Customer(id=customer_id, display_name="林悦", created_at=NOON - timedelta(days=30)))
        await session.flush()
    if consents:
        await allow(database, customer_id)
    return customer_id


async def sleep_never(database: Database, *customer_ids: str) -> None:
    """Let customers have no quiet hours, for what is sent at whatever hour it is."""
    async with database.write() as session:
        for one in customer_ids:
            await set_wishes(session, one, NewWishes({}, quiet=QuietHours(start="00:00", end="00:00")), now=NOON)


async def allow(database: Database, customer_id: str) -> None:
    async with database.write() as session:
        word = Word(ConsentPurpose.MARKETING, ConsentChannel.ALL, customer_id, "test")
        await grant_consent(session, customer_id, word, now=NOON - timedelta(days=20))


def payload_of(customer_id: str, category: MessageCategory = MessageCategory.MARKETING, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"template": CONTENT_PUBLISHED, "subject": new_id(), "values": VALUES, **more}
    return message(category, customer_id=customer_id, **given)


async def decide_one(
    database: Database,
    customer_id: str,
    category: MessageCategory = MessageCategory.MARKETING,
    *,
    key: str | None = None,
    outlets: Outlets = LOCAL,
    now: datetime = NOON,
    **more: Any,
) -> Message:
    """Owe and decide a message at an instant, as its handler does."""
    key = key or new_id()
    async with database.write() as session:
        await decide_owed(session, key, payload_of(customer_id, category, **more), outlets, now=now)
    return await message_of(database, message_id_of(key))


async def message_of(database: Database, message_id: str) -> Message:
    async with database.read() as session:
        return await session.get_one(Message, message_id)


async def owe_message(database: Database, customer_id: str, key: str, **more: Any) -> str:
    """The outbox row of a message that is owed now."""
    async with database.write() as session:
        await owe(session, topic=MESSAGE_OWED, key=key, payload=payload_of(customer_id, **more), now=utc_now())
    return derived_id("outbox", MESSAGE_OWED, key)


async def notices_of(database: Database, customer_id: str) -> list[Notification]:
    async with database.read() as session:
        statement = select(Notification).where(Notification.customer_id == customer_id)
        return list((await session.exec(statement.order_by(col(Notification.created_at)))).all())


async def deliveries_of(database: Database, customer_id: str) -> dict[str, MessageDelivery]:
    async with database.read() as session:
        statement = select(MessageDelivery).where(MessageDelivery.customer_id == customer_id)
        return {row.channel: row for row in (await session.exec(statement)).all()}


async def outbox_row(database: Database, topic: str, key: str) -> Outbox:
    async with database.read() as session:
        return await session.get_one(Outbox, derived_id("outbox", topic, key))


async def disable_endpoints(database: Database, *channels: MessageChannel) -> None:
    """Let no channel (or none of these) have an endpoint that another test left."""
    statement = select(WebhookEndpoint.id).where(
        col(WebhookEndpoint.channel).in_(channels or list(MessageChannel)), col(WebhookEndpoint.disabled_at).is_(None)
    )
    async with database.write() as session:
        for one in (await session.exec(statement)).all():
            await disable_webhook_endpoint(session, one, actor="test", now=utc_now())


async def put_endpoint(database: Database, channel: MessageChannel, url: str) -> tuple[str, str]:
    """The id and secret of a new endpoint of a channel, in the place of whichever another test left."""
    await disable_endpoints(database, channel)
    async with database.write() as session:
        row, secret = await create_webhook_endpoint(session, channel, url, outlets=LOCAL, actor="test", now=utc_now())
    return row.id, secret
