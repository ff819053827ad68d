"""Registrations over GraphQL: waiting lists, offers, and prices that are charged and given back exactly once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from api.relay import global_id
from community.access import MemberRole
from community.prices import EVENT_CANCELLED, REGISTRATION_CHARGE
from community.registrations import register_for_event
from core import outbox
from core.clock import iso, utc_now
from core.ids import derived_id, new_id
from graph.client import GraphClient
from loyalty.charges import EventCharge
from loyalty.ledger import AccountKind, LedgerPosting, balances
from loyalty.trial_balance import trial_balance
from service.notifications import Notification
from tests.api.conftest import Caller, System
from tests.api.test_denials import MISSING, state
from tests.api.test_way_through import local_of
from tests.community.happenings import backdate_offer
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.loyalty.accounts import give
from worker.handlers import HANDLERS, settle
from worker.sweeps import relay_owed
from worker.work import Stores, Work

pytestmark = pytest.mark.anyio

REGISTRATION = """
registration {
  id status channel guests position offerExpiresAt pricePoints paid event { registeredCount } customer { displayName }
}
"""
REGISTER = (
    """
mutation($input: RegisterForEventInput!) {
  registerForEvent(input: $input) {
    __typename ... on RegisterForEventSuccess { """
    + REGISTRATION
    + """ } ... on Refusal { code path message } } }
"""
)
CONFIRM = (
    """
mutation($id: ID!) {
  confirmRegistration(input: {eventId: $id}) {
    __typename ... on ConfirmRegistrationSuccess { """
    + REGISTRATION
    + """ } ... on Refusal { code path } } }
"""
)
CANCEL = (
    """
mutation($id: ID!) {
  cancelRegistration(input: {eventId: $id}) {
    __typename ... on CancelRegistrationSuccess { """
    + REGISTRATION
    + """ } ... on Refusal { code path } } }
"""
)
REORDER = (
    """
mutation($input: ReorderWaitlistInput!) {
  reorderWaitlist(input: $input) {
    __typename ... on ReorderWaitlistSuccess { """
    + REGISTRATION
    + """ } ... on Refusal { code path } } }
"""
)
MINE = "{ viewer { registrations(first: 50) { edges { node { status position event { title } } } } } }"
PROVENANCE = """
query($id: ID!) {
  postingProvenance(postingId: $id) {
    posting { kind }
    cause { __typename ... on EventCause { refunded event { id } } }
    lots { points origin { cause { __typename } } }
  }
}
"""
SET = "MATCH (e:Event {id: $id}) SET e += $properties"


async def make_list(system: System, owner: str, **properties: Any) -> str:
    """An event of a community that `owner` runs; returns its local id."""
    community = await make_community(system.edge.graph, owner_id=local_of(owner))
    names = {"capacity": properties.pop("capacity", 1), "starts_at": properties.pop("start", None)}
    event = await make_event(system.edge.graph, community, **names)
    await system.edge.graph.write(SET, id=event, properties=properties)
    return event


async def crowd(system: System, unique: str, *names: str) -> dict[str, Caller]:
    return {name: await system.customer(f"{name}-{unique}") for name in names}


async def register(caller: Caller, event: str, **more: Any) -> dict[str, Any]:
    answer = await caller.ask(REGISTER, input={"eventId": global_id("Event", event), **more})
    return answer["registerForEvent"].get("registration") or answer["registerForEvent"]


async def cancel(caller: Caller, event: str) -> dict[str, Any]:
    answer = await caller.ask(CANCEL, id=global_id("Event", event))
    return answer["cancelRegistration"].get("registration") or answer["cancelRegistration"]


async def confirm(caller: Caller, event: str) -> dict[str, Any]:
    answer = await caller.ask(CONFIRM, id=global_id("Event", event))
    return answer["confirmRegistration"].get("registration") or answer["confirmRegistration"]


async def notices(system: System, customer_id: str) -> list[str]:
    statement = select(Notification).where(Notification.customer_id == customer_id)
    async with system.edge.database.read() as session:
        rows = (await session.exec(statement.order_by(col(Notification.created_at)))).all()
    return [row.kind for row in rows]


async def points(system: System, customer_id: str) -> int:
    async with system.edge.database.read() as session:
        return (await balances(session, customer_id))[AccountKind.AVAILABLE]


async def test_from_the_waiting_list_to_a_confirmed_place(system: System, unique: str) -> None:
    """Given a full event, when a seat is freed, then the first is offered it, confirms it, and the list moves up."""
    people = await crowd(system, unique, "owner", "lin", "wu", "sun")
    event = await make_list(system, f"owner-{unique}")
    assert (await register(people["lin"], event))["status"] == "REGISTERED"
    waiting = [await register(people[name], event) for name in ("wu", "sun")]
    assert [(one["status"], one["position"]) for one in waiting] == [("WAITING", 1), ("WAITING", 2)]
    assert (await register(people["sun"], event))["position"] == 2
    refused = await register(await system.customer(f"no-{unique}"), event, waitlist=False)
    assert (refused["code"], refused["path"]) == ("EVENT_FULL", ["input", "eventId"])
    assert (await cancel(people["lin"], event))["status"] == "CANCELLED"
    mine = (await people["wu"].ask(MINE))["viewer"]["registrations"]["edges"]
    assert [(edge["node"]["status"], edge["node"]["position"]) for edge in mine] == [("OFFERED", None)]
    await system.work()
    assert await notices(system, local_of(f"wu-{unique}")) == ["PLACE_OFFERED"]
    assert (await confirm(people["sun"], event))["code"] == "NO_OFFER"
    confirmed = await confirm(people["wu"], event)
    assert (confirmed["status"], confirmed["offerExpiresAt"]) == ("REGISTERED", None)
    assert confirmed["event"]["registeredCount"] == 1
    assert (await register(people["sun"], event))["position"] == 1
    assert (await cancel(people["sun"], event))["status"] == "CANCELLED"


async def test_a_lost_offer_goes_to_the_next_by_the_worker(system: System, unique: str) -> None:
    """Given an offer whose time is over, when two sweeps run, then it ended once and the next has one."""
    people = await crowd(system, unique, "owner", "lin", "wu", "sun")
    event = await make_list(system, f"owner-{unique}")
    for name in ("lin", "wu", "sun"):
        await register(people[name], event)
    await cancel(people["lin"], event)
    await backdate_offer(system.edge.graph, event, local_of(f"wu-{unique}"))
    assert (await confirm(people["wu"], event))["code"] == "OFFER_EXPIRED"
    for _ in range(2):
        await system.work()
    assert await notices(system, local_of(f"wu-{unique}")) == ["PLACE_OFFERED", "OFFER_EXPIRED"]
    assert await notices(system, local_of(f"sun-{unique}")) == ["PLACE_OFFERED"]
    assert (await confirm(people["sun"], event))["status"] == "REGISTERED"
    assert (await confirm(people["wu"], event))["code"] == "OFFER_EXPIRED"


async def test_guests_channels_and_windows(system: System, unique: str) -> None:
    """Given a hybrid event with guests, then each wish is weighed, and every refusal names its field."""
    people = await crowd(system, unique, "owner", "lin", "wu")
    event = await make_list(
        system, f"owner-{unique}", capacity=3, attendance_mode="HYBRID", guests_allowed=4, link_capacity=50
    )
    lin, wu = people["lin"], people["wu"]
    for more, code, path in (
        ({"guests": 5}, "GUESTS_NOT_ALLOWED", ["input", "guests"]),
        ({"guests": 3}, "GUESTS_NOT_ALLOWED", ["input", "guests"]),
    ):
        refused = await register(lin, event, **more)
        assert (refused["code"], refused["path"]) == (code, path)
    bad = await lin.fail(REGISTER, input={"eventId": global_id("Event", event), "guests": -1})
    assert (bad["extensions"]["code"], bad["extensions"]["inputPath"]) == ("BAD_USER_INPUT", ["guests"])
    first = await register(lin, event, guests=2)
    assert (first["channel"], first["guests"], first["event"]["registeredCount"]) == ("PLACE", 2, 3)
    assert (await register(lin, event, guests=2))["id"] == first["id"]
    assert await register(lin, event) == first
    fewer = await register(lin, event, guests=1)
    assert (fewer["id"], fewer["guests"], fewer["event"]["registeredCount"]) == (first["id"], 1, 2)
    assert (await register(wu, event))["event"]["registeredCount"] == 3
    for more, path in (({"guests": 2}, "guests"), ({"guests": 1, "channel": "LINK"}, "channel")):
        refused = await register(lin, event, **more)
        assert (refused["code"], refused["path"]) == ("ALREADY_REGISTERED", ["input", path])
    assert (await cancel(wu, event))["event"]["registeredCount"] == 2
    assert (await register(lin, event, guests=2))["event"]["registeredCount"] == 3
    assert (await register(wu, event, channel="LINK"))["channel"] == "LINK"
    for properties, code in (
        ({"registration_opens_at": iso(utc_now() + timedelta(hours=1))}, "REGISTRATION_NOT_YET_OPEN"),
        ({"registration_closes_at": iso(utc_now() - timedelta(hours=1))}, "REGISTRATION_CLOSED"),
        ({"minimum_tier": "VIP"}, "NOT_ELIGIBLE"),
        ({"required_tags": ["interest:tea"]}, "NOT_ELIGIBLE"),
        ({"attendance_mode": "IN_PERSON"}, "CHANNEL_NOT_OFFERED"),
    ):
        other = await make_list(system, f"owner-{unique}", **properties)
        assert (await register(wu, other, channel="LINK" if "attendance_mode" in properties else None))["code"] == code
    started = await make_list(system, f"owner-{unique}")
    await register(wu, started)
    await system.edge.graph.write(SET, id=started, properties={"starts_at": iso(utc_now() - timedelta(hours=1))})
    assert (await cancel(wu, started))["code"] == "CANCELLED_TOO_LATE"


async def test_a_price_is_charged_explained_and_given_back_once(system: System, unique: str) -> None:
    """Given 100 points and a price of 60, then they are booked at once, explained, and back after a cancellation."""
    people = await crowd(system, unique, "owner", "lin")
    lin, me = people["lin"], local_of(f"lin-{unique}")
    await give(system.edge.database, me, 100)
    event = await make_list(system, f"owner-{unique}", price_points=60)
    paid = await register(lin, event)
    assert (paid["status"], paid["pricePoints"], paid["paid"]) == ("REGISTERED", 60, True)
    assert await points(system, me) == 40
    assert (await register(lin, event))["paid"] is True
    await system.work()
    assert await points(system, me) == 40
    charge = await charge_row(system, event, me)
    cause = {"__typename": "EventCause", "refunded": False, "event": {"id": global_id("Event", event)}}
    why = (await lin.ask(PROVENANCE, id=global_id("Posting", charge.posting_id or "")))["postingProvenance"]
    assert why["posting"]["kind"] == "REDEEM"
    assert why["cause"] == cause
    assert why["lots"] == [{"points": 60, "origin": {"cause": {"__typename": "OtherCause"}}}]
    for _ in range(2):
        assert (await cancel(lin, event))["paid"] is False
        for _ in range(2):
            await system.work()
        assert await points(system, me) == 100
    charge = await charge_row(system, event, me)
    why = (await lin.ask(PROVENANCE, id=global_id("Posting", charge.refund_id or "")))["postingProvenance"]
    assert (why["posting"]["kind"], why["cause"]) == ("REFUND", {**cause, "refunded": True})
    assert [lot["points"] for lot in why["lots"]] == [-60]
    assert (await register(lin, event))["paid"] is True
    assert await points(system, me) == 40


async def charge_row(system: System, event_id: str, customer_id: str, sequence: int = 1) -> EventCharge:
    async with system.edge.database.read() as session:
        return await session.get_one(EventCharge, derived_id("event_charge", event_id, customer_id, str(sequence)))


async def test_too_few_points_free_the_seat_for_the_next(system: System, unique: str) -> None:
    """Given one seat and 59 points for a price of 60, then the seat goes to who waits, and no point is gone."""
    people = await crowd(system, unique, "owner", "poor", "rich")
    poor, rich = local_of(f"poor-{unique}"), local_of(f"rich-{unique}")
    await give(system.edge.database, poor, 59)
    await give(system.edge.database, rich, 60)
    event = await make_list(system, f"owner-{unique}", price_points=60, offer_hours=0)
    refused = await register(people["poor"], event)
    assert refused["code"] == "INSUFFICIENT_POINTS"
    assert (await points(system, poor), await registered(system.edge.graph, event)) == (59, 0)
    assert (await register(people["rich"], event))["paid"] is True
    assert (await register(people["poor"], event))["status"] == "WAITING"
    await cancel(people["rich"], event)
    # The worker is told of the promotion, finds too few points, and takes the seat back.
    for _ in range(3):
        await system.work()
    assert (await points(system, poor), await points(system, rich)) == (59, 60)
    assert await registered(system.edge.graph, event) == 0
    assert await notices(system, poor) == ["PLACE_GIVEN", "PAYMENT_FAILED"]


async def registered(graph: GraphClient, event_id: str) -> int:
    return (await graph.read("MATCH (e:Event {id: $id}) RETURN e.registered AS seats", id=event_id))[0]["seats"]


@pytest.mark.parametrize("funds", [60, 59])
async def test_a_request_that_died_between_seat_and_debit_is_finished_once(
    system: System, unique: str, funds: int
) -> None:
    """Given a seat without its debit, when the owed charge is settled twice, then it is paid once or the seat free."""
    await system.customer(f"owner-{unique}")
    graph, database = system.edge.graph, system.edge.database
    (customer,) = await make_customers(graph, 1)
    await give(database, customer, funds)
    event = await make_list(system, f"owner-{unique}", price_points=60)
    standing = await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    assert standing.charge is not None
    stores = Stores(database, graph)
    await relay_owed(stores)
    row_id = derived_id("outbox", REGISTRATION_CHARGE, standing.charge.key)
    assert [await settle(stores, row_id) for _ in range(2)] == [True, False]
    for _ in range(2):
        await system.work()
    for _ in range(2):
        async with database.write() as session:
            payload = standing.charge.payload
            await HANDLERS[REGISTRATION_CHARGE](Work(session, graph, standing.charge.key, payload, utc_now()))
    row = (await graph.read("MATCH ()-[r:REGISTERED_FOR {key: $k}]->() RETURN r", k=f"{event}:{customer}"))[0]["r"]
    expected = ("REGISTERED", True, 0) if funds == 60 else ("CANCELLED", False, 59)
    assert (row["status"], row["paid"], await points(system, customer)) == expected
    assert await registered(graph, event) == (1 if funds == 60 else 0)
    postings = select(LedgerPosting).where(col(LedgerPosting.key).contains(f"event:{event}"))
    async with database.read() as session:
        assert len((await session.exec(postings)).all()) == (1 if funds == 60 else 0)
        proof = await trial_balance(session)
    assert (proof.total, proof.unbalanced_postings) == (0, [])


async def test_a_seat_given_back_before_its_debit_is_never_paid(system: System, unique: str) -> None:
    """Given a seat without its debit, when it is cancelled and everything is settled, then no point has moved."""
    await system.customer(f"owner-{unique}")
    lin, me = await system.customer(f"lin-{unique}"), local_of(f"lin-{unique}")
    await give(system.edge.database, me, 60)
    event = await make_list(system, f"owner-{unique}", price_points=60)
    standing = await register_for_event(system.edge.graph, event_id=event, customer_id=me, now=utc_now())
    assert standing.charge is not None
    await cancel(lin, event)
    stores = Stores(system.edge.database, system.edge.graph)
    await relay_owed(stores)
    await settle(stores, derived_id("outbox", REGISTRATION_CHARGE, standing.charge.key))
    await system.work()
    assert await points(system, me) == 60
    assert (await register(lin, event))["paid"] is True
    assert await points(system, me) == 0


async def test_a_cancelled_event_gives_everything_back(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin", "wu")
    event = await make_list(system, f"owner-{unique}", capacity=5, price_points=10)
    for name in ("lin", "wu"):
        await give(system.edge.database, local_of(f"{name}-{unique}"), 10)
        await register(people[name], event)
    await system.edge.graph.write(SET, id=event, properties={"status": "CANCELLED"})
    async with system.edge.database.write() as session:
        payload = {"event_id": event}
        await outbox.owe(session, topic=EVENT_CANCELLED, key=event, payload=payload, now=utc_now())
    for _ in range(2):
        await system.work()
    assert [await points(system, local_of(f"{name}-{unique}")) for name in ("lin", "wu")] == [10, 10]
    mine = "{ viewer { registrations { edges { node { paid pricePoints } } } } }"
    seen = (await people["lin"].ask(mine))["viewer"]["registrations"]["edges"]
    assert seen == [{"node": {"paid": False, "pricePoints": 10}}]


async def test_a_private_communitys_event_takes_its_members_only(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "member", "banned", "outsider")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(f"owner-{unique}"), visibility="PRIVATE")
    await add_member(graph, community, local_of(f"member-{unique}"), MemberRole.MEMBER)
    await add_member(graph, community, local_of(f"banned-{unique}"), MemberRole.BANNED)
    event = await make_event(graph, community, capacity=1)
    before = await state(system)
    for name in ("banned", "outsider"):
        refused = await register(people[name], event)
        assert refused == await register(people[name], new_id())
        assert refused["code"] == "NOT_FOUND"
        assert (await confirm(people[name], event))["code"] == "NOT_FOUND"
        assert (await cancel(people[name], event))["code"] == "NOT_FOUND"
    assert await state(system) == before
    assert (await register(people["member"], event))["status"] == "REGISTERED"


@pytest.mark.parametrize("document", [CONFIRM, CANCEL])
async def test_acts_need_a_sign_in_a_profile_and_an_id(system: System, unique: str, document: str) -> None:
    before = await state(system)
    target = global_id("Event", MISSING)
    assert (await system.caller(None).fail(document, id=target))["extensions"]["code"] == "UNAUTHENTICATED"
    stranger = await system.caller(f"new-{unique}", "customer").ask(document, id=target)
    assert next(iter(stranger.values()))["code"] == "NOT_SIGNED_UP"
    assert await state(system) == before
    bad = await (await system.customer(f"c-{unique}")).fail(document, id="nonsense")
    assert bad["extensions"]["inputPath"][-1] == "eventId"


async def test_many_requests_at_once_are_charged_once_and_refunded_once(system: System, unique: str) -> None:
    people = await crowd(system, unique, "owner", "lin")
    lin, me = people["lin"], local_of(f"lin-{unique}")
    await give(system.edge.database, me, 100)
    event = await make_list(system, f"owner-{unique}", price_points=60)
    answers = await asyncio.gather(*(register(lin, event) for _ in range(8)))
    assert {(answer["status"], answer["paid"]) for answer in answers} == {("REGISTERED", True)}
    assert (await points(system, me), await registered(system.edge.graph, event)) == (40, 1)
    await asyncio.gather(*(cancel(lin, event) for _ in range(8)))
    await system.work()
    assert (await points(system, me), await registered(system.edge.graph, event)) == (100, 0)


async def test_points_booked_while_the_event_was_cancelled_go_back(system: System, unique: str) -> None:
    """Given a debit that is booked after the event was cancelled, when the seat cannot be marked, then it is undone."""
    await system.customer(f"owner-{unique}")
    graph, database = system.edge.graph, system.edge.database
    (customer,) = await make_customers(graph, 1)
    await give(database, customer, 60)
    event = await make_list(system, f"owner-{unique}", price_points=60)
    standing = await register_for_event(graph, event_id=event, customer_id=customer, now=utc_now())
    assert standing.charge is not None
    stores = Stores(database, graph)
    await relay_owed(stores)
    await settle(stores, derived_id("outbox", REGISTRATION_CHARGE, standing.charge.key))
    assert await points(system, customer) == 0
    await graph.write(SET, id=event, properties={"status": "CANCELLED"})
    await system.work()
    assert await points(system, customer) == 60
