"""How compiled execution completes scalars and enums: values of the usual classes, and no others."""

from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from math import isfinite
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
)

Complete = Callable[[Any], Any]

# What scalars of ours are made of. An awaitable, an exception or anything else is for graphql-core to judge.
PLAIN: frozenset[type] = frozenset({str, int, float, bool, dict, list, tuple, datetime, date})
SMALLEST_INT, LARGEST_INT = -(2**31), 2**31 - 1


class NotCompiled(Exception):
    """What only graphql-core knows what to do with: whoever catches this lets it begin anew."""


def text(value: Any) -> str:
    if value.__class__ is str:
        return value
    raise NotCompiled


def whole_number(value: Any) -> int:
    if value.__class__ is int and SMALLEST_INT <= value <= LARGEST_INT:
        return value
    raise NotCompiled


def number(value: Any) -> float:
    if value.__class__ is float and isfinite(value):
        return value
    raise NotCompiled


def truth(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise NotCompiled


def nullable(present: Complete) -> Complete:
    """The same for a value that may be null."""
    if present is text:
        return text_or_null
    return lambda value: None if value is None else present(value)


def text_or_null(value: Any) -> str | None:
    if value is None or value.__class__ is str:
        return value
    raise NotCompiled


def is_text(complete: Complete) -> bool:
    """Whether text is given as it is."""
    return complete is text or complete is text_or_null


STANDARD: dict[GraphQLScalarType, Complete] = {
    GraphQLString: text,
    GraphQLID: text,
    GraphQLInt: whole_number,
    GraphQLFloat: number,
    GraphQLBoolean: truth,
}


def leaf(kind: GraphQLLeafType) -> Complete:
    """A function that gives what the answer holds for a value, never null; it raises for whatever is unusual."""
    if isinstance(kind, GraphQLScalarType):
        return STANDARD.get(kind) or own_scalar(kind)
    members = getattr(kind, "wrapped_cls", None)
    if not (isinstance(members, type) and issubclass(members, Enum)):
        raise NotCompiled
    names = {member: kind.coerce_output_value(member) for member in members}

    def complete(value: Any) -> str:
        if value.__class__ is members:
            return names[value]
        raise NotCompiled

    return complete


def own_scalar(kind: GraphQLScalarType) -> Complete:
    """A scalar that is no standard one, by its own function."""
    coerce = kind.coerce_output_value

    def complete(value: Any) -> Any:
        if value.__class__ not in PLAIN:
            raise NotCompiled
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise NotCompiled
        return coerced

    return complete
