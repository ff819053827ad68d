"""Notices to customers: each is stored once by the key of what caused it, unless its kind is switched off."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text, update
from sqlmodel import Field, col, func, select

from core.db import Record, Session, changed_rows, insert_once, instant, json_column
from core.errors import BadUserInput, Refusal
from core.ids import derived_id
from core.notices import ALWAYS_TOLD, NoticeKind
from core.paging import Page, Place, cut, newest_first, page_size

# A badge says "99+" anyway; counting on would read ever more for nothing.
COUNTED_UP_TO = 100
MOST_IDS = 100
# What nobody gets without asking for it.
OFF_BY_DEFAULT = frozenset({NoticeKind.DIGEST})


class NotificationInvalid(BadUserInput):
    code = "NOTIFICATION_INVALID"
    en = "Say which notices: by their ids, or all up to an instant."
    zh = "请指定通知：按标识符，或截至某一时间的全部通知。"


class PreferenceFixed(Refusal):
    code = "PREFERENCE_FIXED"
    en = "Notices of this kind cannot be switched off."
    zh = "此类通知不能关闭。"


class PreferenceInvalid(BadUserInput):
    code = "PREFERENCE_INVALID"
    en = "Notices of this kind cannot be switched on or off."
    zh = "该类通知无法开启或关闭。"


class Notification(Record, table=True):
    """What a customer is told; its words are made from `kind` and `data` when it is read, in either language."""

    __table_args__ = (
        Index("ix_notification_customer", "customer_id", "created_at", "id"),
        Index(
            "ix_notification_unread",
            "customer_id",
            "created_at",
            "id",
            postgresql_where=text("read_at IS NULL"),
            sqlite_where=text("read_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    data: dict[str, Any] = json_column()
    created_at: datetime = instant()
    read_at: datetime | None = instant(optional=True)


class NotificationPreference(Record, table=True):
    """Whether a customer wants notices of a kind; without a row they do, unless the kind is OFF_BY_DEFAULT."""

    __table_args__ = (Index("ix_notification_preference_kind", "kind", "customer_id"),)

    customer_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    enabled: bool
    changed_at: datetime = instant()


async def notify(session: Session, key: str, payload: dict[str, Any], *, now: datetime) -> bool:
    """Store an owed notice, once by its key; False where it was there or the customer does not want its kind."""
    customer_id, kind = payload["customer_id"], payload["kind"]
    preference = await session.get(NotificationPreference, (customer_id, kind))
    wanted = preference.enabled if preference is not None else kind not in OFF_BY_DEFAULT
    if not wanted and kind not in ALWAYS_TOLD:
        return False
    row = {
        "id": derived_id("notification", key),
        "customer_id": customer_id,
        "kind": kind,
        "data": payload.get("data", {}),
        "created_at": now,
    }
    return bool(await insert_once(session, Notification, row, "id"))


async def notifications_of(
    session: Session, customer_id: str, *, unread_only: bool, first: int | None, after: Place
) -> Page[Notification]:
    """A customer's notices, the latest first."""
    size = page_size(first)
    statement = select(Notification).where(Notification.customer_id == customer_id)
    if unread_only:
        statement = statement.where(col(Notification.read_at).is_(None))
    page = newest_first(statement, col(Notification.created_at), col(Notification.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.created_at.isoformat(), row.id), after)


async def own_notification(session: Session, customer_id: str, notification_id: str) -> Notification | None:
    """A notice of this customer; None for one of anybody else."""
    row = await session.get(Notification, notification_id)
    return row if row is not None and row.customer_id == customer_id else None


async def count_unread(session: Session, customer_id: str) -> int:
    """How many notices the customer has not read, counted no further than COUNTED_UP_TO."""
    unread = select(Notification.id).where(Notification.customer_id == customer_id, col(Notification.read_at).is_(None))
    counted = select(func.count()).select_from(unread.limit(COUNTED_UP_TO).subquery())
    return (await session.exec(counted)).one()


async def mark_read(
    session: Session, customer_id: str, *, ids: Sequence[str] | None, until: datetime | None, now: datetime
) -> int:
    """Mark the customer's own notices as read, by ids or all up to an instant; returns how many were unread.

    Raises NotificationInvalid unless exactly one of both is given; ids of somebody else's notices do nothing.
    """
    if (ids is None) == (until is None):
        raise NotificationInvalid
    if ids is not None and not 1 <= len(ids) <= MOST_IDS:
        raise NotificationInvalid(path=("ids",), detail=f"1 to {MOST_IDS}")
    chosen = col(Notification.id).in_(ids) if ids is not None else col(Notification.created_at) <= until
    unread = update(Notification).where(
        col(Notification.customer_id) == customer_id, col(Notification.read_at).is_(None), chosen
    )
    return await changed_rows(session, unread.values(read_at=now))


async def set_preference(session: Session, customer_id: str, kind: NoticeKind, *, enabled: bool, now: datetime) -> None:
    """Switch notices of a kind on or off; raises PreferenceInvalid for OTHER, which is no kind, and PreferenceFixed."""
    if kind is NoticeKind.OTHER:
        raise PreferenceInvalid(path=("kind",))
    if kind in ALWAYS_TOLD and not enabled:
        raise PreferenceFixed(path=("kind",))
    row = {"customer_id": customer_id, "kind": str(kind), "enabled": enabled, "changed_at": now}
    if not await insert_once(session, NotificationPreference, row, "customer_id", "kind"):
        changed = update(NotificationPreference).where(
            col(NotificationPreference.customer_id) == customer_id, col(NotificationPreference.kind) == str(kind)
        )
        await changed_rows(session, changed.values(enabled=enabled, changed_at=now))


async def preferences_of(session: Session, customer_id: str) -> dict[NoticeKind, bool]:
    """Whether the customer gets notices of each kind that can be switched."""
    statement = select(NotificationPreference).where(NotificationPreference.customer_id == customer_id)
    chosen = {row.kind: row.enabled for row in (await session.exec(statement)).all()}
    kinds = [kind for kind in NoticeKind if kind is not NoticeKind.OTHER]
    return {kind: kind in ALWAYS_TOLD or chosen.get(kind, kind not in OFF_BY_DEFAULT) for kind in kinds}
