"""Going on with a subscription after its connection broke: with what was missed, once, in order, on any instance."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.context import Context
from api.live.streams import answers
from api.relay import global_id, split_id
from api.server import Operation
from community.access import MemberRole
from core.clock import utc_now
from core.history import KEPT_PREFIX, cursor_of
from core.ids import derived_id, new_id
from core.notices import NOTICE_OWED
from core.outbox import owe
from core.paging import encode_cursor
from core.tasks import TaskKind, task, task_key
from service.notifications import notify
from service.tasks import open_tasks, task_id_of
from tests.api.conftest import System, running, settings_for, token
from tests.api.live import Live, follow, hear, next_event, serve
from tests.api.test_alerts import looked_after
from tests.api.test_complaints import filed
from tests.api.test_live import make_place, set_role
from tests.api.test_way_through import REGISTER, local_of
from tests.community.places import add_member, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

EVENT = """
subscription($id: ID!, $after: String) { eventRegistrationChanged(eventId: $id, after: $after) { registeredCount } }
"""
ACTIVITY = """
subscription($id: ID!, $after: String) { communityActivity(communityId: $id, after: $after) { subject { id } } }
"""
NOTICES = "subscription($after: String) { notificationReceived(after: $after) { id kind } }"
TASKS = "subscription($after: String) { taskChanged(after: $after) { task { id } } }"
COMPLAINT = "subscription($id: ID!, $after: String) { complaintChanged(complaintId: $id, after: $after) { status } }"


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


@pytest.fixture
async def instances(stores: Addresses, redis_url: str, tmp_path: Path) -> AsyncGenerator[tuple[Live, Live], None]:
    """Two processes' applications over the same stores."""
    settings = settings_for(stores, redis_url, tmp_path)
    async with running(settings) as one, running(settings) as two, serve(one) as first, serve(two) as second:
        yield first, second


def parts(message: dict[str, Any]) -> tuple[Any, str]:
    """What a message says, and its cursor."""
    assert message["type"] == "next", message
    ((_, data),) = message["payload"]["data"].items()
    return data, message["payload"]["extensions"]["cursor"]


async def notice(system: System, customer: str, key: str) -> None:
    payload = {"customer_id": local_of(customer), "kind": "INVITED", "data": {}}
    async with system.edge.database.write() as session:
        await owe(session, topic=NOTICE_OWED, key=key, payload=payload, now=utc_now())
    await system.work()
    await system.edge.ring(f"customer:{local_of(customer)}", {})


async def test_activity_goes_on_elsewhere_with_what_was_missed_as_far_as_it_may_be_seen(
    instances: tuple[Live, Live], unique: str
) -> None:
    """Given a member who was cut off, when they come back elsewhere, they get what came after their cursor, but for a
    draft; and once they are banned, nothing at all."""
    first, second = instances
    system, lin, wu = first.system, f"lin-{unique}", f"wu-{unique}"
    for name in (lin, wu):
        await system.customer(name)
    community, event = await make_place(system, lin, "PRIVATE")
    await add_member(system.edge.graph, community, local_of(wu), MemberRole.MEMBER)
    draft = await make_event(system.edge.graph, community, status="DRAFT")
    others = [await make_event(system.edge.graph, community) for _ in range(3)]
    id, channel = global_id("Community", community), f"community:{community}"
    async with first.client(token(wu)) as socket:
        await follow(socket, ACTIVITY, id=id)
        await first.settled(channel, 1)
        await system.edge.ring(channel, {"kind": "EVENT", "id": event})
        said, cursor = parts(await hear(socket))
        assert said == {"subject": {"id": global_id("Event", event)}}
    for one in (*others, draft):
        await system.edge.ring(channel, {"kind": "EVENT", "id": one})
    async with second.client(token(wu)) as socket:
        await follow(socket, ACTIVITY, id=id, after=cursor)
        heard = [parts(await hear(socket)) for _ in others]
        assert [said["subject"]["id"] for said, _ in heard] == [global_id("Event", one) for one in others]
        await second.system.edge.ring(channel, {"kind": "EVENT", "id": event})
        assert parts(await hear(socket))[0]["subject"]["id"] == global_id("Event", event)
    await set_role(system.edge.graph, community, local_of(wu), MemberRole.BANNED)
    async with second.client(token(wu)) as socket:
        await follow(socket, ACTIVITY, id=id, after=cursor)
        refused = await hear(socket)
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")


async def pulled(system: System, subject: str, query: str, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The answers of an operation, each made when it is asked for."""
    principal = await system.app.state.verifier.verify(token(subject))
    context = Context(system.edge, principal, "en", utc_now(), new_id())
    operation = Operation(query, variables, None)
    await system.app.state.admission.admit(operation, context, "")
    async for answer, _ in answers(system.app.state.schema, operation, context):
        yield answer


async def test_rights_that_are_lost_half_way_through_what_was_missed_end_it(system: System, unique: str) -> None:
    """Given two that were missed, when a member is banned after the first of them, then the other never comes."""
    lin, wu = f"lin-{unique}", f"wu-{unique}"
    for name in (lin, wu):
        await system.customer(name)
    community, event = await make_place(system, lin, "PRIVATE")
    await add_member(system.edge.graph, community, local_of(wu), MemberRole.MEMBER)
    await ring_marks(system, channel := f"community:{community}", 1)
    cursor = await newest_cursor(system, channel)
    await system.edge.ring(channel, {"kind": "MEMBERS"})
    await system.edge.ring(channel, {"kind": "EVENT", "id": event})
    found = pulled(system, wu, ACTIVITY, id=global_id("Community", community), after=cursor)
    assert (await anext(found))["data"] == {"communityActivity": {"subject": None}}
    await set_role(system.edge.graph, community, local_of(wu), MemberRole.BANNED)
    assert [answer async for answer in found] == []


async def ring_marks(system: System, channel: str, count: int) -> None:
    for number in range(count):
        await system.edge.ring(channel, {"mark": number})


async def newest_cursor(system: System, channel: str) -> str | None:
    """The cursor that whoever has everything of a channel holds."""
    ((id, _),) = await system.app.state.redis.xrevrange(KEPT_PREFIX + channel, count=1)
    return cursor_of(channel, id.decode())


async def test_a_manager_gets_each_registration_that_was_missed_and_others_the_counts(
    instances: tuple[Live, Live], unique: str
) -> None:
    """Given hints of two customers, one of them twice, then the manager gets two messages and a stranger one."""
    first, second = instances
    system, lin, wu, sun = first.system, f"lin-{unique}", f"wu-{unique}", f"sun-{unique}"
    for name in (lin, wu, sun):
        await system.customer(name)
    _, event = await make_place(system, lin)
    id, channel = global_id("Event", event), f"event:{event}"
    await ring_marks(system, channel, 1)
    cursor = await newest_cursor(system, channel)
    for name in (wu, lin, wu):
        if name == wu:
            await system.caller(wu).ask(REGISTER, id=id)
        await system.edge.ring(channel, {"customer_id": local_of(name)})
    await system.edge.ring(channel, {"event_id": event})
    newest = await newest_cursor(system, channel)
    query = EVENT.replace("registeredCount", "registeredCount registration { customer { displayName } }")
    for name, expected in ((lin, [None, wu[-20:]]), (sun, [None])):
        async with second.client(token(name)) as socket:
            await follow(socket, query, id=id, after=cursor)
            heard = [parts(await hear(socket)) for _ in expected]
            names = [one["registration"] and one["registration"]["customer"]["displayName"] for one, _ in heard]
            assert names == expected
            assert heard[-1][1] == newest
            with pytest.raises(TimeoutError):
                await hear(socket, 0.3)


async def test_notices_go_on_after_the_one_that_came_last_even_where_one_was_committed_late(
    instances: tuple[Live, Live], unique: str
) -> None:
    """Given three missed, one of them stamped before the last that came, then the three come, and each once."""
    first, second = instances
    system, lin = first.system, f"lin-{unique}"
    await system.customer(lin)
    async with first.client(token(lin)) as socket:
        await follow(socket, NOTICES)
        await first.settled(f"customer:{local_of(lin)}", 1)
        await notice(system, lin, f"1:{unique}")
        await notice(system, lin, f"2:{unique}")
        came = [parts(await hear(socket)) for _ in range(2)]
    late = {"customer_id": local_of(lin), "kind": "MENTIONED", "data": {}}
    async with system.edge.database.write() as session:
        assert await notify(session, f"late:{unique}", late, now=utc_now() - timedelta(seconds=30))
    await notice(system, lin, f"3:{unique}")
    await notice(system, lin, f"4:{unique}")
    for after, count in ((came[1][1], 3), (came[0][1], 4)):
        async with second.client(token(lin)) as socket:
            await follow(socket, NOTICES, after=after)
            heard = [parts(await hear(socket)) for _ in range(count)]
            assert heard[0][0]["kind"] == "MENTIONED"
            ids = [said["id"] for said, _ in heard]
            assert len({*ids, came[0][0]["id"]}) == count + 1
            with pytest.raises(TimeoutError):
                await hear(socket, 0.3)
    async with first.client(token(lin)) as socket:
        await follow(socket, NOTICES, after=heard[-2][1])
        assert parts(await hear(socket))[0] == heard[-1][0]


async def test_tasks_and_complaints_go_on(instances: tuple[Live, Live], unique: str) -> None:
    """Given a manager's tasks and a customer's complaint that changed unseen, then each comes as it is by now, once."""
    first, second = instances
    system, lin, manager = first.system, await first.system.customer(f"lin-{unique}"), f"rm-{unique}"
    await ring_marks(system, f"tasks:{manager}", 1)
    cursor = await newest_cursor(system, f"tasks:{manager}")
    subjects = [new_id(), new_id()]
    (customer,) = await looked_after(system, manager)
    for one in (*subjects, subjects[0]):
        payload = task(TaskKind.PLAN_STEP, customer_id=customer, subject=one, due_at=utc_now() + timedelta(days=1))
        async with system.edge.database.write() as session:
            await open_tasks(session, [payload], {task_id_of(payload): manager}, now=utc_now())
        await system.edge.ring(f"tasks:{manager}", {"task_id": task_id_of(payload)})
    async with second.client(token(manager, "relationship_manager")) as socket:
        await follow(socket, TASKS, after=cursor)
        heard = [parts(await hear(socket))[0]["task"]["id"] for _ in subjects]
        ids = [derived_id("task", task_key(TaskKind.PLAN_STEP, one)) for one in reversed(subjects)]
        assert heard == [global_id("Task", one) for one in ids]
    id = (await filed(system, lin))["id"]
    _, local = split_id(id)
    await ring_marks(system, f"complaint:{local}", 1)
    cursor = await newest_cursor(system, f"complaint:{local}")
    await ring_marks(system, f"complaint:{local}", 3)
    async with second.client(token(f"lin-{unique}", "customer")) as socket:
        await follow(socket, COMPLAINT, id=id, after=cursor)
        said, newest = parts(await hear(socket))
        assert (said, newest) == ({"status": "OPEN"}, await newest_cursor(system, f"complaint:{local}"))
        with pytest.raises(TimeoutError):
            await hear(socket, 0.3)


async def test_cursors_that_are_not_theirs_or_too_old_are_refused_by_their_codes(live: Live, unique: str) -> None:
    """Given a cursor of something else, of nothing that is known and of long ago, then each operation ends with why."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    mine = f"customer:{local_of(lin)}"
    community, _ = await make_place(system, lin)
    id, channel = global_id("Community", community), f"community:{community}"
    old = [encode_cursor((mine, (utc_now() - timedelta(days=days)).isoformat(), "")) for days in (6, 8)]
    someone = encode_cursor((f"customer:{new_id()}", utc_now().isoformat(), ""))
    invalid, expired = ("BAD_USER_INPUT", "CURSOR_INVALID"), ("CURSOR_EXPIRED", "CURSOR_EXPIRED")
    cases = (
        (ACTIVITY, {"id": id, "after": "nonsense"}, invalid),
        (ACTIVITY, {"id": id, "after": ""}, invalid),
        (ACTIVITY, {"id": id, "after": cursor_of(f"event:{community}", "1-0")}, invalid),
        (ACTIVITY, {"id": id, "after": cursor_of(channel, "1-0")}, expired),
        (NOTICES, {"after": someone}, invalid),
        (NOTICES, {"after": encode_cursor((mine, utc_now().isoformat(), "abc"))}, invalid),
        (NOTICES, {"after": encode_cursor((mine, "yesterday", ""))}, invalid),
        (NOTICES, {"after": old[1]}, expired),
    )
    async with live.client(token(lin)) as socket:
        for number, (query, variables, (code, reason)) in enumerate(cases):
            await follow(socket, query, str(number), **variables)
            refused = await hear(socket)
            assert (refused["id"], refused["type"]) == (str(number), "error")
            extensions = refused["payload"][0]["extensions"]
            assert extensions == {"code": code, "reason": reason, "inputPath": ["after"]}, number
        await follow(socket, NOTICES, after=old[0])
        with pytest.raises(TimeoutError):
            await hear(socket, 0.3)


async def test_a_browsers_event_source_goes_on_by_the_id_of_the_last_event(
    instances: tuple[Live, Live], unique: str
) -> None:
    """Given a stream whose events have ids, when it is opened again with the header, then what was missed comes."""
    first, second = instances
    system, lin = first.system, f"lin-{unique}"
    await system.customer(lin)
    community, event = await make_place(system, lin)
    channel = f"community:{community}"
    await ring_marks(system, channel, 1)
    begin = await newest_cursor(system, channel)
    await system.edge.ring(channel, {"kind": "EVENT", "id": event})
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token(lin)}"}
    body = {"query": ACTIVITY, "variables": {"id": global_id("Community", community), "after": begin}}
    heard: list[tuple[str, Any]] = []
    last: dict[str, str] = {}
    for live in (first, second):
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", trust_env=False) as http,
            http.stream("POST", "/graphql", json=body, headers=headers | last) as answer,
        ):
            lines = answer.aiter_lines()
            kept: list[str] = []

            async def noted(lines: Any = lines, kept: list[str] = kept) -> AsyncGenerator[str, None]:
                async for line in lines:
                    kept.append(line)
                    yield line

            heard.append(await next_event(noted()))
        last = {"Last-Event-ID": next(line.removeprefix("id: ") for line in kept if line.startswith("id: "))}
        assert last["Last-Event-ID"] == heard[-1][1]["extensions"]["cursor"] == await newest_cursor(system, channel)
        await system.edge.ring(channel, {"kind": "MEMBERS"})
    assert [one["data"]["communityActivity"]["subject"] for _, one in heard] == [
        {"id": global_id("Event", event)},
        None,
    ]
