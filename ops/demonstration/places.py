"""The communities of the demonstration bank, how popular each is, and its events."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ops.demonstration.days import Calendar
from ops.demonstration.rows import Event, Row, community_key
from ops.demonstration.words import CITIES, FORMS, INTERESTS, MEETINGS, VENUES, Label

FEWEST_COMMUNITIES = 120
CUSTOMERS_PER_COMMUNITY = 60
# Of an interest, how the members spread over its communities; of all interests, how loved each is (Zipf's law).
ZIPF_EXPONENT = 0.8
# Events of a community by their distance from today in days: two that are over and one ahead, each with room to vary.
EVENT_DAYS = (-150, -40, 10)


class Places:
    """The communities for a number of customers; the interests take turns in the order of the communities' numbers."""

    def __init__(self, customers: int, seed: int, calendar: Calendar) -> None:
        most = len(INTERESTS) * len(CITIES) * len(FORMS)
        self.count = min(max(FEWEST_COMMUNITIES, customers // CUSTOMERS_PER_COMMUNITY), most)
        self.calendar = calendar
        self.rng_key = [seed, 1]

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """For each interest (row) the cumulative shares of its communities, in the order of their numbers."""
        per_interest = -(-self.count // len(INTERESTS))
        numbers = np.arange(per_interest)[None, :] * len(INTERESTS) + np.arange(len(INTERESTS))[:, None]
        weights = np.where(numbers < self.count, 1.0 / (np.arange(per_interest) + 1.0) ** ZIPF_EXPONENT, 0.0)
        return np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)

    def draw(self, interests: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A community of each of the given interests, the popular ones more often."""
        shares = self.popularity[interests]
        ranks = (rng.random(len(interests))[:, None] >= shares).sum(axis=1)
        return np.minimum(ranks, shares.shape[1] - 1) * len(INTERESTS) + interests

    @cached_property
    def events(self) -> list[tuple[Event, ...]]:
        """The events of each community."""
        rng = np.random.default_rng(self.rng_key)
        days = rng.integers(0, 35, (self.count, len(EVENT_DAYS))).tolist()
        capacities = (rng.integers(3, 21, (self.count, len(EVENT_DAYS))) * 10).tolist()
        return [
            tuple(
                Event(
                    key=f"e-{number:04d}-{nth}",
                    day=EVENT_DAYS[nth] + days[number][nth],
                    hour=(10, 14, 19)[(number + nth) % 3],
                    capacity=capacities[number][nth],
                )
                for nth in range(len(EVENT_DAYS))
            )
            for number in range(self.count)
        ]

    def rows(self) -> Iterator[Row]:
        """The rows of all communities, then of all events."""
        for number in range(self.count):
            yield self.community(number)
        for number in range(self.count):
            for nth, event in enumerate(self.events[number]):
                yield self.event(number, nth, event)

    def community(self, number: int) -> Row:
        interest, city, form = names_of(number)
        return {
            "kind": "community",
            "key": community_key(number),
            "name_zh": f"{city.zh}{interest.zh}{form.zh}",
            "name_en": f"{city.en} {interest.en} {form.en}",
            "purpose_zh": f"为{city.zh}喜爱{interest.zh}的客户提供交流、学习与结伴的空间。",
            "purpose_en": f"Where customers in {city.en} who love {interest.en.lower()} meet, learn and go together.",
            "tags": [interest.key],
            "join_policy": "REQUEST" if number % 17 == 16 else "OPEN",
            "created_at": self.calendar.at(-900 + number % 300, 10),
        }

    def event(self, number: int, nth: int, event: Event) -> Row:
        interest, city, _ = names_of(number)
        meeting = MEETINGS[(number + 2 * nth) % len(MEETINGS)]
        return {
            "kind": "event",
            "key": event.key,
            "community": community_key(number),
            "title_zh": f"{city.zh}{interest.zh}{meeting.zh}",
            "title_en": f"{city.en} {interest.en} {meeting.en}",
            "starts_at": self.calendar.at(event.day, event.hour),
            "ends_at": self.calendar.at(event.day, event.hour + 2),
            "time_zone": "Asia/Shanghai",
            "capacity": event.capacity,
            "venue": f"{city.zh}{VENUES[(number + nth) % len(VENUES)]}",
            "status": "COMPLETED" if event.day < 0 else "PUBLISHED",
        }


def names_of(number: int) -> tuple[Label, Label, Label]:
    """Interest, city and form of a community: cities change before forms do."""
    rank, interest = divmod(number, len(INTERESTS))
    form, city = divmod(rank, len(CITIES))
    return INTERESTS[interest], CITIES[city], FORMS[form]
