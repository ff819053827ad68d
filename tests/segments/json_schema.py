"""So much of JSON Schema (draft 2020-12) as the published schema of conditions uses; an unknown keyword fails."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

SILENT = {"$schema", "title", "description", "$defs"}


def is_valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is of this form."""
    return all(
        KEYWORDS[keyword](value, stated, schema, root) for keyword, stated in schema.items() if keyword not in SILENT
    )


def refers(value: Any, to: str, _: Any, root: Any) -> bool:
    found: Any = root
    for part in to.removeprefix("#/").split("/"):
        found = found[part]
    return is_valid(value, found, root)


def has_type(value: Any, name: str, _: Any, __: Any) -> bool:
    if name in ("integer", "number"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (name == "number" or value == int(value))
    return isinstance(value, {"object": dict, "array": list, "string": str, "boolean": bool}[name])


def is_date(value: Any, name: str, *_: Any) -> bool:
    assert name == "date"
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return not isinstance(value, str)
    return True


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


KEYWORDS: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "$ref": refers,
    "type": has_type,
    "format": is_date,
    "enum": lambda value, stated, *_: any(same(value, one) for one in stated),
    "const": lambda value, stated, *_: same(value, stated),
    "oneOf": lambda value, stated, _, root: sum(is_valid(value, one, root) for one in stated) == 1,
    "properties": lambda value, stated, _, root: (
        not isinstance(value, dict)
        or all(is_valid(value[name], stated[name], root) for name in stated if name in value)
    ),
    "required": lambda value, stated, *_: not isinstance(value, dict) or set(stated) <= value.keys(),
    "minProperties": lambda value, stated, *_: not isinstance(value, dict) or len(value) >= stated,
    "additionalProperties": lambda value, stated, schema, _: (
        stated is False and (not isinstance(value, dict) or value.keys() <= schema["properties"].keys())
    ),
    "items": lambda value, stated, _, root: (
        not isinstance(value, list) or all(is_valid(item, stated, root) for item in value)
    ),
    "minItems": lambda value, stated, *_: not isinstance(value, list) or len(value) >= stated,
    "maxItems": lambda value, stated, *_: not isinstance(value, list) or len(value) <= stated,
    "minimum": lambda value, stated, *_: not number(value) or value >= stated,
    "maximum": lambda value, stated, *_: not number(value) or value <= stated,
    "minLength": lambda value, stated, *_: not isinstance(value, str) or len(value) >= stated,
    "maxLength": lambda value, stated, *_: not isinstance(value, str) or len(value) <= stated,
    "pattern": lambda value, stated, *_: not isinstance(value, str) or re.search(stated, value) is not None,
}
