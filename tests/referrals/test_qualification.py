"""Qualification: the same facts give the same steps, in whatever order and pieces they come."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referrals.definition import ProgramDefinition, Step
from referrals.qualification import qualify
from tests.referrals.told import Told

START = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = ("A_KIND", "B_KIND", "C_KIND")


def definition(*days: int | None) -> ProgramDefinition:
    """A step for each of the kinds, with these deadlines in days."""
    return ProgramDefinition(
        steps=tuple(
            Step(name=kind[0].lower(), fact_kind=kind, within_days=limit)
            for kind, limit in zip(KINDS, days, strict=False)
        )
    )


facts = st.lists(
    st.builds(
        Told,
        id=st.integers(0, 10**6).map(str),
        kind=st.sampled_from((*KINDS, "NOISE")),
        occurred_at=st.integers(-5, 200).map(lambda hours: START + timedelta(hours=hours)),
    ),
    max_size=12,
    unique_by=lambda fact: fact.id,
)
deadlines = st.tuples(*(st.one_of(st.none(), st.integers(1, 9)) for _ in KINDS))


def model(told: list[Told], limits: tuple[int | None, ...]) -> list[tuple[str, str, datetime]] | None:
    """The rule in its plainest words; None for somebody who was a customer before."""
    if any(fact.kind == KINDS[0] and fact.occurred_at < START for fact in told):
        return None
    reached: list[tuple[str, str, datetime]] = []
    since = START
    for kind, limit in zip(KINDS, limits, strict=True):
        inside = [
            (fact.occurred_at, fact.id)
            for fact in told
            if fact.kind == kind
            and fact.occurred_at >= START
            and (limit is None or fact.occurred_at < START + timedelta(days=limit))
        ]
        if not inside:
            break
        at, fact_id = min(inside)
        since = max(since, at)
        reached.append((kind, fact_id, since))
    return reached


@given(told=facts, limits=deadlines, random=st.randoms(use_true_random=False))
def test_it_agrees_with_the_plain_rule_in_any_order(
    told: list[Told], limits: tuple[int | None, ...], random: Random
) -> None:
    shuffled = [*told, *told[:3]]
    random.shuffle(shuffled)
    outcome = qualify(definition(*limits), shuffled, attributed_from=START)
    expected = model(told, limits)
    if expected is None:
        assert outcome.is_existing_customer
        assert not outcome.steps
    else:
        assert [(step.step.fact_kind, step.fact_id, step.reached_at) for step in outcome.steps] == expected
        assert outcome.is_complete == (len(expected) == len(KINDS))


@given(told=facts, limits=deadlines, size=st.integers(0, 12))
def test_more_facts_never_take_a_reached_step_away(told: list[Told], limits: tuple[int | None, ...], size: int) -> None:
    """Unless they show that the referee was a customer before, which ends the referral."""
    before = qualify(definition(*limits), told[:size], attributed_from=START)
    after = qualify(definition(*limits), told, attributed_from=START)
    if not after.is_existing_customer:
        assert [step.step for step in before.steps] == [step.step for step in after.steps][: len(before.steps)]


@pytest.mark.parametrize(
    ("offset", "reached"),
    [(timedelta(0), True), (timedelta(days=7) - timedelta(microseconds=1), True), (timedelta(days=7), False)],
)
def test_the_start_counts_and_the_deadline_does_not(offset: timedelta, reached: bool) -> None:
    outcome = qualify(definition(7), [Told("1", "A_KIND", START + offset)], attributed_from=START)
    assert outcome.is_complete is reached


def test_a_customer_since_before_the_click_is_an_existing_one() -> None:
    outcome = qualify(
        definition(None),
        [Told("1", "A_KIND", START)],
        attributed_from=START,
        customer_since=START - timedelta(seconds=1),
    )
    assert outcome.is_existing_customer


REVERSIBLE = ProgramDefinition(
    steps=(
        Step(name="a", fact_kind="A_KIND", reversed_by=("A_UNDONE",)),
        Step(name="b", fact_kind="B_KIND", reversed_by=("A_UNDONE", "B_UNDONE")),
    ),
    hold_days=5,
)


def told(kind: str, day: float, key: str = "", reverses: str | None = None) -> Told:
    payload = {"reverses": reverses} if reverses else {}
    name = key or f"{kind}-{day}"
    return Told(name, kind, START + timedelta(days=day), key=name, payload=payload)


def steps_of(*facts: Told) -> list[tuple[str, str]]:
    outcome = qualify(REVERSIBLE, facts, attributed_from=START)
    return [(step.step.name, step.fact_id) for step in outcome.steps]


def test_a_reversal_inside_the_hold_period_undoes_the_step_and_those_after_it() -> None:
    """Given both steps, when the account closes on the third day, then neither is reached."""
    facts = [told("A_KIND", 1, "a1"), told("B_KIND", 2, "b1")]
    assert steps_of(*facts) == [("a", "a1"), ("b", "b1")]
    assert steps_of(*facts, told("A_UNDONE", 3)) == []
    assert steps_of(*facts, told("B_UNDONE", 3)) == [("a", "a1")]


def test_a_step_is_reached_anew_by_a_later_fact() -> None:
    facts = [told("A_KIND", 1, "a1"), told("A_UNDONE", 2), told("A_KIND", 3, "a2")]
    outcome = qualify(REVERSIBLE, facts, attributed_from=START)
    assert [(step.fact_id, step.reached_at) for step in outcome.steps] == [("a2", START + timedelta(days=3))]
    assert outcome.undone == {"a1"}


@pytest.mark.parametrize(
    ("offset", "stands"),
    [(timedelta(days=5), True), (timedelta(days=5) - timedelta(microseconds=1), False), (timedelta(0), False)],
)
def test_the_hold_period_ends_exclusively(offset: timedelta, stands: bool) -> None:
    reversal = Told("r", "A_UNDONE", START + timedelta(days=1) + offset)
    assert bool(steps_of(told("A_KIND", 1, "a1"), reversal)) is stands


def test_a_reversal_that_names_a_fact_is_about_no_other() -> None:
    """Given two attendances, when the first is taken back by its key, then the second reaches the step."""
    facts = [told("A_KIND", 1, "a1"), told("A_KIND", 1.5, "a2")]
    assert steps_of(*facts, told("A_UNDONE", 2, reverses="a1")) == [("a", "a2")]
    assert steps_of(*facts, told("A_UNDONE", 2, reverses="a2")) == [("a", "a1")]
    assert steps_of(*facts, told("A_UNDONE", 2)) == []


def test_a_fact_before_the_referral_that_is_taken_back_makes_nobody_an_old_customer() -> None:
    facts = [told("A_KIND", -3, "old"), told("A_KIND", 1, "a1")]
    assert qualify(REVERSIBLE, facts, attributed_from=START).is_existing_customer
    assert steps_of(*facts, told("A_UNDONE", -2, reverses="old")) == [("a", "a1")]
