"""Early invitations over HTTP: who is entitled registers sooner, by as much as the tier says, and then everybody."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id, split_id
from core.clock import iso, parse_instant, utc_now
from graph.eligibility import Tier
from tests.api.conftest import Caller, System
from tests.api.test_denials import state
from tests.api.test_event_registrations import SET, register
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import make_community
from tests.service.serving import set_tier

pytestmark = pytest.mark.anyio

CREATE = """
mutation($input: CreateEventInput!) {
  createEvent(input: $input) {
    ... on CreateEventSuccess { event { id priorityUntil version } } ... on Refusal { code message path } } }
"""
UPDATE = """
mutation($input: UpdateEventInput!) {
  updateEvent(input: $input) {
    ... on UpdateEventSuccess { event { priorityUntil version } } ... on Refusal { code message path } } }
"""
READ = "query($id: ID!) { event(id: $id) { priorityUntil registeredCount } }"
REGISTER = """
mutation($input: RegisterForEventInput!) {
  registerForEvent(input: $input) { __typename ... on Refusal { code message path } } }
"""
TIERS = {"lin": Tier.MASS, "wu": Tier.POTENTIAL, "sun": Tier.VIP}


async def people_of(system: System, unique: str) -> dict[str, Caller]:
    """An owner, and a customer of each tier."""
    found = {name: await system.customer(f"{name}-{unique}") for name in ("owner", *TIERS)}
    for name, tier in TIERS.items():
        await set_tier(system.edge.database, local_of(f"{name}-{unique}"), tier)
    return found


async def scarce(system: System, unique: str, **more: Any) -> dict[str, Any]:
    """What makes an event in five days of a community that the owner runs."""
    community = await make_community(system.edge.graph, owner_id=local_of(f"owner-{unique}"))
    start = utc_now() + timedelta(days=5)
    words = {"titleZh": "茶会", "titleEn": "Tea", "startsAt": iso(start), "endsAt": iso(start + timedelta(hours=2))}
    return {"communityId": global_id("Community", community), **words, **more}


async def test_who_is_entitled_registers_first_and_then_everybody(system: System, unique: str) -> None:
    """Given a priority of 36 more hours, then a VIP (48 hours) registers, POTENTIAL (24) and MASS not yet; in its last
    12 hours POTENTIAL too; and with its end everybody."""
    people = await people_of(system, unique)
    until = iso(utc_now() + timedelta(hours=36))
    made = (await people["owner"].ask(CREATE, input=await scarce(system, unique, priorityUntil=until)))["createEvent"]
    event = made["event"]["id"]
    assert parse_instant(made["event"]["priorityUntil"]) == parse_instant(until)
    local = local_of_event(event)
    assert await codes(people, local) == ["REGISTRATION_NOT_YET_OPEN_TO_ALL", "REGISTRATION_NOT_YET_OPEN_TO_ALL", None]
    for language, words in (("zh", "优先邀请"), ("en", "early invitations")):
        lin = system.caller(f"lin-{unique}", "customer", language=language)
        refused = (await lin.ask(REGISTER, input={"eventId": event}))["registerForEvent"]
        assert words in refused["message"]
        assert (refused["path"], until in refused["message"]) == (["input", "eventId"], True)
    assert (await people["lin"].ask(READ, id=event))["event"]["registeredCount"] == 1
    await move_priority(system, local, timedelta(hours=12))
    assert await codes(people, local) == ["REGISTRATION_NOT_YET_OPEN_TO_ALL", None, None]
    await move_priority(system, local, timedelta(seconds=-1))
    assert await codes(people, local) == [None, None, None]
    assert (await people["lin"].ask(READ, id=event))["event"]["registeredCount"] == 3


def local_of_event(event: str) -> str:
    return split_id(event)[1]


async def move_priority(system: System, event: str, ahead: timedelta) -> None:
    await system.edge.graph.write(SET, id=event, properties={"priority_until": iso(utc_now() + ahead)})


async def codes(people: dict[str, Caller], event: str) -> list[str | None]:
    """With which code each customer is refused, None where they have a place."""
    return [(await register(people[name], event)).get("code") for name in TIERS]


async def test_registration_that_is_not_open_at_all_is_not_open_to_early_ones(system: System, unique: str) -> None:
    """Given a registration that opens tomorrow and a priority until the day after, then a VIP waits for its opening."""
    people = await people_of(system, unique)
    opens, until = (iso(utc_now() + timedelta(hours=hours)) for hours in (24, 36))
    described = await scarce(system, unique, registrationOpensAt=opens, priorityUntil=until)
    made = (await people["owner"].ask(CREATE, input=described))["createEvent"]["event"]
    assert (await register(people["sun"], local_of_event(made["id"])))["code"] == "REGISTRATION_NOT_YET_OPEN"


async def test_managers_set_the_priority_within_the_registration(system: System, unique: str) -> None:
    """Given priorities that cannot be, then each is refused and nothing changes; one that can is set, moved, and
    taken away, by managers only."""
    people = await people_of(system, unique)
    owner = people["owner"]
    described = await scarce(system, unique)
    start = parse_instant(described["startsAt"])
    event = (await owner.ask(CREATE, input=described))["createEvent"]["event"]
    assert event["priorityUntil"] is None
    before = await state(system)
    for times in (
        {"priorityUntil": start + timedelta(seconds=1)},
        {"priorityUntil": start - timedelta(days=2), "registrationOpensAt": start - timedelta(days=1)},
        {"priorityUntil": start - timedelta(days=1), "registrationClosesAt": start - timedelta(days=1)},
    ):
        given = {name: iso(value) for name, value in times.items()}
        for document, about in ((CREATE, described), (UPDATE, {"eventId": event["id"]})):
            error = await owner.fail(document, input={**about, **given})
            assert error["extensions"]["reason"] == "EVENT_INVALID"
            assert error["extensions"]["inputPath"] == ["priorityUntil"]
    wish = {"eventId": event["id"], "priorityUntil": iso(start - timedelta(days=1))}
    refused = (await people["sun"].ask(UPDATE, input=wish))["updateEvent"]
    assert refused["code"] == "NOT_FOUND"
    assert await state(system) == before
    changed = (await owner.ask(UPDATE, input=wish))["updateEvent"]["event"]
    assert parse_instant(changed["priorityUntil"]) == start - timedelta(days=1)
    assert changed["version"] == event["version"] + 1
    gone = (await owner.ask(UPDATE, input={**wish, "priorityUntil": None}))["updateEvent"]["event"]
    assert gone["priorityUntil"] is None


# (round trips to the graph, statements to SQL): the policy and the tier are asked only before the end of a priority.
COSTS = {"registerForEvent (early)": (3, 3), "registerForEvent (after the priority)": (3, 1)}


async def test_what_it_costs(system: System, unique: str) -> None:
    people = await people_of(system, unique)
    until = iso(utc_now() + timedelta(hours=12))
    made = (await people["owner"].ask(CREATE, input=await scarce(system, unique, priorityUntil=until)))["createEvent"]
    wish = {"input": {"eventId": made["event"]["id"]}}
    found = {"registerForEvent (early)": await cost(system, people["sun"], REGISTER, **wish)}
    await move_priority(system, local_of_event(made["event"]["id"]), timedelta(seconds=-1))
    found["registerForEvent (after the priority)"] = await cost(system, people["wu"], REGISTER, **wish)
    assert found == COSTS
