"""Events: who may do what with them and when, and that every refusal changes nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from community.access import MemberRole
from community.event_changes import (
    CapacityTaken,
    EventClosed,
    EventNotStarted,
    EventStarted,
    cancel_event,
    complete_event,
    concerned,
    end_registrations,
    publish_event,
    update_event,
)
from community.event_details import EventInvalid, check_details
from community.events import read_events
from community.registrations import register_for_event
from community.standing import CommunityArchived
from core.clock import iso, utc_now
from core.errors import Conflict, KinshipError, NotFound
from core.ids import new_id
from graph.client import GraphClient
from tests.community.happenings import (
    describe,
    listed_events,
    make,
    make_managed,
    owed_about,
    put_registrations,
    stored_event,
)
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

PUT_TAGS = "UNWIND $keys AS key MERGE (t:Tag {key: key}) SET t.name_zh = key, t.name_en = key, t.family = 'INTEREST'"


async def change(graph: GraphClient, event: str, manager: str, *, version: int | None = None, **changes: Any) -> None:
    await update_event(graph, event_id=event, changes=changes, manager_id=manager, version=version, now=utc_now())


async def refused(graph: GraphClient, event: str, act: Awaitable[object], error: type[KinshipError]) -> KinshipError:
    """The refusal of an act, after which the event is what it was and owes nothing new."""
    before = (await stored_event(graph, event), len(await owed_about(graph, event)))
    with pytest.raises(error) as raised:
        await act
    after = await stored_event(graph, event)
    # The lock may have been taken for looking; it says nothing of the event.
    assert ({**after, "touched_at": None}, len(await owed_about(graph, event))) == (
        {**before[0], "touched_at": None},
        before[1],
    )
    return raised.value


async def test_an_event_has_everything_that_its_manager_says(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    await graph.write(PUT_TAGS, keys=["photo", "night"])
    start = utc_now() + timedelta(days=3)
    event = await make(
        graph,
        community,
        manager,
        starts_at=start,
        description_zh="夜景",
        description_en="Night",
        language="zh",
        venue="The Bund",
        latitude=31.24,
        longitude=121.49,
        attendance_mode="HYBRID",
        link="https://meet.example/1",
        capacity=10,
        link_capacity=100,
        guests_allowed=2,
        minimum_tier="VIP",
        required_tags=["photo"],
        price_points=50,
        offer_hours=24,
        registration_opens_at=start - timedelta(days=2),
        registration_closes_at=start - timedelta(hours=1),
        tags=["night", "photo"],
        host_ids=[member],
    )
    found = (await read_events(graph, [event], viewer_id=manager))[event]
    assert {name: found[name] for name in ("venue", "language", "capacity", "link_capacity", "offer_hours")} == {
        "venue": "The Bund",
        "language": "zh",
        "capacity": 10,
        "link_capacity": 100,
        "offer_hours": 24,
    }
    assert (found["link"], found["viewer_manages"], found["status"]) == ("https://meet.example/1", True, "PUBLISHED")
    stored = await stored_event(graph, event)
    assert stored["order"] == f"{community}:{iso(start)}:{event}"
    assert stored["feed_order"] == f"{community}:{stored['published_at']}:{event}"
    assert (stored["waiting"], stored["link_waiting"], stored["link_registered"], stored["next_ticket"]) == (0, 0, 0, 1)
    (entry,) = await owed_about(graph, event)
    assert entry["topic"] == "act.audited"
    assert "EVENT_CREATED" in entry["payload"]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"title_zh": " "}, "titleZh"),
        ({"title_en": "x" * 201}, "titleEn"),
        ({"description_en": "x" * 10_001}, "descriptionEn"),
        ({"description_zh": "a\0b"}, "descriptionZh"),
        ({"language": "Chinese!"}, "language"),
        ({"ends_at": utc_now()}, "endsAt"),
        ({"ends_at": utc_now() + timedelta(days=100)}, "endsAt"),
        ({"starts_at": utc_now() - timedelta(hours=3)}, "endsAt"),
        ({"time_zone": "Mars/Olympus"}, "timeZone"),
        ({"time_zone": "../etc/passwd"}, "timeZone"),
        ({"registration_closes_at": utc_now() + timedelta(days=9)}, "registrationClosesAt"),
        ({"registration_closes_at": utc_now() + timedelta(days=1, minutes=90)}, "registrationClosesAt"),
        ({"registration_opens_at": utc_now() + timedelta(days=9)}, "registrationOpensAt"),
        (
            {"registration_opens_at": utc_now(), "registration_closes_at": utc_now() - timedelta(days=1)},
            "registrationClosesAt",
        ),
        ({"venue": "x" * 301}, "venue"),
        ({"latitude": 91.0, "longitude": 0.0}, "latitude"),
        ({"latitude": float("nan"), "longitude": 0.0}, "latitude"),
        ({"latitude": 1.0}, "longitude"),
        ({"attendance_mode": "ONLINE", "link": "http://plain.example"}, "link"),
        ({"attendance_mode": "ONLINE", "link": "javascript:alert(1)"}, "link"),
        ({"link": "https://meet.example"}, "link"),
        ({"link_capacity": 3}, "linkCapacity"),
        ({"attendance_mode": "ONLINE", "capacity": 3}, "capacity"),
        ({"capacity": 0}, "capacity"),
        ({"attendance_mode": "HYBRID", "link_capacity": 1_000_001}, "linkCapacity"),
        ({"guests_allowed": 21}, "guestsAllowed"),
        ({"price_points": 0}, "pricePoints"),
        ({"offer_hours": 169}, "offerHours"),
        ({"tags": ["x"] * 21}, "tags"),
        ({"tags": ["no-such-tag"]}, "tags"),
        ({"required_tags": ["no-such-tag"]}, "requiredTags"),
        ({"host_ids": [new_id()]}, "hostIds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_an_event_cannot_be_is_refused_with_its_path(
    graph: GraphClient, more: dict[str, Any], path: str
) -> None:
    community, manager, _ = await make_managed(graph)
    with pytest.raises(EventInvalid) as invalid:
        await make(graph, community, manager, **more)
    assert invalid.value.path == (path,)
    assert not (await listed_events(graph, [community], viewer_id=manager, ends_from=None, first=5, after=None))[
        community
    ].rows


async def test_an_event_is_not_moved_to_before_its_registration_closes(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    start = utc_now() + timedelta(days=3)
    event = await make(graph, community, manager, starts_at=start, registration_closes_at=start)
    earlier = change(graph, event, manager, starts_at=start - timedelta(days=1))
    assert (await refused(graph, event, earlier, EventInvalid)).path == ("registrationClosesAt",)
    day = timedelta(days=1)
    await change(graph, event, manager, starts_at=start - day, registration_closes_at=start - day)


async def test_only_managers_make_and_change_events(graph: GraphClient) -> None:
    """Given a member, a moderator, an outsider and an absent event, then each of them finds nothing to change."""
    community, manager, member = await make_managed(graph)
    moderator, outsider = await make_customers(graph, 2)
    await add_member(graph, community, moderator, MemberRole.MODERATOR)
    event = await make(graph, community, manager)
    for intruder in (member, moderator, outsider):
        with pytest.raises(NotFound):
            await make(graph, community, intruder)
        now = utc_now()
        for act in (
            change(graph, event, intruder, venue="Elsewhere"),
            publish_event(graph, event_id=event, manager_id=intruder, now=now),
            cancel_event(graph, event_id=event, reason="no", manager_id=intruder, now=now),
            complete_event(graph, event_id=event, manager_id=intruder, now=now),
        ):
            await refused(graph, event, act, NotFound)
    with pytest.raises(NotFound):
        await change(graph, new_id(), manager, venue="Nowhere")
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = '2026'", id=community)
    with pytest.raises(CommunityArchived):
        await make(graph, community, manager)


async def test_an_edit_changes_what_it_names_and_tells_of_time_and_place(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    await graph.write(PUT_TAGS, keys=["photo", "night"])
    event = await make(graph, community, manager, tags=["photo"], venue="The Bund", capacity=5)
    await change(graph, event, manager, title_en="Night walk", tags=("night",), host_ids=(member,))
    owed = Counter(row["topic"] for row in await owed_about(graph, event))
    assert owed == {"act.audited": 2}
    start = utc_now() + timedelta(days=9)
    await change(graph, event, manager, starts_at=start, ends_at=start + timedelta(hours=1), capacity=None)
    stored = await stored_event(graph, event)
    assert (stored["title_en"], stored["venue"], stored["starts_at"]) == ("Night walk", "The Bund", iso(start))
    assert "capacity" not in stored
    assert stored["order"] == f"{community}:{iso(start)}:{event}"
    assert stored["version"] == 3
    (told,) = [row for row in await owed_about(graph, event) if row["topic"] == "event.changed"]
    assert '"changed":["startsAt","endsAt"]' in told["payload"]
    before = len(await owed_about(graph, event))
    await change(graph, event, manager, title_en="Night walk", venue="The Bund")
    assert len(await owed_about(graph, event)) == before


async def test_the_version_that_was_seen_guards_against_another_managers_change(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    event = await make(graph, community, manager)
    await change(graph, event, manager, venue="A", version=1)
    await refused(graph, event, change(graph, event, manager, venue="B", version=1), Conflict)
    assert (await stored_event(graph, event))["venue"] == "A"


async def test_two_managers_at_once_lose_nothing_of_each_other(stores: Addresses) -> None:
    """Given two clients that change two fields ten times each, then both last values hold and 20 acts are audited."""
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        second = (await make_customers(one, 1))[0]
        await add_member(one, community, second, MemberRole.OWNER)
        event = await make(one, community, manager)
        await asyncio.gather(
            *(change(one, event, manager, venue=f"Hall {number}") for number in range(10)),
            *(change(other, event, second, description_en=f"Text {number}") for number in range(10)),
        )
        stored = await stored_event(one, event)
        assert stored["version"] == 21
        assert stored["venue"].startswith("Hall ")
        assert stored["description_en"].startswith("Text ")
        updates = [row for row in await owed_about(one, event) if "EVENT_UPDATED" in row["payload"]]
        assert len(updates) == 20


async def test_of_twenty_with_the_same_version_one_wins(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        event = await make(one, community, manager)

        async def attempt(number: int) -> str:
            try:
                await change((one, other)[number % 2], event, manager, venue=f"Hall {number}", version=1)
            except Conflict:
                return "CONFLICT"
            return "CHANGED"

        assert Counter(await asyncio.gather(*(attempt(number) for number in range(20)))) == {
            "CHANGED": 1,
            "CONFLICT": 19,
        }


async def test_capacity_is_never_lowered_below_the_seats_held(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    event = await make(
        graph, community, manager, capacity=5, attendance_mode="HYBRID", link_capacity=9, link="https://meet.example"
    )
    people = await make_customers(graph, 5)
    await put_registrations(graph, event, people[:3])
    await put_registrations(graph, event, people[3:], channel="LINK")
    taken = await refused(graph, event, change(graph, event, manager, capacity=2), CapacityTaken)
    assert taken.path == ("capacity",)
    taken = await refused(graph, event, change(graph, event, manager, link_capacity=1), CapacityTaken)
    assert taken.path == ("linkCapacity",)
    gone = change(graph, event, manager, attendance_mode="ONLINE", capacity=None)
    assert (await refused(graph, event, gone, CapacityTaken)).path == ("attendanceMode",)
    gone = change(graph, event, manager, attendance_mode="IN_PERSON", link_capacity=None, link=None)
    assert (await refused(graph, event, gone, CapacityTaken)).path == ("attendanceMode",)
    await change(graph, event, manager, capacity=3, link_capacity=2)


async def test_lowered_capacity_and_registrations_at_once_never_oversell(stores: Addresses) -> None:
    """Given 20 who register for 20 places while a manager lowers them to 10, then never more are in than fit."""
    async with stores.graph() as one, stores.graph() as other:
        community, manager, _ = await make_managed(one)
        event = await make(one, community, manager, capacity=20)
        people = await make_customers(one, 20)

        async def lower() -> bool:
            try:
                await change(other, event, manager, capacity=10)
            except CapacityTaken:
                return False
            return True

        async def register(customer: str) -> None:
            try:
                await register_for_event(one, event_id=event, customer_id=customer, now=utc_now())
            except KinshipError:
                return

        lowered, *_ = await asyncio.gather(lower(), *(register(person) for person in people))
        stored = await stored_event(one, event)
        assert stored["capacity"] == (10 if lowered else 20)
        assert stored["registered"] <= stored["capacity"]


async def test_more_places_are_owed_to_those_who_wait(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    event = await make(graph, community, manager, capacity=1)
    await graph.write("MATCH (e:Event {id: $id}) SET e.waiting = 2", id=event)
    await change(graph, event, manager, capacity=2)
    assert [row["topic"] for row in await owed_about(graph, event)].count("waitlist.due") == 1
    # Nobody of this branch settles it.
    await graph.write("MATCH (o:Owed {topic: 'waitlist.due'}) DELETE o")


async def test_what_may_change_at_which_moment(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    now = utc_now()
    running = await make_event(graph, community, starts_at=now - timedelta(minutes=30))
    moved = change(graph, running, manager, starts_at=now + timedelta(minutes=10))
    assert (await refused(graph, running, moved, EventStarted)).path == ("startsAt",)
    await change(graph, running, manager, venue="Room 2", ends_at=now + timedelta(hours=3))
    ahead = await make_event(graph, community)
    with pytest.raises(EventInvalid) as invalid:
        await change(graph, ahead, manager, starts_at=now - timedelta(minutes=1))
    assert invalid.value.path == ("startsAt",)
    over = await make_event(graph, community, starts_at=now - timedelta(days=2))
    await refused(graph, over, change(graph, over, manager, venue="Elsewhere"), EventClosed)
    await change(graph, over, manager, title_en="As it was")
    cancelled = await make_event(graph, community, status="CANCELLED")
    await refused(graph, cancelled, change(graph, cancelled, manager, title_en="x"), EventClosed)


async def test_from_draft_to_the_end(graph: GraphClient) -> None:
    """Given a draft, then it is published once, completed after its start only, and final after that."""
    community, manager, member = await make_managed(graph)
    now = utc_now()
    event = await make(graph, community, manager, publish=False)
    assert await read_events(graph, [event], viewer_id=member) == {}
    assert (await stored_event(graph, event)).get("feed_order") is None
    await refused(graph, event, complete_event(graph, event_id=event, manager_id=manager, now=now), EventNotStarted)
    for _ in range(2):
        await publish_event(graph, event_id=event, manager_id=manager, now=now)
    assert (await read_events(graph, [event], viewer_id=member))[event]["status"] == "PUBLISHED"
    assert [row["topic"] for row in await owed_about(graph, event)] == ["act.audited"] * 2
    await refused(graph, event, complete_event(graph, event_id=event, manager_id=manager, now=now), EventNotStarted)
    later = now + timedelta(days=1, minutes=5)
    for _ in range(2):
        await complete_event(graph, event_id=event, manager_id=manager, now=later)
    owed = Counter(row["topic"] for row in await owed_about(graph, event))
    assert owed == {"act.audited": 3, "event.completed": 1}
    for act in (
        publish_event(graph, event_id=event, manager_id=manager, now=later),
        cancel_event(graph, event_id=event, reason="late", manager_id=manager, now=later),
    ):
        await refused(graph, event, act, EventClosed)


async def test_cancelling_says_why_keeps_registrations_and_happens_once(graph: GraphClient) -> None:
    community, manager, member = await make_managed(graph)
    event = await make(graph, community, manager)
    await put_registrations(graph, event, [member])
    now = utc_now()
    for reason in ("", " " * 9, "x" * 501, "a\0b"):
        act = cancel_event(graph, event_id=event, reason=reason, manager_id=manager, now=now)
        assert (await refused(graph, event, act, EventInvalid)).path == ("reason",)
    for _ in range(2):
        await cancel_event(graph, event_id=event, reason=" Storm ", manager_id=manager, now=now)
    found = (await read_events(graph, [event], viewer_id=member))[event]
    assert (found["status"], found["cancel_reason"], found["registered"]) == ("CANCELLED", "Storm", 1)
    owed = Counter(row["topic"] for row in await owed_about(graph, event))
    assert owed == {"act.audited": 2, "event.changed": 1, "event.cancelled": 1}
    for act in (
        publish_event(graph, event_id=event, manager_id=manager, now=now),
        complete_event(graph, event_id=event, manager_id=manager, now=now + timedelta(days=2)),
    ):
        await refused(graph, event, act, EventClosed)
    draft = await make(graph, community, manager, publish=False)
    await cancel_event(graph, event_id=draft, reason="Not needed", manager_id=manager, now=now)
    assert await stored_event(graph, draft) == {}
    over = await make_event(graph, community, starts_at=now - timedelta(days=2))
    act = cancel_event(graph, event_id=over, reason="late", manager_id=manager, now=now)
    await refused(graph, over, act, EventClosed)


async def test_pages_of_those_who_are_told_and_those_who_did_not_come(graph: GraphClient) -> None:
    community = await make_community(graph)
    event = await make_event(graph, community, status="COMPLETED")
    people = sorted(await make_customers(graph, 7))
    await put_registrations(graph, event, people[:5])
    await put_registrations(graph, event, people[5:6], status="ATTENDED")
    await put_registrations(graph, event, people[6:], status="CANCELLED")
    first = await concerned(graph, event, after="", limit=3)
    rest = await concerned(graph, event, after=first[-1]["mark"], limit=3)
    assert [row["customer_id"] for row in (*first, *rest)] == people[:5]
    assert await end_registrations(graph, event, limit=3, now=utc_now()) == people[:3]
    # The same page again is the next one: what was marked is not marked twice.
    assert await end_registrations(graph, event, limit=3, now=utc_now()) == people[3:5]
    assert await end_registrations(graph, event, limit=3, now=utc_now()) == []
    stored = await stored_event(graph, event)
    assert stored["registered"] == 6
    running = await make_event(graph, community)
    await put_registrations(graph, running, people[:1])
    assert await end_registrations(graph, running, limit=3, now=utc_now()) == []


def test_an_event_in_the_right_is_not_refused() -> None:
    check_details(describe(attendance_mode="ONLINE", link="https://meet.example/a?b=c", link_capacity=1))
    check_details(describe(capacity=1_000_000, latitude=-90.0, longitude=180.0, guests_allowed=20, offer_hours=0))
