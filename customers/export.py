"""What the profile and the graph's node say of a customer, opened, for the customer to take away."""

from typing import Any, cast

from core.db import Session
from core.traces import MOST_ROWS, within
from customers.personal import personal_data_of
from graph.client import GraphClient, Row, own_properties


async def export_profile(session: Session, customer_id: str) -> dict[str, Any]:
    """What is personal, as it was told."""
    personal = await personal_data_of(session, customer_id)
    if personal is None:
        return {}
    return {
        "full_name": personal.full_name,
        "phone": personal.phone,
        "email": personal.email,
        "birth_date": personal.birth_date,
    }


NODE = """
MATCH (c:Customer {id: $customer_id})
RETURN properties(c) AS said
"""
TIES_OUT = """
MATCH (c:Customer {id: $customer_id})-[r]->(x)
RETURN type(r) AS kind, properties(r) AS said, labels(x)[0] AS to, coalesce(x.id, x.key) AS id,
       CASE WHEN labels(x)[0] IN ['Post', 'Comment', 'Reaction'] THEN properties(x) ELSE null END AS written
ORDER BY kind, id
LIMIT $limit
"""
TIES_IN = """
MATCH (c:Customer {id: $customer_id})<-[r]-(x)
RETURN type(r) AS kind, properties(r) AS said, labels(x)[0] AS of, coalesce(x.id, x.key) AS id
ORDER BY kind, id
LIMIT $limit
"""
RECOMMENDED = """
MATCH (l:RecommendationList {customer_id: $customer_id})
RETURN properties(l) AS said
"""


async def export_node(
    graph: GraphClient, customer_id: str, truncated: list[str], *, most: int = MOST_ROWS
) -> dict[str, Any]:
    """The node, each relationship with what stands at its other end by id, and what the customer has written.

    `truncated` gets the kinds of relationships of which there are more.
    """
    rows = await graph.read(NODE, customer_id=customer_id)
    limits = {"customer_id": customer_id, "limit": most + 1}
    out = await graph.read(TIES_OUT, timeout=60, **limits)
    into = await graph.read(TIES_IN, timeout=60, **limits)
    lists = await graph.read(RECOMMENDED, customer_id=customer_id)
    return {
        "node": plain(rows[0]["said"]) if rows else None,
        **{
            place: [{name: plain(value) for name, value in row.items()} for row in within(ties, place, truncated, most)]
            for place, ties in (("relationships", out), ("relationships_of_others", into))
        },
        "recommendations": [plain(row["said"]) for row in lists],
    }


def plain(value: Any) -> Any:
    """Properties without what the engine keeps for itself."""
    return own_properties(cast(Row, value)) if isinstance(value, dict) else value
