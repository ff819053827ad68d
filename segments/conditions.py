"""The condition language: one JSON tree of all, any and not over tags, tier, traits and events (docs/conditions.md).

Reading a tree checks its form, which docs/condition.schema.json publishes, and then its words by a vocabulary.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

from core.errors import BadUserInput
from core.facts import KIND
from core.storable import is_storable
from graph.eligibility import TIERS, Tier
from segments.traits import TraitKind
from segments.vocabulary import KnownTrait, Vocabulary, load_vocabulary

__all__ = ["Condition", "ConditionInvalid", "Vocabulary", "load_vocabulary", "parse_condition"]

DEEPEST = 8
MOST_LEAVES = 100
LONGEST_LIST = 100
LONGEST_WORD = 200
LARGEST_NUMBER = 2**63 - 1
LONGEST_SPAN_DAYS = 3650
MOST_EVENTS = 1_000_000
OLDEST_YEARS = 150
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

ORDERS = ("gt", "gte", "lt", "lte")
DAYS = ("before", "after")
AGES = ("age_at_least", "age_at_most")
COMPARISONS = ("eq", "ne", *ORDERS, "in", *DAYS, *AGES)
NUMERIC = frozenset({"eq", "ne", *ORDERS, "in"})
# What can be asked of a trait, by its kind.
ASKABLE: Mapping[TraitKind, frozenset[str]] = {
    TraitKind.NUMBER: NUMERIC,
    TraitKind.MONEY: NUMERIC,
    TraitKind.TEXT: frozenset({"eq", "ne", "in"}),
    TraitKind.BOOLEAN: frozenset({"eq", "ne"}),
    TraitKind.DATE: frozenset({*DAYS, *AGES}),
}


class ConditionInvalid(BadUserInput):
    code = "CONDITION_INVALID"
    en = "The condition is not valid."
    zh = "条件表达式无效。"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold, be it because it is false or because nothing is known."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class HasTag:
    """The customer carries the tag now; `key` is the one that stands, whatever the tree calls it, and one of `keys`."""

    key: str
    min_confidence: float | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InTier:
    """The customer's tier is one of these; who has none is MASS and not on watch."""

    tiers: frozenset[Tier]
    on_watch: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question about a trait's value: whole numbers (truth is 1 or 0), words, days, years, or a list of them."""

    operator: str
    value: int | str | date | tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HasTrait:
    """One value of the trait answers all comparisons; `is_known` False: there is no value at all."""

    name: str
    kind: TraitKind
    comparisons: tuple[Comparison, ...]
    is_known: bool
    is_fresh: bool
    stale_after_days: int | None


@dataclass(frozen=True, slots=True)
class HadEvents:
    """Facts of the kind in the last so many days of 24 hours, at least and at most so many."""

    kind: str
    within_days: int
    at_least: int
    at_most: int | None


Condition = AllOf | AnyOf | Not | HasTag | InTier | HasTrait | HadEvents
Path = tuple[str, ...]


def parse_condition(tree: Any, known: Vocabulary, *, path: Path = ("condition",)) -> Condition:
    """Read a tree as JSON has it; raises ConditionInvalid with the path of the first part that cannot be."""
    leaves = iter(range(MOST_LEAVES))
    return read_node(tree, known, path, 1, leaves)


def invalid(path: Path, detail: str) -> NoReturn:
    raise ConditionInvalid(path=path, detail=detail)


def read_node(tree: Any, known: Vocabulary, path: Path, depth: int, leaves: Iterator[int]) -> Condition:
    """Read one node; `leaves` runs out when there are too many of them."""
    if not isinstance(tree, dict) or len(tree) != 1:
        invalid(path, f"an object with one of {', '.join((*NODES, *LEAVES))}")
    if depth > DEEPEST:
        invalid(path, f"at most {DEEPEST} levels")
    word, below = next(iter(tree.items()))
    if word in LEAVES:
        if next(leaves, None) is None:
            invalid((*path, word), f"at most {MOST_LEAVES} leaves")
        return LEAVES[word](below, known, (*path, word))
    if word not in NODES:
        invalid(path, f"one of {', '.join((*NODES, *LEAVES))}")
    inner = (*path, word)
    if word == "not":
        return Not(read_node(below, known, inner, depth + 1, leaves))
    items = read_list(below, inner)
    parts = tuple(read_node(part, known, (*inner, str(at)), depth + 1, leaves) for at, part in enumerate(items))
    return AllOf(parts) if word == "all" else AnyOf(parts)


def read_list(value: Any, path: Path) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= LONGEST_LIST:
        invalid(path, f"a list of 1 to {LONGEST_LIST}")
    return value


def read_fields(value: Any, path: Path, *names: str, required: Path = ()) -> dict[str, Any]:
    """An object that has no other fields than these."""
    if not isinstance(value, dict):
        invalid(path, "an object")
    for name in value:
        if name not in names:
            invalid((*path, str(name)[:40]), f"one of {', '.join(names)}")
    for name in required:
        if name not in value:
            invalid((*path, name), "it is missing")
    return value


def read_word(value: Any, path: Path) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_WORD or not is_storable(value):
        invalid(path, f"text of 1 to {LONGEST_WORD} characters")
    return value


def read_whole(value: Any, path: Path, least: int, most: int) -> int:
    """A whole number; 2.0 is one too, as in JSON Schema."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value != int(value):
        invalid(path, f"a whole number from {least} to {most}")
    return int(value)


def read_truth(value: Any, path: Path) -> bool:
    if not isinstance(value, bool):
        invalid(path, "true or false")
    return value


def read_day(value: Any, path: Path) -> date:
    try:
        return date.fromisoformat(value if DAY.fullmatch(value) else "")
    except (ValueError, TypeError):
        invalid(path, "a day, such as 2026-12-01")


def read_tag(value: Any, known: Vocabulary, path: Path) -> HasTag:
    fields = {"key": value} if isinstance(value, str) else read_fields(value, path, "key", "min_confidence")
    at = path if isinstance(value, str) else (*path, "key")
    tag = known.tags.get(read_word(fields.get("key"), at))
    sure = fields.get("min_confidence", 0)
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        invalid((*path, "min_confidence"), "a number from 0 to 1")
    if tag is None:
        invalid(at, "there is no such tag")
    return HasTag(tag.key, float(sure) if "min_confidence" in fields else None, tag.keys)


def read_tier(value: Any, _: Vocabulary, path: Path) -> InTier:
    fields = read_fields(value, path, "at_least", "in", "on_watch")
    if not fields or {"at_least", "in"} <= fields.keys():
        invalid(path, "one of at_least and in, or on_watch")
    tiers = frozenset(TIERS)
    if "at_least" in fields:
        tiers = frozenset(TIERS[TIERS.index(read_tier_name(fields["at_least"], (*path, "at_least"))) :])
    elif "in" in fields:
        inner = (*path, "in")
        names = enumerate(read_list(fields["in"], inner))
        tiers = frozenset(read_tier_name(name, (*inner, str(at))) for at, name in names)
    watch = read_truth(fields["on_watch"], (*path, "on_watch")) if "on_watch" in fields else None
    return InTier(tiers, watch)


def read_tier_name(value: Any, path: Path) -> Tier:
    if not isinstance(value, str) or value not in TIERS:
        invalid(path, f"one of {', '.join(TIERS)}")
    return Tier(value)


def read_trait(value: Any, known: Vocabulary, path: Path) -> HasTrait:
    fields = read_fields(value, path, "name", *COMPARISONS, "known", "fresh", required=("name",))
    name = read_word(fields["name"], (*path, "name"))
    is_known = read_truth(fields.get("known", True), (*path, "known"))
    if fields.get("fresh", True) is not True:
        invalid((*path, "fresh"), "true, or left out")
    if len(fields) == 1 or (not is_known and len(fields) > 2):
        invalid(path, "known: false alone, or a comparison, known or fresh")
    trait = known.traits.get(name)
    for operator in fields.keys() & set(COMPARISONS):
        check_form(operator, fields[operator], (*path, operator))
    if trait is None:
        invalid((*path, "name"), "there is no such trait")
    comparisons = tuple(
        Comparison(operator, read_value(trait, operator, fields[operator], (*path, operator)))
        for operator in COMPARISONS
        if operator in fields
    )
    return HasTrait(name, trait.kind, comparisons, is_known, "fresh" in fields, trait.stale_after_days)


def check_form(operator: str, value: Any, path: Path) -> None:
    """Refuse what this operator can take of no trait at all."""
    if operator in ("eq", "ne"):
        read_scalar(value, path)
    elif operator == "in":
        for at, item in enumerate(read_list(value, path)):
            read_text_or_number(item, (*path, str(at)))
    else:
        FORMS[operator](value, path)


def read_scalar(value: Any, path: Path) -> int | str:
    return int(value) if isinstance(value, bool) else read_text_or_number(value, path)


def read_text_or_number(value: Any, path: Path) -> int | str:
    return read_word(value, path) if isinstance(value, str) else read_number(value, path)


def read_number(value: Any, path: Path) -> int:
    return read_whole(value, path, -LARGEST_NUMBER, LARGEST_NUMBER)


def read_years(value: Any, path: Path) -> int:
    return read_whole(value, path, 0, OLDEST_YEARS)


FORMS: Mapping[str, Callable[[Any, Path], Any]] = {
    **dict.fromkeys(ORDERS, read_number),
    **dict.fromkeys(DAYS, read_day),
    **dict.fromkeys(AGES, read_years),
}
SCALARS: Mapping[TraitKind, Callable[[Any, Path], int | str]] = {
    TraitKind.NUMBER: read_number,
    TraitKind.MONEY: read_number,
    TraitKind.TEXT: read_word,
    TraitKind.BOOLEAN: read_truth,
}


def read_value(trait: KnownTrait, operator: str, value: Any, path: Path) -> Any:
    """The value as the trait's kind has it."""
    if operator not in ASKABLE[trait.kind]:
        invalid(path, f"a trait of kind {trait.kind} takes {', '.join(sorted(ASKABLE[trait.kind]))}")
    if operator in FORMS:
        return FORMS[operator](value, path)
    read = SCALARS[trait.kind]
    if operator == "in":
        return tuple(read(item, (*path, str(at))) for at, item in enumerate(value))
    found = read(value, path)
    return int(found) if trait.kind == TraitKind.BOOLEAN else found


def read_event(value: Any, _: Vocabulary, path: Path) -> HadEvents:
    fields = read_fields(value, path, "kind", "within_days", "at_least", "at_most", required=("kind", "within_days"))
    kind = fields["kind"]
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        invalid((*path, "kind"), "capital letters, digits and _, 2 to 64 characters")
    days = read_whole(fields["within_days"], (*path, "within_days"), 1, LONGEST_SPAN_DAYS)
    counts = {
        name: read_whole(fields[name], (*path, name), 0, MOST_EVENTS)
        for name in ("at_least", "at_most")
        if name in fields
    }
    at_most = counts.get("at_most")
    at_least = counts.get("at_least", 1 if at_most is None else 0)
    if at_most is not None and at_least > at_most:
        invalid((*path, "at_most"), "not below at_least")
    return HadEvents(kind, days, at_least, at_most)


NODES = ("all", "any", "not")
LEAVES: Mapping[str, Callable[[Any, Vocabulary, Path], Condition]] = {
    "tag": read_tag,
    "tier": read_tier,
    "trait": read_trait,
    "event": read_event,
}
