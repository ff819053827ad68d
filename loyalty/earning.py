"""Earning: what facts bring by the rules, booked once each, and taken back once where a fact is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import col, select

from core.days import Period
from core.db import Session, insert_once
from core.facts import Fact
from core.ids import derived_id
from core.paging import Page, Place, cut, newest_first, page_size
from core.reversals import REVERSES
from loyalty.clawback import Demand, claw_back
from loyalty.earning_caps import Earning, RuleAndCustomer, lock_counters
from loyalty.earning_course import Course, Earned, LessReason, Span, earn
from loyalty.earning_rules import EarningRule, Timeline, timelines_of, watched_kinds
from loyalty.ledger import Cause, hold
from loyalty.lots import Earned as EarnedPoints
from loyalty.lots import earn_all, lot_id

EARNING_RULE = "EARNING_RULE"


@dataclass(slots=True)
class Sitting:
    """The facts of one customer that concern one rule, with what is kept of them so far."""

    rule: Timeline
    customer_id: str
    facts: list[Fact] = field(default_factory=list[Fact])
    kept: dict[str, tuple[Earning, Fact]] = field(default_factory=dict[str, tuple[Earning, Fact]])
    reversals: dict[str, Fact] = field(default_factory=dict[str, Fact])

    @property
    def owner(self) -> RuleAndCustomer:
        return self.rule.rule_id, self.customer_id

    def spans(self) -> list[Span]:
        """The spans whose counters these facts may move."""
        facts = [*filter(self.is_wanted, self.facts), *(fact for _, fact in self.kept.values())]
        found = {span.name: span for fact in facts for span in self.rule.spans(fact.occurred_at)}
        return list(found.values())

    def is_wanted(self, fact: Fact) -> bool:
        version = self.rule.at(fact.occurred_at)
        return version is not None and version.definition.points_for(fact) > 0

    def earned(self) -> dict[str, Earned]:
        """What is kept, as the fold reads it; a reversal that is known already is not looked for again."""
        return {
            fact.id: Earned(
                fact,
                self.rule.versions[row.version],
                row.wanted_points,
                row.points,
                reversal=fact if row.reversed_at else None,
            )
            for row, fact in self.kept.values()
        }


async def earn_for_facts(session: Session, facts: Sequence[Fact], *, now: datetime) -> None:
    """Book what the rules give for facts and take back what facts take back, each once however often it is asked.

    The customers are held from before the caps are read until the end of the transaction.
    """
    watched = await watched_kinds(session, {fact.kind for fact in facts})
    concerned = [fact for fact in facts if fact.kind in watched]
    if not concerned:
        return
    held = {fact.customer_id for fact in concerned}
    await hold(session, held)
    # A rule may have been activated while this waited, and looks at the facts of these customers too.
    watched = await watched_kinds(session, {fact.kind for fact in facts})
    concerned = [fact for fact in facts if fact.kind in watched and fact.customer_id in held]
    rules = await timelines_of(session, {rule_id for ids in watched.values() for rule_id in ids})
    sittings: dict[RuleAndCustomer, Sitting] = {}
    # In the order in which they became known, which is the order of a simulation.
    for fact in sorted(concerned, key=lambda fact: (fact.recorded_at, fact.occurred_at, fact.id)):
        for rule_id in watched[fact.kind]:
            sitting = Sitting(rules[rule_id], fact.customer_id)
            sittings.setdefault(sitting.owner, sitting).facts.append(fact)
    await read_kept(session, sittings)
    await read_reversals(session, sittings)
    counters = await lock_counters(session, {owner: sitting.spans() for owner, sitting in sittings.items()})
    new: list[Earned] = []
    undone: list[tuple[Earning, Earned]] = []
    made: list[dict[str, Any]] = []
    for owner, sitting in sittings.items():
        course = Course(counters[owner], sitting.earned(), {**sitting.reversals})
        fresh, gone = earn(sitting.rule, sitting.facts, course)
        new += fresh
        made += [row_of(sitting, one, now=now) for one in fresh]
        undone += [(sitting.kept[one.fact.id][0], one) for one in gone]
    await take_back(session, undone, now=now)
    await insert_earnings(session, made)
    await earn_all(session, [points_of(row, one) for row, one in zip(made, new, strict=True) if one.points], now=now)


async def read_kept(session: Session, sittings: Mapping[RuleAndCustomer, Sitting]) -> None:
    """What these facts have earned before, and what may be taken back by them; two statements at most."""
    rule_ids = {rule_id for rule_id, _ in sittings}
    facts = {fact.id: fact for sitting in sittings.values() for fact in sitting.facts}
    statement = select(Earning, Fact).join(Fact, col(Fact.id) == col(Earning.fact_id))
    kept = statement.where(col(Earning.rule_id).in_(rule_ids))
    rows = list((await session.exec(kept.where(col(Earning.fact_id).in_(facts)))).all())
    reversing = {kind for sitting in sittings.values() for kind in sitting.rule.reversing}
    about = reversed_by([fact for fact in facts.values() if fact.kind in reversing])
    if about is not None:
        rows += (await session.exec(kept.where(col(Earning.reversed_at).is_(None), about))).all()
    for earning, fact in rows:
        sitting = sittings.get((earning.rule_id, earning.customer_id))
        if sitting is not None:
            sitting.kept[fact.id] = (earning, fact)


def reversed_by(reversals: Collection[Fact]) -> Any:
    """The condition on earnings and their facts that these reversals may take back; None where there is none."""
    named = {
        (fact.customer_id, fact.source): {
            str(one.payload[REVERSES])
            for one in reversals
            if REVERSES in one.payload and (one.customer_id, one.source) == (fact.customer_id, fact.source)
        }
        for fact in reversals
        if REVERSES in fact.payload
    }
    whole = {fact.customer_id for fact in reversals if REVERSES not in fact.payload}
    parts: list[Any] = [
        and_(col(Earning.customer_id) == customer_id, col(Fact.source) == source, col(Fact.key).in_(keys))
        for (customer_id, source), keys in named.items()
    ]
    if whole:
        parts.append(col(Earning.customer_id).in_(whole))
    return or_(*parts) if parts else None


async def read_reversals(session: Session, sittings: Mapping[RuleAndCustomer, Sitting]) -> None:
    """The facts that may take back what is about to be earned, known before it as they may be."""
    kinds = {kind for sitting in sittings.values() for kind in sitting.rule.reversing}
    if not kinds:
        return
    customers = {customer_id for _, customer_id in sittings}
    statement = select(Fact).where(col(Fact.customer_id).in_(customers), col(Fact.kind).in_(kinds))
    found: dict[str, dict[str, Fact]] = defaultdict(dict)
    for fact in (await session.exec(statement)).all():
        found[fact.customer_id][fact.id] = fact
    for (_, customer_id), sitting in sittings.items():
        sitting.reversals = found[customer_id]


def row_of(sitting: Sitting, one: Earned, *, now: datetime) -> dict[str, Any]:
    rule_id, fact = sitting.rule.rule_id, one.fact
    return {
        "id": derived_id("earning", rule_id, fact.id),
        "key": f"earning:{fact.id}:{rule_id}",
        "rule_id": rule_id,
        "version": one.version.number,
        "fact_id": fact.id,
        "customer_id": sitting.customer_id,
        "wanted_points": one.wanted,
        "points": one.points,
        "reason": one.reason,
        "cap_period": one.period,
        "occurred_at": fact.occurred_at,
        "earned_at": now,
        "reversed_at": now if one.reversal else None,
        "reversal_id": one.reversal.id if one.reversal else None,
    }


async def insert_earnings(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    if rows and await insert_once(session, Earning, rows) != len(rows):
        raise RuntimeError("one of these was earned meanwhile by somebody who does not hold its customer")


def points_of(row: Mapping[str, Any], one: Earned) -> EarnedPoints:
    """What the ledger is to book for an earning."""
    definition, at = one.version.definition, one.fact.occurred_at
    return EarnedPoints(
        key=row["key"],
        customer_id=row["customer_id"],
        points=one.points,
        cause=Cause(EARNING_RULE, row["id"]),
        occurred_at=at,
        available_at=at + timedelta(days=definition.hold_days),
        expires_at=at + timedelta(days=definition.expires_days),
    )


async def take_back(session: Session, undone: Iterable[tuple[Earning, Earned]], *, now: datetime) -> None:
    """Mark earnings as taken back, and claw back what they brought by the policy of their version."""
    demands: list[Demand] = []
    for row, one in undone:
        row.reversed_at, row.reversal_id = now, one.reversal.id if one.reversal else None
        if row.points:
            demands.append(
                Demand(
                    key=f"clawback:{row.key}",
                    cause=Cause(EARNING_RULE, row.id),
                    customer_id=row.customer_id,
                    lot_id=lot_id(row.key),
                    points=row.points,
                    shortfall=one.version.definition.shortfall,
                )
            )
    await session.flush()
    if demands:
        await claw_back(session, demands, now=now)


async def earnings_by_id(session: Session, ids: Sequence[str]) -> dict[str, tuple[Earning, EarningRule, Fact]]:
    """Earnings with the rule and the fact that made them, by id."""
    if not ids:
        return {}
    found = (await session.exec(with_reasons().where(col(Earning.id).in_(list(ids))))).all()
    return {row[0].id: (row[0], row[1], row[2]) for row in found}


def with_reasons() -> Any:
    """Earnings with their rules and facts."""
    return (
        select(Earning, EarningRule, Fact)
        .join(EarningRule, col(EarningRule.id) == col(Earning.rule_id))
        .join(Fact, col(Fact.id) == col(Earning.fact_id))
    )


@dataclass(frozen=True, slots=True)
class EarningLine:
    """An earning with its rule and its fact, as its customer and staff see it."""

    earning: Earning
    rule: EarningRule
    fact: Fact

    @property
    def reason(self) -> LessReason | None:
        """Why it brings less than the rule gives; what took it back comes before what a cap kept."""
        if self.earning.reversed_at is not None:
            return LessReason.REVERSED
        return LessReason(self.earning.reason) if self.earning.reason else None

    @property
    def period(self) -> Period | None:
        return Period(self.earning.cap_period) if self.earning.cap_period else None


async def earnings_of(session: Session, customer_id: str, *, first: int | None, after: Place) -> Page[EarningLine]:
    """A customer's earnings, the latest facts first."""
    size = page_size(first)
    statement = with_reasons().where(col(Earning.customer_id) == customer_id)
    page = newest_first(statement, col(Earning.occurred_at), col(Earning.id), size=size, after=after)
    lines = [EarningLine(*row) for row in (await session.exec(page)).all()]
    return cut(lines, size, lambda line: (line.earning.occurred_at.isoformat(), line.earning.id), after)
