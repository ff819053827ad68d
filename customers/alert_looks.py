"""Looking at customers by the active policy: all of them once a day, and single ones when something has come in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from core.days import end_of_day
from core.db import Session
from core.ids import new_id
from core.outbox import owe_all
from customers.alert_definition import AlertDefinition, conditions_of
from customers.alert_reads import (
    Activity,
    Span,
    Who,
    activities_of,
    complaints_of,
    holding_true,
    latest_balance,
    maturing,
    months_of,
    outflows_of,
    vips,
)
from customers.alert_rules import (
    Complaints,
    ConditionMet,
    Evidence,
    Maturity,
    Months,
    activity_drop,
    anomaly,
    balance_drop,
    complaints,
    dormant,
    large_outflow,
    maturity_stage,
)
from customers.alerts import Finding, Terms
from customers.insight_policies import InsightPolicy, PolicyKind, active_policy
from segments.conditions import Condition, load_vocabulary

# What came in about a customer may be a reason for an alert.
ALERT_LOOK = "alert.look"
NEWS = timedelta(days=2)

Seen = Iterator[tuple[str, Evidence]]


class AlertPolicy:
    """A policy as it is used: its rules, with conditions that were read by the present vocabulary."""

    def __init__(self, policy_id: str, definition: AlertDefinition, conditions: dict[str, Condition]) -> None:
        self.definition = definition
        self.conditions = conditions
        self.terms = Terms(policy_id, definition.currency, definition.repeat_days)


async def policy_in_use(session: Session) -> AlertPolicy:
    return await read_policy(session, await active_policy(session, PolicyKind.ALERTS))


async def read_policy(session: Session, row: InsightPolicy) -> AlertPolicy:
    definition = AlertDefinition.model_validate(row.definition)
    known = await load_vocabulary(session) if definition.conditions else None
    return AlertPolicy(row.id, definition, conditions_of(definition, known) if known else {})


async def look_at(session: Session, who: Who, policy: AlertPolicy, span: Span) -> list[Finding]:
    """Everything that the rules see of these customers, by seven statements and one for each condition."""
    definition = policy.definition
    months = await months_of(session, who, definition, span)
    found = list(seen_in_months(definition, months, await vips(session, who, now=span.now), span))
    found += seen_of_days(definition, months, await outflows_of(session, who, definition, span))
    found += seen_in_activity(definition, await activities_of(session, who, definition, span), span)
    found += await seen_of_products(session, who, definition, span)
    found += await seen_in_complaints(session, who, definition, span)
    true = await holding_true(session, who, policy.conditions, now=span.now)
    found += [(customer_id, ConditionMet(key=key, day=span.today)) for customer_id, key in true]
    return [Finding(customer_id, seen, due(definition, seen, span)) for customer_id, seen in found]


async def look_at_news(session: Session, who: Who, policy: AlertPolicy, span: Span) -> list[Finding]:
    """What has come in and cannot wait for the next daily look: money that left, and complaints."""
    definition = policy.definition
    months = await months_of(session, who, definition, span)
    found = list(seen_of_days(definition, months, await outflows_of(session, who, definition, span)))
    found += await seen_in_complaints(session, who, definition, span)
    return [Finding(customer_id, seen, due(definition, seen, span)) for customer_id, seen in found]


def due(definition: AlertDefinition, seen: Evidence, span: Span) -> datetime:
    """When something is to be done at the latest: in so many days, and before a product has matured."""
    last = span.today + timedelta(days=definition.task_days)
    if isinstance(seen, Maturity) and span.today <= seen.matures_on:
        last = min(last, seen.matures_on)
    return end_of_day(last, span.zone)


def seen_in_months(definition: AlertDefinition, months: dict[str, Months], vip: set[str], span: Span) -> Seen:
    for customer_id, mine in months.items():
        if (rule := definition.balance_drop) and (
            seen := balance_drop(rule, mine, span.today, is_vip=customer_id in vip)
        ):
            yield customer_id, seen
        if (rule := definition.anomaly) and (seen := anomaly(rule, mine, span.today)):
            yield customer_id, seen


def seen_of_days(
    definition: AlertDefinition, months: dict[str, Months], outflows: Mapping[str, Sequence[tuple[date, int]]]
) -> Seen:
    """The latest day with a large outflow, of each customer."""
    if (rule := definition.large_outflow) is None:
        return
    for customer_id, days in outflows.items():
        balance = latest_balance(months.get(customer_id, {}))
        found = (seen for day, net in days if (seen := large_outflow(rule, day, net, balance)))
        if seen := next(found, None):
            yield customer_id, seen


def seen_in_activity(definition: AlertDefinition, activities: dict[str, Activity], span: Span) -> Seen:
    for customer_id, one in activities.items():
        if (rule := definition.activity_drop) and (
            seen := activity_drop(rule, span.today, recent=one.recent, before=one.before)
        ):
            yield customer_id, seen
        if (rule := definition.dormant) and (
            seen := dormant(rule, span.today, span.day(one.last_at) if one.last_at else None)
        ):
            yield customer_id, seen


async def seen_of_products(
    session: Session, who: Who, definition: AlertDefinition, span: Span
) -> list[tuple[str, Evidence]]:
    found: list[tuple[str, Evidence]] = []
    for row in await maturing(session, who, definition, span):
        rule = definition.maturity
        if rule and (stage := maturity_stage(rule, row.matures_on, span.first, span.today)) is not None:
            seen = Maturity(
                holding_id=row.id, product=row.product, amount=row.amount, matures_on=row.matures_on, stage=stage
            )
            found.append((row.customer_id, seen))
    return found


async def seen_in_complaints(
    session: Session, who: Who, definition: AlertDefinition, span: Span
) -> list[tuple[str, Complaints]]:
    rule = definition.complaints
    told = await complaints_of(session, who, definition, span)
    return [(customer_id, seen) for customer_id, days in told.items() if rule and (seen := complaints(rule, days))]


async def owe_looks(session: Session, news: Iterable[tuple[str, datetime]], *, now: datetime) -> None:
    """Owe a look at customers of whom something has come in, in the transaction that wrote it.

    News are customers with when it happened. What is older than the look goes back waits for the daily one: a bank's
    history of years that is imported owes nothing.
    """
    batch, customer_ids = new_id(), {customer_id for customer_id, at in news if now - at <= NEWS}
    payloads: dict[str, dict[str, Any]] = {
        f"{batch}:{customer_id}": {"customer_id": customer_id} for customer_id in customer_ids
    }
    await owe_all(session, topic=ALERT_LOOK, payloads=payloads, now=now)
