"""What stands around a referral in the graph, read within bounds: a node that many share is never walked through."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from core.clock import parse_instant
from core.identifiers import IdentifierKind
from graph.client import GraphClient
from referrals.fraud_signals import FraudPolicy, Identifier, Neighbourhood, Tie, linked_groups

# So many identifiers of a customer are looked at: the last that were seen.
IDENTIFIERS_OF_ONE = 50
# So many users of what the two have are looked at, besides the two themselves.
MOST_NEIGHBOURS = 300

# The embedded engine starts where the text does: what is bound comes first, in a MATCH of its own.
IDENTIFIERS = """
UNWIND $ids AS id
MATCH (c:Customer {id: id})
CALL (c) {
  MATCH (c)-[u:USES]->(i:Identifier)
  RETURN i.key AS key, i.kind AS kind, u.last_at AS last_at
  ORDER BY last_at DESC
  LIMIT $limit
}
RETURN id, key, kind
"""

USERS = """
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
CALL (i) {
  MATCH (i)<-[:USES]-(o:Customer)
  RETURN o.id AS user
  LIMIT $limit
}
RETURN key, collect(user) AS users
"""

REFERRERS = """
UNWIND $ids AS id
MATCH (b:Customer {id: id})
MATCH (b)<-[r:REFERRED]-(a:Customer)
RETURN a.id AS referrer_id, id AS referee_id, r.at AS at
"""


async def read_neighbourhoods(
    graph: GraphClient, pairs: Sequence[tuple[str, str]], policy: FraudPolicy
) -> list[Neighbourhood]:
    """Of each referrer and referee what they use, who else uses it where these are few, and by whom all of them came.

    Four round trips for all pairs, whatever there is around: of an identifier one user more than matters is read.
    """
    people = {person for pair in pairs for person in pair}
    own = await graph.read(IDENTIFIERS, ids=sorted(people), limit=IDENTIFIERS_OF_ONE)
    kinds = {row["key"]: IdentifierKind(row["kind"]) for row in own}
    users = await read_users(graph, list(kinds), policy) if kinds else {}
    keys: dict[str, list[str]] = defaultdict(list)
    for row in own:
        if row["key"] in users:
            keys[row["id"]].append(row["key"])
    parts = [uses_around(pair, keys, kinds, users, policy) for pair in pairs]
    ties = await read_ties(graph, people.union(*(uses for _, uses in parts)))
    return [
        Neighbourhood(identifiers, uses, ties_around({*pair, *uses}, ties))
        for pair, (identifiers, uses) in zip(pairs, parts, strict=True)
    ]


def uses_around(
    pair: tuple[str, str],
    keys: Mapping[str, Sequence[str]],
    kinds: Mapping[str, IdentifierKind],
    users: Mapping[str, Sequence[str]],
    policy: FraudPolicy,
) -> tuple[dict[str, Identifier], dict[str, set[str]]]:
    """What the two use, and whoever uses it where these are few."""
    uses = {person: set(keys[person]) for person in pair if keys.get(person)}
    identifiers: dict[str, Identifier] = {}
    # What few share comes first, because that is what tells, should there be too many to look at.
    for key in sorted({key for found in uses.values() for key in found}, key=lambda one: (len(users[one]), one)):
        found = users[key]
        identifiers[key] = Identifier(key, kinds[key], len(found))
        if len(found) <= policy.kinds[kinds[key]].most and len(uses) + len(found) <= MOST_NEIGHBOURS:
            for user in found:
                uses.setdefault(user, set()).add(key)
    return identifiers, uses


async def read_users(graph: GraphClient, keys: Sequence[str], policy: FraudPolicy) -> Mapping[str, list[str]]:
    limit = max(kind.most for kind in policy.kinds.values()) + 1
    return {row["key"]: row["users"] for row in await graph.read(USERS, keys=sorted(keys), limit=limit)}


async def read_ties(graph: GraphClient, ids: Collection[str]) -> dict[str, list[Tie]]:
    """By whom these came, and by whom those came; the ties of each referee."""
    first = await graph.read(REFERRERS, ids=sorted(ids))
    above = sorted({row["referrer_id"] for row in first} - set(ids))
    second = await graph.read(REFERRERS, ids=above) if above else []
    ties: dict[str, list[Tie]] = defaultdict(list)
    for row in (*first, *second):
        ties[row["referee_id"]].append(Tie(row["referrer_id"], row["referee_id"], parse_instant(row["at"])))
    return ties


def ties_around(people: Collection[str], ties: Mapping[str, Sequence[Tie]]) -> list[Tie]:
    """The ties above these people, and those above their referrers."""
    first = [tie for person in sorted(people) for tie in ties.get(person, ())]
    above = sorted({tie.referrer_id for tie in first} - set(people))
    return [*first, *(tie for person in above for tie in ties.get(person, ()))]


def group_around(around: Neighbourhood, referrer_id: str, referee_id: str, policy: FraudPolicy) -> set[str]:
    """The two, and whoever is linked with either of them."""
    pair = {referrer_id, referee_id}
    return pair.union(*(group for group in linked_groups(around, policy) if group & pair))
