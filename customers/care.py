"""Which customers an employee looks after, and who looks after customers, many at a time.

Each source draws its own relationship, so that what one says anew takes nothing from another: two of a pair are one.
"""

from collections.abc import Sequence

from graph.client import GraphClient

# So many customers of one employee are shown in lists; a relationship manager has a few hundred.
MOST_CUSTOMERS = 10_000


CUSTOMERS_OF = """
MATCH (e:Employee {id: $employee_id})
MATCH (c:Customer)-[:SERVED_BY]->(e)
RETURN DISTINCT c.id AS id
ORDER BY id
LIMIT $limit
"""


async def customers_of(graph: GraphClient, employee_id: str, *, limit: int = MOST_CUSTOMERS) -> Sequence[str]:
    """The customers whom an employee looks after, in the order of their ids."""
    rows = await graph.read(CUSTOMERS_OF, employee_id=employee_id, limit=limit)
    return [row["id"] for row in rows]


EMPLOYEES_OF = """
UNWIND $ids AS id
MATCH (:Customer {id: id})-[:SERVED_BY]->(e:Employee)
RETURN id AS customer_id, min(e.id) AS employee_id
"""


async def employees_of(graph: GraphClient, customer_ids: Sequence[str]) -> dict[str, str]:
    """Who looks after each of these customers; who has nobody is left out."""
    rows = await graph.read(EMPLOYEES_OF, ids=sorted(set(customer_ids)))
    return {row["customer_id"]: row["employee_id"] for row in rows}


THOSE_SERVED = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})-[:SERVED_BY]->(:Employee {id: $employee_id})
RETURN DISTINCT c.id AS id
"""


async def served_by(graph: GraphClient, employee_id: str, customer_ids: Sequence[str]) -> set[str]:
    """Those of these customers whom an employee looks after."""
    rows = await graph.read(THOSE_SERVED, employee_id=employee_id, ids=list(customer_ids))
    return {row["id"] for row in rows}
