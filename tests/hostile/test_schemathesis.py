"""Schemathesis: documents made from the schema that the running application tells, for every field of its roots."""

from typing import Any

import pytest
import schemathesis
from graphql import get_introspection_query, parse_value
from hypothesis import given, note
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.errors import FailureGroup
from schemathesis.graphql import nodes
from schemathesis.graphql.checks import GraphQLClientError, GraphQLServerError
from schemathesis.specs.graphql.schemas import GraphQLSchema
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
)

from tests.access.documents import ROOTS, document_of
from tests.hostile.conftest import SOCKETS_LEFT, Prey
from tests.hostile.judge import fuzzed
from tests.hostile.shape import fits
from tests.hostile.test_documents import send
from tests.hostile.values import TEXTS

pytestmark = [pytest.mark.timeout(7200), SOCKETS_LEFT]

# Each document is asked in this order: what a stranger was to be refused is refused before the administrator does it.
ASKING = ("nobody", "customer, another's", "administrator")
# What may show Lin's place to everybody, or take the prey away, is asked when nothing else is left to ask.
LAST = ("updateCommunity", "eraseCustomer", "mergeCustomers")
FIELDS = [
    (kind, name)
    for kind in ("Query", "Mutation")
    for name in sorted(ROOTS[kind.lower()], key=lambda name: (LAST.index(name) if name in LAST else -1, name))
]
CHECKS = [not_a_server_error, response_schema_conformance, positive_data_acceptance, negative_data_rejection]
# What may be said of a document that fits the schema: to schemathesis each is a failure of the server, as it knows
# nothing of who asks, of what the values mean, and of how much one may ask.
REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND", "BAD_USER_INPUT", "REFUSAL", "OPERATION_TOO_COSTLY"}

JSONS = (
    "{}",
    '{a: [1, -2.5, {b: null, c: ["d", {}]}], definition: "e", kind: true}',
    "[]",
    "[{}, [0]]",
    "1e400",
    "false",
)


@pytest.fixture(scope="module")
def schema(prey: Prey) -> GraphQLSchema:
    """The schema as the running application tells it. Schemathesis' `from_asgi` would start the application again, in
    a thread and an event loop of its own."""
    told = prey.run(prey.caller("nobody").post(get_introspection_query())).json()
    scalar = schemathesis.graphql.scalar
    scalar("JSON", st.sampled_from(JSONS).map(parse_value) | st.sampled_from(TEXTS).map(nodes.String))
    scalar("SafeInt", st.integers(-(2**53) + 1, 2**53 - 1).map(nodes.Int))
    # Of the character NUL the whole request is refused, which is tested with the bodies.
    config = schemathesis.Config.from_dict({"generation": {"allow-x00": False}})
    return schemathesis.graphql.from_dict(told, config=config)


def tell_ids(prey: Prey, name: str) -> None:
    """Have schemathesis know ids: those that this field is about, then any, then what is none."""
    _, variables = document_of(name, prey.world.ids, {})
    about = [one for one in prey.ids if f"'{one}'" in str(variables)]
    ids = st.sampled_from([*about, *prey.ids]) | st.sampled_from(about or prey.ids) | st.sampled_from(TEXTS)
    schemathesis.graphql.scalar("ID", ids.map(nodes.String))


def drawn(data: st.DataObject, schema: GraphQLSchema, kind: str, name: str, mode: GenerationMode) -> Case[Any]:
    """A case of a field. The strategy is asked for past `as_strategy`, which changes hypothesis for the whole process:
    what fails after it, in any test, is shown without its arguments."""
    return data.draw(schema.get_case_strategy(schema[kind][name], generation_mode=mode))


def ask(prey: Prey, schema: GraphQLSchema, role: str, case: Case[Any]) -> None:
    """Ask it, and judge the answer by what is ours, by schemathesis' checks, and by what the document asked for."""
    document = str(case.body)
    note(f"{role}: {document}")
    answer = prey.run(send(prey, role, document, {}))
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as failed:
        for one in failed.exceptions:
            if not isinstance(one, GraphQLServerError | GraphQLClientError):
                raise
            if not {error.get("extensions", {}).get("code") for error in one.errors} <= REFUSALS:
                raise
    data = answer.json().get("data")
    assert data is None or fits(schema.client_schema, document, data), answer.text[:1000]


@fuzzed(40)
@given(data=st.data())
def test_documents_with_one_thing_wrong(prey: Prey, schema: GraphQLSchema, data: st.DataObject) -> None:
    """Given documents that break the schema in one place, of any field; then they are refused, and that decently."""
    kind, name = data.draw(st.sampled_from(FIELDS), label="field")
    role = data.draw(st.sampled_from(ASKING), label="role")
    tell_ids(prey, name)
    ask(prey, schema, role, drawn(data, schema, kind, name, GenerationMode.NEGATIVE))


@pytest.mark.parametrize(("kind", "name"), FIELDS)
@fuzzed(2)
@given(data=st.data())
def test_every_field(prey: Prey, schema: GraphQLSchema, kind: str, name: str, data: st.DataObject) -> None:
    """Given documents that fit the schema, of each field; then everybody's answer is decent and has its shape."""
    tell_ids(prey, name)
    case = drawn(data, schema, kind, name, GenerationMode.POSITIVE)
    for role in ASKING:
        ask(prey, schema, role, case)
