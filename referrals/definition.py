"""What a version of a programme says: steps, rewards, spans, limits, and what happens at their ends."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Setting

from core.days import Period
from core.definitions import read_definition
from core.errors import BadUserInput
from core.lawful import is_about_deposits, is_about_step, is_kind

DEEPEST_REWARD = 2
LARGEST_POINTS = 10_000_000


class ProgramInvalid(BadUserInput):
    code = "PROGRAM_INVALID"
    en = "The referral programme is not valid."
    zh = "推荐计划无效。"


class Attribution(StrEnum):
    """Which click counts when a referee followed several links."""

    FIRST_TOUCH = "FIRST_TOUCH"
    LAST_TOUCH = "LAST_TOUCH"


class CapScope(StrEnum):
    """Whose rewards a cap counts: those for referring of one customer, all of the programme, all of one household."""

    REFERRER = "REFERRER"
    PROGRAM = "PROGRAM"
    HOUSEHOLD = "HOUSEHOLD"


class LimitPolicy(StrEnum):
    """What becomes of a reward that a cap or the budget does not hold whole."""

    REJECT = "REJECT"
    PARTIAL = "PARTIAL"


class Shortfall(StrEnum):
    """What becomes of points that a clawback does not find any more: owed by the customer, or borne by the bank."""

    DEBT = "DEBT"
    WRITE_OFF = "WRITE_OFF"


class Side(StrEnum):
    """Whose reward it is; SECOND_LEVEL is the referrer's own referrer."""

    REFERRER = "REFERRER"
    REFEREE = "REFEREE"
    SECOND_LEVEL = "SECOND_LEVEL"


def points() -> Any:
    return Setting(default=0, ge=0, le=LARGEST_POINTS)


def lawful_kind(kind: str) -> str:
    """A kind of fact by its form, and none that is about money placed with the bank or steps of others."""
    if is_about_deposits(kind):
        raise ValueError("a deposit or balance cannot be a qualifying step")
    return own_kind(kind)


def own_kind(kind: str) -> str:
    """A kind of fact by its form that tells of the referee's own acts.

    Steps of those whom the referee brought would make a level of every programme, without a limit to their number.
    """
    if not is_kind(kind):
        raise ValueError("capital letters, digits and _")
    if is_about_step(kind):
        raise ValueError("steps of whom a referee brought would pay three and more levels, pyramid selling by law")
    return kind


class Step(BaseModel):
    """One step of qualification: a kind of fact, a deadline in days from attribution, points for each side.

    A fact of a kind in `reversed_by` undoes it, as long as the step can be undone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Setting(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    fact_kind: str
    within_days: int | None = Setting(default=None, ge=1, le=3650)
    referrer_points: int = points()
    referee_points: int = points()
    second_level_points: int = points()
    reversed_by: tuple[str, ...] = Setting(default=(), max_length=10)

    @field_validator("fact_kind")
    @classmethod
    def is_lawful(cls, kind: str) -> str:
        return lawful_kind(kind)

    @field_validator("reversed_by")
    @classmethod
    def are_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(own_kind(kind) for kind in kinds)

    def points_of(self, side: Side) -> int:
        return {
            Side.REFERRER: self.referrer_points,
            Side.REFEREE: self.referee_points,
            Side.SECOND_LEVEL: self.second_level_points,
        }[side]


class Cap(BaseModel):
    """How many rewards or points at most, for whom and in which span; with `step`, those of that step only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: CapScope
    period: Period = Period.EVER
    rewards: int | None = Setting(default=None, ge=1)
    points: int | None = Setting(default=None, ge=1)
    step: str | None = None

    @model_validator(mode="after")
    def says_something(self) -> "Cap":
        if self.rewards is None and self.points is None:
            raise ValueError("a cap needs rewards or points")
        return self


class ProgramDefinition(BaseModel):
    """What a version of a programme says; spans are in days, rewards in whole points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = Setting(min_length=1, max_length=10)
    attribution: Attribution = Attribution.LAST_TOUCH
    click_window_days: int = Setting(default=30, ge=1, le=365)
    late_claim_days: int = Setting(default=14, ge=0, le=365)
    hold_days: int = Setting(default=0, ge=0, le=365)
    reversible_days: int | None = Setting(default=None, ge=0, le=3650)
    expires_days: int = Setting(default=730, ge=1, le=3650)
    caps: tuple[Cap, ...] = Setting(default=(), max_length=20)
    on_limit: LimitPolicy = LimitPolicy.REJECT
    shortfall: Shortfall = Shortfall.WRITE_OFF
    reward_depth: int = Setting(default=1, ge=1)
    second_level_approval: str | None = Setting(default=None, min_length=1, max_length=500)

    @model_validator(mode="before")
    @classmethod
    def read_old_cap(cls, data: Any) -> Any:
        """Versions of before there were caps said `rewards_per_referrer`, which counted each step by itself."""
        if not isinstance(data, dict) or "rewards_per_referrer" not in data:
            return data
        read: dict[str, Any] = {key: value for key, value in data.items() if key != "rewards_per_referrer"}
        limit = data["rewards_per_referrer"]
        if limit is not None:
            caps = [{"scope": CapScope.REFERRER, "rewards": limit, "step": step["name"]} for step in read["steps"]]
            read["caps"] = [*read.get("caps", ()), *caps]
        return read

    @field_validator("reward_depth")
    @classmethod
    def is_no_pyramid(cls, depth: int) -> int:
        """Chinese law (Regulations on Prohibition of Pyramid Selling, article 7) counts paying levels."""
        if depth > DEEPEST_REWARD:
            raise ValueError("three or more paying levels are pyramid selling by law; at most 2")
        return depth

    @model_validator(mode="after")
    def is_fair(self) -> "ProgramDefinition":
        names = [step.name for step in self.steps]
        kinds = [step.fact_kind for step in self.steps]
        if len(set(names)) != len(names) or len(set(kinds)) != len(kinds):
            raise ValueError("steps need different names and kinds of fact")
        if any(kind in kinds for step in self.steps for kind in step.reversed_by):
            raise ValueError("a kind of fact that reaches a step cannot undo one")
        if any(cap.step is not None and cap.step not in names for cap in self.caps):
            raise ValueError("a cap names a step that there is not")
        self.check_depth()
        return self

    def check_depth(self) -> None:
        pays_second = any(step.second_level_points for step in self.steps)
        if pays_second and not self.pays_second_level:
            raise ValueError("a second level is paid by a reward_depth of 2 only")
        if self.pays_second_level and not self.second_level_approval:
            raise ValueError("a reward_depth of 2 needs second_level_approval: who allowed it, and where")

    @property
    def pays_second_level(self) -> bool:
        return self.reward_depth == DEEPEST_REWARD

    @property
    def counts_households(self) -> bool:
        """Whether a cap looks at whole households."""
        return any(cap.scope == CapScope.HOUSEHOLD for cap in self.caps)

    @property
    def days_to_undo(self) -> int:
        """So long after it was reached can a step be undone."""
        return self.hold_days if self.reversible_days is None else self.reversible_days


def parse_definition(data: dict[str, Any]) -> ProgramDefinition:
    """Read a definition; raises ProgramInvalid with the path of the first field that cannot be."""
    return read_definition(ProgramDefinition, data, ProgramInvalid)
