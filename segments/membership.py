"""Whether a customer is in a segment now, for whatever names one beside a tier and tags."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from sqlalchemy import literal
from sqlalchemy import select as sql_select

from core.db import Session, rows_by_id, zone_of
from core.errors import BadUserInput
from segments.condition_sql import compiled
from segments.conditions import load_vocabulary
from segments.segments import Segment, condition_of

# Whether a customer is in a segment, for those who hold a lock in the graph and know no SQL: asked only where one is
# named, by the ids of the two.
InSegment = Callable[[str, str], Awaitable[bool]]


class SegmentUnknown(BadUserInput):
    code = "SEGMENT_UNKNOWN"
    en = "There is no such segment, or it is archived."
    zh = "客群不存在或已归档。"


async def check_segment(session: Session, segment_id: str | None, *, path: tuple[str, ...] = ("segmentId",)) -> None:
    """Raise SegmentUnknown where a segment is to be named that does not exist or is archived; none is always fine."""
    if segment_id is None:
        return
    segment = await session.get(Segment, segment_id)
    if segment is None or segment.archived_at is not None:
        raise SegmentUnknown(path=path)


async def is_in_segment(session: Session, segment_id: str, customer_id: str, *, now: datetime) -> bool:
    """Whether the customer meets the segment's condition now, that of an archived one too; nobody is in an unknown one.

    Three statements: the segment, the words, the question.
    """
    return segment_id in await segments_with(session, [segment_id], customer_id, now=now)


async def segments_with(
    session: Session, segment_ids: Collection[str], customer_id: str, *, now: datetime
) -> frozenset[str]:
    """Those of several segments that the customer is in now, likewise in three statements for all of them."""
    segments = list((await rows_by_id(session, Segment, segment_ids)).values())
    if not segments:
        return frozenset()
    known = await load_vocabulary(session)
    questions = [
        compiled(condition_of(one, known), literal(customer_id), now=now, zone=zone_of(session)) for one in segments
    ]
    answers = (await (await session.connection()).execute(sql_select(*questions))).one()
    return frozenset(one.id for one, is_met in zip(segments, answers, strict=True) if is_met)
