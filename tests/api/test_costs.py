"""What operations cost: told by the document and its variables alone, never less than what comes back."""

from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType
from hypothesis import given, settings
from hypothesis import strategies as st

from api.costs import DEAREST, LIST_SIZE, MUTATION_COST, WEIGHTS
from api.documents import Documents
from api.schema import build_schema
from core.paging import DEFAULT_PAGE, LARGEST_PAGE

SCHEMA = build_schema().core
DOCUMENTS = Documents(SCHEMA, introspection=True)


def cost(text: str, name: str | None = None, **variables: Any) -> int:
    document = DOCUMENTS.ready(text)
    assert document.errors == ()
    return document.cost(name, variables)


PAGES = "query P($n: Int) { communities(first: $n) { edges { node { id } } pageInfo { hasNextPage } } }"
DEFAULTED = PAGES.replace("$n: Int", "$n: Int = 7")


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("{ viewer { subject } }", {}, 1),
        ("{ __typename }", {}, 0),
        ("{ viewer { subject points { available } } }", {}, 2),
        # A connection and the end of its page, and an object for each item.
        (PAGES, {"n": 3}, 2 + 3),
        (PAGES, {}, 2 + DEFAULT_PAGE),
        (PAGES, {"n": None}, 2 + DEFAULT_PAGE),
        (PAGES, {"n": "x"}, 2 + LARGEST_PAGE),
        (PAGES, {"n": 10**9}, 2 + LARGEST_PAGE),
        (PAGES, {"n": -1}, 2 + LARGEST_PAGE),
        (DEFAULTED, {}, 2 + 7),
        ("{ communities { edges { cursor } } }", {}, 1),
        ("{ communities(first: 2) { edges { node { events(first: 5) { edges { node { id } } } } } } }", {}, 13 + 2),
        ("{ communities(first: 2) { ...C } } fragment C on CommunityConnection { edges { node { id } } }", {}, 3),
        ("{ a: viewer { subject } b: viewer { subject } }", {}, 2),
        ("query A { viewer { subject } } query B { trialBalance { total } }", {"name": "A"}, 1),
    ],
)
def test_objects_are_counted(text: str, variables: dict[str, Any], expected: int) -> None:
    assert cost(text, **variables) == expected


def test_mutations_lists_and_heavy_fields_cost_more() -> None:
    assert cost("{ trialBalance { holds } }") == WEIGHTS["Query.trialBalance"] + 1
    assert cost("{ tags { edges { node { key } } } }") == 1 + DEFAULT_PAGE
    text = 'mutation { cancelRegistration(input: {eventId: "x"}) { __typename } }'
    assert cost(text) == MUTATION_COST + 1
    assert LIST_SIZE > 1


def test_every_weight_is_that_of_a_field() -> None:
    for place in WEIGHTS:
        kind, _, name = place.partition(".")
        found = SCHEMA.get_type(kind)
        assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
        assert name in found.fields, place


def test_what_is_too_dear_is_refused_and_says_so() -> None:
    deep = "{ communities(first: 100) { edges { node { events(first: 100) { edges { node { id } } } } } } }"
    document = DOCUMENTS.ready(deep)
    (problem,) = document.problems(None, document.cost(None, {}), streams=False)
    assert (problem.extensions or {})["code"] == "OPERATION_TOO_COSTLY"
    assert str(DEAREST) in problem.message


SELECTIONS = st.recursive(
    st.sampled_from(["id", "__typename"]),
    lambda inner: st.tuples(st.integers(0, 3), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=12,
)


def spelled(parts: Any, *, by_fragments: bool, fragments: list[str]) -> str:
    """A selection on Community, plainly or with every part in a fragment of its own."""
    if isinstance(parts, str):
        return parts
    size, inner = parts
    below = " ".join(spelled(one, by_fragments=by_fragments, fragments=fragments) for one in inner)
    # Everybody calls their pages differently, so that nothing is in conflict.
    alias = f"e{len(fragments)}{size}"
    nodes = "edges { node { community { " + below + " } } }"
    if by_fragments:
        fragments.append(f"fragment f{len(fragments)} on EventConnection {{ {nodes} }}")
        nodes = f"...f{len(fragments) - 1}"
    else:
        fragments.append("")
    return f"{alias}: events(first: {size + 1}) {{ {nodes} }}"


def reckoned(parts: Any) -> int:
    """The same by a plain sum: a connection, and for each item the event, its community and what is below."""
    if isinstance(parts, str):
        return 0
    size, inner = parts
    return 1 + (size + 1) * (2 + sum(reckoned(one) for one in inner))


# Where the machine is busy, one example may wait for it longer than all others take.
@settings(deadline=None)
@given(st.lists(SELECTIONS, min_size=1, max_size=2))
def test_fragments_change_nothing_and_the_sum_is_plain(parts: list[Any]) -> None:
    """Given any nesting of pages; then it costs what a plain sum says, with fragments and without."""
    for by_fragments in (False, True):
        fragments: list[str] = []
        inner = " ".join(spelled(one, by_fragments=by_fragments, fragments=fragments) for one in parts)
        text = '{ community(id: "x") { ' + inner + " } } " + " ".join(fragments)
        document = DOCUMENTS.ready(text)
        if document.errors:
            # Only what is too large for the limits.
            assert (document.errors[0].extensions or {})["code"] == "DOCUMENT_TOO_LARGE"
            continue
        assert document.cost(None, {}) == 1 + sum(reckoned(one) for one in parts)
