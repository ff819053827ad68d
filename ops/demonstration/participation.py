"""Who belongs to which community of the demonstration bank, and who comes to which event."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ops.demonstration.forest import NOBODY, Forest
from ops.demonstration.people import INTEREST_SHARES, pick
from ops.demonstration.personas import COMMUNITY_OWNER, NUMBER_OF, OWNED_COMMUNITY, PERSONA_NUMBERS
from ops.demonstration.places import Places
from ops.demonstration.rows import Event, Row, attendance_fact, customer_key, membership_row, registration_row

# Choices of a customer; after equal ones fall together, between five and six remain.
CHOICES = 6.6
SHARE_OF_MAIN_INTEREST = 0.45
# A future event of the demonstration keeps places free, so that a visitor can register.
FILLED_AT_MOST = 0.8


class Participation:
    """Draws memberships and registrations; it remembers only how many places each event has given."""

    def __init__(self, places: Places, customers: int) -> None:
        self.places = places
        self.calendar = places.calendar
        self.owners = [self.owner(number, customers) for number in range(places.count)]
        self.given: dict[str, int] = {}
        # Popular communities have more members than their events have places, so fewer of them come.
        members = CHOICES * customers / places.count
        self.eagerness = min(0.3, 60 / members)

    @staticmethod
    def owner(number: int, customers: int) -> int:
        """The number of the customer who owns a community; of the personas only one owns any."""
        if number == OWNED_COMMUNITY:
            return NUMBER_OF[COMMUNITY_OWNER]
        return len(PERSONA_NUMBERS) + number * 7_919 % (customers - len(PERSONA_NUMBERS))

    def rows(
        self, forest: Forest, since: list[int], interests: NDArray[np.int64], rng: np.random.Generator, *, told: bool
    ) -> Iterator[Row]:
        """The rows of one neighbourhood but for personas; referees' attendance is a fact too where facts are told."""
        pairs = self.choose(interests, rng)
        eager = (rng.random(len(pairs)) < self.eagerness).tolist()
        chances = rng.integers(0, 9_000, len(pairs)).tolist()
        weights = np.round(rng.lognormal(0.0, 0.8, len(pairs)), 2).tolist()
        shares = rng.random(len(pairs)).tolist()
        yield from self.owner_rows(forest, since)
        for nth, pair in enumerate(pairs):
            place, community = divmod(pair, self.places.count)
            number = forest.first + place
            if number in PERSONA_NUMBERS or self.owners[community] == number:
                continue
            customer, day = customer_key(number), joining_day(since[place], shares[nth])
            yield membership_row(customer, community, "MEMBER", self.calendar.at(day, 20), weights[nth])
            if eager[nth]:
                owes = told and forest.referrers[place] != NOBODY
                yield from self.registration(customer, community, day, chances[nth], owes_fact=owes)

    def owner_rows(self, forest: Forest, since: list[int]) -> Iterator[Row]:
        """The memberships of those who own a community and are no personas."""
        for community, number in enumerate(self.owners):
            place = number - forest.first
            if 0 <= place < len(since) and number not in PERSONA_NUMBERS:
                day = joining_day(since[place], 0.0)
                yield membership_row(customer_key(number), community, "OWNER", self.calendar.at(day, 20), 3.0)

    def choose(self, interests: NDArray[np.int64], rng: np.random.Generator) -> list[int]:
        """Pairs of a customer's place and a community as one number, without repetition."""
        counts = 1 + rng.poisson(CHOICES - 1, len(interests))
        who = np.repeat(np.arange(len(interests)), counts)
        own = rng.random(len(who)) < SHARE_OF_MAIN_INTEREST
        wanted = np.where(own, interests[who], pick(INTEREST_SHARES, len(who), rng))
        pairs: list[int] = np.unique(who * self.places.count + self.places.draw(wanted, rng)).tolist()
        return pairs

    def registration(
        self, customer: str, community: int, joined: int, chance: int, *, owes_fact: bool
    ) -> Iterator[Row]:
        """A registration for one of the community's events after joining, where there is a place.

        Where it owes one, attendance comes with its fact, which may qualify a referral.
        """
        events = [event for event in self.places.events[community] if event.day > joined + 3]
        if not events:
            return
        event = events[chance % len(events)]
        status = outcome(event, chance // 10 % 9)
        if status != "CANCELLED" and not self.take_place(event):
            return
        day = max(joined, min(event.day, 0) - 3 - chance % 20)
        yield registration_row(customer, event, status, self.calendar.at(day, 21, chance % 60), self.calendar)
        if status == "ATTENDED" and owes_fact:
            yield attendance_fact(customer, event, self.calendar)

    def take_place(self, event: Event) -> bool:
        """Whether the event has a place left to give here."""
        given = self.given.get(event.key, 0)
        if given >= event.capacity * FILLED_AT_MOST:
            return False
        self.given[event.key] = given + 1
        return True


def joining_day(since: int, share: float) -> int:
    """A day between becoming a customer (at most 900 days ago) and the day before yesterday."""
    earliest = max(since, -900)
    return earliest + int(share * (-2 - earliest))


def outcome(event: Event, chance: int) -> str:
    """What became of a registration, by a chance of one in nine each for cancelling and staying away."""
    if chance == 0:
        return "CANCELLED"
    if event.day >= 0:
        return "REGISTERED"
    return "NO_SHOW" if chance == 1 else "ATTENDED"
