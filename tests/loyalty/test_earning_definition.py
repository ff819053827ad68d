"""A definition says which field is wrong, and never lets points follow money."""

from typing import Any

import pytest

from loyalty.earning_definition import EarningRuleInvalid, parse_earning_definition

GOOD: dict[str, Any] = {"fact_kind": "EVENT_ATTENDED", "points": 50}
STEPS: dict[str, Any] = {
    "fact_kind": "REFERRAL_STEP_REACHED",
    "hold_days": 7,
    "reversed_by": ["REFERRAL_STEP_UNDONE", "OTHER"],
}


@pytest.mark.parametrize(
    ("change", "path", "detail"),
    [
        ({"fact_kind": "event"}, "factKind", "capital letters"),
        ({"fact_kind": "TIME_DEPOSIT_OPENED"}, "factKind", "a deposit or balance earns no points"),
        ({"fact_kind": "SAVINGS_PLAN"}, "factKind", "a deposit or balance earns no points"),
        ({"fact_kind": "MONEY_PLACED"}, "factKind", "money earns no points"),
        ({"fact_kind": "TURNOVER_REACHED"}, "factKind", "money earns no points"),
        ({"fact_kind": "CASH_BROUGHT"}, "factKind", "money earns no points"),
        ({"fact_kind": "PRINCIPAL_ADDED"}, "factKind", "money earns no points"),
        ({**STEPS, "reversed_by": ["OTHER"]}, "", "REFERRAL_STEP_UNDONE in reversed_by"),
        ({**STEPS, "hold_days": 6}, "", "held for 7 days at least"),
        ({**STEPS, "reversible_days": 6}, "", "taken back as long as they are held"),
        ({"points": 0}, "points", "greater than or equal to 1"),
        ({"points": "50"}, "points", "valid integer"),
        ({"points": True}, "points", "valid integer"),
        ({"points": None}, "", "one of points and per_unit"),
        ({"per_unit": {"field": "minutes", "points": 1, "maximum": 9}}, "", "one of points and per_unit"),
        (
            {"points": None, "per_unit": {"field": "amount", "points": 1, "maximum": 9}},
            "perUnit.field",
            "money and balances",
        ),
        (
            {"points": None, "per_unit": {"field": "accountBalance", "points": 1, "maximum": 9}},
            "perUnit.field",
            "money and balances",
        ),
        ({"points": None, "per_unit": {"field": "minutes", "points": 1}}, "perUnit.maximum", "required"),
        (
            {"conditions": [{"field": "month_end_balance", "at_least": 50_000}]},
            "conditions.0.field",
            "money and balances",
        ),
        ({"conditions": [{"field": "priceInYuan", "equals": 5}]}, "conditions.0.field", "money and balances"),
        ({"conditions": [{"field": "a"}]}, "conditions.0", "one of equals, one_of and at_least"),
        ({"conditions": [{"field": "a", "equals": 1, "at_least": 1}]}, "conditions.0", "one of equals"),
        ({"conditions": [{"field": "a", "equals": {}}]}, "conditions.0.equals", "text of at most"),
        ({"conditions": [{"field": "a", "equals": "\0"}]}, "conditions.0.equals", "text of at most"),
        ({"conditions": [{"field": "a", "one_of": []}]}, "conditions.0.oneOf", "at least 1 item"),
        ({"conditions": [{"field": "a", "at_least": "3"}]}, "conditions.0.atLeast", "a number"),
        ({"conditions": [{"field": "a", "at_least": float("inf")}]}, "conditions.0.atLeast", "a number"),
        ({"hold_days": -1}, "holdDays", "greater than or equal to 0"),
        ({"hold_days": 30, "expires_days": 30}, "", "points expire after they are released"),
        ({"valid_from": "2026-01-01T00:00:00"}, "validFrom", "timezone"),
        ({"valid_from": 5}, "validFrom", "ISO 8601"),
        ({"valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-02-01T00:00:00Z"}, "", "after valid_from"),
        ({"caps": [{"period": "DAY"}]}, "caps.0", "points or times"),
        ({"caps": [{"period": "HOUR", "points": 5}]}, "caps.0.period", "DAY"),
        ({"caps": [{"period": "DAY", "points": 5}, {"period": "DAY", "times": 5}]}, "caps", "one cap for each period"),
        ({"on_cap": "MAYBE"}, "onCap", "PARTIAL"),
        ({"time_zone": "Mars/Olympus"}, "timeZone", "IANA"),
        ({"time_zone": "../etc"}, "timeZone", "IANA"),
        ({"reversed_by": ["gone"]}, "reversedBy", "capital letters"),
        ({"reversed_by": ["EVENT_ATTENDED"]}, "", "cannot take back"),
        ({"reversible_days": 0}, "reversibleDays", "greater than or equal to 1"),
        ({"shortfall": "FORGIVE"}, "shortfall", "DEBT"),
        ({"bonus": 1}, "bonus", "Extra inputs"),
    ],
)
def test_a_field_that_cannot_be_is_named(change: dict[str, Any], path: str, detail: str) -> None:
    with pytest.raises(EarningRuleInvalid) as refused:
        parse_earning_definition({**GOOD, **change})
    assert ".".join(refused.value.path) == ".".join(("definition", path)).rstrip(".")
    assert detail in str(refused.value.detail)


@pytest.mark.parametrize(
    "kind",
    [
        "EVENT_ATTENDED",
        "ANSWER_ACCEPTED",
        "CARD_LINKED",
        "IDENTITY_VERIFIED",
        "ACCOUNT_OPENED",
        "CUSTOMER_ANNIVERSARY",
        "COMMUNITY_ANNIVERSARY",
        "CUSTOMER_REGISTERED",
        # Letters of a currency across two words are none.
        "PLATFORM_BADGE_EARNED",
    ],
)
def test_ordinary_kinds_earn(kind: str) -> None:
    assert parse_earning_definition({**GOOD, "fact_kind": kind}).fact_kind == kind


def test_referral_steps_earn_where_they_are_held_and_taken_back() -> None:
    assert parse_earning_definition({**GOOD, **STEPS}).hold_days == 7
    assert parse_earning_definition({**GOOD, **STEPS, "reversible_days": 7}).reversible_days == 7


@pytest.mark.parametrize("data", [None, [], "words", 5])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(EarningRuleInvalid) as refused:
        parse_earning_definition(data)
    assert refused.value.path == ("definition",)


def test_a_definition_that_was_written_reads_the_same() -> None:
    parsed = parse_earning_definition(
        {
            **GOOD,
            "conditions": [{"field": "channel", "one_of": ["APP", 1, 1.5, True]}],
            "valid_from": "2026-01-01T00:00:00+08:00",
            "caps": [{"period": "YEAR", "times": 3}],
        }
    )
    assert parse_earning_definition(parsed.model_dump(mode="json")) == parsed
