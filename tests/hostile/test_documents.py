"""Documents that no decent client sends: every operation with hostile variables, and documents made from the schema."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from graphql import GraphQLScalarType, print_schema
from hypothesis import given, reject
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis_graphql import Mode, from_schema, nodes

from tests.access.documents import OPERATIONS, ROOTS, SCHEMA, document_of
from tests.access.given import given_of
from tests.access.world import ROLES
from tests.hostile.conftest import SOCKETS_LEFT, Prey
from tests.hostile.judge import fuzzed, judge
from tests.hostile.values import TEXTS, bent, selection_of, spoiled

pytestmark = [pytest.mark.timeout(7200), SOCKETS_LEFT]

# What would take the prey away from those who come after.
FATAL = {"eraseCustomer", "mergeCustomers"}
ASKED = sorted(name for name, root in OPERATIONS.items() if root != "subscription" and name not in FATAL)
PATIENCE_SECONDS = 30.0
SCALARS = {
    name: st.sampled_from(TEXTS).map(nodes.String)
    for name, kind in SCHEMA.type_map.items()
    if isinstance(kind, GraphQLScalarType) and name not in ("String", "Int", "Float", "Boolean", "ID")
}


async def send(prey: Prey, role: str, document: str, variables: dict[str, Any]) -> httpx.Response:
    """Send it, and judge the answer and how long it took."""
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS * 2):
        answer = await prey.caller(role).post(document, variables)
    judge(answer, prey.hidden_from(role))
    assert answer.status_code != 401, "The token is good no more, and nothing is tested."
    assert time.monotonic() - begun < PATIENCE_SECONDS, document[:300]
    return answer


def shown(operation: str) -> str | None:
    """Of a query everything that an answer has, some levels down; of a mutation what it says by itself."""
    return selection_of(ROOTS["query"][operation].type) if OPERATIONS[operation] == "query" else None


@fuzzed(150)
@given(data=st.data())
def test_hostile_variables(prey: Prey, data: st.DataObject) -> None:
    """Given any operation, role and variables with something wrong in them; then the answer is decent."""
    operation = data.draw(st.sampled_from(ASKED), label="operation")
    role = data.draw(st.sampled_from(ROLES), label="role")
    ids = prey.world.ids
    document, variables = document_of(operation, ids, given_of(prey.world, operation, role), shown(operation))
    variables = data.draw(spoiled(variables, prey.ids), label="variables")
    prey.run(send(prey, role, document, variables))


@fuzzed(40)
@given(data=st.data())
def test_documents_of_the_schema(prey: Prey, data: st.DataObject) -> None:
    """Given documents that fit the schema, and such with one thing wrong in them; then the answer is decent."""
    role = data.draw(st.sampled_from(ROLES), label="role")
    mode = data.draw(st.sampled_from(Mode), label="mode")
    fields = [data.draw(st.sampled_from(ASKED), label="field")]
    strategy = from_schema(TEXT, custom_scalars=SCALARS, mode=mode, fields=fields, allow_x00=False)
    try:
        document = data.draw(strategy, label="document")
    except InvalidArgument:
        # In a field without arguments nothing can be wrong.
        reject()
    prey.run(send(prey, role, document, {}))


TEXT = print_schema(SCHEMA)
PARTS = (
    "{ viewer { subject } }",
    "query A { viewer { ...F } } fragment F on Viewer { subject ...F }",
    "query A { viewer { ...F } } fragment F on Viewer { subject } fragment G on Viewer { subject }",
    'query($a: String = "x") { viewer @include(if: $a) { subject } }',
    "{ viewer { ... on Customer { id } subject @skip(if: true) @skip(if: false) } }",
    "{ __schema { types { fields { type { ofType { name } } } } } }",
    '{ __type(name: "Viewer") { fields { name } } viewer { __typename } }',
    "subscription { notificationReceived { id } taskChanged { __typename } }",
    "mutation { revokeCalendarFeed { __typename } a: revokeCalendarFeed { __typename } }",
    "{ viewer { points { available } a: points { pending } } }",
    "\ufeff{ viewer { subject } } # é\U0001f600",
    '{ node(id: """block\n"string""") { id } }',
    '{ node(id: "\\ud83d\\ude00 \\u{1F600}") { id } }',
    "query A { viewer { subject } } query A { viewer { subject } }",
    "type X { a: Int }",
    "{ viewer(a: {b: [1, $c, ENUM, null, 1.5e400]}) { subject } }",
)
MARKS = (
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "!",
    "$",
    "@",
    "...",
    ":",
    "=",
    "|",
    "&",
    '"',
    '"""',
    "#",
    ",",
    "\n",
    "on",
    "null",
)


@fuzzed(80)
@given(data=st.data())
def test_documents_that_are_bent(prey: Prey, data: st.DataObject) -> None:
    """Given documents with letters lost, doubled and added, or put together; then the answer is decent."""
    role = data.draw(st.sampled_from(ROLES), label="role")
    text = data.draw(st.sampled_from(PARTS), label="document")
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(text)))
        mark = data.draw(st.sampled_from(MARKS) | st.sampled_from(PARTS) | st.sampled_from(TEXTS))
        text = text[:place] + mark + text[place + data.draw(st.integers(0, 3)) :]
    prey.run(send(prey, role, text.replace("\0", ""), {}))


CURSORS = {
    "communities": "{ communities(first: 1) { pageInfo { endCursor } } }",
    "rewards": "{ rewards(first: 1) { pageInfo { endCursor } } }",
    "products": "{ products(first: 1) { pageInfo { endCursor } } }",
    "complaints": "{ complaints(first: 1) { pageInfo { endCursor } } }",
    "adviceThreads": "{ adviceThreads(first: 1) { pageInfo { endCursor } } }",
}
PAGED = sorted(name for name, field in ROOTS["query"].items() if "after" in field.args)


@fuzzed(80)
@given(data=st.data())
def test_cursors_of_others_and_bent_ones(prey: Prey, data: st.DataObject) -> None:
    """Given cursors of Lin's lists, also bent, then any list of anybody answers decently and shows nothing of hers."""
    lin = prey.caller("customer, own")
    real = [prey.run(lin.ask(document))[name]["pageInfo"]["endCursor"] for name, document in CURSORS.items()]
    cursors = [one for one in real if one]
    operation = data.draw(st.sampled_from(PAGED), label="operation")
    role = data.draw(st.sampled_from(ROLES), label="role")
    after = data.draw(st.sampled_from(cursors) | bent(cursors), label="after")
    first = data.draw(st.sampled_from([None, 1, 100, 0, -1, 101, 2**31 - 1]), label="first")
    given = {**given_of(prey.world, operation, role), "after": after, "first": first}
    given = {name: one for name, one in given.items() if one is not None}
    document, variables = document_of(operation, prey.world.ids, given, shown(operation))
    prey.run(send(prey, role, document, variables))
