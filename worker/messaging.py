"""Messages decided with what other rooms know of a customer: consents, what the bank noted, and contacts."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from core.clock import as_utc
from core.db import Session, zone_of
from core.messages import MESSAGE_OWED, MessageCategory
from core.notices import NoticeKind
from customers.channel_preferences import liked_channels
from customers.consents import Consent, ConsentChannel, ConsentPurpose, consents_of, counts
from customers.profiles import Customer, known_as
from service.message_decision import Consenting, Standing, decide
from service.message_mutes import mutes_of
from service.message_outlets import Outlets
from service.message_policies import active_message_policy
from service.message_policy import CategoryRule, MessageChannel, MessageDefinition
from service.message_preferences import wanted, wishes_of
from service.messages import (
    MESSAGE_DUE,
    Message,
    carry_out,
    fail_unknown,
    hold_customer,
    is_open,
    put_message,
    released_of,
    waiting_of,
)
from service.webhook_endpoints import channels_with_endpoint
from worker.work import Work


async def on_message_owed(work: Work) -> None:
    """Decide whether, when and by which channels a message goes out."""
    tell_of_message(work, await decide_owed(work.session, work.key, work.payload, work.outlets, now=work.now))


async def on_message_due(work: Work) -> None:
    """Decide anew what was put off until now."""
    tell_of_message(work, await decide_due(work.session, work.payload["message_id"], work.outlets, now=work.now))


def tell_of_message(work: Work, customer_id: str | None) -> None:
    if customer_id is not None:
        work.told.append((f"customer:{customer_id}", {"kind": NoticeKind.MESSAGE}))


async def decide_owed(
    session: Session, key: str, payload: Mapping[str, Any], outlets: Outlets, *, now: datetime
) -> str | None:
    """Store and decide a message that is owed; returns the customer whose inbox has something new.

    A merged profile's message is the survivor's, and of the erased there is none.
    """
    customer_id, erased = await known_as(session, payload["customer_id"])
    if erased:
        return None
    await hold_customer(session, customer_id, now=now)
    message = await put_message(session, key, payload, customer_id=customer_id, now=now)
    return await decide_open(session, message, outlets, now=now)


async def decide_due(session: Session, message_id: str, outlets: Outlets, *, now: datetime) -> str | None:
    """Decide anew a message that was put off; nothing where it has been decided, or is gone with its customer."""
    found = await session.get(Message, message_id)
    if found is None:
        return None
    customer_id, erased = await known_as(session, found.customer_id)
    if erased:
        return None
    await hold_customer(session, customer_id, now=now)
    # Read anew behind the lock: another worker may have decided it, or a merge has moved it.
    message = await session.get(Message, message_id, populate_existing=True)
    return await decide_open(session, message, outlets, now=now) if message is not None else None


async def decide_open(session: Session, message: Message, outlets: Outlets, *, now: datetime) -> str | None:
    if not is_open(message) or await fail_unknown(session, message, now=now):
        return None
    policy = await active_message_policy(session)
    rules = policy.parsed()
    decision = decide(
        rules,
        MessageCategory(message.category),
        await standing_of(session, message, rules, outlets, now=now),
        owed_at=as_utc(message.owed_at),
        expires_at=as_utc(message.expires_at) if message.expires_at else None,
        now=now,
    )
    is_new = await carry_out(session, message, decision, policy_id=policy.id, now=now)
    return message.customer_id if is_new else None


async def standing_of(
    session: Session, message: Message, policy: MessageDefinition, outlets: Outlets, *, now: datetime
) -> Standing:
    """What is known of a message's customer now."""
    customer_id, category = message.customer_id, MessageCategory(message.category)
    wishes = await wishes_of(session, customer_id)
    return Standing(
        zone=wishes.time_zone or zone_of(session),
        quiet=wishes.quiet or policy.quiet_hours.minutes,
        wanted=wanted(category, policy, wishes, await liked_channels(session, customer_id)),
        consents=await consents_for(session, customer_id, policy.categories[category], now=now),
        reachable=await reachable(session, customer_id, outlets),
        mutes=await mutes_of(session, customer_id, now=now) if policy.categories[category].mutes else frozenset(),
        released=await released_of(session, customer_id, policy, now=now),
        waiting=await waiting_of(session, message),
    )


async def consents_for(
    session: Session, customer_id: str, rule: CategoryRule, *, now: datetime
) -> dict[MessageChannel, Consenting]:
    """What counts on the purpose of a category, by channel; a category without one is not asked about."""
    if rule.purpose is None:
        return {}
    purpose = ConsentPurpose(rule.purpose)
    said = {row.channel: row for row in await consents_of(session, customer_id, at=now) if row.purpose == purpose}
    general = said.get(ConsentChannel.ALL)
    return {channel: consenting(said.get(channel.value), general) for channel in rule.channels}


def consenting(own: Consent | None, general: Consent | None) -> Consenting:
    if own is None and general is None:
        return Consenting.SILENT
    return Consenting.GRANTED if counts(own, general) else Consenting.REFUSED


async def reachable(session: Session, customer_id: str, outlets: Outlets) -> frozenset[MessageChannel]:
    """The channels by which a customer can be reached; their contacts stay sealed until something is sent."""
    statement = select(col(Customer.email).is_not(None), col(Customer.phone).is_not(None))
    has_email, has_phone = (await session.exec(statement.where(Customer.id == customer_id))).first() or (False, False)
    endpoints = await channels_with_endpoint(session)
    found = {MessageChannel.APP}
    if has_email and outlets.mail is not None:
        found.add(MessageChannel.EMAIL)
    if has_phone and MessageChannel.SMS in endpoints:
        found.add(MessageChannel.SMS)
    if MessageChannel.WECHAT in endpoints:
        found.add(MessageChannel.WECHAT)
    return frozenset(found)


MESSAGING: dict[str, Callable[[Work], Awaitable[None]]] = {
    MESSAGE_OWED: on_message_owed,
    MESSAGE_DUE: on_message_due,
}
