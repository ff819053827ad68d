"""What steps entitle to: pure functions that settlement and simulation share, so that they cannot disagree."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from core.days import Period, period_around
from referrals.definition import Cap, CapScope, LimitPolicy, ProgramDefinition, Side
from referrals.qualification import Qualification

BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
CAP_REACHED = "CAP_REACHED"


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A reward as the facts give it: whose, for which step, how many points, by which fact and since when."""

    step: str
    side: Side
    customer_id: str
    points: int
    fact_id: str
    reached_at: datetime


def entitlements(
    definition: ProgramDefinition, outcome: Qualification, parties: Mapping[Side, str]
) -> list[Entitlement]:
    """The rewards of all steps reached, in the order of steps and sides; nobody's side is left out."""
    return [
        Entitlement(reached.step.name, side, parties[side], points, reached.fact_id, reached.reached_at)
        for reached in outcome.steps
        for side in Side
        if side in parties and (points := reached.step.points_of(side))
    ]


class Made(Protocol):
    """What reconciliation reads of a reward that was made: `stands` until it is undone, whatever became of it."""

    @property
    def step(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def customer_id(self) -> str: ...
    @property
    def fact_id(self) -> str: ...
    @property
    def stands(self) -> bool: ...


MadeT = TypeVar("MadeT", bound=Made)


def reconcile(
    wanted: Sequence[Entitlement], made: Sequence[MadeT], undone: frozenset[str]
) -> tuple[list[MadeT], list[tuple[Entitlement, int]]]:
    """Which rewards are to be undone, and which are to be made, each with the number of those before it.

    A reward stays as long as its step is reached and its own fact stands, also where an earlier fact comes to
    light: so the result depends on the facts alone, and not on the order in which they came.
    """
    slots = {(one.step, one.side): one for one in wanted}
    kept: set[tuple[str, str]] = set()
    undo: list[MadeT] = []
    for reward in made:
        slot = (reward.step, reward.side)
        if not reward.stands:
            continue
        if slot in slots and reward.fact_id not in undone:
            kept.add(slot)
        else:
            undo.append(reward)
    before = [(reward.step, reward.side) for reward in made]
    return undo, [(one, before.count(slot)) for slot, one in slots.items() if slot not in kept]


@dataclass(frozen=True, slots=True)
class Room:
    """What one limit leaves: points, or rewards; None where it does not count them."""

    reason: str
    points: int | None = None
    rewards: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """How many of the points a reward gets, and which limit kept the others back."""

    points: int
    reason: str | None = None


def grant(points: int, rooms: Iterable[Room], policy: LimitPolicy) -> Grant:
    """Fit a reward into all limits; what does not fit whole is cut by PARTIAL and refused by REJECT."""
    allowed, reason = points, None
    for room in rooms:
        left = allowed if room.points is None else max(room.points, 0)
        if room.rewards is not None and room.rewards <= 0:
            left = 0
        if left < allowed:
            allowed, reason = left, room.reason
    if allowed < points and policy == LimitPolicy.REJECT:
        allowed = 0
    return Grant(allowed, reason)


def period_of(period: Period, at: datetime) -> tuple[datetime, datetime]:
    """The span of UTC around an instant, start inclusive and end exclusive."""
    return period_around(period, at, "UTC")


@dataclass(frozen=True, slots=True)
class CounterKey:
    """What one counter counts: whose rewards, in which span, of which step (None: of all)."""

    program_id: str
    scope: CapScope
    subject: str
    period: Period
    start: datetime
    end: datetime
    step: str | None

    @property
    def id(self) -> str:
        return f"{self.program_id}:{self.scope}:{self.subject}:{self.period}:{self.start:%Y-%m-%d}:{self.step or '*'}"


def counters_of(
    definition: ProgramDefinition, program_id: str, reward: Entitlement, household: str | None
) -> dict[CounterKey, list[Cap]]:
    """The counters in which a reward counts, each with the caps that look at it; who has no household is one."""
    found: dict[CounterKey, list[Cap]] = {}
    for cap in definition.caps:
        if cap.step not in (None, reward.step) or (cap.scope == CapScope.REFERRER and reward.side == Side.REFEREE):
            continue
        subject = {
            CapScope.REFERRER: reward.customer_id,
            CapScope.PROGRAM: "*",
            CapScope.HOUSEHOLD: household or reward.customer_id,
        }[cap.scope]
        start, end = period_of(cap.period, reward.reached_at)
        key = CounterKey(program_id, cap.scope, subject, cap.period, start, end, cap.step)
        found.setdefault(key, []).append(cap)
    return found


def room_of(cap: Cap, *, points: int, rewards: int) -> Room:
    """What a cap leaves when so much is counted."""
    return Room(
        CAP_REACHED,
        points=None if cap.points is None else cap.points - points,
        rewards=None if cap.rewards is None else cap.rewards - rewards,
    )


class Counted(Protocol):
    """What a counter has counted so far."""

    @property
    def points(self) -> int: ...
    @property
    def rewards(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Budget:
    """A programme's budget and what is reserved of it: points, and money in thousandths of the minor unit.

    The worth of points is money for a thousand of them, so that worth and limit are whole numbers without rounding.
    """

    points: int | None
    amount: int | None
    amount_per_thousand: int
    reserved_points: int
    reserved_worth: int

    def room(self) -> Room:
        left = None if self.points is None else self.points - self.reserved_points
        if self.amount is not None and self.amount_per_thousand:
            by_worth = (self.amount * 1000 - self.reserved_worth) // self.amount_per_thousand
            left = by_worth if left is None else min(left, by_worth)
        return Room(BUDGET_EXHAUSTED, points=left)


def fit(
    definition: ProgramDefinition,
    wanted: Entitlement,
    budget: Budget,
    caps: Mapping[CounterKey, Sequence[Cap]],
    counters: Mapping[str, Counted],
) -> Grant:
    """Fit a reward into the budget and the caps that look at it, as their counters (by id) stand."""
    rooms = [
        room_of(cap, points=counters[key.id].points, rewards=counters[key.id].rewards)
        for key, limits in caps.items()
        for cap in limits
    ]
    return grant(wanted.points, [budget.room(), *rooms], definition.on_limit)
