"""What an import leaves alone: a file that is sent again undoes nothing that people have done in between."""

from datetime import timedelta

import pytest
from sqlmodel import select

from community.access import MemberRole
from community.bans import ban_member
from community.charters import update_community
from community.event_changes import cancel_event
from community.participation import community_id, event_id, role_after
from community.registrations import register_for_event
from core.clock import iso, utc_now
from core.ids import derived_id
from customers.access import managers_of
from customers.care import customers_of, served_by
from customers.importer import ImportBatch, ImportRejection
from graph.client import GraphClient
from loyalty.charges import ChargeStatus, EventCharge, charge_event
from tests.customers.test_imports import (
    Imports,
    community,
    customer,
    event,
    imports,
    lines,
    make_program,
    membership,
    referral,
    registration,
)
from tests.loyalty.accounts import give
from worker.sweeps import relay_owed, sweep_outbox
from worker.work import Stores

__all__ = ["imports"]

pytestmark = pytest.mark.anyio

PEOPLE = ["owner", "moderator", "banned", "member"]
SOON = {
    "starts_at": iso(utc_now() + timedelta(days=3)),
    "ends_at": iso(utc_now() + timedelta(days=3, hours=2)),
}
ROLES = "MATCH (x:Customer)-[m:MEMBER_OF]->(:Community {id: $id}) RETURN x.id AS id, m.role AS role, m.reason AS reason"
EVENT = "MATCH (c)-[:HOSTS]->(e:Event {id: $id}) RETURN e.status AS status, e.registered AS seats, c.id AS host"


async def settle(imports: Imports) -> None:
    for _ in range(3):
        await relay_owed(Stores(imports.database, imports.graph))
        await sweep_outbox(Stores(imports.database, imports.graph))


def file(**of_event: str) -> bytes:
    return lines(
        *(customer(name) for name in PEOPLE),
        community("k"),
        membership("owner", "k", role="OWNER"),
        membership("moderator", "k"),
        membership("banned", "k"),
        membership("member", "k"),
        event("e", "k", **SOON, **of_event),
    )


async def test_a_file_sent_again_opens_nothing_and_lifts_no_ban(imports: Imports, graph: GraphClient) -> None:
    """Given an import, then a closed community, a promotion and a ban; when it is sent again; then all three hold."""
    await imports.run(file())
    people, here = await imports.ids(), community_id(imports.source, "k")
    owner = people["owner"]
    await update_community(graph, {"visibility": "PRIVATE"}, community_id=here, manager_id=owner, now=utc_now())
    await graph.write(
        "MATCH ()-[m:MEMBER_OF {key: $key}]->() SET m.role = 'MODERATOR'", key=f"{here}:{people['moderator']}"
    )
    await ban_member(
        graph, community_id=here, customer_id=people["banned"], moderator_id=owner, reason="Rude", now=utc_now()
    )
    report = await imports.run(file())
    assert report.rejected == 0
    found = {row["id"]: (row["role"], row["reason"]) for row in await graph.read(ROLES, id=here)}
    assert found == {
        owner: ("OWNER", None),
        people["moderator"]: ("MODERATOR", None),
        people["banned"]: ("BANNED", "Rude"),
        people["member"]: ("MEMBER", None),
    }
    rows = await graph.read("MATCH (c:Community {id: $id}) RETURN c.visibility AS v, c.member_count AS n", id=here)
    assert rows == [{"v": "PRIVATE", "n": 3}]


def test_a_row_raises_and_bans_and_does_nothing_else_to_a_role() -> None:
    for role in MemberRole:
        assert role_after(None, role) == role
        assert role_after("BANNED", role) == "BANNED"
        assert role_after("OWNER", role) == "OWNER"
        assert role_after("MANAGER", role) == {"OWNER": "OWNER", "BANNED": "BANNED"}.get(role, "MANAGER")
    assert role_after("PENDING", "MEMBER") == role_after("INVITED", "MEMBER") == "MEMBER"
    assert role_after("MEMBER", "PENDING") == "MEMBER"


async def test_what_is_cancelled_stays_so_and_an_event_stays_with_its_community(
    imports: Imports, graph: GraphClient
) -> None:
    """Given an event that its manager cancelled; when the file comes again, or moves it; then neither happens."""
    await imports.run(file())
    here, target = community_id(imports.source, "k"), event_id(imports.source, "e")
    owner = (await imports.ids())["owner"]
    await cancel_event(graph, event_id=target, reason="Storm", manager_id=owner, now=utc_now())
    await imports.run(file())
    report = await imports.run(lines(community("other"), event("e", "other", **SOON)))
    assert await imports.rejections(report) == [
        (2, "community", "unknown community, or the event is another community's")
    ]
    assert await graph.read(EVENT, id=target) == [{"status": "CANCELLED", "seats": 0, "host": here}]


@pytest.mark.parametrize("by", ["event", "registration"])
async def test_a_cancellation_by_file_gives_points_back(imports: Imports, graph: GraphClient, by: str) -> None:
    """Given a seat that was paid; when a file cancels it or its event; then the points are back, once."""
    await imports.run(file())
    target, member = event_id(imports.source, "e"), (await imports.ids())["member"]
    await graph.write("MATCH (e:Event {id: $id}) SET e.price_points = 10", id=target)
    await give(imports.database, member, 10)
    standing = await register_for_event(graph, event_id=target, customer_id=member, now=utc_now())
    assert standing.charge is not None
    async with imports.database.write() as session:
        await charge_event(session, **standing.charge.payload, now=utc_now())
    await graph.write("MATCH ()-[r:REGISTERED_FOR {key: $key}]->() SET r.paid = true", key=f"{target}:{member}")
    again = file(status="CANCELLED") if by == "event" else lines(registration("member", "e", status="CANCELLED"))
    for _ in range(2):
        await imports.run(again)
        await settle(imports)
    async with imports.database.read() as session:
        charge_id = derived_id("event_charge", target, member, "1")
        charge = (await session.exec(select(EventCharge).where(EventCharge.id == charge_id))).one()
    assert charge.status == ChargeStatus.REFUNDED


async def test_rows_are_held_to_the_limits_of_the_api(imports: Imports) -> None:
    report = await imports.run(
        lines(
            community("a", purpose_zh="字" * 301),
            community("b", tags=["t"] * 11),
            community("k"),
            event("e", "k", venue="v" * 301),
            event("f", "k", starts_at="2026-01-01T00:00:00Z", ends_at="2026-06-01T00:00:00Z"),
        )
    )
    assert report.accepted == 1
    assert [field for _, field, _ in await imports.rejections(report)] == ["purpose_zh", "tags", "venue", ""]


async def test_rejections_of_one_import_are_kept_once(imports: Imports) -> None:
    """Given a referral refused after its batch was written; then it is counted and kept like any other."""
    program = await make_program(imports.database)
    report = await imports.run(
        lines(customer("a"), customer("b"), referral("a", "b", program=program), referral("b", "a", program=program))
    )

    async with imports.database.read() as session:
        kept = (await session.exec(select(ImportRejection).where(ImportRejection.batch_id == report.id))).all()
        stored = await session.get_one(ImportBatch, report.id)
    assert [row.line for row in kept] == [4]
    assert (stored.accepted, stored.rejected) == (3, 1)


async def test_a_manager_who_is_named_anew_takes_the_place_of_the_former_one(imports: Imports) -> None:
    """Given a manager by each of two sources; when one names another, nobody, or says nothing; then that holds."""
    document, other = {"document": f"D{imports.source}"}, f"{imports.source}-b"
    await imports.run(lines(customer("1", relationship_manager="zhou", **document)))
    await imports.run(lines(customer("1", relationship_manager="wu", **document)), source=other)
    (id,) = (await imports.ids()).values()
    for more, expected in (
        ({"relationship_manager": "sun"}, ["sun", "wu"]),
        ({}, ["sun", "wu"]),
        ({"relationship_manager": ""}, ["sun", "wu"]),
        ({"relationship_manager": "wu"}, ["wu"]),
        ({"relationship_manager_ended": True}, ["wu"]),
    ):
        await imports.run(lines(customer("1", **more)))
        assert await managers_of(imports.graph, id) == expected
    assert not await served_by(imports.graph, "zhou", [id])
    assert list(await customers_of(imports.graph, "wu", limit=10_000)).count(id) == 1
    await imports.run(lines(customer("1", relationship_manager_ended=True)), source=other)
    assert await managers_of(imports.graph, id) == []
    report = await imports.run(lines(customer("1", relationship_manager="wu", relationship_manager_ended=True)))
    assert report.rejected == 1
