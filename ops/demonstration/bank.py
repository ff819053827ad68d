"""The demonstration bank as rows of the import's own kinds, streamed: the same rows for the same seed and day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from ops.demonstration.days import Calendar
from ops.demonstration.forest import NEIGHBOURHOOD, NOBODY, Forest, grow
from ops.demonstration.money import money_rows
from ops.demonstration.participation import Participation
from ops.demonstration.people import (
    acquaintance_rows,
    customer_rows,
    customer_tag_rows,
    days_since,
    main_interests,
    tag_rows,
)
from ops.demonstration.personas import PERSONA_NUMBERS, persona_rows, with_persona
from ops.demonstration.places import Places
from ops.demonstration.rows import Row, customer_key, fact_row
from ops.demonstration.suspects import shared_device_rows

SEED = 7
FEWEST_CUSTOMERS = 20
# Of every so many neighbourhoods the first is told with the facts of its referees: each fact is settled by itself,
# at about a hundred a second, and the first screens shall not wait for those of strangers.
NEIGHBOURHOODS_PER_FACTS = 4


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank of so many customers; dates are told from `today`, referrals belong to `program` where one is named."""

    customers: int
    today: date
    seed: int = SEED
    program: str | None = None

    def rows(self) -> Iterator[Row]:
        """All rows, each after the rows that it refers to, in memory bounded by a neighbourhood and the events."""
        calendar = Calendar(self.today)
        places = Places(self.customers, self.seed, calendar)
        participation = Participation(places, self.customers)
        yield from tag_rows()
        yield from places.rows()
        for first in range(0, self.customers, NEIGHBOURHOOD):
            yield from self.neighbourhood(first, calendar, participation)

    def neighbourhood(self, first: int, calendar: Calendar, participation: Participation) -> Iterator[Row]:
        """The customers from `first` on, with everything that is theirs."""
        rng = np.random.default_rng([self.seed, 2, first])
        size = min(NEIGHBOURHOOD, self.customers - first)
        forest = grow(first, size, rng, rooted=len(PERSONA_NUMBERS) if first == 0 else 1)
        since = days_since(forest, rng)
        interests = main_interests(first, size, rng)
        for row in customer_rows(forest, since, calendar, rng):
            yield with_persona(row)
        yield from customer_tag_rows(first, interests, calendar, rng)
        yield from acquaintance_rows(forest, rng)
        # With chance of its own, so that it changes nothing of the rest.
        yield from money_rows(first, size, calendar, np.random.default_rng([self.seed, 5, first]))
        if first == 0:
            yield from persona_rows(participation.places)
            yield from shared_device_rows(forest, since, calendar, spared=set(PERSONA_NUMBERS))
        yield from participation.rows(forest, since, interests, rng, told=has_facts(first))
        yield from self.referral_rows(forest, since, calendar, rng)

    def referral_rows(
        self, forest: Forest, since: list[int], calendar: Calendar, rng: np.random.Generator
    ) -> Iterator[Row]:
        """The referrals, and where facts are told that the referees have registered, most of them verified."""
        verified = (rng.random(len(since)) < 0.8).tolist()
        told = has_facts(forest.first)
        for place, above in enumerate(forest.referrers):
            if above == NOBODY:
                continue
            referee, day = customer_key(forest.first + place), since[place]
            referral: Row = {
                "kind": "referral",
                "referrer": customer_key(above),
                "referee": referee,
                "occurred_at": calendar.at(day, 12),
            }
            if self.program is not None:
                referral["program"] = self.program
            yield referral
            if not told:
                continue
            yield fact_row("CUSTOMER_REGISTERED", referee, calendar.at(day, 15, 30))
            if verified[place]:
                yield fact_row("IDENTITY_VERIFIED", referee, calendar.at(day + 1, 10))


def has_facts(first: int) -> bool:
    """Whether facts are told of the neighbourhood that begins with this customer."""
    return first // NEIGHBOURHOOD % NEIGHBOURHOODS_PER_FACTS == 0
