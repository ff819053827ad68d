"""What it means for events that a customer may not come any more, or that a community closes or hides.

All are owed by the act that causes them and done by the worker, event by event, so that an act costs the same however
many events there are.
"""

from collections.abc import Sequence
from datetime import datetime

from community.access import IS_MEMBER, MemberRole, may_read
from community.acts import SYSTEM
from community.cancellations import cancelled, give_back
from community.event_changes import call_off
from community.notices import notice
from community.registrations import KEPT
from community.seats import Change, lock_event
from core.clock import iso
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.owed import owe_effects

# The reason that the registered are told, in both languages, because nobody typed one.
CLOSED = "社群已关闭。The community has closed."


COMING_REGISTRATIONS = """
MATCH (:Customer {id: $customer_id})-[r:REGISTERED_FOR]->(e:Event)
WHERE e.community_id = $community_id AND e.starts_at > $now AND r.status IN $kept
RETURN e.id AS id
ORDER BY id
"""


async def withdraw_barred(graph: GraphClient, *, community_id: str, customer_id: str, now: datetime) -> Sequence[str]:
    """Give back what somebody who was barred holds of the community's coming events; returns the ids of those events.

    Whoever may come again by now keeps what they have.
    """
    rows = await graph.read(
        COMING_REGISTRATIONS, customer_id=customer_id, community_id=community_id, now=iso(now), kept=list(KEPT)
    )
    return [row["id"] for row in rows if await withdraw(graph, row["id"], customer_id, now=now)]


async def withdraw(graph: GraphClient, event_id: str, customer_id: str, *, now: datetime) -> bool:
    """Cancel one registration of somebody who may not come, who is told; points are owed back, and seats go on."""

    async def work(tx: Transaction) -> bool:
        found = await lock_event(tx, event_id, customer_id, now)
        if found is None or found.registration is None or found.status not in KEPT:
            return False
        may_come = found.role != MemberRole.BANNED and may_read(found.visibility, found.role)
        if may_come or found.event["starts_at"] <= iso(now):
            return False
        change = Change(customer_id, found.registration, cancelled(found.registration, now))
        # The sequence is new with each registration, so that each is told of once.
        cause = f"{event_id}:{found.registration.get('sequence')}"
        about = {"event_id": event_id, "community_id": found.event["community_id"]}
        told = notice(NoticeKind.REGISTRATION_CANCELLED, customer_id, cause, **about)
        await owe_effects(tx, [told], now=now)
        await give_back(tx, found, change, now=now)
        return True

    return await graph.transact(work, contended=event_id)


OUTSIDERS = (
    """
MATCH (c:Community {id: $community_id, visibility: 'PRIVATE'})-[:HOSTS]->(e:Event)
WHERE e.starts_at > $now AND e.status = 'PUBLISHED'
MATCH (x:Customer)-[r:REGISTERED_FOR]->(e)
WHERE r.status IN $kept AND r.key > $after
OPTIONAL MATCH (x)-[m:MEMBER_OF]->(c)
WITH e, x, r, m
WHERE NOT """
    + IS_MEMBER
    + """
RETURN e.id AS event_id, x.id AS customer_id, r.key AS key
ORDER BY key
LIMIT $limit
"""
)


async def withdraw_outsiders(
    graph: GraphClient, community_id: str, *, after: str, limit: int, now: datetime
) -> list[Row]:
    """Give back what up to `limit` outsiders hold of a community that has become private; returns those looked at."""
    rows = await graph.read(
        OUTSIDERS, community_id=community_id, after=after, kept=list(KEPT), limit=limit, now=iso(now)
    )
    for row in rows:
        await withdraw(graph, row["event_id"], row["customer_id"], now=now)
    return rows


COMING_EVENTS = """
MATCH (c:Community {id: $community_id})-[:HOSTS]->(e:Event)
WHERE c.archived_at IS NOT NULL AND e.status = 'PUBLISHED' AND e.starts_at > $now
RETURN e.id AS id
ORDER BY id
LIMIT $limit
"""

LOCK_COMING = """
MATCH (e:Event {id: $event_id})
SET e.touched_at = $now
WITH e
WHERE e.status = 'PUBLISHED' AND e.starts_at > $now
RETURN properties(e) AS event
"""


async def close_events(graph: GraphClient, community_id: str, *, limit: int, now: datetime) -> Sequence[str]:
    """Cancel up to `limit` coming events of an archived community, with notices and refunds; returns those looked at.

    With fewer than the limit none are left.
    """
    rows = await graph.read(COMING_EVENTS, community_id=community_id, now=iso(now), limit=limit)
    for row in rows:
        await close_event(graph, row["id"], now=now)
    return [row["id"] for row in rows]


async def close_event(graph: GraphClient, event_id: str, *, now: datetime) -> None:
    """Cancel an event because its community has closed; nothing where somebody was faster."""

    async def work(tx: Transaction) -> None:
        for row in await tx.run(LOCK_COMING, event_id=event_id, now=iso(now)):
            await call_off(tx, row["event"], CLOSED, SYSTEM, now)

    await graph.transact(work, contended=event_id)
