"""Registrations that somebody else cancels, over GraphQL: points come back, the next moves up, and it is told."""

import pytest
from sqlmodel import select

from api.relay import global_id
from core.audit import AuditEntry
from tests.api.conftest import System
from tests.api.test_checkin import make_host
from tests.api.test_denials import state
from tests.api.test_event_registrations import crowd, make_list, notices, points, register
from tests.api.test_way_through import local_of
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

CANCEL = """
mutation($input: CancelRegistrationInput!) {
  cancelRegistration(input: $input) {
    ... on CancelRegistrationSuccess { registration { status paid customer { id } } }
    ... on Refusal { code path }
  }
}
"""
TOLD = "{ viewer { notifications(first: 1) { edges { node { kind title body } } } } }"


async def test_a_host_cancels_a_paid_place_with_a_reason(system: System, unique: str) -> None:
    """Given a paid place and somebody who waits; when a host cancels it; then points are back and the next has it."""
    people = await crowd(system, unique, "owner", "host", "lin", "wu")
    lin, wu = (global_id("Customer", local_of(f"{name}-{unique}")) for name in ("lin", "wu"))
    event = await make_list(system, f"owner-{unique}", price_points=60, offer_hours=0)
    await make_host(system, event, f"host-{unique}")
    for name in ("lin", "wu"):
        await give(system.edge.database, local_of(f"{name}-{unique}"), 60)
        await register(people[name], event)
    mine = {"eventId": global_id("Event", event), "customerId": lin, "reason": "The hall is smaller"}

    before = await state(system)
    for intruder, whose in (("lin", wu), ("wu", lin)):
        refused = await people[intruder].ask(CANCEL, input={**mine, "customerId": whose})
        assert refused["cancelRegistration"] == {"code": "NOT_FOUND", "path": ["input", "eventId"]}
    for reason in (None, "", "x" * 501):
        bad = await people["host"].fail(CANCEL, input={**mine, "reason": reason})
        assert (bad["extensions"]["reason"], bad["extensions"]["inputPath"]) == ("REASON_INVALID", ["reason"])
    assert await state(system) == before

    done = (await people["host"].ask(CANCEL, input=mine))["cancelRegistration"]["registration"]
    assert done == {"status": "CANCELLED", "paid": False, "customer": {"id": lin}}
    for _ in range(3):
        await system.work()
    assert [await points(system, local_of(f"{name}-{unique}")) for name in ("lin", "wu")] == [60, 0]
    assert await notices(system, local_of(f"lin-{unique}")) == ["REGISTRATION_CANCELLED"]
    assert await notices(system, local_of(f"wu-{unique}")) == ["PLACE_GIVEN"]
    (told,) = (await people["lin"].ask(TOLD))["viewer"]["notifications"]["edges"]
    assert told["node"]["title"] == "Your registration for Photo walk was cancelled"
    assert told["node"]["body"].endswith("The hall is smaller")
    subject = AuditEntry.subject == f"Customer:{local_of(f'lin-{unique}')}"
    async with system.edge.database.read() as session:
        (entry,) = (await session.exec(select(AuditEntry).where(subject))).all()
    assert (entry.action, entry.reason) == ("REGISTRATION_CANCELLED", "The hall is smaller")
    assert entry.details == {"event_id": event, "status_before": "REGISTERED"}
    own = (await people["wu"].ask(CANCEL, input={**mine, "customerId": wu, "reason": None}))["cancelRegistration"]
    assert own["registration"]["status"] == "CANCELLED"
