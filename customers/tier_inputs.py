"""The inputs of tiers for the customers of a range: what balances and traits say at the end of a month.

Balances in the policy's currency are summed over their sources. Where a month has none, the last before it stands in,
up to `carry_months` back; where there is none either, another source's trait does while it is not stale. A stale
potential is unknown; a risk level counts however old it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, true
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from core.clock import as_utc
from core.days import months_before, next_month, start_of_month
from core.db import Session, table_of
from core.facts import OWN_SOURCE
from customers.profiles import Customer, is_present
from customers.records import MonthlyBalance
from customers.tier_policy import TierDefinition
from customers.tier_rules import InputMark, Inputs
from segments.traits import CustomerTrait, TraitDefinition, fresh_from

ASSETS, CONTRIBUTION, POTENTIAL, RISK = TRAITS = ("assets", "contribution_12m", "potential", "risk_level")
MONTHS = 12
MOST_POTENTIAL = 100


@dataclass(frozen=True, slots=True)
class Range:
    """Customers by their ids, `after` exclusive and `last` inclusive."""

    after: str
    last: str

    def has(self, column: Any) -> ColumnElement[bool]:
        return and_(column > self.after, column <= self.last)


@dataclass(frozen=True, slots=True)
class Question:
    """A month as a run asks for it: its end, exclusive, the bank's zone, and after how many days a trait is stale."""

    policy: TierDefinition
    month: date
    ends_at: datetime
    zone: str
    stale_after: dict[str, int | None]

    def is_fresh(self, name: Any, observed_at: Any) -> ColumnElement[bool]:
        """Whether a trait is not stale at the end of the month."""
        limits = {one: observed_at >= fresh_from(self.ends_at, days) for one, days in self.stale_after.items() if days}
        return case(*((name == one, is_fresh) for one, is_fresh in limits.items()), else_=true()) if limits else true()


async def stale_after_days(session: Session) -> dict[str, int | None]:
    statement = select(TraitDefinition.name, TraitDefinition.stale_after_days)
    return dict((await session.exec(statement.where(col(TraitDefinition.name).in_(TRAITS)))).all())


def whole_months(since: date, until: date) -> int:
    """The whole months between two days; none where the second is not later."""
    months = (until.year - since.year) * MONTHS + until.month - since.month - (until.day < since.day)
    return max(0, months)


async def customers_after(session: Session, after: str, *, limit: int) -> list[tuple[str, datetime | None]]:
    """The next customers by id, with since when they are."""
    statement = select(Customer.id, Customer.customer_since).where(Customer.id > after, is_present())
    return list((await session.exec(statement.order_by(col(Customer.id)).limit(limit))).all())


async def inputs_of(
    session: Session, question: Question, customers: Sequence[tuple[str, datetime | None]], range: Range
) -> dict[str, Inputs]:
    """The inputs of each of these customers, which are all those of the range, by two statements."""
    balances = await balances_of(session, question, range)
    traits = await traits_of(session, question, range)
    until, zone = next_month(question.month), ZoneInfo(question.zone)
    return {
        customer_id: combined(
            question,
            balances.get(customer_id),
            traits.get(customer_id, {}),
            None if since is None else whole_months(since.astimezone(zone).date(), until),
        )
        for customer_id, since in customers
    }


async def balances_of(session: Session, question: Question, range: Range) -> dict[str, Any]:
    """One row for each customer of the range, with the averages of the month and of those that may stand in for it."""
    table = table_of(MonthlyBalance).c
    counts = table.currency == question.policy.currency
    averages = [
        total(
            case((and_(counts, table.month == months_before(question.month, back)), table.average)), f"average_{back}"
        )
        for back in range_of(question.policy.carry_months)
    ]
    since = months_before(question.month, question.policy.carry_months)

    def sources(told: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(func.distinct(case((told, table.source))))

    statement = sql_select(
        table.customer_id,
        total(case((counts, table.contribution)), "contribution"),
        func.max(case((counts, table.month))).label("newest"),
        func.max(case((counts, 0), else_=1)).label("has_other"),
        sources(and_(counts, table.month == question.month)).label("sources"),
        sources(and_(counts, table.month >= since)).label("recent_sources"),
        *averages,
    ).where(
        range.has(table.customer_id), table.month > months_before(question.month, MONTHS), table.month <= question.month
    )
    connection = await session.connection()
    rows = (await connection.execute(statement.group_by(table.customer_id))).all()
    return {row.customer_id: row for row in rows}


def range_of(carry_months: int) -> Sequence[int]:
    return range(carry_months + 1)


def total(what: Any, name: str) -> Any:
    return cast(func.sum(what), BigInteger).label(name)


async def traits_of(session: Session, question: Question, range: Range) -> dict[str, dict[str, Any]]:
    """The traits that count for tiers, by customer and name; what runs themselves have written is left out."""
    table = table_of(CustomerTrait).c
    fresh = question.is_fresh(table.name, table.observed_at)
    statement = sql_select(table.customer_id, table.name, table.number, table.word, fresh.label("is_fresh")).where(
        range.has(table.customer_id), table.name.in_(TRAITS), table.item == "", table.source != OWN_SOURCE
    )
    connection = await session.connection()
    found: dict[str, dict[str, Any]] = {}
    for row in (await connection.execute(statement)).all():
        found.setdefault(row.customer_id, {})[row.name] = row
    return found


def combined(question: Question, balance: Any, traits: dict[str, Any], tenure: int | None) -> Inputs:
    """The inputs of one customer from what was found."""
    marks = InputMark.NONE
    assets, carried, contribution = None, 0, None
    if balance is not None:
        assets, carried = latest_average(balance, question.policy.carry_months)
        contribution = balance.contribution
        if balance.has_other:
            marks |= InputMark.OTHER_CURRENCY
        if 0 < balance.sources < balance.recent_sources:
            marks |= InputMark.SOURCE_MISSING
        if contribution is not None and balance.newest < question.month:
            marks |= InputMark.CONTRIBUTION_OLD
    if not traits:
        return Inputs(assets, contribution, None, tenure, None, carried, marks)
    if assets is None and (assets := fresh_number(traits, ASSETS)) is not None:
        marks |= InputMark.ASSETS_BY_TRAIT
    if contribution is None and (contribution := fresh_number(traits, CONTRIBUTION)) is not None:
        marks |= InputMark.CONTRIBUTION_BY_TRAIT
    potential, risk = fresh_number(traits, POTENTIAL), traits.get(RISK)
    if potential is not None:
        # Points from 0 to 100; whoever sends more means the most, and no month may fail by it.
        potential = min(max(potential, 0), MOST_POTENTIAL)
    if potential is None and POTENTIAL in traits:
        marks |= InputMark.POTENTIAL_STALE
    if risk is not None and not risk.is_fresh:
        marks |= InputMark.RISK_STALE
    return Inputs(assets, contribution, potential, tenure, risk.word if risk else None, carried, marks)


def latest_average(balance: Any, carry_months: int) -> tuple[int | None, int]:
    """The sum of the averages of the latest month that has any, and from how many months before it is."""
    for back in range_of(carry_months):
        found = getattr(balance, f"average_{back}")
        if found is not None:
            return found, back
    return None, 0


def fresh_number(traits: dict[str, Any], name: str) -> int | None:
    found = traits.get(name)
    return found.number if found is not None and found.is_fresh else None


def question_of(policy: TierDefinition, month: date, ends_at: datetime, zone: str, stale: dict[str, Any]) -> Question:
    return Question(policy, start_of_month(month), as_utc(ends_at), zone, stale)
