"""Who runs events: the managers of their communities, and the hosts who are members of them."""

from collections.abc import Sequence

from community.access import runs_event
from core.errors import NotFound
from graph.client import GraphClient, Row, Transaction

RUNS = """
UNWIND $event_ids AS id
MATCH (e:Event {id: id})<-[:HOSTS]-(c:Community)
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF {key: c.id + ':' + $viewer_id}]->(:Community)
OPTIONAL MATCH (me)-[h:HOSTS_EVENT]->(x:Event)
WHERE x.id = id
RETURN id, m.role AS role, count(h) > 0 AS hosts
"""


async def events_run_by(graph: GraphClient, viewer_id: str, event_ids: Sequence[str]) -> dict[str, bool]:
    """Whether the viewer runs each of these events, and so sees who comes and who waits."""
    rows = await graph.read(RUNS, viewer_id=viewer_id, event_ids=list(event_ids))
    return {row["id"]: runs_event(row["role"], hosts=row["hosts"]) for row in rows}


async def check_runs(tx: Transaction, event_id: str, actor_id: str) -> None:
    """Raise NotFound where the actor does not run the event, as where there is none."""
    rows: list[Row] = await tx.run(RUNS, viewer_id=actor_id, event_ids=[event_id])
    if not rows or not runs_event(rows[0]["role"], hosts=rows[0]["hosts"]):
        raise NotFound(path=("eventId",))
