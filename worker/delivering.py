"""Deliveries sent by their channels: each is taken, sent outside of any transaction, and noted.

No lock is held while another's server thinks. Killed between sending and noting, it is sent again with the same id.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog

from core.clock import as_utc, utc_now
from core.db import Session
from core.messages import MessageCategory
from core.sealing import PersonalDataLocked
from customers.personal import open_customers
from customers.profiles import Customer
from service.message_decision import Reason, end_of_quiet, reason_of
from service.message_deliveries import (
    LEASE,
    DeliveryStatus,
    Taken,
    due_deliveries,
    end_delivery,
    fail_delivery,
    is_any_left,
    put_off_delivery,
    take_delivery,
)
from service.message_mail import send_mail
from service.message_outlets import LONGEST_SECONDS, Letter, NotTaken
from service.message_policies import active_message_policy
from service.message_policy import MessageChannel
from service.message_preferences import wishes_of
from service.message_words import written
from service.messages import Message, MessageStatus, mark_ended, mark_sent
from service.webhook_endpoints import Target, target_of
from service.webhooks import send_webhook
from worker.messaging import standing_of
from worker.work import Stores

log = structlog.get_logger(__name__)

BATCH = 100
# So many of one channel are on their way at once.
AT_ONCE = 8
OUTSIDE = [channel for channel in MessageChannel if channel is not MessageChannel.APP]
DEFAULT_LANGUAGE = "zh"


@dataclass(frozen=True, slots=True)
class Ready:
    """A delivery with all that it takes to send it."""

    letter: Letter
    target: Target | None


async def sweep_deliveries(stores: Stores, *, now: datetime | None = None) -> int:
    """Send what is due until nothing is; returns how many were sent. `now` stands for the clock in tests.

    Each channel goes by itself: one whose server does not answer holds up no other.
    """
    return sum(await asyncio.gather(*(sweep_channel(stores, one, now=now) for one in OUTSIDE)))


async def sweep_channel(stores: Stores, channel: MessageChannel, *, now: datetime | None) -> int:
    sent = 0
    places = asyncio.Semaphore(AT_ONCE)

    async def one(delivery_id: str) -> bool | None:
        async with places:
            try:
                return await deliver(stores, delivery_id, now=now or utc_now())
            except Exception:
                # It is due again after a pause, or where not even that could be noted, when its lease ends.
                log.exception("delivery_failed", delivery_id=delivery_id)
                return None

    while True:
        async with stores.database.read() as session:
            due = await due_deliveries(session, channel, now=now or utc_now(), limit=BATCH)
        done = await asyncio.gather(*(one(delivery_id) for delivery_id in due))
        sent += sum(bool(one) for one in done)
        # Where none of them could even be tried, another round would try the same.
        if len(due) < BATCH or all(one is None for one in done):
            return sent


async def deliver(stores: Stores, delivery_id: str, *, now: datetime) -> bool:
    """Send one delivery; False where another worker has it, it is not to be sent any more, or it was not taken.

    Raises what nobody expected, which is an attempt that failed, and PersonalDataLocked, which is none.
    """
    async with stores.database.write() as session:
        taken = await take_delivery(session, delivery_id, now=now)
    if taken is None:
        return False
    try:
        is_sent = await attempt(stores, taken, now=now)
    except NotTaken as error:
        await note_failure(stores, taken, error, now=now)
        return False
    except PersonalDataLocked:
        # Not the delivery is at fault but this process, which was not given the keys: all of them would be given up.
        async with stores.database.write() as session:
            await put_off_delivery(session, taken, until=now + LEASE)
        raise
    except Exception:
        await note_failure(stores, taken, NotTaken("ERROR"), now=now)
        raise
    if is_sent:
        async with stores.database.write() as session:
            if await end_delivery(session, taken, DeliveryStatus.SENT, now=now):
                await mark_sent(session, taken.message_id, now=now)
    return is_sent


async def attempt(stores: Stores, taken: Taken, *, now: datetime) -> bool:
    """Send what was taken; False where it is kept back. Raises NotTaken."""
    async with stores.database.read() as session:
        found = await made_ready(session, stores, taken, now=now)
    if not isinstance(found, Ready):
        await keep_back(stores, taken, found, now=now)
        return False
    try:
        async with asyncio.timeout(2 * LONGEST_SECONDS):
            await send(stores, found, now=now)
    except TimeoutError as error:
        raise NotTaken("TIMEOUT") from error
    return True


async def made_ready(session: Session, stores: Stores, taken: Taken, *, now: datetime) -> Ready | Reason | datetime:
    """The letter in the words of its customer, or why it is not sent any more, or until when it waits."""
    message = await session.get(Message, taken.message_id)
    customer = await session.get(Customer, taken.customer_id)
    if message is None or customer is None or customer.erased_at is not None:
        return Reason.UNREACHABLE
    if message.expires_at is not None and now >= as_utc(message.expires_at):
        return Reason.TOO_LATE
    if (held := await held_back(session, stores, message, taken.channel, now=now)) is not None:
        return held
    personal = (await open_customers(session, [customer]))[customer.id]
    language = (await wishes_of(session, customer.id)).language or DEFAULT_LANGUAGE
    name = personal.full_name or customer.display_name
    subject, body = written(message.template, message.words, name=name, language=language)
    letter = Letter(
        id=taken.id,
        channel=taken.channel,
        category=message.category,
        customer_id=customer.id,
        language=language,
        to=personal.email if taken.channel is MessageChannel.EMAIL else personal.phone,
        subject=subject,
        body=body,
        at=as_utc(message.released_at or message.owed_at),
    )
    by_webhook = taken.channel is not MessageChannel.EMAIL
    return Ready(letter, await target_of(session, taken.channel, now=now) if by_webhook else None)


async def held_back(
    session: Session, stores: Stores, message: Message, channel: MessageChannel, *, now: datetime
) -> Reason | datetime | None:
    """Why what was let out is not sent any more, or until when it waits; None where it goes.

    Between being let out and being sent hours may lie, or days where it is replayed: a customer says that they do not
    want it, somebody dies, and it is night.
    """
    policy = (await active_message_policy(session)).parsed()
    rule = policy.categories[MessageCategory(message.category)]
    standing = await standing_of(session, message, policy, stores.outlets, now=now)
    if (reason := reason_of(channel, rule, standing)) in (Reason.SWITCHED_OFF, Reason.NO_CONSENT):
        return reason
    for mute in rule.mutes:
        if mute in standing.mutes:
            return Reason(mute.value)
    return end_of_quiet(standing.quiet, standing.zone, now=now) if rule.waits_for_morning else None


async def send(stores: Stores, ready: Ready, *, now: datetime) -> None:
    """Hand a letter to its channel's adapter; raises NotTaken."""
    letter, outlets = ready.letter, stores.outlets
    if letter.channel is MessageChannel.EMAIL:
        if outlets.mail is None:
            raise NotTaken("NO_MAIL_SERVER")
        if letter.to is None:
            raise NotTaken("NO_ADDRESS", is_final=True)
        await send_mail(letter, outlets.mail)
        return
    if ready.target is None:
        raise NotTaken("NO_ENDPOINT")
    if letter.channel is MessageChannel.SMS and letter.to is None:
        raise NotTaken("NO_ADDRESS", is_final=True)
    await send_webhook(letter, ready.target, outlets, now=now)


async def keep_back(stores: Stores, taken: Taken, why: Reason | datetime, *, now: datetime) -> None:
    """Put off a delivery that waits for an hour, and end any other."""
    if isinstance(why, Reason):
        await give_up(stores, taken, why, now=now)
        return
    async with stores.database.write() as session:
        await put_off_delivery(session, taken, until=why)


async def give_up(stores: Stores, taken: Taken, reason: Reason, *, now: datetime) -> None:
    """End a delivery that is not to be sent any more, and its message where no other channel has it."""
    too_late = reason is Reason.TOO_LATE
    status = DeliveryStatus.EXPIRED if too_late else DeliveryStatus.WITHDRAWN
    async with stores.database.write() as session:
        if await end_delivery(session, taken, status, failure=reason, now=now):
            await end_message(session, taken, MessageStatus.EXPIRED if too_late else MessageStatus.SUPPRESSED, reason)


async def note_failure(stores: Stores, taken: Taken, error: NotTaken, *, now: datetime) -> None:
    log.info("delivery_not_taken", delivery_id=taken.id, failure=error.failure, attempt=taken.attempt)
    async with stores.database.write() as session:
        status = await fail_delivery(session, taken, failure=error.failure, is_final=error.is_final, now=now)
        if status is DeliveryStatus.DEAD:
            await end_message(session, taken, MessageStatus.FAILED, Reason.NOT_DELIVERED)


async def end_message(session: Session, taken: Taken, status: MessageStatus, reason: Reason) -> None:
    if not await is_any_left(session, taken.message_id):
        await mark_ended(session, taken.message_id, status, reason)
