"""Why a customer has a tier: a decision taken anew from what was kept with it, with every step of the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import col, select

from core.clock import as_utc
from core.days import months_before
from core.db import Session
from core.errors import BadUserInput
from core.facts import OWN_SOURCE
from core.paging import Page, Place, cut, newest_first, page_size
from customers.record_rows import MONTH
from customers.records import MonthlyBalance
from customers.tier_inputs import MONTHS, TRAITS
from customers.tier_policies import TierPolicy
from customers.tier_policy import TierDefinition
from customers.tier_records import TierChange, TierDecision, TierRun
from customers.tier_rules import (
    RANK,
    Check,
    Decision,
    Inputs,
    State,
    checks_of,
    curve_ratio,
    decide,
    inputs_of_row,
    state_of,
)
from graph.eligibility import TIERS, Tier
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait


class MonthInvalid(BadUserInput):
    code = "MONTH_INVALID"
    en = "A month is written as year and month, such as 2026-10."
    zh = "月份须写作年-月，例如2026-10。"


def parse_month(text: str | None, *path: str) -> date | None:
    """The first of a month; raises MonthInvalid."""
    if text is None:
        return None
    if not MONTH.fullmatch(text):
        raise MonthInvalid(path=path)
    return date(int(text[:4]), int(text[5:]), 1)


@dataclass(frozen=True, slots=True)
class Piece:
    """One term of the score: the input, the points of the curve that it lies between, and what it brings.

    `height` and `points` are thousandths, rounded down; the score is rounded once, so that these may sum to less.
    """

    name: str
    value: int | None
    weight: int
    left: tuple[int, int] | None
    right: tuple[int, int] | None
    height: int
    points: int


@dataclass(frozen=True, slots=True)
class TierChecks:
    """What lets into a tier and what keeps in it, condition by condition."""

    tier: Tier
    entry: Sequence[Check]
    keep: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value of an input comes from, as the sources have it by now."""

    input: str
    source: str
    month: date | None
    value: int | None
    word: str | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with all that led to it."""

    month: date
    policy: TierPolicy
    definition: TierDefinition
    inputs: Inputs
    before: State | None
    decision: Decision
    pieces: Sequence[Piece]
    checks: Sequence[TierChecks]
    sources: Sequence[Source]


def is_same(row: TierDecision, decision: Decision) -> bool:
    """Whether a decision taken anew is what was kept."""
    found = (decision.score, decision.earned, decision.standing, decision.tier, decision.misses, decision.best)
    kept = (row.score, *(TIERS[rank] for rank in (row.earned, row.standing, row.tier)), row.misses, TIERS[row.best])
    return found == kept and row.rule == decision.rule


async def last_month(session: Session, customer_id: str) -> date | None:
    """The last month for which a customer was decided."""
    statement = select(col(TierDecision.month)).where(TierDecision.customer_id == customer_id)
    return (await session.exec(statement.order_by(col(TierDecision.month).desc()).limit(1))).first()


async def tier_explain(session: Session, customer_id: str, month: date | None = None) -> Explanation | None:
    """The decision of a month, the last by default, taken anew; None where there is none."""
    month = month or await last_month(session, customer_id)
    row = await session.get(TierDecision, (customer_id, month)) if month else None
    if row is None or month is None:
        return None
    earlier = await session.get(TierDecision, (customer_id, months_before(month, 1)))
    run = await session.get_one(TierRun, month)
    policy = await session.get_one(TierPolicy, run.policy_id)
    definition, inputs, before = policy.parsed(), inputs_of_row(row), state_of(earlier)
    decision = decide(definition, before, inputs)
    if not is_same(row, decision):
        raise RuntimeError(f"the tier of {month} is not what its policy and inputs make of it")
    return Explanation(
        month=month,
        policy=policy,
        definition=definition,
        inputs=inputs,
        before=before,
        decision=decision,
        pieces=pieces_of(definition, inputs),
        checks=checks(definition, decision.score, inputs),
        sources=await sources_of(session, customer_id, month),
    )


def pieces_of(definition: TierDefinition, inputs: Inputs) -> list[Piece]:
    found: list[Piece] = []
    for name, term in definition.terms.items():
        value: int | None = getattr(inputs, name)
        part, by = curve_ratio(term, value)
        below = [point for point in term.curve if value is not None and point[0] <= value]
        above = [point for point in term.curve if value is not None and point[0] > value]
        exact = Fraction(part, by)
        found.append(
            Piece(
                name=name,
                value=value,
                weight=term.weight,
                left=below[-1] if below else None,
                right=above[0] if above else None,
                height=int(exact * 1_000),
                points=int(exact * term.weight),
            )
        )
    return found


def checks(definition: TierDefinition, score: int, inputs: Inputs) -> list[TierChecks]:
    """The conditions of all tiers, the best first."""
    return [
        TierChecks(
            tier,
            list(checks_of(definition.entries[tier], score, inputs)),
            list(checks_of(definition.entries[tier], score, inputs, definition.keep_percent)),
        )
        for tier in sorted(definition.entries, key=lambda tier: -RANK[tier])
    ]


async def sources_of(session: Session, customer_id: str, month: date) -> list[Source]:
    """What sources say by now of the twelve months that a decision goes by; corrections since then are among it."""
    balances = select(MonthlyBalance).where(
        MonthlyBalance.customer_id == customer_id,
        MonthlyBalance.month > months_before(month, MONTHS),
        MonthlyBalance.month <= month,
    )
    ordered = balances.order_by(
        col(MonthlyBalance.month).desc(), col(MonthlyBalance.source), col(MonthlyBalance.customer_key)
    ).limit(100)
    found = [
        Source(name, row.source, row.month, value, None, as_utc(row.observed_at))
        for row in (await session.exec(ordered)).all()
        for name, value in (("assets", row.average), ("contribution", row.contribution))
    ]
    traits = select(CustomerTrait).where(
        CustomerTrait.customer_id == customer_id,
        col(CustomerTrait.name).in_(TRAITS),
        CustomerTrait.item == "",
        CustomerTrait.source != OWN_SOURCE,
    )
    return found + [
        Source(row.name, row.source, None, row.number, row.word, as_utc(row.observed_at))
        for row in (await session.exec(traits.order_by(col(CustomerTrait.name)))).all()
    ]


async def standing_of(session: Session, customer_id: str) -> CustomerTier | None:
    return await session.get(CustomerTier, customer_id)


async def list_changes(
    session: Session,
    *,
    customer_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    first: int | None,
    after: Place,
) -> Page[TierChange]:
    """Rises and falls of these customers, or of all, the latest first."""
    size = page_size(first)
    statement = select(TierChange)
    if customer_ids is not None:
        statement = statement.where(col(TierChange.customer_id).in_(list(customer_ids)))
    if since is not None:
        statement = statement.where(col(TierChange.at) >= since)
    page = newest_first(statement, col(TierChange.at), col(TierChange.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.at.isoformat(), row.id), after)
