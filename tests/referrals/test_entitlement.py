"""Entitlement: the same facts, in whatever order and pieces, leave the same rewards; limits are met exactly."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.days import Period
from referrals.definition import LimitPolicy, ProgramDefinition, Side, Step
from referrals.entitlement import Budget, Room, entitlements, grant, period_of, reconcile
from referrals.qualification import qualify
from tests.referrals.told import Told

START = datetime(2026, 3, 1, tzinfo=UTC)
PARTIES = {Side.REFERRER: "lin", Side.REFEREE: "wu"}
DEFINITION = ProgramDefinition(
    steps=(
        Step(name="a", fact_kind="A_KIND", referrer_points=10, referee_points=5, reversed_by=("A_UNDONE",)),
        Step(name="b", fact_kind="B_KIND", referrer_points=20, within_days=8, reversed_by=("B_UNDONE", "A_UNDONE")),
        Step(name="c", fact_kind="C_KIND", referee_points=30),
    ),
    hold_days=3,
)


@dataclass
class Made:
    """A reward as a plain list keeps it."""

    step: str
    side: str
    customer_id: str
    points: int
    fact_id: str
    stands: bool = True


def settle(made: list[Made], facts: list[Told]) -> None:
    """What settlement does, on a list."""
    outcome = qualify(DEFINITION, facts, attributed_from=START)
    undo, make = reconcile(entitlements(DEFINITION, outcome, PARTIES), made, outcome.undone)
    for reward in undo:
        reward.stands = False
    made.extend(Made(one.step, one.side, one.customer_id, one.points, one.fact_id) for one, _ in make)


def standing(made: list[Made]) -> list[tuple[str, str, str, int]]:
    return sorted((one.step, one.side, one.customer_id, one.points) for one in made if one.stands)


def model(facts: list[Told]) -> list[tuple[str, str, str, int]]:
    """The rule in plain words, written without any of the code under test."""
    told = {fact.id: fact for fact in facts}.values()
    firsts = [f for f in told if f.kind == "A_KIND" and f.occurred_at < START]
    takes = {f.payload.get("reverses") for f in told if f.kind == "A_UNDONE"}
    if any(f.key not in takes for f in firsts):
        return []
    found: list[tuple[str, str, str, int]] = []
    since = START
    for name, kind, undone_by, days, sides in (
        ("a", "A_KIND", ("A_UNDONE",), None, (("REFERRER", "lin", 10), ("REFEREE", "wu", 5))),
        ("b", "B_KIND", ("B_UNDONE", "A_UNDONE"), 8, (("REFERRER", "lin", 20),)),
        ("c", "C_KIND", (), None, (("REFEREE", "wu", 30),)),
    ):
        good: list[datetime] = []
        for f in told:
            if f.kind != kind or f.occurred_at < START:
                continue
            if days is not None and f.occurred_at >= START + timedelta(days=days):
                continue
            at = max(since, f.occurred_at)
            against = [
                r
                for r in told
                if r.kind in undone_by
                and r.payload.get("reverses", f.key) == f.key
                and f.occurred_at <= r.occurred_at < at + timedelta(days=3)
            ]
            if not against:
                good.append(f.occurred_at)
        if not good:
            break
        since = max(since, min(good))
        found += [(name, side, who, points) for side, who, points in sides]
    return sorted(found)


kinds = st.sampled_from(("A_KIND", "A_KIND", "B_KIND", "C_KIND", "A_UNDONE", "B_UNDONE", "NOISE"))
numbers = st.integers(0, 9).map(str)
facts = st.lists(
    st.builds(
        lambda key, kind, hours, names: Told(
            f"{kind}{key}",
            kind,
            START + timedelta(hours=hours),
            key=f"{kind}{key}",
            payload={"reverses": f"{kind[0]}_KIND{names}"} if names and kind.endswith("UNDONE") else {},
        ),
        key=numbers,
        kind=kinds,
        hours=st.integers(-10, 300),
        names=st.one_of(st.none(), numbers),
    ),
    max_size=14,
    unique_by=lambda fact: fact.id,
)


@settings(max_examples=400)
@given(told=facts, random=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 20), max_size=5))
def test_shuffled_repeated_and_split_streams_leave_the_same_rewards(
    told: list[Told], random: Random, cuts: list[int]
) -> None:
    """Given a stream in pieces, each settled as it comes, then what stands is what the plain rule says of all of it."""
    stream = [*told, *told[:4]]
    random.shuffle(stream)
    made: list[Made] = []
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for end in bounds:
        settle(made, stream[:end])
        settle(made, stream[:end])
    assert standing(made) == model(told)


@given(
    points=st.integers(1, 1000),
    rooms=st.lists(st.tuples(st.one_of(st.none(), st.integers(-5, 1200)), st.one_of(st.none(), st.integers(-1, 3)))),
    policy=st.sampled_from(LimitPolicy),
)
def test_a_grant_never_passes_a_limit_and_says_which_it_met(
    points: int, rooms: list[tuple[int | None, int | None]], policy: LimitPolicy
) -> None:
    given_rooms = [Room(str(n), points=p, rewards=r) for n, (p, r) in enumerate(rooms)]
    granted = grant(points, given_rooms, policy)
    tightest = min([points, *(max(p, 0) for p, _ in rooms if p is not None)])
    if any(r is not None and r <= 0 for _, r in rooms):
        tightest = 0
    expected = tightest if policy == LimitPolicy.PARTIAL or tightest == points else 0
    assert granted.points == expected
    assert (granted.reason is None) == (tightest == points)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (Period.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.WEEK, datetime(2026, 12, 28, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.YEAR, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_of_utc_and_touch_without_overlap(period: Period, start: datetime, end: datetime) -> None:
    last = end - timedelta(microseconds=1)
    assert period_of(period, last) == (start, end) == period_of(period, start)
    assert period_of(period, end)[0] == end


def test_a_budget_in_money_is_met_without_rounding() -> None:
    """Given 1,000 points for 333 minor units and a budget of 1, then three points fit (0.999) and a fourth does not."""
    budget = Budget(points=None, amount=1, amount_per_thousand=333, reserved_points=0, reserved_worth=0)
    assert budget.room().points == 3
    assert replace(budget, reserved_worth=3 * 333).room().points == 0
    assert replace(budget, points=2).room().points == 2
    assert replace(budget, amount=None).room().points is None
