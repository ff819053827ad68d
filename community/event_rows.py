"""What is read of an event, and what a viewer is told of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from community.access import IS_MEMBER, MANAGERS, MAY_READ, Visibility, is_listed, may_read
from community.event_details import AttendanceMode
from graph.client import Row


class EventStatus(StrEnum):
    """A draft is for managers only; an event takes registrations while it is published; the last two are final."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"


# By their values, for pages of rows.
STATUSES = {one.value: one for one in EventStatus}
MODES = {one.value: one for one in AttendanceMode}

# A place by the link that nothing is owed for. In a hybrid event a place at the venue does not show the link; an old
# registration names no channel, and then it is the event's only one.
HAS_LINK = """(r.status IN ['REGISTERED', 'ATTENDED'] AND coalesce(m.role, '') <> 'BANNED'
    AND (coalesce(r.price_points, 0) = 0 OR coalesce(r.paid, false))
    AND coalesce(r.channel, CASE WHEN e.attendance_mode = 'ONLINE' THEN 'LINK' ELSE 'PLACE' END) = 'LINK')"""

# Who sees the link: managers, hosts who are members, and who has a place by the link.
SEES_LINK = (
    """(coalesce(m.role, '') IN ['OWNER', 'MANAGER']
  OR (h IS NOT NULL AND """
    + IS_MEMBER
    + """)
  OR """
    + HAS_LINK
    + ")"
)

# What is read of an event `e`, where `c`, `me`, `m`, `r` and `h` are bound: all that it has at once, since Neo4j looks
# for each property that is named from the first one on.
EVENT_COLUMNS = (
    """properties(e) AS event, c.id AS community_id, c.visibility AS visibility, c.archived_at AS archived_at,
       m.role AS viewer_role, """
    + SEES_LINK
    + " AS sees_link"
)
MAY_READ_EVENT = MAY_READ + " AND (e.status <> 'DRAFT' OR coalesce(m.role, '') IN ['OWNER', 'MANAGER'])"

# What an event has where nothing is kept of it.
UNSET: Mapping[str, Any] = {
    **dict.fromkeys(("title_zh", "title_en", "description_zh", "description_en", "language", "cancel_reason")),
    **dict.fromkeys(("starts_at", "ends_at", "time_zone", "venue", "latitude", "longitude")),
    **dict.fromkeys(("registration_opens_at", "registration_closes_at", "priority_until")),
    **dict.fromkeys(("capacity", "registered", "link_capacity", "minimum_tier", "segment_id", "price_points")),
    **dict.fromkeys(("status", "series_id", "recurrence_id", "link")),
    **{"attendance_mode": "IN_PERSON", "offer_hours": 12, "version": 1, "required_tags": (), "figures": ()},
    **{"link_registered": 0, "waiting": 0, "link_waiting": 0, "guests_allowed": 0},
}


def event_row(found: Row) -> Row:
    """An event as its viewer is told of it, from a row of `EVENT_COLUMNS`."""
    event, role, visibility = found["event"], found["viewer_role"], found["visibility"]
    manages = role in MANAGERS
    row: Row = {**UNSET, **event, "community_id": found["community_id"]}
    row["viewer_manages"] = manages
    if not found["sees_link"]:
        row["link"] = None
    row["figures"] = list(row["figures"]) if manages else None
    row["required_tags"] = list(row["required_tags"])
    row["has_calendar"] = visibility != Visibility.PRIVATE and row["status"] != EventStatus.DRAFT
    row["listed"] = found["archived_at"] is None and is_listed(visibility, role)
    return row


def may_read_event(found: Row) -> bool:
    """`MAY_READ_EVENT` of such a row: whether the viewer may see the event."""
    is_draft = found["event"]["status"] == EventStatus.DRAFT
    return is_let_inside(found) and (not is_draft or found["viewer_role"] in MANAGERS)


def is_let_inside(found: Row) -> bool:
    """Whether the viewer may read the inside of the event's community."""
    return may_read(found["visibility"], found["viewer_role"])
