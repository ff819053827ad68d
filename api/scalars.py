"""Scalars: days are YYYY-MM-DD; instants need a zone on the way in and are UTC on the way out."""

import re
from datetime import date, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from core.clock import iso, parse_instant
from core.storable import is_storable

SPECIFIED_BY = "https://scalars.graphql.org/andimarek/date-time.html"
DAY_SPECIFIED_BY = "https://scalars.graphql.org/andimarek/local-date.html"
JSON_SPECIFIED_BY = "https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf"
SAFE_SPECIFIED_BY = "https://tc39.es/ecma262/#sec-number.issafeinteger"


def serialize_instant(value: Any) -> str:
    """The graph keeps instants as ISO text already; SQL rows carry them as datetimes."""
    return value if isinstance(value, str) else iso(value)


def parse_client_instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError("An instant is text in ISO 8601 with a zone.")
    try:
        return parse_instant(value)
    except (ValueError, OverflowError) as error:
        raise GraphQLError(f"Not an instant: {error}.") from error


INSTANT: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="An instant in ISO 8601; a zone is required, answers are in UTC.",
    specified_by_url=SPECIFIED_BY,
    serialize=serialize_instant,
    parse_value=parse_client_instant,
)


DAY_FORM = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_client_day(value: Any) -> date:
    """Python would take other forms of ISO 8601 too, such as weeks, which the scalar's specification does not know."""
    if not isinstance(value, str) or DAY_FORM.fullmatch(value) is None:
        raise GraphQLError("A day is text in the form 2026-11-29.")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError(f"Not a day: {error}.") from error


def serialize_day(value: Any) -> str:
    """Rows carry days, and some of them as ISO text already."""
    return value if isinstance(value, str) else value.isoformat()


DAY: ScalarDefinition = strawberry.scalar(
    name="Date",
    description="A day in ISO 8601, such as 2026-11-29; whose zone it is of is said where it stands.",
    specified_by_url=DAY_SPECIFIED_BY,
    serialize=serialize_day,
    parse_value=parse_client_day,
)


SafeInt = NewType("SafeInt", int)
LARGEST_SAFE = 2**53 - 1


def parse_safe_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_SAFE:
        raise GraphQLError(f"A whole number from {-LARGEST_SAFE} to {LARGEST_SAFE} is expected.")
    return value


SAFE_INT: ScalarDefinition = strawberry.scalar(
    name="SafeInt",
    description="A whole number that JavaScript holds exactly, up to 2^53 - 1; Int of GraphQL ends at 2^31 - 1.",
    specified_by_url=SAFE_SPECIFIED_BY,
    serialize=int,
    parse_value=parse_safe_int,
)


UNSTORABLE = {
    str: "Text in JSON holds a character that cannot be kept: NUL or half of a pair.",
    int: "A whole number in JSON is beyond 64 bits.",
    float: "A number in JSON is beyond what a double holds.",
}


def parse_client_json(value: Any) -> Any:
    """JSON as the stores can keep it: a document may write numbers that no column and no message of theirs holds."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
        elif type(part) in UNSTORABLE and not is_storable(part):
            raise GraphQLError(UNSTORABLE[type(part)])
    return value


JSON_VALUE: ScalarDefinition = strawberry.scalar(
    name="JSON",
    description="Any JSON whose whole numbers fit 64 bits; what is expected where is said there.",
    specified_by_url=JSON_SPECIFIED_BY,
    serialize=lambda value: value,
    parse_value=parse_client_json,
)
