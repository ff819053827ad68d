"""Check-in over GraphQL: codes that their owner alone can show, and a phone's list that may be sent again."""

import base64
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from api.relay import global_id
from community.access import MemberRole
from community.checkin_codes import LIFETIME, make_code
from core.clock import iso, utc_now
from core.facts import Fact
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_denials import MISSING, state
from tests.api.test_event_registrations import SET, cancel, crowd, make_list, register
from tests.api.test_way_through import local_of
from tests.community.places import add_member, soon

pytestmark = pytest.mark.anyio

CODE = """
query($event: ID!) {
  event(id: $event) { viewerRegistration { status checkInCode { code expiresAt qrSvg qrPng } } }
}
"""
CODES_OF_ALL = """
query($event: ID!) { event(id: $event) { registrations { edges { node { checkInCode { code } } } } } }
"""
CHECK_IN = """
mutation($input: CheckInInput!) {
  checkIn(input: $input) {
    __typename
    ... on CheckInSuccess { registration { status attendedAt customer { displayName } } }
    ... on Refusal { code path }
  }
}
"""
BATCH = """
mutation($items: [CheckInItemInput!]!) {
  checkInBatch(input: {items: $items}) {
    __typename
    ... on CheckInBatchSuccess { results { key outcome registration { status attendedAt } } }
    ... on Refusal { code path }
  }
}
"""
LEAVE = "mutation($id: ID!) { leaveCommunity(input: {communityId: $id}) { __typename } }"
HOST = "MATCH (c:Customer {id: $c}), (e:Event {id: $e}) CREATE (c)-[:HOSTS_EVENT]->(e)"


COMMUNITY_OF = "MATCH (c:Community)-[:HOSTS]->(:Event {id: $e}) RETURN c.id AS id"


async def make_host(system: System, event: str, name: str) -> None:
    """Name a customer, who becomes a member, as a host of the event."""
    ((community),) = await system.edge.graph.read(COMMUNITY_OF, e=event)
    await add_member(system.edge.graph, community["id"], local_of(name), MemberRole.MEMBER)
    await system.edge.graph.write(HOST, c=local_of(name), e=event)


async def code_of(caller: Caller, event: str) -> dict[str, Any] | None:
    answer = await caller.ask(CODE, event=global_id("Event", event))
    return answer["event"]["viewerRegistration"]["checkInCode"]


async def check_in(caller: Caller, **input: Any) -> dict[str, Any]:
    answer = (await caller.ask(CHECK_IN, input=input))["checkIn"]
    return answer.get("registration") or answer


async def outcomes(caller: Caller, *items: dict[str, Any]) -> list[str]:
    results = (await caller.ask(BATCH, items=list(items)))["checkInBatch"]["results"]
    assert [result["key"] for result in results] == [item["key"] for item in items]
    return [result["outcome"] for result in results]


def by_name(event: str, name: str) -> dict[str, Any]:
    return {"eventId": global_id("Event", event), "customerId": global_id("Customer", local_of(name))}


def minted(system: System, event: str, name: str, *, at: datetime) -> str:
    """The code that the owner's phone showed at that time."""
    key = system.settings.checkin_key.get_secret_value()
    return make_code(key, event_id=event, customer_id=local_of(name), now=at).text


async def test_a_code_is_shown_to_its_owner_and_taken_once_at_its_event(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "host", "lin", "wu")
    event = await make_list(system, f"owner-{unique}", start=soon())
    other = await make_list(system, f"owner-{unique}")
    await make_host(system, event, f"host-{unique}")
    await register(people["lin"], event)
    await register(people["wu"], event)
    assert await code_of(people["wu"], event) is None
    shown = await code_of(people["lin"], event)
    assert shown is not None
    assert shown["qrSvg"].startswith("<?xml") and "<svg" in shown["qrSvg"]
    picture = base64.b64decode(shown["qrPng"].removeprefix("data:image/png;base64,"))
    assert picture.startswith(b"\x89PNG")
    assert re.fullmatch(r"[A-Za-z0-9_-]{80,120}", shown["code"])
    for keeper in (people["owner"], people["host"]):
        seen = (await keeper.ask(CODES_OF_ALL, event=global_id("Event", event)))["event"]["registrations"]["edges"]
        assert [edge["node"]["checkInCode"] for edge in seen] == [None, None]

    before = await state(system)
    wrong_event = await check_in(people["owner"], eventId=global_id("Event", other), code=shown["code"])
    assert (wrong_event["code"], wrong_event["path"]) == ("CODE_INVALID", ["input", "code"])
    assert (await check_in(people["owner"], code=shown["code"][:-4] + "AAAA"))["code"] == "CODE_INVALID"
    old = minted(system, event, f"lin-{unique}", at=utc_now() - LIFETIME - timedelta(minutes=2))
    assert (await check_in(people["owner"], code=old))["code"] == "CODE_EXPIRED"
    waiting = minted(system, event, f"wu-{unique}", at=utc_now())
    assert (await check_in(people["owner"], code=waiting))["code"] == "NOT_REGISTERED"
    for intruder in (people["lin"], people["wu"]):
        assert (await check_in(intruder, code=shown["code"]))["code"] == "NOT_FOUND"
    assert await state(system) == before

    assert (await check_in(people["host"], code=shown["code"]))["status"] == "ATTENDED"
    assert (await check_in(people["owner"], code=shown["code"]))["code"] == "ALREADY_CHECKED_IN"
    assert await code_of(people["lin"], event) is None
    assert (await cancel(people["lin"], event))["code"] == "ALREADY_ATTENDED"
    await system.work()
    facts = select(Fact).where(Fact.customer_id == local_of(f"lin-{unique}"))
    async with system.edge.database.read() as session:
        (fact,) = (await session.exec(facts)).all()
    assert (fact.kind, fact.payload["checked_in_by"]) == ("EVENT_ATTENDED", local_of(f"host-{unique}"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"eventId": global_id("Event", MISSING)},
        {"customerId": global_id("Customer", MISSING)},
        {"eventId": global_id("Event", MISSING), "customerId": global_id("Customer", MISSING), "code": "x"},
    ],
)
async def test_either_a_code_or_names(system: System, unique: str, given: dict[str, Any]) -> None:
    caller = await system.customer(f"c-{unique}")
    assert (await caller.fail(CHECK_IN, input=given))["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_phones_list_is_taken_line_by_line_and_again(system: System, unique: str) -> None:
    """Given a phone that was offline, when its list is sent twice, then each line has its outcome, the same twice."""
    people = await crowd(system, unique, "owner", "lin", "wu", "sun", "an", "late", "stranger")
    now = utc_now()
    graph = system.edge.graph
    event = await make_list(system, f"owner-{unique}", capacity=4)
    foreign = await make_list(system, f"stranger-{unique}", capacity=9)
    for name in ("lin", "wu", "sun", "an", "late"):
        await register(people[name], event)
    await register(people["lin"], foreign)
    started = {"starts_at": iso(now - timedelta(hours=2)), "ends_at": iso(now)}
    await graph.write(SET, id=event, properties=started)
    # The event was completed and its no-shows were marked before the phone had a connection again.
    await graph.write(
        "MATCH (:Customer {id: $c})-[r:REGISTERED_FOR]->(:Event {id: $e}) SET r.status = 'NO_SHOW'",
        c=local_of(f"an-{unique}"),
        e=event,
    )
    hour_ago = now - timedelta(hours=1)
    lin = minted(system, event, f"lin-{unique}", at=hour_ago)
    at = {"checkedInAt": iso(hour_ago + timedelta(minutes=1))}
    items: list[dict[str, Any]] = [
        {"key": "1", "code": lin, **at},
        {"key": "2", **by_name(event, f"wu-{unique}"), "checkedInAt": iso(now + timedelta(days=1))},
        {"key": "3", **by_name(event, f"an-{unique}"), **at},
        {"key": "4", "code": lin, **at},
        {"key": "5", **by_name(event, f"late-{unique}"), **at},
        {"key": "6", **by_name(event, f"stranger-{unique}"), **at},
        {"key": "7", "code": "nonsense", **at},
        {"key": "8", "code": lin, "checkedInAt": iso(now)},
        {"key": "9", **by_name(foreign, f"lin-{unique}"), **at},
        {"key": "10", **by_name(new_id(), f"lin-{unique}"), **at},
        {"key": "11", "code": lin, "eventId": global_id("Event", foreign), **at},
    ]
    expected = [
        *("CHECKED_IN", "CHECKED_IN", "CHECKED_IN", "ALREADY_CHECKED_IN", "NOT_REGISTERED", "NOT_REGISTERED"),
        *("CODE_INVALID", "CODE_EXPIRED", "NOT_FOUND", "NOT_FOUND", "CODE_INVALID"),
    ]
    before = await state(system)
    for intruder in (people["wu"], people["sun"]):
        assert set(await outcomes(intruder, *items)) == {"NOT_FOUND", "CODE_INVALID", "CODE_EXPIRED"}
    assert await state(system) == before
    first = (await people["owner"].ask(BATCH, items=items))["checkInBatch"]["results"]
    assert [result["outcome"] for result in first] == expected
    assert [result["registration"] is not None for result in first] == [True] * 4 + [False] * 7
    assert first[0]["registration"]["attendedAt"] == iso(hour_ago + timedelta(minutes=1))
    # A time that cannot be right gives way to the server's.
    assert iso(now) <= first[1]["registration"]["attendedAt"] <= iso(utc_now())
    again = (await people["owner"].ask(BATCH, items=items))["checkInBatch"]["results"]
    assert again == first
    assert await outcomes(people["owner"], {**items[0], "key": "another phone"}) == ["ALREADY_CHECKED_IN"]
    assert await outcomes(people["owner"], {"key": "n", **by_name(event, f"sun-{unique}"), **at}) == ["CHECKED_IN"]
    await system.work()
    facts = select(Fact).where(Fact.kind == "EVENT_ATTENDED", Fact.customer_id == local_of(f"lin-{unique}"))
    async with system.edge.database.read() as session:
        (fact,) = (await session.exec(facts)).all()
    assert fact.occurred_at == hour_ago + timedelta(minutes=1)


async def test_nobody_is_checked_in_days_before_or_by_themselves(system: System, unique: str) -> None:
    """Given an event next week and one that is about to begin; then the first takes nobody, whatever a phone says."""
    people = await crowd(system, unique, "owner", "lin")
    week = await make_list(system, f"owner-{unique}", start=utc_now() + timedelta(days=7))
    near = await make_list(system, f"owner-{unique}", capacity=3, start=soon())
    for name in ("owner", "lin"):
        await register(people[name], near)
    await register(people["lin"], week)
    before = await state(system)
    early = await check_in(people["owner"], **by_name(week, f"lin-{unique}"))
    assert (early["code"], early["path"]) == ("CHECK_IN_NOT_OPEN", ["input", "eventId"])
    own = await check_in(people["owner"], **by_name(near, f"owner-{unique}"))
    assert (own["code"], own["path"]) == ("SELF_CHECK_IN", ["input", "customerId"])
    times = (utc_now() + timedelta(days=7, minutes=5), utc_now())
    items = [
        *({"key": iso(at), **by_name(week, f"lin-{unique}"), "checkedInAt": iso(at)} for at in times),
        {"key": "day before", **by_name(near, f"lin-{unique}"), "checkedInAt": iso(utc_now() - timedelta(hours=13))},
        {"key": "own", "code": minted(system, near, f"owner-{unique}", at=utc_now()), "checkedInAt": iso(utc_now())},
    ]
    assert await outcomes(people["owner"], *items) == [*["CHECK_IN_NOT_OPEN"] * 3, "SELF_CHECK_IN"]
    assert await state(system) == before


async def test_a_host_who_left_the_community_sees_and_checks_in_nobody(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "host", "lin")
    event = await make_list(system, f"owner-{unique}", start=soon())
    await register(people["lin"], event)
    await make_host(system, event, f"host-{unique}")
    seen = (await people["host"].ask(CODES_OF_ALL, event=global_id("Event", event)))["event"]["registrations"]
    assert len(seen["edges"]) == 1
    ((community),) = await system.edge.graph.read(COMMUNITY_OF, e=event)
    left = await people["host"].ask(LEAVE, id=global_id("Community", community["id"]))
    assert left["leaveCommunity"]["__typename"] == "LeaveCommunitySuccess", left

    before = await state(system)
    assert (await people["host"].ask(CODES_OF_ALL, event=global_id("Event", event)))["event"]["registrations"] is None
    assert (await check_in(people["host"], **by_name(event, f"lin-{unique}")))["code"] == "NOT_FOUND"
    item = {"key": "1", **by_name(event, f"lin-{unique}"), "checkedInAt": iso(utc_now())}
    assert await outcomes(people["host"], item) == ["NOT_FOUND"]
    assert await state(system) == before


async def test_an_event_that_does_not_run_takes_no_list(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin")
    event = await make_list(system, f"owner-{unique}")
    await register(people["lin"], event)
    await system.edge.graph.write(SET, id=event, properties={"status": "CANCELLED"})
    item = {"key": "1", **by_name(event, f"lin-{unique}"), "checkedInAt": iso(utc_now())}
    assert await outcomes(people["owner"], item) == ["EVENT_NOT_RUNNING"]


async def test_lists_that_cannot_be_are_bad_input(system: System, unique: str) -> None:
    caller = await system.customer(f"c-{unique}")
    good = {"key": "1", "eventId": global_id("Event", MISSING), "customerId": global_id("Customer", MISSING)}
    good["checkedInAt"] = iso(utc_now())
    before = await state(system)
    for items, path in (
        ([], ["items"]),
        ([good] * 501, ["items"]),
        ([good, {**good, "key": ""}], ["items", "1", "key"]),
        ([{**good, "code": "x"}], ["items", "0"]),
        ([{**good, "eventId": None}], ["items", "0"]),
        ([{**good, "customerId": "nonsense"}], ["input", "items", "0", "customerId"]),
    ):
        bad = await caller.fail(BATCH, items=items)
        assert (bad["extensions"]["code"], bad["extensions"]["inputPath"]) == ("BAD_USER_INPUT", path)
    assert await outcomes(caller, *([good] * 1)) == ["NOT_FOUND"]
    assert await state(system) == before
    assert (await system.caller(None).fail(BATCH, items=[good]))["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await system.caller(f"n-{unique}", "customer").ask(BATCH, items=[good]))["checkInBatch"]["code"] == (
        "NOT_SIGNED_UP"
    )
