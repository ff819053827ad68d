"""The scores again in plain Python, pair by pair, from the definition alone; slow, and without matrices."""

from dataclasses import dataclass, field
from math import ceil, exp, floor, log, sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray

from community.search_keys import distance

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
    discoverable: frozenset[int] = frozenset()
    activity: dict[Pair, float] = field(default_factory=dict[Pair, float])
    joined: dict[Pair, float] = field(default_factory=dict[Pair, float])
    places: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])

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
    """The weights, shrinkages and powers by the names that the definition gives them."""

    co_members: float
    season: float
    tags: float
    acquaintances: float
    referral_ties: float
    nearby: float
    popularity: float
    history_shrinkage: float
    tie_shrinkage: float
    from_latest: bool
    before_days: float
    after_days: float
    regularisation: float
    own_share: float
    popularity_power: float
    activity_power: float


Matrix = NDArray[np.float64]


def weights(world: World) -> Matrix:
    """People by communities: the logarithm of what somebody does, by the mean of that person's."""
    found = np.zeros((world.people, world.communities))
    for who in range(world.people):
        mine = {c: log(1 + world.activity.get((who, c), 1.0)) for c in world.communities_of(who)}
        for community, logarithm in mine.items():
            found[who, community] = logarithm / (sum(mine.values()) / len(mine))
    return found


def scale(world: World, constants: Constants) -> Matrix:
    sizes = [len(world.members_of(c)) for c in range(world.communities)]
    return np.array([size**-constants.popularity_power if size else 0.0 for size in sizes])


def nearness(world: World, constants: Constants) -> Matrix:
    """B by its definition, with the inverse of the whole matrix."""
    lengths = [len(world.communities_of(who)) for who in range(world.people)]
    mean = sum(lengths) / max(1, sum(1 for length in lengths if length))
    rows = np.array([(length / mean) ** -constants.activity_power if length else 0.0 for length in lengths])
    scaled = rows[:, None] * weights(world) * scale(world, constants)
    gram = scaled.T @ scaled
    inverse = np.linalg.inv(gram + np.diag(constants.regularisation + constants.own_share * np.diag(gram)))
    found = -inverse / np.diag(inverse)
    np.fill_diagonal(found, 0.0)
    return found


def season(world: World, who: int, community: int, constants: Constants) -> float:
    """How near one's joinings, or the latest, are to those of a community's members, both in steps of five days."""
    steps = {pair: floor(day / 5) for pair, day in world.joined.items()}
    theirs = [step for (_, where), step in steps.items() if where == community]
    mine = sorted(step for (one, _), step in steps.items() if one == who)
    if not theirs or not mine:
        return 0.0
    middle, first, last = floor(median(steps.values())), min(steps.values()), max(steps.values())

    def near(step: int, own: int) -> float:
        days = 5 * (within(step) - within(own))
        return exp(-days / constants.after_days) if days >= 0 else exp(days / constants.before_days)

    def within(step: int) -> int:
        return min(max(step, first, middle - 500), last, middle + 500)

    own = mine[-1:] if constants.from_latest else mine
    return sum(near(step, one) for step in theirs for one in own) / (len(theirs) * len(own))


def trust(world: World, who: int, constants: Constants) -> float:
    length = len(world.communities_of(who))
    return length / (length + constants.history_shrinkage)


def co_members(world: World, who: int, community: int, constants: Constants) -> float:
    row = (weights(world)[who] * scale(world, constants)) @ nearness(world, constants)
    near = {c: max(0.0, float(row[c])) * (1 + constants.season * season(world, who, c, constants))
            for c in world.open_to(who)}  # fmt: skip
    largest = max(near.values(), default=0.0)
    return near[community] / largest * trust(world, who, constants) if largest else 0.0


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


def kilometres(world: World, one: int, other: int) -> float:
    return distance(*world.places[one], *world.places[other])


def nearness_in_steps(world: World, one: int, other: int) -> float:
    """1 within 25 km, and a quarter less for each further 25 km."""
    return max(0.0, 1 - max(0, ceil(kilometres(world, one, other) / 25) - 1) / 4)


def nearby(world: World, who: int, community: int) -> float:
    """The mean nearness to those of one's communities that have a place, by what they weigh."""
    own = {c: float(weights(world)[who, c]) for c in world.communities_of(who) if c in world.places}
    if community not in world.places or not own:
        return 0.0
    return sum(weight * nearness_in_steps(world, c, community) for c, weight in own.items()) / sum(own.values())


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
        "NEARBY": constants.nearby * nearby(world, who, community),
        "POPULAR": constants.popularity * (1 - trust(world, who, constants)) * popularity(world, community),
    }
