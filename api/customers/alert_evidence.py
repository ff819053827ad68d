"""The evidence of alerts as types: the numbers that a rule saw, and the thresholds that they met."""

from datetime import date
from typing import Annotated

import strawberry

from api.relay import global_id
from api.scalars import SafeInt
from customers import alert_rules as rules


@strawberry.type(description="A month's average far below the best of the months before it; money in minor units.")
class BalanceDropEvidence:
    month: date = strawberry.field(description="First day of the month.")
    average: SafeInt = strawberry.field(description="Its average balance.")
    best: SafeInt = strawberry.field(description="The best average of the months before it.")
    best_month: date = strawberry.field(description="Which month that was.")
    at_most_percent: int = strawberry.field(description="The share of the best from which down the rule speaks.")
    least_drop: SafeInt = strawberry.field(description="The difference from which on it does.")


@strawberry.type(description="More left on a day than came, by a large sum; money in minor units.")
class LargeOutflowEvidence:
    day: date = strawberry.field(description="The day, in the bank's time zone.")
    outflow: SafeInt = strawberry.field(description="What left, less what came.")
    balance: SafeInt | None = strawberry.field(description="The balance of 30 days; null where it is not known.")
    least: SafeInt = strawberry.field(description="The sum from which on the rule speaks.")
    percent_of_balance: int = strawberry.field(description="The share of the balance from which on it does.")


@strawberry.type(description="Fewer transactions than in the span before.")
class ActivityDropEvidence:
    day: date = strawberry.field(description="The day before which the span ended.")
    recent: int = strawberry.field(description="Transactions in the span.")
    before: int = strawberry.field(description="Transactions in the span before it.")
    days: int = strawberry.field(description="Days of each span.")
    percent: int = strawberry.field(description="How many per cent fewer make the rule speak.")


@strawberry.type(description="No transaction for a long time.")
class DormantEvidence:
    last_day: date = strawberry.field(description="The day of the last transaction.")
    days: int = strawberry.field(description="Days since then.")
    at_least_days: int = strawberry.field(description="Days from which on the rule speaks.")


@strawberry.type(description="A product that matures soon, or has matured and is still held.")
class MaturityEvidence:
    holding_id: strawberry.ID = strawberry.field(description="Global id of the holding.")
    product: str = strawberry.field(description="The product.")
    amount: SafeInt = strawberry.field(description="What is held of it, in minor units.")
    matures_on: date = strawberry.field(description="When it matures.")
    stage: int = strawberry.field(description="Days from its maturity on which the rule speaks; below zero: before it.")


@strawberry.type(description="Several complaints in a short time.")
class ComplaintsEvidence:
    count: int = strawberry.field(description="How many.")
    days: int = strawberry.field(description="In how many days.")
    at_least: int = strawberry.field(description="From how many on the rule speaks.")
    latest_day: date = strawberry.field(description="The day of the latest one.")


@strawberry.type(description="A month unlike the others, by a robust score; money in minor units.")
class AnomalyEvidence:
    month: date = strawberry.field(description="First day of the month.")
    average: SafeInt = strawberry.field(description="Its average balance.")
    median: SafeInt = strawberry.field(description="The median of the months.")
    deviation: SafeInt = strawberry.field(description="The median absolute deviation; the mean one where `flat`.")
    score: str = strawberry.field(description="The score, rounded to two decimals.")
    least_score: str = strawberry.field(description="The score from which on the rule speaks.")
    points: int = strawberry.field(description="How many months were compared.")
    flat: bool = strawberry.field(description="Whether half of the months or more are the same.")


@strawberry.type(description="A condition of the bank's own that held.")
class ConditionEvidence:
    key: str = strawberry.field(description="Its key in the policy.")
    day: date = strawberry.field(description="The day on which it held.")


AlertEvidence = Annotated[
    BalanceDropEvidence
    | LargeOutflowEvidence
    | ActivityDropEvidence
    | DormantEvidence
    | MaturityEvidence
    | ComplaintsEvidence
    | AnomalyEvidence
    | ConditionEvidence,
    strawberry.union("AlertEvidence", description="What a rule saw, by its cause."),
]
TYPES = {
    rules.BalanceDrop: BalanceDropEvidence,
    rules.LargeOutflow: LargeOutflowEvidence,
    rules.ActivityDrop: ActivityDropEvidence,
    rules.Dormant: DormantEvidence,
    rules.Maturity: MaturityEvidence,
    rules.Complaints: ComplaintsEvidence,
    rules.Anomaly: AnomalyEvidence,
    rules.ConditionMet: ConditionEvidence,
}


def evidence_of(seen: rules.Evidence) -> AlertEvidence:
    """The evidence as the type of its cause, whose fields have the same names."""
    values = seen.model_dump(exclude={"cause"})
    if isinstance(seen, rules.Maturity):
        values["holding_id"] = global_id("Holding", seen.holding_id)
    return TYPES[type(seen)](**values)
