"""The audit trail: who did what to what and why, append-only; it is written with the act or owed by it.

One thing is taken out of it: the reason, which may speak of a person, when that person is erased. So an act says
whom it `concerns`, wherever it is kept and whatever it was done to.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, union_all
from sqlalchemy import select as sql_select
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant, json_column, rows_by_id, table_of
from core.errors import BadUserInput
from core.ids import derived_id, new_id
from core.paging import Page, Place, cut, cut_each, goes_back, newest_first, page_size

ACT_AUDITED = "act.audited"
LONGEST_REASON = 500


class AuditEntry(Record, table=True):
    """One act; `area` is the thing whose keepers may read it, such as `community:{id}`.

    `concerns` is the customer of whom the reason may speak, under the id that they had then.
    """

    __table_args__ = (
        Index("ix_audit_entry_area", "area", "at", "id"),
        Index("ix_audit_entry_subject", "subject"),
        Index("ix_audit_entry_actor", "actor"),
        Index("ix_audit_entry_concerns", "concerns"),
    )

    id: str = Field(primary_key=True)
    area: str
    actor: str
    action: str
    subject: str
    concerns: str | None = None
    reason: str | None = None
    details: dict[str, Any] = json_column()
    at: datetime = instant()


def act(
    *,
    area: str,
    actor: str,
    action: str,
    subject: str,
    at: datetime,
    concerns: str | None = None,
    reason: str | None = None,
    **details: Any,
) -> dict[str, Any]:
    """The payload of an owed entry; `details` are what the act changed, never personal data or free text.

    Where area or subject name a customer, that is whom it concerns.
    """
    return {
        "area": area,
        "actor": actor,
        "action": action,
        "subject": subject,
        "concerns": concerns or customer_named(area) or customer_named(subject),
        "reason": reason,
        "details": details,
        "at": at.isoformat(),
    }


def customer_named(thing: str) -> str | None:
    """The customer's id, where a thing that is named by its kind and id is a customer."""
    kind, _, id = thing.partition(":")
    return id if kind.lower() == "customer" and id else None


def checked_reason(reason: str, invalid: type[BadUserInput], *, detail: str | None = None) -> str:
    """Why somebody acts, without the space around it; raises `invalid` for no words, too many, or NUL among them.

    The audit is kept in SQL, where no engine takes that character.
    """
    words = reason.strip()
    if not 1 <= len(words) <= LONGEST_REASON or "\0" in words:
        raise invalid(path=("reason",), detail=detail)
    return words


async def record_act(session: Session, key: str, payload: Mapping[str, Any]) -> None:
    """Write an owed entry, once by the key of what owes it."""
    row = {**payload, "id": derived_id("audit", key), "at": datetime.fromisoformat(payload["at"])}
    await insert_once(session, AuditEntry, row, "id")


async def record_change(
    session: Session,
    kind: str,
    id: str,
    action: str,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
    **details: Any,
) -> None:
    """Write what staff did to a thing, however often it is done, in the transaction of the act.

    The area is the thing, `{kind}:{id}`, and the action's code begins with the kind.
    """
    code = f"{kind.replace('-', '_')}_{action}".upper()
    entry = act(area=f"{kind}:{id}", actor=actor, action=code, subject=id, at=now, reason=reason, **details)
    await record_act(session, f"{id}:{action}:{new_id()}", entry)


async def acts_by_key(session: Session, keys: Sequence[str]) -> dict[str, AuditEntry]:
    """The entries that these keys owed, by key."""
    ids = {derived_id("audit", key): key for key in keys}
    return {ids[id]: row for id, row in (await rows_by_id(session, AuditEntry, ids)).items()}


async def audit_trail(session: Session, area: str, *, first: int | None, after: Place) -> Page[AuditEntry]:
    """The acts in an area, the latest first."""
    size = page_size(first)
    statement = select(AuditEntry).where(AuditEntry.area == area)
    page = newest_first(statement, col(AuditEntry.at), col(AuditEntry.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.at.isoformat(), row.id), after)


async def audit_trails(
    session: Session, areas: Sequence[str], *, first: int | None, after: Place
) -> dict[str, Page[dict[str, Any]]]:
    """The acts in each of several areas, the latest first, in one statement that reads no more than their pages."""
    size = page_size(first)
    table = table_of(AuditEntry).c
    parts: list[Any] = []
    for area in areas:
        mine = sql_select(*table).where(table.area == area)
        page = newest_first(mine, table.at, table.id, size=size, after=after)
        parts.append(sql_select(*page.subquery().c))
    connection = await session.connection()
    found = (await connection.execute(union_all(*parts))).mappings() if parts else ()
    falling = not goes_back(after)
    rows = sorted((dict(row) for row in found), key=lambda row: (row["at"], row["id"]), reverse=falling)
    return cut_each(areas, rows, "area", size, lambda row: (row["at"].isoformat(), row["id"]), after)
