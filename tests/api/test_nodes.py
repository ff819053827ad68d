"""`node(id:)` of what has rules of its own."""

import pytest

from api.relay import global_id
from tests.api.conftest import System
from tests.api.test_event_registrations import crowd, make_list, register
from tests.api.test_way_through import local_of

pytestmark = pytest.mark.anyio


async def test_a_registration_by_its_id_is_for_its_customer_and_those_who_run_the_event(
    system: System, unique: str
) -> None:
    """Given a registration, when node(id:) is asked by all kinds of people, then for others it is not there."""
    people = await crowd(system, unique, "owner", "lin", "wu")
    event = await make_list(system, f"owner-{unique}", capacity=5)
    await register(people["lin"], event)
    document = "query($id: ID!) { node(id: $id) { __typename ... on Registration { status customer { id } } } }"
    key = f"{event}:{local_of(f'lin-{unique}')}"
    mine = (await people["lin"].ask("{ viewer { registrations(first: 1) { edges { node { id } } } } }"))["viewer"]
    assert mine["registrations"]["edges"][0]["node"]["id"] == global_id("Registration", key)
    for name in ("lin", "owner"):
        found = (await people[name].ask(document, id=global_id("Registration", key)))["node"]
        assert (found["__typename"], found["status"]) == ("Registration", "REGISTERED")
    assert await people["wu"].ask(document, id=global_id("Registration", key)) == {"node": None}
    for absent in (event, f"{event}:{local_of(f'wu-{unique}')}", f"{key}:{event}", f"{event}:{event}"):
        assert await people["owner"].ask(document, id=global_id("Registration", absent)) == {"node": None}
    for wrong in (f"{event}:x", ":", f"{event}:"):
        error = await people["owner"].fail(document, id=global_id("Registration", wrong))
        assert error["extensions"]["reason"] == "ID_INVALID"
    error = await people["owner"].fail("query($id: ID!) { event(id: $id) { id } }", id=global_id("Event", key))
    assert error["extensions"]["reason"] == "ID_INVALID"
