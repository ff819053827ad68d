"""The scores again in plain Python, pair by pair, from the definition alone; slow, and without matrices."""

from dataclasses import dataclass, field
from math import log, sqrt

Pair = tuple[int, int]


@dataclass(frozen=True)
class World:
    """People and communities by number; who is banned or closed is never offered, what is tagged has confidences."""

    people: int
    communities: int
    tags: int
    members: frozenset[Pair] = frozenset()
    banned: frozenset[Pair] = frozenset()
    closed: frozenset[int] = frozenset()
    about: frozenset[Pair] = frozenset()
    tagged: dict[Pair, float] = field(default_factory=dict)
    knows: frozenset[Pair] = frozenset()
    referred: frozenset[Pair] = frozenset()

    def members_of(self, community: int) -> set[int]:
        return {who for who, where in self.members if where == community}

    def communities_of(self, who: int) -> set[int]:
        return {where for one, where in self.members if one == who}

    def known_to(self, who: int) -> set[int]:
        return {b for a, b in self.knows if a == who} | {a for a, b in self.knows if b == who}

    def referees_of(self, who: int) -> set[int]:
        return {b for a, b in self.referred if a == who}

    def referrers_of(self, who: int) -> set[int]:
        return {a for a, b in self.referred if b == who}

    def open_to(self, who: int) -> set[int]:
        taken = {where for one, where in self.members | self.banned if one == who}
        return set(range(self.communities)) - taken - self.closed


@dataclass(frozen=True)
class Constants:
    """The weights and shrinkages by the names that the definition gives them."""

    co_members: float
    tags: float
    acquaintances: float
    referral_ties: float
    popularity: float
    similarity_shrinkage: float
    history_shrinkage: float
    tie_shrinkage: float


def nearness(world: World, one: int, other: int, constants: Constants) -> float:
    """Cosine of the sets of members, times what the number in common is trusted."""
    a, b = world.members_of(one), world.members_of(other)
    common = len(a & b)
    if one == other or common == 0:
        return 0.0
    return common / sqrt(len(a) * len(b)) * common / (common + constants.similarity_shrinkage)


def co_members(world: World, who: int, community: int, constants: Constants) -> float:
    mine = world.communities_of(who)
    sums = {c: sum(nearness(world, one, c, constants) for one in mine) for c in world.open_to(who)}
    largest = max(sums.values(), default=0.0)
    if largest == 0:
        return 0.0
    return sums[community] / largest * len(mine) / (len(mine) + constants.history_shrinkage)


def rarity(world: World, tag: int) -> float:
    return log((1 + world.communities) / (1 + sum(1 for _, t in world.about if t == tag))) + 1


def shared_tags(world: World, who: int, community: int) -> float:
    """Cosine of what the customer is tagged with (by confidence) and what the community is about, both by rarity."""
    left = {tag: confidence * rarity(world, tag) for (one, tag), confidence in world.tagged.items() if one == who}
    right = {tag: rarity(world, tag) for one, tag in world.about if one == community}
    dot = sum(left[tag] * right[tag] for tag in left.keys() & right.keys())
    lengths = sqrt(sum(x * x for x in left.values())) * sqrt(sum(x * x for x in right.values()))
    return dot / lengths if dot else 0.0


def acquaintances(world: World, who: int, community: int, constants: Constants) -> float:
    known = world.known_to(who)
    return len(known & world.members_of(community)) / (len(known) + constants.tie_shrinkage)


def referral_ties(world: World, who: int, community: int, constants: Constants) -> float:
    members = world.members_of(community)
    ties = [world.referees_of(who), world.referrers_of(who)]
    return sum(len(tie & members) for tie in ties) / (sum(map(len, ties)) + constants.tie_shrinkage)


def popularity(world: World, community: int) -> float:
    largest = max(len(world.members_of(c)) for c in range(world.communities))
    return log(1 + len(world.members_of(community))) / max(1.0, log(1 + largest))


def parts(world: World, who: int, community: int, constants: Constants) -> dict[str, float]:
    """What each kind of evidence adds for a community that is open to the customer."""
    return {
        "CO_MEMBERS": constants.co_members * co_members(world, who, community, constants),
        "SHARED_TAGS": constants.tags * shared_tags(world, who, community),
        "ACQUAINTANCES": constants.acquaintances * acquaintances(world, who, community, constants),
        "REFERRAL_TIES": constants.referral_ties * referral_ties(world, who, community, constants),
        "POPULAR": constants.popularity * popularity(world, community),
    }
