"""A condition in words, for those who decide about it: the compiled tree is told, not what somebody wrote."""

from collections.abc import Callable, Mapping
from datetime import date

from graph.eligibility import TIERS, Tier
from segments.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    HadEvents,
    HasTag,
    HasTrait,
    InTier,
    Not,
    Vocabulary,
)
from segments.traits import TraitKind

TIER_NAMES: Mapping[Tier, tuple[str, str]] = {
    Tier.MASS: ("大众", "Mass"),
    Tier.POTENTIAL: ("潜力", "Potential"),
    Tier.VIP: ("贵宾", "VIP"),
}
EVENT_NAMES: Mapping[str, tuple[str, str]] = {
    "EVENT_ATTENDED": ("参加活动", "attending an event"),
    "CUSTOMER_VERIFIED": ("完成身份核验", "being verified"),
    "CUSTOMER_REGISTERED": ("注册", "registering"),
    "REDEMPTION_FAILED": ("兑换失败", "a redemption that failed"),
    "REDEMPTION_FULFILLED": ("兑换完成", "a redemption that was fulfilled"),
    "REGISTRATION_ABANDONED": ("报名中断", "a registration that was abandoned"),
    "HAND_OFF_DECLINED": ("转办被退回", "a hand-off that was declined"),
    "COMPLAINT_FILED": ("提出投诉", "a complaint"),
    "COMPLAINT_CLOSED": ("投诉办结", "a complaint that was closed"),
    "COMPLAINT_FIRST_RESPONSE_LATE": ("投诉首次回复超时", "a late first response to a complaint"),
    "SURVEY_SUBMITTED": ("提交问卷", "answering a survey"),
}
COMPARED: Mapping[str, tuple[str, str]] = {
    "eq": ("等于{}", "is {}"),
    "ne": ("不等于{}", "is not {}"),
    "gt": ("大于{}", "is above {}"),
    "gte": ("不低于{}", "is at least {}"),
    "lt": ("小于{}", "is below {}"),
    "lte": ("不高于{}", "is at most {}"),
    "in": ("属于{}", "is one of {}"),
    "before": ("早于{}", "is before {}"),
    "after": ("晚于{}", "is after {}"),
    # Days are kept as the first of their month.
    "age_at_least": ("距今至少{}整年（按月计）", "is at least {} whole years ago by month"),
    "age_at_most": ("距今至多{}整年（按月计）", "is at most {} whole years ago by month"),
}


def words_of(condition: Condition, known: Vocabulary, language: str) -> str:
    """What the condition says, `zh` or `en`; money in major units, days in ISO 8601."""
    return told(condition, known, language == "zh")


def told(condition: Condition, known: Vocabulary, zh: bool) -> str:
    match condition:
        case AllOf(parts):
            return joined(parts, known, zh, "且" if zh else " and ")
        case AnyOf(parts):
            return joined(parts, known, zh, "或" if zh else " or ")
        case Not(part):
            inner = told(part, known, zh)
            return f"非（{inner}）" if zh else f"not ({inner})"
        case HasTag():
            return tag_words(condition, known, zh)
        case InTier():
            return tier_words(condition, zh)
        case HasTrait():
            return trait_words(condition, known, zh)
        case HadEvents():
            return event_words(condition, zh)


def joined(parts: tuple[Condition, ...], known: Vocabulary, zh: bool, word: str) -> str:
    """The parts with the word between them; those that are themselves of several parts stand in brackets."""
    one, other = ("（", "）") if zh else ("(", ")")

    def bracketed(part: Condition) -> str:
        inner = told(part, known, zh)
        return f"{one}{inner}{other}" if has_parts(part) else inner

    return bracketed(parts[0]) if len(parts) == 1 else word.join(bracketed(part) for part in parts)


def has_parts(condition: Condition) -> bool:
    """Whether the words have an “and” or “or” of their own, so that beside others nobody could tell what it joins."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            return len(parts) > 1
        case HasTrait():
            return len(condition.comparisons) + condition.is_fresh > 1
        case InTier():
            return condition.on_watch is not None
        case _:
            return False


def tag_words(leaf: HasTag, known: Vocabulary, zh: bool) -> str:
    tag = known.tags.get(leaf.key)
    name = leaf.key if tag is None else tag.name_zh if zh else tag.name_en
    words = f"有标签“{name}”" if zh else f"has the tag “{name}”"
    if leaf.min_confidence is None:
        return words
    sure = f"{leaf.min_confidence:g}"
    return f"{words}（置信度不低于{sure}）" if zh else f"{words} (confidence at least {sure})"


def tier_words(leaf: InTier, zh: bool) -> str:
    names = [TIER_NAMES[tier][0 if zh else 1] for tier in TIERS if tier in leaf.tiers]
    listed = ("、" if zh else ", ").join(names)
    if len(names) > 1:
        listed = f"{listed}之一" if zh else f"one of {listed}"
    tiers = f"客户层级为{listed}" if zh else f"tier is {listed}"
    if leaf.on_watch is None:
        return tiers
    if zh:
        return f"{tiers}，{'处于' if leaf.on_watch else '不处于'}观察期"
    return f"{tiers} {'while' if leaf.on_watch else 'and not'} on watch"


def trait_words(leaf: HasTrait, known: Vocabulary, zh: bool) -> str:
    trait = known.traits.get(leaf.name)
    name = leaf.name if trait is None else trait.name_zh if zh else trait.name_en
    if not leaf.is_known:
        return f"“{name}”未知" if zh else f"“{name}” is not known"
    said = [COMPARED[one.operator][0 if zh else 1].format(value_words(leaf, one, zh)) for one in leaf.comparisons]
    said = said or (["已知"] if zh else ["is known"])
    if leaf.is_fresh:
        said.append("未过期" if zh else "is not stale")
    return f"“{name}”{'且'.join(said)}" if zh else f"“{name}” {' and '.join(said)}"


def value_words(leaf: HasTrait, one: Comparison, zh: bool) -> str:
    if isinstance(one.value, tuple):
        return ("、" if zh else ", ").join(scalar_words(leaf.kind, value, zh) for value in one.value)
    return str(one.value) if one.operator.startswith("age_") else scalar_words(leaf.kind, one.value, zh)


def scalar_words(kind: TraitKind, value: int | str | date, zh: bool) -> str:
    say = KIND_WORDS.get(kind)
    return say(int(value), zh) if say and isinstance(value, int) else f"“{value}”" if kind == "TEXT" else str(value)


def money_words(minor: int, _: bool = False) -> str:
    """Minor units as an amount with two decimals; whole numbers only, so that none of them is rounded."""
    whole, rest = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole:,}.{rest:02}"


def truth_words(value: int, zh: bool) -> str:
    return ("是" if value else "否") if zh else ("yes" if value else "no")


KIND_WORDS: Mapping[TraitKind, Callable[[int, bool], str]] = {
    TraitKind.MONEY: money_words,
    TraitKind.NUMBER: lambda value, _: f"{value:,}",
    TraitKind.BOOLEAN: truth_words,
}


def event_words(leaf: HadEvents, zh: bool) -> str:
    names = EVENT_NAMES.get(leaf.kind)
    if zh:
        name = names[0] if names else f"“{leaf.kind}”"
        return f"近{leaf.within_days}天内{name}{times_words(leaf, zh)}"
    name = names[1] if names else f"“{leaf.kind}”"
    return f"{name} {times_words(leaf, zh)} in the last {leaf.within_days} days"


def times_words(leaf: HadEvents, zh: bool) -> str:
    least, most = leaf.at_least, leaf.at_most
    if most is None:
        return f"至少{least}次" if zh else f"at least {least} times"
    if least == 0:
        return f"至多{most}次" if zh else f"at most {most} times"
    return f"{least}至{most}次" if zh else f"{least} to {most} times"
