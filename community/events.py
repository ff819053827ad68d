"""Events of communities: making them, reading them, listing them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from community.access import MANAGERS, MEMBERS, may_read
from community.communities import read_communities
from community.event_details import LONGEST_EVENT, EventDetails, EventInvalid, check_details, stored
from community.event_rows import EVENT_COLUMNS, MAY_READ_EVENT, EventStatus, event_row, is_let_inside, may_read_event
from community.search_documents import index_effect
from community.standing import CommunityArchived
from core.audit import ACT_AUDITED, act
from core.clock import iso
from core.errors import NotFound, camel
from core.ids import new_id
from core.paging import Page, cut, cut_each, decode_cursor, page_size
from graph.client import GraphClient, Row, Transaction
from graph.ordered import rows_in_order
from graph.owed import Effect, owe_effects

# What a new event has beside what it is described by; registrations keep the counters.
FRESH: Mapping[str, Any] = {
    "registered": 0,
    "link_registered": 0,
    "waiting": 0,
    "link_waiting": 0,
    "next_ticket": 1,
    "version": 1,
}


async def create_event(
    graph: GraphClient,
    details: EventDetails,
    *,
    community_id: str,
    manager_id: str,
    publish: bool = True,
    now: datetime,
) -> str:
    """Make an event, published or as a draft; returns its id.

    Raises EventInvalid, CommunityArchived, or NotFound where the customer does not manage the community.
    """
    check_details(details)
    if publish and details.ends_at <= now:
        raise EventInvalid(path=("endsAt",), detail="in the future")
    event_id = new_id()
    row = {"id": event_id, "properties": fresh_properties(community_id, event_id, details, publish=publish, now=now)}

    async def work(tx: Transaction) -> None:
        await check_manager(tx, community_id, manager_id)
        await check_named(tx, community_id, details)
        await put_events(tx, community_id, [row], details)
        done = audited(community_id, manager_id, "EVENT_CREATED", event_id, key=event_id, now=now, published=publish)
        await owe_for_events(tx, [event_id], [done], now=now)

    await graph.transact(work, contended=event_id)
    return event_id


def fresh_properties(
    community_id: str,
    event_id: str,
    details: EventDetails,
    *,
    publish: bool,
    announce: bool = True,
    now: datetime,
    **more: Any,
) -> dict[str, Any]:
    """All properties of a new event's node but its id."""
    status = EventStatus.PUBLISHED if publish else EventStatus.DRAFT
    orders = {
        "order": order_of(community_id, iso(details.starts_at), event_id),
        **(published_properties(community_id, event_id, announce=announce, now=now) if publish else {}),
    }
    head = {"community_id": community_id, "status": status, "created_at": iso(now)}
    return {**stored(details), **FRESH, **head, **orders, **more}


def order_of(community_id: str, starts_at: str, event_id: str) -> str:
    """By what the events of a community are paged: their start."""
    return f"{community_id}:{starts_at}:{event_id}"


def published_properties(community_id: str, event_id: str, *, announce: bool = True, now: datetime) -> dict[str, Any]:
    """What publishing adds; `feed_order` is by what a feed pages what is announced: of a series the first event."""
    published = {"published_at": iso(now)}
    return {**published, "feed_order": f"{community_id}:{iso(now)}:{event_id}"} if announce else published


MANAGED_COMMUNITY = """
MATCH (c:Community {id: $community_id})
MATCH (me:Customer {id: $manager_id})
MATCH (me)-[m:MEMBER_OF]->(c)
WHERE m.role IN $managers
RETURN c.archived_at AS archived_at
"""


async def check_manager(tx: Transaction, community_id: str, manager_id: str) -> None:
    """Raise NotFound where the customer does not manage the community, CommunityArchived where it is closed."""
    rows = await tx.run(MANAGED_COMMUNITY, community_id=community_id, manager_id=manager_id, managers=MANAGERS)
    if not rows:
        raise NotFound(path=("communityId",))
    if rows[0]["archived_at"] is not None:
        raise CommunityArchived(path=("communityId",))


KNOWN_TAGS = "UNWIND $keys AS key MATCH (t:Tag {key: key}) RETURN t.key AS found"

KNOWN_HOSTS = """
UNWIND $ids AS id
MATCH (c:Community {id: $community_id})
MATCH (h:Customer {id: id})
MATCH (h)-[m:MEMBER_OF]->(c)
WHERE m.role IN $members
RETURN id AS found
"""


async def check_named(
    tx: Transaction,
    community_id: str,
    details: EventDetails,
    names: Iterable[str] = ("tags", "required_tags", "host_ids"),
) -> None:
    """Raise EventInvalid where a tag is unknown or a host no member; `names` are the fields to look at."""
    chosen = set(names)
    keys = {key for name in ("tags", "required_tags") if name in chosen for key in getattr(details, name)}
    hosts = set(details.host_ids) if "host_ids" in chosen else set[str]()
    tags = {row["found"] for row in await tx.run(KNOWN_TAGS, keys=sorted(keys))} if keys else set[str]()
    for name in ("tags", "required_tags"):
        lost = sorted(set(getattr(details, name)) - tags) if name in chosen else []
        if lost:
            raise EventInvalid(path=(camel(name),), detail=f"unknown tag {lost[0]}")
    if hosts:
        rows = await tx.run(KNOWN_HOSTS, ids=sorted(hosts), community_id=community_id, members=MEMBERS)
        if {row["found"] for row in rows} != hosts:
            raise EventInvalid(path=("hostIds",), detail="hosts are members of the community")


# Begun again after a lost answer, each finds what it made.
CREATE_EVENTS = """
MATCH (c:Community {id: $community_id})
UNWIND $rows AS row
OPTIONAL MATCH (old:Event {id: row.id})
WITH c, row, old
WHERE old IS NULL
CREATE (c)-[:HOSTS]->(e:Event {id: row.id})
SET e += row.properties
"""


async def put_events(tx: Transaction, community_id: str, rows: Sequence[Row], details: EventDetails) -> None:
    """Write new events, each a row of `id` and `properties`, that share their tags and hosts."""
    if not rows:
        return
    await tx.run(CREATE_EVENTS, community_id=community_id, rows=rows)
    await put_tags(tx, [row["id"] for row in rows], details.tags)
    await put_hosts(tx, [row["id"] for row in rows], details.host_ids)


PUT_TAGS = """
UNWIND $ids AS id
MATCH (e:Event {id: id})
WHERE NOT EXISTS { (e)-[:ABOUT]->(:Tag) }
UNWIND $keys AS key
MATCH (t:Tag {key: key})
CREATE (e)-[:ABOUT]->(t)
"""


async def put_tags(tx: Transaction, ids: Sequence[str], keys: Iterable[str]) -> None:
    if tags := sorted(set(keys)):
        await tx.run(PUT_TAGS, ids=list(ids), keys=tags)


PUT_HOSTS = """
UNWIND $ids AS id
MATCH (e:Event {id: id})
WHERE NOT EXISTS { (e)<-[:HOSTS_EVENT]-(:Customer) }
UNWIND $host_ids AS host_id
MATCH (h:Customer {id: host_id})
CREATE (h)-[:HOSTS_EVENT]->(e)
"""


async def put_hosts(tx: Transaction, ids: Sequence[str], host_ids: Iterable[str]) -> None:
    if hosts := sorted(set(host_ids)):
        await tx.run(PUT_HOSTS, ids=list(ids), host_ids=hosts)


def audited(
    community_id: str,
    actor: str,
    action: str,
    subject: str,
    *,
    key: str,
    now: datetime,
    kind: str = "Event",
    **more: Any,
) -> Effect:
    """The owed entry in the community's audit trail; `key` names this one act."""
    area = f"community:{community_id}"
    payload = act(area=area, actor=actor, action=action, subject=f"{kind}:{subject}", at=now, **more)
    return Effect(ACT_AUDITED, f"{action}:{key}", payload)


async def owe_for_events(tx: Transaction, ids: Sequence[str], effects: Sequence[Effect], *, now: datetime) -> None:
    """Owe what a change of these events causes: the one way by which everything that writes events goes."""
    await owe_effects(tx, [*effects, index_effect("Event", ids)] if ids else effects, now=now)


# The viewer is bound first: asked for within the pattern, the embedded engine walks through all members.
READ_EVENTS = (
    """
UNWIND $ids AS id
MATCH (e:Event {id: id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
OPTIONAL MATCH (me)-[r:REGISTERED_FOR]->(e)
OPTIONAL MATCH (me)-[h:HOSTS_EVENT]->(e)
WITH c, e, m, r, h
WHERE """
    + MAY_READ_EVENT
    + "\nRETURN "
    + EVENT_COLUMNS
    + "\n"
)


async def read_events(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The events among `ids` that the viewer may see, by id; `link` is null for whoever may not see it."""
    rows = await graph.read(READ_EVENTS, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in map(event_row, rows)}


# The events of one community, along the index: the range stands alone, because with anything else beside it, or within
# a subquery, the embedded engine reads all events there are. Of what has not ended, the index is read from as long ago
# as an event may last: the cost is that of what began since then.
PLACES_OF_EVENTS = """
MATCH (e:Event)
WHERE e.order > $after AND e.order < $until
WITH e
WHERE e.ends_at >= $ends_from
RETURN e.id AS id, e.order AS place
LIMIT $limit
"""

# The same with what is said of them, for Neo4j: the embedded engine would say it of all before it cuts them off. What
# is the same for all events stands first, since Neo4j would look for it again for each of them.
EVENTS_OF_COMMUNITY = (
    """
MATCH (c:Community {id: $community_id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
CALL () {
  MATCH (e:Event)
  WHERE e.order > $after AND e.order < $until
  WITH e
  WHERE e.ends_at >= $ends_from
  RETURN e
  LIMIT $limit
}
OPTIONAL MATCH (me)-[r:REGISTERED_FOR]->(e)
OPTIONAL MATCH (me)-[h:HOSTS_EVENT]->(e)
RETURN """
    + EVENT_COLUMNS
    + ", e.order AS place\n"
)

# Those of several, each by a walk over what it hosts.
EVENTS_OF_COMMUNITIES = """
UNWIND $rows AS row
MATCH (c:Community {id: row.id})
CALL (c, row) {
  MATCH (c)-[:HOSTS]->(e:Event)
  WHERE substring(e.order, size(c.id)) > $after AND e.ends_at >= $ends_from AND (row.drafts OR e.status <> 'DRAFT')
  RETURN e
  ORDER BY e.order
  LIMIT $limit
}
RETURN c.id AS community_id, e.id AS id, e.order AS place
ORDER BY place
"""


async def events_of_one(
    graph: GraphClient,
    community_id: str,
    *,
    viewer_id: str | None,
    ends_from: datetime | None,
    first: int | None,
    after: str | None,
) -> Page[Row]:
    """Events of a community by their start, as `read_events` has them, those that end from the given instant on.

    There are none for whoever may not read the inside, and drafts for managers only.
    """
    size = page_size(first)
    place, until = community_id + start_of(ends_from, after), f"{community_id};"
    rows: list[Row] = []
    limit = size + 1
    while True:
        bounds: dict[str, Any] = {"after": place, "until": until, "ends_from": from_text(ends_from), "limit": limit}
        found = await in_order(graph, community_id, viewer_id, **bounds)
        rows += [row for row in found if row["visible"]]
        # Behind drafts that the viewer may not see there may be more, but not behind what is closed to them.
        if len(rows) > size or len(found) < limit or not any(row["inside"] for row in found):
            return cut(rows, size, place_of)
        place, limit = found[-1]["place"], limit * 2


async def in_order(graph: GraphClient, community_id: str, viewer_id: str | None, **bounds: Any) -> list[Row]:
    """The first events within these bounds, `visible` or not, and whether the viewer is let `inside`."""
    viewer: Row = {"community_id": community_id, "viewer_id": viewer_id or ""}
    if not await graph.is_embedded():
        return [placed_row(row) for row in await rows_in_order(graph, EVENTS_OF_COMMUNITY, **bounds, **viewer)]
    places = await rows_in_order(graph, PLACES_OF_EVENTS, **bounds)
    seen = await read_events(graph, [row["id"] for row in places], viewer_id=viewer_id) if places else {}
    inside = bool(seen)
    if places and not seen:
        communities = await read_communities(graph, [community_id], viewer_id=viewer_id)
        inside = any(readable(row) for row in communities.values())
    return [{**row, **seen.get(row["id"], {}), "visible": row["id"] in seen, "inside": inside} for row in places]


def placed_row(found: Row) -> Row:
    """What `in_order` tells of an event, from a row of `EVENT_COLUMNS` with its place."""
    row = event_row(found)
    row["place"], row["visible"], row["inside"] = found["place"], may_read_event(found), is_let_inside(found)
    return row


async def events_of(
    graph: GraphClient,
    communities: Sequence[Row],
    *,
    ends_from: datetime | None,
    first: int | None,
    after: str | None,
) -> dict[str, Page[Row]]:
    """Likewise of each of several communities, but only which events they are.

    The communities are rows as they were read for the viewer.
    """
    size, start = page_size(first), start_of(ends_from, after)
    asked = [{"id": row["id"], "drafts": row["viewer_role"] in MANAGERS} for row in communities if readable(row)]
    names: Row = {"after": start, "ends_from": from_text(ends_from), "limit": size + 1}
    rows = await graph.read(EVENTS_OF_COMMUNITIES, rows=asked, **names) if asked else []
    return cut_each([row["id"] for row in communities], rows, "community_id", size, place_of)


def start_of(ends_from: datetime | None, after: str | None) -> str:
    """Behind which place within its community a page of events begins."""
    position = decode_cursor(after, str)
    earliest = iso(ends_from - LONGEST_EVENT) if ends_from else ""
    return f":{max(str(position[0]), earliest)}" if position else f":{earliest}"


def from_text(ends_from: datetime | None) -> str:
    return iso(ends_from) if ends_from else ""


def place_of(row: Row) -> tuple[str]:
    """The place of an event within its community."""
    return (row["place"].removeprefix(row["community_id"] + ":"),)


def readable(community: Row) -> bool:
    return may_read(community["visibility"], community["viewer_role"])


TAGS_OF_EVENTS = """
UNWIND $ids AS id
MATCH (:Event {id: id})-[:ABOUT]->(t:Tag)
RETURN id AS event_id, t.key AS key, t.name_zh AS name_zh, t.name_en AS name_en, t.family AS family
ORDER BY event_id, key
"""


async def tags_of_events(graph: GraphClient, ids: Sequence[str]) -> list[Row]:
    """What events are about."""
    return await graph.read(TAGS_OF_EVENTS, ids=list(ids))


HOSTS_OF_EVENTS = """
UNWIND $ids AS id
MATCH (:Event {id: id})<-[:HOSTS_EVENT]-(h:Customer)
RETURN id AS event_id, h.id AS id, h.display_name AS display_name
ORDER BY event_id, id
"""


async def hosts_of_events(graph: GraphClient, ids: Sequence[str]) -> list[Row]:
    """The named hosts of events."""
    return await graph.read(HOSTS_OF_EVENTS, ids=list(ids))
