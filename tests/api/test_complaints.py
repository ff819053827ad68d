"""Complaints over HTTP: told by the customer and who handles it, seen by whoever may, and by nobody else."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id, split_id
from core.clock import utc_now
from core.ids import new_id
from customers.profiles import Customer
from tests.api.conftest import Caller, System, token
from tests.api.live import Live, follow, hear, serve
from tests.api.test_alerts import SERVE
from tests.api.test_denials import state
from tests.api.test_way_through import local_of
from tests.community.places import make_customers
from tests.customers.insight import put

pytestmark = pytest.mark.anyio

SHOWN = """
  id reference viewerIs topic topicText channel product status owner handOffTo extensionAskedBy extensions
  accusedEmployees isBreached cause causeText toldOn
  customer { displayName } community { name }
  level { key name isGreenChannel priority }
  deadlines { firstResponse firstRespondedAt nextUpdate solution statutory isProvisional }
  entries { number kind title text employee about reason }
  marks { clock stage isLate isOver }
"""
RESULT = f"{{ __typename ... on ComplaintSuccess {{ complaint {{ {SHOWN} }} }} ... on Refusal {{ code path }} }}"
FILE = f"mutation($input: FileComplaintInput!) {{ fileComplaint(input: $input) {RESULT} }}"
FILE_SHORT = """
mutation($input: FileComplaintInput!) {
  fileComplaint(input: $input) { __typename ... on Refusal { code message path } }
}
"""
ASSIGN = f"mutation($id: ID!, $to: String) {{ assignComplaint(input: {{complaintId: $id, employeeId: $to}}) {RESULT} }}"
ANSWER = f"""
mutation($id: ID!, $text: String!, $internal: Boolean! = false) {{
  answerComplaint(input: {{complaintId: $id, text: $text, internal: $internal}}) {RESULT}
}}
"""
PAUSE = f'mutation($id: ID!) {{ pauseComplaint(input: {{complaintId: $id, text: "When?"}}) {RESULT} }}'
RESUME = f"mutation($id: ID!) {{ resumeComplaint(input: {{complaintId: $id}}) {RESULT} }}"
HAND_OFF = f"""
mutation($id: ID!, $to: String!) {{ handOff(input: {{complaintId: $id, employeeId: $to, text: "Yours?"}}) {RESULT} }}
"""
ACCEPT = f"mutation($id: ID!) {{ acceptHandOff(input: {{complaintId: $id}}) {RESULT} }}"
DECLINE = f'mutation($id: ID!) {{ declineHandOff(input: {{complaintId: $id, text: "No."}}) {RESULT} }}'
EXTEND = f"""
mutation($id: ID!) {{ extendComplaint(input: {{complaintId: $id, reason: EVIDENCE, text: "A letter."}}) {RESULT} }}
"""
DECIDE = f"""
mutation($id: ID!, $granted: Boolean! = true) {{
  decideComplaintExtension(input: {{complaintId: $id, granted: $granted}}) {RESULT}
}}
"""
CLOSE = f"""
mutation($id: ID!, $on: Date!) {{
  closeComplaint(input: {{complaintId: $id, cause: FEES_UNCLEAR, toldOn: $on, text: "We pay it back."}}) {RESULT}
}}
"""
REOPEN = f'mutation($id: ID!) {{ reopenComplaint(input: {{complaintId: $id, text: "Again!"}}) {RESULT} }}'
NAME = f"""
mutation($id: ID!, $who: String!) {{ nameAccusedEmployee(input: {{complaintId: $id, employeeId: $who}}) {RESULT} }}
"""
COMPLAINT = f"query($id: ID!) {{ complaint(id: $id) {{ {SHOWN} }} }}"
COMPLAINTS = f"""
query($status: ComplaintStatus, $ownership: ComplaintOwnership, $customer: ID, $first: Int, $after: String) {{
  complaints(status: $status, ownership: $ownership, customerId: $customer, first: $first, after: $after) {{
    edges {{ cursor node {{ {SHOWN} }} }} pageInfo {{ hasNextPage }}
  }}
}}
"""
CAUSES = """
query($by: [ComplaintGrouping!]!) {
  complaintCauses(by: $by) { cause causeText channel product month count medianSolutionMinutes breached shareBreached }
}
"""
CHANGED = "subscription($id: ID!) { complaintChanged(complaintId: $id) { status viewerIs entries { kind } } }"
CALENDARS = """
{ businessCalendars(first: 100) { edges { node {
  id name version definition provisionalFrom isWorkingDay isProvisional(day: "2026-12-30")
} } } }
"""
CREATE_CALENDAR = """
mutation($definition: JSON!) {
  createBusinessCalendar(input: {nameZh: "分行", nameEn: "Branch", definition: $definition}) {
    __typename ... on BusinessCalendarSuccess { calendar { id version isWorkingDay(day: "2026-12-05") } }
    ... on Refusal { code }
  }
}
"""
UPDATE_CALENDAR = """
mutation($id: ID!, $definition: JSON!) {
  updateBusinessCalendar(input: {calendarId: $id, definition: $definition}) {
    __typename ... on BusinessCalendarSuccess { calendar { version isWorkingDay(day: "2026-12-05") } }
    ... on Refusal { code }
  }
}
"""
POLICIES = "{ complaintPolicies(first: 1) { edges { node { id version status definition } } } }"
CREATE_POLICY = """
mutation($definition: JSON!) {
  createComplaintPolicy(input: {definition: $definition}) {
    __typename ... on ComplaintPolicySuccess { policy { id version status } }
  }
}
"""
ACTIVATE_POLICY = """
mutation($id: ID!) {
  activateComplaintPolicy(input: {policyId: $id}) {
    __typename ... on ComplaintPolicySuccess { policy { status activatedBy } } ... on Refusal { code }
  }
}
"""


def nodes(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [edge["node"] for edge in answer[name]["edges"]]


def officer(system: System, name: str, language: str = "en") -> Caller:
    return system.caller(name, "complaints_officer", language=language)


async def filed(system: System, caller: Caller, **said: Any) -> dict[str, Any]:
    given = {"topic": "FEES", "text": "You charged me twice.", **said}
    answer = (await caller.ask(FILE, input=given))["fileComplaint"]
    assert answer["__typename"] == "ComplaintSuccess", answer
    return answer["complaint"]


async def looked_after(system: System, manager: str) -> str:
    """A customer whom this manager looks after."""
    (customer,) = await make_customers(system.edge.graph, 1)
    await put(system.edge.database, Customer, {"id": customer, "display_name": "Test", "created_at": utc_now()})
    await system.edge.graph.write(SERVE, id=customer, rm=manager)
    return customer


async def test_a_complaint_told_by_both_sides(system: System, unique: str) -> None:
    """Given a customer who complains in the app, then both sides read what is theirs to read, until it is closed."""
    lin, sun = await system.customer(f"lin-{unique}"), officer(system, f"sun-{unique}")
    mine = await filed(system, lin, product="CARD-1")
    id = mine["id"]
    assert (mine["viewerIs"], mine["owner"], mine["level"], mine["marks"]) == ("COMPLAINANT", None, None, [])
    assert [(one["kind"], one["text"]) for one in mine["entries"]] == [("FILED", "You charged me twice.")]
    assert mine["deadlines"]["statutory"] and mine["deadlines"]["firstResponse"] is None

    (queued,) = [
        one for one in nodes(await sun.ask(COMPLAINTS, ownership="UNOWNED", first=100), "complaints") if one["id"] == id
    ]
    assert (queued["viewerIs"], queued["level"]["key"], queued["product"]) == ("OFFICER", "standard", "CARD-1")
    assert queued["customer"]["displayName"] and queued["deadlines"]["firstResponse"]
    taken = (await sun.ask(ASSIGN, id=id))["assignComplaint"]["complaint"]
    assert (taken["viewerIs"], taken["owner"]) == ("OWNER", f"sun-{unique}")
    await sun.ask(ANSWER, id=id, text="He sounds upset.", internal=True)
    await sun.ask(ANSWER, id=id, text="We look into it.")
    await sun.ask(PAUSE, id=id)
    read = (await lin.ask(COMPLAINT, id=id))["complaint"]
    assert [(one["kind"], one["employee"]) for one in read["entries"]] == [
        ("FILED", None),
        ("ANSWERED", None),
        ("WAITING", None),
    ]
    assert (read["status"], read["topicText"], read["entries"][1]["title"]) == ("WAITING", "Fees", "Answered")
    replied = (await lin.ask(ANSWER, id=id, text="On Friday."))["answerComplaint"]["complaint"]
    assert replied["status"] == "OPEN"
    await sun.ask(EXTEND, id=id)
    other = officer(system, f"wei-{unique}")
    assert (await sun.ask(DECIDE, id=id))["decideComplaintExtension"]["code"] == "EXTENSION_BY_ASKER"
    longer = (await other.ask(DECIDE, id=id))["decideComplaintExtension"]["complaint"]
    assert longer["extensions"] == 1 and longer["deadlines"]["statutory"] > mine["deadlines"]["statutory"]
    today = (utc_now() + timedelta(hours=8)).date().isoformat()
    closed = (await sun.ask(CLOSE, id=id, on=today))["closeComplaint"]["complaint"]
    assert (closed["status"], closed["cause"], closed["toldOn"]) == ("CLOSED", "FEES_UNCLEAR", today)
    chinese = (await officer(system, f"sun-{unique}", "zh").ask(COMPLAINT, id=id))["complaint"]
    assert (chinese["causeText"], chinese["level"]["name"], chinese["entries"][-1]["title"]) == (
        "收费不透明",
        "标准",
        "办结",
    )
    end = (await lin.ask(COMPLAINT, id=id))["complaint"]
    assert (end["cause"], end["toldOn"], end["entries"][-1]["text"]) == (None, today, "We pay it back.")
    again = (await lin.ask(REOPEN, id=id))["reopenComplaint"]["complaint"]
    assert again["status"] == "OPEN"
    assert (await sun.ask(COMPLAINT, id=id))["complaint"]["owner"] == f"sun-{unique}"
    listed = nodes(await lin.ask(COMPLAINTS), "complaints")
    assert [one["id"] for one in listed] == [id]
    node = (await lin.ask("query($id: ID!) { node(id: $id) { __typename } }", id=id))["node"]
    assert node == {"__typename": "Complaint"}


async def test_whoever_takes_it_hands_it_off(system: System, unique: str) -> None:
    """Given a manager who takes a complaint of their customer, then it is theirs until an officer accepts it."""
    manager, sun = f"rm-{unique}", officer(system, f"sun-{unique}")
    customer = await looked_after(system, manager)
    rm = system.caller(manager, "relationship_manager")
    mine = await filed(system, rm, customerId=global_id("Customer", customer), channel="PHONE")
    assert (mine["viewerIs"], mine["owner"], mine["channel"]) == ("OWNER", manager, "PHONE")
    id = mine["id"]
    await rm.ask(HAND_OFF, id=id, to=f"sun-{unique}")
    asked = nodes(await sun.ask(COMPLAINTS, ownership="ASKED"), "complaints")
    assert [(one["id"], one["viewerIs"]) for one in asked] == [(id, "CANDIDATE")]
    assert (await sun.ask(DECLINE, id=id))["declineHandOff"]["complaint"]["owner"] == manager
    await rm.ask(HAND_OFF, id=id, to=f"sun-{unique}")
    assert (await sun.ask(ACCEPT, id=id))["acceptHandOff"]["complaint"]["owner"] == f"sun-{unique}"
    # The manager still sees it, as that of a customer of theirs, and answers it no more.
    left = (await rm.ask(COMPLAINT, id=id))["complaint"]
    assert left["viewerIs"] == "MANAGER"
    assert (await rm.ask(ANSWER, id=id, text="Hello"))["answerComplaint"]["code"] == "COMPLAINT_NOT_YOURS"
    whole = """query($id: ID!) { customer360(id: $id) { complaintCases(first: 5) { edges { node { id } } } } }"""
    found = (await rm.ask(whole, id=global_id("Customer", customer)))["customer360"]
    assert nodes(found, "complaintCases") == [{"id": id}]
    assert [one["id"] for one in nodes(await rm.ask(COMPLAINTS), "complaints")] == [id]


async def test_whom_it_is_about_sees_neither_whose_it_is_nor_what_is_said(system: System, unique: str) -> None:
    """Given a complaint about the customer's own manager, then they learn that there is one, and what about."""
    manager, sun = f"rm-{unique}", officer(system, f"sun-{unique}")
    customer = await looked_after(system, manager)
    mine = await filed(
        system, sun, customerId=global_id("Customer", customer), accusedEmployeeId=manager, text="She lied to me."
    )
    id = mine["id"]
    assert mine["accusedEmployees"] == [manager]
    for roles in (("relationship_manager",), ("complaints_officer",), ("administrator",)):
        accused = system.caller(manager, *roles)
        seen = (await accused.ask(COMPLAINT, id=id))["complaint"]
        known = {"id", "reference", "viewerIs", "topic", "topicText", "channel", "status"}
        assert seen["viewerIs"] == "ACCUSED"
        nothing: list[Any] = [None, []]
        assert all(value in nothing for name, value in seen.items() if name not in known), seen
        before = await state(system)
        for document, more in (
            (ASSIGN, {}),
            (ANSWER, {"text": "No!", "internal": True}),
            (PAUSE, {}),
            (CLOSE, {"on": "2026-11-29"}),
            (NAME, {"who": "sun"}),
            (DECIDE, {}),
            (REOPEN, {}),
        ):
            ((_, answer),) = (await accused.ask(document, id=id, **more)).items()
            assert (answer["code"], answer["path"]) == ("COMPLAINT_NOT_YOURS", ["input", "complaintId"])
        assert await state(system) == before
        listed = await accused.ask(COMPLAINTS, customer=global_id("Customer", customer), first=100)
        assert nodes(listed, "complaints") == []
        whole = """query($id: ID!) { customer360(id: $id) { complaintCases(first: 5) { edges { node { id } } } } }"""
        if roles != ("complaints_officer",):
            found = (await accused.ask(whole, id=global_id("Customer", customer)))["customer360"]
            assert nodes(found, "complaintCases") == []


async def test_strangers_find_nothing_and_change_nothing(system: System, unique: str) -> None:
    """Given a complaint, then for another customer or manager it is as if absent, and for the bank's systems, too."""
    lin = await system.customer(f"lin-{unique}")
    id, absent = (await filed(system, lin))["id"], global_id("Complaint", new_id())
    stranger = await system.customer(f"wu-{unique}")
    rm = system.caller(f"rm-{unique}", "relationship_manager")
    before = await state(system)
    for which in (id, absent):
        for caller in (stranger, rm):
            assert await caller.ask(COMPLAINT, id=which) == {"complaint": None}
            for document, more in ((ANSWER, {"text": "x"}), (REOPEN, {})):
                ((_, answer),) = (await caller.ask(document, id=which, **more)).items()
                assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "complaintId"]}
        for document, more in (
            (ASSIGN, {}),
            (PAUSE, {}),
            (RESUME, {}),
            (HAND_OFF, {"to": "x"}),
            (ACCEPT, {}),
            (DECLINE, {}),
            (EXTEND, {}),
            (DECIDE, {}),
            (CLOSE, {"on": "2026-11-29"}),
            (NAME, {"who": "x"}),
        ):
            ((_, answer),) = (await rm.ask(document, id=which, **more)).items()
            assert answer == {"__typename": "Refusal", "code": "NOT_FOUND", "path": ["input", "complaintId"]}
            assert (await stranger.fail(document, id=which, **more))["extensions"]["code"] == "FORBIDDEN"
    assert nodes(await stranger.ask(COMPLAINTS), "complaints") == nodes(await rm.ask(COMPLAINTS), "complaints") == []
    theirs = global_id("Customer", local_of(f"lin-{unique}"))
    assert (await stranger.fail(COMPLAINTS, customer=theirs))["extensions"]["code"] == "NOT_FOUND"
    assert (await rm.fail(COMPLAINTS, customer=theirs))["extensions"]["code"] == "NOT_FOUND"
    given = {"topic": "FEES", "text": "x", "customerId": theirs}
    assert (await stranger.fail(FILE, input=given))["extensions"]["code"] == "FORBIDDEN"
    assert (await rm.fail(FILE, input=given))["extensions"]["code"] == "FORBIDDEN"
    for document, more in ((CAUSES, {"by": ["CAUSE"]}), (CALENDARS, {}), (POLICIES, {})):
        assert (await stranger.fail(document, **more))["extensions"]["code"] == "FORBIDDEN"
    for document, more in ((CREATE_CALENDAR, {"definition": {}}), (CREATE_POLICY, {"definition": {}})):
        assert (await rm.fail(document, **more))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


async def test_causes_are_counted(system: System, unique: str) -> None:
    """Given three closed complaints of a product of their own, then they are one group, with median and share."""
    sun = officer(system, f"sun-{unique}")
    today = (utc_now() + timedelta(hours=8)).date().isoformat()
    for name in ("a", "b", "c"):
        customer = await looked_after(system, f"rm-{unique}-{name}")
        id = (await filed(system, sun, customerId=global_id("Customer", customer), product=unique, channel="BRANCH"))[
            "id"
        ]
        await sun.ask(CLOSE, id=id, on=today)
    found = (await sun.ask(CAUSES, by=["PRODUCT", "CAUSE", "CHANNEL"]))["complaintCauses"]
    (own,) = [one for one in found if one["product"] == unique]
    assert (own["cause"], own["causeText"], own["channel"], own["month"]) == (
        "FEES_UNCLEAR",
        "Fees not made clear",
        "BRANCH",
        None,
    )
    assert (own["count"], own["medianSolutionMinutes"], own["breached"], own["shareBreached"]) == (3, 0, 0, 0)
    months = (await sun.ask(CAUSES, by=["MONTH"]))["complaintCauses"]
    assert today[:7] + "-01" in {one["month"] for one in months}
    assert (await sun.fail(CAUSES, by=["MONTH", "MONTH"]))["extensions"]["reason"] == "COMPLAINT_GROUPING_INVALID"


async def test_nothing_was_complained_of_when_the_calendar_begins(system: System, unique: str) -> None:
    """Given a last month that has no twelve before it; then those are counted that there are."""
    document = '{ complaintCauses(by: [CAUSE], lastMonth: "0001-01-31") { count } }'
    assert await officer(system, f"sun-{unique}").ask(document) == {"complaintCauses": []}


async def test_administrators_keep_calendars_and_policies(system: System) -> None:
    he = system.caller("he", "administrator")
    calendars = nodes(await he.ask(CALENDARS), "businessCalendars")
    assert [one for one in calendars if one["definition"]["time_zone"] == "Asia/Shanghai" and one["provisionalFrom"]]
    made = (await he.ask(CREATE_CALENDAR, definition={"saturday": ["10:00-14:00"]}))["createBusinessCalendar"]
    assert made["calendar"]["isWorkingDay"] is True
    changed = await he.ask(UPDATE_CALENDAR, id=made["calendar"]["id"], definition={"closed_days": ["2026-12-05"]})
    assert changed["updateBusinessCalendar"]["calendar"] == {"version": 2, "isWorkingDay": False}
    for wrong in ({"saturday": ["14:00-10:00"]}, {"time_zone": "Moon/Sea"}, {"monday": ["9-10"]}, {"x": 1}):
        error = await he.fail(CREATE_CALENDAR, definition=wrong)
        assert error["extensions"]["reason"] == "BUSINESS_CALENDAR_INVALID"
    missing = await he.ask(UPDATE_CALENDAR, id=global_id("BusinessCalendar", new_id()), definition={})
    assert missing["updateBusinessCalendar"]["code"] == "NOT_FOUND"
    definition = nodes(await he.ask(POLICIES), "complaintPolicies")[0]["definition"]
    policy = (await he.ask(CREATE_POLICY, definition=definition))["createComplaintPolicy"]["policy"]
    assert policy["status"] == "DRAFT"
    active = (await he.ask(ACTIVATE_POLICY, id=policy["id"]))["activateComplaintPolicy"]["policy"]
    assert active == {"status": "ACTIVE", "activatedBy": "he"}
    nobody = {**definition, "levels": [{**definition["levels"][-1], "condition": {"tier": {"in": ["VIP"]}}}]}
    for wrong in ({}, nobody, {**definition, "statutory_days": [30, 15]}):
        assert (await he.fail(CREATE_POLICY, definition=wrong))["extensions"]["reason"] == "COMPLAINT_POLICY_INVALID"


async def test_what_is_sent_twice_is_one_complaint(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    one, other = [await filed(system, lin, idempotencyKey="k-1") for _ in range(2)]
    assert one["id"] == other["id"]


async def test_a_customer_has_five_open_complaints_at_most(system: System, unique: str) -> None:
    """Given five of a customer, then a sixth is refused in words of both languages and changes nothing; an officer
    takes it from them on the phone; and the policy may allow more."""
    lin, sun, he = (
        await system.customer(f"lin-{unique}"),
        officer(system, f"sun-{unique}"),
        system.caller("he", "administrator"),
    )
    ids = [(await filed(system, lin))["id"] for _ in range(5)]
    before = await state(system)
    for language, words in (("en", "as many open complaints as may be"), ("zh", "未办结的投诉已达上限")):
        caller = system.caller(f"lin-{unique}", "customer", language=language)
        refused = (await caller.ask(FILE_SHORT, input={"topic": "FEES", "text": "Again"}))["fileComplaint"]
        assert (refused["__typename"], refused["code"], refused["path"]) == ("Refusal", "TOO_MANY_OPEN_COMPLAINTS", [])
        assert words in refused["message"]
    assert await state(system) == before
    whose = global_id("Customer", local_of(f"lin-{unique}"))
    by_phone = await filed(system, sun, customerId=whose, channel="PHONE")
    await sun.ask(CLOSE, id=by_phone["id"], on=(utc_now() + timedelta(hours=8)).date().isoformat())
    former = nodes(await he.ask(POLICIES), "complaintPolicies")[0]
    definition = {**former["definition"], "most_open": 6}
    for wrong in (0, 1_001, "5.5"):
        error = await he.fail(CREATE_POLICY, definition={**definition, "most_open": wrong})
        assert error["extensions"]["reason"] == "COMPLAINT_POLICY_INVALID"
    for change in (definition, {**definition, "most_open": 5}):
        made = (await he.ask(CREATE_POLICY, definition=change))["createComplaintPolicy"]["policy"]
        await he.ask(ACTIVATE_POLICY, id=made["id"])
        if change is definition:
            assert (await filed(system, lin))["id"] not in ids
        refused = (await lin.ask(FILE_SHORT, input={"topic": "FEES", "text": "Again"}))["fileComplaint"]
        assert refused["code"] == "TOO_MANY_OPEN_COMPLAINTS"


@pytest.fixture
async def live(system: System) -> AsyncGenerator[Live, None]:
    async with serve(system) as found:
        yield found


async def test_a_change_reaches_who_sees_the_complaint(live: Live, unique: str) -> None:
    """Given the customer and an officer who follow it, then each hears of a change, and sees what is theirs."""
    system, sun = live.system, f"sun-{unique}"
    lin = await system.customer(f"lin-{unique}")
    await system.customer(f"wu-{unique}")
    id = (await filed(system, lin))["id"]
    async with (
        live.client(token(f"lin-{unique}", "customer")) as mine,
        live.client(token(sun, "complaints_officer")) as theirs,
        live.client(token(f"wu-{unique}", "customer")) as stranger,
    ):
        for socket in (mine, theirs, stranger):
            await follow(socket, CHANGED, id=id)
        refused = await hear(stranger)
        assert refused["payload"][0]["extensions"]["code"] == "NOT_FOUND"
        _, local = split_id(id)
        await live.settled(f"complaint:{local}", 2)
        await officer(system, sun).ask(ASSIGN, id=id)
        for socket, kinds in ((mine, ["FILED"]), (theirs, ["FILED", "TAKEN"])):
            change = (await hear(socket))["payload"]["data"]["complaintChanged"]
            assert [one["kind"] for one in change["entries"]] == kinds


async def test_what_was_said_is_the_customers_to_take_away(system: System, unique: str) -> None:
    """Given words to and by a customer and a note about them, then their export has the words and not the note."""
    lin, sun = await system.customer(f"lin-{unique}"), officer(system, f"sun-{unique}")
    id = (await filed(system, lin))["id"]
    await sun.ask(ASSIGN, id=id)
    await sun.ask(ANSWER, id=id, text="He sounds upset.", internal=True)
    await sun.ask(ANSWER, id=id, text="We look into it.")
    mine = global_id("Customer", local_of(f"lin-{unique}"))
    export = "query($id: ID!) { exportCustomer(customerId: $id) }"
    found = (await lin.ask(export, id=mine))["exportCustomer"]
    assert [one["words"] for one in found["complaints"]] == ["You charged me twice.", "We look into it."]
    assert "upset" not in str(found) and f"sun-{unique}" not in str(found)
