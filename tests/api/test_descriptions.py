"""The schema explains itself: whatever can be named in a document has words, and no words without what they are of."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from api.descriptions import VALUE_WORDS
from core.processes import REPOSITORY

Described = tuple[str, str | None]


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((REPOSITORY / "api" / "schema.graphql").read_text())


def ours(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    types = schema.type_map.values()
    return [one for one in types if not is_introspection_type(one) and not is_specified_scalar_type(one)]


def parts_of(type_: GraphQLNamedType) -> Iterator[Described]:
    """A type and everything in it, by its coordinate."""
    yield type_.name, type_.description
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", field.description
            yield from ((f"{type_.name}.{name}({of}:)", one.description) for of, one in field.args.items())
    elif isinstance(type_, GraphQLInputObjectType):
        yield from ((f"{type_.name}.{name}", field.description) for name, field in type_.fields.items())
    elif isinstance(type_, GraphQLEnumType):
        yield from ((f"{type_.name}.{name}", value.description) for name, value in type_.values.items())


def test_everything_in_the_schema_is_described(schema: GraphQLSchema) -> None:
    """Given every type, field, argument, input field and value, then each has words of its own."""
    described = [part for type_ in ours(schema) for part in parts_of(type_)]
    assert len(described) > 4_000
    assert [where for where, words in described if not (words or "").strip()] == []


def test_a_description_is_more_than_a_name(schema: GraphQLSchema) -> None:
    """Given the words of each part, then they begin as a sentence does and do not only say the name again."""
    parts = [part for type_ in ours(schema) for part in parts_of(type_)]
    repeated = [where for where, words in parts if plain(words or "") == plain(where.rpartition(".")[2])]
    assert repeated == []
    unfinished = [where for where, words in parts if not (words or "").strip().endswith((".", "…", "?", "`"))]
    assert unfinished == []


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def test_words_of_values_are_of_values_that_exist(schema: GraphQLSchema) -> None:
    """Given the words of enumerations, then the schema has each of them with exactly these values or more."""
    for name, words in VALUE_WORDS.items():
        type_ = schema.type_map[name]
        assert isinstance(type_, GraphQLEnumType), name
        assert set(words) <= set(type_.values), name


def test_every_scalar_of_ours_says_by_what_it_is_specified(schema: GraphQLSchema) -> None:
    scalars = [one for one in ours(schema) if isinstance(one, GraphQLScalarType)]
    assert [one.name for one in scalars if not one.specified_by_url] == []
    assert {one.name for one in scalars} == {"Date", "DateTime", "JSON", "SafeInt"}
