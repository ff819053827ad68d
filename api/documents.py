"""Documents made ready once: parsed, measured, validated, their costs reckoned; kept by their text while they are used.

The order matters: what is over a limit is not validated, because validation is not linear (see `api.limits`).
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ASTValidationRule,
    DirectiveNode,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from strawberry.extensions import SchemaExtension

from api.costs import DEAREST, Cost, cost_of
from api.limits import MOST_TOKENS, too_large

CACHED_DOCUMENTS = 500
# A text that is longer is made ready each time: what is kept must not be a way to fill the memory.
LONGEST_CACHED = 32_768
# After so many mistakes the rest is not looked for.
MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was made ready; with errors it runs nothing. `node` is missing where it is no document at all."""

    text: str
    node: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: Mapping[str, OperationDefinitionNode] = field(default_factory=dict)
    schema: GraphQLSchema | None = None
    # Of the operations that were asked for; reckoned for all, a document of many would cost their product.
    costs: dict[str, Cost] = field(default_factory=dict[str, Cost])
    # The variables that fields are included or skipped by, and what was compiled for their values, by the name of the
    # operation and these values (see `api.execution`).
    included_by: tuple[str, ...] = ()
    plans: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    # What is the same of an operation for whoever runs it, likewise.
    frames: dict[str | None, Any] = field(default_factory=dict, compare=False)
    # Of operations, by the names by which they were asked for, and in whose hands their fields have asked who asks.
    ask_who: set[Hashable] = field(default_factory=set[Hashable], compare=False)

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation of this name, or the only one where none is named (GraphQL, section 6.1)."""
        if name is not None:
            return self.operations.get(name)
        return next(iter(self.operations.values())) if len(self.operations) == 1 else None

    def kind(self, name: str | None) -> OperationType | None:
        operation = self.operation(name)
        return operation.operation if operation else None

    def cost(self, name: str | None, variables: Mapping[str, Any]) -> int:
        """What running the operation costs at most; 0 for what does not run."""
        operation = self.operation(name)
        if operation is None or self.node is None or self.schema is None:
            return 0
        name = name_of(operation)
        if name not in self.costs:
            self.costs[name] = cost_of(self.schema, self.node, operation)
        return self.costs[name].of(variables)

    def problems(self, name: str | None, cost: int, *, streams: bool) -> Sequence[GraphQLError]:
        """Why the operation is not run as it is asked for; nothing where it is."""
        if self.errors:
            return self.errors
        problem = self._misuse(name, cost, streams=streams)
        return [problem] if problem else []

    def _misuse(self, name: str | None, cost: int, *, streams: bool) -> GraphQLError | None:
        if self.operation(name) is None:
            text = "Say by operationName which operation to run." if name is None else f"There is no operation {name}."
            return GraphQLError(text, extensions={"code": "BAD_USER_INPUT"})
        if not streams and self.kind(name) is OperationType.SUBSCRIPTION:
            text = "A subscription needs a WebSocket or the header Accept: text/event-stream."
            return GraphQLError(text, extensions={"code": "BAD_USER_INPUT"})
        if cost > DEAREST:
            text = f"The operation may cost {cost}: the limit is {DEAREST}. Ask for smaller pages."
            return GraphQLError(text, extensions={"code": "OPERATION_TOO_COSTLY"})
        return None


NO_DOCUMENT = Document("", None, (GraphQLError("There is no document."),))


class Documents:
    """Makes documents ready for one schema, and keeps those that were asked for lately.

    Without introspection nothing is told of the schema, by suggestions neither. That is no access boundary (names can
    be guessed), but less to see: what may be run is up to trusted documents.
    """

    def __init__(self, schema: GraphQLSchema, *, introspection: bool, kept: int = CACHED_DOCUMENTS) -> None:
        self._schema = schema
        self._introspection = introspection
        self._kept = kept
        self._ready: OrderedDict[str, Document] = OrderedDict()
        own: tuple[type[ASTValidationRule], ...] = () if introspection else (NoSchemaIntrospectionCustomRule,)
        self._rules = (*specified_rules, *own)

    def ready(self, text: str) -> Document:
        """The document of this text."""
        found = self._ready.get(text)
        if found is not None:
            self._ready.move_to_end(text)
            return found
        made = self._made(text)
        if len(text) <= LONGEST_CACHED:
            self._ready[text] = made
            if len(self._ready) > self._kept:
                self._ready.popitem(last=False)
        return made

    def _made(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=MOST_TOKENS)
            problem = too_large(node)
        except GraphQLError as error:
            return Document(text, None, (error,))
        except RecursionError:
            too_deep = GraphQLError("The document is too deep.", extensions={"code": "DOCUMENT_TOO_LARGE"})
            return Document(text, None, (too_deep,))
        if problem is not None:
            return Document(text, node, (problem,))
        errors = validate(self._schema, node, self._rules, MOST_ERRORS, hide_suggestions=not self._introspection)
        if errors:
            return Document(text, node, tuple(errors))
        operations = {name_of(one): one for one in node.definitions if isinstance(one, OperationDefinitionNode)}
        return Document(text, node, (), operations, self._schema, included_by=included_by(node))


class Conditions(Visitor):
    """Collects the variables of @skip and @include."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.names[argument.value.name.value] = None


def included_by(node: DocumentNode) -> tuple[str, ...]:
    """The variables by which fields of a document are included or skipped."""
    conditions = Conditions()
    visit(node, conditions)
    return tuple(conditions.names)


def name_of(operation: OperationDefinitionNode) -> str:
    return operation.name.value if operation.name else ""


class Prepared(SchemaExtension):
    """Runs the document that the context holds ready, instead of parsing and validating its text again."""

    def on_parse(self) -> Iterator[None]:
        self.execution_context.graphql_document = self.execution_context.context.document.node
        yield

    def on_validate(self) -> Iterator[None]:
        self.execution_context.pre_execution_errors = []
        yield
