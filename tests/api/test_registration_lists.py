"""Lists of registrations over GraphQL: the viewer's own, and those of an event for who runs it."""

from datetime import timedelta

import pytest
from sqlmodel import select

from api.relay import global_id
from core.audit import AuditEntry
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import System
from tests.api.test_denials import state
from tests.api.test_event_registrations import REORDER, SET, cancel, crowd, make_list, register
from tests.api.test_way_through import local_of

pytestmark = pytest.mark.anyio

LISTS = """
query($id: ID!, $statuses: [RegistrationStatus!], $channel: Channel! = PLACE, $after: String) {
  event(id: $id) {
    waitlist(first: 2, channel: $channel, after: $after) {
      totalCount edges { cursor node { position customer { displayName } } } pageInfo { hasNextPage endCursor }
    }
    registrations(first: 50, statuses: $statuses) { totalCount edges { node { status customer { displayName } } } }
  }
}
"""
UPCOMING = """
query($statuses: [RegistrationStatus!], $upcoming: Boolean!) {
  viewer {
    registrations(statuses: $statuses, upcoming: $upcoming) { totalCount edges { node { status event { id } } } }
  }
}
"""


async def test_the_viewers_registrations_by_status_and_what_lies_ahead(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin")
    past, ahead, left = [await make_list(system, f"owner-{unique}") for _ in range(3)]
    for event in (past, ahead, left):
        await register(people["lin"], event)
    await cancel(people["lin"], left)
    times = {"starts_at": iso(utc_now() - timedelta(hours=3)), "ends_at": iso(utc_now() - timedelta(hours=1))}
    await system.edge.graph.write(SET, id=past, properties=times)

    async def found(statuses: list[str] | None, *, upcoming: bool) -> list[str]:
        seen = await people["lin"].ask(UPCOMING, statuses=statuses, upcoming=upcoming)
        # Nothing that is kept tells how many one has.
        assert seen["viewer"]["registrations"]["totalCount"] is None
        return [edge["node"]["event"]["id"] for edge in seen["viewer"]["registrations"]["edges"]]

    first, second, third = (global_id("Event", event) for event in (past, ahead, left))
    assert await found(None, upcoming=False) == [third, second, first]
    assert await found(None, upcoming=True) == [third, second]
    assert await found(["REGISTERED", "ATTENDED"], upcoming=False) == [second, first]
    assert await found(["REGISTERED"], upcoming=True) == [second]


async def test_managers_see_and_reorder_the_list_and_nobody_else(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "member", "lin", "wu", "sun", "an")
    event = await make_list(system, f"owner-{unique}")
    for name in ("lin", "wu", "sun", "an"):
        await register(people[name], event)
    target = global_id("Event", event)
    owner = people["owner"]
    seen = (await owner.ask(LISTS, id=target, statuses=["WAITING"]))["event"]
    names = [edge["node"]["customer"]["displayName"] for edge in seen["registrations"]["edges"]]
    assert names == [f"{name}-{unique}"[-20:] for name in ("wu", "sun", "an")]
    assert [edge["node"]["position"] for edge in seen["waitlist"]["edges"]] == [1, 2]
    after = seen["waitlist"]["pageInfo"]["endCursor"]
    rest = (await owner.ask(LISTS, id=target, after=after))["event"]["waitlist"]
    assert [edge["node"]["position"] for edge in rest["edges"]] == [3]
    assert (seen["waitlist"]["totalCount"], rest["totalCount"]) == (3, 3)
    for statuses, count in ((None, 4), (["WAITING", "REGISTERED"], 4), (["REGISTERED"], 1), (["OFFERED"], 0), ([], 0)):
        found = (await owner.ask(LISTS, id=target, statuses=statuses))["event"]["registrations"]
        assert (len(found["edges"]), found["totalCount"]) == (count, count)
    by_link = (await owner.ask(LISTS, id=target, channel="LINK"))["event"]["waitlist"]
    assert (by_link["edges"], by_link["totalCount"]) == ([], 0)
    move = {
        "eventId": target,
        "customerId": global_id("Customer", local_of(f"an-{unique}")),
        "position": 1,
        "reason": "Her flight leaves early",
    }
    before = await state(system)
    for intruder in (people["member"], people["lin"]):
        assert (await intruder.ask(LISTS, id=target))["event"] == {"waitlist": None, "registrations": None}
        assert (await intruder.ask(REORDER, input=move))["reorderWaitlist"]["code"] == "NOT_FOUND"
        absent = {**move, "eventId": global_id("Event", new_id())}
        assert (await intruder.ask(REORDER, input=absent))["reorderWaitlist"]["code"] == "NOT_FOUND"
    seated = {**move, "customerId": global_id("Customer", local_of(f"lin-{unique}"))}
    assert (await owner.ask(REORDER, input=seated))["reorderWaitlist"]["code"] == "NOT_WAITING"
    for field, value in (("position", 0), ("reason", "  ")):
        bad = await owner.fail(REORDER, input={**move, field: value})
        assert (bad["extensions"]["code"], bad["extensions"]["inputPath"]) == ("BAD_USER_INPUT", [field])
    assert await state(system) == before
    moved = (await owner.ask(REORDER, input=move))["reorderWaitlist"]["registration"]
    assert moved["position"] == 1
    await system.work()
    async with system.edge.database.read() as session:
        (entry,) = (
            await session.exec(
                select(AuditEntry).where(
                    AuditEntry.action == "WAITLIST_REORDERED", AuditEntry.actor == local_of(f"owner-{unique}")
                )
            )
        ).all()
    assert (entry.subject, entry.reason) == (f"Customer:{local_of(f'an-{unique}')}", move["reason"])
    assert entry.details == {"event_id": event, "position_before": 3, "position_after": 1}
