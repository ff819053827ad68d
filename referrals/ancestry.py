"""Ancestry: whether a claim could close a circle, found by bounded walks inside its transaction.

Why it is exact: a circle through the new relationship needs one that starts at the referee. Whoever draws one locks
its referrer, and every claim locks its referee; so under that lock either there is one, and then we climb, or there
is none, and then none can come before our commit. Where we climb, the root above the referrer is locked as well and
looked for again: it can get a referrer only by a claim that locks it, and what was climbed below it never goes.
"""

from collections.abc import Collection, Sequence

from graph.client import Transaction

# So many relationships are followed in one step: an engine compares each with all before it on the same path.
STEP = 32

BRANCHING = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
WHERE EXISTS { (c)-[:REFERRED {program_id: $program_id}]->() }
RETURN c.id AS id
"""


async def branching(tx: Transaction, program_id: str, ids: Collection[str]) -> set[str]:
    """Who of these has referred somebody; they must be locked."""
    rows = await tx.run(BRANCHING, ids=sorted(ids), program_id=program_id)
    return {row["id"] for row in rows}


LOCK_CUSTOMERS = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
SET c.referrals_touched_at = $now
"""


async def lock_customers(tx: Transaction, ids: Collection[str], now: str) -> None:
    """Lock these customers, in order of their ids, until the end of the transaction."""
    await tx.run(LOCK_CUSTOMERS, ids=sorted(ids), now=now)


async def lock_roots(tx: Transaction, program_id: str, ids: Sequence[str], now: str) -> dict[str, str]:
    """Lock the roots above these customers; returns them by customer.

    A root may have got a referrer while we waited for its lock: then the climb goes on from there.
    """
    roots = await roots_of(tx, program_id, ids)
    while True:
        await lock_customers(tx, set(roots.values()), now)
        higher = await roots_of(tx, program_id, sorted(set(roots.values())))
        if all(root == above for root, above in higher.items()):
            return roots
        roots = {customer: higher[root] for customer, root in roots.items()}


CLIMB = """
UNWIND $ids AS id
MATCH (start:Customer {id: id})
MATCH (start)<-[steps:REFERRED*1..32 {program_id: $program_id}]-(above:Customer)
WHERE size(steps) = 32 OR NOT EXISTS { (above)<-[:REFERRED {program_id: $program_id}]-() }
RETURN id, above.id AS above, size(steps) AS height
"""


async def roots_of(tx: Transaction, program_id: str, ids: Sequence[str]) -> dict[str, str]:
    """The root of the tree in which each customer stands; who was referred by nobody is their own."""
    highest = {customer: customer for customer in ids}
    climbing = set(ids)
    while climbing:
        rows = await tx.run(CLIMB, ids=sorted(climbing), program_id=program_id)
        higher = {row["id"]: row["above"] for row in rows}
        highest = {customer: higher.get(above, above) for customer, above in highest.items()}
        climbing = {row["above"] for row in rows if row["height"] == STEP}
    return highest
