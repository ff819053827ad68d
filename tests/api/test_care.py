"""Days of customers over HTTP: noted by themselves and by who looks after them, seen by nobody else, and greeted."""

from datetime import date
from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from core.clock import utc_now
from core.days import day_of
from core.ids import new_id
from service.care_calendar import CareCalendar, CareDay, next_occurrences
from service.care_dates import CareDate
from tests.api.conftest import Caller, System
from tests.api.test_alerts import looked_after, manager_of, nodes
from tests.api.test_denials import state
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.service.caring import ZONE

pytestmark = pytest.mark.anyio

ADD = """
mutation($input: AddCareDateInput!) {
  addCareDate(input: $input) {
    __typename
    ... on AddCareDateSuccess {
      careDate { id kind calendar month day isLeapMonth year source addedBy nextDates(first: 2) { day year } }
    }
    ... on Refusal { code path }
  }
}
"""
REMOVE = """
mutation($id: ID!) {
  removeCareDate(input: {careDateId: $id}) {
    __typename
    ... on RemoveCareDateSuccess { id }
    ... on Refusal { code path }
  }
}
"""
DATES = """
query($id: ID) { careDates(customerId: $id) { id kind month day source customer { displayName } nextDates { day } } }
"""
GREETINGS = """
query($id: ID, $first: Int, $after: String) {
  careGreetings(customerId: $id, first: $first, after: $after) {
    edges { cursor node { id kind festival day status reason subject body } }
    pageInfo { hasNextPage }
  }
}
"""
MUTE = """
mutation($input: MuteCareInput!) {
  muteCare(input: $input) { ... on MuteCareSuccess { mute { reason until mutedBy } } ... on Refusal { code } }
}
"""
UNMUTE = """
mutation($id: ID) {
  unmuteCare(input: {customerId: $id}) { __typename ... on UnmuteCareSuccess { ended } ... on Refusal { code } }
}
"""
MUTES = "query($id: ID) { careMutes(customerId: $id) { reason until endedBy } }"
POLICIES = "{ carePolicies(first: 2) { edges { node { id number definition activatedAt retiredAt } } } }"
CREATE = """
mutation($definition: JSON!) {
  createCarePolicy(input: {definition: $definition}) { ... on CreateCarePolicySuccess { policy { id number } } }
}
"""
ACTIVATE = """
mutation($id: ID!) {
  activateCarePolicy(input: {policyId: $id}) {
    ... on ActivateCarePolicySuccess { policy { activatedBy } } ... on Refusal { code }
  }
}
"""
NODE = "query($id: ID!) { node(id: $id) { __typename } }"
COSTS = {
    "addCareDate": (1, 8),
    "removeCareDate": (1, 7),
    "careDates": (2, 3),
    "careGreetings": (1, 3),
    "muteCare": (1, 6),
    "unmuteCare": (1, 5),
    "careMutes": (1, 3),
    "createCarePolicy": (0, 4),
    "activateCarePolicy": (0, 5),
}
MOON = {"kind": "BIRTHDAY", "calendar": "LUNAR", "month": 12, "day": 30}


async def added(caller: Caller, **input: Any) -> dict[str, Any]:
    return (await caller.ask(ADD, input={**MOON, **input}))["addCareDate"]


def today() -> date:
    return day_of(utc_now(), ZONE)


async def test_a_manager_notes_a_lunar_birthday_and_sees_when_it_comes(system: System, unique: str) -> None:
    """Given an own customer, then the manager notes a day once, sees its next dates, and takes it back."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    found = (await added(manager, customerId=id))["careDate"]
    expected = next_occurrences(CareDay(CareCalendar.LUNAR, 12, 30), start=today(), count=2)
    assert found["nextDates"] == [{"day": one.day.isoformat(), "year": one.year} for one in expected]
    assert {name: found[name] for name in ("kind", "calendar", "month", "day", "isLeapMonth", "year")} == {
        **MOON,
        "isLeapMonth": False,
        "year": None,
    }
    assert (found["source"], found["addedBy"]) == ("STAFF", f"rm-{unique}")
    assert (await added(manager, customerId=id))["careDate"]["id"] == found["id"], "the same again is the same"
    again = await added(manager, customerId=id, month=1)
    assert (again["code"], again["path"]) == ("CARE_DATE_EXISTS", ["input", "kind"])
    wedding = await added(manager, customerId=id, kind="WEDDING", calendar="SOLAR", month=2, day=29, year=2024)
    assert wedding["careDate"]["year"] == 2024
    seen = (await manager.ask(DATES, id=id))["careDates"]
    assert [(one["kind"], one["month"], one["day"]) for one in seen] == [("BIRTHDAY", 12, 30), ("WEDDING", 2, 29)]
    assert await manager.ask(NODE, id=found["id"]) == {"node": {"__typename": "CareDate"}}
    assert (await manager.ask(REMOVE, id=found["id"]))["removeCareDate"]["id"] == found["id"]
    assert (await manager.ask(REMOVE, id=found["id"]))["removeCareDate"]["code"] == "NOT_FOUND"
    assert [one["kind"] for one in (await manager.ask(DATES, id=id))["careDates"]] == ["WEDDING"]
    assert "careDate" in await added(manager, customerId=id, month=1)


@pytest.mark.parametrize(
    ("input", "code", "field"),
    [
        ({"month": 13}, "CARE_DAY_INVALID", "month"),
        ({"day": 31}, "CARE_DAY_INVALID", "day"),
        ({"calendar": "SOLAR", "month": 2, "day": 30}, "CARE_DAY_INVALID", "day"),
        ({"calendar": "SOLAR", "isLeapMonth": True}, "CARE_DAY_INVALID", "isLeapMonth"),
        ({"year": 2025}, "CARE_DAY_INVALID", "year"),
        ({"year": 2090}, "CARE_DAY_INVALID", "year"),
        ({"kind": "WITH_BANK"}, "CARE_KIND_FIXED", "kind"),
    ],
)
async def test_days_that_there_are_not_are_refused(
    system: System, unique: str, input: dict[str, Any], code: str, field: str
) -> None:
    lin = await system.customer(f"lin-{unique}")
    error = await lin.fail(ADD, input={**MOON, **input})
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"][-1]) == (code, field)
    assert (await lin.ask(DATES))["careDates"] == []


async def test_customers_note_their_own(system: System, unique: str) -> None:
    """Given a customer, then their word has their id as its source, and nothing of the day is plain in the table."""
    lin = await system.customer(f"lin-{unique}")
    found = (await added(lin))["careDate"]
    assert (found["source"], found["addedBy"]) == ("CUSTOMER", local_of(f"lin-{unique}"))
    async with system.edge.database.read() as session:
        row = (await session.exec(select(CareDate).where(col(CareDate.customer_id) == local_of(f"lin-{unique}")))).one()
    assert len(row.day_code) == 64 and "12" not in (row.calendar, str(row.year))
    exported = await lin.ask("query($id: ID!) { exportCustomer(customerId: $id) }", id=own_id(unique))
    document = exported["exportCustomer"]
    assert document["care_dates"] == [
        {"kind": "BIRTHDAY", "calendar": "LUNAR", "month": 12, "day": 30}
        | {"is_leap_month": False, "year": None, "source": "CUSTOMER"}
    ]
    assert "day_code" not in document["tables"]["care_date.customer_id"][0]
    assert (await lin.ask(REMOVE, id=found["id"]))["removeCareDate"]["id"] == found["id"]


def own_id(unique: str) -> str:
    return global_id("Customer", local_of(f"lin-{unique}"))


async def test_others_see_and_do_nothing(system: System, unique: str) -> None:
    """Given a customer's day and mute, then for another manager and another customer all is refused, as for nobody."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    care_date = (await added(manager, customerId=id))["careDate"]["id"]
    await manager.ask(MUTE, input={"customerId": id, "reason": "BEREAVEMENT"})
    other, lin = system.caller(f"other-{unique}", "relationship_manager"), await system.customer(f"lin-{unique}")
    before = await state(system)
    for caller in (other, lin):
        for whom in (id, global_id("Customer", new_id())):
            for document, variables in (
                (ADD, {"input": {**MOON, "customerId": whom}}),
                (MUTE, {"input": {"customerId": whom, "reason": "WISH"}}),
                (UNMUTE, {"id": whom}),
                (DATES, {"id": whom}),
                (GREETINGS, {"id": whom}),
                (MUTES, {"id": whom}),
            ):
                assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
        for which in (care_date, global_id("CareDate", new_id())):
            assert (await caller.ask(REMOVE, id=which))["removeCareDate"]["code"] == "NOT_FOUND"
            assert await caller.ask(NODE, id=which) == {"node": None}
    for caller in (manager, lin):
        assert (await caller.fail(POLICIES))["extensions"]["code"] == "FORBIDDEN"
        assert (await caller.fail(CREATE, definition={}))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_mutes_are_begun_and_ended(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    assert (await lin.ask(UNMUTE))["unmuteCare"]["code"] == "CARE_NOT_MUTED"
    error = await lin.fail(MUTE, input={"reason": "WISH", "until": "2020-01-01"})
    assert error["extensions"]["reason"] == "CARE_MUTE_INVALID"
    me = local_of(f"lin-{unique}")
    found = (await lin.ask(MUTE, input={"reason": "WISH", "until": today().isoformat()}))["muteCare"]["mute"]
    assert found == {"reason": "WISH", "until": today().isoformat(), "mutedBy": me}
    await lin.ask(MUTE, input={"reason": "BEREAVEMENT"})
    assert (await lin.ask(UNMUTE))["unmuteCare"]["ended"] == 2
    seen = (await lin.ask(MUTES))["careMutes"]
    assert [(one["reason"], one["endedBy"]) for one in seen] == [("BEREAVEMENT", me), ("WISH", me)]


async def test_what_became_of_a_greeting_is_told(system: System, unique: str) -> None:
    """Given a birthday of tomorrow, then it is planned at once, the manager has a task, and both see its words."""
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    await manager.ask(GRANT, input={"purpose": "CARE", "customerId": id, "evidence": "A-1"})
    day = CareDay(CareCalendar.SOLAR, *tomorrow())
    await added(manager, customerId=id, calendar="SOLAR", month=day.month, day=day.day)
    await system.work()
    (found,) = nodes(await manager.ask(GREETINGS, id=id), "careGreetings")
    assert (found["kind"], found["status"], found["reason"]) == ("BIRTHDAY", "PLANNED", None)
    assert (found["subject"], found["festival"]) == ("Happy birthday", None)
    assert await manager.ask(NODE, id=found["id"]) == {"node": {"__typename": "CareGreeting"}}
    chinese = nodes(await manager_of(system, unique, "zh").ask(GREETINGS, id=id), "careGreetings")[0]
    assert chinese["subject"] == "生日快乐"
    tasks = nodes(await manager.ask("{ tasks { edges { node { kind customer { id } } } } }"), "tasks")
    assert tasks == [{"kind": "CARE", "customer": {"id": id}}]


GRANT = """
mutation($input: ConsentInput!) { grantConsent(input: $input) { __typename } }
"""


def tomorrow() -> tuple[int, int]:
    day = date.fromordinal(today().toordinal() + 1)
    return day.month, day.day


async def test_administrators_write_and_activate_policies(system: System) -> None:
    administrator = system.caller("he", "administrator")
    (latest, *_) = nodes(await administrator.ask(POLICIES), "carePolicies")
    for wrong in ({"hour": 25}, {"festivals": {"QINGMING": ["VIP"]}}, {"festivals": {"LANTERN": ["GOLD"]}}, {"x": 1}):
        error = await administrator.fail(CREATE, definition=wrong)
        assert error["extensions"]["reason"] == "CARE_POLICY_INVALID"
    active = next(one for one in nodes(await administrator.ask(POLICIES), "carePolicies") if one["activatedAt"])
    made = (await administrator.ask(CREATE, definition=active["definition"]))["createCarePolicy"]["policy"]
    assert made["number"] > latest["number"]
    done = await administrator.ask(ACTIVATE, id=made["id"])
    assert done["activateCarePolicy"]["policy"] == {"activatedBy": "he"}
    assert (await administrator.ask(ACTIVATE, id=made["id"]))["activateCarePolicy"]["code"] == "CARE_POLICY_NOT_DRAFT"
    absent = await administrator.ask(ACTIVATE, id=global_id("CarePolicy", new_id()))
    assert absent["activateCarePolicy"]["code"] == "NOT_FOUND"


async def test_what_it_costs(system: System, unique: str) -> None:
    (customer,) = await looked_after(system, f"rm-{unique}")
    manager, id = manager_of(system, unique), global_id("Customer", customer)
    administrator = system.caller("he", "administrator")
    found = {"addCareDate": await cost(system, manager, ADD, input={**MOON, "customerId": id})}
    found["careDates"] = await cost(system, manager, DATES, id=id)
    found["careGreetings"] = await cost(system, manager, GREETINGS, id=id)
    found["muteCare"] = await cost(system, manager, MUTE, input={"customerId": id, "reason": "WISH"})
    found["careMutes"] = await cost(system, manager, MUTES, id=id)
    found["unmuteCare"] = await cost(system, manager, UNMUTE, id=id)
    care_date = (await manager.ask(DATES, id=id))["careDates"][0]["id"]
    found["removeCareDate"] = await cost(system, manager, REMOVE, id=care_date)
    found["createCarePolicy"] = await cost(system, administrator, CREATE, definition={})
    draft = (await administrator.ask(CREATE, definition={}))["createCarePolicy"]["policy"]["id"]
    found["activateCarePolicy"] = await cost(system, administrator, ACTIVATE, id=draft)
    assert found == COSTS
