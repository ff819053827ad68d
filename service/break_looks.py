"""Looking whether facts make a rule's condition true: asked about the customer at the instant of each of them.

A fact that comes late can make the condition true at a later one that is known already, so those are asked about too.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import literal, union_all
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.batches import in_batches
from core.db import Session, zone_of
from core.facts import Fact
from core.ids import new_id
from segments.condition_sql import compiled
from segments.conditions import load_vocabulary
from service.break_definition import LONGEST_WINDOW_DAYS, BreakTerms, parse_break_definition
from service.break_rules import ActiveRule, active_rules
from service.breaks import ServiceBreak, Trigger, open_breaks, proven_facts, says
from service.service_standings import hold_standings
from service.survey_links import link_earlier_surveys

# What happened longer ago is history that comes in, and no break that could still be repaired.
NEWS = timedelta(days=LONGEST_WINDOW_DAYS)
# So many questions are asked in one statement.
ASKED_AT_ONCE = 100
LONGEST_CAUSE = 200
# A preview looks at so many of the latest facts, over so many days.
PREVIEWED_FACTS = 2_000
PREVIEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class BreakPreview:
    """How many breaks a definition would have opened in the last days, over the latest of the facts of its kinds."""

    breaks: int
    customers: int
    looked_at: int
    days: int


async def find_breaks(session: Session, facts: Sequence[Fact], *, now: datetime) -> list[ServiceBreak]:
    """Open the breaks that these facts make, each once however often they are looked at; returns the new ones."""
    rules = await active_rules(session, {fact.kind for fact in facts}) if facts else []
    triggers = await triggers_of(session, rules, facts, now=now)
    if not triggers:
        return []
    customers = {one.fact.customer_id for one in triggers}
    await hold_standings(session, customers)
    new = await open_breaks(session, triggers, now=now)
    await link_earlier_surveys(session, new)
    return new


async def triggers_of(
    session: Session, rules: Sequence[ActiveRule], facts: Sequence[Fact], *, now: datetime
) -> list[Trigger]:
    """Those facts, these and what is known of later, at which a condition holds and of which there is no break yet."""
    if not rules:
        return []
    asked = list(concerned(rules, facts, await later_facts(session, rules, facts, now=now), now=now))
    proven = await proven_facts(session, {one.rule.id for one in asked}, {one.fact.id for one in asked})
    return await holding(session, [one for one in asked if (one.rule.id, one.fact.id) not in proven])


async def later_facts(
    session: Session, rules: Sequence[ActiveRule], facts: Sequence[Fact], *, now: datetime
) -> Sequence[Fact]:
    """These facts, and what is known of the same customers from the first of them on."""
    kinds = {kind for rule in rules for kind in rule.terms.kinds}
    first = min(fact.occurred_at for fact in facts)
    statement = select(Fact).where(
        col(Fact.kind).in_(sorted(kinds)),
        col(Fact.customer_id).in_(sorted({fact.customer_id for fact in facts})),
        col(Fact.occurred_at) >= max(first, now - NEWS),
        col(Fact.occurred_at) <= now,
    )
    return (await session.exec(statement.order_by(col(Fact.occurred_at), col(Fact.id)))).all()


def concerned(
    rules: Sequence[ActiveRule], facts: Iterable[Fact], known: Sequence[Fact], *, now: datetime
) -> Iterable[Trigger]:
    """Each pair of a rule and a known fact about which one of the facts can have changed something, once."""
    by_customer: dict[str, list[Fact]] = defaultdict(list)
    for fact in known:
        by_customer[fact.customer_id].append(fact)
    seen: set[tuple[str, str]] = set()
    for fact in facts:
        for rule in rules:
            if fact.kind not in rule.terms.kinds or (cause := cause_of(rule.terms, fact)) is None:
                continue
            for later in by_customer[fact.customer_id]:
                near = fact.occurred_at <= later.occurred_at < fact.occurred_at + rule.terms.window
                if not near or later.kind not in rule.terms.kinds or later.occurred_at < rule.applies_from:
                    continue
                if cause_of(rule.terms, later) == cause and (rule.id, later.id) not in seen:
                    seen.add((rule.id, later.id))
                    yield Trigger(rule, later, cause)


def cause_of(terms: BreakTerms, fact: Fact) -> str | None:
    """The value by which the rule tells causes apart, empty where it does not; None for a fact that lacks it."""
    field = terms.definition.same
    if field is None:
        return ""
    value = fact.payload.get(field)
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_CAUSE else None


async def holding(session: Session, asked: Sequence[Trigger]) -> list[Trigger]:
    """Those at whose instant the condition holds, by one statement for a hundred of them."""
    found: list[Trigger] = []
    connection = await session.connection()
    for batch in in_batches(asked, ASKED_AT_ONCE):
        parts = [
            sql_select(literal(place).label("place")).where(condition_at(one, zone_of(session)))
            for place, one in enumerate(batch)
        ]
        rows = (await connection.execute(union_all(*parts))).all()
        found += [batch[place] for place in sorted(row.place for row in rows)]
    return found


def condition_at(trigger: Trigger, zone: str) -> Any:
    terms, fact = trigger.rule.terms, trigger.fact
    field = terms.definition.same
    return compiled(
        terms.condition,
        literal(fact.customer_id),
        now=fact.occurred_at,
        zone=zone,
        which=(lambda events: says(events, field, trigger.cause)) if field else None,
    )


async def preview_break_rule(session: Session, definition: Any, *, now: datetime) -> BreakPreview:
    """What a definition would have found in the last days; raises ServiceBreakRuleInvalid, ConditionInvalid."""
    terms = parse_break_definition(definition, await load_vocabulary(session))
    statement = select(Fact).where(
        col(Fact.kind).in_(sorted(terms.kinds)),
        col(Fact.occurred_at) > now - timedelta(days=PREVIEW_DAYS),
        col(Fact.occurred_at) <= now,
    )
    latest = statement.order_by(col(Fact.occurred_at).desc(), col(Fact.id).desc()).limit(PREVIEWED_FACTS)
    facts = (await session.exec(latest)).all()
    rule = ActiveRule(new_id(), 0, now - timedelta(days=PREVIEW_DAYS), terms)
    triggers = await holding(session, [one for fact in facts for one in asked_alone(rule, fact)])
    return BreakPreview(
        breaks=len({(one.fact.customer_id, one.cause) for one in triggers}),
        customers=len({one.fact.customer_id for one in triggers}),
        looked_at=len(facts),
        days=PREVIEW_DAYS,
    )


def asked_alone(rule: ActiveRule, fact: Fact) -> Collection[Trigger]:
    cause = cause_of(rule.terms, fact)
    return () if cause is None else (Trigger(rule, fact, cause),)
