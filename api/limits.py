"""How large a document is, measured before anything else looks at it: each node once, so the time is linear.

What is over a limit is refused before it is validated, because the standard's own rules are not linear: fields of one
name under one parent are compared pair by pair, and two hundred fragments that spread each other take seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
# Selections that are looked at to find those pairs, in the whole document, with its fragments spread out.
MOST_STEPS = 20_000
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
    counted = Pairs(measure.fragments)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        problem = measure.definition(node).over()
        if measure.flaw is not None:
            return GraphQLError(measure.flaw, extensions={"code": "GRAPHQL_VALIDATION_FAILED"})
        # What is spread somewhere is counted there, with all that is beside it.
        is_counted = isinstance(node, FragmentDefinitionNode) and node.name.value in measure.spread
        if problem is None and not is_counted and counted.add(node):
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
        # Why the document is not valid, as far as that must be known before anything follows its fragments.
        self.flaw: str | None = None
        self.fragments = fragments_of(document)
        self.spread: frozenset[str] = frozenset(spreads_in(document))
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
        if not selections.selections:
            # The parser lets it pass, though the language has none; without a field, nothing of it would be counted.
            self.flaw = "A selection is empty."
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
            if name in self._open:
                self.flaw = "A fragment is spread within itself."
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


class Pairs:
    """Counts the pairs of fields that have one name under one parent, all fragments spread out, over definitions.

    To be asked of what has no fragment within itself.
    """

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self.found = 0
        self.steps = 0

    def add(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> bool:
        """Count those of one more; whether there are too many, or too much has to be looked at to know."""
        levels = [self._fields([node.selection_set])]
        while levels and not self._is_over():
            alike: dict[str, list[FieldNode]] = {}
            for field in levels.pop():
                alike.setdefault(response_name(field), []).append(field)
            for fields in alike.values():
                self.found += len(fields) * (len(fields) - 1) // 2
                if below := [one.selection_set for one in fields if one.selection_set is not None]:
                    levels.append(self._fields(below))
        return self._is_over()

    def _is_over(self) -> bool:
        return self.found > MOST_PAIRS or self.steps > MOST_STEPS

    def _fields(self, selections: Sequence[SelectionSetNode]) -> list[FieldNode]:
        """The fields of these selections and of the fragments in them, but for what is below them."""
        found: list[FieldNode] = []
        rest = [node for one in selections for node in one.selections]
        while rest and self.steps <= MOST_STEPS:
            node = rest.pop()
            self.steps += 1
            if isinstance(node, FieldNode):
                found.append(node)
            elif isinstance(node, InlineFragmentNode):
                rest += node.selection_set.selections
            elif isinstance(node, FragmentSpreadNode) and node.name.value in self._fragments:
                rest += self._fragments[node.name.value].selection_set.selections
        return found


def response_name(field: FieldNode) -> str:
    return (field.alias or field.name).value


def spreads_in(document: DocumentNode) -> Iterator[str]:
    """The names of the fragments that are spread anywhere in the document."""
    rest: list[SelectionNode] = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            rest += definition.selection_set.selections
    while rest:
        node = rest.pop()
        if isinstance(node, FragmentSpreadNode):
            yield node.name.value
        elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
            rest += node.selection_set.selections
