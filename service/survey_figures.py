"""What answers to surveys come to: net promoter score and satisfaction, with how sure one may be of them.

Nothing is said of fewer than five answers, because it would say what single people thought.
"""

from dataclasses import dataclass
from math import sqrt

# Of fewer answers nothing is said.
FEWEST_ANSWERS = 5
# The 97.5th percentile of the standard normal distribution, for intervals of 95 %.
Z = 1.959964
LEAST_PROMOTER, MOST_DETRACTOR = 9, 6
LEAST_SATISFIED = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value is, with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Promotion:
    """Answers from 0 to 10: 9 and 10 are promoters, up to 6 are detractors (Reichheld, 2003)."""

    answers: int
    promoters: int
    detractors: int

    @property
    def score(self) -> float:
        """Per cent of promoters less per cent of detractors, -100 to 100."""
        return 100 * (self.promoters - self.detractors) / self.answers

    @property
    def interval(self) -> Interval:
        """Adjusted Wald: Rocks, "Interval Estimation for the Net Promoter Score", The American Statistician 70 (2016).

        Three answers are added, three quarters of one to either side, so that it does not vanish where all agree.
        """
        answers = self.answers + 3
        promoters, detractors = (self.promoters + 0.75) / answers, (self.detractors + 0.75) / answers
        middle = promoters - detractors
        spread = Z * sqrt((promoters + detractors - middle**2) / answers)
        return Interval(max(-100.0, 100 * (middle - spread)), min(100.0, 100 * (middle + spread)))


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """Answers from 1 to 5: 4 and 5 are satisfied; `total` is the sum of all."""

    answers: int
    satisfied: int
    total: int

    @property
    def mean(self) -> float:
        return self.total / self.answers

    @property
    def share(self) -> float:
        """Per cent of the satisfied: the top two of five."""
        return 100 * self.satisfied / self.answers

    @property
    def interval(self) -> Interval:
        """Of the share: Wilson's score interval, Journal of the American Statistical Association 22 (1927)."""
        share, count = self.satisfied / self.answers, self.answers
        middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
        spread = Z / (1 + Z**2 / count) * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
        return Interval(100 * max(0.0, middle - spread), 100 * min(1.0, middle + spread))
