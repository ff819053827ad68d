"""Who referred whom in the demonstration bank: trees that grow inside neighbourhoods of customers."""

from dataclasses import dataclass

import numpy as np

# Customers whose numbers lie in one neighbourhood know and refer each other and share interests.
NEIGHBOURHOOD = 500
DEEPEST = 6
REFERRED_SHARE = 0.18
REFERRED_BY_REFERRED = 0.6
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Forest:
    """For each customer of one neighbourhood its referrer (a number, or NOBODY) and its depth below a root."""

    first: int
    referrers: list[int]
    depths: list[int]


def grow(first: int, size: int, rng: np.random.Generator, *, rooted: int = 1) -> Forest:
    """Grow the trees of the customers from `first` on; the first `rooted` of them are referred by nobody.

    A referrer's number is always smaller than the referee's, so there is no cycle. Most referrers were referred
    themselves, which gives depth; the powers draw early customers most often: few refer many, most refer nobody.
    """
    referred = (rng.random(size) < REFERRED_SHARE).tolist()
    inside = (rng.random(size) < REFERRED_BY_REFERRED).tolist()
    chances = rng.random(size).tolist()
    referrers, depths = [NOBODY] * size, [0] * size
    grown: list[int] = []
    for place in range(rooted, size):
        if not referred[place]:
            continue
        chance = chances[place]
        above = grown[int(chance**2 * len(grown))] if inside[place] and grown else int(chance**4 * place)
        if depths[above] < DEEPEST:
            referrers[place] = first + above
            depths[place] = depths[above] + 1
            grown.append(place)
    return Forest(first, referrers, depths)
