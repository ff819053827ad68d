"""A small world of communities, events and posts for searches, and the plain model of who finds what in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from community.search_documents import index_effect, index_nodes
from core.clock import iso
from core.db import Database
from core.ids import new_id
from graph.client import GraphClient, Transaction
from graph.owed import owe_effects
from worker.sweeps import sweep_graph, sweep_outbox
from worker.work import Stores

PUT_TAGS = """
UNWIND $rows AS row
MERGE (t:Tag {key: row.key})
SET t.name_zh = row.zh, t.name_en = row.en, t.family = 'INTEREST'
"""
PUT_COMMUNITIES = "UNWIND $rows AS row CREATE (c:Community {id: row.id}) SET c += row.properties"
PUT_EVENTS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.parent})
CREATE (c)-[:HOSTS]->(e:Event {id: row.id})
SET e += row.properties
"""
PUT_POSTS = "UNWIND $rows AS row CREATE (p:Post {id: row.id}) SET p += row.properties"
PUT_MEMBERSHIPS = """
UNWIND $rows AS row
MATCH (m:Customer {id: row.customer}), (c:Community {id: row.community})
CREATE (m)-[:MEMBER_OF {key: row.community + ':' + row.customer, role: row.role, since: row.since}]->(c)
"""
PUT_COMMUNITY_ABOUT = (
    "UNWIND $rows AS row MATCH (n:Community {id: row.id}), (t:Tag {key: row.tag}) CREATE (n)-[:ABOUT]->(t)"
)
PUT_EVENT_ABOUT = "UNWIND $rows AS row MATCH (n:Event {id: row.id}), (t:Tag {key: row.tag}) CREATE (n)-[:ABOUT]->(t)"


@dataclass(kw_only=True)
class Thing:
    """What a community, event or post says of itself."""

    title: str = ""
    text: str = ""
    tags: Sequence[str] = ()
    id: str = field(default_factory=new_id)


@dataclass(kw_only=True)
class SearchableCommunity(Thing):
    created_at: datetime
    visibility: str = "PUBLIC"
    archived: bool = False


@dataclass(kw_only=True)
class SearchableEvent(Thing):
    community: SearchableCommunity
    starts_at: datetime
    lasts: timedelta = timedelta()
    status: str = "PUBLISHED"
    latitude: float | None = None
    longitude: float | None = None
    price: int | None = None


@dataclass(kw_only=True)
class SearchablePost(Thing):
    community: SearchableCommunity
    created_at: datetime
    deleted: bool = False


def about(things: Sequence[Thing]) -> list[dict[str, str]]:
    return [{"id": thing.id, "tag": tag} for thing in things for tag in thing.tags]


async def put_tags(graph: GraphClient, names: dict[str, tuple[str, str]]) -> None:
    """Tags by key with their names in Chinese and English."""
    await graph.write(PUT_TAGS, rows=[{"key": key, "zh": zh, "en": en} for key, (zh, en) in names.items()])


async def put_communities(graph: GraphClient, things: Sequence[SearchableCommunity]) -> None:
    rows = [{"id": thing.id, "properties": community_properties(thing)} for thing in things]
    await graph.write(PUT_COMMUNITIES, rows=rows)
    await graph.write(PUT_COMMUNITY_ABOUT, rows=about(things))


def community_properties(thing: SearchableCommunity) -> dict[str, Any]:
    return {
        "name_zh": thing.title,
        "name_en": "",
        "purpose_zh": "",
        "purpose_en": "",
        "description_en": thing.text,
        "visibility": thing.visibility,
        "join_policy": "OPEN",
        "created_at": iso(thing.created_at),
        "member_count": 0,
        "archived_at": iso(thing.created_at) if thing.archived else None,
    }


async def put_events(graph: GraphClient, things: Sequence[SearchableEvent]) -> None:
    rows = [{"id": e.id, "parent": e.community.id, "properties": event_properties(e)} for e in things]
    await graph.write(PUT_EVENTS, rows=rows)
    await graph.write(PUT_EVENT_ABOUT, rows=about(things))


def event_properties(event: SearchableEvent) -> dict[str, Any]:
    return {
        "community_id": event.community.id,
        "title_zh": event.title,
        "title_en": "",
        "description_zh": event.text,
        "starts_at": iso(event.starts_at),
        "ends_at": iso(event.starts_at + event.lasts),
        "time_zone": "Asia/Shanghai",
        "status": event.status,
        "registered": 0,
        "latitude": event.latitude,
        "longitude": event.longitude,
        "price_points": event.price,
    }


async def put_posts(graph: GraphClient, things: Sequence[SearchablePost]) -> None:
    rows = [{"id": post.id, "properties": post_properties(post)} for post in things]
    await graph.write(PUT_POSTS, rows=rows)


def post_properties(post: SearchablePost) -> dict[str, Any]:
    return {
        "community_id": post.community.id,
        "text": post.text,
        "order": f"{post.community.id}:{iso(post.created_at)}:{post.id}",
        "created_at": iso(post.created_at),
        "deleted_at": iso(post.created_at) if post.deleted else None,
    }


async def put_memberships(graph: GraphClient, customer_id: str, roles: dict[str, str], now: datetime) -> None:
    """The customer's roles by community."""
    rows = [
        {"customer": customer_id, "community": community, "role": role, "since": iso(now)}
        for community, role in roles.items()
    ]
    await graph.write(PUT_MEMBERSHIPS, rows=rows)


async def index(graph: GraphClient, database: Database, label: str, things: Sequence[Thing]) -> None:
    """What the worker does with what these things owe."""
    async with database.write() as session:
        await index_nodes(graph, session, label, [thing.id for thing in things], now=datetime.now(UTC))


async def put(graph: GraphClient, database: Database, *things: Thing) -> None:
    """Write all of these, in the order in which they need each other, and index them."""
    communities = [thing for thing in things if isinstance(thing, SearchableCommunity)]
    events = [thing for thing in things if isinstance(thing, SearchableEvent)]
    posts = [thing for thing in things if isinstance(thing, SearchablePost)]
    await put_communities(graph, communities)
    await put_events(graph, events)
    await put_posts(graph, posts)
    for label, some in (("Community", communities), ("Event", events), ("Post", posts)):
        if some:
            await index(graph, database, label, some)


async def reindex(graph: GraphClient, database: Database, things: Sequence[Thing], label: str = "Event") -> None:
    """What a change owes, and the worker that settles it."""
    now = datetime.now(UTC)
    effect = index_effect(label, [thing.id for thing in things])

    async def work(tx: Transaction) -> None:
        await owe_effects(tx, [effect], now=now)

    await graph.transact(work, contended=effect.key)
    stores = Stores(database, graph)
    await sweep_graph(stores)
    await sweep_outbox(stores)
