"""In which order what fits is shown: the best first, but not ten of one kind, and now and then something new.

Pure functions over numpy arrays, for a block of customers at once; they know no store and no clock. Nothing depends on
how blocks are cut, nor on the numbers that communities have in a catalogue: chance is a hash of customer, day and
community id.

Diversity is a cap for each tag among the first ten. Maximal marginal relevance (Carbonell and Goldstein, The use of
MMR, SIGIR 1998) does the same by a weight that has to be tuned for each data set, and walks through all pairs; a cap
is a sentence that a manager can read, and costs nothing where it is kept anyhow, which is nearly everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

# Where there is no candidate, no tag and no place.
NONE = -1


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """How the first `head` places are given.

    At most `tag_cap` of them go to communities about one tag; but a community is only displaced by one whose score is
    at least `least_share` of its own, so that diversity never costs more than that of any place. At most `explored` of
    them go, beyond what their scores earn, to communities younger than `new_days`, at the `first_explored`th place or
    behind it (counted from 0).
    """

    head: int = 10
    tag_cap: int = 4
    least_share: float = 0.5
    explored: int = 1
    new_days: float = 30.0
    first_explored: int = 4


def ordered(
    scores: Floats,
    columns: Integers,
    *,
    tags: Integers,
    ages: Floats,
    keys: Hashes,
    seeds: Hashes,
    length: int,
    policy: OrderPolicy,
) -> Integers:
    """For each customer the communities to show, the first to show first; NONE where there are no more.

    Of a block of `b` customers with `w` candidates each, out of `n` communities:

    `scores`  (b, w) how well each candidate fits, larger is better; only finite ones above 0 are candidates.
    `columns` (b, w) the number of each candidate among all communities, no number twice for one customer; NONE: no
              candidate. Give more than `length` (twice as many serve well), among them the best few of those that are
              new, because what is not among the candidates is neither diverse nor explored.
    `tags`    (n, t) what each community is about, as numbers from 0, the most telling first, filled up with NONE. Only
              these count against the cap: leave out tags about which nearly everything is.
    `ages`    (n,)   days since each community was made; infinite where that is not known.
    `keys`    (n,)   `stable_keys` of the ids of all communities.
    `seeds`   (b,)   `seeds_of` the customers' ids for the day of the run.

    Returns (b, length) numbers of communities. Equal scores go by `columns`. Behind the head all others follow by
    their scores, what was displaced among them.
    """
    by_score = best_first(scores, columns)
    values = np.take_along_axis(np.where(is_candidate(scores, columns), scores, 0), by_score, axis=1)
    found = np.where(values > 0, np.take_along_axis(columns, by_score, axis=1), NONE)
    width = found.shape[1]
    places = np.tile(np.arange(width), (len(found), 1))
    crowded = np.flatnonzero(breaks_cap(found[:, : policy.head], tags, policy.tag_cap))
    places[crowded] = diverse(found[crowded], values[crowded], tags, policy)
    places = explored(places, found, ages, keys, seeds, policy)
    shown = np.take_along_axis(found, places, axis=1)[:, :length]
    return np.pad(shown, ((0, 0), (0, max(0, length - width))), constant_values=NONE)


def is_candidate(scores: Floats, columns: Integers) -> Flags:
    return (columns >= 0) & (scores > 0) & np.isfinite(scores)


def best_first(scores: Floats, columns: Integers) -> Integers:
    """The places of each row by score, equal ones by column; what is no candidate comes last."""
    worth = np.where(is_candidate(scores, columns), scores, -np.inf)
    return np.lexsort((columns, -worth), axis=1)


def breaks_cap(found: Integers, tags: Integers, cap: int) -> Flags:
    """Which rows have more than `cap` communities about one tag."""
    rows, width = found.shape
    if tags.shape[1] == 0 or width <= cap:
        return np.zeros(rows, dtype=np.bool_)
    about = np.where((found >= 0)[:, :, None], tags[found], NONE).reshape(rows, -1)
    about.sort(axis=1)
    # In order, a tag that stands `cap` places on again is there more than `cap` times.
    return ((about[:, cap:] == about[:, :-cap]) & (about[:, cap:] >= 0)).any(axis=1)


def diverse(found: Integers, values: Floats, tags: Integers, policy: OrderPolicy) -> Integers:
    """The places of rows in order, those first that make the head: at each one the best that the cap allows.

    Where that one would be worth too little beside the best that is left, the best that is left is taken.
    """
    rows, width = found.shape
    every = np.arange(rows)
    about = np.where((found >= 0)[:, :, None], tags[found], NONE)
    taken = np.zeros_like(about, dtype=np.int16)
    left = found >= 0
    turns = np.tile(np.arange(width) + width, (rows, 1))
    for turn in range(min(policy.head, width)):
        allowed = left & ((taken < policy.tag_cap) | (about < 0)).all(axis=2)
        best, other = left.argmax(axis=1), allowed.argmax(axis=1)
        is_worth_it = allowed[every, other] & (values[every, other] >= policy.least_share * values[every, best])
        chosen = np.where(is_worth_it, other, best)
        going = every[left.any(axis=1)]
        turns[going, chosen[going]] = turn
        for tag in about[every, chosen].T:
            taken += about == tag[:, None, None]
        left[every, chosen] = False
    return np.argsort(turns, axis=1, kind="stable")


def explored(
    places: Integers, found: Integers, ages: Floats, keys: Hashes, seeds: Hashes, policy: OrderPolicy
) -> Integers:
    """The places with up to `explored` new communities of each row moved from behind the head into it.

    Which of them, and to where, is told by a hash of customer, day and community: each has its turn.
    """
    width = places.shape[1]
    room = policy.head - policy.first_explored
    count = min(policy.explored, room)
    if width <= policy.head or count <= 0:
        return places
    shown = np.take_along_axis(found, places, axis=1)
    is_new = (shown >= 0) & (ages[shown] < policy.new_days)
    is_new[:, : policy.head] = False
    luck = mixed(seeds[:, None] ^ keys[shown])
    drawn = np.argsort(np.where(is_new, luck, np.uint64(2**64 - 1)), axis=1, kind="stable")[:, :count]
    number = np.minimum(is_new.sum(axis=1), count)
    # The lucky ones stand beside each other, the first of them where its luck says.
    first = luck[np.arange(len(luck)), drawn[:, 0]]
    start = policy.first_explored + (first % (room - number + 1).astype(np.uint64)).astype(np.int64)
    turns = np.tile(np.arange(width) * (count + 1), (len(places), 1))
    for turn in range(count):
        rows = np.flatnonzero(number > turn)
        # Just before what stood at the start until now, in the order of the draw.
        turns[rows, drawn[rows, turn]] = start[rows] * (count + 1) - count + turn
    return np.take_along_axis(places, np.argsort(turns, axis=1, kind="stable"), axis=1)


def seeds_of(customer_ids: Sequence[str], day: date) -> Hashes:
    """What stands for chance: the same for a customer all day, on every machine."""
    return stable_keys([f"{day.isoformat()}:{one}" for one in customer_ids])


def stable_keys(ids: Sequence[str]) -> Hashes:
    """A number of 64 bits for each id, the same on every machine."""
    return np.array([stable_number(one) for one in ids], dtype=np.uint64)


def stable_number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def mixed(numbers: Hashes) -> Hashes:
    """Numbers well mixed, one to one (the finalizer of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = numbers + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
