"""Simulation: what a definition would have given for past facts, by the very function of the worker; it writes nothing.

No cap looks beyond one customer, so customers are played one after the other, and no more is in memory than a page of
facts and one customer. A customer's facts are played in the order in which they were recorded, those that were recorded
at once together, because caps go to who comes first. Caps begin empty.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func
from sqlalchemy import select as columns_of
from sqlmodel import col, select

from core.days import Period
from core.db import Session
from core.facts import Fact
from loyalty.earning_caps import Earning
from loyalty.earning_course import Count, Course, Earned, LessReason, OneVersion, RuleVersion, earn
from loyalty.earning_definition import EarningDefinition

# As many as are played within the time of a request.
MOST_FACTS = 50_000
PAGE = 2_000
TOP = 10
CAPPED = (LessReason.CAP_POINTS, LessReason.CAP_TIMES)


class PastFact(NamedTuple):
    """A fact as it is read for a trial."""

    id: str
    source: str
    key: str
    kind: str
    customer_id: str
    occurred_at: datetime
    recorded_at: datetime
    payload: Mapping[str, Any]


COLUMNS = (
    col(Fact.id),
    col(Fact.source),
    col(Fact.key),
    col(Fact.kind),
    col(Fact.customer_id),
    col(Fact.occurred_at),
    col(Fact.recorded_at),
    col(Fact.payload),
)


@dataclass(frozen=True, slots=True)
class CapHits:
    """How often a cap cut or refused: that of which period, counting points or times."""

    period: Period
    reason: LessReason
    times: int


@dataclass(frozen=True, slots=True)
class EarningOutcome:
    """What comes out for all facts together; `customers` are those who have points in the end."""

    facts: int
    points: int
    customers: int
    reversed: int
    caps: list[CapHits]
    top: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of a simulation; where there were too many facts, of the customers up to `through` only."""

    outcome: EarningOutcome
    through: str | None = None


@dataclass(slots=True)
class Totals:
    """What has come out so far."""

    facts: int = 0
    points: int = 0
    customers: int = 0
    reversed: int = 0
    caps: Counter[tuple[Period, LessReason]] = field(default_factory=Counter[tuple[Period, LessReason]])
    best: list[tuple[int, "Backwards"]] = field(default_factory=list[tuple[int, "Backwards"]])

    def add(self, customer_id: str, earned: Iterable[Earned]) -> None:
        points = 0
        for one in earned:
            points += one.standing
            self.facts += 1
            self.reversed += one.reversal is not None
            if one.reason is not None and one.period is not None:
                self.caps[one.period, one.reason] += 1
        self.points += points
        self.customers += points > 0
        if points:
            keep = heapq.heappush if len(self.best) < TOP else heapq.heappushpop
            keep(self.best, (points, Backwards(customer_id)))

    def outcome(self) -> EarningOutcome:
        top = [(name.text, points) for points, name in sorted(self.best, reverse=True)]
        return EarningOutcome(self.facts, self.points, self.customers, self.reversed, hits_of(self.caps), top)


@dataclass(frozen=True, slots=True)
class Backwards:
    """A text that sorts the other way round, so that of equals the first in the alphabet is the best."""

    text: str

    def __lt__(self, other: "Backwards") -> bool:
        return self.text > other.text


def hits_of(caps: Mapping[tuple[Period, LessReason], int]) -> list[CapHits]:
    return [CapHits(period, reason, times) for (period, reason), times in sorted(caps.items())]


async def simulate_rule(session: Session, definition: EarningDefinition, *, start: datetime, end: datetime) -> Trial:
    """Play the facts that happened from `start` (inclusive) to `end` (exclusive) by one definition.

    What takes them back is played too, whenever it happened. Of more than MOST_FACTS facts, the customers with the
    first ids are played, of a customer who alone has more the first facts, and the answer says so.
    """
    totals, seen, through = Totals(), 0, None
    async for page in customers_with_facts(session, definition, start=start, end=end):
        reversals = await reversals_of(session, definition, page.keys(), start=start)
        for customer_id, facts in page.items():
            if seen >= MOST_FACTS:
                return Trial(totals.outcome(), through or "")
            seen, through = seen + len(facts), customer_id
            totals.add(customer_id, play(definition, [*facts[:MOST_FACTS], *reversals[customer_id]]))
            if len(facts) > MOST_FACTS:
                return Trial(totals.outcome(), through)
    return Trial(totals.outcome())


def play(definition: EarningDefinition, facts: Iterable[PastFact]) -> Iterable[Earned]:
    """All that one customer's facts come to."""
    course = Course(counters=defaultdict(Count))
    rule = OneVersion(RuleVersion(0, definition))
    ordered = sorted(facts, key=lambda fact: (fact.recorded_at, fact.occurred_at, fact.id))
    for _, arrived in groupby(ordered, key=lambda fact: fact.recorded_at):
        earn(rule, list(arrived), course)
    return course.earned.values()


async def customers_with_facts(
    session: Session, definition: EarningDefinition, *, start: datetime, end: datetime
) -> AsyncIterator[dict[str, list[PastFact]]]:
    """Whole customers with their facts of the rule's kind, in the order of their ids, about a page at a time.

    A customer with more facts than are played at all is the last one, and need not be whole.
    """
    open_page: dict[str, list[PastFact]] = {}
    position: PastFact | None = None
    while rows := await facts_after(session, definition.fact_kind, position, start=start, end=end):
        for fact in rows:
            open_page.setdefault(fact.customer_id, []).append(fact)
        position = rows[-1]
        last = open_page.pop(position.customer_id)
        if open_page:
            yield open_page
        open_page = {position.customer_id: last}
        if len(rows) < PAGE or len(last) > MOST_FACTS:
            break
    if open_page:
        yield open_page


async def facts_after(
    session: Session, kind: str, position: PastFact | None, *, start: datetime, end: datetime
) -> list[PastFact]:
    """The next page of facts of a kind, in the order of customers and of what happened."""
    statement = columns_of(*COLUMNS).where(
        col(Fact.kind) == kind, col(Fact.occurred_at) >= start, col(Fact.occurred_at) < end
    )
    if position is not None:
        at, last = position.occurred_at, position.id
        later = (col(Fact.occurred_at) > at) | ((col(Fact.occurred_at) == at) & (col(Fact.id) > last))
        # The first part says nothing new; by it the database finds the place in its index.
        statement = statement.where(
            col(Fact.customer_id) >= position.customer_id,
            (col(Fact.customer_id) > position.customer_id) | later,
        )
    ordered = statement.order_by(col(Fact.customer_id), col(Fact.occurred_at), col(Fact.id)).limit(PAGE)
    connection = await session.connection()
    return [PastFact(*row) for row in (await connection.execute(ordered)).all()]


async def reversals_of(
    session: Session, definition: EarningDefinition, customer_ids: Collection[str], *, start: datetime
) -> dict[str, list[PastFact]]:
    """The facts of these customers that may take back what happened since `start`."""
    found: dict[str, list[PastFact]] = {customer_id: [] for customer_id in customer_ids}
    if not definition.reversed_by:
        return found
    statement = columns_of(*COLUMNS).where(
        col(Fact.kind).in_(definition.reversed_by),
        col(Fact.customer_id).in_(list(customer_ids)),
        col(Fact.occurred_at) >= start,
    )
    connection = await session.connection()
    for row in (await connection.execute(statement)).all():
        fact = PastFact(*row)
        found[fact.customer_id].append(fact)
    return found


async def earned_so_far(
    session: Session, rule_id: str, *, start: datetime, end: datetime, through: str | None = None
) -> EarningOutcome:
    """What the worker really booked by a rule for the facts of the same span, and the same customers."""
    given: list[ColumnElement[bool]] = [
        col(Earning.rule_id) == rule_id,
        col(Earning.occurred_at) >= start,
        col(Earning.occurred_at) < end,
    ]
    if through is not None:
        given.append(col(Earning.customer_id) <= through)
    standing = [*given, col(Earning.reversed_at).is_(None), col(Earning.points) > 0]
    counted = select(func.count(col(Earning.id)), func.count(col(Earning.reversed_at))).where(*given)
    facts, reverted = (await session.exec(counted)).one()
    summed = select(func.coalesce(func.sum(Earning.points), 0), func.count(func.distinct(col(Earning.customer_id))))
    points, customers = (await session.exec(summed.where(*standing))).one()
    hit = select(col(Earning.cap_period), col(Earning.reason), func.count(col(Earning.id)))
    capped = hit.where(*given, col(Earning.reason).in_(CAPPED))
    rows = (await session.exec(capped.group_by(col(Earning.cap_period), col(Earning.reason)))).all()
    total = func.sum(Earning.points)
    best = select(Earning.customer_id, total).where(*standing).group_by(col(Earning.customer_id))
    top = (await session.exec(best.order_by(total.desc(), col(Earning.customer_id)).limit(TOP))).all()
    return EarningOutcome(
        facts=int(facts),
        points=int(points),
        customers=int(customers),
        reversed=int(reverted),
        caps=hits_of({(Period(period), LessReason(reason)): int(times) for period, reason, times in rows}),
        top=[(customer_id, int(given)) for customer_id, given in top],
    )
