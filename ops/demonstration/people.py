"""The customers of the demonstration bank, neighbourhood after neighbourhood, with their tags and friends."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ops.demonstration.days import Calendar
from ops.demonstration.forest import NEIGHBOURHOOD, NOBODY, Forest
from ops.demonstration.rows import Row, customer_key
from ops.demonstration.words import (
    BEHAVIOUR,
    CHANNEL,
    FIRST_SYLLABLES,
    INTERESTS,
    LIFE_CYCLE,
    NEED,
    SECOND_SYLLABLES,
    SURNAMES,
    Label,
)

# The programme has run for so many days; within a neighbourhood customers refer in the order of their numbers.
PROGRAM_DAYS = 330
MANAGERS = 40
ORIGINS = {"LIFE_CYCLE": "profile", "NEED": "needs", "BEHAVIOUR": "transactions", "CHANNEL": "contacts"}


def tag_rows() -> Iterator[Row]:
    """All tags; needs and interests that share a word have keys of their own."""
    families = {
        "LIFE_CYCLE": LIFE_CYCLE,
        "NEED": NEED,
        "BEHAVIOUR": BEHAVIOUR,
        "CHANNEL": CHANNEL,
        "INTEREST": INTERESTS,
    }
    for family, labels in families.items():
        for label in labels:
            yield {"kind": "tag", "key": label.key, "name_zh": label.zh, "name_en": label.en, "family": family}


def days_since(forest: Forest, rng: np.random.Generator) -> list[int]:
    """For each customer the day of becoming one, counted from today; for the referred, the day of the referral.

    A referee's day is never before the referrer's, because both grow with their numbers.
    """
    old = -rng.integers(PROGRAM_DAYS + 10, 5_500, len(forest.referrers))
    return [
        int(old[place]) if above == NOBODY else place * (PROGRAM_DAYS - 30) // NEIGHBOURHOOD - PROGRAM_DAYS
        for place, above in enumerate(forest.referrers)
    ]


def zipf_shares(count: int, exponent: float) -> NDArray[np.float64]:
    """Cumulative shares of ranks 1 to `count` under Zipf's law."""
    weights = 1.0 / np.arange(1, count + 1) ** exponent
    return np.cumsum(weights / weights.sum())


INTEREST_SHARES = zipf_shares(len(INTERESTS), 0.7)
SURNAME_SHARES = zipf_shares(len(SURNAMES), 0.6)


def pick(shares: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many ranks, from 0, by their cumulative shares."""
    return np.minimum(np.searchsorted(shares, rng.random(count)), len(shares) - 1)


def main_interests(first: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The interest that each customer has most: half of a neighbourhood share its own, the others have any."""
    own = (first // NEIGHBOURHOOD * 7) % len(INTERESTS)
    return np.where(rng.random(size) < 0.5, own, pick(INTEREST_SHARES, size, rng))


def customer_rows(forest: Forest, since: list[int], calendar: Calendar, rng: np.random.Generator) -> Iterator[Row]:
    """The customers' rows; a few have a telephone number (from a range that is not given out) or an e-mail."""
    size = len(since)
    surnames = pick(SURNAME_SHARES, size, rng).tolist()
    firsts = rng.integers(0, len(FIRST_SYLLABLES), size).tolist()
    seconds = rng.integers(0, len(SECOND_SYLLABLES), size).tolist()
    births = (-rng.integers(20 * 365, 75 * 365, size)).tolist()
    reached = rng.integers(0, 100, size).tolist()
    managers = rng.integers(0, 4 * MANAGERS, size).tolist()
    for place in range(size):
        number = forest.first + place
        name = SURNAMES[surnames[place]] + FIRST_SYLLABLES[firsts[place]] + SECOND_SYLLABLES[seconds[place]]
        row: Row = {
            "kind": "customer",
            "key": customer_key(number),
            "display_name": name,
            "full_name": name,
            "birth_date": calendar.day(births[place]),
            "customer_since": calendar.at(since[place], 15, 30),
        }
        if reached[place] < 5:
            row["phone"] = f"+86120{number:08d}"
        elif reached[place] < 10:
            row["email"] = f"customer{number}@example.com"
        if managers[place] < MANAGERS:
            row["relationship_manager"] = f"rm-{managers[place]:02d}"
        yield row


def customer_tag_rows(
    first: int, interests: NDArray[np.int64], calendar: Calendar, rng: np.random.Generator
) -> Iterator[Row]:
    """Each customer's stage of life and main interest, and of the other families what chance gives."""
    size = len(interests)
    chances: tuple[tuple[str, tuple[Label, ...], float], ...] = (
        ("LIFE_CYCLE", LIFE_CYCLE, 1.0),
        ("NEED", NEED, 0.45),
        ("BEHAVIOUR", BEHAVIOUR, 0.45),
        ("CHANNEL", CHANNEL, 0.5),
    )
    drawn = [
        (
            ORIGINS[family],
            labels,
            (rng.random(size) < share).tolist(),
            pick(zipf_shares(len(labels), 0.8), size, rng).tolist(),
        )
        for family, labels, share in chances
    ]
    confidences = (rng.integers(55, 101, (size, len(drawn) + 1)) / 100).tolist()
    days = (-rng.integers(1, 700, size)).tolist()
    for place, interest in enumerate(interests.tolist()):
        customer, since = customer_key(first + place), calendar.at(days[place], 9)
        yield tag_row(customer, INTERESTS[interest].key, "activity", confidences[place][-1], since)
        for nth, (origin, labels, has, which) in enumerate(drawn):
            if has[place]:
                yield tag_row(customer, labels[which[place]].key, origin, confidences[place][nth], since)


def tag_row(customer: str, tag: str, origin: str, confidence: float, since: str) -> Row:
    return {
        "kind": "customer_tag",
        "customer": customer,
        "tag": tag,
        "origin": origin,
        "confidence": confidence,
        "since": since,
    }


def acquaintance_rows(forest: Forest, rng: np.random.Generator) -> Iterator[Row]:
    """Each customer knows the referrer and about two neighbours, most of them close by."""
    size = len(forest.referrers)
    counts = rng.poisson(1.8, size).tolist()
    distances = iter(rng.geometric(0.08, sum(counts)).tolist())
    for place in range(size):
        known = {place - next(distances) for _ in range(counts[place])}
        above = forest.referrers[place]
        if above != NOBODY:
            known.add(above - forest.first)
        for other in sorted(known):
            if other >= 0:
                yield {
                    "kind": "acquaintance",
                    "customer": customer_key(forest.first + place),
                    "other": customer_key(forest.first + other),
                }
