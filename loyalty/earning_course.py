"""What facts earn by a rule: pure functions that the worker and the simulation share, so that they cannot disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from core.days import Period, day_of, period_around
from core.reversals import FactLike, is_about
from loyalty.earning_definition import CapPolicy, EarningCap, EarningDefinition

# No calendar is asked about instants before this, which are mistakes of whoever sent them.
FIRST_DAY = datetime(1900, 1, 1, tzinfo=UTC)


class LessReason(StrEnum):
    """Why a fact earned less than its rule gives."""

    CAP_POINTS = "CAP_POINTS"
    CAP_TIMES = "CAP_TIMES"
    REVERSED = "REVERSED"


@dataclass(frozen=True, slots=True)
class Span:
    """The span of one period around an instant: its name in counters, start inclusive and end exclusive, in UTC."""

    name: str
    start: datetime
    end: datetime


@lru_cache(maxsize=4_096)
def span_of(period: Period, at: datetime, zone: str) -> Span:
    """The day, week, month or year of the zone in which an instant lies; kept, because each fact asks several times."""
    start, end = period_around(period, max(at, FIRST_DAY), zone)
    name = f"{period}" if period == Period.EVER else f"{period}:{day_of(start, zone)}:{zone}"
    return Span(name, start, end)


class Counted(Protocol):
    """What a counter has counted so far; the fold moves it."""

    points: int
    times: int


@dataclass(slots=True)
class Count:
    """A counter in memory."""

    points: int = 0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """How many of the points an earning gets, and which cap kept the others back."""

    points: int
    reason: LessReason | None = None
    period: Period | None = None


def grant(wanted: int, caps: Sequence[tuple[EarningCap, Counted]], policy: CapPolicy) -> Grant:
    """Fit an earning into all caps as their counters stand; what does not fit whole is cut or refused."""
    given = Grant(wanted)
    for cap, counted in caps:
        if cap.times is not None and counted.times >= cap.times and given.points:
            given = Grant(0, LessReason.CAP_TIMES, cap.period)
        if cap.points is not None and max(cap.points - counted.points, 0) < given.points:
            given = Grant(max(cap.points - counted.points, 0), LessReason.CAP_POINTS, cap.period)
    if given.points < wanted and policy == CapPolicy.REJECT:
        return Grant(0, given.reason, given.period)
    return given


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A version of a rule, as facts meet it."""

    number: int
    definition: EarningDefinition


class Versions(Protocol):
    """Says which version of a rule a fact meets by when it happened, in which spans it counts, and what takes back."""

    @property
    def reversing(self) -> frozenset[str]: ...
    def at(self, instant: datetime) -> RuleVersion | None: ...
    def spans(self, instant: datetime) -> Sequence[Span]: ...


@dataclass(slots=True)
class Earned:
    """What one fact wanted and got; `reversal` is the fact that took it back."""

    fact: FactLike
    version: RuleVersion
    wanted: int
    points: int
    reason: LessReason | None = None
    period: Period | None = None
    reversal: FactLike | None = None

    @property
    def standing(self) -> int:
        """The points that it still brings."""
        return 0 if self.reversal else self.points


@dataclass(slots=True)
class Course:
    """One customer under one rule: what earned so far, which reversals are known, and the counters by span."""

    counters: Mapping[str, Counted]
    earned: dict[str, Earned] = field(default_factory=dict[str, Earned])
    reversals: dict[str, FactLike] = field(default_factory=dict[str, FactLike])


def earn(rule: Versions, facts: Sequence[FactLike], course: Course) -> tuple[list[Earned], list[Earned]]:
    """What comes of facts that arrive together, in this order: earnings that are new, and those that are taken back.

    What is taken back frees its caps before the next fact asks for them. A fact that has earned does not earn again;
    one that was taken back before it came earns nothing, which is kept as its reason.
    """
    reversals = {fact.id: fact for fact in facts if fact.kind in rule.reversing}
    course.reversals |= reversals
    undone = [one for one in course.earned.values() if undo(rule, one, course)] if reversals else []
    new: list[Earned] = []
    for fact in facts:
        version = rule.at(fact.occurred_at)
        wanted = version.definition.points_for(fact) if version else 0
        if version is None or not wanted or fact.id in course.earned:
            continue
        one = earn_one(rule, version, fact, wanted, course)
        course.earned[fact.id] = one
        new.append(one)
    return new, undone


def earn_one(rule: Versions, version: RuleVersion, fact: FactLike, wanted: int, course: Course) -> Earned:
    """Fit one fact into the caps of its version, and count it wherever the rule counts."""
    reversal = reversal_of(version.definition, fact, course.reversals)
    if reversal is not None:
        return Earned(fact, version, wanted, 0, LessReason.REVERSED, reversal=reversal)
    zone = version.definition.time_zone
    caps = [(cap, course.counters[span_of(cap.period, fact.occurred_at, zone).name]) for cap in version.definition.caps]
    given = grant(wanted, caps, version.definition.on_cap)
    if given.points:
        move(rule, fact, course, given.points, 1)
    return Earned(fact, version, wanted, given.points, given.reason, given.period)


def undo(rule: Versions, one: Earned, course: Course) -> bool:
    """Take an earning back where a reversal is about its fact, and free its caps; whether it was done now."""
    if one.reversal is not None:
        return False
    one.reversal = reversal_of(one.version.definition, one.fact, course.reversals)
    if one.reversal is not None and one.points:
        move(rule, one.fact, course, -one.points, -1)
    return one.reversal is not None


def move(rule: Versions, fact: FactLike, course: Course, points: int, times: int) -> None:
    for span in rule.spans(fact.occurred_at):
        counter = course.counters[span.name]
        counter.points += points
        counter.times += times


def reversal_of(definition: EarningDefinition, fact: FactLike, reversals: Mapping[str, FactLike]) -> FactLike | None:
    """The first fact that takes this one back: at or after it, and before it is too late to."""
    late = definition.reversible_days
    found = [
        one
        for one in reversals.values()
        if one.kind in definition.reversed_by
        and fact.occurred_at <= one.occurred_at
        and (late is None or one.occurred_at < fact.occurred_at + timedelta(days=late))
        and is_about(one, fact)
    ]
    return min(found, key=lambda one: (one.occurred_at, one.id), default=None)


@dataclass(frozen=True, slots=True)
class OneVersion:
    """A rule that has always had one definition, as a simulation tries it."""

    version: RuleVersion

    @property
    def reversing(self) -> frozenset[str]:
        return frozenset(self.version.definition.reversed_by)

    def at(self, instant: datetime) -> RuleVersion | None:
        return self.version

    def spans(self, instant: datetime) -> Sequence[Span]:
        return spans_of([self.version.definition], instant)


def spans_of(definitions: Sequence[EarningDefinition], instant: datetime) -> list[Span]:
    """The spans around an instant in which a cap of one of these definitions counts, each once."""
    found = {
        span.name: span
        for definition in definitions
        for cap in definition.caps
        for span in [span_of(cap.period, instant, definition.time_zone)]
    }
    return list(found.values())
