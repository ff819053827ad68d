"""The HTTP edge: whatever the body is, the answer is GraphQL's; limits hold; health tells the truth."""

import json
from dataclasses import replace
from typing import Any

import pytest

from core.clock import utc_now
from core.trusted_documents import NewDocument, register_documents
from tests.api.conftest import System

pytestmark = pytest.mark.anyio

GRAPHQL_JSON = "application/graphql-response+json"
# From a community to its events and back: five levels each time.
CLIMB = "events { edges { node { community { "
ASK = '{"query": "{ viewer { subject } }"}'


async def send(system: System, body: bytes | str, *, accept: str = GRAPHQL_JSON, kind: str = "application/json") -> Any:
    headers = {"Content-Type": kind, "Accept": accept}
    return await system.http.post("/graphql", content=body, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "true",
        "7",
        '"text"',
        "[]",
        "{}",
        "{",
        b"\xff\xfe{}",
        "[" * 100_000,
        '{"query": ' + "[" * 100_000 + "}",
        "1" * 20_000,
        '{"query": null}',
        '{"query": 7}',
        '{"query": " "}',
        '{"query": "{ a }", "variables": []}',
        '{"query": "{ a }", "variables": "x"}',
        '{"query": "{ a }", "operationName": 7}',
        '{"query": "{ a }", "extensions": "x"}',
        '{"query": "{ a \\u0000 }"}',
        '{"query": "{ a(b: \\"\\\\u{0}\\") }"}',
        '{"query": "{ a(b: \\"\\\\u{0000}\\") }"}',
        '{"query": "{ a }", "variables": {"x": "\\ud800"}}',
        '[{"query": "{ a }"}]',
    ],
)
async def test_a_body_that_is_no_operation_is_a_400_with_a_graphql_error(system: System, body: bytes | str) -> None:
    answer = await send(system, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["errors"][0]
    assert error["message"]
    assert error["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { viewer { subject } } query B { viewer { subject } }", "BAD_USER_INPUT"),
        ("{ viewer { " + "customer { displayName } " * 1001 + "} }", None),
    ],
)
async def test_a_document_that_cannot_run_is_a_400(system: System, document: str, code: str | None) -> None:
    answer = await send(system, json.dumps({"query": document}))
    assert answer.status_code == 400
    assert "data" not in answer.json()
    if code:
        assert answer.json()["errors"][0]["extensions"]["code"] == code


async def test_the_older_media_type_answers_200_and_others_are_refused(system: System) -> None:
    older = await send(system, '{"query": "{ nothing }"}', accept="application/json")
    assert older.status_code == 200
    assert older.headers["content-type"].startswith("application/json")
    newer = await send(system, ASK)
    assert newer.headers["content-type"].startswith(GRAPHQL_JSON)
    assert (await send(system, ASK, kind="text/plain")).status_code == 415
    assert (await system.http.put("/graphql", json={"query": "{ viewer { subject } }"})).status_code == 405


async def test_a_query_may_stand_in_the_address(system: System) -> None:
    """Given a query, its variables and its name by GET, then the answer is that of POST, and nobody keeps it."""
    caller = await system.customer("somebody-who-gets")
    document = (
        "query A($with: Boolean!) { viewer { subject language: __typename @include(if: $with) } }"
        " query B { __typename }"
    )
    parameters = {"query": document, "variables": '{"with": true}', "operationName": "A"}
    headers = {**caller.headers, "Accept": GRAPHQL_JSON}
    answer = await system.http.get("/graphql", params=parameters, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {"viewer": {"subject": "somebody-who-gets", "language": "Viewer"}}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith(GRAPHQL_JSON)
    head = await system.http.head("/graphql", params=parameters, headers=headers)
    assert head.status_code == 200
    streamed = await system.http.get("/graphql", params=parameters, headers={**headers, "Accept": "text/event-stream"})
    assert "event: next" in streamed.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream;q=0.9", "text/event-stream"),
        # As urql sends it with every query: events only where an answer comes in parts.
        ("application/graphql-response+json, application/json, text/event-stream, multipart/mixed", GRAPHQL_JSON),
        ("text/event-stream;q=0.1, application/json", "application/json"),
        ("text/event-stream;q=0, application/json", "application/json"),
        ("text/event-stream;q=high, application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_events_are_for_who_would_rather_have_them(system: System, accept: str, kind: str) -> None:
    caller = system.caller("somebody-who-asks", "customer")
    headers = {**caller.headers, "Accept": accept}
    answer = await system.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"query": "{ a }", "variables": "{"},
        {"query": "{ a }", "variables": "[]"},
        {"query": "{ a }", "extensions": "7"},
        {"query": "{ a }", "variables": '{"x": "\\u0000"}'},
        {"query": "{ a } # \0"},
    ],
)
async def test_an_address_that_holds_no_operation_is_a_400(system: System, parameters: dict[str, str]) -> None:
    answer = await system.http.get("/graphql", params=parameters)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("accept", [GRAPHQL_JSON, "application/json", "text/event-stream"])
async def test_a_mutation_by_get_is_a_405_and_changes_nothing(system: System, unique: str, accept: str) -> None:
    caller = system.caller(unique, "customer")
    mutation = 'mutation Act { signUp(input: {displayName: "Wu"}) { __typename } } query Look { __typename }'
    for parameters in ({"query": mutation, "operationName": "Act"}, {"query": mutation.partition(" query")[0]}):
        answer = await system.http.get("/graphql", params=parameters, headers={**caller.headers, "Accept": accept})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    seen = await caller.ask("{ viewer { customer { id } } }")
    assert seen["viewer"]["customer"] is None


async def test_in_production_an_address_names_registered_documents_for_who_has_not_signed_in(
    system: System, unique: str
) -> None:
    """Given production; then neither documents nor what somebody asks for stand in addresses, which end up in logs."""
    production = system.settings.model_copy(update={"environment": "production"})
    system.app.state.edge = replace(system.edge, settings=production)
    await register(system, unique, "{ __typename }")
    by_id = await system.http.get("/graphql", params={"documentId": unique})
    assert (by_id.status_code, by_id.json()) == (200, {"data": {"__typename": "Query"}})
    signed_in = system.caller(unique, "customer").headers
    for parameters, headers in (({"query": "{ __typename }"}, {}), ({"documentId": unique}, signed_in)):
        answer = await system.http.get("/graphql", params=parameters, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def register(system: System, document_id: str, text: str) -> None:
    async with system.edge.database.write() as session:
        new = [NewDocument(document_id, "", text)]
        await register_documents(session, new, client="test", now=utc_now())


async def test_what_anybody_may_be_told_is_kept_by_caches_and_nothing_else(system: System, unique: str) -> None:
    """Given a query that nobody has to sign in for; then it is kept for a minute, and not sent again to who has it."""
    parameters = {"query": "{ __typename }"}
    answer = await system.http.get("/graphql", params=parameters)
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["vary"] == "Authorization, Accept, Accept-Language"
    tag = answer.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await system.http.get("/graphql", params=parameters, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    changed = await system.http.get("/graphql", params={"query": "{ a: __typename }"}, headers={"If-None-Match": tag})
    assert changed.status_code == 200

    refused = await system.http.get("/graphql", params={"query": "{ viewer { subject } }"})
    signed_in = await system.http.get("/graphql", params=parameters, headers=system.caller(unique, "customer").headers)
    posted = await system.http.post("/graphql", json=parameters)
    for private in (refused, signed_in, posted):
        assert private.headers["cache-control"] == "no-store"
        assert "etag" not in private.headers


async def test_a_body_over_the_limit_is_a_413(system: System) -> None:
    body = json.dumps({"query": "{ viewer { subject } }", "variables": {"x": "y" * system.settings.max_body_bytes}})
    assert (await send(system, body)).status_code == 413


def bomb(levels: int) -> str:
    """A document whose fragments double at each level: 2 to the power of `levels` fields in a few lines."""
    fragments = [f"fragment f{n} on Viewer {{ ...f{n + 1} ...f{n + 1} }}" for n in range(levels)]
    return "{ viewer { ...f0 } } " + " ".join([*fragments, f"fragment f{levels} on Viewer {{ subject }}"])


@pytest.mark.parametrize(
    "document",
    [
        bomb(60),
        "{ viewer { " + " ".join(f"a{n}: subject" for n in range(101)) + " } }",
        "{ viewer { subject " + "@skip(if: false) " * 101 + "} }",
        "{ viewer { communities { edges { node { " + CLIMB * 3 + "id" + " }" * 12 + " } } } } }",
    ],
)
async def test_a_document_over_the_limits_is_refused_before_it_runs(system: System, document: str) -> None:
    answer = (await send(system, json.dumps({"query": document}))).json()
    assert "data" not in answer
    assert answer["errors"]


async def test_nobody_is_unauthenticated_and_a_bad_token_is_a_401(system: System) -> None:
    nobody = (await send(system, ASK)).json()
    assert nobody["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    headers = {"Authorization": "Bearer not.a.token", "Content-Type": "application/json"}
    answer = await system.http.post("/graphql", content=ASK, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_errors_speak_the_language_of_the_request(system: System) -> None:
    english = await system.caller(None).fail("{ viewer { subject } }")
    chinese = await system.caller(None, language="zh-CN,zh;q=0.9,en;q=0.1").fail("{ viewer { subject } }")
    assert english["message"] == "Please sign in."
    assert chinese["message"] == "请先登录。"


async def test_a_request_keeps_its_id_or_gets_one(system: System) -> None:
    given = await system.http.get("/healthz", headers={"X-Request-Id": "abcd-1234-efgh"})
    assert given.headers["x-request-id"] == "abcd-1234-efgh"
    for bad in ("short", "x" * 65, "with space 123", "<script>alert</script>"):
        made = await system.http.get("/healthz", headers={"X-Request-Id": bad})
        assert made.headers["x-request-id"] != bad
        assert len(made.headers["x-request-id"]) == 36


async def test_an_unexpected_error_is_masked_and_named_by_its_request(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a resolver that breaks, then the client learns nothing but the request's id."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("api.community.communities.list_communities", broken)
    caller = await system.customer("somebody-broken")
    error = await caller.fail("{ communities { edges { node { id } } } }")
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert len(error["extensions"]["requestId"]) == 36
    assert "secret" not in json.dumps(error)


async def test_health_is_the_process_and_readiness_names_each_store(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await system.http.get("/healthz")).json() == {"status": "ok"}
    ready = await system.http.get("/readyz")
    assert (ready.status_code, ready.json()["stores"]) == (200, {"graph": "ok", "sql": "ok", "redis": "ok"})

    async def away(_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("api.app.ask_graph", away)
    broken = await system.http.get("/readyz")
    assert broken.status_code == 503
    assert broken.json()["stores"] == {"graph": "unavailable", "sql": "ok", "redis": "ok"}
    assert (await system.http.get("/healthz")).status_code == 200
