"""Events over HTTP: a manager makes, changes and ends them, a member sees what is theirs to see, nobody else more."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id, split_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_way_through import local_of
from tests.community.happenings import owed_about, put_registrations, stored_event
from tests.community.places import add_member, make_community, make_event
from tests.community.test_event_series import monday
from tests.community.test_events import PUT_TAGS
from worker.series import extend_due_series
from worker.work import Stores

pytestmark = pytest.mark.anyio

EVENT = """
id title description language startsAt endsAt timeZone venue latitude longitude attendanceMode link
registrationOpensAt registrationClosesAt capacity registeredCount linkCapacity linkRegisteredCount waitingCount
linkWaitingCount guestsAllowed minimumTier requiredTags pricePoints offerHours status cancelReason version
tags { key } hosts { id } community { id } series { id } rating { average count }
"""
CREATE = (
    "mutation($input: CreateEventInput!) { createEvent(input: $input) "
    "{ __typename ... on CreateEventSuccess { event { " + EVENT + " } } ... on Refusal { code path } } }"
)
UPDATE = (
    "mutation($input: UpdateEventInput!) { updateEvent(input: $input) "
    "{ __typename ... on UpdateEventSuccess { event { " + EVENT + " } } ... on Refusal { code path } } }"
)
PUBLISH = """
mutation($id: ID!) { publishEvent(input: {eventId: $id}) {
  __typename ... on PublishEventSuccess { event { status } } ... on Refusal { code path } } }
"""
CANCEL = """
mutation($id: ID!) { cancelEvent(input: {eventId: $id, reason: "Storm"}) {
  __typename ... on CancelEventSuccess { event { status cancelReason } } ... on Refusal { code path } } }
"""
CANCEL_FOLLOWING = CANCEL.replace('reason: "Storm"', 'reason: "Storm", following: true')
COMPLETE = """
mutation($id: ID!) { completeEvent(input: {eventId: $id}) {
  __typename ... on CompleteEventSuccess { event { status } } ... on Refusal { code path } } }
"""
SERIES = """
mutation($input: CreateEventSeriesInput!) { createEventSeries(input: $input) {
  __typename
  ... on CreateEventSeriesSuccess { series { id rule startsAtLocal timeZone exdates occurrences(first: 4) {
    edges { cursor node { id startsAt title status } } pageInfo { hasNextPage endCursor } } } }
  ... on Refusal { code path } } }
"""
FOLLOWING = """
mutation($input: UpdateThisAndFollowingEventsInput!) { updateThisAndFollowingEvents(input: $input) {
  __typename
  ... on UpdateThisAndFollowingEventsSuccess { event { id title startsAt series { id rule
    occurrences(first: 9) { edges { node { id title } } } } } }
  ... on Refusal { code path } } }
"""
FEEDBACK = """
mutation($id: ID!, $rating: Int!, $comment: String) {
  submitEventFeedback(input: {eventId: $id, rating: $rating, comment: $comment}) {
    __typename
    ... on SubmitEventFeedbackSuccess { feedback { rating comment createdAt customer { id } } event { id } }
    ... on Refusal { code path } } }
"""
STATISTICS = """
query($id: ID!) { eventStatistics(eventId: $id) {
  funnel { total registered waiting offered offerExpired cancelled attended noShow } seats
  channels { channel seats capacity funnel { total } }
  attendanceRate noShowRate ratingAverage ratingCount ratingDistribution registrationsPerDay { day registrations } } }
"""
TOLD = "{ viewer { notifications { edges { node { kind title subject { id } } } } } }"
READ = "query($id: ID!) { event(id: $id) { " + EVENT + " feedback(first: 2) { edges { node { rating comment } } } } }"
NODE = "query($id: ID!) { node(id: $id) { __typename id ... on Event { link title } ... on EventSeries { rule } } }"


@dataclass
class Scene:
    """A community of one manager and one member, and somebody outside of it."""

    community: str
    manager: Caller
    member: Caller
    outsider: Caller
    member_id: str

    def input(self, **more: Any) -> dict[str, Any]:
        start = utc_now() + timedelta(days=1)
        return {
            "communityId": global_id("Community", self.community),
            "titleZh": "外拍",
            "titleEn": "Photo walk",
            "startsAt": iso(start),
            "endsAt": iso(start + timedelta(hours=2)),
            **more,
        }

    async def create(self, **more: Any) -> dict[str, Any]:
        answer = (await self.manager.ask(CREATE, input=self.input(**more)))["createEvent"]
        assert answer["__typename"] == "CreateEventSuccess", answer
        return answer["event"]

    def series(self, **more: Any) -> dict[str, Any]:
        return {
            "communityId": global_id("Community", self.community),
            "titleZh": "读书会",
            "titleEn": "Book club",
            "rule": "FREQ=WEEKLY;COUNT=6",
            "startsAtLocal": monday(1).isoformat(timespec="minutes"),
            "durationMinutes": 90,
            "timeZone": "Europe/Berlin",
            **more,
        }


SetScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
def scene(system: System, unique: str) -> SetScene:
    async def build(**more: Any) -> Scene:
        manager = await system.customer(f"m-{unique}")
        member = await system.customer(f"c-{unique}")
        outsider = await system.customer(f"x-{unique}")
        graph = system.edge.graph
        community = await make_community(graph, owner_id=local_of(f"m-{unique}"), role=MemberRole.MANAGER, **more)
        await add_member(graph, community, local_of(f"c-{unique}"), MemberRole.MEMBER)
        return Scene(community, manager, member, outsider, local_of(f"c-{unique}"))

    return build


def local(event: dict[str, Any]) -> str:
    return split_id(event["id"])[1]


async def test_an_event_from_draft_to_completion(system: System, scene: SetScene) -> None:
    """Given a draft with everything, then it is published, seen, changed, told of, and completed."""
    one = await scene()
    await system.edge.graph.write(PUT_TAGS, keys=["photo"])
    host = global_id("Customer", one.member_id)
    draft = await one.create(
        publish=False,
        descriptionEn="By night",
        language="en",
        venue="The Bund",
        latitude=31.2,
        longitude=121.5,
        attendanceMode="HYBRID",
        link="https://meet.example/x",
        capacity=10,
        linkCapacity=20,
        guestsAllowed=1,
        minimumTier="POTENTIAL",
        requiredTags=["photo"],
        pricePoints=30,
        offerHours=6,
        tags=["photo"],
        hostIds=[host],
    )
    expected = {
        "title": "Photo walk",
        "description": "By night",
        "language": "en",
        "attendanceMode": "HYBRID",
        "link": "https://meet.example/x",
        "capacity": 10,
        "linkCapacity": 20,
        "registeredCount": 0,
        "linkRegisteredCount": 0,
        "waitingCount": 0,
        "minimumTier": "POTENTIAL",
        "requiredTags": ["photo"],
        "pricePoints": 30,
        "offerHours": 6,
        "guestsAllowed": 1,
        "status": "DRAFT",
        "tags": [{"key": "photo"}],
        "hosts": [{"id": host}],
        "series": None,
        "rating": None,
        "version": 1,
    }
    assert {name: draft[name] for name in expected} == expected
    assert (await one.member.ask(READ, id=draft["id"]))["event"] is None
    for _ in range(2):
        assert (await one.manager.ask(PUBLISH, id=draft["id"]))["publishEvent"]["event"] == {"status": "PUBLISHED"}
    seen = (await one.outsider.ask(READ, id=draft["id"]))["event"]
    assert (seen["title"], seen["link"], seen["feedback"]) == ("Photo walk", None, None)
    assert (await one.member.ask(READ, id=draft["id"]))["event"]["link"] == "https://meet.example/x"
    change = {"eventId": draft["id"], "venue": None, "linkCapacity": None, "titleEn": "Night walk", "tags": []}
    changed = (await one.manager.ask(UPDATE, input=change))["updateEvent"]["event"]
    assert (changed["venue"], changed["linkCapacity"], changed["capacity"]) == (None, None, 10)
    assert (changed["title"], changed["tags"], changed["version"]) == ("Night walk", [], 2)
    stale = (await one.manager.ask(UPDATE, input={**change, "titleEn": "x", "version": 1}))["updateEvent"]
    assert stale == {"__typename": "Refusal", "code": "CONFLICT", "path": ["input", "version"]}
    early = (await one.manager.ask(COMPLETE, id=draft["id"]))["completeEvent"]
    assert early == {"__typename": "Refusal", "code": "EVENT_NOT_STARTED", "path": ["input", "eventId"]}
    running = await make_event(system.edge.graph, one.community, starts_at=utc_now() - timedelta(hours=1))
    await put_registrations(system.edge.graph, running, [one.member_id])
    done = (await one.manager.ask(COMPLETE, id=global_id("Event", running)))["completeEvent"]
    assert done["event"] == {"status": "COMPLETED"}
    await system.work()
    figures = (await one.manager.ask(STATISTICS, id=global_id("Event", running)))["eventStatistics"]
    assert (figures["funnel"]["noShow"], figures["noShowRate"], figures["attendanceRate"]) == (1, 1.0, 0.0)
    closed = (await one.manager.ask(CANCEL, id=global_id("Event", running)))["cancelEvent"]
    assert closed["code"] == "EVENT_CLOSED"


async def test_create_event_publishes_unless_told_otherwise(scene: SetScene) -> None:
    one = await scene()
    assert (await one.create())["status"] == "PUBLISHED"


async def test_cancelling_tells_the_registered_and_a_draft_is_gone(system: System, scene: SetScene) -> None:
    one = await scene()
    event = await one.create()
    await put_registrations(system.edge.graph, local(event), [one.member_id])
    for _ in range(2):
        answer = (await one.manager.ask(CANCEL, id=event["id"]))["cancelEvent"]
        assert answer["event"] == {"status": "CANCELLED", "cancelReason": "Storm"}
    await system.work()
    assert await owed_about(system.edge.graph, local(event)) == []
    draft = await one.create(publish=False)
    gone = await one.manager.ask(CANCEL, id=draft["id"])
    assert gone["cancelEvent"] == {"__typename": "CancelEventSuccess", "event": None}
    assert (await one.manager.ask(READ, id=draft["id"]))["event"] is None


async def test_a_series_is_called_off_over_http(system: System, scene: SetScene) -> None:
    """Given six weeks of which a member takes part in all, when the third on are cancelled, they hear of it once."""
    one = await scene()
    series = (await one.manager.ask(SERIES, input=one.series()))["createEventSeries"]["series"]
    occurrences = [edge["node"]["id"] for edge in series["occurrences"]["edges"]]
    for id in occurrences:
        await put_registrations(system.edge.graph, split_id(id)[1], [one.member_id])
    single = await one.create()
    refusal = (await one.manager.ask(CANCEL_FOLLOWING, id=single["id"]))["cancelEvent"]
    assert refusal == {"__typename": "Refusal", "code": "EVENT_NOT_IN_SERIES", "path": ["input", "eventId"]}
    for intruder in (one.member, one.outsider):
        refusal = (await intruder.ask(CANCEL_FOLLOWING, id=occurrences[2]))["cancelEvent"]
        assert refusal == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "eventId"]}
    assert (await one.member.ask(READ, id=occurrences[2]))["event"]["status"] == "PUBLISHED"
    for _ in range(2):
        answer = (await one.manager.ask(CANCEL_FOLLOWING, id=occurrences[2]))["cancelEvent"]
        assert answer["event"] == {"status": "CANCELLED", "cancelReason": "Storm"}
    states = [(await one.member.ask(READ, id=id))["event"]["status"] for id in occurrences]
    assert states == ["PUBLISHED", "PUBLISHED", "CANCELLED", "CANCELLED"]
    await system.work()
    told = (await one.member.ask(TOLD))["viewer"]["notifications"]["edges"]
    assert [edge["node"]["kind"] for edge in told] == ["SERIES_CANCELLED"]
    assert told[0]["node"]["title"] == "The series Book club is cancelled"
    assert told[0]["node"]["subject"] == {"id": occurrences[2]}


async def test_a_series_over_http(system: System, scene: SetScene) -> None:
    """Given six weeks, then they page, the third on is renamed as a series of its own, and node knows both."""
    one = await scene()
    made = (await one.manager.ask(SERIES, input=one.series(exdates=[monday(2).isoformat()])))["createEventSeries"]
    series = made["series"]
    assert (series["rule"], series["timeZone"]) == ("FREQ=WEEKLY;COUNT=6", "Europe/Berlin")
    assert series["exdates"] == [monday(2).isoformat()]
    edges = series["occurrences"]["edges"]
    assert len(edges) == 4
    assert series["occurrences"]["pageInfo"]["hasNextPage"] is True
    assert {edge["node"]["status"] for edge in edges} == {"PUBLISHED"}
    answer = await one.manager.ask(
        FOLLOWING, input={"eventId": edges[2]["node"]["id"], "titleEn": "Film club", "durationMinutes": 120}
    )
    event = answer["updateThisAndFollowingEvents"]["event"]
    assert event["series"]["id"] != series["id"]
    assert [edge["node"]["title"] for edge in event["series"]["occurrences"]["edges"]] == ["Film club"] * 3
    for viewer in (one.manager, one.member, one.outsider):
        assert (await viewer.ask(NODE, id=series["id"]))["node"]["rule"] == "FREQ=WEEKLY;COUNT=3"
    hybrid = {"attendanceMode": "HYBRID", "link": "https://meet.example", "minimumTier": "VIP", "linkCapacity": 3}
    endless = one.series(rule="FREQ=WEEKLY", publish=False, **hybrid)
    drafts = (await one.manager.ask(SERIES, input=endless))["createEventSeries"]["series"]
    assert (await one.member.ask(NODE, id=drafts["id"])) == {"node": None}
    first = (await one.manager.ask(READ, id=drafts["occurrences"]["edges"][0]["node"]["id"]))["event"]
    found = {name: first[name] for name in hybrid}
    assert (found, first["status"], first["series"]) == (hybrid, "DRAFT", {"id": drafts["id"]})
    await system.edge.graph.write("MATCH (s:EventSeries {id: $id}) SET s.extend_at = '2026'", id=local(drafts))
    await extend_due_series(Stores(system.edge.database, system.edge.graph))
    rows = await system.edge.graph.read("MATCH (s:EventSeries {id: $id}) RETURN s.extend_at AS at", id=local(drafts))
    assert rows[0]["at"] > iso(utc_now())


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"titleZh": " "}, "titleZh"),
        ({"endsAt": iso(utc_now())}, "endsAt"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"link": "https://meet.example"}, "link"),
        ({"tags": ["no-such-tag"]}, "tags"),
        ({"hostIds": [global_id("Customer", new_id())]}, "hostIds"),
        ({"hostIds": ["nonsense"]}, "hostIds"),
        ({"capacity": 0}, "capacity"),
        ({"pricePoints": -1}, "pricePoints"),
        ({"latitude": 1.0}, "longitude"),
    ],
)
async def test_bad_input_names_its_field_and_changes_nothing(
    system: System, scene: SetScene, more: dict[str, Any], path: str
) -> None:
    one = await scene()
    event = await one.create()
    before = await state(system)
    for document, base in ((CREATE, one.input()), (UPDATE, {"eventId": event["id"]})):
        if document == UPDATE and "endsAt" in more:
            continue
        error = await one.manager.fail(document, input={**base, **more})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["reason"] in ("EVENT_INVALID", "ID_INVALID")
        assert error["extensions"]["inputPath"][-1] == path
    assert await state(system) == before


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"rule": "FREQ=SECONDLY"}, "rule"),
        ({"rule": "FREQ=WEEKLY;BYDAY=TU"}, "rule"),
        ({"startsAtLocal": "2026-13-01T10:00"}, "startsAtLocal"),
        ({"startsAtLocal": "2027-01-01T10:00Z"}, "startsAtLocal"),
        ({"startsAtLocal": "2020-01-06T10:00"}, "startsAtLocal"),
        ({"durationMinutes": 0}, "durationMinutes"),
        ({"exdates": ["tomorrow"]}, "exdates"),
        ({"registrationClosesMinutesBefore": -5}, "registrationClosesMinutesBefore"),
        ({"priorityMinutesBefore": 5, "registrationClosesMinutesBefore": 5}, "priorityMinutesBefore"),
    ],
)
async def test_a_bad_series_names_its_field(system: System, scene: SetScene, more: dict[str, Any], path: str) -> None:
    one = await scene()
    before = await state(system)
    error = await one.manager.fail(SERIES, input=one.series(**more))
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"][-1]) == ("EVENT_INVALID", path)
    assert await state(system) == before


async def test_nobody_but_managers_changes_anything(system: System, scene: SetScene) -> None:
    """Given a member, an outsider and an absent event, then every action finds nothing, the same for all."""
    one = await scene()
    event, draft = await one.create(), await one.create(publish=False)
    series = (await one.manager.ask(SERIES, input=one.series()))["createEventSeries"]["series"]
    occurrence = series["occurrences"]["edges"][0]["node"]["id"]
    absent = global_id("Event", new_id())
    await system.work()
    before = (await state(system), await stored_event(system.edge.graph, local(event)))
    for intruder in (one.member, one.outsider):
        for document, name in ((PUBLISH, "publishEvent"), (CANCEL, "cancelEvent"), (COMPLETE, "completeEvent")):
            for id in (event["id"], draft["id"], absent):
                refusal = (await intruder.ask(document, id=id))[name]
                assert refusal == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "eventId"]}
        for id in (event["id"], draft["id"], absent):
            refusal = (await intruder.ask(UPDATE, input={"eventId": id, "venue": "x"}))["updateEvent"]
            assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "eventId"])
        for id in (occurrence, absent):
            assert (await intruder.ask(CANCEL_FOLLOWING, id=id))["cancelEvent"]["code"] == "NOT_FOUND"
            refusal = await intruder.ask(FOLLOWING, input={"eventId": id, "venue": "x"})
            assert refusal["updateThisAndFollowingEvents"]["code"] == "NOT_FOUND"
        assert (await intruder.ask(CREATE, input=one.input()))["createEvent"]["code"] == "NOT_FOUND"
        assert (await intruder.ask(SERIES, input=one.series()))["createEventSeries"]["code"] == "NOT_FOUND"
        assert await intruder.ask(STATISTICS, id=event["id"]) == {"eventStatistics": None}
        assert await intruder.ask(STATISTICS, id=absent) == {"eventStatistics": None}
    assert (await state(system), await stored_event(system.edge.graph, local(event))) == before
    nobody = system.caller(None)
    for document, variables in (
        (CREATE, {"input": one.input()}),
        (UPDATE, {"input": {"eventId": event["id"]}}),
        (SERIES, {"input": one.series()}),
        (FOLLOWING, {"input": {"eventId": occurrence}}),
        (PUBLISH, {"id": event["id"]}),
        (CANCEL, {"id": event["id"]}),
        (COMPLETE, {"id": event["id"]}),
        (FEEDBACK, {"id": event["id"], "rating": 9}),
        (STATISTICS, {"id": event["id"]}),
    ):
        assert (await nobody.fail(document, **variables))["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await state(system), await stored_event(system.edge.graph, local(event))) == before


async def test_private_events_exist_for_members_only(system: System, scene: SetScene) -> None:
    """Given a private community, then its events and series are absent for others by id, by node and by list."""
    one = await scene(visibility="PRIVATE")
    event = await one.create(attendanceMode="ONLINE", link="https://meet.example/x")
    series = (await one.manager.ask(SERIES, input=one.series()))["createEventSeries"]["series"]
    absent = global_id("Event", new_id())
    for id in (event["id"], series["occurrences"]["edges"][0]["node"]["id"], absent):
        assert await one.outsider.ask(READ, id=id) == {"event": None}
        assert await one.outsider.ask(NODE, id=id) == {"node": None}
    assert await one.outsider.ask(NODE, id=series["id"]) == {"node": None}
    assert (await one.member.ask(NODE, id=series["id"]))["node"]["rule"] == series["rule"]
    node = (await one.member.ask(NODE, id=event["id"]))["node"]
    assert (node["title"], node["link"]) == ("Photo walk", None)
    await put_registrations(system.edge.graph, local(event), [one.member_id], channel="LINK")
    assert (await one.member.ask(NODE, id=event["id"]))["node"]["link"] == "https://meet.example/x"
    answer = (await one.outsider.ask(FEEDBACK, id=event["id"], rating=5))["submitEventFeedback"]
    assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "eventId"]}


async def test_attendees_rate_once_and_three_make_an_average(system: System, scene: SetScene, unique: str) -> None:
    one = await scene()
    graph = system.edge.graph
    event = await make_event(graph, one.community, starts_at=utc_now() - timedelta(hours=1))
    id = global_id("Event", event)
    await put_registrations(graph, event, [one.member_id], status="ATTENDED")
    before = await state(system)
    refusal = (await one.outsider.ask(FEEDBACK, id=id, rating=5))["submitEventFeedback"]
    assert refusal == {"__typename": "Refusal", "code": "NOT_ATTENDED", "path": ["input", "eventId"]}
    bad = ((0, None, "rating"), (6, None, "rating"), (5, "x" * 2001, "comment"))
    for rating, comment, path in bad:
        error = await one.member.fail(FEEDBACK, id=id, rating=rating, comment=comment)
        assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("FEEDBACK_INVALID", [path])
    assert await state(system) == before
    given = (await one.member.ask(FEEDBACK, id=id, rating=5, comment=" Lovely "))["submitEventFeedback"]
    assert (given["feedback"]["rating"], given["feedback"]["comment"]) == (5, "Lovely")
    assert given["feedback"]["customer"] == {"id": global_id("Customer", one.member_id)}
    assert (await one.member.ask(FEEDBACK, id=id, rating=1))["submitEventFeedback"]["code"] == "FEEDBACK_GIVEN"
    assert (await one.member.ask(READ, id=id))["event"]["rating"] is None
    for number, rating in enumerate((4, 3)):
        other = await system.customer(f"o{number}-{unique}")
        await put_registrations(graph, event, [local_of(f"o{number}-{unique}")], status="ATTENDED")
        await other.ask(FEEDBACK, id=id, rating=rating)
    seen = (await one.outsider.ask(READ, id=id))["event"]
    assert (seen["rating"], seen["feedback"]) == ({"average": 4.0, "count": 3}, None)
    mine = (await one.manager.ask(READ, id=id))["event"]["feedback"]["edges"]
    assert [edge["node"] for edge in mine] == [{"rating": 3, "comment": None}, {"rating": 4, "comment": None}]
    figures = (await one.manager.ask(STATISTICS, id=id))["eventStatistics"]
    assert (figures["ratingAverage"], figures["ratingDistribution"]) == (4.0, [0, 0, 1, 1, 1])
    assert (figures["attendanceRate"], figures["seats"]) == (1.0, 3)


async def test_an_unlisted_event_is_found_by_its_id(scene: SetScene) -> None:
    """Given an unlisted community, then its event is found by its id, as its link would."""
    one = await scene(visibility="UNLISTED")
    event = await one.create()
    assert (await one.outsider.ask(READ, id=event["id"]))["event"]["title"] == "Photo walk"
