"""The rows of communities and events, and the kinds of all rows of this room."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, field_validator, model_validator
from pydantic import Field as Setting

from community.access import Visibility
from community.communities import JoinPolicy
from community.event_changes import EVENT_COMPLETED, telling
from community.event_details import LONGEST_EVENT
from community.event_rows import EventStatus
from community.events import order_of
from community.participation import (
    TIMEOUT_SECONDS,
    Key,
    MembershipRow,
    Name,
    RegistrationRow,
    community_id,
    event_id,
    write_memberships,
    write_registrations,
)
from community.prices import EVENT_CANCELLED
from community.recommendation_due import community_imported
from community.search_documents import index_effect
from core.clock import iso, utc_now
from core.days import time_zones
from core.importing import Batch, ImportKind, ImportRow, Rejection
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects


class CommunityRow(ImportRow):
    """A community; `tags` is a list, or in CSV keys separated by semicolons."""

    is_personal: ClassVar[bool] = False

    key: Key
    name_zh: Name
    name_en: Name
    purpose_zh: str = Setting(default="", max_length=300)
    purpose_en: str = Setting(default="", max_length=300)
    tags: Annotated[tuple[Key, ...], Setting(max_length=10)] = ()
    visibility: Visibility = Visibility.PUBLIC
    join_policy: JoinPolicy = JoinPolicy.OPEN
    created_at: AwareDatetime | None = None

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


class EventRow(ImportRow):
    """An event of a community; `capacity` counts persons and may be left out."""

    is_personal: ClassVar[bool] = False

    key: Key
    community: Key
    title_zh: Name
    title_en: Name
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    time_zone: str = "Asia/Shanghai"
    capacity: Annotated[int, Setting(ge=1, le=1_000_000)] | None = None
    venue: Annotated[str, Setting(max_length=300)] | None = None
    status: Literal["DRAFT", "PUBLISHED", "CANCELLED", "COMPLETED"] = "PUBLISHED"

    @field_validator("time_zone")
    @classmethod
    def is_known(cls, zone: str) -> str:
        if zone not in time_zones():
            raise ValueError("not an IANA time zone")
        return zone

    @model_validator(mode="after")
    def ends_later(self) -> "EventRow":
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        if self.ends_at - self.starts_at > LONGEST_EVENT:
            raise ValueError(f"ends_at must be at most {LONGEST_EVENT.days} days after starts_at")
        return self


# Who finds it and who comes in is its owners' to say from then on: a file that is imported again does not open it.
PUT_COMMUNITIES = """
UNWIND $rows AS row
MERGE (c:Community {id: row.id})
ON CREATE SET c.member_count = 0, c.created_at = row.created_at, c.visibility = row.visibility,
  c.join_policy = row.join_policy, c.charted_at = row.charted_at
SET c.name_zh = row.name_zh, c.name_en = row.name_en, c.purpose_zh = row.purpose_zh, c.purpose_en = row.purpose_en
WITH c, row
WHERE c.charted_at = row.charted_at
RETURN c.id AS id
"""

PUT_COMMUNITY_TAGS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.id}), (t:Tag {key: row.tag})
MERGE (c)-[:ABOUT]->(t)
RETURN row.line AS line, row.tag AS tag
"""


async def write_communities(batch: Batch[CommunityRow]) -> list[Rejection]:
    # When it is written, and not when the file was begun: what has been learnt meanwhile does not know of it.
    charted_at = iso(utc_now())
    rows = [
        {
            **item.row.model_dump(mode="json", exclude={"tags", "key", "created_at"}),
            "id": community_id(batch.source, item.row.key),
            "created_at": iso(item.row.created_at or batch.now),
            "charted_at": charted_at,
        }
        for item in batch.rows
    ]

    tagged: list[dict[str, Any]] = [
        {"line": item.line, "id": community_id(batch.source, item.row.key), "tag": tag}
        for item in batch.rows
        for tag in item.row.tags
    ]
    written = await batch.graph.transact(
        lambda tx: put_communities(tx, rows, tagged, batch.now),
        contended="imported communities",
        timeout=TIMEOUT_SECONDS,
    )
    lost = {row["line"]: row["tag"] for row in tagged if (row["line"], row["tag"]) not in written}
    return [Rejection(line, "tags", f"unknown tag {tag}") for line, tag in lost.items()]


async def put_communities(
    tx: Transaction, rows: Sequence[Row], tagged: Sequence[Row], now: datetime
) -> set[tuple[int, str]]:
    """Write the communities and what they are about, and owe their place in the search; returns the tags written.

    Those that are new are offered to whom they fit.
    """
    new = [row["id"] for row in await tx.run(PUT_COMMUNITIES, rows=rows)]
    written = await tx.run(PUT_COMMUNITY_TAGS, rows=tagged) if tagged else []
    offered = [community_imported(one, row["charted_at"]) for row in rows[:1] for one in dict.fromkeys(new)]
    await owe_effects(tx, [index_effect("Community", [row["id"] for row in rows]), *offered], now=now)
    return {(row["line"], row["tag"]) for row in written}


UNHOSTED = "unknown community, or the event is another community's"

PUT_EVENTS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.community_id})
MERGE (e:Event {id: row.id})
ON CREATE SET e.community_id = row.community_id, e.status = 'DRAFT', e.created_at = row.created_at, e.registered = 0,
  e.link_registered = 0, e.waiting = 0, e.link_waiting = 0, e.next_ticket = 1, e.version = 1,
  e.attendance_mode = 'IN_PERSON', e.guests_allowed = 0, e.offer_hours = 12
WITH e, row, e.status AS before
WHERE e.community_id = row.community_id
SET e.title_zh = row.title_zh, e.title_en = row.title_en, e.starts_at = row.starts_at, e.ends_at = row.ends_at,
    e.time_zone = row.time_zone, e.capacity = row.capacity,
    e.venue = row.venue, e.order = row.order,
    e.status = CASE WHEN before IN ['CANCELLED', 'COMPLETED'] OR row.status = 'DRAFT' THEN before ELSE row.status END
SET e.published_at = CASE WHEN e.status <> 'DRAFT' THEN coalesce(e.published_at, row.published_at) END,
    e.feed_order = CASE WHEN e.status <> 'DRAFT'
      THEN row.community_id + ':' + coalesce(e.published_at, row.published_at) + ':' + row.id END
RETURN row.line AS line, row.id AS id, row.community_id AS community_id, before, e.status AS after,
       EXISTS { MATCH (e)<-[:HOSTS]-(h:Community) WHERE h.id = row.community_id } AS hosted
"""

# Written with MERGE it would be looked for among all events of a community, for each of them again.
HOST_EVENTS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.community_id}), (e:Event {id: row.id})
CREATE (c)-[:HOSTS]->(e)
"""


async def put_events(tx: Transaction, rows: Sequence[Row], now: datetime) -> set[int]:
    """Write the events, whose nodes this locks, and let their communities host them; returns the lines written.

    What is cancelled or completed stays so, and an event stays with its community.
    """
    written = await tx.run(PUT_EVENTS, rows=rows)
    missing = {
        row["id"]: {"id": row["id"], "community_id": row["community_id"]} for row in written if not row["hosted"]
    }
    if missing:
        await tx.run(HOST_EVENTS, rows=list(missing.values()))
    if written:
        effects = [effect for row in written for effect in effects_of_status(row)]
        await owe_effects(tx, [*effects, index_effect("Event", [row["id"] for row in written])], now=now)
    return {row["line"] for row in written}


def effects_of_status(row: Row) -> list[Effect]:
    """What it owes that a published event is cancelled or completed by a file: the same as when its manager does it."""
    if row["before"] != EventStatus.PUBLISHED or row["after"] == row["before"]:
        return []
    if row["after"] == EventStatus.COMPLETED:
        return [Effect(EVENT_COMPLETED, row["id"], {"event_id": row["id"]})]
    told = telling(NoticeKind.EVENT_CANCELLED, row, "cancelled", reason="")
    return [told, Effect(EVENT_CANCELLED, row["id"], {"event_id": row["id"]})]


async def write_events(batch: Batch[EventRow]) -> list[Rejection]:
    rows = [
        {
            **item.row.model_dump(mode="json", exclude={"key", "community", "starts_at", "ends_at"}),
            "line": item.line,
            "id": event_id(batch.source, item.row.key),
            "community_id": community_id(batch.source, item.row.community),
            "starts_at": iso(item.row.starts_at),
            "ends_at": iso(item.row.ends_at),
            "created_at": iso(batch.now),
            # What is over was public before it began: in a feed, history is not news.
            "published_at": iso(min(batch.now, item.row.starts_at)),
            "order": order_of(
                community_id(batch.source, item.row.community),
                iso(item.row.starts_at),
                event_id(batch.source, item.row.key),
            ),
        }
        for item in batch.rows
    ]
    graph: GraphClient = batch.graph
    written = await graph.transact(
        lambda tx: put_events(tx, rows, batch.now), contended="imported events", timeout=TIMEOUT_SECONDS
    )
    return [Rejection(item.line, "community", UNHOSTED) for item in batch.rows if item.line not in written]


KINDS = (
    ImportKind("community", CommunityRow, write_communities),
    ImportKind("membership", MembershipRow, write_memberships),
    ImportKind("event", EventRow, write_events),
    ImportKind("registration", RegistrationRow, write_registrations),
)
