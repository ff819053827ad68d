"""Visibility of what communities hold: every way to posts, events, registrations and notices, against a plain model."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from api.relay import global_id
from community.access import MemberRole
from community.content import delete_content
from community.event_series import create_event_series
from community.posts import pin_post
from community.reports import ReportReason, create_report, reportable
from community.search_documents import index_nodes
from core.clock import utc_now
from core.ids import new_id
from core.notices import NoticeKind
from service.notifications import notify
from tests.api.conftest import Caller, System, token
from tests.api.live import Live, follow, hear, serve
from tests.api.test_calendar import create, events_in, read
from tests.api.test_way_through import local_of
from tests.community.happenings import put_registrations, recur
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.writings import write_comment, write_post

pytestmark = pytest.mark.anyio

VIEWERS = 3
MANAGING = {"OWNER", "MANAGER"}
MODERATING = MANAGING | {"MODERATOR"}
INSIDE = MODERATING | {"EXPERT", "MEMBER"}


@dataclass(frozen=True)
class Tie:
    """What somebody is to a community: their role, whether its event names them as a host, whether they have a seat."""

    role: MemberRole | None = None
    hosts: bool = False
    holds: bool = False


@dataclass(frozen=True)
class Place:
    visibility: str
    archived: bool
    public_series: bool
    ties: tuple[Tie, ...]


ties = st.builds(Tie, st.sampled_from([None, *MemberRole]), hosts=st.booleans(), holds=st.booleans())
places = st.builds(
    Place,
    visibility=st.sampled_from(["PUBLIC", "UNLISTED", "PRIVATE", "PRIVATE"]),
    archived=st.sampled_from([False, False, False, True]),
    public_series=st.booleans(),
    ties=st.tuples(*[ties] * VIEWERS),
)


def model(place: Place, tie: Tie, *, signed_up: bool = True) -> set[str]:
    """What somebody sees by which way, in plain words that know nothing of how it is kept.

    In each community are an event, a draft, a cancelled event, and a series with one occurrence, public or a draft
    too; a pinned post with a comment, which is reported, and a deleted post; the registrations of two other people,
    of whom one waits.
    """
    inside, private = tie.role in INSIDE, place.visibility == "PRIVATE"
    manages, reads = tie.role in MANAGING, inside or not private
    happens = {"event", "occurrence"} if place.public_series else {"event"}
    events = happens | {"cancelled"} | ({"draft", "occurrence"} if manages else set[str]())
    series = {"series"} if place.public_series or manages else set[str]()
    ways: dict[str, set[str]] = {"posts": set(), "node": set()}
    if not private:
        ways["file"] = happens | {"cancelled"}
    if reads:
        ways["node"] = events | series | {"post", "deleted", "comment"}
        ways["posts"], ways["pinned"], ways["comments"] = {"post", "deleted"}, {"post"}, {"comment"}
        ways["follow"] = events & {"event", "draft"} | ({"community"} if tie.role != "BANNED" else set[str]())
        ways["notice"] = {"comment"} | events & {"event", "draft"}
    if not private or inside or tie.role == "INVITED":
        ways["notice"] = ways.get("notice", set[str]()) | {"community"}
    if not place.archived and (inside or place.visibility == "PUBLIC"):
        ways["search"], ways["events"] = happens | {"community", "post"}, happens
    if inside:
        ways["feed"] = happens | {"cancelled", "post"}
    if tie.role in MODERATING:
        ways["queue"] = {"post"}
    if manages or (inside and tie.hosts):
        ways["registrations"], ways["waitlist"] = {"seated", "waiting"}, {"waiting"}
        ways["node"] |= {"seated", "waiting"}
    if tie.holds:
        ways["node"] |= {"own"}
        ways["calendar"] = {"event", "cancelled"} if reads else set[str]()
        if "registrations" in ways:
            ways["registrations"] |= {"own"}
    if not signed_up:
        ways["notice"] = set()
    return {f"{way}: {thing}" for way, things in ways.items() for thing in things}


DRESS = """
UNWIND $rows AS row
MATCH (c:Community {id: row.community})
SET c.name_zh = row.title, c.name_en = row.title
WITH row
UNWIND row.events AS event
MATCH (e:Event {id: event.id})
SET e.title_zh = event.title, e.title_en = event.title
"""
ARCHIVE = "UNWIND $ids AS id MATCH (c:Community {id: id}) SET c.archived_at = '2026-01-01'"
HOST = "MATCH (h:Customer {id: $customer}), (e:Event {id: $event}) CREATE (h)-[:HOSTS_EVENT]->(e)"
OCCURRENCE = "MATCH (e:Event {series_id: $id}) RETURN e.id AS id"

Ids = Mapping[str, str]
"""Local ids of what is in one community by the names of the model; a registration's is `event:customer`."""

KINDS = {
    **dict.fromkeys(("event", "draft", "cancelled", "occurrence"), "Event"),
    **dict.fromkeys(("post", "deleted"), "Post"),
    **dict.fromkeys(("seated", "waiting"), "Registration"),
    **{"community": "Community", "series": "EventSeries", "comment": "Comment"},
}


async def build(system: System, place: Place, viewers: list[str], word: str, number: int) -> Ids:
    """One community of the model with all that is in it."""
    graph, now = system.edge.graph, utc_now()
    owner, member, seated, waiting = await make_customers(graph, 4)
    community = await make_community(graph, owner_id=owner, visibility=place.visibility)
    await add_member(graph, community, member, MemberRole.MEMBER)
    for viewer, tie in zip(viewers, place.ties, strict=True):
        if tie.role is not None:
            await add_member(graph, community, viewer, tie.role)
    names = {"event": "PUBLISHED", "draft": "DRAFT", "cancelled": "CANCELLED"}
    ids = {name: await make_event(graph, community, status=status) for name, status in names.items()}
    start = datetime.fromisoformat("2026-01-01T19:00").replace(year=now.year + 1)
    series = recur("FREQ=DAILY;COUNT=1", start, now=now)
    ids["series"] = await create_event_series(
        graph, series, community_id=community, manager_id=owner, publish=place.public_series, now=now
    )
    ids["occurrence"] = (await graph.read(OCCURRENCE, id=ids["series"]))[0]["id"]
    titles = [{"id": ids[name], "title": f"{word} {name} {number}"} for name in (*names, "occurrence")]
    await graph.write(DRESS, rows=[{"community": community, "title": f"{word} club {number}", "events": titles}])
    await write(system, community, owner, member, word, ids)
    holders = [viewer for viewer, tie in zip(viewers, place.ties, strict=True) if tie.holds]
    await put_registrations(graph, ids["event"], [seated, *holders])
    await put_registrations(graph, ids["event"], [waiting], status="WAITING")
    await put_registrations(graph, ids["cancelled"], holders)
    for viewer, tie in zip(viewers, place.ties, strict=True):
        if tie.hosts:
            await graph.write(HOST, customer=viewer, event=ids["event"])
    ids |= {"seated": f"{ids['event']}:{seated}", "waiting": f"{ids['event']}:{waiting}"}
    return {**ids, "community": community}


async def write(system: System, community: str, owner: str, member: str, word: str, ids: dict[str, str]) -> None:
    """The posts of the model, with the comment and the report."""
    graph, now = system.edge.graph, utc_now()
    ids["post"] = await write_post(graph, community, owner, text=word, now=now - timedelta(minutes=2))
    ids["deleted"] = await write_post(graph, community, owner, text=f"{word} secret", now=now - timedelta(minutes=1))
    ids["comment"] = await write_comment(graph, ids["post"], owner, text=word)
    await pin_post(graph, ids["post"], pinned=True, moderator_id=owner, now=now)
    await delete_content(graph, "Post", ids["deleted"], actor_id=owner, reason=None, now=now, path="postId")
    place = await reportable(graph, "Post", ids["post"], reporter_id=member)
    async with system.edge.database.write() as session:
        await create_report(session, place, "Post", reporter_id=member, reason=ReportReason.SPAM, text="", now=now)


async def finish(system: System, world: list[Place], found: list[Ids], viewers: list[str]) -> None:
    """Close what is archived, index everything, and tell each viewer of each community."""
    graph, now = system.edge.graph, utc_now()
    archived = [ids["community"] for place, ids in zip(world, found, strict=True) if place.archived]
    await graph.write(ARCHIVE, ids=archived)
    async with system.edge.database.write() as session:
        for label in ("Community", "Event", "Post"):
            named = [ids[name] for ids in found for name, kind in KINDS.items() if kind == label]
            await index_nodes(graph, session, label, named, now=now)
        for ids in found:
            for name in ("event", "draft", "comment", "community"):
                data = {"community_id": ids["community"], f"{KINDS[name].lower()}_id": ids[name]}
                for viewer in viewers:
                    payload = {"customer_id": viewer, "kind": NoticeKind.EVENT_REMINDER, "data": data}
                    await notify(session, f"{name}:{ids['community']}:{viewer}", payload, now=now)


INSIDE_ONE = """
query($community: ID!, $event: ID!) {
  community(id: $community) {
    posts(first: 50) { edges { node { id text } } pageInfo { endCursor } }
    pinnedPosts { id }
  }
  event(id: $event) {
    registrations(first: 50) { edges { node { id } } }
    waitlist(first: 50) { edges { node { id } } }
  }
  events(communityId: $community, first: 50) { edges { node { id } } }
}
"""
NODE = """
query($id: ID!) {
  node(id: $id) {
    id
    ... on Post { text comments(first: 50) { edges { node { id } } } }
    ... on EventSeries { occurrences(first: 50) { edges { node { id } } } }
  }
}
"""
QUEUE = "query($id: ID!) { moderationQueue(communityId: $id, first: 50) { edges { node { targetId target { id } } } } }"
AROUND = """
query($word: String!) {
  search(text: $word, first: 100) { edges { node { id } } }
  viewer {
    feed(first: 100) { edges { node { ... on Post { id } ... on Event { id } } } }
    notifications(first: 100) { edges { node { title body subject { id } } } }
  }
}
"""


def ids_of(connection: dict[str, Any] | None) -> set[str]:
    return {edge["node"]["id"] for edge in connection["edges"]} if connection else set()


async def look_inside(caller: Caller, ids: Ids, named: Mapping[str, str]) -> set[str]:
    """What one community shows; `named` gives the model's names of global ids."""
    one = await caller.ask(INSIDE_ONE, community=named["community"], event=named["event"])
    community, event = one["community"] or {}, one["event"] or {}
    seen: dict[str, set[str]] = {
        "posts": ids_of(community.get("posts")),
        "pinned": {post["id"] for post in community.get("pinnedPosts", [])},
        "registrations": ids_of(event.get("registrations")),
        "waitlist": ids_of(event.get("waitlist")),
        "events": ids_of(one["events"]),
        "node": set(),
    }
    for edge in community.get("posts", {}).get("edges", []):
        assert (edge["node"]["text"] is None) == (edge["node"]["id"] == named["deleted"])
    if community and not seen["posts"]:
        assert community["posts"]["pageInfo"]["endCursor"] is None
    for name, key in named.items():
        node = (await caller.ask(NODE, id=key))["node"] if name != "community" else None
        seen["node"] |= {node["id"]} if node else set()
        if name == "post" and node:
            seen["comments"] = ids_of(node["comments"])
        if name == "series" and node:
            assert ids_of(node["occurrences"]) == {named["occurrence"]}
    answer = (await caller.post(QUEUE, {"id": named["community"]})).json()
    if "errors" in answer:
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    else:
        cases = [edge["node"] for edge in answer["data"]["moderationQueue"]["edges"]]
        assert all(case["target"] == {"id": case["targetId"]} for case in cases)
        seen["queue"] = {case["targetId"] for case in cases}
    files = ("event", "draft", "cancelled", "occurrence")
    answers = {name: (await caller.http.get(f"/events/{named[name]}.ics")).status_code for name in files}
    assert set(answers.values()) <= {200, 404}
    seen["file"] = {named[name] for name, status in answers.items() if status == 200}
    names = {key: name for name, key in named.items()}
    # Other viewers' registrations stand in the lists too.
    return {f"{way}: {names[key]}" for way, keys in seen.items() for key in keys if key in names}


async def look_around(system: System, caller: Caller, word: str, *, signed_up: bool) -> dict[str, set[str]]:
    """Global ids by the ways that show of many communities at once; the calendar shows titles."""
    found = await caller.ask(AROUND, word=word)
    notices = [edge["node"] for edge in found["viewer"]["notifications"]["edges"]]
    calendar = events_in(await read(system, await create(caller))) if signed_up else {}
    for notice in notices:
        # Words name only what is seen too; of what is out of sight there is no name.
        assert notice["subject"] or word not in notice["title"] + notice["body"].replace(f"{word} club", "")
    return {
        "search": ids_of(found["search"]),
        "feed": ids_of(found["viewer"]["feed"]),
        "notice": {notice["subject"]["id"] for notice in notices if notice["subject"]},
        "calendar": set(calendar),
    }


EVENT = "subscription($id: ID!) { eventRegistrationChanged(eventId: $id) { registeredCount } }"
COMMUNITY = "subscription($id: ID!) { communityActivity(communityId: $id) { kind } }"


async def follows(live: Live, subject: str, found: list[Ids]) -> set[tuple[int, str]]:
    """Which communities and events somebody may follow: those of which a message comes and no error."""
    names = [(number, name) for number in range(len(found)) for name in ("event", "draft", "community")]
    ends: dict[str, str] = {}
    async with live.client(token(subject)) as socket:
        for number, name in names:
            query = COMMUNITY if name == "community" else EVENT
            await follow(socket, query, f"{number} {name}", id=global_id(KINDS[name], found[number][name]))
        while len(ends) < len(names):
            for number, name in names:
                hint = {"kind": "MEMBER_JOINED"}
                await live.system.edge.ring(f"{KINDS[name].lower()}:{found[number][name]}", hint)
            try:
                while len(ends) < len(names):
                    message = await hear(socket, 0.2)
                    ends.setdefault(message["id"], message["type"])
            except TimeoutError:
                await asyncio.sleep(0)
    assert set(ends.values()) <= {"next", "error"}
    return {(number, name) for number, name in names if ends[f"{number} {name}"] == "next"}


async def sights(live: Live, subject: str, found: list[Ids], word: str, *, signed_up: bool) -> list[set[str]]:
    """What somebody sees of each community, in the words of the model."""
    system = live.system
    caller = system.caller(subject, "customer")
    around = await look_around(system, caller, word, signed_up=signed_up)
    following = await follows(live, subject, found)
    seen: list[set[str]] = []
    for number, ids in enumerate(found):
        named = {name: global_id(kind, ids[name]) for name, kind in KINDS.items()}
        named["own"] = global_id("Registration", f"{ids['event']}:{local_of(subject)}")
        mine = await look_inside(caller, ids, named)
        names = {key: name for name, key in named.items()} | {f"{word} {name} {number}": name for name in KINDS}
        mine |= {f"{way}: {names[key]}" for way, keys in around.items() for key in keys if key in names}
        seen.append(mine | {f"follow: {name}" for place, name in following if place == number})
    return seen


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


@pytest.mark.timeout(600)
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=st.lists(places, min_size=1, max_size=3))
async def test_every_way_shows_what_the_model_says(live: Live, world: list[Place]) -> None:
    """Given communities of any kind and viewers of any role; then each sees by every way what the model says."""
    system = live.system
    example = new_id()
    word, names = "w" + example.replace("-", ""), [f"v{number}-{example}" for number in range(VIEWERS)]
    for name in names:
        await system.customer(name)
    viewers = [local_of(name) for name in names]
    found = [await build(system, place, viewers, word, number) for number, place in enumerate(world)]
    await finish(system, world, found, viewers)
    for number, name in enumerate(names):
        expected = [model(place, place.ties[number]) for place in world]
        assert await sights(live, name, found, word, signed_up=True) == expected, (number, world)
    expected = [model(place, Tie(), signed_up=False) for place in world]
    assert await sights(live, f"new-{example}", found, word, signed_up=False) == expected, world
