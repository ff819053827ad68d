"""Since when members have belonged to communities, by pages of tickets, for whoever looks for their anniversaries."""

from collections.abc import Sequence

from community.standing import TICKETS_A_PAGE
from graph.client import GraphClient, Row

COMMUNITIES = """
MATCH (c:Community)
WHERE c.id >= $start AND c.archived_at IS NULL
RETURN c.id AS id, coalesce(c.next_ticket, 0) AS tickets
ORDER BY id
LIMIT $limit
"""


async def member_pages(graph: GraphClient, *, after: str, limit: int) -> list[str]:
    """The next pages of members behind one, in the order of communities; fewer than asked for at the end.

    A page is named `{community}:{number}`, as the memberships on it are.
    """
    community, _, number = after.partition(":")
    passed = int(number) if number else -1
    while True:
        rows = await graph.read(COMMUNITIES, start=community, limit=limit + 1)
        found = [
            f"{row['id']}:{page}"
            for row in rows
            for page in range(-(-row["tickets"] // TICKETS_A_PAGE))
            if row["id"] != community or page > passed
        ]
        if found or len(rows) <= limit:
            return found[:limit]
        # Communities without members only: go on behind them.
        community, passed = rows[-1]["id"], rows[-1]["tickets"]


BEGUN = """
MATCH (x:Customer)-[m:MEMBER_OF]->(c:Community)
WHERE m.page IN $pages AND substring(m.since, 5, 5) IN $month_days
RETURN c.id AS community_id, x.id AS customer_id, m.since AS since
ORDER BY community_id, customer_id
"""


async def members_begun(graph: GraphClient, pages: Sequence[str], month_days: Sequence[str]) -> list[Row]:
    """The members on these pages who joined on one of these days (`11-28`) of UTC, in whatever year."""
    return await graph.read(BEGUN, pages=list(pages), month_days=list(month_days))
