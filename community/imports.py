"""The rows of communities, memberships, events and registrations."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import AwareDatetime, field_validator, model_validator
from pydantic import Field as Setting

from community.communities import JoinPolicy, MemberRole, Visibility
from core.clock import iso
from core.ids import derived_id
from core.importing import Batch, ImportKind, ImportRow, Rejection

Key = Annotated[str, Setting(min_length=1, max_length=200)]
Name = Annotated[str, Setting(min_length=1, max_length=200)]


class CommunityRow(ImportRow):
    """A community; `tags` is a list, or in CSV keys separated by semicolons."""

    key: Key
    name_zh: Name
    name_en: Name
    purpose_zh: str = ""
    purpose_en: str = ""
    tags: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PUBLIC
    join_policy: JoinPolicy = JoinPolicy.OPEN
    created_at: AwareDatetime | None = None

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


class MembershipRow(ImportRow):
    """A customer in a community; `weight` says how much they take part in it, 1 by default."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    community: Key
    role: MemberRole = MemberRole.MEMBER
    since: AwareDatetime | None = None
    weight: float = Setting(default=1.0, ge=0)


class EventRow(ImportRow):
    """An event of a community; `capacity` counts persons and may be left out."""

    key: Key
    community: Key
    title_zh: Name
    title_en: Name
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    time_zone: str = "Asia/Shanghai"
    capacity: Annotated[int, Setting(ge=1, le=1_000_000)] | None = None
    venue: str | None = None
    status: Literal["DRAFT", "PUBLISHED", "CANCELLED", "COMPLETED"] = "PUBLISHED"

    @field_validator("time_zone")
    @classmethod
    def is_known(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError("not an IANA time zone")
        return zone

    @model_validator(mode="after")
    def ends_later(self) -> "EventRow":
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class RegistrationRow(ImportRow):
    """A customer's registration for an event, as history has it: capacity is not asked."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    event: Key
    status: Literal["REGISTERED", "CANCELLED", "ATTENDED", "NO_SHOW"] = "REGISTERED"
    registered_at: AwareDatetime
    attended_at: AwareDatetime | None = None
    guests: int = Setting(default=0, ge=0, le=100)


def community_id(source: str, key: str) -> str:
    return derived_id("community", source, key)


def event_id(source: str, key: str) -> str:
    return derived_id("event", source, key)


PUT_COMMUNITIES = """
UNWIND $rows AS row
MERGE (c:Community {id: row.id})
ON CREATE SET c.member_count = 0, c.created_at = row.created_at
SET c.name_zh = row.name_zh, c.name_en = row.name_en, c.purpose_zh = row.purpose_zh, c.purpose_en = row.purpose_en,
    c.visibility = row.visibility, c.join_policy = row.join_policy
"""

PUT_COMMUNITY_TAGS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.id}), (t:Tag {key: row.tag})
MERGE (c)-[:ABOUT]->(t)
RETURN row.line AS line, row.tag AS tag
"""


async def write_communities(batch: Batch[CommunityRow]) -> list[Rejection]:
    rows = [
        {
            **item.row.model_dump(mode="json", exclude={"tags", "key", "created_at"}),
            "id": community_id(batch.source, item.row.key),
            "created_at": iso(item.row.created_at or batch.now),
        }
        for item in batch.rows
    ]
    await batch.graph.write(PUT_COMMUNITIES, timeout=60, rows=rows)
    tagged: list[dict[str, Any]] = [
        {"line": item.line, "id": community_id(batch.source, item.row.key), "tag": tag}
        for item in batch.rows
        for tag in item.row.tags
    ]
    if not tagged:
        return []
    written = {
        (row["line"], row["tag"]) for row in await batch.graph.write(PUT_COMMUNITY_TAGS, timeout=60, rows=tagged)
    }
    lost = {row["line"]: row["tag"] for row in tagged if (row["line"], row["tag"]) not in written}
    return [Rejection(line, "tags", f"unknown tag {tag}") for line, tag in lost.items()]


PUT_MEMBERSHIPS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (c:Community {id: row.community_id})
MERGE (me)-[m:MEMBER_OF]->(c)
ON CREATE SET m.key = row.key, m.since = row.since, m.fresh = true
SET m.role = row.role, m.weight = row.weight
WITH row, c, m, m.fresh AS fresh
REMOVE m.fresh
WITH row, c, CASE WHEN fresh THEN 1 ELSE 0 END AS added
SET c.member_count = c.member_count + added
RETURN row.key AS key
"""


async def write_memberships(batch: Batch[MembershipRow]) -> list[Rejection]:
    # One row for each pair: of two lines that say the same, the last holds, and the pair counts once.
    rows: dict[str, dict[str, Any]] = {}
    for item in batch.rows:
        customer, target = batch.customers[item.row.customer], community_id(batch.source, item.row.community)
        rows[f"{target}:{customer}"] = {
            "key": f"{target}:{customer}",
            "customer_id": customer,
            "community_id": target,
            "since": iso(item.row.since or batch.now),
            "role": item.row.role,
            "weight": item.row.weight,
        }
    written = await batch.graph.write(PUT_MEMBERSHIPS, timeout=60, rows=list(rows.values()))
    known = {row["key"].split(":")[0] for row in written}
    return [
        Rejection(item.line, "community", "unknown community")
        for item in batch.rows
        if community_id(batch.source, item.row.community) not in known
    ]


PUT_EVENTS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.community_id})
MERGE (e:Event {id: row.id})
ON CREATE SET e.registered = 0, e.created_at = row.created_at
MERGE (c)-[:HOSTS]->(e)
SET e.community_id = row.community_id, e.title_zh = row.title_zh, e.title_en = row.title_en,
    e.starts_at = row.starts_at, e.ends_at = row.ends_at, e.time_zone = row.time_zone, e.capacity = row.capacity,
    e.venue = row.venue, e.status = row.status
RETURN row.line AS line
"""


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
        }
        for item in batch.rows
    ]
    written = {row["line"] for row in await batch.graph.write(PUT_EVENTS, timeout=60, rows=rows)}
    return [Rejection(item.line, "community", "unknown community") for item in batch.rows if item.line not in written]


# Imported attendance is settled: its consequences were the affair of the system that it comes from.
PUT_REGISTRATIONS = """
UNWIND $rows AS row
MATCH (me:Customer {id: row.customer_id}), (e:Event {id: row.event_id})
MERGE (me)-[r:REGISTERED_FOR]->(e)
ON CREATE SET r.id = row.id, r.key = row.key, r.status = 'NEW'
WITH row, e, r, r.status IN ['REGISTERED', 'ATTENDED', 'NO_SHOW'] AS held
SET r.status = row.status, r.registered_at = row.registered_at, r.attended_at = row.attended_at,
    r.guests = row.guests, r.settled = true
WITH row, e, CASE WHEN held THEN 0 ELSE 1 END AS free, CASE WHEN row.status = 'CANCELLED' THEN 0 ELSE 1 END AS holds
SET e.registered = e.registered + holds + free - 1
RETURN row.key AS key
"""


async def write_registrations(batch: Batch[RegistrationRow]) -> list[Rejection]:
    # One row for each pair, as with memberships.
    rows: dict[str, dict[str, Any]] = {}
    for item in batch.rows:
        customer, target = batch.customers[item.row.customer], event_id(batch.source, item.row.event)
        attended = attended_at(item.row)
        rows[f"{target}:{customer}"] = {
            "key": f"{target}:{customer}",
            "id": derived_id("registration", target, customer),
            "customer_id": customer,
            "event_id": target,
            "status": item.row.status,
            "registered_at": iso(item.row.registered_at),
            "attended_at": iso(attended) if attended else None,
            "guests": item.row.guests,
        }
    written = await batch.graph.write(PUT_REGISTRATIONS, timeout=60, rows=list(rows.values()))
    known = {row["key"].split(":")[0] for row in written}
    return [
        Rejection(item.line, "event", "unknown event")
        for item in batch.rows
        if event_id(batch.source, item.row.event) not in known
    ]


def attended_at(row: RegistrationRow) -> datetime | None:
    return row.attended_at or (row.registered_at if row.status == "ATTENDED" else None)


KINDS = (
    ImportKind("community", CommunityRow, write_communities),
    ImportKind("membership", MembershipRow, write_memberships),
    ImportKind("event", EventRow, write_events),
    ImportKind("registration", RegistrationRow, write_registrations),
)
