"""When members joined each community, beside when a customer joined theirs: what comes next, and what goes together.

Days are told in steps of some days. For each step the model holds how near it is to the joinings of each community's
members: their mean of e^(-days/τ), τ being one constant for who joined before that step and another for who joined
after it. So what people join next counts for more than what was over by then.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from community.affinity import LARGEST_DENSE, Floats, shape_of

STEP_DAYS = 5.0
# Whose latest joining was longer ago counts as if so many days ago.
LATELY_DAYS = 30.0
# So many steps before and after the middle of all are told apart, which is some 14 years as standard.
MOST_STEPS = 500
# Joinings are counted in parts of so many, so that ten million need little memory.
JOININGS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class SeasonPolicy:
    """From which of one's own joinings days are counted, the latest or all, and how soon others are of another season.

    The days of those who joined before one's own joining, and of those who joined after it.
    """

    from_latest: bool = True
    before_days: float = 15.0
    after_days: float = 120.0


@dataclass(frozen=True, slots=True)
class Season:
    """`nearness` of steps (rows) to communities (columns); the first step begins `first` steps of `width` after 1970.

    Who joined before the first or after the last step counts as if then, so that no block decides on the steps. Whose
    latest joining was before the day `since` counts as if then: what was next long ago is not what is next now.
    """

    first: float
    width: float
    nearness: Floats
    since: float = 0.0

    def scores(self, policy: SeasonPolicy, joined: csr_array) -> Floats:
        """How near in time each community (columns) is to the joinings of these customers (rows), from 0 to 1."""
        own = latest_of_rows(joined, self.since) if policy.from_latest else joined
        shares = np.repeat(1 / np.maximum(np.diff(own.indptr), 1), np.diff(own.indptr)).astype(np.float32)
        steps = self.steps_of(days_of(own))
        counts = csr_array((shares, steps, own.indptr), shape=(len(own.indptr) - 1, len(self.nearness)))
        return np.asarray(counts @ self.nearness, dtype=np.float32)

    def steps_of(self, days: Floats) -> NDArray[np.int64]:
        return np.clip(days // self.width - self.first, 0, len(self.nearness) - 1).astype(np.int64)


def fit_season(policy: SeasonPolicy, joined: csr_array, *, today: float = 0.0) -> Season:
    """Learn from the days on which customers (rows) joined communities (columns).

    Without `today` everybody is looked at on the day of their own latest joining.
    """
    communities = shape_of(joined)[1]
    # More communities than a matrix between all allows have wider steps, so that these take no more memory either.
    width = STEP_DAYS * max(1.0, communities / LARGEST_DENSE)
    if not joined.nnz:
        return Season(0.0, width, np.zeros((1, communities), dtype=np.float32))
    days = days_of(joined)
    seasons = days // width
    # Decades from the middle are no season: a day that a file has wrong would need as many steps.
    middle = np.floor(np.median(seasons))
    first = max(float(seasons.min()), middle - MOST_STEPS)
    last = min(float(seasons.max()), middle + MOST_STEPS)
    empty = np.zeros((int(last - first) + 1, communities), dtype=np.float32)
    season = Season(first, width, empty)
    for start in range(0, joined.nnz, JOININGS_AT_ONCE):
        part = slice(start, start + JOININGS_AT_ONCE)
        np.add.at(empty, (season.steps_of(days[part]), joined.indices[part]), 1)
    empty /= np.maximum(empty.sum(axis=0), 1)
    return Season(first, width, faded(empty, policy, width), max(0.0, today - LATELY_DAYS))


def days_of(joined: csr_array) -> Floats:
    return np.asarray(joined.data, dtype=np.float32)


def faded(shares: Floats, policy: SeasonPolicy, width: float) -> Floats:
    """From which part of its members joined in each step, how near the step is to all of them.

    What fades by the same part from each step to the next is added up by one walk through the steps either way.
    """
    before, after = np.exp(-width / np.array([policy.before_days, policy.after_days], dtype=np.float64))
    found = shares.copy()
    for step in range(len(shares) - 2, -1, -1):
        found[step] += np.float32(after) * found[step + 1]
    earlier = np.zeros_like(shares[0])
    for step in range(1, len(shares)):
        earlier = np.float32(before) * (earlier + shares[step - 1])
        found[step] += earlier
    return found


def latest_of_rows(joined: csr_array, since: float) -> csr_array:
    """Each row's latest day alone, in the first column; `since` where it was before."""
    some = np.diff(joined.indptr) > 0
    starts = joined.indptr[:-1][some]
    latest = np.maximum.reduceat(days_of(joined), starts) if starts.size else days_of(joined)
    days = np.maximum(latest, np.float32(since))
    ends = np.concatenate([[0], np.cumsum(some)])
    return csr_array((days, np.zeros(len(days), dtype=np.int64), ends), shape=shape_of(joined))
