"""Stores that are killed, paused and slow while people use the system, and the answer of a COMMIT that is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from api.relay import global_id
from graph.client import GraphClient
from tests.api.conftest import Caller, System, running, settings_for
from tests.api.faulty_lines import Fault, Line, line_to
from tests.community.places import make_community, make_event
from tests.conftest import Addresses

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PEOPLE = 6
BUDGET_SECONDS = 6.0
FAULT_SECONDS = 4.0
# Nothing waits for ever: far more than the budget, because machines of tests are slow.
PATIENCE_SECONDS = 60.0
JOIN = "mutation($id: ID!) { joinCommunity(input: {communityId: $id}) { __typename ... on Refusal { code } } }"
LEAVE = "mutation($id: ID!) { leaveCommunity(input: {communityId: $id}) { __typename ... on Refusal { code } } }"
REGISTER = "mutation($id: ID!) { registerForEvent(input: {eventId: $id}) { __typename ... on Refusal { code } } }"
LOOK = "query($id: ID!) { community(id: $id) { memberCount viewerRole } viewer { customer { id } } }"
POINTS = "{ viewer { points { available } } }"
MEMBERS = """
MATCH (c:Community {id: $id})
RETURN c.member_count AS counted, count { (c)<-[:MEMBER_OF]-() } AS there
"""
SEATS = """
MATCH (e:Event {id: $id})
RETURN e.registered AS counted, count { (e)<-[:REGISTERED_FOR]-() } AS there
"""


@dataclass
class Town:
    """People who use a system that reaches its stores by lines."""

    system: System
    lines: dict[str, Line]
    people: list[Caller]
    community: str
    event: str


def through(url: str, line: Line) -> str:
    """The address of a store by way of a line."""
    parts = urlsplit(url)
    sign_in = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return urlunsplit(parts._replace(netloc=f"{sign_in}127.0.0.1:{line.port}"))


@pytest.fixture
async def town(
    stores: Addresses, redis_url: str, tmp_path: Path, graph: GraphClient, unique: str
) -> AsyncGenerator[Town, None]:
    async with AsyncExitStack() as stack:
        lines: dict[str, Line] = {}
        urls = {"graph": stores.neo4j_uri, "redis": redis_url}
        if stores.name == "real":
            urls["sql"] = stores.database_url
        for name, url in urls.items():
            parts = urlsplit(url)
            assert parts.hostname
            assert parts.port
            lines[name] = await stack.enter_async_context(line_to(parts.hostname, parts.port))
        reached = replace(
            stores,
            neo4j_uri=through(stores.neo4j_uri, lines["graph"]),
            database_url=through(stores.database_url, lines["sql"]) if "sql" in lines else stores.database_url,
        )
        settings = settings_for(reached, through(redis_url, lines["redis"]), tmp_path)
        short = settings.model_copy(update={"operation_timeout_seconds": BUDGET_SECONDS})
        system = await stack.enter_async_context(running(short))
        people = [await system.customer(f"{unique}-{number}") for number in range(PEOPLE)]
        community = await make_community(graph)
        event = await make_event(graph, community, capacity=1_000)
        yield Town(system, lines, people, community, event)


async def use(town: Town, person: Caller, ending: asyncio.Event, told: Counter[str], last: dict[str, str]) -> None:
    """Come, look and go again and again; `last` holds what was acknowledged last, or that nobody knows."""
    place = global_id("Community", town.community)
    key = person.headers["Authorization"]
    while not ending.is_set():
        for document in (JOIN, LOOK, POINTS, LEAVE, LOOK):
            if document in (JOIN, LEAVE):
                last[key] = "unknown"
            answer = await answered(person, document, {"id": place} if "$id" in document else {})
            told[verdict(answer)] += 1
            if document in (JOIN, LEAVE) and verdict(answer) == "done":
                last[key] = "member" if document == JOIN else "gone"
            if ending.is_set():
                return


async def answered(person: Caller, document: str, variables: dict[str, Any]) -> Any:
    """The answer, which comes in time whatever the stores do."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        response = await person.post(document, variables)
    assert response.status_code in (200, 503), response.text
    return response.json()


def verdict(answer: dict[str, Any]) -> str:
    """`done`, or the code that the client is told; anything else than these fails."""
    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
    assert codes <= {"UNAVAILABLE", "OVERLOADED"}, answer
    for value in (answer.get("data") or {}).values():
        if isinstance(value, dict) and "code" in value:
            # Whoever repeats what was done, unknown to them, is told that it is so.
            assert value["code"] in ("ALREADY_MEMBER", "NOT_A_MEMBER", "NOT_FOUND", "CONFLICT"), answer
            return "done"
    return codes.pop() if codes else "done"


async def back(town: Town) -> float:
    """Seconds until everybody is served again."""
    begun = asyncio.get_running_loop().time()
    while True:
        place = {"id": global_id("Community", town.community)}
        answers = [await answered(person, LOOK, place) for person in town.people]
        if all(verdict(answer) == "done" for answer in answers):
            return asyncio.get_running_loop().time() - begun
        assert asyncio.get_running_loop().time() - begun < PATIENCE_SECONDS
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.PAUSED, Fault.SLOW])
@pytest.mark.parametrize("name", ["graph", "redis", "sql"])
async def test_people_are_answered_and_nothing_is_lost_whatever_a_store_does(
    town: Town, graph: GraphClient, name: str, fault: Fault
) -> None:
    """Given people who come and go; when a store is killed, paused or slow for a while; then every answer comes, with
    a clear code where it could not be; what was acknowledged is so; and all are served again by themselves."""
    if name not in town.lines:
        pytest.skip("SQLite is no process of its own")
    ending, told, last = asyncio.Event(), Counter[str](), dict[str, str]()
    using = [asyncio.create_task(use(town, person, ending, told, last)) for person in town.people]
    await asyncio.sleep(0.5)
    await town.lines[name].be(fault)
    await asyncio.sleep(FAULT_SECONDS)
    await town.lines[name].be(Fault.NONE)
    seconds = await back(town)
    ending.set()
    await asyncio.gather(*using)

    print(f"{name} {fault}: {dict(told)}, all served again after {seconds:.2f} s")
    assert told["done"] > 0
    if name == "redis":
        # Redis only wakes and counts: nobody notices that it is away.
        assert set(told) == {"done"}
    (row,) = await graph.read(MEMBERS, id=town.community)
    assert row["counted"] == row["there"]
    here = global_id("Community", town.community)
    for person in town.people:
        role = (await answered(person, LOOK, {"id": here}))["data"]["community"]["viewerRole"]
        state = last[person.headers["Authorization"]]
        assert state == "unknown" or (role is not None) == (state == "member")


async def test_counts_stay_exact_where_the_answer_of_a_commit_is_lost(town: Town, graph: GraphClient) -> None:
    """Given people who register while the graph's answer to each third COMMIT is lost; then each has one place."""
    line = town.lines["graph"]
    for number, person in enumerate(town.people):
        if number % 2 == 0:
            line.commits_to_lose = 1
        for _ in range(5):
            answer = await answered(person, REGISTER, {"id": global_id("Event", town.event)})
            if "errors" not in answer:
                break
            assert verdict(answer) == "UNAVAILABLE"
        assert answer["data"]["registerForEvent"].get("code") in (None, "ALREADY_REGISTERED"), answer  # pyright: ignore[reportPossiblyUnboundVariable]
    assert line.commits_lost == PEOPLE // 2
    (row,) = await graph.read(SEATS, id=town.event)
    assert (row["counted"], row["there"]) == (PEOPLE, PEOPLE)


async def test_many_at_once_are_counted_once_each_where_answers_are_lost(town: Town, graph: GraphClient) -> None:
    """Given people who register at once, each asking until told, while COMMITs lose their answers; one place each."""
    line = town.lines["graph"]
    line.commits_to_lose = 4

    async def persist(person: Caller) -> None:
        while True:
            answer = await answered(person, REGISTER, {"id": global_id("Event", town.event)})
            if verdict_of_registration(answer):
                return

    await asyncio.gather(*(persist(person) for person in town.people))
    assert line.commits_lost >= 1
    (row,) = await graph.read(SEATS, id=town.event)
    assert (row["counted"], row["there"]) == (PEOPLE, PEOPLE)


def verdict_of_registration(answer: dict[str, Any]) -> bool:
    """Whether the person has a place; an error is one that says to ask again."""
    if "errors" in answer:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNAVAILABLE"}
        return False
    assert answer["data"]["registerForEvent"].get("code") in (None, "ALREADY_REGISTERED"), answer
    return True
