"""How large a document is, measured before anything else looks at it: each node once, so the time is linear.

What is over a limit is refused before it is validated, because the standard's own rules are not linear: fields of one
name under one parent are compared pair by pair, and two hundred fragments that spread each other take seconds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

Fragments = Mapping[str, FragmentDefinitionNode]

# Sizes double with each level of fragments; beyond this nobody needs to know how large they are.
ENDLESS = 1_000_000_000

MOST_TOKENS = 4_000
DEEPEST = 15
MOST_FIELDS = 1_000
MOST_ALIASES = 100
MOST_DIRECTIVES = 100
# Pairs of fields of one name under one parent, which validation compares with all that is below them.
MOST_PAIRS = 5_000
# Lists of the introspection that may stand within each other, as graphql-js has it (MaxIntrospectionDepthRule).
DEEPEST_INTROSPECTION = 3
INTROSPECTION_LISTS = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})
INTROSPECTION_ROOTS = frozenset({"__schema", "__type"})


@dataclass(frozen=True, slots=True)
class Size:
    """How large a selection is with all its fragments spread out; `lists` are introspection lists within each other."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    lists: int = 0
    introspection: int = 0

    def over(self) -> str | None:
        """Which limit is passed; None when none is."""
        for name, value, limit in (
            ("deep", self.depth, DEEPEST),
            ("many fields", self.fields, MOST_FIELDS),
            ("many aliases", self.aliases, MOST_ALIASES),
            ("many directives", self.directives, MOST_DIRECTIVES),
            ("deep an introspection", self.introspection, DEEPEST_INTROSPECTION - 1),
        ):
            if value > limit:
                return f"The document is too {name}: the limit is {limit}."
        return None


def too_large(document: DocumentNode) -> GraphQLError | None:
    """Why a document is refused for its size; None where it is not."""
    measure = Measure(document)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        problem = measure.definition(node).over()
        if measure.is_circular:
            return GraphQLError("A fragment is spread within itself.", extensions={"code": "GRAPHQL_VALIDATION_FAILED"})
        if problem is None and pairs(measure.fragments, node) > MOST_PAIRS:
            problem = f"The document repeats its fields too often: the limit is {MOST_PAIRS} pairs of one name."
        if problem is not None:
            return GraphQLError(problem, node, extensions={"code": "DOCUMENT_TOO_LARGE"})
    return None


def fragments_of(document: DocumentNode) -> Fragments:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


class Measure:
    """Measures selections of one document; a fragment is measured at its first spread and then known."""

    def __init__(self, document: DocumentNode) -> None:
        self.visited = 0
        self.is_circular = False
        self.fragments = fragments_of(document)
        self._measured: dict[str, Size] = {}
        self._open: set[str] = set()

    def definition(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> Size:
        own = len(node.directives or ())
        if isinstance(node, FragmentDefinitionNode):
            return with_directives(self._fragment(node.name.value), own)
        return with_directives(self._selections(node.selection_set), own)

    def _selections(self, selections: SelectionSetNode | None) -> Size:
        if selections is None:
            return Size()
        return total(self._selection(node) for node in selections.selections)

    def _selection(self, node: SelectionNode) -> Size:
        self.visited += 1
        own = len(node.directives or ())
        if isinstance(node, FragmentSpreadNode):
            return with_directives(self._fragment(node.name.value), own)
        if isinstance(node, InlineFragmentNode):
            return with_directives(self._selections(node.selection_set), own)
        if not isinstance(node, FieldNode):
            return Size()
        inner, name = self._selections(node.selection_set), node.name.value
        lists = inner.lists + (name in INTROSPECTION_LISTS)
        return Size(
            depth=inner.depth + 1,
            fields=inner.fields + 1,
            aliases=inner.aliases + (1 if node.alias else 0),
            directives=inner.directives + own,
            lists=lists,
            introspection=max(inner.introspection, lists if name in INTROSPECTION_ROOTS else 0),
        )

    def _fragment(self, name: str) -> Size:
        if name in self._measured:
            return self._measured[name]
        definition = self.fragments.get(name)
        if definition is None or name in self._open:
            self.is_circular |= name in self._open
            # What is not there is refused later, and must not be spread without end until then.
            return Size(fields=1)
        self._open.add(name)
        self._measured[name] = self._selections(definition.selection_set)
        self._open.discard(name)
        return self._measured[name]


def total(sizes: Iterable[Size]) -> Size:
    """Selections beside each other: the deepest counts, and the sum of all else."""
    depth = fields = aliases = directives = lists = introspection = 0
    for size in sizes:
        depth = max(depth, size.depth)
        lists = max(lists, size.lists)
        introspection = max(introspection, size.introspection)
        fields += size.fields
        aliases += size.aliases
        directives += size.directives
    fields, aliases, directives = (min(value, ENDLESS) for value in (fields, aliases, directives))
    return Size(depth, fields, aliases, directives, lists, introspection)


def with_directives(size: Size, own: int) -> Size:
    if not own:
        return size
    return Size(
        size.depth, size.fields, size.aliases, min(size.directives + own, ENDLESS), size.lists, size.introspection
    )


def pairs(fragments: Fragments, node: OperationDefinitionNode | FragmentDefinitionNode) -> int:
    """How many pairs of fields have one name under one parent, all fragments spread out.

    To be asked of what has no more than MOST_FIELDS fields and no fragment within itself, which bounds the walk.
    """
    found = 0
    levels = [list(spread(node.selection_set, fragments))]
    while levels:
        fields = levels.pop()
        names = Counter(response_name(field) for field in fields)
        found += sum(count * (count - 1) // 2 for count in names.values())
        below: dict[str, list[FieldNode]] = {}
        for field in fields:
            if field.selection_set is not None:
                below.setdefault(response_name(field), []).extend(spread(field.selection_set, fragments))
        levels.extend(below.values())
    return found


def response_name(field: FieldNode) -> str:
    return (field.alias or field.name).value


def spread(selections: SelectionSetNode, fragments: Fragments) -> Iterator[FieldNode]:
    """The fields of a selection and of the fragments in it, but for what is below them."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from spread(node.selection_set, fragments)
        elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
            yield from spread(fragments[node.name.value].selection_set, fragments)
