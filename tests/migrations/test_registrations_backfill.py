"""The migrations of registrations and events: what was there before has its place, and guests are counted."""

import pytest

from community.access import MemberRole
from community.communities import read_communities
from community.events import read_events
from community.rosters import guests_of
from community.waitlist_order import registrations_at
from core.ids import new_id
from graph.client import GraphClient
from migrations.graph_migrations import EMBEDDED, NEO4J, Migration, read_migrations
from tests.community.happenings import listed_events
from tests.community.places import add_member, make_community, make_customers
from tests.community.waiting import check_figures, snapshot

pytestmark = pytest.mark.anyio

OLD_EVENT = """
MATCH (c:Community {id: $community})
CREATE (c)-[:HOSTS]->(e:Event {id: $event, community_id: $community, title_zh: '外拍', title_en: 'Photo walk',
  starts_at: '2027-01-01T10:00:00.000000Z', ends_at: '2027-01-01T12:00:00.000000Z', time_zone: 'Asia/Shanghai',
  created_at: '2026-01-01T00:00:00.000000Z', capacity: 50, registered: $registered, status: 'PUBLISHED'})
WITH e
UNWIND $rows AS row
MATCH (x:Customer {id: row.id})
CREATE (x)-[:REGISTERED_FOR {id: row.id, key: $event + ':' + row.id, status: row.status, guests: row.guests,
  registered_at: '2026-02-01T00:00:' + row.second + '.000000Z', settled: true}]->(e)
"""


async def apply(graph: GraphClient, migration: Migration) -> None:
    """The statements of a migration that are for the engine behind."""
    other = NEO4J if await graph.is_embedded() else EMBEDDED
    for statement in migration.statements:
        if not statement.startswith(other):
            await graph.write(statement.removeprefix(EMBEDDED).removeprefix(NEO4J), timeout=60)


async def test_old_events_and_registrations_get_their_places_and_seats(graph: GraphClient) -> None:
    """Given an event with 12 registrations as they were, some with guests; when migrated twice; then all is right."""
    community, event = await make_community(graph), new_id()
    people = await make_customers(graph, 12)
    statuses = ["REGISTERED", "ATTENDED", "CANCELLED"] * 4
    rows = [
        {"id": customer, "status": status, "guests": number % 3 or None, "second": f"{number:02}"}
        for number, (customer, status) in enumerate(zip(people, statuses, strict=True))
    ]
    held = [row for row in rows if row["status"] != "CANCELLED"]
    await graph.write(OLD_EVENT, community=community, event=event, registered=len(held), rows=rows)
    found = {migration.name.partition("_")[2]: migration for migration in read_migrations()}
    for name in ("registrations", "events", "counts") * 2:
        await apply(graph, found[name])
    page = (await registrations_at(graph, [event], None, first=50, after=None))[event]
    assert [row["customer_id"] for row in page.rows] == people
    assert [row["guests"] for row in page.rows] == [row["guests"] or 0 for row in rows]
    seen = (await read_events(graph, [event], viewer_id=None))[event]
    assert seen["registered"] == sum(1 + int(str(row["guests"] or 0)) for row in held)
    assert (seen["waiting"], seen["attendance_mode"], seen["offer_hours"]) == (0, "IN_PERSON", 12)
    kept, registrations = await snapshot(graph, event)
    check_figures(kept, registrations)
    assert sum(kept["figures"]) == 12
    listed = await listed_events(graph, [community], viewer_id=None, ends_from=None, first=5, after=None)
    assert [row["id"] for row in listed[community].rows] == [event]


async def test_old_bans_and_requests_get_their_places(graph: GraphClient) -> None:
    """Given two of each who are no members, without places; when migrated twice; then the lists have them in order."""
    owner, *people = await make_customers(graph, 7)
    community = await make_community(graph, owner_id=owner)
    roles = [MemberRole.BANNED, MemberRole.PENDING, MemberRole.INVITED] * 2
    for customer, role in zip(people, roles, strict=True):
        await add_member(graph, community, customer, role)
    await graph.write("UNWIND $ids AS id MATCH (x:Listed {customer_id: id}) DELETE x", ids=people)
    (counts,) = [migration for migration in read_migrations() if migration.name.endswith("_counts")]
    for _ in range(2):
        await apply(graph, counts)
    seen = await read_communities(graph, [community], viewer_id=owner)
    for number, role in enumerate(roles[:3]):
        page = (await guests_of(graph, list(seen.values()), role, first=9, after=None))[community]
        assert [row["id"] for row in page.rows] == [people[number], people[number + 3]]
