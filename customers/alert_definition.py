"""What a policy of early warning says: which rules look, and from where on each of them speaks."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator
from pydantic import Field as Setting

from core.days import time_zones
from core.definitions import read_definition
from core.errors import BadUserInput
from segments.conditions import Condition, Vocabulary, parse_condition

LARGEST_AMOUNT = 2**53 - 1
MOST_CONDITIONS = 20

Percent = Annotated[int, Setting(ge=1, le=100)]
Amount = Annotated[int, Setting(ge=0, le=LARGEST_AMOUNT)]
Days = Annotated[int, Setting(ge=1, le=3_650)]
Name = Annotated[str, Setting(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]


class AlertPolicyInvalid(BadUserInput):
    code = "ALERT_POLICY_INVALID"
    en = "The policy of early warning is not valid."
    zh = "异常预警策略无效。"


class Rule(BaseModel):
    """Base of all rules: an unknown field is refused, because a misspelt threshold would silently be the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BalanceDropRule(Rule):
    """A month's average at most this share of the best of the months before it, and lower by at least `least_drop`."""

    at_most_percent: Percent = 70
    vip_at_most_percent: Percent = 80
    least_drop: Amount = 5_000_000
    months: Annotated[int, Setting(ge=1, le=12)] = 3


class LargeOutflowRule(Rule):
    """What left on a day, less what came, at least `least` and at least this share of the 30-day balance."""

    least: Amount = 20_000_000
    percent_of_balance: Percent = 30


class ActivityDropRule(Rule):
    """So many per cent fewer transactions in a span than in the span before, which had at least `least_before`."""

    percent: Percent = 30
    days: Annotated[int, Setting(ge=1, le=180)] = 90
    least_before: Annotated[int, Setting(ge=1, le=10_000)] = 1


class DormantRule(Rule):
    """No transaction for so many days, by a customer who had one before."""

    days: Days = 180


class MaturityRule(Rule):
    """Days from a product's maturity on which to speak: below zero before it."""

    stages: Annotated[tuple[Annotated[int, Setting(ge=-365, le=365)], ...], Setting(min_length=1, max_length=10)] = (
        -14,
        -7,
        -1,
        3,
    )

    @field_validator("stages")
    @classmethod
    def in_order(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if list(stages) != sorted(set(stages)):
            raise ValueError("each stage once, the earliest first")
        return stages


class ComplaintsRule(Rule):
    """So many complaints within so many days."""

    count: Annotated[int, Setting(ge=1, le=100)] = 2
    days: Days = 90


class AnomalyRule(Rule):
    """A month whose robust score among the last `months` is at least this.

    Where half of the months are the same, the formula has no answer: the mean absolute deviation takes the place of the
    median one, and the difference must be at least `flat_change`.
    """

    least_score: Annotated[Decimal, Setting(gt=0, le=100, decimal_places=4)] = Decimal("3.5")
    least_points: Annotated[int, Setting(ge=3, le=60)] = 8
    months: Annotated[int, Setting(ge=3, le=60)] = 12
    flat_change: Amount = 5_000_000


class ConditionRule(Rule):
    """A condition of the bank's own about which to speak; its key is a cause of its own."""

    key: Annotated[str, Setting(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
    name_zh: Name
    name_en: Name
    condition: dict[str, Any]


def known_zone(zone: str) -> str:
    if zone not in time_zones():
        raise ValueError("not a time zone of the IANA database")
    return zone


TimeZone = Annotated[str, AfterValidator(known_zone)]


class AlertDefinition(Rule):
    """All rules; one that is null does not look. Amounts are minor units of `currency`, other money is not looked at.

    Days and months are those of `time_zone`.
    """

    time_zone: TimeZone = "Asia/Shanghai"

    currency: Annotated[str, Setting(pattern="^[A-Z]{3}$")] = "CNY"
    repeat_days: Days = 30
    task_days: Annotated[int, Setting(ge=0, le=365)] = 3
    balance_drop: BalanceDropRule | None = None
    large_outflow: LargeOutflowRule | None = None
    activity_drop: ActivityDropRule | None = None
    dormant: DormantRule | None = None
    maturity: MaturityRule | None = None
    complaints: ComplaintsRule | None = None
    anomaly: AnomalyRule | None = None
    conditions: Annotated[tuple[ConditionRule, ...], Setting(max_length=MOST_CONDITIONS)] = ()

    @field_validator("conditions")
    @classmethod
    def keys_differ(cls, rules: tuple[ConditionRule, ...]) -> tuple[ConditionRule, ...]:
        if len({rule.key for rule in rules}) != len(rules):
            raise ValueError("two conditions have one key")
        return rules


STANDARD_ALERTS = AlertDefinition(
    balance_drop=BalanceDropRule(),
    large_outflow=LargeOutflowRule(),
    activity_drop=ActivityDropRule(),
    dormant=DormantRule(),
    maturity=MaturityRule(),
    complaints=ComplaintsRule(),
    anomaly=AnomalyRule(),
)


def parse_alert_definition(data: Any, known: Vocabulary) -> AlertDefinition:
    """Read a definition with its conditions; raises AlertPolicyInvalid, ConditionInvalid, both with a path."""
    found = read_definition(AlertDefinition, data, AlertPolicyInvalid)
    conditions_of(found, known)
    return found


def conditions_of(definition: AlertDefinition, known: Vocabulary) -> dict[str, Condition]:
    """The conditions of a definition by their keys; raises ConditionInvalid."""
    return {
        rule.key: parse_condition(rule.condition, known, path=("definition", "conditions", str(place), "condition"))
        for place, rule in enumerate(definition.conditions)
    }
