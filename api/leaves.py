"""How compiled execution completes scalars and enums: values of the usual classes, and no others."""

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

from api.completing import Complete, NotCompiled, Writing, as_it_is, raising, where_usual, written_as
from api.scalars import serialize_instant
from core.clock import iso
from core.paging import Cursor

# What scalars of ours are made of. An awaitable, an exception or anything else is for graphql-core to judge.
PLAIN: frozenset[type] = frozenset({str, int, float, bool, dict, list, tuple, datetime, date})
SMALLEST_INT, LARGEST_INT = -(2**31), 2**31 - 1


@as_it_is(str)
def text(value: Any) -> str:
    if value.__class__ is str:
        return value
    if value.__class__ is Cursor:
        return str(value)
    raise NotCompiled


def whole_number(value: Any) -> int:
    if value.__class__ is int and SMALLEST_INT <= value <= LARGEST_INT:
        return value
    raise NotCompiled


def number(value: Any) -> float:
    if value.__class__ is float and isfinite(value):
        return value
    raise NotCompiled


@as_it_is(bool)
def truth(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise NotCompiled


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

    def written(writing: Writing, value: str) -> str:
        known, classes = writing.bound(names), frozenset({members})
        return where_usual(writing, value, classes, lambda name: f"{known}[{name}]", raising)

    return written_as(complete, written)


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

    def written(writing: Writing, value: str) -> str:
        # Text is an instant as the graph keeps it, and SQL keeps instants as such.
        name, once = writing.fresh(), writing.bound(iso)
        made = where_usual(writing, name, frozenset({datetime}), lambda instant: f"{once}({instant})", complete)
        return f"({name} if ({name} := {value}).__class__ is {writing.bound(str)} else {made})"

    return written_as(complete, written) if coerce is serialize_instant else complete
