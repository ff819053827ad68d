"""Who may join, register or redeem: those of a least tier with certain tags, all of them held and not expired."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.clock import iso
from core.errors import Refusal
from graph.client import GraphClient


class Tier(StrEnum):
    """How closely the bank looks after a customer; in the order of the list, MASS for whoever has none."""

    MASS = "MASS"
    POTENTIAL = "POTENTIAL"
    VIP = "VIP"


TIERS = list(Tier)
# How high each stands.
RANKS: Mapping[str, int] = {tier: rank for rank, tier in enumerate(Tier)}


class NotEligible(Refusal):
    code = "NOT_ELIGIBLE"
    en = "This is for a certain circle of customers only."
    zh = "您暂不符合参与条件。"


def is_eligible(
    tier: str | None, tags: Collection[str], minimum_tier: str | None, required_tags: Collection[str] | None
) -> bool:
    """Whether a customer of this tier with these tags (those that hold now) meets the conditions."""
    high_enough = RANKS[tier or Tier.MASS] >= RANKS[minimum_tier or Tier.MASS]
    return high_enough and (not required_tags or set(required_tags) <= set(tags))


# The same for queries: `x` is the community or event, `me` the customer or null, $now the instant (ISO 8601, UTC).
# A test holds it against the function. Where the two are read in one row, take HELD_TAGS and call the function.
HELD_TAGS = "[(me)-[g:TAGGED]->(t:Tag) WHERE g.until IS NULL OR g.until > $now | t.key]"
ELIGIBLE = (
    """(coalesce(x.minimum_tier, 'MASS') = 'MASS' OR me.tier = 'VIP' OR me.tier = x.minimum_tier)
  AND all(key IN coalesce(x.required_tags, []) WHERE key IN """
    + HELD_TAGS
    + ")"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What conditions ask of a customer, as it is at an instant; who is not known has nothing."""

    tier: str | None = None
    tags: frozenset[str] = frozenset()


HELD = "MATCH (me:Customer {id: $customer_id}) RETURN me.tier AS tier, " + HELD_TAGS + " AS tags"


async def held_by(graph: GraphClient, customer_id: str, *, now: datetime) -> Held:
    """The tier and the tags that a customer has now, for conditions that are kept outside of the graph."""
    rows = await graph.read(HELD, customer_id=customer_id, now=iso(now))
    return Held(rows[0]["tier"], frozenset(rows[0]["tags"])) if rows else Held()
