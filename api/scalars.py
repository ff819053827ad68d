"""Scalars: instants need a zone on the way in and are UTC on the way out."""

from datetime import datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from core.clock import iso, parse_instant

SPECIFIED_BY = "https://scalars.graphql.org/andimarek/date-time.html"


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


SafeInt = NewType("SafeInt", int)
LARGEST_SAFE = 2**53 - 1


def parse_safe_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_SAFE:
        raise GraphQLError(f"A whole number from {-LARGEST_SAFE} to {LARGEST_SAFE} is expected.")
    return value


SAFE_INT: ScalarDefinition = strawberry.scalar(
    name="SafeInt",
    description="A whole number that JavaScript holds exactly, up to 2^53 - 1; Int of GraphQL ends at 2^31 - 1.",
    serialize=int,
    parse_value=parse_safe_int,
)
