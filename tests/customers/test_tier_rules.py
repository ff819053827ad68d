"""The rules of tiers: examples from the design, and every random history as a plain model has it."""

import importlib
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.tier_policies import FIRST_POLICY_ID
from customers.tier_policy import DEFAULT, TierPolicyInvalid, parse_tier_definition
from customers.tier_rules import (
    POINT,
    Decision,
    Inputs,
    State,
    TierRule,
    checks_of,
    decide,
    is_let_in,
    score_of,
)
from graph.eligibility import TIERS, Tier
from tests.customers.plain_tiers import Month, Shown, shown

POLICY = parse_tier_definition(DEFAULT)
YUAN = 100
MASS, POTENTIAL, VIP = Tier.MASS, Tier.POTENTIAL, Tier.VIP


def history(months: list[Inputs], policy: Any = POLICY) -> list[Decision]:
    """The decisions of months one after the other."""
    state: State | None = None
    found: list[Decision] = []
    for month in months:
        found.append(decide(policy, state, month))
        state = found[-1].state
    return found


def assets(*yuan: int) -> list[Inputs]:
    return [Inputs(assets=one * YUAN) for one in yuan]


def told(decisions: list[Decision]) -> list[tuple[str, str, bool]]:
    return [(one.rule, one.tier, one.on_watch) for one in decisions]


@pytest.mark.parametrize(
    ("inputs", "score"),
    [
        (Inputs(), 0),
        (Inputs(assets=-5), 0),
        (Inputs(assets=50_000 * YUAN), 15_000),
        (Inputs(assets=500_000 * YUAN), 30_000),
        (Inputs(assets=10_000_000 * YUAN, contribution=50_000 * YUAN, potential=100, tenure=120), 100_000),
        (Inputs(assets=2 * 10**13, contribution=10**12, potential=100, tenure=900), 100_000),
        (Inputs(contribution=500 * YUAN, tenure=60), 11_000),
        # 0.5 * (30 + 1/45000000 * 30) is a little over 15, 0.1 * 7/120 * 100 a little under 0.584.
        (Inputs(assets=50_000 * YUAN + 1, tenure=7), 15_583),
    ],
)
def test_the_score_is_exact_and_rounded_down(inputs: Inputs, score: int) -> None:
    assert score_of(POLICY, inputs) == score


def test_floors_let_in_alone_and_the_score_does_too() -> None:
    assert history([Inputs(assets=500_000 * YUAN)])[0].earned == VIP
    assert history([Inputs(assets=500_000 * YUAN - 1)])[0].earned == MASS
    assert history([Inputs(potential=70)])[0].earned == POTENTIAL
    assert history([Inputs(potential=69)])[0].earned == MASS
    full = Inputs(contribution=50_000 * YUAN, potential=65, tenure=24)
    assert (score_of(POLICY, full), history([full])[0].earned) == (35_000, POTENTIAL)


def test_a_fall_comes_in_month_four_to_the_best_tier_of_the_window() -> None:
    """Given a VIP whose assets go: three months on watch, then the best tier that any of the four months earned."""
    rich, good, poor = Inputs(assets=600_000 * YUAN), Inputs(potential=70), Inputs(assets=10_000 * YUAN)
    assert told(history([rich, poor, good, poor, poor, poor])) == [
        ("FIRST", VIP, False),
        ("WATCH", VIP, True),
        ("WATCH", VIP, True),
        ("WATCH", VIP, True),
        ("FALL", POTENTIAL, False),
        ("WATCH", POTENTIAL, True),
    ]
    # What month four itself earns counts, and if it is the old tier there is no fall.
    assert history([rich, poor, poor, poor, good])[-1].tier == POTENTIAL
    assert told(history([rich, poor, poor, poor, rich]))[-1] == ("HOLD", VIP, False)
    # To be over 90 % in month four is too late: the three months were in a row.
    assert told(history([rich, poor, poor, poor, *assets(460_000)]))[-1] == ("FALL", MASS, False)


def test_ninety_percent_of_any_entry_keeps_and_begins_the_count_anew() -> None:
    """Given 450,000 of 500,000, then the tier is kept; a fen less is a miss; two misses, 90 %, three misses."""
    assert told(history(assets(500_000, 450_000)))[-1] == ("KEEP", VIP, False)
    low = Inputs(assets=450_000 * YUAN - 1)
    assert told(history([*assets(500_000), low]))[-1] == ("WATCH", VIP, True)
    months = [*assets(500_000), low, low, *assets(450_000), low, low, low, low]
    assert [one.rule for one in history(months)] == [
        TierRule.FIRST,
        TierRule.WATCH,
        TierRule.WATCH,
        TierRule.KEEP,
        TierRule.WATCH,
        TierRule.WATCH,
        TierRule.WATCH,
        TierRule.FALL,
    ]
    by_score = Inputs(contribution=50_000 * YUAN, potential=63)
    assert told(history([Inputs(potential=70), by_score]))[-1] == ("KEEP", POTENTIAL, False)


def test_a_rise_comes_at_once_from_watch_too() -> None:
    poor, good, rich = Inputs(potential=1), Inputs(potential=80), Inputs(assets=10**9)
    assert told(history([good, poor, rich])) == [
        ("FIRST", POTENTIAL, False),
        ("WATCH", POTENTIAL, True),
        ("RISE", VIP, False),
    ]


def test_high_risk_caps_the_shown_tier_and_not_what_it_is_counted_by() -> None:
    """Given a VIP with high risk for two months, then MASS in both, and VIP again when the risk is lower."""
    rich = Inputs(assets=600_000 * YUAN)
    decisions = history([rich, replace(rich, risk="HIGH"), replace(rich, risk="HIGH"), replace(rich, risk="MEDIUM")])
    assert [(one.tier, one.standing, one.cap) for one in decisions] == [
        (VIP, VIP, None),
        (MASS, VIP, MASS),
        (MASS, VIP, MASS),
        (VIP, VIP, None),
    ]
    watched = history([rich, Inputs(risk="HIGH")])[-1]
    assert (watched.rule, watched.on_watch, watched.misses) == (TierRule.WATCH, False, 1)


# Values around every threshold and every point of a curve are likelier than others.
yuan = st.one_of(
    st.sampled_from([0, 449_999, 450_000, 499_999, 500_000, 50_000, 6_000_000, 10_000_000, 20_000_000]),
    st.integers(0, 12_000_000),
)
months = st.builds(
    Inputs,
    assets=st.none() | yuan.map(lambda one: one * YUAN) | st.integers(0, 10**10),
    contribution=st.none() | st.integers(0, 6_000_000),
    potential=st.none() | st.sampled_from([0, 31, 62, 63, 69, 70, 100]) | st.integers(0, 100),
    tenure=st.none() | st.integers(0, 200),
    risk=st.sampled_from([None, None, None, "LOW", "MEDIUM", "HIGH"]),
)


def as_month(inputs: Inputs) -> Month:
    def part(value: int | None, unit: int) -> Fraction | None:
        return None if value is None else Fraction(value, unit)

    return Month(
        part(inputs.assets, YUAN),
        part(inputs.contribution, YUAN),
        part(inputs.potential, 1),
        part(inputs.tenure, 12),
        inputs.risk == "HIGH",
    )


@given(st.lists(months, min_size=1, max_size=14))
@settings(max_examples=400, deadline=None)
def test_every_history_is_as_the_plain_model_has_it(inputs: list[Inputs]) -> None:
    found = history(inputs)
    assert [Shown(one.tier, one.on_watch, one.standing) for one in found] == shown([as_month(one) for one in inputs])
    # Any month can be decided again, from what was kept of the one before.
    for number, decision in enumerate(found):
        assert decide(POLICY, found[number - 1].state if number else None, inputs[number]) == decision


@given(months, st.sampled_from(TIERS[1:]), st.integers(1, 100))
def test_who_is_let_in_is_what_the_checks_explain(inputs: Inputs, tier: Tier, percent: int) -> None:
    score, entry = score_of(POLICY, inputs), POLICY.entries[tier]
    checks = list(checks_of(entry, score, inputs, percent))
    assert is_let_in(entry, score, inputs, percent) == any(check.is_met for check in checks)
    assert checks[0].needed == entry.score * POINT


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"currency": "yuan"}, ("definition", "currency")),
        ({"extra": 1}, ("definition", "extra")),
        ({"keep_percent": 0}, ("definition", "keepPercent")),
        ({"assets": {"weight": 500, "curve": [[0, 0], [0, 1]]}}, ("definition", "assets", "curve")),
        ({"assets": {"weight": 500, "curve": [[0, 5], [1, 1]]}}, ("definition", "assets", "curve")),
        ({"assets": {"weight": 500, "curve": [[0, 0.5]]}}, ("definition", "assets", "curve", "0", "1")),
        ({"tenure": {"weight": 101, "curve": [[0, 0]]}}, ("definition",)),
        ({"entries": {"VIP": {"score": 60}}}, ("definition", "entries")),
        ({"entries": {"VIP": {"score": 30}, "POTENTIAL": {"score": 35}}}, ("definition", "entries")),
        ({"risk_caps": {"HIGH": "GOLD"}}, ("definition", "riskCaps", "HIGH")),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_path(change: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(TierPolicyInvalid) as refused:
        parse_tier_definition({**DEFAULT, **change})
    assert refused.value.path == path


def test_what_a_bank_begins_with_is_what_the_migration_wrote() -> None:
    written = importlib.import_module("migrations.sql.versions.0019_tiers")
    assert parse_tier_definition(written.FIRST_POLICY) == POLICY
    assert written.FIRST_POLICY_ID == FIRST_POLICY_ID
