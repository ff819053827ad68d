"""Notices to customers: each is stored once by the key of what caused it, unless its kind is switched off."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from core.db import Record, Session, insert_once, instant, json_column
from core.ids import derived_id

NOTICE_OWED = "notice.owed"


class Notification(Record, table=True):
    """What a customer is told; its words are made from `kind` and `data` when it is read, in either language."""

    __table_args__ = (Index("ix_notification_customer", "customer_id", "created_at", "id"),)

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    data: dict[str, Any] = json_column()
    created_at: datetime = instant()
    read_at: datetime | None = instant(optional=True)


class NotificationPreference(Record, table=True):
    """Whether a customer wants notices of a kind; without a row they do."""

    customer_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    enabled: bool
    changed_at: datetime = instant()


async def notify(session: Session, key: str, payload: dict[str, Any], *, now: datetime) -> bool:
    """Store an owed notice, once by its key; False where it was there or the customer does not want its kind."""
    customer_id, kind = payload["customer_id"], payload["kind"]
    preference = await session.get(NotificationPreference, (customer_id, kind))
    if preference is not None and not preference.enabled:
        return False
    row = {
        "id": derived_id("notification", key),
        "customer_id": customer_id,
        "kind": kind,
        "data": payload.get("data", {}),
        "created_at": now,
    }
    return bool(await insert_once(session, Notification, row, "id"))
