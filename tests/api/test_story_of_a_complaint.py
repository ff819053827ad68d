"""One complaint as GraphQL answers tell it: from the words in the app to what was done so that it is good again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.clock import parse_instant, utc_now
from graph.eligibility import Tier
from tests.api.conftest import Caller, System
from tests.api.test_alerts import SERVE, TASKS
from tests.api.test_complaints import (
    ACCEPT,
    ANSWER,
    ASSIGN,
    CLOSE,
    COMPLAINT,
    COMPLAINTS,
    DECIDE,
    DECLINE,
    EXTEND,
    FILE,
    HAND_OFF,
    PAUSE,
    REOPEN,
)
from tests.api.test_service_breaks import BREAKS, RECOVER
from tests.api.test_surveys_api import SUBMIT, SURVEYS
from tests.api.test_way_through import local_of
from tests.service.serving import set_tier
from worker.complaints import sweep_complaints
from worker.work import Stores

pytestmark = pytest.mark.anyio

Look = Callable[[datetime], Awaitable[object]]


@dataclass
class House:
    """Who asks, and what the worker does: it looks at clocks as they stand at an instant, and settles what is owed."""

    customer: Caller
    manager: Caller
    officers: dict[str, Caller]
    stranger: Caller
    look: Look
    settle: Callable[[], Awaitable[None]]

    async def act(self, who: str | None, document: str, **said: Any) -> dict[str, Any]:
        """The complaint after an act of the customer, or of an officer."""
        caller = self.officers[who] if who else self.customer
        (answer,) = (await caller.ask(document, **said)).values()
        assert answer["__typename"] == "ComplaintSuccess", answer
        return answer["complaint"]

    async def seen(self, who: str | None, id: str) -> dict[str, Any]:
        caller = self.officers[who] if who else self.customer
        return (await caller.ask(COMPLAINT, id=id))["complaint"]


def nodes(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in page["edges"]]


def kinds(complaint: dict[str, Any]) -> list[str]:
    return [entry["kind"] for entry in complaint["entries"]]


async def file(house: House) -> str:
    """She complains in the app, and comes first in the queue."""
    filed = await house.act(None, FILE, input={"topic": "FEES", "text": "You charged me twice."})
    assert (filed["viewerIs"], filed["status"], filed["channel"]) == ("COMPLAINANT", "OPEN", "APP")
    assert (filed["owner"], filed["level"]) == (None, None)
    id = filed["id"]
    queue = nodes((await house.officers["sun"].ask(COMPLAINTS, ownership="UNOWNED"))["complaints"])
    assert [(one["id"], one["viewerIs"]) for one in queue] == [(id, "OFFICER")]
    level = queue[0]["level"]
    assert (level["key"], level["isGreenChannel"], level["priority"]) == ("vip", True, 1)
    assert (await house.stranger.ask(COMPLAINT, id=id))["complaint"] is None
    assert (await house.act("sun", ASSIGN, id=id))["viewerIs"] == "OWNER"
    return id


async def warn_and_answer(house: House, id: str) -> None:
    """The first answer is warned of in time, and given; it is waited for what she says, and then gone on with."""
    due = parse_instant((await house.seen("sun", id))["deadlines"]["firstResponse"])
    for _ in range(2):
        await house.look(due - timedelta(seconds=1))
    warned = await house.seen("sun", id)
    assert [(mark["clock"], mark["stage"], mark["isOver"]) for mark in warned["marks"]] == [
        ("FIRST_RESPONSE", "WARNING", False)
    ]
    assert (await house.seen(None, id))["marks"] == []
    answered = await house.act("sun", ANSWER, id=id, text="We look into it.")
    assert answered["deadlines"]["firstRespondedAt"] is not None
    assert [mark["isOver"] for mark in answered["marks"]] == [True]
    paused = await house.act("sun", PAUSE, id=id)
    assert (paused["status"], paused["deadlines"]["solution"]) == ("WAITING", None)
    assert paused["deadlines"]["statutory"] == warned["deadlines"]["statutory"]
    replied = await house.act(None, ANSWER, id=id, text="On Friday.")
    assert (replied["status"], kinds(replied)) == ("OPEN", ["FILED", "ANSWERED", "WAITING", "REPLIED"])


async def hand_off(house: House, id: str, unique: str) -> None:
    """Two say no, one says yes, and until then it is of whom she spoke with first; who goes on has more time."""
    for other in ("chen", "wei"):
        assert (await house.act("sun", HAND_OFF, id=id, to=f"{other}-{unique}"))["handOffTo"] == f"{other}-{unique}"
        assert (await house.act(other, DECLINE, id=id))["owner"] == f"sun-{unique}"
    await house.act("sun", HAND_OFF, id=id, to=f"wei-{unique}")
    accepted = await house.act("wei", ACCEPT, id=id)
    assert (accepted["owner"], accepted["viewerIs"]) == (f"wei-{unique}", "OWNER")
    asked = await house.act("wei", EXTEND, id=id)
    assert (asked["extensionAskedBy"], asked["extensions"]) == (f"wei-{unique}", 0)
    longer = await house.act("sun", DECIDE, id=id)
    assert (longer["extensionAskedBy"], longer["extensions"]) == (None, 1)
    assert longer["deadlines"]["statutory"] > accepted["deadlines"]["statutory"]


async def close(house: House, id: str) -> None:
    """It is closed, opened again by her, and closed for good."""
    today = (utc_now() + timedelta(hours=8)).date().isoformat()
    closed = await house.act("wei", CLOSE, id=id, on=today)
    assert (closed["status"], closed["cause"], closed["toldOn"]) == ("CLOSED", "FEES_UNCLEAR", today)
    told = await house.seen(None, id)
    assert (told["status"], told["cause"], told["entries"][-1]["text"]) == ("CLOSED", None, "We pay it back.")
    again = await house.act(None, REOPEN, id=id)
    assert (again["status"], again["toldOn"], kinds(again)[-1]) == ("OPEN", None, "REOPENED")
    over = await house.act("wei", CLOSE, id=id, on=today)
    assert (over["status"], over["isBreached"]) == ("CLOSED", False)
    assert over["extensions"] == 0 and kinds(over)[-3:] == ["CLOSED", "REOPENED", "CLOSED"]


async def ask_and_repair(house: House, id: str) -> None:
    """She is asked once how it was and says so; her manager sees what broke on the way, and makes it good."""
    for _ in range(3):
        await house.settle()
    (asked,) = nodes((await house.customer.ask(SURVEYS))["surveys"])
    assert (asked["kind"], asked["occasion"]) == ("CSAT", "CASE")
    said = (await house.customer.ask(SUBMIT, id=asked["id"], score=2, comment="Three people!"))["submitSurvey"]
    assert (said["survey"]["score"], said["survey"]["comment"]) == (2, "Three people!")
    await house.settle()
    (broken,) = nodes((await house.manager.ask(BREAKS))["serviceBreaks"])
    assert (broken["status"], broken["rule"]["name"]) == ("OPEN", "A hand-off declined twice in one case")
    assert [fact["kind"] for fact in broken["evidence"]] == ["HAND_OFF_DECLINED"] * 2
    assert (broken["nextSurvey"]["occasion"], broken["nextSurvey"]["score"]) == ("CASE", 2)
    assert [task["kind"] for task in nodes((await house.manager.ask(TASKS))["tasks"])] == ["RECOVERY"]
    note = {"actions": ["APOLOGISED", "EXPLAINED"], "note": "Called her; one person from now on"}
    repaired = (await house.manager.ask(RECOVER, id=broken["id"], **note))["recordRecovery"]["serviceBreak"]
    assert (repaired["status"], repaired["note"]) == ("RECOVERED", note["note"])
    await house.settle()
    assert nodes((await house.manager.ask(TASKS))["tasks"]) == []
    assert nodes((await house.customer.ask(SURVEYS))["surveys"]) == []


async def in_her_language(house: House, id: str) -> None:
    """All of it reads in Chinese, too."""
    chinese = Caller(house.customer.http, {**house.customer.headers, "Accept-Language": "zh"})
    told = (await chinese.ask(COMPLAINT, id=id))["complaint"]
    assert (told["topicText"], told["entries"][-1]["title"]) == ("费用", "办结")


async def test_the_story_of_one_complaint(own_system: System, unique: str) -> None:
    system = own_system
    stores = Stores(system.edge.database, system.edge.graph)
    lin, id = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    await set_tier(system.edge.database, id, Tier.VIP)
    await system.edge.graph.write(SERVE, id=id, rm=f"zhou-{unique}")
    names = ("sun", "wei", "chen")
    house = House(
        customer=lin,
        manager=system.caller(f"zhou-{unique}", "relationship_manager"),
        officers={name: system.caller(f"{name}-{unique}", "complaints_officer") for name in names},
        stranger=await system.customer(f"wu-{unique}"),
        look=lambda at: sweep_complaints(stores, now=at),
        settle=system.work,
    )
    complaint = await file(house)
    await warn_and_answer(house, complaint)
    await hand_off(house, complaint, unique)
    await close(house, complaint)
    await ask_and_repair(house, complaint)
    await in_her_language(house, complaint)
