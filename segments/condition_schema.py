"""The published form of conditions: JSON Schema, draft 2020-12, from the same limits that the reader has."""

from typing import Any

from core.facts import KIND
from graph.eligibility import TIERS
from segments.conditions import (
    AGES,
    DAYS,
    DEEPEST,
    LARGEST_NUMBER,
    LONGEST_LIST,
    LONGEST_SPAN_DAYS,
    LONGEST_WORD,
    MOST_EVENTS,
    MOST_LEAVES,
    OLDEST_YEARS,
    ORDERS,
)

Json = dict[str, Any]


def condition_schema() -> Json:
    """The schema of a whole tree; every level is a definition of its own, so that the depth has an end."""
    levels = {f"level{depth}": level(depth) for depth in range(1, DEEPEST + 1)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Condition",
        "description": (
            "Who is meant, by tags, tier, traits and events. Beyond this form, tags and traits must exist, a "
            f"trait's kind decides what can be asked of it, and there are at most {MOST_LEAVES} leaves."
        ),
        "$ref": "#/$defs/level1",
        "$defs": {**levels, **LEAVES},
    }


def level(depth: int) -> Json:
    """What can stand so deep: a leaf, and above the deepest level all, any and not."""
    leaves = [only(leaf, {"$ref": f"#/$defs/{leaf}"}) for leaf in LEAVES]
    if depth == DEEPEST:
        return {"oneOf": leaves}
    below = {"$ref": f"#/$defs/level{depth + 1}"}
    return {"oneOf": [*leaves, only("all", several(below)), only("any", several(below)), only("not", below)]}


def only(name: str, schema: Json) -> Json:
    return fields({name: schema}, name)


def fields(properties: Json, *required: str, least: int = 1) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "minProperties": least,
        "additionalProperties": False,
    }


def several(items: Json) -> Json:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": LONGEST_LIST}


def whole(least: int, most: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most}


# NUL is what no store keeps; that a text has no half of a surrogate pair, a schema cannot say.
WORD: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST_WORD, "pattern": "^[^\\u0000]*$"}
NUMBER = whole(-LARGEST_NUMBER, LARGEST_NUMBER)
TRUTH: Json = {"type": "boolean"}
DAY: Json = {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
TIER: Json = {"enum": list(TIERS)}
CONFIDENCE: Json = {"type": "number", "minimum": 0, "maximum": 1}
SCALAR: Json = {"oneOf": [NUMBER, WORD, TRUTH]}
ASKED: Json = {
    "eq": SCALAR,
    "ne": SCALAR,
    **dict.fromkeys(ORDERS, NUMBER),
    "in": several({"oneOf": [NUMBER, WORD]}),
    **dict.fromkeys(DAYS, DAY),
    **dict.fromkeys(AGES, whole(0, OLDEST_YEARS)),
}
LEAVES: Json = {
    "tag": {"oneOf": [WORD, fields({"key": WORD, "min_confidence": CONFIDENCE}, "key")]},
    "tier": {
        "oneOf": [
            fields({"at_least": TIER, "on_watch": TRUTH}, "at_least"),
            fields({"in": several(TIER), "on_watch": TRUTH}, "in"),
            fields({"on_watch": TRUTH}, "on_watch"),
        ]
    },
    "trait": {
        "oneOf": [
            fields({"name": WORD, "known": {"const": False}}, "name", "known"),
            fields({"name": WORD, **ASKED, "known": {"const": True}, "fresh": {"const": True}}, "name", least=2),
        ]
    },
    "event": fields(
        {
            "kind": {"type": "string", "pattern": f"^{KIND.pattern}$"},
            "within_days": whole(1, LONGEST_SPAN_DAYS),
            "at_least": whole(0, MOST_EVENTS),
            "at_most": whole(0, MOST_EVENTS),
        },
        "kind",
        "within_days",
    ),
}
