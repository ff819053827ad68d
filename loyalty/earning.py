"""Earning rules: versioned, one active version per kind of fact."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import UniqueConstraint, update
from sqlmodel import Field, col, select

from core.db import Record, Session, changed_rows, insert_once, instant
from core.facts import Fact
from core.ids import derived_id
from loyalty.ledger import Cause
from loyalty.lots import Earned, earn_all

EARNING_RULE = "EARNING_RULE"


class EarningRule(Record, table=True):
    """Points for a kind of fact; `hold_days` pending, then spendable until `expires_days` after the fact."""

    __table_args__ = (UniqueConstraint("fact_kind", "version"),)

    id: str = Field(primary_key=True)
    fact_kind: str
    version: int
    points: int
    hold_days: int
    expires_days: int
    active: bool
    created_at: datetime = instant()


class Earning(Record, table=True):
    """The points that one fact earned, and by which version of the rule."""

    id: str = Field(primary_key=True)
    rule_id: str = Field(foreign_key="earning_rule.id")
    fact_id: str = Field(foreign_key="fact.id", unique=True)
    customer_id: str
    points: int


async def activate_earning_rule(
    session: Session, *, fact_kind: str, points: int, hold_days: int, expires_days: int, now: datetime
) -> str:
    """Make a new version the active one for its kind of fact; what was earned before stays."""
    statement = select(EarningRule).where(EarningRule.fact_kind == fact_kind)
    versions = (await session.exec(statement.order_by(col(EarningRule.version).desc()).with_for_update())).all()
    await changed_rows(session, update(EarningRule).where(col(EarningRule.fact_kind) == fact_kind).values(active=False))
    version = versions[0].version + 1 if versions else 1
    rule = EarningRule(
        id=derived_id("earning_rule", fact_kind, str(version)),
        fact_kind=fact_kind,
        version=version,
        points=points,
        hold_days=hold_days,
        expires_days=expires_days,
        active=True,
        created_at=now,
    )
    session.add(rule)
    await session.flush()
    return rule.id


async def earn_for_facts(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Post what the active rules give for the facts, each once however often it is asked."""
    statement = select(EarningRule).where(
        col(EarningRule.fact_kind).in_({fact.kind for fact in facts}), col(EarningRule.active).is_(True)
    )
    rules = {rule.fact_kind: rule for rule in (await session.exec(statement)).all()}
    earning = [fact for fact in facts if fact.kind in rules]
    if not earning:
        return
    rows: list[dict[str, Any]] = [
        {
            "id": derived_id("earning", fact.id),
            "rule_id": rules[fact.kind].id,
            "fact_id": fact.id,
            "customer_id": fact.customer_id,
            "points": rules[fact.kind].points,
        }
        for fact in earning
    ]
    # Where a fact has earned before, its earning and its posting stay as they are.
    await insert_once(session, Earning, rows)
    await earn_all(session, [earned_by(fact, rules[fact.kind]) for fact in earning], now=now)


def earned_by(fact: Fact, rule: EarningRule) -> Earned:
    return Earned(
        key=f"earning:{fact.id}",
        customer_id=fact.customer_id,
        points=rule.points,
        cause=Cause(EARNING_RULE, derived_id("earning", fact.id)),
        occurred_at=fact.occurred_at,
        available_at=fact.occurred_at + timedelta(days=rule.hold_days),
        expires_at=fact.occurred_at + timedelta(days=rule.expires_days),
    )


async def earnings_by_id(session: Session, ids: Sequence[str]) -> dict[str, tuple[Earning, EarningRule, Fact]]:
    """Earnings with the rule version and the fact that made them, by id."""
    if not ids:
        return {}
    statement = select(Earning, EarningRule, Fact).join(EarningRule).join(Fact).where(col(Earning.id).in_(list(ids)))
    return {row[0].id: (row[0], row[1], row[2]) for row in (await session.exec(statement)).all()}
