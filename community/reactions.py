"""Reactions to posts and comments: one per customer, kind and target, counted exactly."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from community.content import PLACES, Target, not_deleted, writable
from community.tallies import TAKE_TALLY, tally_key
from core.clock import iso
from graph.client import GraphClient, Transaction


class ReactionKind(StrEnum):
    """How a member reacts."""

    LIKE = "LIKE"
    LOVE = "LOVE"
    HELPFUL = "HELPFUL"
    THANKS = "THANKS"
    CHEER = "CHEER"


# The shard is always the same for one customer, kind and target, so its lock decides which of two comes first.
ADD_REACTION = (
    TAKE_TALLY
    + """
WITH t
OPTIONAL MATCH (old:Reaction {key: $key})
WITH t WHERE old IS NULL
MATCH (me:Customer {id: $customer_id})
CREATE (me)-[:REACTED]->(:Reaction {key: $key, target_id: $target_id, kind: $kind, at: $now})
SET t.count = t.count + 1
"""
)
REMOVE_REACTION = (
    TAKE_TALLY
    + """
WITH t
MATCH (r:Reaction {key: $key})
SET t.count = t.count - 1
DETACH DELETE r
"""
)


async def react(
    graph: GraphClient, target: Target, target_id: str, kind: ReactionKind, *, on: bool, customer_id: str, now: datetime
) -> str:
    """Add or take back a reaction; done twice it is done once. Returns the community's id.

    Raises NotFound for what the customer may not read, MembersOnly, CommunityArchived, ContentDeleted.
    """
    tally = tally_key(target_id, kind, customer_id)
    statement = ADD_REACTION if on else REMOVE_REACTION

    async def work(tx: Transaction) -> str:
        rows = await tx.run(PLACES[target], target_id=target_id, customer_id=customer_id)
        place = not_deleted(writable(rows, "targetId"), "targetId")
        await tx.run(
            statement,
            tally=tally,
            target_id=target_id,
            kind=kind,
            customer_id=customer_id,
            key=reaction_key(target_id, customer_id, kind),
            now=iso(now),
        )
        return str(place["community_id"])

    return await graph.transact(work, contended=tally)


def reaction_key(target_id: str, customer_id: str, kind: str) -> str:
    return f"{target_id}:{customer_id}:{kind}"


REACTIONS_BY = """
UNWIND $keys AS key
MATCH (r:Reaction {key: key})
RETURN r.target_id AS target_id, r.kind AS kind
"""


async def reactions_by(
    graph: GraphClient, customer_id: str, target_ids: Sequence[str]
) -> dict[str, list[ReactionKind]]:
    """The customer's own reactions to each target, looked up by their keys."""
    keys = [reaction_key(target, customer_id, kind) for target in target_ids for kind in ReactionKind]
    found: dict[str, list[ReactionKind]] = {target: [] for target in target_ids}
    for row in await graph.read(REACTIONS_BY, keys=keys):
        found[row["target_id"]].append(ReactionKind(row["kind"]))
    return found
