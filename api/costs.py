"""What an operation costs, told before it runs: by the fields that it names and the sizes of the pages it asks for.

The unit is one object in the answer. A page counts as many as it may hold (`first` or `last`, 20 by default), a list
without pages as LIST_SIZE, a mutation MUTATION_COST; what makes the stores work more than its objects tell has a
weight of its own in WEIGHTS. The cost is an upper bound by the document and its variables alone, in the manner of
IBM's GraphQL Cost Directives (https://ibm.github.io/graphql-specs/cost-spec.html): nothing of the stores is asked.

Each fragment is looked at once, and what is left of a document is a small tree of sizes, so that one in the cache costs
microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    value_from_ast_untyped,
)

from api.limits import Fragments, fragments_of
from core.paging import DEFAULT_PAGE, LARGEST_PAGE

# What nobody may ask for at once, whatever budget they have left: pages of pages of the largest size.
DEAREST = 10_000
LIST_SIZE = 5
MUTATION_COST = 10
PAGE_ARGUMENTS = ("first", "last")
ITEMS = ("edges", "nodes")
# What reads far more than it shows, by what it does to the stores.
WEIGHTS: Mapping[str, int] = {
    "Mutation.previewAlertPolicy": 200,
    "Mutation.previewNeedPolicy": 200,
    "Mutation.previewServiceBreakRule": 200,
    "Mutation.previewClawback": 50,
    "Mutation.simulateReferralProgram": 200,
    "Mutation.simulateEarningRule": 200,
    "Mutation.eraseCustomer": 200,
    "Mutation.closeDay": 500,
    "Query.trialBalance": 500,
    "Query.liabilityReport": 500,
    "Query.previewSegment": 100,
    "Query.previewTierPolicy": 200,
    "Query.exportCustomer": 200,
    "Query.referralFunnel": 100,
    "Query.referralKFactor": 100,
    "Query.referralInfluence": 100,
    "Query.referralLeaderboard": 20,
    "Query.referralTree": 20,
    "Query.programKpis": 100,
    "Query.surveyResults": 50,
    "Query.complaintCauses": 50,
    "Query.recommendationStatistics": 50,
    "Query.eventStatistics": 50,
    "Query.search": 50,
}


@dataclass(frozen=True, slots=True)
class Variable:
    """A page's size that a variable gives, or the default where it does not."""

    name: str
    default: int


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, and for each part its cost as many times as its page is long."""

    fixed: int = 0
    parts: tuple[tuple[int | Variable, "Cost"], ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        """How many objects with these variables; what is no size of a page counts as the largest."""
        return self.fixed + sum(size_of(size, variables) * part.of(variables) for size, part in self.parts)

    def times(self, size: int | Variable) -> "Cost":
        """This cost for each of so many."""
        if isinstance(size, int) and not self.parts:
            return Cost(size * self.fixed)
        return Cost(0, ((size, self),))

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.fixed + other.fixed, self.parts + other.parts)


NOTHING = Cost()


def size_of(size: int | Variable, variables: Mapping[str, Any]) -> int:
    if isinstance(size, int):
        return size
    given = variables.get(size.name)
    if given is None:
        return size.default
    return min(given, LARGEST_PAGE) if isinstance(given, int) and given >= 0 else LARGEST_PAGE


def cost_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
    """The cost of one of a valid document's operations."""
    return Reckoner(schema, fragments_of(document), operation).cost()


class Reckoner:
    """Adds up one operation; a fragment is added up at its first spread and then known.

    A selection is told as two costs: what counts once, and what counts for each item where it is that of a page.
    """

    def __init__(self, schema: GraphQLSchema, fragments: Fragments, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._known: dict[str, tuple[Cost, Cost]] = {}
        self._defaults = defaults_of(operation)

    def cost(self) -> Cost:
        root = self._schema.get_root_type(self._operation.operation)
        once, _ = self._selections(self._operation.selection_set, root)
        return once

    def _selections(self, selections: SelectionSetNode, of: GraphQLNamedType | None) -> tuple[Cost, Cost]:
        once = each = NOTHING
        for node in selections.selections:
            more, more_each = self._selection(node, of)
            once, each = once + more, each + more_each
        return once, each

    def _selection(self, node: SelectionNode, of: GraphQLNamedType | None) -> tuple[Cost, Cost]:
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            return self._selections(
                node.selection_set, self._schema.get_type(condition.name.value) if condition else of
            )
        if not isinstance(node, FieldNode):
            return NOTHING, NOTHING
        cost = self._field(node, of)
        return (NOTHING, cost) if is_item(node, of) else (cost, NOTHING)

    def _fragment(self, name: str) -> tuple[Cost, Cost]:
        if name not in self._known:
            fragment = self._fragments[name]
            found = self._selections(fragment.selection_set, self._schema.get_type(fragment.type_condition.name.value))
            self._known[name] = found
        return self._known[name]

    def _field(self, node: FieldNode, of: GraphQLNamedType | None) -> Cost:
        field = self._definition(node, of)
        if field is None or of is None:
            return NOTHING
        own = Cost(WEIGHTS.get(f"{of.name}.{node.name.value}", 0))
        if of is self._schema.mutation_type:
            own += Cost(MUTATION_COST)
        if node.selection_set is None or is_leaf_type(get_named_type(field.type)):
            return own
        named = get_named_type(field.type)
        once, each = self._selections(node.selection_set, named)
        if is_page(named):
            return own + Cost(1) + once + each.times(self._page(node, field))
        if is_item(node, of):
            # An edge stands beside its node and is no object of its own; how many there are is said by the page.
            return own + once
        each_object = Cost(1) + once
        return own + (each_object.times(LIST_SIZE) if is_list(field) else each_object)

    def _definition(self, node: FieldNode, of: GraphQLNamedType | None) -> GraphQLField | None:
        """The field; None for what every type has, and for introspection, which is bounded by its depth."""
        if isinstance(of, GraphQLObjectType | GraphQLInterfaceType):
            return of.fields.get(node.name.value)
        return None

    def _page(self, node: FieldNode, field: GraphQLField) -> int | Variable:
        """How long the page is that a field asks for."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in PAGE_ARGUMENTS:
            value = given.get(name)
            if isinstance(value, IntValueNode):
                # What is out of range is refused when it runs, and costs no more than what is not.
                return max(0, min(int(value.value), LARGEST_PAGE)) if len(value.value) < 10 else LARGEST_PAGE
            if isinstance(value, VariableNode):
                return Variable(value.name.value, self._defaults.get(value.name.value, DEFAULT_PAGE))
        return DEFAULT_PAGE if any(name in field.args for name in PAGE_ARGUMENTS) else LIST_SIZE


def is_page(of: GraphQLNamedType) -> bool:
    return of.name.endswith("Connection")


def is_item(node: FieldNode, of: GraphQLNamedType | None) -> bool:
    """Whether a field of this type is what a page holds."""
    return of is not None and is_page(of) and node.name.value in ITEMS


def is_list(field: GraphQLField) -> bool:
    found = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return isinstance(found, GraphQLList)


def defaults_of(operation: OperationDefinitionNode) -> dict[str, int]:
    """The defaults of variables that are whole numbers, as far as they are sizes of pages."""
    found: dict[str, int] = {}
    for definition in operation.variable_definitions or ():
        if definition.default_value is not None:
            value = value_from_ast_untyped(definition.default_value)
            if isinstance(value, int):
                found[definition.variable.name.value] = max(0, min(value, LARGEST_PAGE))
    return found
