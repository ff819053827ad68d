"""What live listeners are shown: read anew for each message, under the same rules as any other reading."""

from community.access import MANAGERS, MAY_READ
from graph.client import GraphClient, Row

# The counters of the waiting lists come with the first registration that needs them.
SEATS_OF_EVENT = (
    """
MATCH (e:Event {id: $event_id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH c, e, m, m.role AS role
WHERE """
    + MAY_READ
    + """
  AND (e.status <> 'DRAFT' OR role IN $managers)
RETURN e.registered AS registered, coalesce(e.link_registered, 0) AS link_registered,
       coalesce(e.waiting, 0) AS waiting, coalesce(e.link_waiting, 0) AS link_waiting, role IN $managers AS manages
"""
)


async def seats_of_event(graph: GraphClient, event_id: str, *, viewer_id: str | None) -> Row | None:
    """How many are registered and wait, and whether the viewer manages it; None for an event out of their sight."""
    rows = await graph.read(SEATS_OF_EVENT, event_id=event_id, viewer_id=viewer_id or "", managers=MANAGERS)
    return rows[0] if rows else None


IS_READER = (
    """
MATCH (c:Community {id: $community_id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH c, m
WHERE """
    + MAY_READ
    + """
  AND coalesce(m.role, '') <> 'BANNED'
RETURN c.id AS id
"""
)


async def is_reader(graph: GraphClient, community_id: str, *, viewer_id: str | None) -> bool:
    """Whether the viewer may follow what happens inside the community."""
    return bool(await graph.read(IS_READER, community_id=community_id, viewer_id=viewer_id or ""))
