"""The migration of members: what was there before has its ticket, page and roster, and the count is right."""

import pytest

from community.access import MemberRole
from community.communities import read_communities
from core.ids import new_id
from graph.client import GraphClient
from migrations.graph_migrations import read_migrations
from tests.community.happenings import listed_members
from tests.community.places import make_community, make_customers

pytestmark = pytest.mark.anyio

OLD_MEMBERS = """
MATCH (c:Community {id: $community_id})
SET c.member_count = size($rows)
REMOVE c.next_ticket
WITH c
UNWIND $rows AS row
MATCH (x:Customer {id: row.id})
CREATE (x)-[:MEMBER_OF {key: $community_id + ':' + row.id, role: row.role, since: row.since}]->(c)
"""
MARKS = """
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community {id: $id})
RETURN x.id AS id, m.ticket AS ticket, m.page AS page, m.roster AS roster, c.member_count AS counter
ORDER BY m.since
"""


async def test_old_memberships_get_their_places(graph: GraphClient) -> None:
    """Given 40 members and one in every other role as they were before; then all are found, in order of `since`."""
    community = await make_community(graph)
    roles = [*MemberRole, *[MemberRole.MEMBER] * 37]
    people = await make_customers(graph, len(roles))
    rows = [
        {"id": customer, "role": role, "since": f"2026-01-01T00:00:{number:02}.000000Z"}
        for number, (customer, role) in enumerate(zip(people, roles, strict=True))
    ]
    await graph.write(OLD_MEMBERS, community_id=community, rows=rows)
    (migration,) = [found for found in read_migrations() if found.name.endswith("_members")]
    for statement in migration.statements:
        await graph.write(statement, timeout=60)
    marks = await graph.read(MARKS, id=community)
    expected = [role in list(MemberRole)[:5] for role in roles]
    tickets = iter(range(len(roles)))
    for role, row, inside in zip(roles, marks, expected, strict=True):
        ticket = next(tickets) if inside else None
        assert (row["ticket"], row["counter"]) == (ticket, sum(expected))
        assert row["page"] == (None if ticket is None else f"{community}:{ticket // 16}")
        assert row["roster"] == (None if role == MemberRole.MEMBER else f"{community}:{role}")
    found = await read_communities(graph, [community], viewer_id=new_id())
    page = (await listed_members(graph, list(found.values()), first=100, after=None))[community]
    assert [row["id"] for row in page.rows] == [key for key, inside in zip(people, expected, strict=True) if inside]
