"""Events of communities."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from community.access import IS_LISTED, MANAGERS, MAY_READ
from core.clock import iso
from core.errors import BadUserInput, NotFound
from core.ids import new_id
from core.paging import Page, cut_each, decode_cursor, page_size
from graph.client import GraphClient, Row


class EventStatus(StrEnum):
    """An event takes registrations while it is published."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"


class EventInvalid(BadUserInput):
    code = "EVENT_INVALID"
    en = "The event is not valid."
    zh = "活动信息无效。"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as its manager describes it; capacity counts persons, None means no limit."""

    community_id: str
    title_zh: str
    title_en: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    capacity: int | None
    venue: str | None = None


def check_event(event: NewEvent) -> None:
    """Raise EventInvalid with the path of the first field that cannot be."""
    for field, value in (("titleZh", event.title_zh), ("titleEn", event.title_en)):
        if not 1 <= len(value.strip()) <= 200:
            raise EventInvalid(path=(field,), detail="1 to 200 characters")
    if event.ends_at <= event.starts_at:
        raise EventInvalid(path=("endsAt",), detail="after startsAt")
    if event.capacity is not None and not 1 <= event.capacity <= 1_000_000:
        raise EventInvalid(path=("capacity",), detail="1 to 1000000")
    try:
        ZoneInfo(event.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise EventInvalid(path=("timeZone",), detail="an IANA time zone, such as Asia/Shanghai") from error


CREATE_EVENT = """
MATCH (me:Customer {id: $manager_id})-[m:MEMBER_OF]->(c:Community {id: $community_id})
WHERE m.role IN $managers
MERGE (c)-[:HOSTS]->(e:Event {id: $id})
SET e += $properties
RETURN e.id AS id
"""


async def create_event(graph: GraphClient, event: NewEvent, *, manager_id: str, now: datetime) -> str:
    """Publish an event; returns its id. Raises NotFound where the customer does not manage the community."""
    check_event(event)
    properties = {
        "community_id": event.community_id,
        "title_zh": event.title_zh.strip(),
        "title_en": event.title_en.strip(),
        "starts_at": iso(event.starts_at),
        "ends_at": iso(event.ends_at),
        "time_zone": event.time_zone,
        "capacity": event.capacity,
        "venue": event.venue,
        "status": EventStatus.PUBLISHED,
        "registered": 0,
        "created_at": iso(now),
    }
    rows = await graph.write(
        CREATE_EVENT,
        manager_id=manager_id,
        community_id=event.community_id,
        managers=MANAGERS,
        id=new_id(),
        properties=properties,
    )
    if not rows:
        raise NotFound(path=("communityId",))
    return str(rows[0]["id"])


READ_EVENTS = (
    """
UNWIND $ids AS id
MATCH (e:Event {id: id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c)
WITH c, e, m, m.role AS role
WHERE """
    + MAY_READ
    + """
  AND (e.status <> 'DRAFT' OR role IN ['OWNER', 'MANAGER'])
RETURN e.id AS id, c.id AS community_id, e.title_zh AS title_zh, e.title_en AS title_en, e.starts_at AS starts_at,
       e.ends_at AS ends_at, e.time_zone AS time_zone, e.venue AS venue, e.capacity AS capacity,
       e.registered AS registered, e.status AS status, e.latitude AS latitude, e.longitude AS longitude,
       e.price_points AS price_points, c.archived_at IS NULL AND """
    + IS_LISTED
    + """ AS listed
"""
)


async def read_events(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The events among `ids` that the viewer may see, by id."""
    rows = await graph.read(READ_EVENTS, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in rows}


EVENTS_OF_COMMUNITIES = """
UNWIND $community_ids AS community_id
MATCH (k:Community {id: community_id})
CALL (k) {
  MATCH (k)-[:HOSTS]->(e:Event)
  WHERE e.status IN ['PUBLISHED', 'COMPLETED', 'CANCELLED'] AND e.ends_at >= $ends_from
    AND (e.starts_at > $starts_at OR (e.starts_at = $starts_at AND e.id > $id))
  RETURN e.id AS id, e.starts_at AS starts_at
  ORDER BY e.starts_at, e.id
  LIMIT $limit
}
RETURN community_id, id, starts_at
ORDER BY starts_at, id
"""


async def events_of(
    graph: GraphClient,
    community_ids: Sequence[str],
    *,
    ends_from: datetime | None,
    first: int | None,
    after: str | None,
) -> dict[str, Page[Row]]:
    """Events of each community by their start, those that end from the given instant on."""
    size = page_size(first)
    position = decode_cursor(after, str, str) or ("", "")
    ids = list(community_ids)
    rows = await graph.read(
        EVENTS_OF_COMMUNITIES,
        community_ids=ids,
        ends_from=iso(ends_from) if ends_from else "",
        starts_at=position[0],
        id=position[1],
        limit=size + 1,
    )
    return cut_each(ids, rows, "community_id", size, lambda row: (row["starts_at"], row["id"]))
