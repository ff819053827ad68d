"""Suitability against a plain table that knows nothing of the implementation, and at its exact edges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.questionnaire_definition import AnswersInvalid, RiskQuestionnaireInvalid, assess, parse_questionnaire
from service.suitability import (
    Assessed,
    Liquidity,
    Offer,
    ProductRisk,
    Rating,
    RiskClass,
    Suitability,
    Unsuitable,
    check_suitability,
    suitability_of_snapshot,
)
from service.suitability_words import reason_words

NOW = datetime(2026, 11, 29, 4, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# What the bank's people would write on paper: which class may have which risk, and which need which way back.
MAY_HAVE = {
    "C1": {"R1"},
    "C2": {"R1", "R2"},
    "C3": {"R1", "R2", "R3"},
    "C4": {"R1", "R2", "R3", "R4"},
    "C5": {"R1", "R2", "R3", "R4", "R5"},
}
SOON_ENOUGH = {
    "DAILY": {"DAILY"},
    "WEEKLY": {"DAILY", "WEEKLY"},
    "MONTHLY": {"DAILY", "WEEKLY", "MONTHLY"},
    "QUARTERLY": {"DAILY", "WEEKLY", "MONTHLY", "QUARTERLY"},
    "AT_MATURITY": {"DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "AT_MATURITY"},
}


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


MONTHS = st.integers(0, 600)
RATINGS = st.builds(
    Rating, optional(st.sampled_from(ProductRisk)), optional(MONTHS), optional(st.sampled_from(Liquidity))
)
OFFERS = st.builds(Offer, st.just("P"), RATINGS, st.integers(1, 9), st.booleans())
EXPIRIES = st.sampled_from(
    [NOW - timedelta(days=1), NOW - MICROSECOND, NOW, NOW + MICROSECOND, NOW + timedelta(days=1)]
)
ASSESSMENTS = st.builds(
    Assessed, st.just("a"), st.sampled_from(RiskClass), EXPIRIES, MONTHS, st.sampled_from(Liquidity)
)


def on_paper(offer: Any, assessed: Any, horizon: Any, need: Any) -> set[str]:
    """The table, read line by line."""
    found: set[str] = set()
    if offer is None:
        found.add("PRODUCT_UNKNOWN")
    else:
        if not offer.is_active:
            found.add("PRODUCT_NOT_OFFERED")
        if offer.rating.risk is None or offer.rating.horizon_months is None or offer.rating.liquidity is None:
            found.add("RATING_UNKNOWN")
    risk = offer.rating.risk if offer else None
    if assessed is None:
        found.add("ASSESSMENT_MISSING")
    elif assessed.expires_at <= NOW:
        found.add("ASSESSMENT_EXPIRED")
    elif risk is not None and risk.value not in MAY_HAVE[assessed.risk_class.value]:
        found.add("RISK_TOO_HIGH")
    months = horizon if horizon is not None else (assessed.horizon_months if assessed else None)
    back = need if need is not None else (assessed.liquidity_need if assessed else None)
    least = offer.rating.horizon_months if offer else None
    way = offer.rating.liquidity if offer else None
    if months is None:
        found.add("HORIZON_UNKNOWN")
    elif least is not None and months < least:
        found.add("HORIZON")
    if back is None:
        found.add("LIQUIDITY_UNKNOWN")
    elif way is not None and way.value not in SOON_ENOUGH[back.value]:
        found.add("LIQUIDITY")
    return found


@given(optional(OFFERS), optional(ASSESSMENTS), optional(MONTHS), optional(st.sampled_from(Liquidity)))
def test_it_says_what_the_table_says(offer: Any, assessed: Any, horizon: Any, need: Any) -> None:
    found = check_suitability("P", offer, assessed, horizon_months=horizon, liquidity_need=need, now=NOW)
    assert {one.value for one in found.reasons} == on_paper(offer, assessed, horizon, need)
    assert len(set(found.reasons)) == len(found.reasons)
    assert found.is_suitable == (not found.reasons)
    # Whatever is unknown, it does not fit.
    rating = offer.rating if offer else None
    known = rating is not None and None not in (rating.risk, rating.horizon_months, rating.liquidity)
    if not known or assessed is None:
        assert not found.is_suitable
    assert suitability_of_snapshot(found.as_snapshot()) == found
    for reason in found.reasons:
        for language in ("zh", "en"):
            words = reason_words(reason, found, language, "Asia/Shanghai")
            assert words and "None" not in words and words.isascii() == (language == "en")


def fitting(**changed: Any) -> Suitability:
    offer = Offer("P", Rating(ProductRisk.R3, 12, Liquidity.MONTHLY), 1)
    assessed = Assessed("a", RiskClass.C3, changed.pop("expires_at", NOW + MICROSECOND), 12, Liquidity.MONTHLY)
    return check_suitability("P", offer, assessed, now=NOW, **changed)


def test_an_assessment_holds_up_to_the_instant_of_its_expiry() -> None:
    assert fitting(expires_at=NOW + MICROSECOND).is_suitable
    assert fitting(expires_at=NOW).reasons == (Unsuitable.ASSESSMENT_EXPIRED,)


def test_what_is_just_enough_is_enough() -> None:
    assert fitting(horizon_months=12).is_suitable
    assert fitting(horizon_months=11).reasons == (Unsuitable.HORIZON,)
    assert fitting(liquidity_need=Liquidity.MONTHLY).is_suitable
    assert fitting(liquidity_need=Liquidity.WEEKLY).reasons == (Unsuitable.LIQUIDITY,)


def test_what_is_not_sold_any_more_may_be_kept() -> None:
    offer = Offer("P", Rating(ProductRisk.R1, 0, Liquidity.DAILY), 1, is_active=False)
    assessed = Assessed("a", RiskClass.C1, NOW + MICROSECOND, 0, Liquidity.DAILY)
    found = check_suitability("P", offer, assessed, now=NOW)
    assert (found.reasons, found.against_holding) == ((Unsuitable.PRODUCT_NOT_OFFERED,), ())


def test_a_reason_says_its_numbers() -> None:
    found = fitting(horizon_months=11)
    assert reason_words(Unsuitable.HORIZON, found, "en", "UTC") == (
        "The product needs 12 months at least, the money can stay for 11."
    )
    assert "12" in reason_words(Unsuitable.HORIZON, found, "zh", "UTC")
    late = fitting(expires_at=NOW)
    assert reason_words(Unsuitable.ASSESSMENT_EXPIRED, late, "en", "Asia/Shanghai") == (
        "The risk assessment expired on 2026-11-29 12:00."
    )


def answer(key: str, score: int, at_most: str | None = None) -> dict[str, Any]:
    return {"key": key, "text_zh": "答", "text_en": "Answer", "score": score, "at_most": at_most}


def definition(**changed: Any) -> dict[str, Any]:
    """Two questions of 0 to 50 each; whoever can bear no loss is C1 whatever else they say."""
    questions = [
        {"key": "aim", "text_zh": "问", "text_en": "Aim?", "answers": [answer("low", 0), answer("high", 50)]},
        {
            "key": "loss",
            "text_zh": "问",
            "text_en": "Loss?",
            "answers": [answer("none", 50, "C1"), answer("some", 25), answer("much", 50)],
        },
    ]
    return {"questions": questions, "least_scores": {"C2": 30, "C3": 50, "C4": 75, "C5": 100}} | changed


def test_scores_make_classes_at_their_edges() -> None:
    parsed = parse_questionnaire(definition())
    cases = [
        ("low", "some", 25, "C1"),
        ("low", "much", 50, "C3"),
        ("high", "some", 75, "C4"),
        ("high", "much", 100, "C5"),
    ]
    for aim, loss, score, expected in cases:
        assert assess(parsed, {"aim": aim, "loss": loss}) == (score, expected)
    assert assess(parsed, {"aim": "high", "loss": "none"}) == (100, "C1")


def test_every_question_needs_one_of_its_own_answers() -> None:
    parsed = parse_questionnaire(definition())
    for wrong in ({}, {"aim": "low"}, {"aim": "low", "loss": "high"}, {"aim": "low", "loss": "some", "x": "low"}):
        with pytest.raises(AnswersInvalid):
            assess(parsed, wrong)


AMISS: list[dict[str, Any]] = [
    {"questions": []},
    {"least_scores": {"C2": 30, "C3": 50, "C4": 75}},
    {"least_scores": {"C2": 30, "C3": 30, "C4": 75, "C5": 100}},
    {"least_scores": {"C2": 30, "C3": 50, "C4": 75, "C5": 101}},
    {"least_scores": {"C2": 25, "C3": 50, "C4": 75, "C5": 100}},
    {"questions": [*definition()["questions"], definition()["questions"][0]]},
    {"valid_months": 0},
    {"most_a_day": 0},
    {"extra": 1},
]


@pytest.mark.parametrize("changed", AMISS)
def test_what_is_no_questionnaire_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(RiskQuestionnaireInvalid):
        parse_questionnaire(definition(**changed))
