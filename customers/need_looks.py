"""Looking for needs: the rules of the active policy over many customers, by one statement for each rule."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select as sql_select

from core.clock import iso
from core.db import Session, table_of, zone_of
from customers.alert_reads import Who, among, rows_of
from customers.insight_policies import InsightPolicy, PolicyKind, active_policy
from customers.need_definition import NeedDefinition, NeedRule, need_conditions
from customers.needs import NeedGuard, Suspicion
from customers.profiles import Customer, is_present
from segments.condition_sql import compiled
from segments.conditions import AllOf, AnyOf, Condition, HasTag, HasTrait, Not, load_vocabulary
from segments.tagging import CustomerTag, holds_at
from segments.traits import CustomerTrait

# So many values of one trait are kept as evidence; a customer has few children and firms.
MOST_VALUES = 10


class NeedPolicy:
    """A policy as it is used: its rules, with conditions that were read by the present vocabulary."""

    def __init__(self, policy_id: str, definition: NeedDefinition, conditions: dict[str, Condition]) -> None:
        self.id = policy_id
        self.definition = definition
        self.conditions = conditions


async def need_policy_in_use(session: Session) -> NeedPolicy:
    return await read_need_policy(session, await active_policy(session, PolicyKind.NEEDS))


async def read_need_policy(session: Session, row: InsightPolicy) -> NeedPolicy:
    definition = NeedDefinition.model_validate(row.definition)
    return NeedPolicy(row.id, definition, need_conditions(definition, await load_vocabulary(session)))


async def need_definition_in_use(session: Session) -> NeedDefinition:
    """The spans of the active policy, for who needs no conditions."""
    return NeedDefinition.model_validate((await active_policy(session, PolicyKind.NEEDS)).definition)


async def suspect(session: Session, who: Who, policy: NeedPolicy, *, now: datetime) -> list[Suspicion]:
    """Customers for whom a rule holds and against whose need nothing stands, with the values by which it holds."""
    found: list[tuple[str, NeedRule]] = []
    for rule in policy.definition.rules:
        ids = await meeting(session, who, rule, policy.conditions[rule.key], now=now)
        found += [(customer_id, rule) for customer_id in ids]
    values = await values_of(session, sorted({one for one, _ in found}), policy.conditions.values(), now=now)
    return [
        Suspicion(customer_id, rule, evidence_of(policy.conditions[rule.key], values[customer_id]))
        for customer_id, rule in found
    ]


async def meeting(session: Session, who: Who, rule: NeedRule, condition: Condition, *, now: datetime) -> Sequence[str]:
    """For whom a rule holds; a condition may hold for whoever is unknown, so the erased and merged are left out."""
    customer, guard = table_of(Customer).c, table_of(NeedGuard).c
    stands_against = (
        sql_select(guard.need_id)
        .where(guard.customer_id == customer.id, guard.kind == rule.need, guard.blocked_until > now)
        .correlate(table_of(Customer))
        .exists()
    )
    statement = sql_select(customer.id).where(
        who(customer.id),
        is_present(),
        compiled(condition, customer.id, now=now, zone=zone_of(session)),
        ~stands_against,
    )
    return [row.id for row in await rows_of(session, statement)]


def leaves(condition: Condition) -> Iterator[Condition]:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition


def named(condition: Condition) -> frozenset[str]:
    """What a condition asks for, as values are named: `trait:assets`, `tag:retiree`."""
    names = (
        f"trait:{leaf.name}" if isinstance(leaf, HasTrait) else f"tag:{leaf.key}"
        for leaf in leaves(condition)
        if isinstance(leaf, HasTrait | HasTag)
    )
    return frozenset(names)


Values = Mapping[str, Mapping[str, list[dict[str, Any]]]]


async def values_of(session: Session, customer_ids: Sequence[str], conditions: Any, *, now: datetime) -> Values:
    """What is known of these customers among what the conditions ask for, by customer and name, in two statements."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    asked = sorted(frozenset[str]().union(*(named(condition) for condition in conditions)))
    traits = [name.removeprefix("trait:") for name in asked if name.startswith("trait:")]
    tags = [name.removeprefix("tag:") for name in asked if name.startswith("tag:")]
    who = among(customer_ids)
    if customer_ids and traits:
        trait = table_of(CustomerTrait).c
        statement = sql_select(*trait).where(who(trait.customer_id), trait.name.in_(traits))
        for row in await rows_of(session, statement.order_by(trait.customer_id, trait.name, trait.item)):
            value = next((one for one in (row.number, row.word) if one is not None), None)
            told = {"value": str(row.day) if row.day else value, "source": row.source, "at": iso(row.observed_at)}
            found[row.customer_id][f"trait:{row.name}"].append(told)
    if customer_ids and tags:
        tag = table_of(CustomerTag).c
        statement = sql_select(*tag).where(who(tag.customer_id), tag.tag_key.in_(tags), holds_at(now))
        for row in await rows_of(session, statement.order_by(tag.customer_id, tag.tag_key)):
            told = {"value": row.confidence, "source": row.source, "at": iso(row.since)}
            found[row.customer_id][f"tag:{row.tag_key}"].append(told)
    return found


def evidence_of(condition: Condition, values: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The values that one condition asks for."""
    return {name: values[name][:MOST_VALUES] for name in sorted(named(condition)) if name in values}
