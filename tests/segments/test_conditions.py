"""Reading conditions: what is refused, where, and that the published schema says the same."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.processes import REPOSITORY
from segments.condition_words import words_of
from segments.conditions import COMPARISONS, ConditionInvalid, parse_condition
from segments.traits import TraitKind
from segments.vocabulary import KnownTag, KnownTrait, Vocabulary
from tests.segments.json_schema import is_valid
from tests.segments.people import OLD_NAME, TAGS, TRAITS
from tests.segments.trees import nearly, trees

SCHEMA = json.loads((REPOSITORY / "docs" / "condition.schema.json").read_text())
SPORT = KnownTag("test-sport", "运动", "Sport", "INTEREST")
KNOWN = Vocabulary(
    {name: KnownTrait(TraitKind(kind), f"特征{name}", f"Trait {name}", days) for name, (kind, days) in TRAITS.items()},
    {key: KnownTag(key, name, key, family) for key, (name, family) in TAGS.items()} | {OLD_NAME: SPORT},
)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOME: Any = {"tag": "test-home"}


def deep(levels: int) -> Any:
    return HOME if levels == 1 else {"not": deep(levels - 1)}


def trait(**fields: Any) -> Any:
    return {"trait": {"name": "test_money", **fields}}


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"tag": "test-home", "tier": {"at_least": "VIP"}}, ""),
        ({"some": [HOME]}, ""),
        ({"all": []}, "all"),
        ({"all": HOME}, "all"),
        ({"any": [HOME] * 101}, "any"),
        ({"all": [HOME, {"not": {"tag": "no-such"}}]}, "all.1.not.tag"),
        ({"tag": {"key": "test-home", "min_confidence": 1.1}}, "tag.min_confidence"),
        ({"tag": {"key": "test-home", "min_confidence": True}}, "tag.min_confidence"),
        ({"tag": {"key": "test-home", "since": 1}}, "tag.since"),
        ({"tag": {"key": ["test-home"]}}, "tag.key"),
        ({"tier": {}}, "tier"),
        ({"tier": {"at_least": "GOLD"}}, "tier.at_least"),
        ({"tier": {"in": ["VIP", "GOLD"]}}, "tier.in.1"),
        ({"tier": {"at_least": "VIP", "in": ["VIP"]}}, "tier"),
        ({"tier": {"on_watch": 1}}, "tier.on_watch"),
        ({"all": [HOME, trait(gte="5")]}, "all.1.trait.gte"),
        (trait(gte=2**63), "trait.gte"),
        (trait(gte=-(2**63)), "trait.gte"),
        (trait(gte=0.5), "trait.gte"),
        (trait(gte=True), "trait.gte"),
        (trait(eq=float("nan")), "trait.eq"),
        (trait(eq="many"), "trait.eq"),
        (trait(before="2026-01-01"), "trait.before"),
        (trait(**{"in": [1, "2"]}), "trait.in.1"),
        (trait(**{"in": list(range(101))}), "trait.in"),
        (trait(), "trait"),
        (trait(known=False, gte=1), "trait"),
        (trait(fresh=False), "trait.fresh"),
        ({"trait": {"gte": 1}}, "trait.name"),
        ({"trait": {"name": "no-such", "gte": 1}}, "trait.name"),
        ({"trait": {"name": "test_word", "gt": 1}}, "trait.gt"),
        ({"trait": {"name": "test_word", "eq": "a\0b"}}, "trait.eq"),
        ({"trait": {"name": "test_word", "eq": "\ud800"}}, "trait.eq"),
        ({"trait": {"name": "test_truth", "eq": 1}}, "trait.eq"),
        ({"trait": {"name": "test_day", "before": "2026-02-30"}}, "trait.before"),
        ({"trait": {"name": "test_day", "age_at_least": 151}}, "trait.age_at_least"),
        ({"event": {"kind": "TEST_SEEN"}}, "event.within_days"),
        ({"event": {"kind": "seen", "within_days": 1}}, "event.kind"),
        ({"event": {"kind": "TEST_SEEN", "within_days": 0}}, "event.within_days"),
        ({"event": {"kind": "TEST_SEEN", "within_days": 3651}}, "event.within_days"),
        ({"event": {"kind": "TEST_SEEN", "within_days": 9, "at_least": 2, "at_most": 1}}, "event.at_most"),
        (deep(9), ".".join(["not"] * 8)),
        ({"all": [{"any": [HOME] * 50}, {"any": [HOME] * 51}]}, "all.1.any.50.tag"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(tree: Any, path: str) -> None:
    with pytest.raises(ConditionInvalid) as refused:
        parse_condition(tree, KNOWN)
    assert ".".join(refused.value.path) == f"condition.{path}".rstrip(".")


def test_the_limits_themselves_are_allowed() -> None:
    parse_condition(deep(8), KNOWN)
    parse_condition({"all": [HOME] * 100}, KNOWN)
    parse_condition(trait(gte=-(2**63 - 1), lte=2**63 - 1), KNOWN)


@unhurried
@given(trees)
def test_what_is_read_is_of_the_published_form_and_can_be_told_in_both_languages(tree: Any) -> None:
    condition = parse_condition(tree, KNOWN)
    assert is_valid(json.loads(json.dumps(tree)), SCHEMA, SCHEMA)
    assert words_of(condition, KNOWN, "zh") and words_of(condition, KNOWN, "en")
    assert words_of(condition, Vocabulary(), "zh") and words_of(condition, Vocabulary(), "en")


# Fields that a trait's kind decides about, and which end above the other: beyond any schema.
BEYOND = ("takes ", "there is no such ", "not below at_least")


@unhurried
@given(nearly())
def test_what_is_nearly_right_is_of_the_form_where_it_is_read_and_not_where_it_is_not(tree: Any) -> None:
    """Given a tree with something off; then the schema refuses it exactly where the reader does for its form."""
    try:
        parse_condition(tree, KNOWN)
    except ConditionInvalid as refused:
        place: Any = {"condition": tree}
        detail = str(refused.detail)
        if any(word in detail for word in BEYOND) or is_about_kind(refused.path, place):
            return
        assert not is_valid(tree, SCHEMA, SCHEMA), refused
    else:
        assert is_valid(tree, SCHEMA, SCHEMA)


def is_about_kind(path: tuple[str, ...], place: Any) -> bool:
    """Whether a value of the right form was refused because of its trait's kind."""
    if "trait" not in path or (path[-1] not in COMPARISONS and path[-2] != "in"):
        return False
    wanted: Any = place
    for part in path:
        wanted = wanted[int(part) if isinstance(wanted, list) else part]
    forms = SCHEMA["$defs"]["trait"]["oneOf"][1]["properties"]
    return is_valid(wanted, forms["in"]["items"] if path[-2] == "in" else forms[path[-1]], SCHEMA)


@pytest.mark.parametrize(
    ("tree", "zh", "en"),
    [
        (
            {"all": [{"tag": "test-retiree"}, {"any": [trait(gte=500_000_050), {"not": {"tier": {"in": ["VIP"]}}}]}]},
            "有标签“退休人士”且（“特征test_money”不低于5,000,000.50或非（客户层级为贵宾））",
            "has the tag “test-retiree” and (“Trait test_money” is at least 5,000,000.50 or not (tier is VIP))",
        ),
        (
            {"event": {"kind": "EVENT_ATTENDED", "within_days": 90, "at_least": 2}},
            "近90天内参加活动至少2次",
            "attending an event at least 2 times in the last 90 days",
        ),
        (
            {"tag": {"key": OLD_NAME, "min_confidence": 0.5}},
            "有标签“运动”（置信度不低于0.5）",
            "has the tag “test-sport” (confidence at least 0.5)",
        ),
        ({"trait": {"name": "test_day", "known": False}}, "“特征test_day”未知", "“Trait test_day” is not known"),
        (
            {"tier": {"at_least": "POTENTIAL", "on_watch": True}},
            "客户层级为潜力、贵宾之一，处于观察期",
            "tier is one of Potential, VIP while on watch",
        ),
        (
            {"any": [{"tag": "test-home"}, trait(gte=100, fresh=True), {"tier": {"in": ["VIP"], "on_watch": False}}]},
            "有标签“购房”或（“特征test_money”不低于1.00且未过期）或（客户层级为贵宾，不处于观察期）",
            "has the tag “test-home” or (“Trait test_money” is at least 1.00 and is not stale) or "
            "(tier is VIP and not on watch)",
        ),
        (
            {"trait": {"name": "test_day", "age_at_least": 15}},
            "“特征test_day”距今至少15整年（按月计）",
            "“Trait test_day” is at least 15 whole years ago by month",
        ),
    ],
)
def test_words_say_what_was_compiled(tree: Any, zh: str, en: str) -> None:
    condition = parse_condition(tree, KNOWN)
    assert words_of(condition, KNOWN, "zh") == zh
    assert words_of(condition, KNOWN, "en") == en


@unhurried
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_comes_is_read_or_refused(tree: Any) -> None:
    with pytest.raises(ConditionInvalid):
        parse_condition({"all": [tree]}, KNOWN)
