"""What a merge of two tags changes in communities and events: what they are about, and whom they are for."""

from datetime import datetime

import orjson

from community.search_documents import index_effect
from core.clock import iso
from graph.client import GraphClient, Transaction
from graph.owed import owe_effects

ABOUT_TAG = """
MATCH (t:Tag {key: $key})<-[:ABOUT]-(x)
RETURN x.id AS id, x:Community AS is_community
"""
MOVE_COMMUNITIES = """
UNWIND $ids AS id
MATCH (c:Community {id: id}), (t:Tag {key: $into})
MERGE (c)-[:ABOUT]->(t)
SET c.charted_at = $now
"""
MOVE_EVENTS = """
UNWIND $ids AS id
MATCH (e:Event {id: id}), (t:Tag {key: $into})
MERGE (e)-[:ABOUT]->(t)
"""
REQUIRE_OF_COMMUNITIES = """
MATCH (x:Community)
WHERE $key IN x.required_tags
SET x.required_tags = [k IN x.required_tags WHERE k <> $key AND k <> $into] + [$into]
"""
REQUIRE_OF_EVENTS = """
MATCH (x:Event)
WHERE $key IN x.required_tags
SET x.required_tags = [k IN x.required_tags WHERE k <> $key AND k <> $into] + [$into]
"""
# A template keeps its lists as JSON, in which a key stands in quotation marks.
SERIES = "MATCH (s:EventSeries) WHERE s.template CONTAINS $quoted RETURN s.id AS id, s.template AS template"
PUT_TEMPLATE = "MATCH (s:EventSeries {id: $id}) SET s.template = $template"
DROP_TAG = "MATCH (t:Tag {key: $key}) DETACH DELETE t"


async def replace_tag(graph: GraphClient, key: str, into: str, *, now: datetime) -> None:
    """Let everything that names one tag name the other, and take the first one's node away; safe to repeat."""

    async def work(tx: Transaction) -> None:
        about = await tx.run(ABOUT_TAG, key=key)
        communities = [row["id"] for row in about if row["is_community"]]
        events = [row["id"] for row in about if not row["is_community"]]
        await tx.run(MOVE_COMMUNITIES, ids=communities, into=into, now=iso(now))
        await tx.run(MOVE_EVENTS, ids=events, into=into)
        await tx.run(REQUIRE_OF_COMMUNITIES, key=key, into=into)
        await tx.run(REQUIRE_OF_EVENTS, key=key, into=into)
        await replace_in_series(tx, key, into)
        await tx.run(DROP_TAG, key=key)
        found = [index_effect("Community", communities), index_effect("Event", events)]
        await owe_effects(tx, [one for one, ids in zip(found, (communities, events), strict=True) if ids], now=now)

    await graph.transact(work, contended="merged tags", timeout=60)


async def replace_in_series(tx: Transaction, key: str, into: str) -> None:
    for row in await tx.run(SERIES, quoted=f'"{key}"'):
        template = orjson.loads(row["template"])
        for name in ("tags", "required_tags"):
            if key in (template.get(name) or ()):
                template[name] = sorted({into, *template[name]} - {key})
        await tx.run(PUT_TEMPLATE, id=row["id"], template=orjson.dumps(template).decode())
