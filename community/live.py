"""What live listeners are shown: read anew for each message, under the same rules as any other reading.

One event may be thousands of messages, so that what is read for many listeners at one moment is one statement.
"""

from collections.abc import Sequence

from community.access import MANAGERS, MAY_READ
from core.coalescing import Coalesced
from graph.client import GraphClient, Row

# What is looked at, and the id of who looks, empty for somebody without a profile.
Look = tuple[str, str]


def rows_of(looks: Sequence[Look]) -> list[Row]:
    return [{"id": thing, "viewer_id": viewer} for thing, viewer in looks]


# The counters of the waiting lists come with the first registration that needs them.
SEATS_OF_EVENTS = (
    """
UNWIND $looks AS look
MATCH (e:Event {id: look.id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: look.viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH look, c, e, m, m.role AS role
WHERE """
    + MAY_READ
    + """
  AND (e.status <> 'DRAFT' OR role IN $managers)
RETURN look.id AS id, look.viewer_id AS viewer_id, e.registered AS registered,
       coalesce(e.link_registered, 0) AS link_registered, coalesce(e.waiting, 0) AS waiting,
       coalesce(e.link_waiting, 0) AS link_waiting, role IN $managers AS manages
"""
)


def event_seats(graph: GraphClient) -> Coalesced[Look, Row]:
    """How many are registered and wait at events, and whether the viewer manages each; None for one out of their sight.

    It is as of when each is asked for; one for each process.
    """

    async def look_up(looks: Sequence[Look]) -> dict[Look, Row]:
        rows = await graph.read(SEATS_OF_EVENTS, looks=rows_of(looks), managers=MANAGERS)
        return {(row["id"], row["viewer_id"]): row for row in rows}

    return Coalesced(look_up)


READERS = (
    """
UNWIND $looks AS look
MATCH (c:Community {id: look.id})
OPTIONAL MATCH (me:Customer {id: look.viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH look, c, m
WHERE """
    + MAY_READ
    + """
  AND coalesce(m.role, '') <> 'BANNED'
RETURN look.id AS id, look.viewer_id AS viewer_id
"""
)


def readers(graph: GraphClient) -> Coalesced[Look, bool]:
    """Whether viewers may follow what happens inside communities, likewise; None for one who may not."""

    async def look_up(looks: Sequence[Look]) -> dict[Look, bool]:
        rows = await graph.read(READERS, looks=rows_of(looks))
        return {(row["id"], row["viewer_id"]): True for row in rows}

    return Coalesced(look_up)
