"""Conditions as SQL: an expression for any WHERE, all values as parameters, on SQLite and PostgreSQL alike (ADR 22)."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, exists, func, literal, not_, or_, true
from sqlalchemy import select as sql_select
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import col

from core.days import day_of, days_before
from core.db import Session, zone_of
from core.facts import Fact
from graph.eligibility import Tier
from segments.conditions import AllOf, AnyOf, Comparison, Condition, HadEvents, HasTag, HasTrait, InTier, Not
from segments.tagging import CustomerTag, holds_at
from segments.tiering import CustomerTier, tier_at, watch_at
from segments.traits import CustomerTrait, TraitKind, fresh_from

Of = ColumnElement[str] | Mapped[str]
# Which facts count as events, where not all of them do.
Which = Callable[[type[Fact]], ColumnElement[bool]]


async def matches(session: Session, condition: Condition, customer_id: str, *, now: datetime) -> bool:
    """Whether one customer meets the condition now, in one statement."""
    met = compiled(condition, literal(customer_id), now=now, zone=zone_of(session))
    return bool((await (await session.connection()).execute(sql_select(literal(1)).where(met))).first())


def compiled(
    condition: Condition, customer_id: Of, *, now: datetime, zone: str, which: Which | None = None
) -> ColumnElement[bool]:
    """The condition about the customer of `customer_id`, which may be a column of the statement around or a value.

    Ages are counted by the days of the zone, which is the bank's own. With `which` only these facts are events.
    """
    match condition:
        case AllOf(parts):
            return and_(*(compiled(part, customer_id, now=now, zone=zone, which=which) for part in parts))
        case AnyOf(parts):
            return or_(*(compiled(part, customer_id, now=now, zone=zone, which=which) for part in parts))
        case Not(part):
            return not_(compiled(part, customer_id, now=now, zone=zone, which=which))
        case HasTag():
            return has_tag(condition, customer_id, now)
        case InTier():
            return in_tier(condition, customer_id, now)
        case HasTrait():
            return has_trait(condition, customer_id, now, zone)
        case HadEvents():
            return had_events(condition, customer_id, now, which)


# Each leaf reads an alias of its table, so that the statement around it may read the same table.


def has_tag(leaf: HasTag, customer_id: Of, now: datetime) -> ColumnElement[bool]:
    tag = aliased(CustomerTag)
    sure = true() if leaf.min_confidence is None else col(tag.confidence) >= leaf.min_confidence
    return one_of(tag, col(tag.customer_id) == customer_id, col(tag.tag_key).in_(leaf.keys), holds_at(now, tag), sure)


def one_of(rows: Any, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(sql_select(literal(1)).select_from(rows).where(*where))


def in_tier(leaf: InTier, customer_id: Of, now: datetime) -> ColumnElement[bool]:
    """MASS is whoever has no row, so that its question is whether none has another tier."""
    row = aliased(CustomerTier)
    mine, tier, watch = col(row.customer_id) == customer_id, tier_at(now, row), watch_at(now, row)
    watched = true() if leaf.on_watch is None else watch.is_(leaf.on_watch)
    if Tier.MASS not in leaf.tiers or leaf.on_watch:
        return one_of(row, mine, tier.in_(sorted(leaf.tiers)), watched)
    unmet = tier.not_in(sorted(leaf.tiers))
    return not_(one_of(row, mine, unmet if leaf.on_watch is None else or_(unmet, not_(watched))))


def has_trait(leaf: HasTrait, customer_id: Of, now: datetime, zone: str) -> ColumnElement[bool]:
    row = aliased(CustomerTrait)
    mine = [col(row.customer_id) == customer_id, col(row.name) == leaf.name]
    if not leaf.is_known:
        return not_(one_of(row, *mine))
    if leaf.is_fresh and leaf.stale_after_days is not None:
        mine.append(col(row.observed_at) >= fresh_from(now, leaf.stale_after_days))
    today = day_of(now, zone)
    return one_of(row, *mine, *(compared(row, leaf.kind, one, today) for one in leaf.comparisons))


Compare = Callable[[Any, Any], ColumnElement[bool]]
PLAIN: Mapping[str, Compare] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "in": lambda column, value: column.in_(value),
    "after": lambda column, value: column > value,
    "before": lambda column, value: column < value,
}


def compared(row: type[CustomerTrait], kind: TraitKind, one: Comparison, today: date) -> ColumnElement[bool]:
    if kind == TraitKind.DATE:
        day = col(row.day)
        if one.operator in PLAIN:
            return PLAIN[one.operator](day, one.value)
        years = int(one.value)  # pyright: ignore[reportArgumentType] - ages are whole numbers
        if one.operator == "age_at_least":
            return day <= years_before(today, years)
        return and_(day > years_before(today, years + 1), day <= today)
    column = col(row.word) if kind == TraitKind.TEXT else col(row.number)
    return PLAIN[one.operator](column, one.value)


def years_before(today: date, years: int) -> date:
    """The latest day that is so many whole years ago; who was born on 29 February is a year older from 1 March on."""
    try:
        return today.replace(year=today.year - years)
    except ValueError:
        return date(today.year - years, 2, 28)


def had_events(leaf: HadEvents, customer_id: Of, now: datetime, which: Which | None = None) -> ColumnElement[bool]:
    """The span begins after the instant so many days ago and ends with `now`; what lies ahead has not happened."""
    if leaf.at_least == 0 and leaf.at_most is None:
        return true()
    fact = aliased(Fact)
    mine = [
        col(fact.kind) == leaf.kind,
        col(fact.customer_id) == customer_id,
        col(fact.occurred_at) > days_before(now, leaf.within_days),
        col(fact.occurred_at) <= now,
        *([which(fact)] if which else []),
    ]
    if leaf.at_most == 0:
        return not_(one_of(fact, *mine))
    if leaf.at_least == 1 and leaf.at_most is None:
        return one_of(fact, *mine)
    count = sql_select(func.count()).select_from(fact).where(*mine).scalar_subquery()
    # Where some are asked for, those who have none are passed over by a join, before anything is counted.
    least = and_(one_of(fact, *mine), count >= literal(leaf.at_least, BigInteger)) if leaf.at_least else true()
    most = true() if leaf.at_most is None else count <= literal(leaf.at_most, BigInteger)
    return and_(least, most)
