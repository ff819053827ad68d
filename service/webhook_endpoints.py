"""The bank's gateways: one endpoint for each channel that goes out by webhook, with a secret of its own.

The secret is shown once and kept under the keys of the environment. After a rotation both secrets sign for a day.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Index, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col, select

from core.audit import record_change
from core.db import Record, Session, changed_rows, instant, ring_of
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.sealing import KeyRing
from service.message_outlets import Outlets
from service.message_policy import MessageChannel
from service.webhook_addresses import checked_url

SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - how Standard Webhooks begins a secret, and no secret
FORMER_SIGNS_FOR = timedelta(days=1)
# Channels that have an adapter of their own.
OWN_CHANNELS = frozenset({MessageChannel.APP, MessageChannel.EMAIL})


class WebhookEndpointExists(Refusal):
    code = "WEBHOOK_ENDPOINT_EXISTS"
    en = "This channel has an endpoint already; disable it first."
    zh = "该渠道已有接收端，请先停用。"


class WebhookEndpointDisabled(Refusal):
    code = "WEBHOOK_ENDPOINT_DISABLED"
    en = "This endpoint is disabled; create a new one."
    zh = "该接收端已停用，请新建。"


class WebhookChannelInvalid(BadUserInput):
    code = "WEBHOOK_CHANNEL_INVALID"
    en = "This channel does not go out by webhook."
    zh = "该渠道不通过 Webhook 发送。"


class WebhookEndpoint(Record, table=True):
    """Where the messages of a channel go; a channel has one that is not disabled."""

    __table_args__ = (
        Index(
            "uq_webhook_endpoint_active",
            "channel",
            unique=True,
            sqlite_where=text("disabled_at IS NULL"),
            postgresql_where=text("disabled_at IS NULL"),
        ),
        Index("ix_webhook_endpoint_created", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    channel: str
    url: str
    wrapped: str
    key_id: int
    former_wrapped: str | None = None
    former_key_id: int | None = None
    former_until: datetime | None = instant(optional=True)
    created_by: str
    created_at: datetime = instant()
    rotated_at: datetime | None = instant(optional=True)
    disabled_by: str | None = None
    disabled_at: datetime | None = instant(optional=True)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint as it is called; both secrets sign while the former one still counts."""

    url: str
    secrets: tuple[bytes, ...] = field(repr=False)


def secret_text(secret: bytes) -> str:
    """A secret as its receiver keeps it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def owner_of(endpoint_id: str) -> str:
    return f"webhook:{endpoint_id}"


async def create_webhook_endpoint(
    session: Session, channel: MessageChannel, url: str, *, outlets: Outlets, actor: str, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """The endpoint and its secret, which nobody is shown again.

    Raises WebhookChannelInvalid, WebhookUrlInvalid, WebhookEndpointExists.
    """
    if channel in OWN_CHANNELS:
        raise WebhookChannelInvalid(path=("channel",))
    checked_url(url, outlets)
    id, secret, ring = new_id(), os.urandom(SECRET_BYTES), ring_of(session)
    row = WebhookEndpoint(
        id=id,
        channel=channel,
        url=url,
        wrapped=ring.wrap(secret, owner_of(id)),
        key_id=ring.newest,
        created_by=actor,
        created_at=now,
    )
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        raise WebhookEndpointExists(path=("channel",)) from error
    await record_change(session, "webhook-endpoint", id, "created", actor=actor, now=now, channel=channel.value)
    return row, secret_text(secret)


async def held_endpoint(session: Session, endpoint_id: str) -> WebhookEndpoint:
    """The endpoint, held for this transaction; raises NotFound, WebhookEndpointDisabled."""
    statement = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if row is None:
        raise NotFound(path=("endpointId",))
    if row.disabled_at is not None:
        raise WebhookEndpointDisabled(path=("endpointId",))
    return row


async def rotate_webhook_secret(
    session: Session, endpoint_id: str, *, actor: str, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """A new secret, beside which the former one signs for a day; raises NotFound, WebhookEndpointDisabled."""
    row = await held_endpoint(session, endpoint_id)
    ring, secret = ring_of(session), os.urandom(SECRET_BYTES)
    row.former_wrapped, row.former_key_id, row.former_until = row.wrapped, row.key_id, now + FORMER_SIGNS_FOR
    row.wrapped, row.key_id, row.rotated_at = ring.wrap(secret, owner_of(row.id)), ring.newest, now
    await session.flush()
    await record_change(session, "webhook-endpoint", row.id, "rotated", actor=actor, now=now)
    return row, secret_text(secret)


async def disable_webhook_endpoint(session: Session, endpoint_id: str, *, actor: str, now: datetime) -> WebhookEndpoint:
    """Let nothing more go there; what is due waits for a new endpoint of its channel, or becomes a dead letter.

    Raises NotFound; one that is disabled stays as it is.
    """
    off = update(WebhookEndpoint).where(
        col(WebhookEndpoint.id) == endpoint_id, col(WebhookEndpoint.disabled_at).is_(None)
    )
    changed = await changed_rows(session, off.values(disabled_by=actor, disabled_at=now))
    row = await session.get(WebhookEndpoint, endpoint_id, populate_existing=True)
    if row is None:
        raise NotFound(path=("endpointId",))
    if changed:
        await record_change(session, "webhook-endpoint", row.id, "disabled", actor=actor, now=now)
    return row


async def channels_with_endpoint(session: Session) -> set[MessageChannel]:
    """The channels that go out by a webhook by now."""
    statement = select(WebhookEndpoint.channel).where(col(WebhookEndpoint.disabled_at).is_(None))
    return {MessageChannel(channel) for channel in (await session.exec(statement)).all()}


async def target_of(session: Session, channel: MessageChannel, *, now: datetime) -> Target | None:
    """Where messages of this channel go now; None where it has no endpoint. Raises PersonalDataLocked."""
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.channel == channel, col(WebhookEndpoint.disabled_at).is_(None)
    )
    row = (await session.exec(statement)).first()
    if row is None:
        return None
    return Target(row.url, tuple(secrets_of(row, ring_of(session), now=now)))


def secrets_of(row: WebhookEndpoint, ring: KeyRing, *, now: datetime) -> Sequence[bytes]:
    found = [ring.unwrap(row.key_id, row.wrapped, owner_of(row.id))]
    is_former_good = row.former_until is not None and row.former_until > now
    if is_former_good and row.former_wrapped is not None and row.former_key_id is not None:
        found.append(ring.unwrap(row.former_key_id, row.former_wrapped, owner_of(row.id)))
    return found


async def rewrap_secrets(session: Session) -> int:
    """Wrap all secrets by the newest key, after which older keys can go; returns how many endpoints had another."""
    ring = ring_of(session)
    older = (col(WebhookEndpoint.key_id) != ring.newest) | (
        col(WebhookEndpoint.former_key_id).is_not(None) & (col(WebhookEndpoint.former_key_id) != ring.newest)
    )
    rows = (await session.exec(select(WebhookEndpoint).where(older).with_for_update())).all()
    for row in rows:
        owner = owner_of(row.id)
        row.wrapped, row.key_id = ring.wrap(ring.unwrap(row.key_id, row.wrapped, owner), owner), ring.newest
        if row.former_wrapped is not None and row.former_key_id is not None:
            former = ring.unwrap(row.former_key_id, row.former_wrapped, owner)
            row.former_wrapped, row.former_key_id = ring.wrap(former, owner), ring.newest
    await session.flush()
    return len(rows)


async def list_webhook_endpoints(session: Session, *, first: int | None, after: Place) -> Page[WebhookEndpoint]:
    """All endpoints, also disabled ones, the newest first."""
    size = page_size(first)
    page = newest_first(
        select(WebhookEndpoint), col(WebhookEndpoint.created_at), col(WebhookEndpoint.id), size=size, after=after
    )
    return cut((await session.exec(page)).all(), size, lambda row: (row.created_at.isoformat(), row.id), after)
