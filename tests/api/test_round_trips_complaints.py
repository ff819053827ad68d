"""What complaints cost in round trips: the same however many there are."""

from datetime import timedelta

import pytest

from api.relay import global_id
from core.clock import utc_now
from service.complaint_records import ComplaintChannel, ComplaintTopic
from service.complaints import NewComplaint, file_complaint
from tests.api.conftest import Caller, System
from tests.api.test_complaint_tasks import COMPLAINT_TASKS
from tests.api.test_complaints import (
    ACCEPT,
    ACTIVATE_POLICY,
    ANSWER,
    ASSIGN,
    CALENDARS,
    CAUSES,
    CLOSE,
    COMPLAINT,
    COMPLAINTS,
    CREATE_CALENDAR,
    CREATE_POLICY,
    DECIDE,
    DECLINE,
    EXTEND,
    FILE,
    HAND_OFF,
    NAME,
    PAUSE,
    POLICIES,
    REOPEN,
    RESUME,
    UPDATE_CALENDAR,
    looked_after,
    nodes,
    officer,
)
from tests.api.test_round_trips import cost

pytestmark = pytest.mark.anyio

COSTS = {
    "complaints": (1, 7),
    "complaints of a manager": (2, 7),
    "complaint": (1, 7),
    "complaintCauses": (0, 1),
    "businessCalendars": (0, 1),
    "complaintPolicies": (0, 1),
    "tasks of complaints": (0, 1),
    "fileComplaint": (1, 27),
    "fileComplaint (one's own)": (1, 24),
    "assignComplaint": (1, 17),
    "answerComplaint": (1, 18),
    "pauseComplaint": (1, 18),
    "resumeComplaint": (1, 16),
    "handOff": (1, 17),
    "acceptHandOff": (1, 16),
    "declineHandOff": (1, 18),
    "extendComplaint": (1, 17),
    "decideComplaintExtension": (1, 19),
    "closeComplaint": (1, 22),
    "reopenComplaint": (1, 20),
    "nameAccusedEmployee": (1, 17),
    "createComplaintPolicy": (0, 6),
    "activateComplaintPolicy": (0, 2),
    "createBusinessCalendar": (0, 3),
    "updateBusinessCalendar": (0, 1),
}


async def test_what_it_costs(system: System, unique: str) -> None:
    """Given ten complaints of as many customers, then lists cost what they cost for one."""
    manager, sun, wei = f"rm-{unique}", officer(system, f"sun-{unique}"), officer(system, f"wei-{unique}")
    rm, he = system.caller(manager, "relationship_manager"), system.caller("he", "administrator")
    customers = [await looked_after(system, manager) for _ in range(10)]
    ids: list[str] = []
    for customer in customers:
        new = NewComplaint(customer, ComplaintTopic.FEES, ComplaintChannel.PHONE, "Twice!")
        async with system.edge.database.write() as session:
            row = await file_complaint(session, new, employee=None, now=utc_now())
        ids.append(global_id("Complaint", row.id))
    id, today = ids[0], (utc_now() + timedelta(hours=8)).date().isoformat()
    given = {"topic": "FEES", "text": "x", "customerId": global_id("Customer", customers[0])}
    policy = nodes(await he.ask(POLICIES), "complaintPolicies")[0]
    calendar = nodes(await he.ask(CALENDARS), "businessCalendars")[0]
    found = {
        "complaints": await cost(system, sun, COMPLAINTS, first=10),
        "complaints of a manager": await cost(system, rm, COMPLAINTS, first=10),
        "complaint": await cost(system, sun, COMPLAINT, id=id),
        "complaintCauses": await cost(system, sun, CAUSES, by=["CAUSE"]),
        "businessCalendars": await cost(system, sun, CALENDARS),
        "complaintPolicies": await cost(system, sun, POLICIES),
        "tasks of complaints": await cost(system, sun_as_manager(system, unique), COMPLAINT_TASKS),
        "fileComplaint": await cost(system, sun, FILE, input=given),
        "assignComplaint": await cost(system, sun, ASSIGN, id=id),
        "answerComplaint": await cost(system, sun, ANSWER, id=id, text="Hello"),
        "pauseComplaint": await cost(system, sun, PAUSE, id=id),
        "resumeComplaint": await cost(system, sun, RESUME, id=id),
        "extendComplaint": await cost(system, sun, EXTEND, id=id),
        "decideComplaintExtension": await cost(system, wei, DECIDE, id=id),
        "handOff": await cost(system, sun, HAND_OFF, id=id, to=f"wei-{unique}"),
        "declineHandOff": await cost(system, wei, DECLINE, id=id),
    }
    await sun.ask(HAND_OFF, id=id, to=f"wei-{unique}")
    found |= {
        "acceptHandOff": await cost(system, wei, ACCEPT, id=id),
        "nameAccusedEmployee": await cost(system, wei, NAME, id=id, who=f"x-{unique}"),
        "closeComplaint": await cost(system, wei, CLOSE, id=id, on=today),
        "reopenComplaint": await cost(system, wei, REOPEN, id=id),
        "createComplaintPolicy": await cost(system, he, CREATE_POLICY, definition=policy["definition"]),
        "activateComplaintPolicy": await cost(system, he, ACTIVATE_POLICY, id=policy["id"]),
        "createBusinessCalendar": await cost(system, he, CREATE_CALENDAR, definition={}),
        "updateBusinessCalendar": await cost(
            system, he, UPDATE_CALENDAR, id=calendar["id"], definition=calendar["definition"]
        ),
    }
    lin = await system.customer(f"lin-{unique}")
    found["fileComplaint (one's own)"] = await cost(system, lin, FILE, input={"topic": "FEES", "text": "x"})
    assert found == COSTS


def sun_as_manager(system: System, unique: str) -> Caller:
    return system.caller(f"sun-{unique}", "relationship_manager")
