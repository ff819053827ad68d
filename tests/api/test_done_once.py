"""What is done once for all who send a document, or for all fields of an operation, changes no answer."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.relay import global_id, split_id
from core.coalescing import Coalesced
from core.errors import Unavailable
from core.ids import new_id, opaque
from tests.api.conftest import System
from tests.api.test_reading_ahead import COMMUNITY, make_inside

pytestmark = pytest.mark.anyio

ONE = "query($id: ID!, $after: String) { community(id: $id) { name members(after: $after) { edges { cursor } } } }"
DEFAULT = 'query($id: ID = "x") { node(id: $id) { id } }'


async def test_variables_are_judged_alike_by_whoever_looks_at_them(system: System, unique: str) -> None:
    """Given a document that has run with good variables, and the same with another text; when both are sent others,
    wrong or missing or null or too many; then both answer the same."""
    caller = await system.customer(f"owner-{unique}")
    community = await make_inside(system, f"owner-{unique}", "PUBLIC")
    good: list[dict[str, Any]] = [{"id": community, "after": None}, {"id": community}]
    wrong: list[Any] = [7, 1.5, True, None, [], [community], {}, {"id": community}, "", "x", "é", "a" * 500, community]
    odd = [*({"id": one} for one in wrong), *({"id": community, "after": one} for one in wrong), {}, {"other": 1}]
    for document in (ONE, DEFAULT):
        for sent in good:
            await caller.post(document, {key: value for key, value in sent.items() if f"${key}" in document})
        for number, sent in enumerate([*odd, *good]):
            known = (await caller.post(document, sent)).json()
            unknown = (await caller.post(f"{document} #{number}", sent)).json()
            assert stable(known) == stable(unknown), sent


def stable(answer: dict[str, Any]) -> str:
    """An answer without what differs from one request to the next."""
    for error in answer.get("errors", ()):
        error.get("extensions", {}).pop("requestId", None)
    return json.dumps(answer, sort_keys=True)


TWICE = """
query { viewer { customer { id } communities(first: 2) { edges { node { name } } } } again: viewer { customer { id } } }
"""


class Looks:
    """Who was looked up, each time; it fails while it is told to."""

    def __init__(self, system: System) -> None:
        self.asked: list[Sequence[str]] = []
        self.fails = False
        self._known = system.edge.identities
        system.app.state.edge = replace(system.edge, identities=Coalesced(self.look))

    async def look(self, subjects: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(subjects)
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable(detail="the database did not answer")
        found = {subject: await self._known.ask(subject) for subject in subjects}
        return {subject: local for subject, local in found.items() if local is not None}


async def test_who_asks_is_looked_up_once(system: System, unique: str) -> None:
    """Given a document whose fields ask who the viewer is; when it runs again and again; then each run looks once, also
    for somebody without a profile; and a look that fails is told by each field, and not repeated for each."""
    caller, stranger = await system.customer(unique), system.caller(f"new-{unique}", "customer")
    looks = Looks(system)
    for _ in range(4):
        assert (await caller.ask(TWICE))["again"]["customer"] is not None
    assert len(looks.asked) == 4
    for _ in range(3):
        assert (await stranger.ask(TWICE))["again"] == {"customer": None}
    assert len(looks.asked) == 7
    looks.fails = True
    answer = (await caller.post(TWICE)).json()
    told = Counter(error["extensions"]["code"] for error in answer["errors"])
    assert set(told) == {"UNAVAILABLE"} and len(looks.asked) == 8
    looks.fails = False
    assert (await caller.ask(TWICE))["viewer"]["customer"] is not None


SIGN_UP_TWICE = """
mutation($name: String!) {
  first: signUp(input: {displayName: $name}) { ... on SignUpSuccess { customer { id } } }
  second: signUp(input: {displayName: $name}) { ... on Refusal { code } }
}
"""


async def test_who_signs_up_is_known_to_the_next_field(system: System, unique: str) -> None:
    """Given a document that has run for somebody known; when somebody new signs up by it; then its second field knows
    them already, and so does their next query, which was asked before without a profile."""
    stranger = system.caller(unique, "customer")
    assert (await stranger.ask(TWICE))["viewer"] == {"customer": None, "communities": {"edges": []}}
    answer = await stranger.ask(SIGN_UP_TWICE, name="New")
    assert answer["second"] == {"code": "ALREADY_SIGNED_UP"}
    assert (await stranger.ask(TWICE))["viewer"]["customer"] == {"id": answer["first"]["customer"]["id"]}


async def test_an_operation_leaves_nothing_to_the_collector(system: System, unique: str) -> None:
    """Given documents that have run before; when they run again; then what was read for them is freed by the end of the
    request, and not by the collector of garbage: of all that it finds, nothing is of ours."""
    caller = await system.customer(f"owner-{unique}")
    community = await make_inside(system, f"owner-{unique}", "PUBLIC")
    for _ in range(7):
        await caller.ask(COMMUNITY, id=community)
        await caller.ask(TWICE)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            await caller.ask(COMMUNITY, id=community)
            await caller.ask(TWICE)
        await asyncio.sleep(0)
        gc.collect()
        left = Counter(type(one).__name__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    ours = {"Context", "Loaders", "DataLoader", "CompiledExecutor", "Page", "Cursors", "Community", "Moment", "Wish"}
    assert not ours & set(left), left


@given(kind=st.sampled_from(["Customer", "Community", "ReferralProgram", "A"]), count=st.integers(1, 2))
def test_ids_are_as_opaque_texts_are(kind: str, count: int) -> None:
    """Given ids of one thing, or of what stands between two; then they are what `opaque` makes, and are read again."""
    local = ":".join(new_id() for _ in range(count))
    made = global_id(kind, local)
    assert made == opaque(f"{kind}:{local}".encode())
    assert split_id(made) == (kind, local)
