"""What the search knows of communities, events and posts, and how it learns of a change.

The change owes it (`index_effect`), the worker reads what the thing is by then and writes that: on Neo4j as properties
that the full-text index holds beside the texts, on the embedded engine as rows of the SQL index. Who may see what is
found is never part of it: that is asked of the graph with every answer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from community.search_keys import (
    FREE,
    SearchKind,
    cell_keys,
    community_key,
    day_key,
    day_of,
    place_of,
    sign_key,
    tag_key,
)
from community.search_sql import Entry, base_of, lock_index, write_entries
from community.search_text import is_single, terms_of
from core import outbox
from core.clock import iso, parse_instant
from core.db import Session
from core.ids import new_id
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects

SEARCH_INDEX = "search.index"
PAGE = 500
TIMEOUT_SECONDS = 60.0

KINDS = {"Community": SearchKind.COMMUNITY, "Event": SearchKind.EVENT, "Post": SearchKind.POST}


def index_effect(label: str, ids: Sequence[str]) -> Effect:
    """Owed by whatever makes or changes these communities, events or posts, together with its other effects.

    Each has a key of its own, because an earlier one may have read what is there before this change.
    """
    return Effect(SEARCH_INDEX, f"{label}:{new_id()}", {"label": label, "ids": list(ids)})


# Each reads the texts of its nodes by id. `at` decides the place; a row with `gone` is found no more.
READ_COMMUNITY_TEXTS = """
UNWIND $ids AS id
MATCH (n:Community {id: id})
RETURN n.id AS id, n.created_at AS at, n.archived_at IS NOT NULL AS gone, n.id AS community_id,
       [n.name_zh, n.name_en] AS title, [n.purpose_zh, n.purpose_en, n.description_zh, n.description_en] AS text,
       [(n)-[:ABOUT]->(t:Tag) | [t.key, t.name_zh, t.name_en]] AS tags, n.visibility = 'PUBLIC' AS is_open
"""

READ_EVENT_TEXTS = """
UNWIND $ids AS id
MATCH (n:Event {id: id})<-[:HOSTS]-(c:Community)
RETURN n.id AS id, n.starts_at AS at, NOT n.status IN ['PUBLISHED', 'COMPLETED'] AS gone,
       n.community_id AS community_id, [n.title_zh, n.title_en] AS title, [n.description_zh, n.description_en] AS text,
       [(n)-[:ABOUT]->(t:Tag) | [t.key, t.name_zh, t.name_en]] AS tags,
       n.latitude AS latitude, n.longitude AS longitude, n.price_points AS price,
       c.visibility = 'PUBLIC' AND c.archived_at IS NULL AS is_open
"""

READ_POST_TEXTS = """
UNWIND $ids AS id
MATCH (n:Post {id: id})
MATCH (c:Community {id: n.community_id})
RETURN n.id AS id, n.created_at AS at, n.deleted_at IS NOT NULL AS gone, n.community_id AS community_id, [] AS title,
       [n.text] AS text, [] AS tags, c.visibility = 'PUBLIC' AND c.archived_at IS NULL AS is_open
"""

READ: dict[str, LiteralString] = {
    "Community": READ_COMMUNITY_TEXTS,
    "Event": READ_EVENT_TEXTS,
    "Post": READ_POST_TEXTS,
}


def entry_of(label: str, row: Row) -> Entry:
    """What the search is to know of a node as it was read."""
    if row["gone"] or row["at"] is None:
        return Entry(row["id"], None)
    return Entry(
        row["id"],
        place_of(KINDS[label], parse_instant(row["at"]), row["id"]),
        title=frozenset(terms_of("\n".join(filter(None, row["title"])))),
        words=frozenset(terms_of("\n".join(filter(None, [*row["text"], words_of_tags(row)])))),
        keys=frozenset(keys_of(label, row)),
        is_open=bool(row["is_open"]),
        latitude=row.get("latitude"),
        longitude=row.get("longitude"),
    )


def words_of_tags(row: Row) -> str:
    return "\n".join(name for _, *names in row["tags"] for name in names if name)


def keys_of(label: str, row: Row) -> list[str]:
    """By what else it is found: its community, its tags, where it is, that it costs nothing."""
    keys = [community_key(row["community_id"]), *(tag_key(key) for key, *_ in row["tags"])]
    if label == "Event":
        if not row["price"]:
            keys.append(FREE)
        if row["latitude"] is not None and row["longitude"] is not None:
            keys += cell_keys(row["latitude"], row["longitude"])
    return keys


async def index_nodes(graph: GraphClient, session: Session, label: str, ids: Sequence[str], *, now: datetime) -> None:
    """Write what the search is to know of these nodes as they are now; the session is one that writes."""
    if await graph.is_embedded():
        await lock_index(session)
        rows = await graph.read(READ[label], timeout=TIMEOUT_SECONDS, ids=list(ids))
        await write_entries(session, label, complete(label, ids, rows))
    else:
        rows = await write_properties(graph, label, ids)
    if label == "Community":
        await open_or_close(graph, rows, now=now)


OPEN_OR_CLOSE = """
UNWIND $rows AS row
MATCH (n:Community {id: row.id})
WITH n, row, n.holds_open AS before
SET n.holds_open = row.is_open
WITH row, before
WHERE before <> row.is_open
RETURN row.id AS id
"""


async def open_or_close(graph: GraphClient, communities: Sequence[Row], *, now: datetime) -> None:
    """Owe the index of all that is in a community that everybody finds now, or nobody but its members."""
    rows = [{"id": row["id"], "is_open": bool(row["is_open"] and not row["gone"])} for row in communities]

    async def work(tx: Transaction) -> None:
        changed = await tx.run(OPEN_OR_CLOSE, rows=rows)
        effects = [
            Effect(
                SEARCH_INDEX,
                f"{label}:of:{row['id']}:{iso(now)}",
                {"label": label, "community": row["id"], "after": ""},
            )
            for row in changed
            for label in OF_COMMUNITY
        ]
        await owe_effects(tx, effects, now=now)

    await graph.transact(work, contended="search index", timeout=TIMEOUT_SECONDS)


def complete(label: str, ids: Sequence[str], rows: Sequence[Row]) -> list[Entry]:
    """An entry for each id; what is not there any more is to be found no more."""
    found = {row["id"]: entry_of(label, row) for row in rows}
    return [found.get(node_id) or Entry(node_id, None) for node_id in dict.fromkeys(ids)]


# The first statement takes the locks under which the texts are read, so that the last reader is the last writer.
LOCK: dict[str, LiteralString] = {
    "Community": "UNWIND $ids AS id MATCH (n:Community {id: id}) SET n.search_touched = true",
    "Event": "UNWIND $ids AS id MATCH (n:Event {id: id}) SET n.search_touched = true",
    "Post": "UNWIND $ids AS id MATCH (n:Post {id: id}) SET n.search_touched = true",
}
WRITE: dict[str, LiteralString] = {
    label: "UNWIND $rows AS row MATCH (n:"
    + label
    + " {id: row.id}) SET n.search_place = row.place, n.search_words = row.words, n.search_keys = row.keys, "
    # Neo4j finds what was written last the fastest, and one point faster than two numbers.
    "n.search_point = point({latitude: row.latitude, longitude: row.longitude})"
    for label in ("Community", "Event", "Post")
}


async def write_properties(graph: GraphClient, label: str, ids: Sequence[str]) -> list[Row]:
    """On Neo4j: the place, the words of tags and the keys; texts are indexed as they stand on the node."""
    # In one order everywhere, so that two batches wait for each other and do not lock each other out.
    ordered = sorted(set(ids))

    async def work(tx: Transaction) -> list[Row]:
        await tx.run(LOCK[label], ids=ordered)
        rows = await tx.run(READ[label], ids=ordered)
        await tx.run(WRITE[label], rows=[properties_of(label, row) for row in rows])
        return rows

    return await graph.transact(work, contended="search index", timeout=TIMEOUT_SECONDS)


def properties_of(label: str, row: Row) -> dict[str, Any]:
    entry = entry_of(label, row)
    if entry.place is None:
        return {"id": row["id"], "place": None, "words": None, "keys": None, "latitude": None, "longitude": None}
    signs = [sign_key(word, in_title=True) for word in entry.title if is_single(word)]
    signs += [sign_key(word, in_title=False) for word in entry.words if is_single(word)]
    keys = [*entry.keys, *signs, day_key(day_of(entry.place), is_open=entry.is_open)]
    place = base_of(label, is_open=entry.is_open) + entry.place
    where = {"latitude": entry.latitude, "longitude": entry.longitude}
    return {"id": row["id"], "place": place, "words": words_of_tags(row), "keys": " ".join(keys), **where}


# All nodes of a kind, page after page; `at` is where the next page begins.
ALL: dict[str, LiteralString] = {
    label: "MATCH (n:" + label + ") WHERE n.id > $after RETURN n.id AS id, n.id AS at ORDER BY at LIMIT $limit"
    for label in ("Community", "Event", "Post")
}
# All of one community; posts are there by their order, `{community}:{time}:{id}`.
OF_COMMUNITY: dict[str, LiteralString] = {
    "Event": """
MATCH (:Community {id: $community})-[:HOSTS]->(n:Event)
WHERE n.id > $after
RETURN n.id AS id, n.id AS at
ORDER BY at
LIMIT $limit
""",
    "Post": """
MATCH (n:Post)
WHERE n.order > $community + ':' AND n.order < $community + ';' AND n.order > $after
RETURN n.id AS id, n.order AS at
ORDER BY at
LIMIT $limit
""",
}


async def index_page(graph: GraphClient, session: Session, key: str, payload: dict[str, Any], *, now: datetime) -> None:
    """Index the next nodes, and owe those that follow: so however many there are, each transaction is small."""
    label, community = payload["label"], payload.get("community", "")
    query = OF_COMMUNITY[label] if community else ALL[label]
    rows = await graph.read(query, timeout=TIMEOUT_SECONDS, after=payload["after"], community=community, limit=PAGE)
    if rows:
        await index_nodes(graph, session, label, [row["id"] for row in rows], now=now)
    if len(rows) == PAGE:
        rest = {**payload, "after": rows[-1]["at"]}
        await outbox.owe(session, topic=SEARCH_INDEX, key=f"{key.split('>')[0]}>{rest['after']}", payload=rest, now=now)


async def settle_index(
    graph: GraphClient, session: Session, key: str, payload: dict[str, Any], *, now: datetime
) -> None:
    """Do what a change, or a command for everything, has owed."""
    if "ids" in payload:
        await index_nodes(graph, session, payload["label"], payload["ids"], now=now)
    else:
        await index_page(graph, session, key, payload, now=now)


async def owe_everything(session: Session, *, now: datetime) -> None:
    """Owe the index of all that is there, for the worker."""
    for label in KINDS:
        payload = {"label": label, "after": ""}
        await outbox.owe(session, topic=SEARCH_INDEX, key=f"{label}:all:{iso(now)}", payload=payload, now=now)
