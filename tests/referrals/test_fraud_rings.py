"""Rings: the search over all customers finds what a plain reading of the definition finds."""

import random
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

from core.identifiers import IdentifierKind
from graph.identifiers import Uses
from referrals.fraud_rings import KINDS, RingSearch, Ties, find_rings
from referrals.fraud_signals import FraudPolicy, Identifier, Neighbourhood, Tie, linked_groups, weight_of

POLICY = FraudPolicy()


class Town:
    """A few customers with random referrals and identifiers, in both forms."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        count = rng.randint(5, 60)
        self.customers = [f"c{number:03d}" for number in range(count)]
        self.ties = [(rng.randrange(place), place) for place in range(1, count) if rng.random() < 0.6]
        self.users: dict[tuple[int, IdentifierKind], list[int]] = {}
        for number in range(rng.randint(1, count)):
            size = min(count, rng.choice([1, 2, 2, 3, 5, 9, 45]))
            self.users[number + 1, rng.choice(KINDS)] = rng.sample(range(count), size)

    def arrays(self) -> Ties:
        uses = [(user, key, KINDS.index(kind)) for (key, kind), found in self.users.items() for user in sorted(found)]
        users, keys, kinds = (np.array(column) for column in zip(*uses, strict=True))
        plain = Uses(users.astype(np.int32), keys.astype(np.uint64), kinds.astype(np.int8))
        return Ties(self.customers, plain, self.referrers())

    def referrers(self) -> csr_array:
        size = len(self.customers)
        places = ([b for _, b in self.ties], [a for a, _ in self.ties])
        return csr_array(coo_array((np.ones(len(self.ties), dtype=np.float32), places), shape=(size, size)))

    def neighbourhood(self) -> Neighbourhood:
        identifiers = {
            f"{key:016x}": Identifier(f"{key:016x}", kind, len(found)) for (key, kind), found in self.users.items()
        }
        uses: dict[str, set[str]] = {name: set() for name in self.customers}
        for (key, _), found in self.users.items():
            for user in found:
                uses[self.customers[user]].add(f"{key:016x}")
        return Neighbourhood(identifiers, uses, [Tie(self.customers[a], self.customers[b]) for a, b in self.ties])

    def plain_groups(self) -> list[set[str]]:
        """The definition read word by word."""
        parents: dict[int, set[int]] = {}
        for above, below in self.ties:
            parents.setdefault(below, set()).add(above)
        near = {
            place: {place, *parents.get(place, ()), *(g for p in parents.get(place, ()) for g in parents.get(p, ()))}
            for place in range(len(self.customers))
        }
        links = nx.Graph()
        for (key, kind), found in self.users.items():
            if weight_of(Identifier(str(key), kind, len(found)), POLICY) >= POLICY.link:
                links.add_edges_from(pair for pair in combinations(found, 2) if near[pair[0]] & near[pair[1]])
        return sorted(({self.customers[place] for place in group} for group in nx.connected_components(links)), key=min)


@pytest.mark.parametrize("seed", range(60))
def test_the_search_and_the_local_reading_find_the_groups_of_the_definition(seed: int) -> None:
    town = Town(seed)
    plain = town.plain_groups()
    search = RingSearch(town.arrays(), POLICY)
    found = [{town.customers[place] for place in group} for group in search.groups()]
    assert linked_groups(town.neighbourhood(), POLICY) == plain
    assert sorted(found, key=min) == [group for group in plain if len(group) >= POLICY.ring_size]


def town_of(users: dict[tuple[int, IdentifierKind], list[int]], ties: list[tuple[int, int]], count: int) -> Town:
    town = Town(0)
    town.customers = [f"c{number:03d}" for number in range(count)]
    town.users, town.ties = users, ties
    return town


def test_a_farm_is_a_ring_together_with_the_referrer_who_shares_nothing() -> None:
    """Given ten who came by one referrer and use one device, and a tower block of 500; then eleven are in the ring."""
    farm = list(range(1, 11))
    users = {(1, IdentifierKind.DEVICE): farm, (2, IdentifierKind.ADDRESS): list(range(500))}
    town = town_of(users, [(0, place) for place in farm], 500)
    search = RingSearch(town.arrays(), POLICY)
    groups = [search.members(group) for group in search.groups()]
    (ring,) = find_rings(search, groups, {})
    assert ring.members == tuple(town.customers[:11])
    assert [signal.name for signal in ring.assessment.signals] == ["SHARED_DEVICE"]
    assert ring.assessment.signals[0].path[1].degree == 10


def test_who_share_without_a_referral_and_refer_without_sharing_are_no_ring() -> None:
    users = {(1, IdentifierKind.DEVICE): [0, 1, 2, 3], (2, IdentifierKind.CARD): [4], (3, IdentifierKind.CARD): [5, 6]}
    town = town_of(users, [(4, 5), (4, 6), (4, 7)], 8)
    assert list(RingSearch(town.arrays(), POLICY).groups()) == []


def test_a_household_is_no_ring() -> None:
    users = {(1, IdentifierKind.CARD): [0, 1, 2], (2, IdentifierKind.DEVICE): [0, 1, 2]}
    town = town_of(users, [(0, 1), (0, 2)], 3)
    search = RingSearch(town.arrays(), POLICY)
    groups = [search.members(group) for group in search.groups()]
    assert len(list(find_rings(search, groups, {}))) == 1
    assert list(find_rings(search, groups, dict.fromkeys(town.customers, "home"))) == []
