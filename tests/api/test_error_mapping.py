"""One mapping from what goes wrong to a code: validation, paging, what no store keeps, time-outs, the unknown."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.paging import encode_cursor
from tests.api.conftest import System

pytestmark = pytest.mark.anyio

LIST = "query($first: Int, $after: String) { communities(first: $first, after: $after) { edges { node { id } } } }"
FACT = """
mutation { recordFacts(input: {source: "core-banking", facts: [{
  key: "k", kind: "IDENTITY_VERIFIED", customerKey: "c", occurredAt: "2026-01-05T10:00:00Z", payload: {value: %s}
}]}) { ... on Refusal { code } } }
"""


@pytest.mark.parametrize(
    ("document", "variables", "code"),
    [
        ("{ ", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ communities(first: true) { edges { cursor } } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query($f: Int!) { communities(first: $f) { edges { cursor } } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        (LIST, {"first": 2**31}, "GRAPHQL_VALIDATION_FAILED"),
        (LIST, {"first": 2**63}, "GRAPHQL_VALIDATION_FAILED"),
        (LIST, {"first": "many"}, "GRAPHQL_VALIDATION_FAILED"),
        ('{ communities(tag: "\\ud800") { edges { cursor } } }', {}, "GRAPHQL_PARSE_FAILED"),
        ("query A { __typename } query B { __typename }", {}, "BAD_USER_INPUT"),
        ("subscription { notificationReceived { title } }", {}, "BAD_USER_INPUT"),
    ],
)
async def test_a_document_or_variable_that_does_not_fit(
    system: System, document: str, variables: dict[str, Any], code: str
) -> None:
    answer = await system.caller("somebody-who-errs", "customer").post(document, variables)
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == [code]
    assert answer.json().get("data") is None


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"first": 0}, ["first"]),
        ({"first": -1}, ["first"]),
        ({"first": 101}, ["first"]),
        ({"after": ""}, ["after"]),
        ({"after": "nonsense"}, ["after"]),
        ({"after": "\u5927"}, ["after"]),
        ({"after": encode_cursor([2**63 - 1, "x", "y"])}, ["after"]),
        ({"after": encode_cursor(["x\0", "y"])}, ["after"]),
    ],
)
async def test_a_page_that_cannot_be(system: System, variables: dict[str, Any], path: list[str]) -> None:
    error = await system.caller("somebody-who-pages", "customer").fail(LIST, **variables)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "reason": "PAGE_INVALID", "inputPath": path}


@pytest.mark.parametrize("value", ["9223372036854775808", "-9223372036854775809", "[{a: 1e999}]", "1" * 300])
async def test_what_no_store_keeps(system: System, value: str) -> None:
    """Given a number in JSON beyond 64 bits or a double, then it does not fit, and nothing is recorded."""
    caller = system.caller("core-banking", scope="facts:write")
    error = await caller.fail(FACT % value)
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "bit" in error["message"] or "double" in error["message"]


@pytest.mark.parametrize("value", ["\ud800", 2**63, {"a": [-(2**63) - 1]}])
async def test_a_value_that_bolt_cannot_carry(system: System, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    """Given a resolver that lets one through, then it is still the client's mistake and no error of ours."""

    async def unfit(*_: object, **__: object) -> None:
        await system.edge.graph.read("RETURN $value AS value", value=value)

    monkeypatch.setattr("api.community.communities.list_communities", unfit)
    error = await system.caller("somebody-unfit", "customer").fail(LIST)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "reason": "BAD_USER_INPUT"}


async def test_an_operation_that_takes_too_long(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a budget that a resolver overdraws, then the answer says when to come back, and which code that is."""

    async def slow(*_: object, **__: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr("api.community.communities.list_communities", slow)
    settings = system.settings.model_copy(update={"operation_timeout_seconds": 0.2})
    system.app.state.edge = replace(system.edge, settings=settings)
    error = await system.caller("somebody-patient", "customer").fail(LIST)
    assert error["extensions"] == {"code": "UNAVAILABLE", "reason": "UNAVAILABLE"}


async def test_what_nobody_expected_is_masked_by_its_request(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a fault of ours, then a client learns the id of its request, which is that of the header and of our log."""

    async def broken(*_: object, **__: object) -> None:
        raise LookupError("secret detail")

    monkeypatch.setattr("api.community.communities.list_communities", broken)
    answer = await system.caller("somebody-broken", "customer").post(LIST)
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": answer.headers["x-request-id"],
    }
    assert "secret" not in answer.text
