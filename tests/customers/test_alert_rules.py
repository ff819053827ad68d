"""The rules of early warning: each against a plain restatement of what the bank wrote down, and at its edges."""

import math
import statistics
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.days import last_months, months_before
from customers.alert_definition import (
    STANDARD_ALERTS,
    ActivityDropRule,
    AlertDefinition,
    AlertPolicyInvalid,
    AnomalyRule,
    BalanceDropRule,
    ComplaintsRule,
    DormantRule,
    LargeOutflowRule,
    MaturityRule,
    parse_alert_definition,
)
from customers.alert_rules import (
    EVIDENCE,
    Maturity,
    activity_drop,
    anomaly,
    balance_drop,
    complaints,
    dormant,
    guard_of,
    large_outflow,
    maturity_stage,
    subject_of,
)
from segments.conditions import ConditionInvalid, Vocabulary
from segments.vocabulary import KnownTag

TODAY = date(2026, 11, 28)
OCTOBER = date(2026, 10, 1)
YUAN = 100
money = st.integers(-(10**12), 10**12)
amounts = st.integers(0, 10**11)


def months_of(*averages: int, source: str = "core") -> dict[date, dict[str, int]]:
    """Months that end with the last one that is over, the earliest first."""
    return {
        month: {source: average} for month, average in zip(last_months(OCTOBER, len(averages)), averages, strict=True)
    }


@given(st.lists(amounts, min_size=3, max_size=3), amounts, st.booleans())
@example([100_000 * YUAN] * 3, 70_000 * YUAN, False)
@example([166_667 * YUAN] * 3, 116_667 * YUAN, False)
@example([250_000 * YUAN] * 3, 200_000 * YUAN, True)
def test_a_balance_drops_as_it_was_written_down(before: list[int], average: int, is_vip: bool) -> None:
    share = Fraction(80 if is_vip else 70, 100)
    expected = max(before) > 0 and average <= share * max(before) and max(before) - average >= 50_000 * YUAN
    seen = balance_drop(BalanceDropRule(), months_of(*before, average), TODAY, is_vip=is_vip)
    assert (seen is not None) == expected
    if seen:
        assert (seen.month, seen.average, seen.best) == (OCTOBER, average, max(before))


@pytest.mark.parametrize(
    ("before", "average", "is_vip", "is_seen"),
    [
        (200_000_00, 140_000_00, False, True),
        (200_000_00, 140_000_01, False, False),
        (250_000_00, 200_000_00, True, True),
        (250_000_00, 200_000_01, True, False),
        (250_000_00, 200_000_00, False, False),
        (100_000_00, 50_000_00, False, True),
        (100_000_00, 50_000_01, False, False),
        (60_000_00, 0, False, True),
        (-60_000_00, -200_000_00, False, False),
    ],
)
def test_the_edges_of_a_balance_drop(before: int, average: int, is_vip: bool, is_seen: bool) -> None:
    seen = balance_drop(BalanceDropRule(), months_of(0, before, 0, average), TODAY, is_vip=is_vip)
    assert (seen is not None) == is_seen


def test_money_of_which_we_have_not_heard_is_not_gone() -> None:
    """Given two sources, when one of them has not told of the last month, then nothing is said; with both it is."""
    months = months_of(400_000_00, 400_000_00, 400_000_00)
    months[OCTOBER] = {"core": 100_000_00}
    months[months_before(OCTOBER)]["funds"] = 500_000_00
    rule = BalanceDropRule()
    assert balance_drop(rule, months, TODAY, is_vip=False) is None
    months[OCTOBER]["funds"] = 0
    seen = balance_drop(rule, months, TODAY, is_vip=False)
    assert seen is not None and (seen.average, seen.best, seen.best_month) == (100_000_00, 900_000_00, date(2026, 9, 1))
    assert balance_drop(rule, {OCTOBER: {"core": 0}}, TODAY, is_vip=False) is None
    assert balance_drop(rule, months_of(500_000_00, 0, 0, 0, 0), TODAY, is_vip=False) is None
    del months[OCTOBER]
    assert balance_drop(rule, months, TODAY, is_vip=False) is None


@given(money, st.none() | money)
@example(-200_000 * YUAN, None)
@example(-300_000 * YUAN, 1_000_000 * YUAN)
@example(-299_999 * YUAN, 1_000_000 * YUAN)
@example(-199_999_99, 0)
def test_a_large_outflow_as_it_was_written_down(net: int, balance: int | None) -> None:
    expected = -net >= max(Fraction(200_000 * YUAN), Fraction(30, 100) * (balance or 0))
    seen = large_outflow(LargeOutflowRule(), TODAY, net, balance)
    assert (seen is not None) == expected
    if seen:
        assert seen.outflow == -net


@given(st.integers(0, 500), st.integers(0, 500))
@example(7, 10)
@example(8, 10)
@example(0, 0)
def test_activity_drops_as_it_was_written_down(recent: int, before: int) -> None:
    expected = before > 0 and Fraction(before - recent, before) >= Fraction(30, 100)
    seen = activity_drop(ActivityDropRule(), TODAY, recent=recent, before=before)
    assert (seen is not None) == expected


@pytest.mark.parametrize(("days", "is_seen"), [(179, False), (180, True), (400, True)])
def test_dormant_from_the_180th_day_on(days: int, is_seen: bool) -> None:
    seen = dormant(DormantRule(), TODAY, TODAY - timedelta(days=days))
    assert (seen is not None) == is_seen
    assert seen is None or seen.days == days
    assert dormant(DormantRule(), TODAY, None) is None


@given(st.integers(-30, 30), st.integers(0, 10))
def test_a_stage_of_maturity_is_the_latest_whose_day_has_come_in_the_span(away: int, length: int) -> None:
    matures_on = TODAY + timedelta(days=away)
    span = [TODAY - timedelta(days=back) for back in range(length + 1)]
    passed = [stage for stage in (-14, -7, -1, 3) if any((day - matures_on).days == stage for day in span)]
    found = maturity_stage(MaturityRule(), matures_on, min(span), TODAY)
    assert found == (passed[-1] if passed else None)


def test_two_complaints() -> None:
    assert complaints(ComplaintsRule(), [TODAY]) is None
    seen = complaints(ComplaintsRule(), [TODAY, TODAY - timedelta(days=3)])
    assert seen is not None and (seen.count, seen.latest_day) == (2, TODAY)


def modified_z(points: list[int]) -> float:
    """The score of Iglewicz and Hoaglin with the statistics of the standard library; for who has a spread."""
    middle = statistics.median([Fraction(point) for point in points])
    deviation = statistics.median([abs(point - middle) for point in points])
    if deviation:
        return float(Fraction("0.6745") * abs(points[-1] - middle) / deviation)
    mean = statistics.mean([abs(point - middle) for point in points])
    return float(abs(points[-1] - middle) / (Fraction("1.253314") * mean)) if mean else 0.0


@given(st.lists(st.integers(-50, 50) | amounts, min_size=3, max_size=14))
def test_an_anomaly_as_it_was_written_down(points: list[int]) -> None:
    rule = AnomalyRule(months=14, flat_change=0)
    score = modified_z(points)
    if math.isclose(score, 3.5, rel_tol=1e-12):
        return
    seen = anomaly(rule, months_of(*points), TODAY)
    assert (seen is not None) == (len(points) >= 8 and score >= 3.5)
    if seen:
        assert seen.points == len(points) and abs(float(seen.score) - score) <= 0.0051


def test_the_edge_of_an_anomaly_is_exact() -> None:
    """Given a score of exactly 3.5, which no double says, then it is one; a minor unit less is none."""
    # The median is 0 and the median deviation 6,745 units, so that 35,000 units score 3.5.
    points = [-6_745, -6_745, -6_745, -6_745, 0, 6_745, 6_745, 6_745, 35_000]
    assert anomaly(AnomalyRule(), months_of(*points), TODAY) is not None
    assert anomaly(AnomalyRule(), months_of(*points[:-1], 34_999), TODAY) is None


def test_where_most_months_are_the_same_the_mean_deviation_decides_and_small_change_is_none() -> None:
    """Given a median deviation of nothing, then a difference of 50,000 speaks, and a minor unit less does not."""
    flat = [1_000_000_00] * 11
    seen = anomaly(AnomalyRule(), months_of(*flat, 950_000_00), TODAY)
    assert seen is not None and seen.flat and seen.score == "9.57"
    assert anomaly(AnomalyRule(), months_of(*flat, 950_000_01), TODAY) is None
    assert anomaly(AnomalyRule(), months_of(*flat, 1_000_000_00), TODAY) is None
    assert anomaly(AnomalyRule(), months_of(*flat[:6], 0), TODAY) is None


def test_months_of_other_sources_are_not_compared() -> None:
    months = months_of(*[1_000_000_00] * 11, 0)
    assert anomaly(AnomalyRule(), months, TODAY) is not None
    for month in last_months(OCTOBER, 9)[:-1]:
        months[month] = {"core": 1_000_000_00, "funds": 1}
    assert anomaly(AnomalyRule(), months, TODAY) is None


def test_what_is_seen_survives_its_storing_and_names_what_it_is_about() -> None:
    seen = Maturity(holding_id="h", product="Fund", amount=5, matures_on=TODAY, stage=3)
    assert EVIDENCE.validate_python(seen.model_dump(mode="json")) == seen
    assert subject_of(seen) == "holding:h:2026-11-28:+3"
    assert guard_of(seen) == "MATURITY:h:+3"


TAGS = Vocabulary({}, {"retiree": KnownTag("retiree", "退休", "Retiree", "LIFE_CYCLE")})


def test_a_definition_survives_its_storing() -> None:
    assert AlertDefinition.model_validate(STANDARD_ALERTS.model_dump(mode="json")) == STANDARD_ALERTS
    assert AnomalyRule.model_validate({"least_score": 3.5}).least_score == Decimal("3.5")


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ([], ()),
        ({"balance_drop": {"at_most_percent": 101}}, ("balanceDrop", "atMostPercent")),
        ({"balance_drop": {"misspelt": 1}}, ("balanceDrop", "misspelt")),
        ({"maturity": {"stages": [3, -1]}}, ("maturity", "stages")),
        ({"currency": "yuan"}, ("currency",)),
        ({"time_zone": "Asia/Nowhere"}, ("timeZone",)),
        ({"conditions": [{"key": "a", "name_zh": "一", "name_en": "A"}]}, ("conditions", "0", "condition")),
        (
            {"conditions": [{"key": "a", "name_zh": "一", "name_en": "A", "condition": {"tag": "none"}}]},
            ("conditions", "0", "condition", "tag"),
        ),
        (
            {"conditions": 2 * [{"key": "a", "name_zh": "一", "name_en": "A", "condition": {"tag": "retiree"}}]},
            ("conditions",),
        ),
    ],
)
def test_a_definition_that_cannot_be_says_where(definition: object, path: tuple[str, ...]) -> None:
    with pytest.raises((AlertPolicyInvalid, ConditionInvalid)) as caught:
        parse_alert_definition(definition, TAGS)
    assert caught.value.path == ("definition", *path)
