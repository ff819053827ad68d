"""What was earned, and the counters of caps: a row for each rule, customer and span, moved with the earning itself.

A counter begins as the fold of the earnings that there are, so that a cap which comes with a later version counts
what was earned before it in the same span.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, func
from sqlmodel import Field, col, select

from core.db import Record, Session, instant
from loyalty.earning_course import Span

RuleAndCustomer = tuple[str, str]


class Earning(Record, table=True):
    """What one fact earned by one version of a rule, and why less than was wanted; once by rule and fact.

    `key` names its posting in the ledger. `reversal_id` is the fact that took it back.
    """

    __table_args__ = (
        UniqueConstraint("rule_id", "fact_id"),
        ForeignKeyConstraint(["rule_id", "version"], ["earning_rule_version.rule_id", "earning_rule_version.version"]),
        Index("ix_earning_customer", "customer_id", "occurred_at", "id"),
        Index("ix_earning_rule", "rule_id", "customer_id", "occurred_at"),
    )

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    rule_id: str
    version: int
    fact_id: str = Field(foreign_key="fact.id", index=True)
    customer_id: str
    wanted_points: int
    points: int
    reason: str | None = None
    cap_period: str | None = None
    occurred_at: datetime = instant()
    earned_at: datetime = instant()
    reversed_at: datetime | None = instant(optional=True)
    reversal_id: str | None = Field(default=None, foreign_key="fact.id")


class EarningCounter(Record, table=True):
    """How many earnings of a customer by a rule count in one span, and their points."""

    id: str = Field(primary_key=True)
    points: int = Field(sa_type=BigInteger)
    times: int


def counter_id(owner: RuleAndCustomer, span: Span) -> str:
    return ":".join((*owner, span.name))


async def lock_counters(
    session: Session, asked: Mapping[RuleAndCustomer, Sequence[Span]]
) -> dict[RuleAndCustomer, dict[str, EarningCounter]]:
    """The counters of these spans by their names, locked in the order of their ids; the caller holds the customers."""
    named = {counter_id(owner, span): (owner, span) for owner, spans in asked.items() for span in spans}
    if not named:
        return defaultdict(dict)
    statement = select(EarningCounter).where(col(EarningCounter.id).in_(list(named)))
    ordered = statement.order_by(col(EarningCounter.id)).with_for_update()
    rows = (await session.exec(ordered.execution_options(populate_existing=True))).all()
    found = {row.id: row for row in rows}
    missing = {key: named[key] for key in sorted(named.keys() - found.keys())}
    for key, (points, times) in (await fold(session, missing)).items():
        found[key] = EarningCounter(id=key, points=points, times=times)
        session.add(found[key])
    counters: dict[RuleAndCustomer, dict[str, EarningCounter]] = defaultdict(dict)
    for key, (owner, span) in named.items():
        counters[owner][span.name] = found[key]
    return counters


async def fold(session: Session, named: Mapping[str, tuple[RuleAndCustomer, Span]]) -> dict[str, tuple[int, int]]:
    """Points and number of the earnings that count in each of these spans; a counter always equals it."""
    customers: dict[tuple[str, Span], list[str]] = defaultdict(list)
    for (rule_id, customer_id), span in named.values():
        customers[rule_id, span].append(customer_id)
    found: dict[str, tuple[int, int]] = dict.fromkeys(named, (0, 0))
    for (rule_id, span), ids in customers.items():
        statement = (
            select(Earning.customer_id, func.sum(col(Earning.points)), func.count(col(Earning.id)))
            .where(
                Earning.rule_id == rule_id,
                col(Earning.customer_id).in_(ids),
                Earning.occurred_at >= span.start,
                Earning.occurred_at < span.end,
                col(Earning.reversed_at).is_(None),
                Earning.points > 0,
            )
            .group_by(col(Earning.customer_id))
        )
        for customer_id, points, times in (await session.exec(statement)).all():
            found[counter_id((rule_id, customer_id), span)] = (int(points), int(times))
    return found
