"""The audit trail: who did what to what and why, append-only; it is written with the act or owed by it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, union_all
from sqlalchemy import select as sql_select
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant, json_column, rows_by_id, table_of
from core.errors import BadUserInput
from core.ids import derived_id
from core.paging import Page, cut, cut_each, decode_cursor, instant_in_cursor, page_size

ACT_AUDITED = "act.audited"
LONGEST_REASON = 500


class AuditEntry(Record, table=True):
    """One act; `area` is the thing whose keepers may read it, such as `community:{id}`."""

    __table_args__ = (Index("ix_audit_entry_area", "area", "at", "id"),)

    id: str = Field(primary_key=True)
    area: str
    actor: str
    action: str
    subject: str
    reason: str | None = None
    details: dict[str, Any] = json_column()
    at: datetime = instant()


def act(
    *, area: str, actor: str, action: str, subject: str, at: datetime, reason: str | None = None, **details: Any
) -> dict[str, Any]:
    """The payload of an owed entry; `details` are what the act changed, never personal data."""
    return {
        "area": area,
        "actor": actor,
        "action": action,
        "subject": subject,
        "reason": reason,
        "details": details,
        "at": at.isoformat(),
    }


def checked_reason(reason: str, invalid: type[BadUserInput], *, detail: str | None = None) -> str:
    """Why somebody acts, without the space around it; raises `invalid` for no words, too many, or NUL among them.

    The audit is kept in SQL, where no engine takes that character.
    """
    words = reason.strip()
    if not 1 <= len(words) <= LONGEST_REASON or "\0" in words:
        raise invalid(path=("reason",), detail=detail)
    return words


async def record_act(session: Session, key: str, payload: dict[str, Any]) -> None:
    """Write an owed entry, once by the key of what owes it."""
    row = {**payload, "id": derived_id("audit", key), "at": datetime.fromisoformat(payload["at"])}
    await insert_once(session, AuditEntry, row, "id")


async def acts_by_key(session: Session, keys: Sequence[str]) -> dict[str, AuditEntry]:
    """The entries that these keys owed, by key."""
    ids = {derived_id("audit", key): key for key in keys}
    return {ids[id]: row for id, row in (await rows_by_id(session, AuditEntry, ids)).items()}


async def audit_trail(session: Session, area: str, *, first: int | None, after: str | None) -> Page[AuditEntry]:
    """The acts in an area, the latest first."""
    size = page_size(first)
    position = decode_cursor(after, str, str)
    statement = select(AuditEntry).where(AuditEntry.area == area)
    if position:
        at, last = instant_in_cursor(position[0]), str(position[1])
        earlier = col(AuditEntry.at) < at
        statement = statement.where(earlier | ((col(AuditEntry.at) == at) & (col(AuditEntry.id) < last)))
    ordered = statement.order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc())
    rows: Sequence[AuditEntry] = (await session.exec(ordered.limit(size + 1))).all()
    return cut(rows, size, lambda row: (row.at.isoformat(), row.id))


async def audit_trails(
    session: Session, areas: Sequence[str], *, first: int | None, after: str | None
) -> dict[str, Page[dict[str, Any]]]:
    """The acts in each of several areas, the latest first, in one statement that reads no more than their pages."""
    size = page_size(first)
    position = decode_cursor(after, str, str)
    table = table_of(AuditEntry).c
    parts: list[Any] = []
    for area in areas:
        part = sql_select(*table).where(table.area == area)
        if position:
            at = instant_in_cursor(position[0])
            part = part.where((table.at < at) | ((table.at == at) & (table.id < str(position[1]))))
        ordered = part.order_by(table.at.desc(), table.id.desc()).limit(size + 1)
        parts.append(sql_select(*ordered.subquery().c))
    connection = await session.connection()
    found = (await connection.execute(union_all(*parts))).mappings() if parts else ()
    rows = sorted((dict(row) for row in found), key=lambda row: (row["at"], row["id"]), reverse=True)
    return cut_each(areas, rows, "area", size, lambda row: (row["at"].isoformat(), row["id"]))
