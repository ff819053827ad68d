"""The tour by clients with caches: what they show is what the server answered, whatever else the cache has seen."""

from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLUnionType, build_schema

from api.tour import tour_documents
from core.processes import REPOSITORY
from ops.tour import AFTER_WORK
from tests.clients.conftest import PATIENCE_SECONDS, SWEEP_SECONDS, Run

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS)

SCHEMA = REPOSITORY / "api" / "schema.graphql"
# The worker has settled by then what the document before owes.
WAIT_MILLISECONDS = 1000 * (SWEEP_SECONDS + 3)
# A code for the entrance is made anew every time it is looked at.
MADE_ANEW = {"checkInCode"}


def possible_types() -> dict[str, list[str]]:
    """Which objects stand behind each interface and union, which a cache has to be told."""
    schema = build_schema(SCHEMA.read_text())
    abstract = [one for one in schema.type_map.values() if isinstance(one, GraphQLInterfaceType | GraphQLUnionType)]
    return {one.name: [member.name for member in schema.get_possible_types(one)] for one in abstract}


@pytest.mark.parametrize("library", ["apollo", "urql"])
def test_the_tour_as_a_client_with_a_cache_shows_it(run: Run, tokens: dict[str, str], library: str) -> None:
    """Given a client for each persona, when it walks the tour, then it shows what plain HTTP answers."""
    documents = [{**step, "waits": step["name"] in AFTER_WORK} for step in tour_documents()]
    steps = run(
        "tour",
        library=library,
        documents=documents,
        tokens=tokens,
        patience=WAIT_MILLISECONDS,
        possibleTypes=possible_types(),
    )
    assert [step["name"] for step in steps if step["errors"]] == []
    assert [step["name"] for step in steps] == [step["name"] for step in documents]
    assert [step["name"] for step in steps if without_new(step["shown"]) != without_new(step["wire"])] == []
    assert [step["name"] for step in steps if without_new(step["shown"]) != without_new(step["plain"])] == []


def without_new(value: Any) -> Any:
    if isinstance(value, list):
        return [without_new(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: without_new(part) for name, part in value.items() if name not in MADE_ANEW}
