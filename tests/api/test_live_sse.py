"""The same subscriptions as server-sent events."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from api.live import sse
from api.relay import global_id
from tests.api.conftest import System, token
from tests.api.live import Live, next_event, serve, sse_request
from tests.api.test_live import EVENT, make_place

pytestmark = pytest.mark.anyio


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


async def test_server_sent_events_bring_the_same(live: Live, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a stream, when somebody registers, then `next`; when the client leaves, nobody listens any more."""
    monkeypatch.setattr(sse, "BREATH_SECONDS", 0.1)
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token(lin)}"}
    body = {"query": EVENT, "variables": {"id": global_id("Event", event)}}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", trust_env=False) as http,
        http.stream("POST", "/graphql", json=body, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = answer.aiter_lines()
        assert await anext(lines) == ":"
        await live.settled(f"event:{event}", 1)
        await system.edge.ring(f"event:{event}", {})
        name, data = await next_event(lines)
        assert (name, data["data"]["eventRegistrationChanged"]["registeredCount"]) == ("next", 0)
    await live.settled(f"event:{event}", 0)


async def test_a_stream_of_events_ends_with_the_token_and_says_what_is_wrong(live: Live, unique: str) -> None:
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    query = await sse_request(live, lin, "{ viewer { subject } }")
    assert query.text.removeprefix(":\n\n") == (
        f'event: next\ndata: {{"data":{{"viewer":{{"subject":"{lin}"}}}}}}\n\nevent: complete\ndata:\n\n'
    )
    wrong = await sse_request(live, lin, EVENT, id=global_id("Event", unique))
    assert '"code":"NOT_FOUND"' in wrong.text
    assert wrong.text.endswith("event: complete\ndata:\n\n")
    headers = {"Accept": "text/event-stream", "Accept-Language": "en"}
    body = {"query": EVENT, "variables": {"id": global_id("Event", event)}}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", trust_env=False, timeout=20) as http:
        assert (await http.post("/graphql", json=body, headers=headers)).status_code == 401
        short = {**headers, "Authorization": f"Bearer {token(lin, seconds=1)}"}
        ended = await http.post("/graphql", json=body, headers=short)
    assert ended.text.split("\n\n")[-3] == (
        'event: next\ndata: {"errors":[{"message":"Please sign in.","extensions":{"code":"UNAUTHENTICATED"}}]}'
    )
    assert ended.text.endswith("event: complete\ndata:\n\n")
    await live.settled(f"event:{event}", 0)
