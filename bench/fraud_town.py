"""A town of customers with the devices, cards and addresses that people have, and rings planted among them.

It knows nothing of the detector: how people share follows from homes, shops and branches, how rings share from how
such rings are told of. `noise` multiplies what makes honest people look alike: second-hand telephones, shared work
telephones, branch tablets, and addresses that name a building only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

import numpy as np

from core.identifiers import IdentifierKind

DEVICE, CARD, ADDRESS = IdentifierKind.DEVICE, IdentifierKind.CARD, IdentifierKind.ADDRESS
RINGS = 50
HOME_SIZES, HOME_SHARES = (1, 2, 3, 4, 5, 6), (0.25, 0.3, 0.27, 0.12, 0.05, 0.01)
IS_CUSTOMER = 0.55
REFERRED = 0.3


@dataclass(slots=True)
class Town:
    """Customers by number: uses (customer, kind, identifier), referrals by referee, households declared, rings."""

    customers: int = 0
    uses: list[tuple[int, IdentifierKind, int]] = field(default_factory=list[tuple[int, IdentifierKind, int]])
    referrers: dict[int, int] = field(default_factory=dict[int, int])
    households: dict[int, int] = field(default_factory=dict[int, int])
    rings: list[tuple[str, list[int]]] = field(default_factory=list[tuple[str, list[int]]])


class Builder:
    """Builds one town from a seed."""

    def __init__(self, customers: int, seed: int, noise: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.noise, self.town, self.fresh = noise, Town(), count()
        self.wanted = customers
        self.homes: list[list[int]] = []
        self.blocks: list[int] = []
        self.shops: list[list[int]] = []

    def build(self) -> Town:
        while self.town.customers < self.wanted:
            self.block()
        self.work()
        self.branches()
        self.second_hand()
        self.refer()
        for number in range(RINGS):
            self.ring(number)
        self.town.uses = sorted(set(self.town.uses))
        return self.town

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def use(self, people: Sequence[int], kind: IdentifierKind, identifier: int | None = None) -> int:
        """All of these use one identifier, a new one where none is named."""
        number = next(self.fresh) if identifier is None else identifier
        self.town.uses += [(person, kind, number) for person in people]
        return number

    def person(self) -> int:
        """A new customer with a telephone and a card or two."""
        number = self.town.customers
        self.town.customers += 1
        for kind, second in ((DEVICE, 0.35), (CARD, 0.4)):
            self.use([number], kind)
            if self.chance(second):
                self.use([number], kind)
        return number

    def block(self) -> None:
        """A building with homes, from a cottage to a tower block; some write down the building and not the flat."""
        size = int(min(500, max(1, self.rng.lognormal(2.2, 1.5))))
        building, living = next(self.fresh), 0
        while living < size and self.town.customers < self.wanted:
            members = [
                self.person() for _ in range(self.rng.choice(HOME_SIZES, p=HOME_SHARES)) if self.chance(IS_CUSTOMER)
            ]
            living += len(members)
            if not members:
                continue
            self.homes.append(members)
            self.use(members, ADDRESS, building if self.chance(min(0.9, 0.35 * self.noise)) else None)
            if len(members) > 1:
                self.share_at_home(members)
        self.blocks.append(building)

    def share_at_home(self, members: list[int]) -> None:
        if self.chance(0.3):
            self.use(members, DEVICE)
        if self.chance(0.2):
            self.use(self.some(members, 2), DEVICE)
        if self.chance(0.15):
            self.use(self.some(members, 2), CARD)

    def some(self, people: Sequence[int], number: int) -> list[int]:
        return [int(one) for one in self.rng.choice(people, size=min(number, len(people)), replace=False)]

    def work(self) -> None:
        """Shops whose staff share one telephone, sometimes a card."""
        for _ in range(int(self.wanted * 0.004 * self.noise)):
            staff = self.some(range(self.town.customers), int(self.rng.integers(3, 16)))
            self.shops.append(staff)
            self.use(staff, DEVICE)
            if self.chance(0.15):
                self.use(self.some(staff, 3), CARD)

    def branches(self) -> None:
        """Tablets in branches and fairs, which hundreds have signed up with."""
        for _ in range(max(1, int(self.wanted / 3_500 * self.noise))):
            self.use(self.some(range(self.town.customers), int(self.rng.integers(60, 3_000))), DEVICE)

    def second_hand(self) -> None:
        """Telephones that were sold to a stranger."""
        for _ in range(int(self.wanted * 0.015 * self.noise)):
            self.use(self.some(range(self.town.customers), 2), DEVICE)

    def refer(self) -> None:
        """Referrals among honest people: some bring many, some at home or work, some everybody there."""
        people = self.town.customers
        lucky = self.rng.zipf(1.8, size=people).clip(max=150).astype(np.float64)
        strangers = self.rng.choice(people, size=people, p=lucky / lucky.sum())
        home = {member: members for members in self.homes for member in members}
        shop = {member: staff for staff in self.shops for member in staff}
        for referee in range(people):
            if not self.chance(REFERRED):
                continue
            luck, choices = self.rng.random(), [int(strangers[referee])]
            if luck < 0.12:
                choices = home[referee]
            elif luck < 0.2:
                choices = shop.get(referee, choices)
            referrer = self.some(choices, 1)[0]
            # Who came first brings: so there is no circle.
            if referrer != referee:
                self.town.referrers.setdefault(max(referrer, referee), min(referrer, referee))
        for members, share in ((self.homes, 0.06), (self.shops, 0.1)):
            for group in members:
                if self.chance(share):
                    self.bring(group)
        for number, members in enumerate(self.homes):
            if self.chance(0.05):
                self.town.households |= dict.fromkeys(members, number)

    def bring(self, group: Sequence[int]) -> None:
        """One of a family, or of a shop, has honestly brought all the others who came later."""
        first, *others = sorted(group)
        for other in others:
            self.town.referrers.setdefault(other, first)

    def ring(self, number: int) -> None:
        """A ring of one shape; its accounts have what everybody has besides."""
        shape = list(SHAPES)[number % len(SHAPES)]
        members = [self.person() for _ in range(int(self.rng.integers(4, 21)))]
        for member in members:
            self.use([member], ADDRESS, int(self.rng.choice(self.blocks)) if self.chance(0.5) else None)
        SHAPES[shape](self, members)
        above = self.chance(0.5)
        for place, member in enumerate(members[1:], start=1):
            # A star, or a tree in which each was brought by one of those before.
            self.town.referrers[member] = members[0 if above else int(self.rng.integers(0, place))]
        if self.chance(0.3):
            # The head of some rings was brought by an honest customer.
            self.town.referrers[members[0]] = int(self.rng.integers(0, self.wanted))
        self.town.rings.append((shape, members))

    def farm(self, members: list[int]) -> None:
        """One device for all accounts."""
        self.use(members, DEVICE)

    def clean_head(self, members: list[int]) -> None:
        """One device for all but the referrer, who cashes in from another."""
        self.use(members[1:], DEVICE)

    def pool(self, members: list[int]) -> None:
        """A shelf of devices, each account seen on one or two of them."""
        devices = [next(self.fresh) for _ in range(max(2, len(members) // 4))]
        for member in members:
            for device in self.some(devices, int(self.rng.integers(1, 3))):
                self.use([member], DEVICE, device)

    def cards(self, members: list[int]) -> None:
        """Cards that pass through two to four accounts each."""
        for start in range(0, len(members) - 1, 2):
            self.use(members[start : start + int(self.rng.integers(2, 5))], CARD)

    def chain(self, members: list[int]) -> None:
        """Each shares something with the one before, now a device, now a card or an address, sometimes nothing."""
        for one, other in pairwise(members):
            if self.chance(0.8):
                self.use([one, other], (DEVICE, CARD, ADDRESS)[int(self.rng.integers(0, 3))])

    def hidden(self, members: list[int]) -> None:
        """All in one tower block, and one device."""
        self.use(members, ADDRESS, int(self.rng.choice(self.blocks)))
        self.use(members, DEVICE)

    def careful(self, members: list[int]) -> None:
        """Only half of the accounts share anything."""
        self.use(members[: max(2, len(members) // 2)], DEVICE)


SHAPES: dict[str, Callable[[Builder, list[int]], None]] = {
    "farm": Builder.farm,
    "clean head": Builder.clean_head,
    "pool": Builder.pool,
    "cards": Builder.cards,
    "chain": Builder.chain,
    "hidden": Builder.hidden,
    "careful": Builder.careful,
}


def build_town(customers: int, seed: int, noise: float) -> Town:
    return Builder(customers, seed, noise).build()
