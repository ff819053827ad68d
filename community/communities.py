"""Communities and who may see them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import LiteralString, cast

from community.access import IS_MEMBER, MAY_SEE
from core.clock import iso
from core.paging import Page, Place, cut, goes_back, page_size, text_at
from graph.client import GraphClient, Row
from graph.eligibility import ELIGIBLE
from graph.turned import page_by_text, turned


class JoinPolicy(StrEnum):
    """How one becomes a member."""

    OPEN = "OPEN"
    REQUEST = "REQUEST"
    INVITE = "INVITE"


# By their values, for pages of rows.
JOIN_POLICIES = {one.value: one for one in JoinPolicy}

# What is read of a community `c`, whoever asks and by whichever way.
COMMUNITY_PROPERTIES = {
    **{
        name: f"c.{name}"
        for name in (
            *("id", "name_zh", "name_en", "purpose_zh", "purpose_en", "description_zh", "description_en"),
            *("rules_zh", "rules_en", "visibility", "join_policy", "minimum_tier", "segment_id"),
            *("created_at", "archived_at", "member_count"),
        )
    },
    "required_tags": "coalesce(c.required_tags, [])",
    "next_ticket": "coalesce(c.next_ticket, 0)",
}
# Made of constants only, although a type checker cannot follow it.
COMMUNITY_COLUMNS = cast(LiteralString, ", ".join(f"{read} AS {name}" for name, read in COMMUNITY_PROPERTIES.items()))
# What a community has where nothing is kept of it, for who reads all its properties at once: Neo4j looks for each that
# is named from the first one on.
COMMUNITY_UNSET: Row = {**dict.fromkeys(COMMUNITY_PROPERTIES), "required_tags": [], "next_ticket": 0}


# The viewer is bound first: asked for within the pattern, the embedded engine walks through all members.
READ_COMMUNITIES = (
    """
UNWIND $ids AS id
MATCH (c:Community {id: id})
OPTIONAL MATCH (me:Customer {id: $viewer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH c, m, m.role AS role
WHERE """
    + MAY_SEE
    + "\nRETURN "
    + COMMUNITY_COLUMNS
    + ", role AS viewer_role\n"
)


async def read_communities(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The communities among `ids` that the viewer may see, by id."""
    rows = await graph.read(READ_COMMUNITIES, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in rows}


# Both halves are IS_LISTED: what everybody finds, and the viewer's own that nobody else finds.
LIST_COMMUNITIES = (
    """
MATCH (c:Community)
WHERE c.id > $after AND c.visibility = 'PUBLIC' AND c.archived_at IS NULL
RETURN c.id AS id
ORDER BY id
LIMIT $limit
UNION
MATCH (me:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c:Community)
WHERE c.id > $after AND c.visibility <> 'PUBLIC' AND c.archived_at IS NULL AND """
    + IS_MEMBER
    + """
RETURN c.id AS id
ORDER BY id
LIMIT $limit
"""
)

LIST_COMMUNITIES_BY_TAG = (
    """
MATCH (:Tag {key: $tag})<-[:ABOUT]-(c:Community)
WHERE c.id > $after AND c.visibility = 'PUBLIC' AND c.archived_at IS NULL
RETURN c.id AS id
ORDER BY id
LIMIT $limit
UNION
MATCH (me:Customer {id: $viewer_id})-[m:MEMBER_OF]->(c:Community)
WHERE c.id > $after AND c.visibility <> 'PUBLIC' AND c.archived_at IS NULL
  AND EXISTS { (c)-[:ABOUT]->(:Tag {key: $tag}) } AND """
    + IS_MEMBER
    + """
RETURN c.id AS id
ORDER BY id
LIMIT $limit
"""
)


async def list_communities(
    graph: GraphClient, *, viewer_id: str | None, tag: str | None, first: int | None, after: Place
) -> Page[str]:
    """Ids of the communities that are listed for the viewer, in the order of their ids."""
    size, back = page_size(first), goes_back(after)
    names: Row = {"viewer_id": viewer_id or "", "after": text_at(after), "limit": size + 1}
    query = LIST_COMMUNITIES if tag is None else LIST_COMMUNITIES_BY_TAG
    if tag is not None:
        names["tag"] = tag
    rows = await graph.read(turned(query) if back else query, **names)
    return cut(sorted((str(row["id"]) for row in rows), reverse=back), size, lambda row: (row,), after)


TAGS_OF_COMMUNITIES = """
UNWIND $ids AS id
MATCH (:Community {id: id})-[:ABOUT]->(t:Tag)
RETURN id AS community_id, t.key AS key, t.name_zh AS name_zh, t.name_en AS name_en, t.family AS family
ORDER BY community_id, key
"""


async def tags_of_communities(graph: GraphClient, ids: Sequence[str]) -> list[Row]:
    """What communities are about."""
    return await graph.read(TAGS_OF_COMMUNITIES, ids=list(ids))


COMMUNITIES_OF_CUSTOMER = (
    """
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c:Community)
WHERE """
    + IS_MEMBER
    + """ AND c.id > $after
RETURN c.id AS id
ORDER BY c.id
LIMIT $limit
"""
)


async def communities_of(graph: GraphClient, customer_id: str, *, first: int | None, after: Place) -> Page[str]:
    """Ids of the communities that the customer belongs to."""
    page = await page_by_text(graph, COMMUNITIES_OF_CUSTOMER, "id", first=first, place=after, customer_id=customer_id)
    return Page([str(row["id"]) for row in page.rows], page.cursors, page.has_next, page.has_previous)


OWN_COMMUNITIES = (
    """
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(c:Community)
WHERE """
    + IS_MEMBER
    + " AND c.id > $after\nRETURN "
    + COMMUNITY_COLUMNS
    + """, m.role AS viewer_role
ORDER BY id
LIMIT $limit
"""
)


async def own_communities(graph: GraphClient, customer_id: str, *, first: int | None, after: Place) -> Page[Row]:
    """The same communities as that customer sees them, whole: nobody else may be shown them so."""
    return await page_by_text(graph, OWN_COMMUNITIES, "id", first=first, place=after, customer_id=customer_id)


ELIGIBLE_FOR = (
    """
UNWIND $ids AS id
MATCH (x:Community {id: id})
OPTIONAL MATCH (me:Customer {id: $customer_id})
WITH x, me
WHERE """
    + ELIGIBLE
    + """
RETURN x.id AS id
"""
)


async def eligible_for(graph: GraphClient, customer_id: str, ids: Sequence[str], *, now: datetime) -> set[str]:
    """Those of the communities whose conditions the customer meets."""
    rows = await graph.read(ELIGIBLE_FOR, ids=list(ids), customer_id=customer_id, now=iso(now))
    return {row["id"] for row in rows}
