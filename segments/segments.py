"""Segments: conditions that have a name, with every version that they had."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Field, col, select

from core.audit import checked_reason, record_change
from core.db import Record, Session, instant, json_column
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, by_text, cut, page_size
from segments.conditions import Condition, Vocabulary, load_vocabulary, parse_condition


class SegmentInvalid(BadUserInput):
    code = "SEGMENT_INVALID"
    en = "The segment is not valid."
    zh = "客群定义无效。"


class SegmentArchived(Refusal):
    code = "SEGMENT_ARCHIVED"
    en = "This segment is archived and changes no more; nothing new can name it."
    zh = "该客群已归档，不能再修改或引用。"


class Segment(Record, table=True):
    """A segment as it is now; what names an archived one goes on by its last condition."""

    id: str = Field(primary_key=True)
    version: int
    name_zh: str
    name_en: str
    condition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()
    updated_by: str
    updated_at: datetime = instant()
    archived_by: str | None = None
    archived_at: datetime | None = instant(optional=True)


class SegmentVersion(Record, table=True):
    """What a segment said from when on, until its next version; never changed."""

    segment_id: str = Field(foreign_key="segment.id", primary_key=True)
    version: int = Field(primary_key=True)
    name_zh: str
    name_en: str
    condition: dict[str, Any] = json_column()
    made_by: str
    made_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment as an administrator describes it."""

    name_zh: str
    name_en: str
    condition: Any


NAMES = ("name_zh", "name_en")


async def create_segment(session: Session, new: NewSegment, *, actor: str, now: datetime) -> Segment:
    """Make a segment; raises SegmentInvalid, ConditionInvalid."""
    values = await checked(session, {"name_zh": new.name_zh, "name_en": new.name_en, "condition": new.condition})
    segment = Segment(
        id=new_id(), version=1, **values, created_by=actor, created_at=now, updated_by=actor, updated_at=now
    )
    session.add(segment)
    await session.flush()
    await keep_version(session, segment)
    await record_change(session, "segment", segment.id, "CREATED", actor=actor, now=now)
    return segment


async def update_segment(
    session: Session, segment_id: str, changes: Mapping[str, Any], *, actor: str, now: datetime
) -> Segment:
    """Change what is given, as the next version; raises NotFound, SegmentArchived, SegmentInvalid, ConditionInvalid."""
    segment = await lock_segment(session, segment_id)
    if segment.archived_at is not None:
        raise SegmentArchived(path=("segmentId",))
    values = await checked(session, changes)
    if all(getattr(segment, name) == value for name, value in values.items()):
        return segment
    for name, value in values.items():
        setattr(segment, name, value)
    segment.version, segment.updated_by, segment.updated_at = segment.version + 1, actor, now
    session.add(segment)
    await session.flush()
    await keep_version(session, segment)
    names = sorted(values)
    await record_change(
        session, "segment", segment.id, "UPDATED", actor=actor, now=now, version=segment.version, fields=names
    )
    return segment


async def archive_segment(session: Session, segment_id: str, *, reason: str, actor: str, now: datetime) -> Segment:
    """Let nothing new name the segment, once; what names it already goes on by its last condition. Raises NotFound."""
    words = checked_reason(reason, SegmentInvalid)
    segment = await lock_segment(session, segment_id)
    if segment.archived_at is None:
        segment.archived_at, segment.archived_by = now, actor
        session.add(segment)
        await session.flush()
        await record_change(session, "segment", segment.id, "ARCHIVED", actor=actor, now=now, reason=words)
    return segment


async def lock_segment(session: Session, segment_id: str) -> Segment:
    statement = select(Segment).where(Segment.id == segment_id).with_for_update(key_share=True)
    segment = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if segment is None:
        raise NotFound(path=("segmentId",))
    return segment


async def checked(session: Session, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, its names without space around them; raises SegmentInvalid, ConditionInvalid."""
    found = dict(changes)
    for name, path in zip(NAMES, ("nameZh", "nameEn"), strict=True):
        if name in found:
            found[name] = (found[name] or "").strip()
            if not 1 <= len(found[name]) <= 100 or "\0" in found[name]:
                raise SegmentInvalid(path=(path,), detail="1 to 100 characters")
    if "condition" in found:
        parse_condition(found["condition"], await load_vocabulary(session))
    return found


async def keep_version(session: Session, segment: Segment) -> None:
    names = (*NAMES, "version", "condition")
    said = {name: getattr(segment, name) for name in names}
    session.add(SegmentVersion(**said, segment_id=segment.id, made_by=segment.updated_by, made_at=segment.updated_at))
    await session.flush()


def condition_of(segment: Segment, known: Vocabulary) -> Condition:
    """The segment's condition as the words mean it now."""
    return parse_condition(segment.condition, known)


async def list_segments(session: Session, *, archived: bool, first: int | None, after: Place) -> Page[Segment]:
    """Segments in the order in which they were made, archived ones only where they are asked for."""
    size = page_size(first)
    statement = select(Segment)
    if not archived:
        statement = statement.where(col(Segment.archived_at).is_(None))
    page = by_text(statement, col(Segment.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)
