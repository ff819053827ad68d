"""The rules of early warning: each looks at plain numbers and says what it saw, or nothing.

Money is whole minor units, and shares are compared by multiplication, so that every edge is exact.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic import Field as Setting

from core.days import last_months, months_before
from customers.alert_definition import (
    ActivityDropRule,
    AnomalyRule,
    BalanceDropRule,
    ComplaintsRule,
    DormantRule,
    LargeOutflowRule,
    MaturityRule,
)

# Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): 0.6745 is the 75th percentile of the standard normal
# distribution, by which a median absolute deviation speaks of a standard deviation; 1.253314 does it for the mean one.
MEDIAN_FACTOR = Fraction(6_745, 10_000)
MEAN_FACTOR = Fraction(1_253_314, 1_000_000)

# By month, what each source says of it.
Months = Mapping[date, Mapping[str, int]]


class AlertCause(StrEnum):
    """What an alert is about; CONDITION is a rule of the bank's own."""

    BALANCE_DROP = "BALANCE_DROP"
    LARGE_OUTFLOW = "LARGE_OUTFLOW"
    ACTIVITY_DROP = "ACTIVITY_DROP"
    DORMANT = "DORMANT"
    MATURITY = "MATURITY"
    COMPLAINTS = "COMPLAINTS"
    ANOMALY = "ANOMALY"
    CONDITION = "CONDITION"


class Seen(BaseModel):
    """Base of what rules see: the numbers that decided and the thresholds that they met."""

    model_config = ConfigDict(frozen=True)


class BalanceDrop(Seen):
    """A month's average far below the best of the months before."""

    cause: Literal[AlertCause.BALANCE_DROP] = AlertCause.BALANCE_DROP
    month: date
    average: int
    best: int
    best_month: date
    at_most_percent: int
    least_drop: int


class LargeOutflow(Seen):
    """More left on a day than came, by a large sum; `balance` is null where it is not known."""

    cause: Literal[AlertCause.LARGE_OUTFLOW] = AlertCause.LARGE_OUTFLOW
    day: date
    outflow: int
    balance: int | None
    least: int
    percent_of_balance: int


class ActivityDrop(Seen):
    """Fewer transactions in the span that ended before `day` than in the one before it."""

    cause: Literal[AlertCause.ACTIVITY_DROP] = AlertCause.ACTIVITY_DROP
    day: date
    recent: int
    before: int
    days: int
    percent: int


class Dormant(Seen):
    """No transaction since a day."""

    cause: Literal[AlertCause.DORMANT] = AlertCause.DORMANT
    last_day: date
    days: int
    at_least_days: int


class Maturity(Seen):
    """A product that matures in, or has matured for, a few days; `stage` is the day counted from its maturity."""

    cause: Literal[AlertCause.MATURITY] = AlertCause.MATURITY
    holding_id: str
    product: str
    amount: int
    matures_on: date
    stage: int


class Complaints(Seen):
    """Several complaints within a span."""

    cause: Literal[AlertCause.COMPLAINTS] = AlertCause.COMPLAINTS
    count: int
    days: int
    at_least: int
    latest_day: date


class Anomaly(Seen):
    """A month unlike the others; `flat` says that the mean absolute deviation stood in for a median one of nothing.

    Halves of a minor unit, and the score, are rounded for showing; what decided was exact.
    """

    cause: Literal[AlertCause.ANOMALY] = AlertCause.ANOMALY
    month: date
    average: int
    median: int
    deviation: int
    score: str
    least_score: str
    points: int
    flat: bool


class ConditionMet(Seen):
    """A condition of the bank's own that holds."""

    cause: Literal[AlertCause.CONDITION] = AlertCause.CONDITION
    key: str
    day: date


Evidence = BalanceDrop | LargeOutflow | ActivityDrop | Dormant | Maturity | Complaints | Anomaly | ConditionMet
EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Annotated[Evidence, Setting(discriminator="cause")])


def balance_drop(rule: BalanceDropRule, months: Months, day: date, *, is_vip: bool) -> BalanceDrop | None:
    """Whether the last month that is over fell far below the best of those before it.

    It waits until every source that told of one of those months has told of the last one, because money of which we
    have not heard is not gone.
    """
    month = months_before(day)
    before = {one: months[one] for one in last_months(months_before(month), rule.months) if months.get(one)}
    told = months.get(month, {})
    if not before or any(sources.keys() - told.keys() for sources in before.values()):
        return None
    best, best_month = max((sum(sources.values()), one) for one, sources in before.items())
    average, percent = sum(told.values()), rule.vip_at_most_percent if is_vip else rule.at_most_percent
    if best <= 0 or 100 * average > percent * best or best - average < rule.least_drop:
        return None
    return BalanceDrop(
        month=month,
        average=average,
        best=best,
        best_month=best_month,
        at_most_percent=percent,
        least_drop=rule.least_drop,
    )


def large_outflow(rule: LargeOutflowRule, day: date, net: int, balance: int | None) -> LargeOutflow | None:
    """Whether what left on a day (`net` below zero) is large, by itself and beside the balance of 30 days."""
    outflow = -net
    if outflow <= 0 or outflow < rule.least or 100 * outflow < rule.percent_of_balance * (balance or 0):
        return None
    return LargeOutflow(
        day=day, outflow=outflow, balance=balance, least=rule.least, percent_of_balance=rule.percent_of_balance
    )


def activity_drop(rule: ActivityDropRule, day: date, *, recent: int, before: int) -> ActivityDrop | None:
    """Whether the transactions of the span that ended before `day` are so many per cent fewer than those before."""
    if before < rule.least_before or 100 * recent > (100 - rule.percent) * before:
        return None
    return ActivityDrop(day=day, recent=recent, before=before, days=rule.days, percent=rule.percent)


def dormant(rule: DormantRule, day: date, last_day: date | None) -> Dormant | None:
    """Whether the last transaction was so long ago; of who never had one nothing is known."""
    if last_day is None or (day - last_day).days < rule.days:
        return None
    return Dormant(last_day=last_day, days=(day - last_day).days, at_least_days=rule.days)


def maturity_stage(rule: MaturityRule, matures_on: date, first: date, last: date) -> int | None:
    """The latest stage whose day lies between two days, both inclusive; None where there is none."""
    passed = [stage for stage in rule.stages if first <= matures_on + timedelta(days=stage) <= last]
    return max(passed, default=None)


def complaints(rule: ComplaintsRule, days: Sequence[date]) -> Complaints | None:
    """Whether the complaints of a span, given by their days, are several."""
    if len(days) < rule.count:
        return None
    return Complaints(count=len(days), days=rule.days, at_least=rule.count, latest_day=max(days))


def median(values: Sequence[int | Fraction]) -> Fraction:
    ordered, half = sorted(values), len(values) // 2
    if len(values) % 2:
        return Fraction(ordered[half])
    return Fraction(ordered[half - 1] + ordered[half], 2)


def anomaly(rule: AnomalyRule, months: Months, day: date) -> Anomaly | None:
    """Whether the last month that is over is unlike the months up to it, itself among them.

    Only months of which the same sources have told are compared.
    """
    month = months_before(day)
    told = months.get(month, {})
    points = [
        sum(sources.values())
        for one in last_months(month, rule.months)
        if (sources := months.get(one)) and sources.keys() == told.keys()
    ]
    if not told or len(points) < rule.least_points:
        return None
    average, middle = points[-1], median(points)
    distance, distances = abs(average - middle), [abs(point - middle) for point in points]
    spread, factor = median(distances), 1 / MEDIAN_FACTOR
    is_flat = spread == 0
    if is_flat:
        spread, factor = Fraction(sum(distances), len(distances)), MEAN_FACTOR
    if distance == 0 or distance < Fraction(rule.least_score) * factor * spread:
        return None
    if is_flat and distance < rule.flat_change:
        return None
    return Anomaly(
        month=month,
        average=average,
        median=round(middle),
        deviation=round(spread),
        score=f"{float(distance / (factor * spread)):.2f}",
        least_score=str(rule.least_score.normalize()),
        points=len(points),
        flat=is_flat,
    )


def subject_of(seen: Evidence) -> str:
    """What the evidence is about: the same subject raises no second alert, however much later it is seen again."""
    match seen:
        case BalanceDrop() | Anomaly():
            return f"month:{seen.month:%Y-%m}"
        case LargeOutflow() | ActivityDrop() | ConditionMet():
            return f"day:{seen.day}"
        case Dormant():
            return f"since:{seen.last_day}"
        case Maturity():
            return f"holding:{seen.holding_id}:{seen.matures_on}:{seen.stage:+d}"
        case Complaints():
            return f"latest:{seen.latest_day}"


def guard_of(seen: Evidence) -> str:
    """The cause by which alerts are kept apart in time: each condition, and each stage of each holding, is its own."""
    if isinstance(seen, ConditionMet):
        return f"{seen.cause}:{seen.key}"
    return f"{seen.cause}:{seen.holding_id}:{seen.stage:+d}" if isinstance(seen, Maturity) else seen.cause.value
