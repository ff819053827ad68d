"""People to get to know: those who chose to be found, in small communities that both belong to."""

from datetime import datetime

from community.access import MEMBERS
from core.clock import iso
from core.paging import Page, cut, decode_cursor, page_size
from graph.client import GraphClient, Row

# One gets to know people where not everybody is: of the viewer's communities the smallest are walked through, so that
# no more than 20 x 500 memberships are read however large communities are.
MOST_COMMUNITIES = 20
MOST_MEMBERS = 500
NAMED_AT_MOST = 3
# A smaller number of acquaintances in common would tell who they are.
SMALLEST_COUNT = 5

DISCOVERABLE = """
MATCH (c:Customer {id: $customer_id})
SET c.discoverable = CASE WHEN $on THEN true ELSE null END
"""
IS_DISCOVERABLE = """
MATCH (c:Customer {id: $customer_id})
RETURN coalesce(c.discoverable, false) AS found
"""


async def set_discoverable(graph: GraphClient, customer_id: str, *, on: bool) -> None:
    """Let others find this customer, or no more; who says nothing is not found."""
    await graph.write(DISCOVERABLE, customer_id=customer_id, on=on)


async def is_discoverable(graph: GraphClient, customer_id: str) -> bool:
    rows = await graph.read(IS_DISCOVERABLE, customer_id=customer_id)
    return bool(rows and rows[0]["found"])


# What two share is worth 1/log of how many share it (Adamic and Adar, Friends and neighbors on the web, Social Networks
# 25(3), 2003). Both ends of each tie are members, so that no community is told of that the viewer does not know.
RECOMMENDED = """
MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[:KNOWS]-(f:Customer)
WITH me, collect(DISTINCT f.id) AS known
OPTIONAL MATCH (me)-[:REFERRED]-(g:Customer)
WITH me, known, collect(DISTINCT g.id) AS referred
OPTIONAL MATCH (me)-[d:DISMISSED]->(n:Customer)
WHERE d.until > $now
WITH me, known, referred, collect(n.id) AS dismissed
WITH me, known, known + referred + dismissed + [me.id] AS out
MATCH (me)-[m:MEMBER_OF]->(c:Community)
WHERE m.role IN $members AND c.archived_at IS NULL AND c.member_count <= $most_members
WITH known, out, c
ORDER BY c.member_count, c.id
LIMIT $most_communities
MATCH (c)<-[n:MEMBER_OF]-(x:Customer)
WHERE n.role IN $members AND x.discoverable AND NOT x.id IN out
WITH known, x, c
ORDER BY c.member_count, c.id
WITH known, x, collect(c.id) AS shared, sum(1.0 / log(2.0 + c.member_count)) AS worth
WITH known, x, shared, -round(worth * 1000000) AS at
WHERE at > $at OR (at = $at AND x.id > $id)
WITH known, x, shared, at, x.id AS key
ORDER BY at, key
LIMIT $limit
RETURN x.id AS id, x.display_name AS display_name, x.tier AS tier, x.since AS since, at, shared,
       size([(x)-[:KNOWS]-(z:Customer) WHERE z.id IN known | 1]) AS mutual
"""


async def recommended_people(
    graph: GraphClient, customer_id: str, *, first: int | None, after: str | None, now: datetime
) -> Page[Row]:
    """People whom the customer might like to know, the closest first, with `score` and `reasons`; one round trip.

    Never who is known already, referred either way, dismissed, or did not choose to be found.
    """
    size = page_size(first)
    at, last_id = decode_cursor(after, float, str) or (-1e12, "")
    rows = await graph.read(
        RECOMMENDED,
        customer_id=customer_id,
        now=iso(now),
        members=list(MEMBERS),
        most_members=MOST_MEMBERS,
        most_communities=MOST_COMMUNITIES,
        at=at,
        id=last_id,
        limit=size + 1,
    )
    rows = sorted(rows, key=lambda row: (row["at"], row["id"]))
    page = cut(rows, size, lambda row: (float(row["at"]), row["id"]))
    return Page([with_reasons(row) for row in page.rows], page.cursors, page.has_next)


def with_reasons(row: Row) -> Row:
    shared = {"kind": "SHARED_COMMUNITIES", "community_ids": row["shared"][:NAMED_AT_MOST], "count": len(row["shared"])}
    many = row["mutual"] >= SMALLEST_COUNT
    mutual = [{"kind": "MUTUAL_ACQUAINTANCES", "count": row["mutual"]}] if many else []
    return {**row, "score": -row["at"] / 1_000_000, "reasons": [shared, *mutual]}
