"""Calendars: what they show to whom, that they stay the same until something changes, and that addresses are secret."""

import logging
import re
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import icalendar
import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import parse_instant
from service.calendar_feeds import CalendarFeed, hash_of
from tests.api.conftest import Caller, System
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community, make_event
from tests.worker.test_reminders import register

pytestmark = pytest.mark.anyio

CREATE = """
mutation { createCalendarFeed { __typename ... on CreateCalendarFeedSuccess { url feed { createdAt } }
  ... on Refusal { code } } }
"""
REVOKE = "mutation { revokeCalendarFeed { __typename ... on Refusal { code } } }"
STATE = "{ viewer { calendarFeed { createdAt } } }"
CHANGE = "MATCH (e:Event {id: $id}) SET e += $properties"
SET_VISIBILITY = "MATCH (c:Community {id: $id}) SET c.visibility = $visibility"


async def create(caller: Caller) -> str:
    """The path of a new feed."""
    url: str = (await caller.ask(CREATE))["createCalendarFeed"]["url"]
    return re.sub(r"^https?://[^/]+", "", url)


async def read(system: System, path: str, **headers: str) -> httpx.Response:
    return await system.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def events_in(answer: httpx.Response) -> dict[str, Any]:
    """The events of a calendar by their summaries, as a calendar application reads them."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    parsed = icalendar.Calendar.from_ical(answer.content)
    return {str(one["SUMMARY"]): one for one in parsed.walk("VEVENT")}


async def make_kind(system: System, community: str, title: str, person: str, role: str, /, **properties: Any) -> str:
    event = await make_event(system.edge.graph, community)
    await system.edge.graph.write(CHANGE, id=event, properties={"title_en": title, **properties})
    await register(system.edge.graph, event, [person], role)
    return event


async def test_a_feed_shows_what_the_customer_holds_and_nothing_else(system: System, unique: str) -> None:
    """Given a registration of each status, then places and offers are shown, each with its own status."""
    lin = f"lin-{unique}"
    caller, person = await system.customer(lin), local_of(lin)
    community = await make_community(system.edge.graph)
    for title, status, state in (
        ("held", "REGISTERED", "PUBLISHED"),
        ("offered", "OFFERED", "PUBLISHED"),
        ("called off", "REGISTERED", "CANCELLED"),
        ("waiting", "WAITING", "PUBLISHED"),
        ("given back", "CANCELLED", "PUBLISHED"),
        ("lapsed", "OFFER_EXPIRED", "PUBLISHED"),
    ):
        await make_kind(system, community, title, person, status, status=state)
    await make_event(system.edge.graph, community)
    found = events_in(await read(system, await create(caller)))
    assert {title: str(one["STATUS"]) for title, one in found.items()} == {
        "held": "CONFIRMED",
        "offered": "TENTATIVE",
        "called off": "CANCELLED",
    }


async def test_an_event_has_its_wall_time_its_zone_and_folded_chinese(system: System, unique: str) -> None:
    """Given an event in New York after the clocks change, then its zone is described, and long lines are folded."""
    lin = f"lin-{unique}"
    await system.customer(lin)
    community = await make_community(system.edge.graph)
    title = "摄影爱好者秋季外拍活动；" * 12
    event = await make_kind(
        system,
        community,
        "walk",
        local_of(lin),
        "REGISTERED",
        title_zh=title,
        venue="上海市，外滩",
        time_zone="America/New_York",
        starts_at="2026-11-30T14:00:00.000000Z",
        ends_at="2026-11-30T16:00:00.000000Z",
    )
    path = await create(system.caller(lin, language="zh"))
    answer = await read(system, path)
    lines = answer.content.split(b"\r\n")
    assert max(len(line) for line in lines) <= 75
    for line in lines:
        line.decode()
    assert b"DTSTART;TZID=America/New_York:20261130T090000" in answer.content
    parsed = icalendar.Calendar.from_ical(answer.content)
    assert [str(zone["TZID"]) for zone in parsed.walk("VTIMEZONE")] == ["America/New_York"]
    (found,) = parsed.walk("VEVENT")
    assert (str(found["SUMMARY"]), str(found["LOCATION"])) == (title, "上海市，外滩")
    assert str(found["UID"]) == f"{event}@kinship"
    assert found.decoded("DTSTART").astimezone(ZoneInfo("UTC")) == parse_instant("2026-11-30T14:00:00.000000Z")
    assert str(parsed["X-WR-CALNAME"]) == "我的活动"


async def test_the_link_is_for_those_who_have_a_place_by_it(system: System, unique: str) -> None:
    """Given places and offers by either channel, then one of them shows the link, and a banned member's does not."""
    lin = f"lin-{unique}"
    caller, person = await system.customer(lin), local_of(lin)
    graph = system.edge.graph
    community = await make_community(graph)
    link = {"link": "https://meet.example/secret", "attendance_mode": "HYBRID"}
    for title, status, channel, price in (
        ("by link", "REGISTERED", "LINK", None),
        ("not paid", "REGISTERED", "LINK", 60),
        ("at the venue", "REGISTERED", "PLACE", None),
        ("offered", "OFFERED", "LINK", None),
    ):
        event = await make_kind(system, community, title, person, status, **link)
        await graph.write(
            "MATCH ()-[r:REGISTERED_FOR {key: $key}]->() SET r.channel = $channel, r.price_points = $price",
            key=f"{event}:{person}",
            channel=channel,
            price=price,
        )
    path = await create(caller)
    found = events_in(await read(system, path))
    assert {title for title, one in found.items() if "URL" in one} == {"by link"}
    await add_member(graph, community, person, MemberRole.BANNED)
    assert b"meet.example" not in (await read(system, path)).content


async def test_what_has_gone_from_view_leaves_the_feed(system: System, unique: str) -> None:
    lin = f"lin-{unique}"
    caller, person = await system.customer(lin), local_of(lin)
    community = await make_community(system.edge.graph)
    event = await make_kind(system, community, "walk", person, "REGISTERED")
    path, single = await create(caller), f"/events/{global_id('Event', event)}.ics"
    assert len(events_in(await read(system, path))) == len(events_in(await read(system, single))) == 1
    shown = "query($id: ID!) { event(id: $id) { calendarUrl } }"
    here = global_id("Event", event)
    address = (await caller.ask(shown, id=here))["event"]["calendarUrl"]
    assert address == f"{system.settings.base_url}{single}"
    await system.edge.graph.write(SET_VISIBILITY, id=community, visibility="PRIVATE")
    assert events_in(await read(system, path)) == {}
    assert (await read(system, single)).status_code == 404
    await add_member(system.edge.graph, community, person, MemberRole.MEMBER)
    assert len(events_in(await read(system, path))) == 1
    assert (await caller.ask(shown, id=here))["event"] == {"calendarUrl": None}


async def test_a_reader_who_has_it_is_told_so_until_something_changes(system: System, unique: str) -> None:
    """Given a feed read twice, then the same bytes and 304; when the event is moved, then the next sequence."""
    lin = f"lin-{unique}"
    caller, person = await system.customer(lin), local_of(lin)
    graph = system.edge.graph
    event = await make_kind(system, await make_community(graph), "walk", person, "REGISTERED")
    path = await create(caller)
    first = await read(system, path)
    again = await read(system, path)
    assert (first.content, first.headers["etag"]) == (again.content, again.headers["etag"])
    assert first.headers["last-modified"] == again.headers["last-modified"]
    for headers in (
        {"If_None_Match": first.headers["etag"]},
        {"If_None_Match": f'"other", W/{first.headers["etag"]}'},
        {"If_Modified_Since": first.headers["last-modified"]},
    ):
        kept = await read(system, path, **headers)
        assert (kept.status_code, kept.content) == (304, b"")
    await graph.write(CHANGE, id=event, properties={"registered": 7, "touched_at": "now"})
    assert (await read(system, path, If_None_Match=first.headers["etag"])).status_code == 304
    sequences = [events_in(first)["walk"]["SEQUENCE"]]
    for venue in ("Park", "River"):
        await graph.write(CHANGE, id=event, properties={"venue": venue})
        moved = await read(system, path, If_None_Match=first.headers["etag"])
        sequences.append(events_in(moved)["walk"]["SEQUENCE"])
    assert sequences == [0, 1, 2]
    stale = {"If_None_Match": first.headers["etag"], "If_Modified_Since": moved.headers["last-modified"]}
    assert (await read(system, path, **stale)).status_code == 200
    assert (await read(system, path, If_Modified_Since="nonsense")).status_code == 200


async def test_unknown_revoked_and_replaced_addresses_are_the_same_nothing(system: System, unique: str) -> None:
    """Given a feed, when it is replaced and then revoked, then only the present address ever answers."""
    lin = f"lin-{unique}"
    caller = await system.customer(lin)
    assert (await caller.ask(STATE))["viewer"]["calendarFeed"] is None
    old = await create(caller)
    new = await create(caller)
    assert (await caller.ask(STATE))["viewer"]["calendarFeed"] is not None
    assert (await read(system, new)).status_code == 200
    gone = [await read(system, path) for path in (old, "/calendar/never.ics", f"/calendar/{'x' * 500}.ics")]
    assert (await caller.ask(REVOKE))["revokeCalendarFeed"]["__typename"] == "RevokeCalendarFeedSuccess"
    gone.append(await read(system, new))
    gone.append(await read(system, "/calendar/%E4%B8%AD.ics"))
    assert {(one.status_code, one.text) for one in gone} == {(404, "Not found\n")}
    assert (await caller.ask(REVOKE))["revokeCalendarFeed"]["code"] == "NOT_FOUND"
    assert (await caller.ask(STATE))["viewer"]["calendarFeed"] is None
    assert (await system.caller(f"nobody-{unique}").ask(CREATE))["createCalendarFeed"]["code"] == "NOT_SIGNED_UP"
    assert (await system.caller(None).fail(CREATE))["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_secret_is_not_stored_and_not_logged(
    system: System, unique: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lin = f"lin-{unique}"
    path = await create(await system.customer(lin))
    secret = path.removeprefix("/calendar/").removesuffix(".ics")
    async with system.edge.database.read() as session:
        row = await session.get_one(CalendarFeed, local_of(lin))
    assert row.token_hash == hash_of(secret)
    assert secret not in row.model_dump_json()
    # As logging is configured for a process: the client that asks here writes what it asks for.
    with caplog.at_level(logging.INFO), caplog.at_level(logging.WARNING, "httpx"):
        await read(system, path)
    # Whether an earlier test has configured logging decides which way other lines go.
    printed = "".join(capsys.readouterr()) + caplog.text
    assert "/calendar/…" in printed
    assert secret not in printed


@pytest.mark.parametrize(
    ("visibility", "status", "expected"),
    [
        ("PUBLIC", "PUBLISHED", 200),
        ("UNLISTED", "PUBLISHED", 200),
        ("PUBLIC", "CANCELLED", 200),
        ("PUBLIC", "DRAFT", 404),
        ("PRIVATE", "PUBLISHED", 404),
    ],
)
async def test_a_single_event_is_for_everybody_who_may_read_it(
    system: System, visibility: str, status: str, expected: int
) -> None:
    """Given an event and its address, then anybody reads it, without the link, where its community is not private."""
    community = await make_community(system.edge.graph, visibility=visibility)
    event = await make_event(system.edge.graph, community, status=status)
    await system.edge.graph.write(CHANGE, id=event, properties={"link": "https://meet.example/secret"})
    answer = await read(system, f"/events/{global_id('Event', event)}.ics", Accept_Language="en")
    assert answer.status_code == expected
    assert b"meet.example" not in answer.content
    if expected == 200:
        assert list(events_in(answer)) == ["Photo walk"]
    for other in (event, global_id("Community", event), "nonsense"):
        missing = await read(system, f"/events/{other}.ics")
        assert (missing.status_code, missing.text) == (404, "Not found\n")


async def test_a_feed_costs_the_same_for_one_event_and_for_many(system: System, unique: str) -> None:
    """Given one event, then ten, then one round trip to the graph; SQL is written only when something has changed."""
    lin = f"lin-{unique}"
    caller, person = await system.customer(lin), local_of(lin)
    graph, database = system.edge.graph, system.edge.database
    community = await make_community(graph)
    path = await create(caller)
    costs: list[tuple[int, int]] = []
    for number in range(10):
        await make_kind(system, community, str(number), person, "REGISTERED")
        if number in (0, 9):
            await read(system, path)
            before = graph.round_trips, database.statements
            assert len(events_in(await read(system, path))) == number + 1
            costs.append((graph.round_trips - before[0], database.statements - before[1]))
    assert costs == [(1, 2), (1, 2)]
    assert await cost(system, caller, CREATE) == (0, 3)
    assert await cost(system, caller, STATE) == (0, 2)
    assert await cost(system, caller, REVOKE) == (0, 2)
