"""What a version of an earning rule says: which facts earn how many points, until when, and how much at most."""

import math
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Setting

from core.days import Period
from core.definitions import read_definition
from core.errors import BadUserInput
from core.lawful import STEP_REACHED, STEP_UNDONE, is_about_deposits, is_about_money, is_kind, tells_of_money
from core.reversals import FactLike
from loyalty.shortfall import ShortfallPolicy

LARGEST_POINTS = 10_000_000
LONGEST_TEXT = 200
# A referral step is told when it is reached, before anybody has looked for fraud; so long may that take.
LEAST_HOLD_OF_STEPS = 7


class EarningRuleInvalid(BadUserInput):
    code = "EARNING_RULE_INVALID"
    en = "The earning rule is not valid."
    zh = "积分规则无效。"


class CapPolicy(StrEnum):
    """What becomes of an earning that a cap does not hold whole."""

    PARTIAL = "PARTIAL"
    REJECT = "REJECT"


def lawful_field(field: str) -> str:
    """A field of a fact's payload that may decide about points; raises ValueError for sums, prices and balances."""
    if is_about_money(field):
        raise ValueError("money and balances earn no points and decide about none")
    return field


def is_scalar(value: Any) -> bool:
    """Whether a value can be compared as JSON's text, number or truth."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and "\0" not in value
    return isinstance(value, bool | int)


def is_same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true is not 1, and 1.0 is."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def number_in(value: Any) -> Fraction | None:
    """A number of a payload as it is written there; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Fraction(value) if isinstance(value, int) else Fraction(str(value))


class Condition(BaseModel):
    """What one field of the fact's payload must be; a fact without the field does not meet it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Setting(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")
    equals: Any = None
    one_of: tuple[Any, ...] | None = Setting(default=None, min_length=1, max_length=100)
    at_least: Any = None

    @field_validator("field")
    @classmethod
    def is_lawful(cls, field: str) -> str:
        return lawful_field(field)

    @field_validator("equals")
    @classmethod
    def is_comparable(cls, value: Any) -> Any:
        if value is not None and not is_scalar(value):
            raise ValueError(f"text of at most {LONGEST_TEXT} characters, a number, true or false")
        return value

    @field_validator("one_of")
    @classmethod
    def are_comparable(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if not all(is_scalar(value) for value in values or ()):
            raise ValueError(f"texts of at most {LONGEST_TEXT} characters, numbers, true or false")
        return values

    @field_validator("at_least")
    @classmethod
    def is_number(cls, value: Any) -> Any:
        if value is not None and number_in(value) is None:
            raise ValueError("a number")
        return value

    @model_validator(mode="after")
    def says_one_thing(self) -> "Condition":
        if sum(one is not None for one in (self.equals, self.one_of, self.at_least)) != 1:
            raise ValueError("one of equals, one_of and at_least")
        return self

    def is_met(self, fact: FactLike) -> bool:
        found = fact.payload.get(self.field)
        if found is None:
            return False
        if self.at_least is not None:
            number, least = number_in(found), number_in(self.at_least)
            return number is not None and least is not None and number >= least
        return any(is_same(found, value) for value in self.one_of or (self.equals,))


class PerUnit(BaseModel):
    """Points for every whole `unit` of a number in the payload, together `maximum` at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Setting(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")
    unit: int = Setting(default=1, ge=1, le=1_000_000_000, strict=True)
    points: int = Setting(ge=1, le=LARGEST_POINTS, strict=True)
    maximum: int = Setting(ge=1, le=LARGEST_POINTS, strict=True)

    @field_validator("field")
    @classmethod
    def is_lawful(cls, field: str) -> str:
        return lawful_field(field)

    def points_for(self, fact: FactLike) -> int:
        number = number_in(fact.payload.get(self.field))
        return 0 if number is None else max(0, min(self.maximum, number // self.unit * self.points))


class EarningCap(BaseModel):
    """How much one customer earns by the rule in one span: points, times, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    period: Period
    points: int | None = Setting(default=None, ge=1, le=10**12, strict=True)
    times: int | None = Setting(default=None, ge=1, le=10**9, strict=True)

    @model_validator(mode="after")
    def says_something(self) -> "EarningCap":
        if self.points is None and self.times is None:
            raise ValueError("a cap needs points or times")
        return self


class EarningDefinition(BaseModel):
    """What a version of a rule says; spans are in days of 24 hours from when the fact happened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fact_kind: str
    conditions: tuple[Condition, ...] = Setting(default=(), max_length=20)
    points: int | None = Setting(default=None, ge=1, le=LARGEST_POINTS, strict=True)
    per_unit: PerUnit | None = None
    hold_days: int = Setting(default=0, ge=0, le=365, strict=True)
    expires_days: int = Setting(default=730, ge=1, le=3650, strict=True)
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    caps: tuple[EarningCap, ...] = Setting(default=(), max_length=5)
    on_cap: CapPolicy = CapPolicy.PARTIAL
    time_zone: str = "Asia/Shanghai"
    reversed_by: tuple[str, ...] = Setting(default=(), max_length=10)
    reversible_days: int | None = Setting(default=None, ge=1, le=3650, strict=True)
    shortfall: ShortfallPolicy = ShortfallPolicy.WRITE_OFF

    @field_validator("fact_kind")
    @classmethod
    def is_lawful(cls, kind: str) -> str:
        if not is_kind(kind):
            raise ValueError("capital letters, digits and _, 2 to 64 characters")
        if is_about_deposits(kind):
            raise ValueError("a deposit or balance earns no points")
        if tells_of_money(kind):
            raise ValueError("money earns no points, whatever it is called")
        return kind

    @field_validator("valid_from", "valid_until", mode="before")
    @classmethod
    def is_written_out(cls, at: Any) -> Any:
        if isinstance(at, int | float):
            raise ValueError("an instant in ISO 8601 with a zone")
        return at

    @field_validator("time_zone")
    @classmethod
    def is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError):
            raise ValueError("an IANA time zone, such as Asia/Shanghai") from None
        return name

    @field_validator("reversed_by")
    @classmethod
    def are_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_kind(kind) for kind in kinds):
            raise ValueError("capital letters, digits and _, 2 to 64 characters")
        return kinds

    @field_validator("caps")
    @classmethod
    def have_different_spans(cls, caps: tuple[EarningCap, ...]) -> tuple[EarningCap, ...]:
        if len({cap.period for cap in caps}) != len(caps):
            raise ValueError("one cap for each period")
        return caps

    @model_validator(mode="after")
    def is_whole(self) -> "EarningDefinition":
        if (self.points is None) == (self.per_unit is None):
            raise ValueError("one of points and per_unit")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValueError("valid_until lies after valid_from")
        if self.fact_kind in self.reversed_by:
            raise ValueError("a kind of fact that earns cannot take back")
        if self.hold_days >= self.expires_days:
            raise ValueError("points expire after they are released")
        self.check_steps()
        return self

    def check_steps(self) -> None:
        """Points for referral steps can be taken back until they are released, and are not released at once."""
        if self.fact_kind != STEP_REACHED:
            return
        if STEP_UNDONE not in self.reversed_by:
            raise ValueError(f"points for referral steps need {STEP_UNDONE} in reversed_by")
        if self.hold_days < LEAST_HOLD_OF_STEPS:
            raise ValueError(f"points for referral steps are held for {LEAST_HOLD_OF_STEPS} days at least")
        if self.reversible_days is not None and self.reversible_days < self.hold_days:
            raise ValueError("points for referral steps can be taken back as long as they are held")

    @property
    def watched_kinds(self) -> frozenset[str]:
        """The kinds of facts that a worker shows to this rule."""
        return frozenset((self.fact_kind, *self.reversed_by))

    def is_for(self, fact: FactLike) -> bool:
        """Whether the fact is of the rule's kind, happened while it is valid, and meets all conditions."""
        return (
            fact.kind == self.fact_kind
            and (self.valid_from is None or fact.occurred_at >= self.valid_from)
            and (self.valid_until is None or fact.occurred_at < self.valid_until)
            and all(condition.is_met(fact) for condition in self.conditions)
        )

    def points_for(self, fact: FactLike) -> int:
        """The points that the fact would bring if no cap looked at it; none for a fact that the rule is not about."""
        if not self.is_for(fact):
            return 0
        return self.per_unit.points_for(fact) if self.per_unit else self.points or 0


def parse_earning_definition(data: Any) -> EarningDefinition:
    """Read a definition; raises EarningRuleInvalid with the path of the first field that cannot be."""
    return read_definition(EarningDefinition, data, EarningRuleInvalid)
