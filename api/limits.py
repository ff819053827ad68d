"""Limits on documents, decided before anything runs: each fragment is measured once, so the time is linear."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.validation import ASTValidationRule, ValidationContext
from strawberry.extensions import SchemaExtension
from strawberry.types.graphql import OperationType

# A fragment that contains itself is refused by the standard's own rule; here it only must not loop.
ENDLESS = 1_000_000_000

DEEPEST = 15
MOST_FIELDS = 1_000
MOST_ALIASES = 100
MOST_DIRECTIVES = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How large a selection is with all its fragments spread out."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def over(self) -> str | None:
        """Which limit is passed; None when none is."""
        for name, value, limit in (
            ("deep", self.depth, DEEPEST),
            ("many fields", self.fields, MOST_FIELDS),
            ("many aliases", self.aliases, MOST_ALIASES),
            ("many directives", self.directives, MOST_DIRECTIVES),
        ):
            if value > limit:
                return f"The document is too {name}: the limit is {limit}."
        return None


class OneOperation(SchemaExtension):
    """Refuses a document of several operations that does not say which to run (GraphQL, section 6.1), and
    a subscription where there is a single answer."""

    def on_execute(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        definitions = document.definitions if document else ()
        operations = sum(isinstance(node, OperationDefinitionNode) for node in definitions)
        if operations > 1 and context.context.operation_name is None:
            error = GraphQLError("Say by operationName which operation to run.", extensions={"code": "BAD_USER_INPUT"})
            context.result = ExecutionResult(data=None, errors=[error])
        elif not context.context.streams and context.operation_type is OperationType.SUBSCRIPTION:
            text = "A subscription needs a WebSocket or the header Accept: text/event-stream."
            error = GraphQLError(text, extensions={"code": "BAD_USER_INPUT"})
            context.result = ExecutionResult(data=None, errors=[error])
        yield


class LimitDocument(ASTValidationRule):
    """Refuses documents that are too deep or too large; introspection is measured like anything else."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        self._measured: dict[str, Size] = {}
        self._open: set[str] = set()

    def enter_document(self, node: DocumentNode, *_: object) -> None:
        for definition in node.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                self._fragments[definition.name.value] = definition

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: object) -> None:
        problem = self._measure(node.selection_set).over()
        if problem is not None:
            self.report_error(GraphQLError(problem, node, extensions={"code": "DOCUMENT_TOO_LARGE"}))

    def _measure(self, selections: SelectionSetNode | None) -> Size:
        if selections is None:
            return Size()
        depth = fields = aliases = directives = 0
        for node in selections.selections:
            if isinstance(node, FragmentSpreadNode):
                inner, own = self._fragment(node.name.value), 0
            elif isinstance(node, FieldNode | InlineFragmentNode):
                inner = self._measure(node.selection_set)
                own = 1 if isinstance(node, FieldNode) else 0
            else:
                continue
            depth = max(depth, inner.depth + own)
            fields += inner.fields + own
            aliases += inner.aliases + (1 if isinstance(node, FieldNode) and node.alias else 0)
            directives += inner.directives + len(node.directives or ())
        return Size(depth, min(fields, ENDLESS), min(aliases, ENDLESS), min(directives, ENDLESS))

    def _fragment(self, name: str) -> Size:
        if name in self._measured:
            return self._measured[name]
        definition = self._fragments.get(name)
        if definition is None or name in self._open:
            return Size()
        self._open.add(name)
        self._measured[name] = self._measure(definition.selection_set)
        self._open.discard(name)
        return self._measured[name]
