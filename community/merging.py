"""What a profile that became one with another has in communities: memberships, places, posts, reactions go over."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from community.access import MemberRole
from community.cancellations import cancel_registration
from community.dismissals import move_dismissals
from community.reactions import reaction_key
from community.seats import lock_event, registration_key
from community.standing import Standing, drop_membership, lock_standing, put_membership
from core.errors import Refusal
from graph.client import GraphClient, Row, Transaction, own_properties
from graph.listed import DROP_LISTED, PUT_LISTED

# Of two memberships the one that comes first here stands: a ban is not evaded by having two profiles.
ORDER = (
    MemberRole.BANNED,
    MemberRole.OWNER,
    MemberRole.MANAGER,
    MemberRole.MODERATOR,
    MemberRole.EXPERT,
    MemberRole.MEMBER,
    MemberRole.PENDING,
    MemberRole.INVITED,
)
# What of a membership goes over with it.
CARRIED = ("message", "invited_by", "banned_by", "banned_until", "reason", "weight", "since")

MEMBERSHIPS = """
MATCH (:Customer {id: $merged_id})-[m:MEMBER_OF]->(c:Community)
RETURN c.id AS id, properties(m) AS said
ORDER BY id
"""
REGISTRATIONS = """
MATCH (:Customer {id: $merged_id})-[r:REGISTERED_FOR]->(e:Event)
RETURN e.id AS id
ORDER BY id
"""
LISTED_BY = """
MATCH (x:Listed {key: $key})
RETURN properties(x) AS said
"""
MOVE_REGISTRATION = """
MATCH (:Customer {id: $merged_id})-[r:REGISTERED_FOR {key: $old_key}]->(e:Event)
MATCH (b:Customer {id: $survivor_id})
CREATE (b)-[n:REGISTERED_FOR {key: $key}]->(e)
SET n += $properties
DELETE r
"""
MOVE_WRITTEN = """
MATCH (a:Customer {id: $merged_id})-[w:WROTE]->(x)
MATCH (b:Customer {id: $survivor_id})
SET x.author_id = $survivor_id
MERGE (b)-[:WROTE]->(x)
DELETE w
RETURN count(x) AS moved
"""
REACTIONS = """
MATCH (:Customer {id: $merged_id})-[:REACTED]->(x:Reaction)
RETURN x.key AS key, x.target_id AS target_id, x.kind AS kind
ORDER BY key
"""
MOVE_REACTION = """
MATCH (a:Customer {id: $merged_id})-[w:REACTED]->(x:Reaction {key: $old_key})
MATCH (b:Customer {id: $survivor_id})
OPTIONAL MATCH (twin:Reaction {key: $key})
WITH w, x, b, twin
WHERE twin IS NULL
SET x.key = $key
CREATE (b)-[:REACTED]->(x)
DELETE w
RETURN count(x) AS moved
"""


async def merge_in_communities(
    graph: GraphClient, merged_id: str, survivor_id: str, *, now: datetime
) -> dict[str, int]:
    """Move what is in the graph, thing by thing; again it moves nothing. Returns how much, and what stayed."""
    pair = {"merged_id": merged_id, "survivor_id": survivor_id}
    done = {"memberships": 0, "registrations": 0, "registrations kept, as the survivor has one": 0}
    for row in await graph.read(MEMBERSHIPS, merged_id=merged_id):
        await move_membership(graph, row["id"], row["said"], **pair, now=now)
        done["memberships"] += 1
    for row in await graph.read(REGISTRATIONS, merged_id=merged_id):
        moved = await move_registration(graph, row["id"], **pair, now=now)
        done["registrations" if moved else "registrations kept, as the survivor has one"] += 1
    written = await graph.write(MOVE_WRITTEN, timeout=60, **pair)
    done["posts and comments"] = written[0]["moved"] if written else 0
    reactions = await graph.read(REACTIONS, merged_id=merged_id)
    moved = [await move_reaction(graph, row, **pair) for row in reactions]
    done["reactions"], done["reactions kept, as the survivor has the same"] = sum(moved), len(moved) - sum(moved)
    done["dismissals"] = await move_dismissals(graph, merged_id, survivor_id)
    return done


async def move_membership(
    graph: GraphClient, community_id: str, said: Row, *, merged_id: str, survivor_id: str, now: datetime
) -> None:
    """Give the survivor the stronger of both roles, and end the other's; the counts of the community follow."""
    carried = {name: said[name] for name in CARRIED if said.get(name) is not None}

    async def work(tx: Transaction) -> None:
        old = await lock_standing(tx, community_id, merged_id, now=now)
        own = await lock_standing(tx, community_id, survivor_id, now=now)
        if old.held is None:
            return
        if is_stronger(old, own):
            await put_membership(tx, own, MemberRole(old.held), now=now, **carried)
        await drop_membership(tx, old, now=now)

    await graph.transact(work, contended=community_id)


def is_stronger(old: Standing, own: Standing) -> bool:
    return own.held is None or ORDER.index(MemberRole(old.held or "")) < ORDER.index(MemberRole(own.held))


async def move_registration(
    graph: GraphClient, event_id: str, *, merged_id: str, survivor_id: str, now: datetime
) -> bool:
    """Move a registration with its place in all lists; where the survivor has one, a coming place is given back."""
    old_key, key = registration_key(event_id, merged_id), registration_key(event_id, survivor_id)

    async def work(tx: Transaction) -> bool:
        # The lock of the event holds off whoever counts; its counts stay, because the place does.
        own = await lock_event(tx, event_id, survivor_id, now)
        old = await lock_event(tx, event_id, merged_id, now)
        if own is None or old is None or old.registration is None:
            return True
        if own.registration is not None:
            return False
        listed = await tx.run(LISTED_BY, key=old_key)
        properties = renamed(old.registration, merged_id, survivor_id)
        names = {"merged_id": merged_id, "survivor_id": survivor_id, "old_key": old_key, "key": key}
        await tx.run(MOVE_REGISTRATION, **names, properties=properties)
        if listed:
            await tx.run(DROP_LISTED, keys=[old_key])
            await tx.run(PUT_LISTED, rows=[{"key": key, "listed": renamed(listed[0]["said"], merged_id, survivor_id)}])
        return True

    if await graph.transact(work, contended=event_id):
        return True
    # Where it is over, that one person was there twice stays as it was counted.
    with suppress(Refusal):
        await cancel_registration(graph, event_id=event_id, customer_id=merged_id, now=now)
    return False


def renamed(said: Row, merged_id: str, survivor_id: str) -> dict[str, Any]:
    """Properties with the survivor in every place where the other was; what the engine keeps is not ours."""
    return {
        name: value.replace(merged_id, survivor_id) if isinstance(value, str) else value
        for name, value in own_properties(said).items()
    }


async def move_reaction(graph: GraphClient, row: Row, *, merged_id: str, survivor_id: str) -> int:
    key = reaction_key(row["target_id"], survivor_id, row["kind"])
    names: Row = {"merged_id": merged_id, "survivor_id": survivor_id, "old_key": row["key"], "key": key}
    moved = await graph.write(MOVE_REACTION, **names)
    return moved[0]["moved"] if moved else 0
