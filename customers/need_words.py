"""What a need says to a person, in Chinese and English: why the system thinks so, with the values that it saw."""

from typing import Any

from customers.insight_policies import InsightPolicy
from customers.need_definition import NeedDefinition, NeedRule
from customers.needs import DECLARED, Need, NeedOrigin
from segments.condition_words import money_words, truth_words, words_of
from segments.conditions import ConditionInvalid, Vocabulary, parse_condition
from segments.traits import TraitKind


def need_why(row: Need, policy: InsightPolicy | None, known: Vocabulary | None, language: str) -> str:
    """The name of the rule with its condition in words, as the policy of then has it; or who said so."""
    is_zh = language == "zh"
    if row.origin == NeedOrigin.EXPLICIT or policy is None or known is None:
        if row.source == DECLARED:
            return "客户本人提出。" if is_zh else "The customer said so."
        return "客户向客户经理提出。" if is_zh else "The customer told their manager."
    rules = NeedDefinition.model_validate(policy.definition).rules
    rule = next((one for one in rules if one.key == row.rule), None)
    return rule_words(rule, known, is_zh) if rule else str(row.rule)


def rule_words(rule: NeedRule, known: Vocabulary, is_zh: bool) -> str:
    name = rule.name_zh if is_zh else rule.name_en
    try:
        words = words_of(parse_condition(rule.condition, known), known, "zh" if is_zh else "en")
    except ConditionInvalid:
        # A tag or trait that the condition names is not known any more: its name has to do.
        return name
    return f"{name}：{words}" if is_zh else f"{name}: {words}"


def value_words(key: str, value: Any, known: Vocabulary, language: str) -> tuple[str, str]:
    """The name and the value of a piece of evidence, whose key is `trait:…` or `tag:…`."""
    is_zh = language == "zh"
    what, _, name = key.partition(":")
    if what == "tag":
        tag = known.tags.get(name)
        return (tag.name_zh if is_zh else tag.name_en) if tag else name, f"{value:.0%}"
    trait = known.traits.get(name)
    if trait is None:
        return name, str(value)
    words = trait.name_zh if is_zh else trait.name_en
    if trait.kind == TraitKind.MONEY and isinstance(value, int):
        return words, money_words(value)
    if trait.kind == TraitKind.BOOLEAN and isinstance(value, int):
        return words, truth_words(value, is_zh)
    # A day that would name a person is kept as its month.
    return words, str(value)[:7] if trait.kind == TraitKind.DATE else str(value)
