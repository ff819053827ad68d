"""Whether what an answer holds is what its document asked for, in the types that the schema promises."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLAbstractType,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    is_abstract_type,
    parse,
    type_from_ast,
)

LEAVES: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "ID": (str,),
    "Int": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


def fits(schema: GraphQLSchema, document: str, data: Any) -> bool:
    """Whether the data of an answer to a document of one operation fits; what an error made null may be so."""
    (operation,) = parse(document).definitions
    assert isinstance(operation, OperationDefinitionNode)
    root = schema.get_root_type(operation.operation)
    assert root is not None
    return object_fits(schema, root, [operation.selection_set], data)


def value_fits(schema: GraphQLSchema, kind: Any, sets: list[SelectionSetNode], value: Any) -> bool:
    """Whether a value is of a type of output, and below it what was asked of it."""
    if isinstance(kind, GraphQLNonNull):
        return value is not None and value_fits(schema, kind.of_type, sets, value)
    if value is None:
        return True
    if isinstance(kind, GraphQLList):
        return isinstance(value, list) and all(value_fits(schema, kind.of_type, sets, one) for one in value)
    if isinstance(kind, GraphQLScalarType):
        # By its very type, as a boolean is an int to Python; what a scalar of our own looks like is its own affair.
        return kind.name not in LEAVES or type(value) in LEAVES[kind.name]
    if isinstance(kind, GraphQLEnumType):
        return value in kind.values
    # Which type of a union it is is said only where the document asks; any that fits will do.
    return any(object_fits(schema, one, sets, value) for one in concrete(schema, kind))


def concrete(schema: GraphQLSchema, kind: GraphQLObjectType | GraphQLAbstractType) -> Iterable[GraphQLObjectType]:
    return [kind] if isinstance(kind, GraphQLObjectType) else schema.get_possible_types(kind)


def object_fits(schema: GraphQLSchema, kind: GraphQLObjectType, sets: list[SelectionSetNode], value: Any) -> bool:
    """Whether an object has just the fields that were asked of its type, each fitting."""
    asked: dict[str, list[FieldNode]] = {}
    for one in sets:
        for field in fields_of(schema, kind, one):
            asked.setdefault(field.alias.value if field.alias else field.name.value, []).append(field)
    if not isinstance(value, dict) or value.keys() != asked.keys():
        return False
    return all(field_fits(schema, kind, fields, value[name]) for name, fields in asked.items())


def field_fits(schema: GraphQLSchema, kind: GraphQLObjectType, fields: list[FieldNode], value: Any) -> bool:
    """Whether the value of a field fits, which may be asked for more than once, each time for something else."""
    name = fields[0].name.value
    if name == "__typename":
        return value == kind.name
    below = [field.selection_set for field in fields if field.selection_set]
    return value_fits(schema, kind.fields[name].type, below, value)


def fields_of(schema: GraphQLSchema, kind: GraphQLObjectType, asked: SelectionSetNode) -> Iterator[FieldNode]:
    """The fields that are asked of a type, those in its inline fragments among them."""
    for one in asked.selections:
        if isinstance(one, FieldNode):
            yield one
            continue
        assert isinstance(one, InlineFragmentNode), "schemathesis writes no other fragments"
        condition = type_from_ast(schema, one.type_condition) if one.type_condition else kind
        if condition is kind or (is_abstract_type(condition) and schema.is_sub_type(condition, kind)):
            yield from fields_of(schema, kind, one.selection_set)
