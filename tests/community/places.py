"""Communities and events for tests, as an import would put them into the graph."""

from datetime import datetime, timedelta

from community.access import MemberRole, is_member
from community.standing import LISTED_ROLES, listed
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient, Row

PUT_CUSTOMERS = "UNWIND $ids AS id MERGE (c:Customer {id: id}) ON CREATE SET c.display_name = 'Test'"
PUT_COMMUNITY = """
CREATE (c:Community {id: $id, name_zh: '摄影社', name_en: 'Photo club', purpose_zh: '', purpose_en: '',
  visibility: $visibility, join_policy: $join_policy, created_at: $now, member_count: 0})
"""
PUT_MEMBER = """
MATCH (c:Community {id: $community_id}), (m:Customer {id: $customer_id})
SET c.member_count = c.member_count + $added, c.next_ticket = coalesce(c.next_ticket, 0) + $added
WITH c, m, CASE WHEN $added = 1 THEN c.next_ticket - 1 ELSE null END AS ticket
CREATE (m)-[:MEMBER_OF {key: $community_id + ':' + $customer_id, role: $role, since: $now, ticket: ticket,
  page: $community_id + ':' + toString(ticket / 16),
  roster: CASE WHEN $role = 'MEMBER' THEN null ELSE $community_id + ':' + $role END}]->(c)
WITH count(*) AS written
UNWIND $listed AS row
CREATE (x:Listed {key: $community_id + ':' + $customer_id})
SET x += row
"""
PUT_EVENT = """
MATCH (c:Community {id: $community_id})
CREATE (c)-[:HOSTS]->(e:Event {id: $id, community_id: $community_id, title_zh: '外拍', title_en: 'Photo walk',
  starts_at: $starts_at, ends_at: $ends_at, time_zone: 'Asia/Shanghai', capacity: $capacity, status: $status,
  registered: 0, order: $community_id + ':' + $starts_at + ':' + $id,
  feed_order: CASE WHEN $status <> 'DRAFT' THEN $community_id + ':' + $starts_at + ':' + $id END})
"""


async def make_customers(graph: GraphClient, count: int) -> list[str]:
    """Nodes of that many customers; returns their ids."""
    ids = [new_id() for _ in range(count)]
    await graph.write(PUT_CUSTOMERS, ids=ids)
    return ids


async def make_community(
    graph: GraphClient,
    *,
    owner_id: str | None = None,
    role: MemberRole = MemberRole.OWNER,
    visibility: str = "PUBLIC",
    join_policy: str = "OPEN",
) -> str:
    community_id = new_id()
    await graph.write(
        PUT_COMMUNITY, id=community_id, visibility=visibility, join_policy=join_policy, now=iso(utc_now())
    )
    if owner_id is not None:
        await add_member(graph, community_id, owner_id, role)
    return community_id


async def add_member(graph: GraphClient, community_id: str, customer_id: str, role: MemberRole) -> None:
    names: Row = {"community_id": community_id, "customer_id": customer_id, "role": role, "now": iso(utc_now())}
    places = [listed(community_id, customer_id, role, names["now"])] if role in LISTED_ROLES else []
    await graph.write(PUT_MEMBER, added=int(is_member(role)), listed=places, **names)


def soon() -> datetime:
    """A start so near that the entrance is open."""
    return utc_now() + timedelta(hours=1)


async def make_event(
    graph: GraphClient,
    community_id: str,
    *,
    capacity: int | None = None,
    status: str = "PUBLISHED",
    starts_at: datetime | None = None,
) -> str:
    event_id = new_id()
    start = starts_at or utc_now() + timedelta(days=1)
    await graph.write(
        PUT_EVENT,
        id=event_id,
        community_id=community_id,
        capacity=capacity,
        status=status,
        starts_at=iso(start),
        ends_at=iso(start + timedelta(hours=2)),
    )
    return event_id
