"""What facts earn depends on the facts alone, in whatever order and pieces they come, as long as no cap binds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.days import Period
from loyalty.earning_course import Count, Course, Earned, OneVersion, RuleVersion, earn, span_of
from loyalty.earning_definition import EarningDefinition, parse_earning_definition

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """A fact of one of two sources; its id serves as its key."""

    id: str
    kind: str
    occurred_at: datetime
    source: str = "test"
    payload: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> str:
        return self.id


def play(definition: dict[str, Any], groups: Sequence[Sequence[Told]]) -> tuple[dict[str, Earned], dict[str, Count]]:
    """Let the facts arrive in these groups."""
    counters: dict[str, Count] = defaultdict(Count)
    course = Course(counters)
    rule = OneVersion(RuleVersion(1, parse_earning_definition(definition)))
    for group in groups:
        earn(rule, group, course)
    return course.earned, counters


def facts_of(numbers: Sequence[tuple[int, int, int, int]]) -> list[Told]:
    """Facts and reversals from small numbers: what, when, from whom, and which fact is named (0: all)."""
    told: list[Told] = []
    for place, (what, hour, source, named) in enumerate(numbers):
        kind = ("EARNS", "EARNS", "TAKES", "NOISE")[what]
        payload = {"reverses": f"f{named}"} if kind == "TAKES" and named else {"visits": named}
        told.append(Told(f"f{place}", kind, START + timedelta(hours=hour), "ab"[source], payload))
    return told


told_facts = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 1), st.integers(0, 12)), max_size=13
).map(facts_of)
DEFINITION = {
    "fact_kind": "EARNS",
    "per_unit": {"field": "visits", "points": 3, "maximum": 21},
    "reversed_by": ["TAKES"],
    "reversible_days": 1,
    "caps": [{"period": "DAY", "points": 10_000}, {"period": "EVER", "times": 10_000}],
}


def model(told: Sequence[Told]) -> dict[str, int]:
    """The rule in its plainest words: what every fact brings in the end."""
    found: dict[str, int] = {}
    for fact in told:
        points = min(21, 3 * fact.payload.get("visits", 0))
        if fact.kind != "EARNS" or not points:
            continue
        taken = False
        for other in told:
            if other.kind != "TAKES" or not timedelta(0) <= other.occurred_at - fact.occurred_at < timedelta(days=1):
                continue
            named = other.payload.get("reverses")
            taken = taken or named is None or (named == fact.id and other.source == fact.source)
        found[fact.id] = 0 if taken else points
    return found


@given(told=told_facts, random=st.randoms(use_true_random=False))
def test_it_agrees_with_the_plain_rule_in_any_order(told: list[Told], random: Random) -> None:
    """Shuffled, repeated and split, and the counters say what stands."""
    arrived = [*told, *told[:4]]
    random.shuffle(arrived)
    groups: list[list[Told]] = [[]]
    for fact in arrived:
        if random.random() < 0.4:
            groups.append([])
        groups[-1].append(fact)
    earned, counters = play(DEFINITION, groups)
    expected = model(told)
    assert {key: one.standing for key, one in earned.items()} == expected
    ever = counters["EVER"]
    assert (ever.points, ever.times) == (sum(expected.values()), sum(points > 0 for points in expected.values()))
    days = [counter for name, counter in counters.items() if name.startswith("DAY")]
    assert sum(counter.points for counter in days) == ever.points


@given(
    told=told_facts,
    points=st.integers(1, 40),
    times=st.integers(1, 4),
    policy=st.sampled_from(["PARTIAL", "REJECT"]),
)
def test_caps_hold_at_every_moment(told: list[Told], points: int, times: int, policy: str) -> None:
    caps = [{"period": "DAY", "points": points}, {"period": "EVER", "times": times}]
    definition = {**DEFINITION, "caps": caps, "on_cap": policy}
    for end in range(len(told) + 1):
        earned, counters = play(definition, [[fact] for fact in told[:end]])
        standing = [one for one in earned.values() if one.standing]
        assert len(standing) <= times
        by_day: dict[str, int] = defaultdict(int)
        for one in standing:
            by_day[span_of(Period.DAY, one.fact.occurred_at, "Asia/Shanghai").name] += one.standing
        assert max(by_day.values(), default=0) <= points
        assert {name: by_day.get(name, 0) for name in counters if name != "EVER"} == {
            name: counter.points for name, counter in counters.items() if name != "EVER"
        }
        if policy == "REJECT":
            assert all(one.points in (0, one.wanted) for one in earned.values())


@pytest.mark.parametrize(
    ("period", "at", "name", "start", "end"),
    [
        ("DAY", "2026-11-28T15:59:59Z", "DAY:2026-11-28", "2026-11-27T16:00Z", "2026-11-28T16:00Z"),
        ("DAY", "2026-11-28T16:00:00Z", "DAY:2026-11-29", "2026-11-28T16:00Z", "2026-11-29T16:00Z"),
        ("WEEK", "2026-11-29T15:59:59Z", "WEEK:2026-11-23", "2026-11-22T16:00Z", "2026-11-29T16:00Z"),
        ("MONTH", "2026-12-31T20:00:00Z", "MONTH:2027-01-01", "2026-12-31T16:00Z", "2027-01-31T16:00Z"),
        ("YEAR", "2026-12-31T15:00:00Z", "YEAR:2026-01-01", "2025-12-31T16:00Z", "2026-12-31T16:00Z"),
    ],
)
def test_spans_are_those_of_the_zone(period: str, at: str, name: str, start: str, end: str) -> None:
    span = span_of(Period(period), datetime.fromisoformat(at), "Asia/Shanghai")
    assert span.name == f"{name}:Asia/Shanghai"
    assert (span.start, span.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_a_day_of_summer_time_is_as_long_as_it_is() -> None:
    """Given the day on which New York sets its clocks back, then it has 25 hours."""
    span = span_of(Period.DAY, datetime(2026, 11, 1, 12, tzinfo=UTC), "America/New_York")
    assert span.end - span.start == timedelta(hours=25)


def test_an_instant_that_no_calendar_knows_is_counted_all_the_same() -> None:
    for period in Period:
        assert span_of(period, datetime(1, 1, 1, tzinfo=UTC), "America/New_York").start <= datetime(
            1900, 1, 1, tzinfo=UTC
        )


def test_validity_begins_inclusively_and_ends_exclusively() -> None:
    definition = EarningDefinition(fact_kind="EARNS", points=5, valid_from=START, valid_until=START + timedelta(days=1))
    moments = {-1: 0, 0: 5, 24 * 3600 * 1_000_000 - 1: 5, 24 * 3600 * 1_000_000: 0}
    for microseconds, points in moments.items():
        fact = Told("f", "EARNS", START + timedelta(microseconds=microseconds))
        assert definition.points_for(fact) == points
