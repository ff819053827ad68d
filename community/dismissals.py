"""What a customer does not want to be recommended: kept in the graph, where lists are read, and over by itself.

See docs/adr/0026. The relationship is the truth, so that the very next read knows of it without a second round trip.
"""

from datetime import datetime, timedelta
from typing import Literal, LiteralString

from community.access import MAY_READ, MAY_SEE
from core.clock import iso, parse_instant
from core.errors import NotFound, Refusal
from graph.client import GraphClient, Transaction

DISMISSED_FOR = timedelta(days=90)
# Each read walks through them. Whoever has so many is served better by fewer recommendations than by more dismissals.
MOST_DISMISSALS = 500

Recommended = Literal["Community", "Event", "Customer"]


class TooManyDismissals(Refusal):
    code = "TOO_MANY_DISMISSALS"
    en = "You have dismissed a great many recommendations. They come back after 90 days; please try again later."
    zh = "您已忽略的推荐过多，请稍后再试（忽略有效期为90天）。"


# Each says whether the customer may know of the thing: what they may not see is as if it were absent.
SEEN: dict[Recommended, LiteralString] = {
    "Community": """
MATCH (c:Community {id: $id})
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH c, m
WHERE """
    + MAY_SEE
    + " RETURN c.id AS id",
    "Event": """
MATCH (e:Event {id: $id})
WHERE e.status <> 'DRAFT'
MATCH (c:Community {id: e.community_id})
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
WITH e, c, m
WHERE """
    + MAY_READ
    + " RETURN e.id AS id",
    "Customer": """
MATCH (x:Customer {id: $id})
WHERE x.discoverable AND x.id <> $customer_id
RETURN x.id AS id
""",
}

# The first write is to the customer's node: it takes the lock under which their dismissals are counted.
FORGET_OLD = """
MATCH (me:Customer {id: $customer_id})
SET me.dismissed_at = $now
WITH me
MATCH (me)-[d:DISMISSED]->()
WHERE d.until <= $now
DELETE d
"""
COUNT_OTHERS = """
MATCH (me:Customer {id: $customer_id})-[d:DISMISSED]->()
WHERE d.key <> $key
RETURN count(d) AS others
"""


def put_to(thing: LiteralString) -> LiteralString:
    """The statement that draws a dismissal to this thing, once."""
    return (
        "MATCH (me:Customer {id: $customer_id}) MATCH "
        + thing
        + """
MERGE (me)-[d:DISMISSED {key: $key}]->(x)
ON CREATE SET d.until = $until
RETURN d.until AS until
"""
    )


PUT: dict[Recommended, LiteralString] = {
    "Community": put_to("(x:Community {id: $id})"),
    "Event": put_to("(x:Event {id: $id})"),
    "Customer": put_to("(x:Customer {id: $id})"),
}


async def dismiss(graph: GraphClient, kind: Recommended, id: str, *, customer_id: str, now: datetime) -> datetime:
    """Recommend this no more to the customer for 90 days; returns until when. Done twice it is done once.

    Raises NotFound for what the customer may not see, and TooManyDismissals.
    """
    if not await graph.read(SEEN[kind], id=id, customer_id=customer_id):
        raise NotFound(path=("recommendedId",))
    key = dismissal_key(customer_id, id)

    async def work(tx: Transaction) -> datetime:
        await tx.run(FORGET_OLD, customer_id=customer_id, now=iso(now))
        (counted,) = await tx.run(COUNT_OTHERS, customer_id=customer_id, key=key)
        if counted["others"] >= MOST_DISMISSALS:
            raise TooManyDismissals
        rows = await tx.run(PUT[kind], customer_id=customer_id, id=id, key=key, until=iso(now + DISMISSED_FOR))
        if not rows:
            raise NotFound(path=("recommendedId",))
        return parse_instant(rows[0]["until"])

    return await graph.transact(work, contended=customer_id)


def dismissal_key(customer_id: str, id: str) -> str:
    return f"{customer_id}:{id}"


RESTORE = """
MATCH (me:Customer {id: $customer_id})-[d:DISMISSED {key: $key}]->()
DELETE d
"""


async def restore(graph: GraphClient, id: str, *, customer_id: str) -> None:
    """Take a dismissal back; one that is not there is taken back already."""
    await graph.write(RESTORE, customer_id=customer_id, key=dismissal_key(customer_id, id))


FORGET_ALL = """
MATCH (:Customer {id: $customer_id})-[d:DISMISSED]-()
DELETE d
RETURN count(d) AS dismissals
"""


async def forget_dismissals(graph: GraphClient, customer_id: str) -> int:
    """Delete what an erased customer dismissed, and that others dismissed them; returns how many."""
    rows = await graph.write(FORGET_ALL, customer_id=customer_id)
    return rows[0]["dismissals"] if rows else 0


DISMISSED_BY = """
MATCH (:Customer {id: $merged_id})-[d:DISMISSED]->(x)
RETURN x.id AS id, labels(x)[0] AS kind, d.until AS until
ORDER BY id
"""


async def move_dismissals(graph: GraphClient, merged_id: str, survivor_id: str) -> int:
    """Give the survivor what the other has dismissed, where they have not done so themselves; returns how many.

    That others dismissed the profile that is no more is forgotten: nobody is recommended it.
    """
    rows = await graph.read(DISMISSED_BY, merged_id=merged_id)
    for row in rows:
        if row["id"] != survivor_id:
            key = dismissal_key(survivor_id, row["id"])
            await graph.write(PUT[row["kind"]], customer_id=survivor_id, id=row["id"], key=key, until=row["until"])
    await forget_dismissals(graph, merged_id)
    return len(rows)
