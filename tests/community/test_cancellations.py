"""Registrations cancelled by those who run the event: with a reason, told and audited, and only before the start."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from community.access import MemberRole
from community.admissions import ReasonInvalid
from community.cancellations import CancelledTooLate, cancel_for_customer
from community.checkin import AlreadyCheckedIn, check_in
from community.registrations import Standing
from core.clock import iso, utc_now
from core.errors import KinshipError, NotFound
from core.ids import new_id
from graph.client import GraphClient
from tests.community.happenings import name_host, owed_about
from tests.community.places import add_member, make_community, make_customers
from tests.community.waiting import SET, check_moment, make_list, register, snapshot, statuses

pytestmark = pytest.mark.anyio


async def cancel_for(graph: GraphClient, event: str, customer: str, by: str, reason: str | None = "Ill") -> Standing:
    return await cancel_for_customer(
        graph, event_id=event, customer_id=customer, actor_id=by, reason=reason, now=utc_now()
    )


async def owed(graph: GraphClient, event: str) -> list[tuple[str, dict[str, Any]]]:
    return [(row["topic"], orjson.loads(row["payload"])) for row in await owed_about(graph, event)]


async def test_managers_and_hosts_cancel_for_others_who_are_told_why(graph: GraphClient) -> None:
    """Given two seats and a list of two; when a manager and a host cancel both seats, each twice; then both move up."""
    manager, host, *people = await make_customers(graph, 6)
    community = await make_community(graph, owner_id=manager)
    await add_member(graph, community, host, MemberRole.MEMBER)
    event = await make_list(graph, capacity=2, community=community, price_points=60)
    await name_host(graph, event, host)
    for customer in people:
        await register(graph, event, customer)
    for customer, by in zip(people, (manager, host), strict=False):
        for _ in range(2):
            assert (await cancel_for(graph, event, customer, by, "  Ill ")).status == "CANCELLED"
    assert await statuses(graph, event, people) == ["CANCELLED", "CANCELLED", "REGISTERED", "REGISTERED"]
    check_moment(*await snapshot(graph, event))

    effects = await owed(graph, event)
    told = [payload for _, payload in effects if payload.get("kind") == "REGISTRATION_CANCELLED"]
    data = {"event_id": event, "community_id": community, "reason": "Ill"}
    assert sorted(one["customer_id"] for one in told) == sorted(people[:2])
    assert [one["data"] for one in told] == [data, data]
    acts = {payload["subject"]: payload for topic, payload in effects if topic == "act.audited"}
    assert {subject: one["actor"] for subject, one in acts.items()} == {
        f"Customer:{people[0]}": manager,
        f"Customer:{people[1]}": host,
    }
    assert {one["action"] for one in acts.values()} == {"REGISTRATION_CANCELLED"}
    refunded = sorted(payload["customer_id"] for topic, payload in effects if topic == "registration.refund")
    assert refunded == sorted(people[:2])


async def test_nobody_else_cancels_for_others_and_nobody_after_the_start(graph: GraphClient) -> None:
    manager, member, gone, here, seated, waiting = await make_customers(graph, 6)
    community = await make_community(graph, owner_id=manager)
    await add_member(graph, community, member, MemberRole.MODERATOR)
    event = await make_list(graph, capacity=2, community=community)
    await name_host(graph, event, gone)
    for customer in (here, seated, waiting):
        await register(graph, event, customer)

    async def refused(kind: type[KinshipError], path: str, **given: Any) -> None:
        names = {"event": event, "customer": seated, "by": manager, **given}
        before = await snapshot(graph, event), len(await owed(graph, event))
        with pytest.raises(kind) as caught:
            await cancel_for(graph, **names)
        assert caught.value.path == (path,)
        after = await snapshot(graph, event), len(await owed(graph, event))
        for state in (before, after):
            state[0][0].pop("touched_at")
        assert after == before

    for intruder in (member, gone, waiting):
        await refused(NotFound, "eventId", by=intruder)
    await refused(NotFound, "customerId", customer=member)
    for reason in (None, " ", "x" * 501, "a\0b"):
        await refused(ReasonInvalid, "reason", reason=reason)
    with pytest.raises(NotFound):
        await cancel_for(graph, new_id(), seated, manager)
    await graph.write(SET, id=event, properties={"starts_at": iso(utc_now() + timedelta(hours=2))})
    await check_in(graph, event_id=event, customer_id=here, manager_id=manager, now=utc_now())
    await refused(AlreadyCheckedIn, "customerId", customer=here)
    await graph.write(SET, id=event, properties={"starts_at": iso(utc_now() - timedelta(minutes=1))})
    for customer in (seated, here, waiting):
        await refused(CancelledTooLate, "eventId", customer=customer)
