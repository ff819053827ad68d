"""The rules of tiers, as a pure function: from a policy, what was decided before, and the inputs of a month.

The score is the exact weighted sum of the curves, rounded down to thousandths of a point; whatever is compared with it
is compared in thousandths. Nothing here asks for the time, and nothing is a float.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Any

from customers.tier_policy import Entry, Term, TierDefinition
from graph.eligibility import TIERS, Tier

RANK = {tier: rank for rank, tier in enumerate(TIERS)}
POINT = 1_000


class InputMark(IntFlag):
    """What is to be known of the inputs of a month besides their values."""

    NONE = 0
    # The value is another source's, because no balances were told.
    ASSETS_BY_TRAIT = 1
    CONTRIBUTION_BY_TRAIT = 2
    # No balance of the month itself is among those that were summed.
    CONTRIBUTION_OLD = 4
    # There is a value, too old to count.
    POTENTIAL_STALE = 8
    # The risk level is old, and counts all the same.
    RISK_STALE = 16
    # There are balances in other currencies, which do not count.
    OTHER_CURRENCY = 32
    # A source that told of one of the last months has not told of this one, and its money is not among the sum.
    SOURCE_MISSING = 64


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a customer at the end of a month; None is unknown, and brings no points.

    `carried` says from how many months before the assets are, 0 where they are the month's own.
    """

    assets: int | None = None
    contribution: int | None = None
    potential: int | None = None
    tenure: int | None = None
    risk: str | None = None
    carried: int = 0
    marks: InputMark = InputMark.NONE

    @property
    def says_nothing(self) -> bool:
        """Whether nothing but the time as a customer is known."""
        return self.assets is None and self.contribution is None and self.potential is None and self.risk is None


def inputs_of_row(row: Any) -> Inputs:
    """The inputs that were kept with a decision."""
    return Inputs(row.assets, row.contribution, row.potential, row.tenure, row.risk, row.carried, InputMark(row.marks))


class TierRule(StrEnum):
    """Which rule decided what a customer stands at."""

    FIRST = "FIRST"
    RISE = "RISE"
    HOLD = "HOLD"
    KEEP = "KEEP"
    WATCH = "WATCH"
    FALL = "FALL"


@dataclass(frozen=True, slots=True)
class State:
    """What the months before have left: the tier without risk, the misses in a row, the best tier earned in them."""

    standing: Tier
    misses: int = 0
    best: Tier = Tier.MASS


def state_of(row: Any) -> State | None:
    """The state that a decision left, None where there was none."""
    return None if row is None else State(TIERS[row.standing], row.misses, TIERS[row.best])


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a month. `standing` goes on to the next one; `tier` is that under the cap of the risk."""

    score: int
    earned: Tier
    standing: Tier
    tier: Tier
    misses: int
    best: Tier
    rule: TierRule
    cap: Tier | None

    @property
    def state(self) -> State:
        return State(self.standing, self.misses, self.best)

    @property
    def on_watch(self) -> bool:
        """Whether a fall from the shown tier is near."""
        return self.misses > 0 and self.tier == self.standing


def curve_ratio(term: Term, value: int | None) -> tuple[int, int]:
    """Points from 0 to 100 by the term's curve, exactly, as what is divided and by what; none for what is unknown."""
    if value is None:
        return 0, 1
    curve = term.curve
    place = bisect_right(term.places, value)
    if place in (0, len(curve)):
        return curve[min(place, len(curve) - 1)][1], 1
    x, y = curve[place - 1]
    next_x, next_y = curve[place]
    width = next_x - x
    return y * width + (value - x) * (next_y - y), width


def score_of(policy: TierDefinition, inputs: Inputs) -> int:
    """The score in thousandths of a point, rounded down once at the end."""
    total, divisor = 0, 1
    for term, value in (
        (policy.assets, inputs.assets),
        (policy.contribution, inputs.contribution),
        (policy.potential, inputs.potential),
        (policy.tenure, inputs.tenure),
    ):
        part, by = curve_ratio(term, value)
        total, divisor = total * by + term.weight * part * divisor, divisor * by
    return total // divisor


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a tier's entry: what is asked, in its own unit, what there is, and whether it suffices."""

    name: str
    needed: int
    found: int | None
    is_met: bool


def checks_of(entry: Entry, score: int, inputs: Inputs, percent: int = 100) -> Iterator[Check]:
    """The conditions of an entry, each alone enough, at so many per cent of what they ask; the score in thousandths."""
    pairs = (
        ("score", entry.score * POINT, score),
        ("assets", entry.assets, inputs.assets),
        ("potential", entry.potential, inputs.potential),
    )
    for name, needed, found in pairs:
        if needed is not None:
            yield Check(name, needed, found, found is not None and found * 100 >= needed * percent)


def is_let_in(entry: Entry, score: int, inputs: Inputs, percent: int = 100) -> bool:
    """Whether one of the checks is met; written out, because it is asked millions of times."""
    assets, potential = entry.assets, entry.potential
    return (
        score * 100 >= entry.score * POINT * percent
        or (assets is not None and inputs.assets is not None and inputs.assets * 100 >= assets * percent)
        or (potential is not None and inputs.potential is not None and inputs.potential * 100 >= potential * percent)
    )


def earned_tier(policy: TierDefinition, score: int, inputs: Inputs) -> Tier:
    """The best tier whose entry the month reaches."""
    for tier in reversed(TIERS[1:]):
        if is_let_in(policy.entries[tier], score, inputs):
            return tier
    return TIERS[0]


def best_of(one: Tier, other: Tier) -> Tier:
    return one if RANK[one] >= RANK[other] else other


def capped(tier: Tier, cap: Tier | None) -> Tier:
    return tier if cap is None or RANK[tier] <= RANK[cap] else cap


def stand(policy: TierDefinition, before: State | None, earned: Tier, kept: bool) -> tuple[State, TierRule]:
    """Where a customer stands after a month in which this tier was earned, and the rule that says so.

    `kept` tells whether the month is not under the part of the present tier's entry that keeps it.
    """
    if before is None:
        return State(earned), TierRule.FIRST
    if RANK[earned] > RANK[before.standing]:
        return State(earned), TierRule.RISE
    if earned == before.standing:
        return State(earned), TierRule.HOLD
    if before.misses >= policy.misses:
        return State(best_of(before.best, earned)), TierRule.FALL
    if kept:
        return State(before.standing), TierRule.KEEP
    best = best_of(before.best, earned) if before.misses else earned
    return State(before.standing, before.misses + 1, best), TierRule.WATCH


def decide(policy: TierDefinition, before: State | None, inputs: Inputs) -> Decision:
    """The tier of a month."""
    score = score_of(policy, inputs)
    earned = earned_tier(policy, score, inputs)
    entry = policy.entries.get(before.standing) if before else None
    kept = entry is not None and is_let_in(entry, score, inputs, policy.keep_percent)
    after, rule = stand(policy, before, earned, kept)
    cap = policy.risk_caps.get(inputs.risk) if inputs.risk else None
    return Decision(
        score=score,
        earned=earned,
        standing=after.standing,
        tier=capped(after.standing, cap),
        misses=after.misses,
        best=after.best,
        rule=rule,
        cap=cap,
    )
