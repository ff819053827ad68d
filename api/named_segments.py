"""Segments as communities, events and rewards name them: checked when they are set, shown to whoever sets them."""

from typing import Any

import strawberry

from api.context import Info
from api.relay import global_id, local_id
from segments.membership import check_segment


def segment_seen(segment_id: str | None, *, sees: bool) -> strawberry.ID | None:
    """The global id for who may know it."""
    return global_id("Segment", segment_id) if segment_id is not None and sees else None


def named_segment(value: strawberry.ID | None) -> str | None:
    """The local id that an input names; raises IdInvalid."""
    return None if value is None else local_id("Segment", value, "input", "segmentId")


async def check_named(info: Info, given: dict[str, Any]) -> None:
    """Raise SegmentUnknown where what is given names a segment that is not there, or archived."""
    if given.get("segment_id") is not None:
        async with info.context.database.read() as session:
            await check_segment(session, given["segment_id"])
