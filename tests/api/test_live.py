"""Subscriptions over real sockets: what arrives, for whom, until when, and that nothing is left behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api.context import MESSAGES_AT_ONCE
from api.live import websocket
from api.relay import global_id
from community.access import MemberRole
from core.clock import utc_now
from core.notices import NOTICE_OWED
from core.outbox import owe
from graph.client import GraphClient
from tests.api.conftest import System, token
from tests.api.live import Live, close_code, follow, hear, say, serve, sse_request
from tests.api.test_way_through import REGISTER, local_of
from tests.community.places import add_member, make_community, make_event

pytestmark = pytest.mark.anyio

EVENT = """
subscription($id: ID!) { eventRegistrationChanged(eventId: $id) {
  registeredCount waitingCount registration { status customer { displayName } } event { title registeredCount } } }
"""
ACTIVITY = """
subscription($id: ID!) { communityActivity(communityId: $id) {
  kind subject { __typename id } community { memberCount } } }
"""
NOTICES = "subscription { notificationReceived { kind title } }"


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


async def make_place(system: System, owner: str, visibility: str = "PUBLIC") -> tuple[str, str]:
    """A community with an event; their local ids."""
    community = await make_community(system.edge.graph, owner_id=local_of(owner), visibility=visibility)
    return community, await make_event(system.edge.graph, community)


SET_ROLE = """
MATCH (:Customer {id: $customer_id})-[m:MEMBER_OF]->(:Community {id: $community_id})
SET m.role = $role
"""


async def set_role(graph: GraphClient, community_id: str, customer_id: str, role: MemberRole) -> None:
    await graph.write(SET_ROLE, community_id=community_id, customer_id=customer_id, role=role)


async def test_a_registration_reaches_its_owner_the_manager_and_others_each_with_what_is_theirs(
    live: Live, unique: str
) -> None:
    """Given three who follow an event, when one registers, then all see the counts, and two see who it is."""
    system = live.system
    lin, wu, sun = f"lin-{unique}", f"wu-{unique}", f"sun-{unique}"
    for name in (lin, wu, sun):
        await system.customer(name)
    _, event = await make_place(system, lin)
    channel = f"event:{event}"
    async with live.client(token(lin)) as manager, live.client(token(wu)) as owner, live.client(token(sun)) as other:
        for socket in (manager, owner, other):
            await follow(socket, EVENT, id=global_id("Event", event))
        await live.settled(channel, 3)
        await system.caller(wu).ask(REGISTER, id=global_id("Event", event))
        await system.edge.ring(channel, {"customer_id": local_of(wu)})
        mine = {"status": "REGISTERED", "customer": {"displayName": wu[-20:]}}
        for socket, registration in ((manager, mine), (owner, mine), (other, None)):
            message = await hear(socket)
            change = message["payload"]["data"]["eventRegistrationChanged"]
            assert (message["id"], message["type"]) == ("1", "next")
            assert change["registeredCount"] == change["event"]["registeredCount"] == 1
            assert change["registration"] == registration
        await say(other, id="1", type="complete")
        await live.settled(channel, 2)
    await live.settled(channel, 0)


async def test_what_is_shown_is_read_anew_for_each_message(live: Live, unique: str) -> None:
    """Given one subscription, when the event is renamed between hints, then each message has its own name."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    async with live.client(token(lin)) as socket:
        await follow(socket, EVENT, id=global_id("Event", event))
        await live.settled(f"event:{event}", 1)
        titles: list[str] = []
        for title in ("Morning walk", "Evening walk"):
            rename = "MATCH (e:Event {id: $id}) SET e.title_zh = $title"
            await system.edge.graph.write(rename, id=event, title=title)
            await system.edge.ring(f"event:{event}", {"title": "never shown", "customer_id": "nobody"})
            message = await hear(socket)
            titles.append(message["payload"]["data"]["eventRegistrationChanged"]["event"]["title"])
    assert titles == ["Morning walk", "Evening walk"]


@pytest.mark.parametrize(("query", "kind"), [(EVENT, "Event"), (ACTIVITY, "Community")], ids=["event", "community"])
async def test_private_and_absent_look_alike(live: Live, unique: str, query: str, kind: str) -> None:
    """Given a private community, then an outsider, a guest and a banned customer hear what is said of no community."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, event = await make_place(system, lin, "PRIVATE")
    ids = [global_id(kind, event if kind == "Event" else community), global_id(kind, unique)]
    ends: list[dict[str, Any]] = []
    for number, role in enumerate((None, MemberRole.INVITED, MemberRole.PENDING, MemberRole.BANNED)):
        name = f"wu{number}-{unique}"
        await system.customer(name)
        if role is not None:
            await add_member(system.edge.graph, community, local_of(name), role)
        async with live.client(token(name)) as socket:
            for one in ids:
                await follow(socket, query, id=one)
                end = await hear(socket)
                assert (end.pop("id"), end["type"]) == ("1", "error")
                assert end["payload"][0]["extensions"]["code"] == "NOT_FOUND"
                ends.append(end)
    assert ends == [ends[0]] * 8
    await live.settled(f"event:{event}", 0)


async def test_activity_names_what_the_viewer_may_see_and_ends_when_they_are_banned(live: Live, unique: str) -> None:
    """Given two members who follow, when a draft is made, only the manager is told; a banned member's stream ends."""
    system, lin, wu = live.system, f"lin-{unique}", f"wu-{unique}"
    for name in (lin, wu):
        await system.customer(name)
    community, event = await make_place(system, lin, "PRIVATE")
    await add_member(system.edge.graph, community, local_of(wu), MemberRole.MEMBER)
    draft = await make_event(system.edge.graph, community, status="DRAFT")
    channel = f"community:{community}"
    async with live.client(token(lin)) as manager, live.client(token(wu)) as member:
        for socket in (manager, member):
            await follow(socket, ACTIVITY, id=global_id("Community", community))
        await live.settled(channel, 2)
        await system.edge.ring(channel, {"kind": "EVENT", "id": draft})
        await system.edge.ring(channel, {"kind": "event.published", "event_id": event})
        await system.edge.ring(channel, {"kind": "MEMBER_JOINED"})
        heard = [await hear(manager) for _ in range(3)], [await hear(member) for _ in range(2)]
        told = [[message["payload"]["data"]["communityActivity"] for message in one] for one in heard]
        members = {"memberCount": 2}
        subjects = [{"__typename": "Event", "id": global_id("Event", one)} for one in (draft, event)]
        events = [{"kind": "EVENT", "subject": subject, "community": members} for subject in subjects]
        joined = {"kind": "MEMBERS", "subject": None, "community": members}
        assert told == [[*events, joined], [events[1], joined]]
        await set_role(system.edge.graph, community, local_of(wu), MemberRole.BANNED)
        await system.edge.ring(channel, {"kind": "MEMBER_BANNED"})
        assert await hear(member) == {"id": "1", "type": "complete"}
        assert (await hear(manager))["type"] == "next"
    await live.settled(channel, 0)


async def test_notices_come_to_their_own_customer_each_once_and_none_is_lost_with_its_hint(
    live: Live, unique: str
) -> None:
    """Given two who follow, when three notices are stored and one hint is rung, then one gets three, in order."""
    system, lin, wu = live.system, f"lin-{unique}", f"wu-{unique}"
    for name in (lin, wu):
        await system.customer(name)
    async with live.client(token(lin)) as mine, live.client(token(wu)) as other:
        for socket in (mine, other):
            await follow(socket, NOTICES)
        await live.settled(f"customer:{local_of(lin)}", 1)
        for kind in ("INVITED", "MENTIONED", "NEVER_HEARD_OF"):
            payload = {"customer_id": local_of(lin), "kind": kind, "data": {}}
            async with system.edge.database.write() as session:
                await owe(session, topic=NOTICE_OWED, key=f"{kind}:{unique}", payload=payload, now=utc_now())
            await system.work()
        for _ in range(2):
            await system.edge.ring(f"customer:{local_of(lin)}", {})
        kinds = [(await hear(mine))["payload"]["data"]["notificationReceived"]["kind"] for _ in range(3)]
        assert kinds == ["INVITED", "MENTIONED", "OTHER"]
        for socket in (mine, other):
            with pytest.raises(TimeoutError):
                await hear(socket, seconds=0.5)


async def test_the_protocol_is_kept_and_breaches_have_their_codes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_SECONDS", 0.3)
    good = token("lin")
    async with live.open(None, protocol="graphql-ws") as socket:
        assert await close_code(socket) == 4406
    async with live.open(None) as socket:
        assert await close_code(socket) == 4408
    async with live.open(None) as socket:
        await follow(socket, NOTICES)
        assert await close_code(socket) == 4401
    async with live.open(None) as socket:
        await say(socket, type="connection_init")
        assert await close_code(socket) == 4401
    async with live.open("not.a.token") as socket:
        assert await close_code(socket) == 4403
    for text, code in (("[]", 4400), ("{", 4400), ('{"type": "start"}', 4400), ('{"type": "x", "a": "\\u0000"}', 4400)):
        async with live.client(good) as socket:
            await socket.send(text)
            assert await close_code(socket) == code
    async with live.client(good) as socket:
        await socket.send("x" * 300_000)
        assert await close_code(socket) == 1009
    async with live.client(good) as socket:
        await say(socket, type="connection_init")
        assert await close_code(socket) == 4429
    async with live.open(None) as socket:
        await say(socket, type="ping", payload={"before": "connection_init"})
        assert await hear(socket) == {"type": "pong"}
        assert await close_code(socket) == 4408
    async with live.client(good) as socket:
        await say(socket, type="ping")
        assert await hear(socket) == {"type": "pong"}
        # Heartbeats go one way as well.
        await say(socket, type="pong")
        await say(socket, type="subscribe", id="1", payload={"query": 1})
        assert await close_code(socket) == 4400


DEAR = """
subscription($id: ID!) { communityActivity(communityId: $id) { community {
  events(first: 100) { edges { node { registrations(first: 100) { edges { node { id } } } } } } } } }
"""


async def test_a_subscription_costs_no_more_than_an_operation_may(live: Live, unique: str) -> None:
    """Given pages of pages of the largest size, then nothing is followed by either transport, and both say why."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, _ = await make_place(system, lin)
    async with live.client(token(lin)) as socket:
        await follow(socket, DEAR, id=global_id("Community", community))
        refused = await hear(socket)
        assert (refused["id"], refused["type"]) == ("1", "error")
        assert refused["payload"][0]["extensions"] == {"code": "OPERATION_TOO_COSTLY"}
        await follow(socket, DEAR.replace("100", "9"), "2", id=global_id("Community", community))
        await live.settled(f"community:{community}", 1)
    streamed = await sse_request(live, lin, DEAR, id=global_id("Community", community))
    assert '"code":"OPERATION_TOO_COSTLY"' in streamed.text
    assert streamed.text.endswith("event: complete\ndata:\n\n")
    await live.settled(f"community:{community}", 0)


async def test_messages_are_made_in_turns_and_nobody_keeps_theirs(live: Live, unique: str) -> None:
    """Given that all turns are taken, then a message waits; afterwards it comes, and each turn is free again."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, _ = await make_place(system, lin)
    turns, channel = system.edge.turns, f"community:{community}"
    async with live.client(token(lin)) as socket:
        await follow(socket, ACTIVITY, id=global_id("Community", community))
        await live.settled(channel, 1)
        # Whoever waits for something to happen has no turn.
        for _ in range(MESSAGES_AT_ONCE):
            await asyncio.wait_for(turns.acquire(), 5)
        await system.edge.ring(channel, {"kind": "MEMBERS"})
        with pytest.raises(TimeoutError):
            await hear(socket, 0.3)
        turns.release()
        assert (await hear(socket))["type"] == "next"
        await system.edge.ring(channel, {"kind": "POST", "id": "of nothing that anybody may see"})
        await system.edge.ring(channel, {"kind": "MEMBERS"})
        assert (await hear(socket))["type"] == "next"
    await live.settled(channel, 0)
    await asyncio.wait_for(turns.acquire(), 5)
    assert turns.locked()


KINDS = "subscription($id: ID!) { communityActivity(communityId: $id) { kind } }"
COUNTS = "subscription($id: ID!) { eventRegistrationChanged(eventId: $id) { registeredCount } }"


@pytest.mark.parametrize("query", [KINDS, COUNTS], ids=["community", "event"])
async def test_rights_of_many_are_read_together_and_each_has_their_own(live: Live, unique: str, query: str) -> None:
    """Given twelve members who follow something private, of whom some are put out or banned; when something happens;
    then the others are told, those are not and their streams end, and few statements have read all their rights."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, event = await make_place(system, lin, "PRIVATE")
    members = [f"m{number}-{unique}" for number in range(12)]
    for name in members:
        await system.customer(name)
        await add_member(system.edge.graph, community, local_of(name), MemberRole.MEMBER)
    watched, kind = (community, "Community") if query == KINDS else (event, "Event")
    channel = f"{kind.lower()}:{watched}"
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(live.client(token(name))) for name in members]
        for socket in sockets:
            await follow(socket, query, id=global_id(kind, watched))
        await live.settled(channel, len(members))
        # Each has been let in once they are told the first.
        await system.edge.ring(channel, {"kind": "MEMBERS"})
        assert [(await hear(socket))["type"] for socket in sockets] == ["next"] * 12
        for name, role in zip(members[:4], [MemberRole.BANNED, MemberRole.PENDING] * 2, strict=True):
            await set_role(system.edge.graph, community, local_of(name), role)
        before = system.edge.graph.round_trips
        await system.edge.ring(channel, {"kind": "MEMBERS"})
        ends = [(await hear(socket))["type"] for socket in sockets]
        assert ends == ["complete"] * 4 + ["next"] * 8
        assert system.edge.graph.round_trips - before <= 6
    await live.settled(channel, 0)


async def test_what_fails_on_its_way_says_so(live: Live, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a subscription whose next message cannot be made, then it ends with a masked error and not as complete."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, _ = await make_place(system, lin)
    channel, failing = f"community:{community}", False

    async def is_reader(*given: Any, **named: Any) -> bool:
        if failing:
            raise RuntimeError("a secret of ours")
        return True

    monkeypatch.setattr("api.subscriptions.is_reader", is_reader)
    async with live.client(token(lin)) as socket:
        await follow(socket, ACTIVITY, id=global_id("Community", community))
        streaming = asyncio.create_task(sse_request(live, lin, ACTIVITY, id=global_id("Community", community)))
        await live.settled(channel, 2)
        failing = True
        await system.edge.ring(channel, {"kind": "MEMBERS"})
        end = await hear(socket)
        assert (end["id"], end["type"]) == ("1", "error")
        assert end["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "secret" not in str(end)
        streamed = (await streaming).text
    assert '"code":"INTERNAL_SERVER_ERROR"' in streamed
    assert "secret" not in streamed
    await live.settled(channel, 0)


async def test_queries_mutations_and_mistakes_over_the_socket(live: Live, unique: str) -> None:
    """Given one connection, then a query answers once, and a document that cannot run is an error of its id alone."""
    async with live.client(token(unique)) as socket:
        await follow(socket, "{ viewer { subject } }", "q")
        assert await hear(socket) == {"id": "q", "type": "next", "payload": {"data": {"viewer": {"subject": unique}}}}
        assert await hear(socket) == {"id": "q", "type": "complete"}
        await follow(socket, "subscription { nothing }", "w")
        wrong = await hear(socket)
        assert (wrong["id"], wrong["type"]) == ("w", "error")
        assert wrong["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await follow(socket, EVENT, "b", id="nonsense")
        wrong = await hear(socket)
        assert wrong["payload"][0]["extensions"] == {
            "code": "BAD_USER_INPUT",
            "reason": "ID_INVALID",
            "inputPath": ["eventId"],
        }
        await follow(socket, NOTICES, "n")
        assert (await hear(socket))["payload"][0]["extensions"]["reason"] == "NOT_SIGNED_UP"


async def test_the_limits_of_a_connection_and_of_a_principal(live: Live, unique: str) -> None:
    """Given as many as there may be, then one more is refused, and the ones that are open go on."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    async with live.client(token(lin)) as socket:
        for number in range(websocket.MOST_OPERATIONS):
            await follow(socket, EVENT, str(number), id=global_id("Event", event))
        await live.settled(f"event:{event}", websocket.MOST_OPERATIONS)
        await follow(socket, EVENT, "more", id=global_id("Event", event))
        refused = await hear(socket)
        assert (refused["id"], refused["type"]) == ("more", "error")
        assert refused["payload"][0]["extensions"] == {"code": "TOO_MANY_SUBSCRIPTIONS"}
        await follow(socket, EVENT, "0", id=global_id("Event", event))
        assert await close_code(socket) == 4409
    await live.settled(f"event:{event}", 0)
    others: list[Any] = []
    try:
        for _ in range(system.app.state.seats.limit):
            others.append(opened := live.client(token(lin)))
            await opened.__aenter__()
        async with live.open(token(lin)) as socket:
            assert await close_code(socket) == 1013
        streamed = await sse_request(live, lin, NOTICES)
        assert streamed.status_code == 429
        async with live.client(token(f"wu-{unique}")):
            pass
    finally:
        for opened in others:
            await opened.__aexit__(None, None, None)


async def test_a_connection_ends_with_its_token(live: Live, unique: str) -> None:
    """Given a token of two seconds, then the connection closes with 4403, and the subscription is gone."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    async with live.client(token(lin, seconds=2)) as socket:
        await follow(socket, EVENT, id=global_id("Event", event))
        await live.settled(f"event:{event}", 1)
        assert await close_code(socket) == 4403
        assert socket.close_reason == "The token has expired"
    await live.settled(f"event:{event}", 0)


async def test_a_client_that_is_gone_leaves_nothing_behind(live: Live, unique: str) -> None:
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    async with live.client(token(lin)) as socket:
        await follow(socket, EVENT, id=global_id("Event", event))
        await live.settled(f"event:{event}", 1)
        socket.transport.abort()
        await live.settled(f"event:{event}", 0)


async def test_a_subscription_outlives_its_connection_to_redis(live: Live, unique: str) -> None:
    """Given a follower, when Redis cuts our connection, then they are told to look again, and then of what is rung."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    _, event = await make_place(system, lin)
    async with live.client(token(lin)) as socket:
        await follow(socket, EVENT, id=global_id("Event", event))
        await live.settled(f"event:{event}", 1)
        assert await system.app.state.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        assert (await hear(socket))["type"] == "next"
        await system.edge.ring(f"event:{event}", {})
        assert (await hear(socket))["type"] == "next"


async def test_a_subscription_needs_a_transport_that_streams(system: System, unique: str) -> None:
    answer = await system.caller(unique).post(NOTICES)
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_what_a_message_costs(live: Live, unique: str) -> None:
    """Given followers, then a message takes this many round trips to the graph and statements to SQL, for each."""
    system, lin = live.system, f"lin-{unique}"
    await system.customer(lin)
    community, event = await make_place(system, lin)
    graph, database = system.edge.graph, system.edge.database
    costs: dict[str, list[tuple[int, int]]] = {}
    told = {"kind": "EVENT", "id": event}
    cases = (
        ("event", EVENT, f"event:{event}", {"id": global_id("Event", event)}, {}),
        ("activity", ACTIVITY, f"community:{community}", {"id": global_id("Community", community)}, told),
    )
    for name, query, channel, variables, hint in cases:
        async with live.client(token(lin)) as socket:
            await follow(socket, query, **variables)
            await live.settled(channel, 1)
            for _ in range(2):
                before = graph.round_trips, database.statements
                await system.edge.ring(channel, hint)
                await hear(socket)
                costs.setdefault(name, []).append((graph.round_trips - before[0], database.statements - before[1]))
        # What the one before still reads while it ends would be counted for the next.
        await live.settled(channel, 0)
    assert costs == {"event": [(2, 0)] * 2, "activity": [(3, 0)] * 2}
