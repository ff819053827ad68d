"""What becomes of an erased customer in the graph of communities: places are given back, words go, the shape stays."""

from datetime import datetime
from typing import LiteralString

from sqlalchemy import update
from sqlmodel import col, select

from community.cancellations import cancel_registration
from community.content import remove
from community.dismissals import forget_dismissals
from community.memberships import leave_community
from community.registrations import KEPT
from community.reports import ModerationCase, Report
from community.search_documents import index_effect
from core.clock import iso
from core.db import Session, changed_rows
from core.errors import Refusal
from graph.client import GraphClient, Transaction
from graph.owed import owe_effects

# Two posts or comments at a time would save little: they are few, and each locks its own place.
PAGE = 500

COMING = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event)
WHERE e.starts_at > $now AND r.status IN $kept
RETURN e.id AS id
ORDER BY id
"""
MEMBERSHIPS = """
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c:Community)
RETURN c.id AS id
ORDER BY id
"""
BLANK_TIES = """
MATCH (c:Customer {id: $customer_id})-[m:MEMBER_OF]->()
REMOVE m.message, m.reason
RETURN count(m) AS ties
"""
WRITTEN = """
MATCH (c:Customer {id: $customer_id})-[:WROTE]->(x)
WHERE x.deleted_at IS NULL
RETURN labels(x)[0] AS kind, x.id AS id
ORDER BY id
LIMIT $limit
"""
LOCK_POST = """
MATCH (x:Post {id: $id})
SET x.touched_at = $now
RETURN x.id AS id, x.author_id AS author_id, x.community_id AS community_id, x.pinned_at AS pinned_at,
       x.deleted_at AS deleted_at
"""
LOCK_COMMENT = """
MATCH (x:Comment {id: $id})
SET x.touched_at = $now
RETURN x.id AS id, x.author_id AS author_id, x.post_id AS post_id, x.deleted_at AS deleted_at
"""
BLANK_WRITTEN = """
MATCH (c:Customer {id: $customer_id})-[:WROTE]->(x)
SET x.text = '', x.mentions = [], x.search_words = null, x.search_keys = null, x.delete_reason = null
REMOVE x.attachments
RETURN count(x) AS written
"""
BLANK_EDITS: LiteralString = """
MATCH (c:Customer {id: $customer_id})-[:WROTE]->(x:Post)
MATCH (e:Edit {post_id: x.id})
DETACH DELETE e
RETURN count(e) AS edits
"""


async def blank_reports(session: Session, customer_id: str) -> dict[str, int]:
    """Take out what others wrote when they reported something of the customer's."""
    theirs = select(ModerationCase.id).where(ModerationCase.author_id == customer_id)
    reports = update(Report).where(col(Report.target_id).in_(theirs)).values(text="")
    return {"words of reports taken out": await changed_rows(session, reports)}


async def erase_in_communities(graph: GraphClient, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Give back coming places, leave communities, take away what was written; returns how much by place.

    Again it finds what it left. The only owner stays one: a community without any could not be kept in order.
    """
    done = {"registrations given back": await give_places_back(graph, customer_id, now=now)}
    done["memberships ended"], done["memberships kept, as the only owner or banned"] = await leave_all(
        graph, customer_id, now=now
    )
    await graph.write(BLANK_TIES, customer_id=customer_id)
    await take_away(graph, customer_id, now=now)
    rows = await graph.write(BLANK_WRITTEN, timeout=60, customer_id=customer_id)
    done["posts and comments emptied"] = rows[0]["written"] if rows else 0
    rows = await graph.write(BLANK_EDITS, timeout=60, customer_id=customer_id)
    done["earlier versions deleted"] = rows[0]["edits"] if rows else 0
    done["dismissals deleted"] = await forget_dismissals(graph, customer_id)
    return done


async def give_places_back(graph: GraphClient, customer_id: str, *, now: datetime) -> int:
    """Cancel what the customer holds of coming events, so that it goes to whoever waits."""
    rows = await graph.read(COMING, customer_id=customer_id, now=iso(now), kept=list(KEPT))
    given = 0
    for row in rows:
        try:
            await cancel_registration(graph, event_id=row["id"], customer_id=customer_id, now=now)
            given += 1
        except Refusal:
            # It began meanwhile, or somebody checked them in: it is over, and nothing waits for the place.
            continue
    return given


async def leave_all(graph: GraphClient, customer_id: str, *, now: datetime) -> tuple[int, int]:
    """How many memberships ended, and how many could not."""
    left = kept = 0
    for row in await graph.read(MEMBERSHIPS, customer_id=customer_id):
        try:
            await leave_community(graph, community_id=row["id"], customer_id=customer_id, now=now)
            left += 1
        except Refusal:
            kept += 1
    return left, kept


async def take_away(graph: GraphClient, customer_id: str, *, now: datetime) -> None:
    """Delete every post and comment as their author would, whatever the author may still read."""
    while rows := await graph.read(WRITTEN, customer_id=customer_id, limit=PAGE):
        for row in rows:
            await take_away_one(graph, row["kind"], row["id"], now=now)


async def take_away_one(graph: GraphClient, kind: str, target_id: str, *, now: datetime) -> None:
    about = {"deleted_by": "AUTHOR", "reason": None, "now": iso(now)}

    async def work(tx: Transaction) -> None:
        if kind == "Post":
            places = await tx.run(LOCK_POST, id=target_id, now=iso(now))
        else:
            places = await tx.run(LOCK_COMMENT, id=target_id, now=iso(now))
        if not places or places[0]["deleted_at"] is not None:
            return
        await remove(tx, "Post" if kind == "Post" else "Comment", places[0], about)
        await owe_effects(tx, [index_effect("Post", [target_id])] if kind == "Post" else [], now=now)

    await graph.transact(work, contended=target_id)
