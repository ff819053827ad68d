"""Store round trips of registrations, waiting lists and check-in: counted, and the same however many there are."""

from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from tests.api.conftest import Caller, System
from tests.api.test_checkin import BATCH, CHECK_IN, CODE
from tests.api.test_event_registrations import (
    CANCEL,
    CONFIRM,
    MINE,
    PROVENANCE,
    REGISTER,
    REORDER,
    charge_row,
    crowd,
    make_list,
    register,
)
from tests.api.test_messages import SEND
from tests.api.test_round_trips import cost, spared
from tests.api.test_way_through import local_of
from tests.community.places import soon
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

# (round trips to the graph, statements to SQL); the viewer's profile is one of the latter.
COSTS = {
    "registerForEvent": (5, 1),
    "registerForEvent (to wait)": (6, 1),
    "registerForEvent (again)": (4, 1),
    "cancelRegistration": (5, 1),
    "cancelRegistration (and offer)": (11, 1),
    "confirmRegistration": (5, 1),
    "reorderWaitlist": (10, 1),
    "registerForEvent (and pay)": (7, 11),
    "checkIn": (4, 1),
    "checkInBatch (1)": (3, 1),
    "checkInBatch (3)": (3, 1),
    "messageRegistrants": (5, 1),
    "code": (2, 1),
    "provenance": (1, 6),
}


async def test_the_cost_of_each_act(system: System, unique: str) -> None:
    names = ("owner", "lin", "wu", "sun", "an", "bo", "ca")
    people = await crowd(system, unique, *names)
    owner, lin, wu = people["owner"], people["lin"], people["wu"]
    event = await make_list(system, f"owner-{unique}", start=soon())
    target = global_id("Event", event)
    found: dict[str, tuple[int, int]] = {}
    wish: dict[str, Any] = {"input": {"eventId": target}}
    found["registerForEvent"] = await cost(system, lin, REGISTER, **wish)
    found["registerForEvent (again)"] = await cost(system, lin, REGISTER, **wish)
    found["registerForEvent (to wait)"] = await cost(system, wu, REGISTER, **wish)
    found["cancelRegistration (and offer)"] = await cost(system, lin, CANCEL, id=target)
    found["confirmRegistration"] = await cost(system, wu, CONFIRM, id=target)
    found["cancelRegistration"] = await cost(system, wu, CANCEL, id=target)
    for name in ("lin", "wu", "sun"):
        await register(people[name], event)
    move = {"eventId": target, "position": 1, "reason": "Why not"}
    move["customerId"] = global_id("Customer", local_of(f"sun-{unique}"))
    found["reorderWaitlist"] = await cost(system, owner, REORDER, input=move)
    await give(system.edge.database, local_of(f"an-{unique}"), 60)
    priced = await make_list(system, f"owner-{unique}", price_points=60)
    paid: dict[str, Any] = {"input": {"eventId": global_id("Event", priced)}}
    found["registerForEvent (and pay)"] = await cost(system, people["an"], REGISTER, **paid)
    words = {"eventId": target, "textZh": "请带伞", "textEn": "Bring an umbrella"}
    found["messageRegistrants"] = await cost(system, owner, SEND, input=words)
    found["code"] = await cost(system, lin, CODE, event=target)
    shown = (await lin.ask(CODE, event=target))["event"]["viewerRegistration"]["checkInCode"]["code"]
    found["checkIn"] = await cost(system, owner, CHECK_IN, input={"code": shown})
    many = await make_list(system, f"owner-{unique}", capacity=9, start=soon())
    for name in ("lin", "wu", "sun", "an"):
        await register(people[name], many)
    found["checkInBatch (1)"] = await cost(system, owner, BATCH, items=lines(many, unique, "an"))
    found["checkInBatch (3)"] = await cost(system, owner, BATCH, items=lines(many, unique, "lin", "wu", "sun"))
    charge = await charge_row(system, priced, local_of(f"an-{unique}"))
    posting = global_id("Posting", charge.posting_id or "")
    found["provenance"] = await cost(system, people["an"], PROVENANCE, id=posting)
    assert found == COSTS


def lines(event: str, unique: str, *names: str) -> list[dict[str, Any]]:
    return [
        {
            "key": name,
            "eventId": global_id("Event", event),
            "customerId": global_id("Customer", local_of(f"{name}-{unique}")),
            "checkedInAt": iso(utc_now()),
        }
        for name in names
    ]


WAITLISTS = """
query($id: ID!) {
  community(id: $id) { events(first: 20) { edges { node {
    waitlist(first: 5) { edges { node { position customer { displayName } } } }
  } } } }
}
"""
REGISTRATIONS = """
query($id: ID!) {
  community(id: $id) { events(first: 20) { edges { node {
    registrations(first: 5) { edges { node { status position customer { displayName } } } }
  } } } }
}
"""


async def wait_all(people: dict[str, Caller], event: str, *names: str) -> None:
    for name in names:
        await register(people[name], event)


async def test_lists_of_many_events_are_read_together(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin", "wu")
    event = await make_list(system, f"owner-{unique}")
    owner = people["owner"]
    community = (await owner.ask(COMMUNITY, id=global_id("Event", event)))["event"]["community"]["id"]
    await wait_all(people, event, "lin", "wu")
    one = [await cost(system, owner, document, id=community) for document in (WAITLISTS, REGISTRATIONS)]
    for _ in range(3):
        more = await make_list(system, f"owner-{unique}")
        await system.edge.graph.write(MOVE, e=more, c=event)
        await wait_all(people, more, "lin", "wu")
    assert [await cost(system, owner, document, id=community) for document in (WAITLISTS, REGISTRATIONS)] == one
    alone = await spared(system)
    assert one == [(7 - alone, 1), (8 - alone, 1)]
    await wait_all(people, await make_list(system, f"owner-{unique}"), "wu", "lin")
    few = await cost(system, people["lin"], MINE)
    await wait_all(people, await make_list(system, f"owner-{unique}"), "wu", "lin")
    assert await cost(system, people["lin"], MINE) == few == (3, 1)


COMMUNITY = "query($id: ID!) { event(id: $id) { community { id } } }"
MOVE = """
MATCH (x:Community)-[h:HOSTS]->(e:Event {id: $e}), (c:Community)-[:HOSTS]->(:Event {id: $c})
DELETE h
CREATE (c)-[:HOSTS]->(e)
SET e.community_id = c.id
"""
