"""Selections compiled: what a document asks of objects that are at hand, as plain functions, made once.

Fields are of two kinds here. *Data* is an attribute, or a method without arguments that is not async; where all below
it is data too, its answer is one function of the object. Everything else is *resolved*: its resolver runs, and what it
brings is data again or an object with more such fields. A field that is resolved may be *at hand*: its value is an
attribute of some of its objects. An answer in which nothing else is resolved is tried as data of all of it first.

A function of data raises for whatever is unusual: null where none may be, a class that nobody expected, a method that
fails. Whoever called it has graphql-core do that object anew, whose errors are then its own. Nothing that is done twice
has an effect: attributes and methods only read.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from typing import Any, TypeGuard, TypeVar, cast

from graphql import (
    BREAK,
    FieldNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
    Visitor,
    VisitorAction,
    get_named_type,
    is_leaf_type,
    visit,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryMaybe, StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from api.completing import Complete, NotCompiled, Parts, data_of, generated, listed, nullable, of_classes, raising
from api.leaves import leaf

Details = list[FieldDetails]
# A type of the schema as fields have it: with its wrappers, of which graphql-core's annotations leave parts open.
Kind = Any
Abstract = GraphQLInterfaceType | GraphQLUnionType
Resolver = TypeVar("Resolver", bound=Callable[..., Any])

ONLY_LOADS = "only_loads"
AT_HAND = "at_hand"


class Field:
    """One field of a selection that is resolved."""

    __slots__ = (
        *("attribute", "classes", "definition", "details", "done", "is_fixed", "item", "name", "nodes", "plain"),
        *("only_loads", "resolver", "type", "whole"),
    )

    def __init__(
        self, name: str, details: Details, definition: GraphQLField, done: Complete | None, whole: Complete | None
    ) -> None:
        self.name = name
        self.details = details
        self.nodes: list[FieldNode] = [one.node for one in details]
        self.definition = definition
        # Whether its arguments are the same for whoever runs the document.
        self.is_fixed = not has_variables(self.nodes[0])
        self.type: Kind = definition.type
        # What is made of the resolver's value, where all below is data.
        self.done = done
        # The same where what is resolved below may be at hand.
        self.whole = whole
        self.resolver = async_resolver(definition)
        # Python's names of its arguments, where its resolver is given them as graphql-core has them.
        self.plain = plain_arguments(definition) if self.resolver is not None else None
        self.only_loads = self.resolver is not None and is_only_loading(self.resolver)
        own = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        self.attribute: str | None = own.python_name if is_attribute(own) else None
        # The type of objects that it brings, one or a list of them, and their classes; none where that is not plain.
        self.item, self.classes = objects_of(definition.type)


class Selection:
    """What is asked of objects of one type: `data` makes the answer, with a place for each field that is resolved.

    `whole` makes all of it for objects that have at hand what is resolved, where that may be; it raises for others.
    """

    __slots__ = ("data", "fields", "grouped", "type", "whole")

    def __init__(
        self,
        of: GraphQLObjectType,
        grouped: Mapping[str, Details],
        data: Complete,
        fields: Sequence[Field],
        whole: Complete | None,
    ) -> None:
        self.type = of
        self.grouped = grouped
        self.data = data
        self.fields = fields
        self.whole = whole


class Compiler:
    """Compiles the selections of one operation, each for each type that it is asked of.

    The variables are those that fields are included by, and no others: what is compiled is kept for whoever sends the
    same of these. What is hot is asked for so often that it is worth generating Python for it.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDetails],
        variables: VariableValues,
        *,
        is_hot: bool = False,
    ) -> None:
        self._schema = schema
        self._data_of = generated if is_hot else data_of
        self._operation = operation
        self._fragments = fragments
        self._variables = variables
        self._known: dict[tuple[str, int], Selection] = {}

    def root(self, of: GraphQLObjectType) -> Selection:
        """The operation's own selection; raises what graphql-core raises where it cannot be collected."""
        found = collect_fields(self._schema, self._fragments, self._variables, of, self._operation)
        return self.selection(of, found.grouped_field_set)

    def below(self, of: GraphQLObjectType, details: Details) -> Selection:
        """The selection below a field for a type; raises likewise."""
        # The details are kept by the selection that they are in, so their id stays their own.
        key = (of.name, id(details))
        found = self._known.get(key)
        if found is None:
            collected = collect_subfields(self._schema, self._fragments, self._variables, self._operation, of, details)
            found = self._known[key] = self.selection(of, collected.grouped_field_set)
        return found

    def asks(self, of: GraphQLObjectType, details: Details, path: Sequence[str]) -> bool:
        """Whether the field at this path of names is asked for below a field for a type."""
        if not path:
            return True
        asked = (one for one in self.below(of, details).grouped.values() if one[0].node.name.value == path[0])
        below = get_named_type(of.fields[path[0]].type)
        # A leaf has nothing below it; and where it may be of several types, it is as if somebody asked.
        return any(not isinstance(below, GraphQLObjectType) or self.asks(below, one, path[1:]) for one in asked)

    def selection(self, of: GraphQLObjectType, grouped: Mapping[str, Details]) -> Selection:
        """The selection of these fields."""
        template: dict[str, Any] = dict.fromkeys(grouped)
        plain, whole = Parts(), Parts()
        fields: list[Field] = []
        is_whole = True
        for name, details in grouped.items():
            definition = cast(GraphQLField, self._schema.get_field(of, details[0].node.name.value))
            if definition is TypeNameMetaFieldDef:
                template[name] = of.name
                continue
            done = self._completed(definition.type, details)
            own = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
            source = own.python_name if is_attribute(own) else plain_method(own)
            if done is not None and source is not None:
                plain.add(name, source, done)
                whole.add(name, source, done)
                continue
            all_of_it = done or self._completed(definition.type, details, at_hand=True)
            fields.append(Field(name, details, definition, done, all_of_it))
            source = source or attribute_at_hand(own, definition.type)
            if source is not None and all_of_it is not None:
                whole.add(name, source, all_of_it)
            else:
                is_whole = False
        data = self._data_of(template, plain)
        if not fields:
            return Selection(of, grouped, data, fields, data)
        made_whole = self._data_of(template, whole) if is_whole else None
        return Selection(of, grouped, data, fields, made_whole)

    def _completed(self, kind: Kind, details: Details, *, at_hand: bool = False) -> Complete | None:
        """What makes the answer of a value of this type; None where not all of it is data, or may be at hand."""
        try:
            return self._complete(kind, details, at_hand=at_hand)
        except Exception:  # noqa: BLE001 - whatever cannot be compiled is graphql-core's, which says what is wrong with it
            return None

    def _complete(self, kind: Kind, details: Details, *, at_hand: bool) -> Complete:
        if isinstance(kind, GraphQLNonNull):
            return self._complete_present(kind.of_type, details, at_hand=at_hand)
        return nullable(self._complete_present(kind, details, at_hand=at_hand))

    def _complete_present(self, kind: Kind, details: Details, *, at_hand: bool) -> Complete:
        """The same of a value that is not null; it raises for null."""
        if is_leaf_type(kind):
            return leaf(kind)
        if isinstance(kind, GraphQLList):
            return listed(self._complete(kind.of_type, details, at_hand=at_hand))
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, details, at_hand=at_hand)
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            return self._abstract(kind, details)
        raise NotCompiled

    def _object(self, kind: GraphQLObjectType, details: Details, *, at_hand: bool) -> Complete:
        selection = self.below(kind, details)
        made = selection.whole if at_hand or not selection.fields else None
        if made is None:
            raise NotCompiled
        return of_classes(classes_of(kind), made)

    def _abstract(self, kind: Abstract, details: Details) -> Complete:
        """By the value's class; each type is compiled when its first object comes, since few of them ever do."""
        types = types_by_class(self._schema, kind)
        known: dict[type, Complete] = {}

        def complete(value: Any) -> Any:
            found = known.get(value.__class__)
            if found is None:
                selection = self.below(types[value.__class__], details)
                found = known[value.__class__] = raising if selection.fields else selection.data
            return found(value)

        return complete


class VariableFinder(Visitor):
    """Whether there is any variable in what it visits."""

    found = False

    def enter_variable(self, *_: Any) -> VisitorAction:
        self.found = True
        return BREAK


def has_variables(node: FieldNode) -> bool:
    """Whether any argument of a field depends on a variable."""
    finder = VariableFinder()
    for argument in node.arguments or ():
        visit(argument, finder)
    return finder.found


def is_attribute(field: Any) -> TypeGuard[StrawberryField]:
    """Whether a field is an attribute by its own name, which nothing stands between."""
    return isinstance(field, StrawberryField) and field.is_basic_field and field.default_resolver is getattr


def plain_method(field: Any) -> Callable[[Any], Any] | None:
    """The method of a field that is neither async nor asks for anything but its object; None for any other."""
    if not isinstance(field, StrawberryField) or field.base_resolver is None:
        return None
    resolver = field.base_resolver
    if field.is_async or field.extensions or field.arguments or resolver.info_parameter:
        return None
    if resolver.self_parameter is None or resolver.root_parameter or resolver.parent_parameter:
        return None
    method = resolver.wrapped_func
    return method if isfunction(method) else None


def async_resolver(definition: GraphQLField) -> StrawberryField | None:
    """The field whose async resolver may be called without what strawberry puts around it; None for any other."""
    field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(field, StrawberryField) or field.base_resolver is None or field.is_subscription:
        return None
    resolver = field.base_resolver
    if not field.is_async or field.extensions or resolver.self_parameter is None:
        return None
    if not isfunction(resolver.wrapped_func):
        return None
    return None if resolver.root_parameter or resolver.parent_parameter else field


def plain_arguments(definition: GraphQLField) -> Mapping[str, str] | None:
    """Python's names of the arguments by the schema's, where each is a leaf; None where strawberry converts any."""
    names: dict[str, str] = {}
    for name, argument in definition.args.items():
        own = argument.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        kind = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
        if not isinstance(own, StrawberryArgument) or not is_leaf_type(kind):
            return None
        if isinstance(own.type, StrawberryMaybe):
            return None
        names[name] = own.python_name
    return names


def only_loads(resolver: Resolver) -> Resolver:
    """Mark an async resolver that waits for nothing but the loaders of its context.

    Where they have its rows already it ends without waiting, so it is spared a task, which costs more than it does.
    """
    setattr(resolver, ONLY_LOADS, True)
    return resolver


def at_hand(attribute: str) -> Callable[[Resolver], Resolver]:
    """Mark an async resolver of a list whose value some objects have already as this attribute, and others as None.

    It may be a property, so that who asks for it makes it.
    """

    def mark(resolver: Resolver) -> Resolver:
        setattr(resolver, AT_HAND, attribute)
        return resolver

    return mark


def attribute_at_hand(field: Any, kind: Kind) -> str | None:
    """The attribute of such a field; None would be an answer where the list may be null."""
    if not isinstance(kind, GraphQLNonNull) or not isinstance(field, StrawberryField):
        return None
    if field.base_resolver is None or field.arguments or field.extensions:
        return None
    return getattr(cast(Any, field.base_resolver).wrapped_func, AT_HAND, None)


def is_only_loading(field: StrawberryField) -> bool:
    return getattr(cast(Any, field.base_resolver).wrapped_func, ONLY_LOADS, False)


def classes_of(kind: GraphQLObjectType) -> frozenset[type]:
    """The classes whose objects are of this type without a doubt; of a generic one that is the class itself too."""
    definition = kind.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        raise NotCompiled
    generic = definition.concrete_of
    return frozenset({definition.origin} if generic is None else {definition.origin, generic.origin})


def objects_of(kind: Kind) -> tuple[GraphQLObjectType | None, frozenset[type]]:
    """The type of the objects that a field of this type brings, by itself or in one list, and their classes."""
    for _ in range(2):
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        if isinstance(kind, GraphQLList):
            kind = kind.of_type
    if not isinstance(kind, GraphQLObjectType):
        return None, frozenset()
    try:
        return kind, classes_of(kind)
    except NotCompiled:
        return None, frozenset()


def types_by_class(schema: GraphQLSchema, kind: Abstract) -> dict[type, GraphQLObjectType]:
    """The types that a value may have where an interface or a union stands, by its class; none that is generic."""
    own = kind.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if getattr(own, "resolve_type", None) is not None:
        raise NotCompiled
    found: dict[type, GraphQLObjectType] = {}
    for one in schema.get_possible_types(kind):
        classes = classes_of(one)
        if len(classes) == 1:
            found.update(dict.fromkeys(classes, one))
    return found
