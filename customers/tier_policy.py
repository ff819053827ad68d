"""What a tier policy says: how the score is made, what each tier takes, and when one is left.

Money is minor units of the policy's currency, weights are thousandths of the whole, curves lead to 0 to 100 points.
"""

from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Setting

from core.definitions import read_definition
from core.errors import BadUserInput
from graph.eligibility import TIERS, Tier

WHOLE = 1_000
LARGEST = 10**15

Point = tuple[
    Annotated[int, Setting(ge=0, le=LARGEST, strict=True)], Annotated[int, Setting(ge=0, le=100, strict=True)]
]


class TierPolicyInvalid(BadUserInput):
    code = "TIER_POLICY_INVALID"
    en = "The tier policy is not valid."
    zh = "分层策略无效。"


class Part(BaseModel):
    """A base that takes nothing it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(Part):
    """A part of the score: a piecewise linear curve of an input, level before its first and after its last point."""

    weight: int = Setting(ge=0, le=WHOLE, strict=True)
    curve: tuple[Point, ...] = Setting(min_length=1, max_length=20)

    @field_validator("curve")
    @classmethod
    def rises(cls, curve: tuple[Point, ...]) -> tuple[Point, ...]:
        for (x, y), (next_x, next_y) in pairwise(curve):
            if next_x <= x or next_y < y:
                raise ValueError("each point lies right of the one before, and not below it")
        return curve

    @cached_property
    def places(self) -> list[int]:
        """Where the points of the curve stand, to be searched."""
        return [x for x, _ in self.curve]


class Entry(Part):
    """What lets somebody into a tier: points of the score, or one input that is high enough alone."""

    score: int = Setting(ge=0, le=100, strict=True)
    assets: int | None = Setting(default=None, ge=1, le=LARGEST, strict=True)
    potential: int | None = Setting(default=None, ge=1, le=100, strict=True)


class TierDefinition(Part):
    """All numbers of a policy."""

    currency: str = Setting(pattern=r"^[A-Z]{3}$")
    assets: Term
    contribution: Term
    potential: Term
    tenure: Term
    entries: dict[Tier, Entry]
    keep_percent: int = Setting(default=90, ge=1, le=100, strict=True)
    misses: int = Setting(default=3, ge=0, le=24, strict=True)
    carry_months: int = Setting(default=2, ge=0, le=11, strict=True)
    risk_caps: dict[Annotated[str, Setting(pattern=r"^[A-Z_]{1,30}$")], Tier] = Setting(
        default_factory=dict[str, Tier], max_length=10
    )
    overrides_beat_risk: bool = Setting(default=False, strict=True)
    run_after_days: int = Setting(default=5, ge=0, le=27, strict=True)
    review_days: int = Setting(default=3, ge=0, le=90, strict=True)

    @field_validator("entries")
    @classmethod
    def are_for_all_tiers(cls, entries: dict[Tier, Entry]) -> dict[Tier, Entry]:
        ranked = TIERS[1:]
        if set(entries) != set(ranked):
            raise ValueError("an entry for each of " + ", ".join(ranked))
        scores = [entries[tier].score for tier in ranked]
        if scores != sorted(scores):
            raise ValueError("a better tier takes no fewer points")
        return entries

    @model_validator(mode="after")
    def is_whole(self) -> "TierDefinition":
        if sum(term.weight for term in self.terms.values()) != WHOLE:
            raise ValueError(f"the weights make {WHOLE} together")
        return self

    @property
    def terms(self) -> dict[str, Term]:
        """The terms of the score by the names of their inputs."""
        return {
            "assets": self.assets,
            "contribution": self.contribution,
            "potential": self.potential,
            "tenure": self.tenure,
        }


# What a bank begins with; money in fen, tenure in whole months.
DEFAULT: dict[str, Any] = {
    "currency": "CNY",
    "assets": {
        "weight": 500,
        "curve": [[0, 0], [5_000_000, 30], [50_000_000, 60], [600_000_000, 85], [1_000_000_000, 100]],
    },
    "contribution": {"weight": 200, "curve": [[0, 0], [50_000, 30], [500_000, 60], [5_000_000, 100]]},
    "potential": {"weight": 200, "curve": [[0, 0], [100, 100]]},
    "tenure": {"weight": 100, "curve": [[0, 0], [120, 100]]},
    "entries": {"POTENTIAL": {"score": 35, "potential": 70}, "VIP": {"score": 60, "assets": 50_000_000}},
    "keep_percent": 90,
    "misses": 3,
    "carry_months": 2,
    "risk_caps": {"HIGH": "MASS"},
    "overrides_beat_risk": False,
    "run_after_days": 5,
}


def parse_tier_definition(data: Any) -> TierDefinition:
    """Read a definition; raises TierPolicyInvalid with the path of the first field that cannot be."""
    return read_definition(TierDefinition, data, TierPolicyInvalid)
