"""Limits on documents: measured in linear time, before anything that is not linear looks at them."""

import pytest
from graphql import parse

from api.documents import Documents
from api.limits import MOST_PAIRS, MOST_STEPS, MOST_TOKENS, Measure, Pairs, fragments_of, too_large
from api.schema import build_schema

SCHEMA = build_schema().core
DOCUMENTS = Documents(SCHEMA, introspection=True)


def chain(levels: int) -> str:
    """A document whose fragments double at each level."""
    fragments = [f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(levels)]
    return "{ ...f0 } " + " ".join([*fragments, f"fragment f{levels} on Query {{ __typename }}"])


def web(count: int, last: str = "__typename") -> str:
    """A document in which each fragment spreads all later ones."""
    spreads = [" ".join(f"...f{other}" for other in range(n + 1, count)) for n in range(count)]
    return "{ ...f0 } " + " ".join(f"fragment f{n} on Query {{ {spreads[n]} {last} }}" for n in range(count))


def flat(fields: int) -> str:
    return "{ " + "viewer { points { available } } " * (fields // 3) + "}"


def code_of(text: str) -> str | None:
    found = DOCUMENTS.ready(text).errors
    return (found[0].extensions or {}).get("code") if found else None


@pytest.mark.parametrize(
    "text",
    [
        chain(200),
        web(60),
        # What is spread is not there, so that nothing but spreads would be counted.
        web(30, last="").replace("fragment f29 on Query {   }", ""),
        flat(990),
        "{ " + "a: __typename " * 101 + "}",
        "{ " + "__typename " * 200 + "}",
        "query Q " + "@skip(if: false) " * 101 + "{ __typename }",
        "{ ...F " + "@include(if: true) " * 101 + "} fragment F on Query { __typename }",
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        '{ __type(name: "Query") { ...T } } '
        "fragment T on __Type { fields { type { interfaces { possibleTypes { name } } } } }",
        "{" * 1_900 + "}" * 1_900,
        "{ viewer " * 900 + "}" * 900,
    ],
)
def test_what_is_too_large_is_refused_before_validation(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given documents that would take validation seconds; then they are refused, and validation never sees them."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("validated")

    monkeypatch.setattr("api.documents.validate", fail)
    documents = Documents(SCHEMA, introspection=True)
    found = documents.ready(text)
    assert found.errors
    assert (found.errors[0].extensions or {}).get("code", "GRAPHQL_PARSE_FAILED") in (
        "DOCUMENT_TOO_LARGE",
        "GRAPHQL_PARSE_FAILED",
    )


def test_a_fragment_within_itself_is_refused() -> None:
    text = "{ ...A } fragment A on Query { viewer { subject } ...B } fragment B on Query { ...A }"
    assert code_of(text) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("make", [chain, web])
def test_each_node_is_measured_once(make: object) -> None:
    """Given documents that double with each fragment; then as many selections are looked at as there are."""
    for size in (10, 20, 40):
        document = parse(make(size))  # pyright: ignore[reportCallIssue] - either of two functions
        measure = Measure(document)
        for node in document.definitions:
            measure.definition(node)  # pyright: ignore[reportArgumentType] - operations and fragments only
        there = sum(len(node.selection_set.selections) for node in document.definitions)  # pyright: ignore[reportAttributeAccessIssue]
        assert measure.visited == there


def test_pairs_are_those_that_validation_compares() -> None:
    document = parse("{ a { b b } ...F a { b c } ... on Query { a: d } } fragment F on Query { a { b } }")
    # Four of the name a, and below them four of the name b.
    counted = Pairs(fragments_of(document))
    assert not counted.add(document.definitions[0])  # pyright: ignore[reportArgumentType] - it is an operation
    assert counted.found == 6 + 6


def test_an_empty_selection_is_refused_before_anything_follows_its_fragments() -> None:
    """Given fragments that double and end in nothing, which the parser lets pass; then they are refused at once."""
    text = chain(50).replace("{ __typename }", "{ }")
    assert code_of(text) == "GRAPHQL_VALIDATION_FAILED"
    assert DOCUMENTS.ready(text).errors[0].message == "A selection is empty."


def test_what_is_looked_at_for_pairs_is_bounded_over_the_whole_document() -> None:
    """Given many operations that spread one long row of fragments; then they are refused, and few of them are not."""
    row = (
        " ".join(f"fragment f{n} on Query {{ ...f{n + 1} }}" for n in range(100))
        + " fragment f100 on Query { __typename }"
    )
    many = " ".join(f"query q{n} {{ ...f0 }}" for n in range(MOST_STEPS // 100 + 1))
    assert code_of(f"{many} {row}") == "DOCUMENT_TOO_LARGE"
    assert code_of(f"query q {{ ...f0 }} {row}") is None


def test_what_people_write_is_not_refused() -> None:
    """Given a document in which thirty components each ask for the same; then it may run."""
    fragments = " ".join(f"fragment C{n} on Viewer {{ subject points {{ available }} }}" for n in range(30))
    text = "{ viewer { " + " ".join(f"...C{n}" for n in range(30)) + " } } " + fragments
    assert too_large(parse(text)) is None
    assert DOCUMENTS.ready(text).errors == ()
    assert MOST_PAIRS > 30 * 29 // 2 * 3


def test_the_introspection_of_tools_is_not_refused() -> None:
    from graphql import get_introspection_query

    assert DOCUMENTS.ready(get_introspection_query()).errors == ()


def test_without_introspection_nothing_is_told() -> None:
    hidden = Documents(SCHEMA, introspection=False)
    assert "__schema" in hidden.ready("{ __schema { queryType { name } } }").errors[0].message
    for text in ("{ viewr { subject } }", "{ viewer { subjekt } }", "{ communities(frist: 1) { edges { cursor } } }"):
        assert "Did you mean" in DOCUMENTS.ready(text).errors[0].message
        assert "Did you mean" not in hidden.ready(text).errors[0].message


def test_documents_are_kept_while_they_are_used() -> None:
    """Given room for two; when a third comes, then the one that was not used goes; long ones are never kept."""
    documents = Documents(SCHEMA, introspection=True, kept=2)
    first, second = documents.ready("{ viewer { subject } }"), documents.ready("{ viewer { __typename } }")
    assert documents.ready("{ viewer { subject } }") is first
    documents.ready("{ __typename }")
    assert documents.ready("{ viewer { subject } }") is first
    assert documents.ready("{ viewer { __typename } }") is not second
    long = "{ viewer { subject } } #" + "x" * 40_000
    assert documents.ready(long) is not documents.ready(long)


def test_tokens_are_counted() -> None:
    assert "tokens" in DOCUMENTS.ready("{ " + "viewer " * MOST_TOKENS + "}").errors[0].message
