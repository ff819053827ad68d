"""Messages to registrants over GraphQL: told in the reader's language, and to nobody by those who may not."""

import pytest

from api.relay import global_id
from tests.api.conftest import System
from tests.api.test_checkin import make_host
from tests.api.test_denials import state
from tests.api.test_event_registrations import SET, cancel, crowd, make_list, register

pytestmark = pytest.mark.anyio

SEND = """
mutation($input: MessageRegistrantsInput!) {
  messageRegistrants(input: $input) {
    ... on MessageRegistrantsSuccess { event { id } }
    ... on Refusal { code path message }
  }
}
"""
TOLD = "{ viewer { notifications(first: 9) { edges { node { kind title body subject { id } } } } } }"


async def test_a_host_tells_those_who_come_in_their_language(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "host", "lin", "wu", "left")
    event = await make_list(system, f"owner-{unique}", capacity=2)
    await system.edge.graph.write(SET, id=event, properties={"title_zh": "外拍"})
    await make_host(system, event, f"host-{unique}")
    await register(people["left"], event)
    await cancel(people["left"], event)
    for name in ("lin", "wu"):
        await register(people[name], event)
    target = global_id("Event", event)
    wish = {"eventId": target, "textZh": "请带伞 {event}", "textEn": "Bring an umbrella"}

    before = await state(system)
    for intruder in ("lin", "left"):
        refused = (await people[intruder].ask(SEND, input=wish))["messageRegistrants"]
        assert (refused["code"], refused["path"]) == ("NOT_FOUND", ["input", "eventId"])
    for field in ("textZh", "textEn"):
        bad = await people["host"].fail(SEND, input={**wish, field: ""})
        assert (bad["extensions"]["reason"], bad["extensions"]["inputPath"]) == ("MESSAGE_INVALID", [field])
    assert await state(system) == before

    assert (await people["host"].ask(SEND, input=wish))["messageRegistrants"] == {"event": {"id": target}}
    for _ in range(2):
        await system.work()
    chinese = system.caller(f"wu-{unique}", "customer", language="zh")
    for caller, title, body in (
        (people["lin"], "A message about Photo walk", "Bring an umbrella"),
        (chinese, "“外拍”的消息", "请带伞 {event}"),
    ):
        (told,) = (await caller.ask(TOLD))["viewer"]["notifications"]["edges"]
        assert told["node"] == {"kind": "EVENT_MESSAGE", "title": title, "body": body, "subject": {"id": target}}
    assert (await people["left"].ask(TOLD))["viewer"]["notifications"]["edges"] == []
    for _ in range(4):
        assert "event" in (await people["owner"].ask(SEND, input=wish))["messageRegistrants"]
    refused = (await people["host"].ask(SEND, input=wish))["messageRegistrants"]
    assert (refused["code"], refused["path"]) == ("TOO_MANY_MESSAGES", ["input", "eventId"])


async def test_only_the_named_statuses_are_told(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin", "wu")
    event = await make_list(system, f"owner-{unique}")
    for name in ("lin", "wu"):
        await register(people[name], event)
    wish = {"eventId": global_id("Event", event), "textZh": "等等", "textEn": "Wait", "statuses": ["WAITING"]}
    assert "event" in (await people["owner"].ask(SEND, input=wish))["messageRegistrants"]
    await system.work()
    kinds = {
        name: [edge["node"]["kind"] for edge in (await people[name].ask(TOLD))["viewer"]["notifications"]["edges"]]
        for name in ("lin", "wu")
    }
    assert kinds == {"lin": [], "wu": ["EVENT_MESSAGE"]}
