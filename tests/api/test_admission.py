"""Before an operation runs: its cost is told and paid, a crowd is turned away, and who has gone is not worked for."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from api.gate import Gate
from core.db import Database
from graph.client import GraphClient
from tests.api.conftest import System, running, settings_for, token
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

# It costs 2 and asks no store.
ASK = "{ a: viewer { subject } b: viewer { subject } }"


@pytest.fixture
async def poor(stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[System, None]:
    """A system in which each principal may spend 100 a minute."""
    settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"cost_per_minute": 100})
    async with running(settings) as found:
        yield found


async def test_every_answer_tells_its_cost_and_what_is_left(poor: System, unique: str) -> None:
    """Given a budget of 100; then each answer says what it cost, what is left and when it is full again."""
    caller = poor.caller(unique, "customer")
    for number in (1, 2):
        answer = await caller.post(ASK)
        assert answer.json()["extensions"] == {"cost": {"requested": 2, "limit": 100}}
        assert answer.headers["ratelimit-policy"] == '"cost";q=100;w=60'
        left, _, seconds = answer.headers["ratelimit"].rpartition(";t=")
        assert left == f'"cost";r={100 - 2 * number}'
        assert 0 < int(seconds) <= 60


async def test_who_has_spent_the_budget_waits_and_nobody_else(poor: System, unique: str) -> None:
    """Given a spent budget; then a 429 with a stable code and when to come again; others are served."""
    caller = poor.caller(unique, "customer")
    pages = "{ communities(first: 90) { edges { node { id } } } }"
    assert (await caller.post(pages)).status_code == 200
    refused = await caller.post(pages)
    assert refused.status_code == 429
    assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert "data" not in refused.json()
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await poor.caller(f"{unique}-other", "customer").post(pages)).status_code == 200
    # What is cheap enough for the rest is served still.
    assert (await caller.post(ASK)).status_code == 200


async def test_many_at_once_get_what_there_is(poor: System, unique: str) -> None:
    """Given a budget of 100; when 80 ask at once for 2 each; then exactly 50 are served."""
    caller = poor.caller(unique, "customer")
    answers = await asyncio.gather(*(caller.post(ASK) for _ in range(80)))
    assert sorted(answer.status_code for answer in answers) == [200] * 50 + [429] * 30


async def test_nobody_is_counted_by_address_and_mistakes_cost_something(poor: System, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.delete("kinship:budget:address:127.0.0.1")
    caller = poor.caller(None)
    answers = [await caller.post("{ mistake }") for _ in range(101)]
    assert [answer.status_code for answer in answers] == [200] * 100 + [429]


async def test_what_is_too_dear_is_refused_whatever_is_left(system: System, unique: str) -> None:
    deep = "{ communities(first: 100) { edges { node { events(first: 100) { edges { node { id } } } } } } }"
    answer = (await system.caller(unique, "customer").post(deep)).json()
    assert answer["errors"][0]["extensions"]["code"] == "OPERATION_TOO_COSTLY"
    assert answer["extensions"]["cost"]["requested"] > 10_000
    assert "data" not in answer


def slowed(
    monkeypatch: pytest.MonkeyPatch, store: type[Database] | type[GraphClient], name: str
) -> tuple[asyncio.Event, asyncio.Event, list[str]]:
    """Let a store wait: the events say that somebody is there and let them go on, the list how it ended."""
    there, going_on, ends = asyncio.Event(), asyncio.Event(), list[str]()
    ask: Any = getattr(store, name)

    async def slow(*arguments: Any, **more: Any) -> Any:
        there.set()
        try:
            await going_on.wait()
        except asyncio.CancelledError:
            ends.append("stopped")
            raise
        ends.append("done")
        return await ask(*arguments, **more)

    monkeypatch.setattr(store, name, slow)
    return there, going_on, ends


async def test_a_crowd_is_turned_away_at_once(system: System, monkeypatch: pytest.MonkeyPatch, unique: str) -> None:
    """Given room for two and nobody may wait; when a third comes while the stores are slow; then a 503."""
    system.app.state.gate = Gate(2, most_waiting=0, patience=1)
    there, going_on, _ = slowed(monkeypatch, Database, "glance")
    caller = system.caller(unique, "customer")
    first = [asyncio.create_task(caller.post("{ viewer { customer { id } } }")) for _ in range(2)]
    await there.wait()
    await asyncio.sleep(0.05)
    refused = await caller.post("{ viewer { customer { id } } }")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["errors"][0]["extensions"]["code"] == "OVERLOADED"
    assert (await system.http.get("/healthz")).status_code == 200
    going_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]
    assert (await caller.post("{ viewer { customer { id } } }")).status_code == 200


async def leave(system: System, document: str, subject: str, there: asyncio.Event) -> list[dict[str, Any]]:
    """Ask as a client that closes its connection as soon as the stores are at it; returns what was sent to it."""
    body = json.dumps({"query": document}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await there.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {token(subject, 'customer')}".encode()),
    ]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("kinship.test", 80),
    }
    await system.app(scope, receive, send)
    return sent


async def test_a_query_is_stopped_when_its_client_has_gone(
    system: System, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    there, _, ends = slowed(monkeypatch, GraphClient, "read")
    async with asyncio.timeout(5):
        sent = await leave(system, "{ communities { edges { node { id } } } }", unique, there)
    assert ends == ["stopped"]
    assert sent[0]["status"] == 499


async def test_a_mutation_goes_on_when_its_client_has_gone(
    system: System, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    there, going_on, ends = slowed(monkeypatch, Database, "glance")
    leaving = asyncio.create_task(
        leave(system, "mutation { acceptTerms: createCalendarFeed { __typename } }", unique, there)
    )
    await there.wait()
    await asyncio.sleep(0.05)
    going_on.set()
    sent = await leaving
    assert ends[0] == "done"
    assert sent[0]["status"] == 200


async def test_a_body_that_does_not_come_is_a_408(stores: Addresses, redis_url: str, tmp_path: Path) -> None:
    settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"operation_timeout_seconds": 0.2})

    async def drip() -> AsyncGenerator[bytes, None]:
        yield b"{"
        await asyncio.sleep(5)

    async with running(settings) as system:
        async with asyncio.timeout(4):
            answer = await system.http.post("/graphql", content=drip(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 408


async def test_budgets_are_shared_by_all_instances(
    stores: Addresses, redis_url: str, tmp_path: Path, unique: str
) -> None:
    """Given two instances and a budget of 100; when each is asked 40 times for 2; then 50 are served, or nearly."""
    settings = settings_for(stores, redis_url, tmp_path).model_copy(update={"cost_per_minute": 100})
    async with running(settings) as one, running(settings) as other:
        callers = [one.caller(unique, "customer"), other.caller(unique, "customer")]
        answers = await asyncio.gather(*(callers[n % 2].post(ASK) for n in range(80)))
    served = sum(answer.status_code == 200 for answer in answers)
    assert 44 <= served <= 50
