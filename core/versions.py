"""Versions of what staff define: drafted, then active until the next one is. Of each table one is active at a time."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import JSON, Index, text
from sqlmodel import Field, col, select
from sqlmodel.sql.expression import SelectOfScalar

from core.audit import record_change
from core.db import Record, Session, instant
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Falling, Page, Place, cut, held_in, in_order, page_size, position_at

MOST_VERSIONS = 1_000
# No number of a version is larger than what PostgreSQL's column holds.
LARGEST_NUMBER = 2**31 - 1


class VersionStatus(StrEnum):
    """One version is active; the one that it replaces is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class Version(Record):
    """What every table of versions has; a definition never changes once it is written."""

    id: str = Field(primary_key=True)
    version: int = Field(unique=True)
    status: str
    definition: dict[str, Any] = Field(sa_type=JSON)
    created_by: str
    created_at: datetime = instant()
    activated_by: str | None = None
    activated_at: datetime | None = instant(optional=True)
    retired_at: datetime | None = instant(optional=True)


VersionT = TypeVar("VersionT", bound=Version)
RowT = TypeVar("RowT")


def one_active(table: str) -> Index:
    """By this the database itself allows a single active version."""
    active = text("status = 'ACTIVE'")
    return Index(f"uq_{table}_active", "status", unique=True, sqlite_where=active, postgresql_where=active)


async def lock_versions(session: Session, model: type[VersionT]) -> dict[str, VersionT]:
    """All versions by id, held for this transaction, so that drafts and activations go one after the other.

    Whoever waited for the first of them reads what was added meanwhile in a statement of its own.
    """
    statement = select(model).order_by(col(model.version))
    await session.exec(statement.limit(1).with_for_update())
    rows = (await session.exec(statement.execution_options(populate_existing=True))).all()
    return {row.id: row for row in rows}


async def draft_version(
    session: Session,
    model: type[VersionT],
    definition: BaseModel,
    *,
    area: str,
    invalid: type[BadUserInput],
    actor: str,
    now: datetime,
) -> VersionT:
    """Draft the next version; raises `invalid` where there are too many. The trail names it by `area`."""
    versions = await lock_versions(session, model)
    if len(versions) >= MOST_VERSIONS:
        raise invalid(detail=f"there are {MOST_VERSIONS} versions at most")
    row = model(
        id=new_id(),
        version=max((one.version for one in versions.values()), default=0) + 1,
        status=VersionStatus.DRAFT,
        definition=definition.model_dump(mode="json"),
        created_by=actor,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    await record_change(session, area, row.id, "created", actor=actor, now=now, version=row.version)
    return row


async def activate_version(
    session: Session,
    model: type[VersionT],
    version_id: str,
    *,
    area: str,
    retired: type[Refusal],
    argument: str = "policyId",
    actor: str,
    now: datetime,
) -> VersionT:
    """Make a version the active one; one that is so stays, and nothing is noted again. Raises NotFound, `retired`."""
    versions = await lock_versions(session, model)
    row = versions.get(version_id)
    if row is None:
        raise NotFound(path=(argument,))
    if row.status == VersionStatus.RETIRED:
        raise retired(path=(argument,))
    if row.status == VersionStatus.ACTIVE:
        return row
    for other in versions.values():
        if other.status == VersionStatus.ACTIVE:
            other.status, other.retired_at = VersionStatus.RETIRED, now
    # The one that goes makes room first: the database allows a single active version.
    await session.flush()
    row.status, row.activated_by, row.activated_at = VersionStatus.ACTIVE, actor, now
    await session.flush()
    await record_change(session, area, row.id, "activated", actor=actor, now=now, version=row.version)
    return row


async def active_version(session: Session, model: type[VersionT]) -> VersionT:
    """The version that counts now; the migration has seen to it that there is one."""
    return (await session.exec(select(model).where(col(model.status) == VersionStatus.ACTIVE))).one()


async def newest_versions(
    session: Session, statement: SelectOfScalar[RowT], number: Any, *, first: int | None, after: Place
) -> Page[RowT]:
    """What a statement finds, the largest numbers first; `number` is the column that holds them."""
    size, position = page_size(first), position_at(after, int)
    mark = None if position is None else [held_in(32, position[0])]
    page = in_order(statement, Falling(col(number)), size=size, place=after, position=mark)
    return cut((await session.exec(page)).all(), size, lambda row: (getattr(row, number.key),), after)
