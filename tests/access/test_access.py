"""Every operation as every role, on what is one's own and what is another's, against the policy of docs/access.md."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from api.live.websocket import UNAUTHORIZED
from tests.access.documents import OPERATIONS, document_of
from tests.access.given import FRESH, LAST, given_of
from tests.access.table import PAGE, policy
from tests.access.world import ROLES, World, absent_of
from tests.api.live import Live, close_code, follow, hear, say, serve
from tests.api.test_denials import state

pytestmark = pytest.mark.anyio

POLICY = policy()
ASKED = [name for name, root in OPERATIONS.items() if root != "subscription"]
# Of these the world has none, so that whoever may ask is answered by nothing.
NONE_HERE = {
    "auditTrail",
    "brokenGlasses",
    "careGreetings",
    "complaintCauses",
    "contentFeed",
    "customerEarnings",
    "customerMerge",
    "dayCloses",
    "erasureReport",
    "importReport",
    "interactions",
    "recommendationExperiments",
    "referralInfluence",
    "referralLeaderboard",
    "tierChanges",
    "tierExplain",
    "unsuitableHoldings",
}
# Who has nothing to do with Lin or Chen's community, and what of theirs nobody else ever sees.
STRANGERS = {"no profile", "customer, another's", "manager of another", "another's RM"}
PRIVATE = (
    "Customer",
    "Community",
    "Event",
    "Post",
    "Comment",
    "Applicant",
    "Redemption",
    "ReferralCode",
    "Referral",
    "Posting",
    "Adjustment",
    "Household",
    "Complaint",
    "Alert",
    "Need",
    "Survey",
    "ServiceBreak",
    "MessageDelivery",
    "ActionPlan",
    "Task",
    "CareDate",
    "AdviceThread",
    "AdviceNote",
    "TierOverride",
    "FraudCase",
    "ReferralReward",
    "IdentityReview",
)
CODES = {
    "UNAUTHENTICATED": "sign in",
    "NOT_SIGNED_UP": "sign up",
    "FORBIDDEN": "forbidden",
    "NOT_FOUND": "absent",
    "COMPLAINT_NOT_YOURS": "not theirs",
}


@pytest.fixture(scope="module")
async def before(world: World) -> tuple[Any, ...]:
    """What there is before anybody has asked anything."""
    return await state(world.system)


def verdict(operation: str, answer: Mapping[str, Any]) -> str:
    """What an answer says of whether somebody may, in the words of the page."""
    if answer.get("errors"):
        extensions = answer["errors"][0]["extensions"]
        code = extensions["code"]
        assert code not in ("INTERNAL_SERVER_ERROR", "GRAPHQL_VALIDATION_FAILED", "BAD_REQUEST"), answer
        return CODES.get(code) or CODES.get(extensions.get("reason", ""), "yes")
    found = answer["data"][operation]
    if found is None:
        return "absent"
    if isinstance(found, dict):
        if "results" in found:
            return CODES.get(found["results"][0]["outcome"], "yes")
        if found.get("code"):
            return CODES.get(found["code"], "yes")
        found = found.get("edges", found)
    return "nothing" if found == [] else "yes"


async def ask(world: World, operation: str, role: str, given: Mapping[str, Any]) -> Any:
    document, variables = document_of(operation, world.ids, given)
    answer = await world.callers[role].post(document, variables)
    if role in STRANGERS:
        assert [kind for kind in PRIVATE if world.ids[kind] in answer.text] == [], (operation, role)
    return answer.json()


def test_every_field_of_the_roots_has_its_row() -> None:
    """Given the schema and the page; then the one has what the other has, in the same order."""
    assert list(POLICY) == list(OPERATIONS), PAGE


# To whom of those who are forbidden something the thing itself could still have made a difference.
NEAREST = {"customer, another's", "another's RM", "complaints officer"}


def is_compared(role: str, cell: str) -> bool:
    """Whether the answer must be that to what is not there; one's own empty list, and what one sees, need not."""
    if cell == "nothing":
        return role != "customer, own"
    return cell == "absent" or (cell == "forbidden" and role in NEAREST)


def nowhere(world: World, operation: str, role: str) -> tuple[str, dict[str, Any]]:
    """The same request about things that are not there."""
    absent = replace(world, ids=absent_of(world.ids))
    return document_of(operation, absent.ids, given_of(absent, operation, role))


@pytest.mark.parametrize("operation", ASKED)
async def test_who_may_not_is_refused_as_if_it_were_absent(
    world: World, before: tuple[Any, ...], operation: str
) -> None:
    """Given what is Lin's or Chen's, and such things that are not there; then the refusals are the same."""
    seen: dict[str, str] = {}
    for role, cell in POLICY[operation].items():
        if cell == "yes":
            continue
        answer = await ask(world, operation, role, given_of(world, operation, role))
        seen[role] = verdict(operation, answer)
        if is_compared(role, cell):
            document, variables = nowhere(world, operation, role)
            assert (await world.callers[role].post(document, variables)).json() == answer, role
    assert seen == {role: POLICY[operation][role] for role in seen}


async def test_refusals_changed_nothing(world: World, before: tuple[Any, ...]) -> None:
    assert await state(world.system) == before


SUBSCRIPTIONS = [name for name, root in OPERATIONS.items() if root == "subscription"]


async def heard(world: World, live: Live, role: str) -> dict[str, str]:
    """What somebody is answered who follows everything; what no error comes of is followed."""
    found = dict.fromkeys(SUBSCRIPTIONS, "yes")
    async with live.client(world.callers[role].headers["Authorization"].removeprefix("Bearer ")) as socket:
        for name in SUBSCRIPTIONS:
            document, variables = document_of(name, world.ids, {})
            await follow(socket, document, name, **variables)
        # Where fewer are refused than ought to be, the comparison says which.
        with suppress(TimeoutError):
            for _ in [name for name in SUBSCRIPTIONS if POLICY[name][role] != "yes"]:
                message = await hear(socket, 5)
                assert message["type"] == "error", (role, message)
                found[message["id"]] = verdict(message["id"], {"errors": message["payload"]})
            await hear(socket, 0.2)
            raise AssertionError(role)
    return found


async def test_who_may_follow_hears_and_others_are_refused(world: World) -> None:
    """Given everybody on a socket of their own, then they follow what they may, and are refused the rest at once."""
    async with serve(world.system) as live:
        for role in ROLES[1:]:
            assert await heard(world, live, role) == {name: POLICY[name][role] for name in SUBSCRIPTIONS}, role
        async with live.open(None) as socket:
            await say(socket, type="connection_init", payload={})
            assert await close_code(socket) == UNAUTHORIZED
    assert {POLICY[name]["nobody"] for name in SUBSCRIPTIONS} == {"sign in"}


ORDER = sorted(ASKED, key=lambda name: (LAST.index(name) + 1 if name in LAST else 0, OPERATIONS[name] != "query"))


@pytest.mark.parametrize("operation", ORDER)
async def test_who_may_is_let_in(world: World, operation: str) -> None:
    """Given those who may, then they are answered, or refused for what they ask and not for who they are."""
    for role in ROLES:
        if POLICY[operation][role] != "yes":
            continue
        given = dict(given_of(world, operation, role))
        if operation in FRESH:
            given |= await FRESH[operation](world)
        answer = await ask(world, operation, role, given)
        allowed = {"yes", "nothing", "absent"} if operation in NONE_HERE else {"yes"}
        assert verdict(operation, answer) in allowed, (role, answer)
