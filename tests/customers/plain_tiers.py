"""Tiers once more, slowly and from the words of the design alone: the model that the real rules are held against.

It keeps the whole history, counts back through it each time, and calculates with fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

NAMES = ("MASS", "POTENTIAL", "VIP")
CURVES = {
    "assets": ((0, 0), (50_000, 30), (500_000, 60), (6_000_000, 85), (10_000_000, 100)),
    "contribution": ((0, 0), (500, 30), (5_000, 60), (50_000, 100)),
    "potential": ((0, 0), (100, 100)),
    "tenure": ((0, 0), (10, 100)),
}
SHARES = {"assets": Fraction(5, 10), "contribution": Fraction(2, 10), "potential": Fraction(2, 10)}
SHARES["tenure"] = Fraction(1, 10)


@dataclass(frozen=True)
class Month:
    """What was known of a customer: yuan, points, years; None where nothing was."""

    assets: Fraction | None = None
    contribution: Fraction | None = None
    potential: Fraction | None = None
    tenure: Fraction | None = None
    high_risk: bool = False


@dataclass(frozen=True)
class Shown:
    tier: str
    on_watch: bool
    without_risk: str


def height(name: str, x: Fraction) -> Fraction:
    """The curve at x, by walking along its pieces."""
    points = CURVES[name]
    if x >= points[-1][0]:
        return Fraction(points[-1][1])
    for left, right in pairwise(points):
        if left[0] <= x < right[0]:
            return left[1] + Fraction(right[1] - left[1]) * (x - left[0]) / (right[0] - left[0])
    return Fraction(points[0][1])


def score(month: Month) -> Fraction:
    exact = Fraction(0)
    for name, share in SHARES.items():
        value = getattr(month, name)
        if value is not None:
            exact += share * height(name, value)
    return Fraction(int(exact * 1000), 1000)


def reaches(month: Month, tier: str, part: Fraction) -> bool:
    """Whether the month has this part of what the tier's entry takes."""
    if tier == "MASS":
        return True
    if tier == "VIP":
        alone, needed = month.assets, Fraction(500_000)
        points = Fraction(60)
    else:
        alone, needed = month.potential, Fraction(70)
        points = Fraction(35)
    return score(month) >= points * part or (alone is not None and alone >= needed * part)


def earned(month: Month) -> str:
    return next(tier for tier in reversed(NAMES) if reaches(month, tier, Fraction(1)))


def worse(one: str, other: str) -> bool:
    return NAMES.index(one) < NAMES.index(other)


def shown(months: Sequence[Month]) -> list[Shown]:
    """What each month shows."""
    standing: list[str] = []
    # Of each month, whether it was a miss of the tier that was stood at when it began; a fall ends a row of misses.
    missed: list[bool] = []
    answers: list[Shown] = []
    for number, month in enumerate(months):
        here = earned(month)
        if number == 0:
            now, miss = here, False
        else:
            before = standing[-1]
            row = 0
            while row < number and missed[number - 1 - row]:
                row += 1
            if not worse(here, before):
                now, miss = here, False
            elif row == 3:
                window = [earned(months[number - back]) for back in range(4)]
                now, miss = max(window, key=NAMES.index), False
            elif reaches(month, before, Fraction(9, 10)):
                now, miss = before, False
            else:
                now, miss = before, True
        standing.append(now)
        missed.append(miss)
        tier = "MASS" if month.high_risk else now
        answers.append(Shown(tier, miss and tier == now, now))
    return answers
