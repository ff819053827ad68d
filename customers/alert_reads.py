"""What the rules of early warning look at, read for many customers at once by one statement for each kind of record."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, union_all
from sqlalchemy import select as sql_select

from core.days import day_of, months_before, start_of_day
from core.db import Session, table_of, zone_of
from core.fact_kinds import COMPLAINT_FILED
from core.facts import OWN_SOURCE, Fact
from customers.alert_definition import AlertDefinition
from customers.alert_rules import Months
from customers.profiles import Customer, is_present
from customers.records import COMPLAINT, AccountTransaction, Holding, MonthlyBalance, ServiceRecord
from graph.eligibility import Tier
from segments.condition_sql import compiled
from segments.conditions import Condition
from segments.tiering import CustomerTier, tier_at

# Transactions of so many days before are looked at once more, because some come late.
LATE_DAYS = 3

# Which customers are looked at, as a condition on the column that names them.
Who = Callable[[ColumnElement[str]], ColumnElement[bool]]


def between(after: str, last: str) -> Who:
    """The customers after one id, up to another and with it."""
    return lambda column: (column > after) & (column <= last)


def among(ids: Sequence[str]) -> Who:
    return lambda column: column.in_(ids)


@dataclass(frozen=True, slots=True)
class Span:
    """The days that a look is about, of the bank's own time zone: from the first that nobody has looked at to today.

    Money that left is looked at for each of `outflow_days`.
    """

    first: date
    today: date
    outflow_days: tuple[date, ...]
    zone: str
    now: datetime

    def start(self, day: date) -> datetime:
        return start_of_day(day, self.zone)

    def day(self, instant: datetime) -> date:
        return day_of(instant, self.zone)


def span_of(first: date, *, zone: str, now: datetime) -> Span:
    """The span of a daily look: money that left on days that are over, those of late transactions among them."""
    today = day_of(now, zone)
    earliest = first - timedelta(days=LATE_DAYS)
    days = tuple(earliest + timedelta(days=n) for n in range((today - earliest).days))
    return Span(first, today, days, zone, now)


def span_of_today(*, zone: str, now: datetime) -> Span:
    """The span of a look between two daily ones: today as it stands so far, and yesterday."""
    today = day_of(now, zone)
    return Span(today, today, (today - timedelta(days=1), today), zone, now)


@dataclass(frozen=True, slots=True)
class Activity:
    """How many transactions a customer had in a span and in the one before it, and when the last one was."""

    recent: int
    before: int
    last_at: datetime | None


async def rows_of(session: Session, statement: Any) -> Sequence[Any]:
    """Plain rows: no objects are made of tens of thousands of records."""
    return (await (await session.connection()).execute(statement)).all()


async def vips(session: Session, who: Who, *, now: datetime) -> set[str]:
    """Who is VIP at this instant: an override that is over counts no more, though its end is not settled yet."""
    customer_id = table_of(CustomerTier).c.customer_id
    found = await rows_of(session, sql_select(customer_id).where(who(customer_id), tier_at(now) == Tier.VIP))
    return {row.customer_id for row in found}


async def months_of(session: Session, who: Who, definition: AlertDefinition, span: Span) -> dict[str, Months]:
    """The monthly averages that any rule needs, by customer, month and source."""
    balance = table_of(MonthlyBalance).c
    lengths = [1] + [rule.months for rule in (definition.anomaly,) if rule]
    lengths += [rule.months + 1 for rule in (definition.balance_drop,) if rule]
    statement = sql_select(
        balance.customer_id, balance.month, balance.source, func.sum(balance.average).label("average")
    ).where(
        who(balance.customer_id),
        balance.currency == definition.currency,
        balance.month >= months_before(span.today, max(lengths)),
        balance.month <= months_before(span.today),
    )
    found: dict[str, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    # Of a source that has several names for a customer all count.
    for row in await rows_of(session, statement.group_by(balance.customer_id, balance.month, balance.source)):
        found[row.customer_id][row.month][row.source] = int(row.average)
    return {customer_id: months for customer_id, months in found.items()}


def latest_balance(months: Months) -> int | None:
    """The balance of 30 days: the average of the last month of which anybody told."""
    return sum(months[max(months)].values()) if months else None


async def outflows_of(
    session: Session, who: Who, definition: AlertDefinition, span: Span
) -> dict[str, list[tuple[date, int]]]:
    """What came less what left on each day of the span, where that is below zero, the latest day first."""
    if definition.large_outflow is None or not span.outflow_days:
        return {}
    moved = table_of(AccountTransaction).c
    starts = {day: (span.start(day), span.start(day + timedelta(days=1))) for day in span.outflow_days}
    sums = [
        func.sum(case(((moved.occurred_at >= start) & (moved.occurred_at < end), moved.amount), else_=0))
        for start, end in starts.values()
    ]
    statement = sql_select(moved.customer_id, *sums).where(
        who(moved.customer_id),
        moved.currency == definition.currency,
        moved.occurred_at >= min(start for start, _ in starts.values()),
        moved.occurred_at < max(end for _, end in starts.values()),
        moved.occurred_at <= span.now,
    )
    found: dict[str, list[tuple[date, int]]] = {}
    for customer_id, *nets in await rows_of(session, statement.group_by(moved.customer_id)):
        days = [(day, int(net)) for day, net in zip(starts, nets, strict=True) if net < 0]
        if days:
            found[customer_id] = sorted(days, reverse=True)
    return found


async def activities_of(session: Session, who: Who, definition: AlertDefinition, span: Span) -> dict[str, Activity]:
    """The activity of customers who have moved money within the spans of the rules, or ever."""
    if not definition.activity_drop and not definition.dormant:
        return {}
    days = definition.activity_drop.days if definition.activity_drop else 0
    quiet = definition.dormant.days if definition.dormant else 0
    begin = span.today - timedelta(days=max(2 * days, quiet))
    moved = table_of(AccountTransaction).c
    turn, start, end = (span.start(span.today - timedelta(days=back)) for back in (days, 2 * days, 0))
    recent = func.sum(case(((moved.occurred_at >= turn) & (moved.occurred_at < end), 1), else_=0))
    before = func.sum(case(((moved.occurred_at >= start) & (moved.occurred_at < turn), 1), else_=0))
    statement = sql_select(moved.customer_id, recent, before, func.max(moved.occurred_at)).where(
        who(moved.customer_id), moved.occurred_at >= span.start(begin), moved.occurred_at <= span.now
    )
    rows = await rows_of(session, statement.group_by(moved.customer_id))
    found = {customer_id: Activity(int(now), int(then), last) for customer_id, now, then, last in rows}
    if definition.dormant:
        for customer_id, last_at in await silent_since(session, who, span.start(begin)):
            found.setdefault(customer_id, Activity(0, 0, last_at))
    return found


async def silent_since(session: Session, who: Who, begin: datetime) -> Sequence[tuple[str, datetime]]:
    """The last transactions of customers who had none from an instant on; the index answers for each of them."""
    customer, moved = table_of(Customer).c, table_of(AccountTransaction).c
    mine = moved.customer_id == customer.id
    last = sql_select(func.max(moved.occurred_at)).where(mine).correlate(table_of(Customer)).scalar_subquery()
    later = sql_select(moved.id).where(mine, moved.occurred_at >= begin).correlate(table_of(Customer)).exists()
    statement = sql_select(customer.id, last).where(who(customer.id), ~later)
    return [(customer_id, last_at) for customer_id, last_at in await rows_of(session, statement) if last_at]


async def maturing(session: Session, who: Who, definition: AlertDefinition, span: Span) -> Sequence[Any]:
    """The holdings that may be at one of their stages in the span, of which something is left."""
    rule, held = definition.maturity, table_of(Holding).c
    if rule is None:
        return []
    statement = sql_select(held.customer_id, held.id, held.product, held.amount, held.matures_on).where(
        who(held.customer_id),
        held.amount > 0,
        held.currency == definition.currency,
        held.matures_on >= span.first - timedelta(days=max(rule.stages)),
        held.matures_on <= span.today - timedelta(days=min(rule.stages)),
    )
    return await rows_of(session, statement)


def is_own_complaint() -> ColumnElement[bool]:
    """Whether a fact tells of a complaint that was filed here."""
    fact = table_of(Fact).c
    return (fact.kind == COMPLAINT_FILED) & (fact.source == OWN_SOURCE)


async def complaints_of(
    session: Session, who: Who, definition: AlertDefinition, span: Span
) -> Mapping[str, list[date]]:
    """The days on which customers complained in the span of the rule, today being its last day.

    To what the bank's systems tell, those are added that were filed here: of imported ones there are facts as well.
    """
    rule, told, filed = definition.complaints, table_of(ServiceRecord).c, table_of(Fact).c
    found: dict[str, list[date]] = defaultdict(list)
    if rule is not None:
        begin = span.start(span.today - timedelta(days=rule.days - 1))
        imported = sql_select(told.customer_id, told.occurred_at).where(
            who(told.customer_id), told.kind == COMPLAINT, told.occurred_at >= begin, told.occurred_at <= span.now
        )
        own = sql_select(filed.customer_id, filed.occurred_at).where(
            who(filed.customer_id), is_own_complaint(), filed.occurred_at >= begin, filed.occurred_at <= span.now
        )
        for customer_id, at in await rows_of(session, union_all(imported, own)):
            found[customer_id].append(span.day(at))
    return found


async def holding_true(
    session: Session, who: Who, conditions: Mapping[str, Condition], *, now: datetime
) -> Iterable[tuple[str, str]]:
    """Customers with the keys of the conditions that hold for them.

    A condition may hold for whoever is unknown, so those who were erased or merged are left out.
    """
    customer, found = table_of(Customer).c, list[tuple[str, str]]()
    for key, condition in conditions.items():
        holds = compiled(condition, customer.id, now=now, zone=zone_of(session))
        statement = sql_select(customer.id).where(who(customer.id), is_present(), holds)
        found += [(row.id, key) for row in await rows_of(session, statement)]
    return found
