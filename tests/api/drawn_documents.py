"""Strategies for documents that fit a schema: aliases, fields said twice, fragments and conditions in all places."""

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import strategies as st

CONDITIONS = ("", "", "", "", "@include(if: $yes)", "@skip(if: $no)", "@include(if: $no)", "@skip(if: true)")
HEAD = "query Drawn($yes: Boolean!, $no: Boolean = false)"
# What is never asked: it writes, or it is another at each asking.
LEFT_OUT = frozenset({"referralCode", "calendarFeed"})


@dataclass
class Writer:
    """Writes one document; each fragment is spread where it was made and nowhere else."""

    draw: st.DrawFn
    schema: GraphQLSchema
    fragments: list[str] = field(default_factory=list[str])

    def document(self, depth: int) -> str:
        root = self.selection(self.schema.query_type, depth)
        # A variable that is not used is a mistake.
        return "\n".join(
            [f"{HEAD} {{ used: __typename @include(if: $yes) @skip(if: $no) ... {root} }}", *self.fragments]
        )

    def condition(self) -> str:
        return self.draw(st.sampled_from(CONDITIONS))

    def selection(self, kind: Any, depth: int) -> str:
        """What is asked of a type, down to a depth."""
        parts = [self.part(kind, depth) for _ in range(self.draw(st.integers(1, 4)))]
        return "{ " + " ".join([*parts, "end: __typename"]) + " }"

    def part(self, kind: Any, depth: int) -> str:
        what = self.draw(st.sampled_from(["field", "field", "field", "inline", "spread", "typename"]))
        if what == "typename":
            return f"__typename {self.condition()}"
        if what == "inline" and depth:
            within, on = self.narrowed(kind)
            return f"... {on} {self.condition()} {self.selection(within, depth - 1)}"
        if what == "spread" and depth:
            within, on = self.narrowed(kind, named=True)
            name = f"F{len(self.fragments)}"
            self.fragments.append("")
            place = len(self.fragments) - 1
            self.fragments[place] = f"fragment {name} {on} {self.selection(within, depth - 1)}"
            return f"...{name} {self.condition()}"
        return self.field(kind, depth)

    def narrowed(self, kind: Any, *, named: bool = False) -> tuple[Any, str]:
        """The type that a fragment is on, and how that is said."""
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            kind = self.draw(st.sampled_from(sorted(self.schema.get_possible_types(kind), key=str)))
            return kind, f"on {kind}"
        return kind, f"on {kind}" if named or self.draw(st.booleans()) else ""

    def field(self, kind: Any, depth: int) -> str:
        if not isinstance(kind, GraphQLInterfaceType | GraphQLObjectType):
            return "__typename"
        asked = [
            name
            for name, one in kind.fields.items()
            if name not in LEFT_OUT
            and not any(is_required_argument(argument) for argument in one.args.values())
            and (depth or is_leaf_type(get_named_type(one.type)))
        ]
        if not asked:
            return "__typename"
        name = self.draw(st.sampled_from(asked))
        alias = self.draw(st.sampled_from(["", "", f"{name}Again: ", f"{name}Too: "]))
        inner = get_named_type(kind.fields[name].type)
        below = "" if is_leaf_type(inner) else self.selection(inner, depth - 1)
        return f"{alias}{name} {self.condition()} {below}"


@st.composite
def documents(draw: st.DrawFn, schema: GraphQLSchema, depth: int) -> str:
    """A document of queries; not each is valid, because fields of one name may be of two types."""
    return Writer(draw, schema).document(depth)


variables = st.fixed_dictionaries({"yes": st.booleans()}, optional={"no": st.booleans() | st.none()})
