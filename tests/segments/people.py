"""Random customers at all edges of time, and what a plain reading of a condition says of each of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from core.clock import parse_instant
from core.db import Session, insert_once
from core.facts import Fact
from core.ids import derived_id
from segments.tagging import CustomerTag, Tag
from segments.tiering import CustomerTier
from segments.traits import CustomerTrait, TraitDefinition

NOW = parse_instant("2028-02-29T16:30:00Z")
SOON = timedelta(microseconds=1)
TAGS = {"test-retiree": ("退休人士", "LIFE_CYCLE"), "test-home": ("购房", "NEED"), "test-sport": ("运动", "INTEREST")}
OLD_NAME = "test-sports-fan"
# By name: the kind, and after how many days a value is stale.
TRAITS: dict[str, tuple[str, int | None]] = {
    "test_count": ("NUMBER", 30),
    "test_money": ("MONEY", None),
    "test_word": ("TEXT", 0),
    "test_truth": ("BOOLEAN", 365),
    "test_day": ("DATE", 30),
}
# Everybody has one such fact, by which the tests list them.
EXISTS = "TEST_PERSON"
KINDS = ("TEST_SEEN", "TEST_CALLED")
NUMBERS = (-(2**63 - 1), -1, 0, 1, 5_000_000, 2**63 - 1)
WORDS = ("上海", "o'hara; --", "%", "Beijing")
TODAY = date(2028, 3, 1)  # In Shanghai it is the next day already.
BORN = (
    *(date(2028 - years, month, day) for years in (0, 1, 18, 50) for month, day in ((2, 28), (3, 1), (3, 2))),
    date(2028, 2, 29),
    date(2008, 2, 29),
    date(1900, 1, 1),
    date(9999, 12, 31),
)
Value = int | str | date


@dataclass(slots=True)
class Person:
    """A customer as the tests know them, without any database."""

    id: str
    tier: tuple[str, bool] | None = None
    # Until when the tier is one that staff set, and what shows again from then on.
    override: tuple[datetime, tuple[str, bool]] | None = None
    # Key, confidence, since, until, ended.
    tags: list[tuple[str, float, datetime, datetime | None, datetime | None]] = field(default_factory=list)
    # Name, value, observed.
    traits: list[tuple[str, Value, datetime]] = field(default_factory=list)
    facts: list[tuple[str, datetime]] = field(default_factory=list)


def instants(random: Random, days: tuple[int, ...] = (0, 1, 30, 90, 365)) -> datetime:
    """An instant at an edge: so many days before or after now, on the dot or a microsecond beside it."""
    return NOW + random.choice((-1, 1)) * timedelta(days=random.choice(days)) + random.choice((-1, 0, 0, 1)) * SOON


def sometimes(random: Random) -> datetime | None:
    return instants(random) if random.random() < 0.6 else None


def somebody(random: Random, number: int) -> Person:
    person = Person(derived_id("test-person", str(number)))
    if random.random() < 0.7:
        person.tier = a_tier(random)
        person.override = (instants(random, (0, 30, 90)), a_tier(random)) if random.random() < 0.5 else None
    for key in TAGS:
        rows = random.randrange(3)
        for row in range(rows):
            # One row of a tag can be open, those before it are ended.
            ended = instants(random) if row < rows - 1 else sometimes(random)
            person.tags.append((key, random.choice((0.0, 0.5, 0.75, 1.0)), instants(random), sometimes(random), ended))
    for name, (kind, _) in TRAITS.items():
        for _ in range(random.choice((0, 1, 1, 2))):
            person.traits.append((name, a_value(random, kind), instants(random)))
    for kind in KINDS:
        person.facts += [(kind, instants(random, (0, 1, 90))) for _ in range(random.choice((0, 1, 2, 5)))]
    return person


def a_tier(random: Random) -> tuple[str, bool]:
    return random.choice(("MASS", "POTENTIAL", "VIP")), random.random() < 0.4


def a_value(random: Random, kind: str) -> Value:
    choices: dict[str, tuple[Value, ...]] = {"TEXT": WORDS, "BOOLEAN": (0, 1), "DATE": BORN}
    return random.choice(choices.get(kind, NUMBERS))


def population(size: int = 80, seed: int = 7) -> list[Person]:
    random = Random(seed)
    return [somebody(random, number) for number in range(size)]


async def put_words(session: Session) -> None:
    """The tags and traits that the tests' conditions name, and a tag that was merged away."""
    words = [
        {"key": key, "name_zh": name, "name_en": key, "family": family, "created_at": NOW}
        for key, (name, family) in TAGS.items()
    ]
    await insert_once(session, Tag, words, "key")
    merged = {"key": OLD_NAME, "name_zh": "运动迷", "name_en": OLD_NAME, "family": "INTEREST", "created_at": NOW}
    await insert_once(session, Tag, merged | {"merged_into": "test-sport"}, "key")
    definitions = [
        {"name": name, "kind": kind, "name_zh": name, "name_en": name, "stale_after_days": days, "created_at": NOW}
        for name, (kind, days) in TRAITS.items()
    ]
    await insert_once(session, TraitDefinition, definitions, "name")


async def put_people(session: Session, people: list[Person]) -> None:
    """Write them as the application would; doing it again changes nothing."""
    for person in people:
        if person.tier:
            await insert_once(session, CustomerTier, tier_row(person), "customer_id")
    await insert_once(session, CustomerTag, [row for person in people for row in tag_rows(person)], "id")
    traits = [row for person in people for row in trait_rows(person)]
    await insert_once(session, CustomerTrait, traits, "customer_id", "name", "item")
    await insert_once(session, Fact, [row for person in people for row in fact_rows(person)], "id")


def tier_row(person: Person) -> dict[str, Any]:
    tier, watched = person.tier or ("MASS", False)
    row: dict[str, Any] = {"customer_id": person.id, "tier": tier, "on_watch": watched, "decided_at": NOW}
    until, (computed, computed_watch) = person.override or (None, (tier, watched))
    override = {"override_id": "test", "override_tier": tier, "overridden_until": until} if until else {}
    return row | {"computed_tier": computed, "computed_watch": computed_watch, **override}


def tag_rows(person: Person) -> list[dict[str, Any]]:
    return [
        {
            "id": derived_id("test-tag", person.id, str(number)),
            "customer_id": person.id,
            "tag_key": key,
            "family": TAGS[key][1],
            "source": "test",
            "confidence": confidence,
            "since": since,
            "until": until,
            "ended_at": ended,
            "set_by": "test",
            "recorded_at": NOW,
        }
        for number, (key, confidence, since, until, ended) in enumerate(person.tags)
    ]


def trait_rows(person: Person) -> list[dict[str, Any]]:
    return [
        {
            "customer_id": person.id,
            "name": name,
            "item": str(number),
            "number": value if isinstance(value, int) else None,
            "word": value if isinstance(value, str) else None,
            "day": value if isinstance(value, date) else None,
            "source": "test",
            "observed_at": at,
            "recorded_at": NOW,
        }
        for number, (name, value, at) in enumerate(person.traits)
    ]


def fact_rows(person: Person) -> list[dict[str, Any]]:
    return [
        {
            "id": derived_id("test-fact", person.id, str(number)),
            "source": "test",
            "key": f"{person.id}:{number}",
            "kind": kind,
            "customer_id": person.id,
            "occurred_at": at,
            "recorded_at": NOW,
            "payload": {},
        }
        for number, (kind, at) in enumerate([(EXISTS, NOW), *person.facts])
    ]


def meets(person: Person, tree: Any, now: datetime) -> bool:
    """What the tree says of a person, read plainly."""
    ((word, below),) = tree.items()
    if word == "all":
        return all(meets(person, part, now) for part in below)
    if word == "any":
        return any(meets(person, part, now) for part in below)
    if word == "not":
        return not meets(person, below, now)
    return {"tag": meets_tag, "tier": meets_tier, "trait": meets_trait, "event": meets_event}[word](person, below, now)


def meets_tag(person: Person, leaf: Any, now: datetime) -> bool:
    wanted: Any = {"key": leaf} if isinstance(leaf, str) else leaf
    name = "test-sport" if wanted["key"] == OLD_NAME else wanted["key"]
    for key, confidence, since, until, ended in person.tags:
        is_now = since <= now and (until is None or now < until) and (ended is None or now < ended)
        if key == name and is_now and confidence >= wanted.get("min_confidence", 0):
            return True
    return False


def meets_tier(person: Person, leaf: Any, now: datetime) -> bool:
    tier, watched = person.tier or ("MASS", False)
    if person.override and person.override[0] <= now:
        tier, watched = person.override[1]
    order = ["MASS", "POTENTIAL", "VIP"]
    if "at_least" in leaf and order.index(tier) < order.index(leaf["at_least"]):
        return False
    if "in" in leaf and tier not in leaf["in"]:
        return False
    return leaf.get("on_watch", watched) == watched


def meets_trait(person: Person, leaf: Any, now: datetime) -> bool:
    kind, stale = TRAITS[leaf["name"]]
    values = [(value, at) for name, value, at in person.traits if name == leaf["name"]]
    if leaf.get("known") is False:
        return not values
    if leaf.get("fresh") and stale is not None:
        values = [(value, at) for value, at in values if now - at <= timedelta(days=stale)]
    asked = {name: value for name, value in leaf.items() if name not in ("name", "known", "fresh")}
    today = (now + timedelta(hours=8)).date()
    return any(all(answers(kind, value, one, wanted, today) for one, wanted in asked.items()) for value, _ in values)


def answers(kind: str, value: Any, operator: str, wanted: Any, today: date) -> bool:
    if operator in ("before", "after"):
        day = date.fromisoformat(wanted)
        return value < day if operator == "before" else value > day
    if operator.startswith("age_"):
        years = today.year - value.year - ((today.month, today.day) < (value.month, value.day))
        if value > today:
            return False
        return years >= wanted if operator == "age_at_least" else years <= wanted
    plain: dict[str, Callable[[], bool]] = {
        "eq": lambda: value == wanted,
        "ne": lambda: value != wanted,
        "gt": lambda: value > wanted,
        "gte": lambda: value >= wanted,
        "lt": lambda: value < wanted,
        "lte": lambda: value <= wanted,
        "in": lambda: value in wanted,
    }
    return plain[operator]()


def meets_event(person: Person, leaf: Any, now: datetime) -> bool:
    age = [now - at for kind, at in person.facts if kind == leaf["kind"]]
    count = sum(timedelta() <= one < timedelta(days=leaf["within_days"]) for one in age)
    least = leaf.get("at_least", 0 if "at_most" in leaf else 1)
    return least <= count <= leaf.get("at_most", count)
