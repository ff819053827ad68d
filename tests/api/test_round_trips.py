"""Store round trips of each operation: counted, and the same however many rows there are."""

from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from tests.api.conftest import Caller, System
from tests.api.test_way_through import (
    CHECK_IN,
    CLAIM,
    CODE,
    FACTS,
    REDEEM,
    REGISTER,
    alias,
    local_of,
    make_program,
    make_reward,
)
from tests.community.places import add_member, make_community, make_customers, make_event, soon
from tests.loyalty.accounts import give

pytestmark = pytest.mark.anyio

COMMUNITIES = """
{ viewer { communities(first: 50) { edges { node {
  name memberCount viewerRole tags { name }
  members(first: 10) { edges { node { displayName } role } }
  events(first: 10) { edges { node { title viewerRegistration { status event { title } } community { name } } } }
} } } } }
"""
LEDGER = "{ viewer { points { available } ledger(first: 50) { edges { node { points posting { kind bookedAt } } } } } }"
REGISTRATIONS = """
{ viewer { registrations(first: 50) { edges { node { status event { title community { name tags { key } } } } } } } }
"""
REFERRALS = """
{ viewer { referrals(first: 50) { edges { node {
  status program { name } referee { displayName } referrer { displayName } rewards { step points } } } } } }
"""
REDEMPTIONS = "{ viewer { redemptions(first: 50) { edges { node { points reward { name stock } } } } } }"
RECOMMENDED = """
{ viewer { recommendedCommunities(first: 20) { edges { score reasons { text } node { name tags { key } } } } } }
"""
PROVENANCE = """
query($id: ID!) {
  postingProvenance(postingId: $id) { posting { kind } lots { points origin { cause { __typename } } } }
}
"""


async def cost(system: System, caller: Caller, document: str, **variables: Any) -> tuple[int, int]:
    """Statements to the graph and to SQL that one operation took; to Neo4j fewer round trips than statements."""
    graph, database = system.edge.graph, system.edge.database
    before, trips = (graph.statements, database.statements), graph.round_trips
    await caller.ask(document, **variables)
    assert graph.round_trips - trips <= graph.statements - before[0]
    return graph.statements - before[0], database.statements - before[1]


async def spared(system: System) -> int:
    """How many statements fewer the events of a single community take: Neo4j brings them with what is said of them."""
    return 0 if await system.edge.graph.is_embedded() else 1


async def grow(system: System, name: str) -> None:
    """Give the customer one more of everything that lists show."""
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(name))
    for member in await make_customers(graph, 2):
        await add_member(graph, community, member, MemberRole.MEMBER)
    event = await make_event(graph, community)
    await system.caller(name, "customer").ask(REGISTER, id=global_id("Event", event))
    await give(system.edge.database, local_of(name), 10)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ viewer { subject } }", (0, 0)),
        ("{ viewer { customer { displayName tags { source } } points { available } } }", (2, 2)),
        (COMMUNITIES, (6, 1)),
        (LEDGER, (0, 3)),
        (REGISTRATIONS, (4, 1)),
    ],
    ids=["subject", "profile", "communities", "ledger", "registrations"],
)
async def test_lists_cost_the_same_for_one_row_and_for_four(
    system: System, unique: str, document: str, expected: tuple[int, int]
) -> None:
    name = f"lin-{unique}"
    caller = await system.customer(name)
    await grow(system, name)
    few = await cost(system, caller, document)
    for _ in range(3):
        await grow(system, name)
    assert await cost(system, caller, document) == expected
    alone = await spared(system) if document == COMMUNITIES else 0
    assert few == (expected[0] - alone, expected[1])


async def test_referrals_redemptions_and_their_provenance_cost_the_same_for_one_and_for_three(
    system: System, unique: str
) -> None:
    """Given one referral and redemption, then three, then each list and the provenance cost the same."""
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    code = (await lin.ask(CODE, p=program))["viewer"]["referralCode"]["code"]
    reward = await make_reward(system, price=300)
    costs: list[list[tuple[int, int]]] = []
    for number in range(3):
        await refer_one(system, unique, number, code)
        key = f"wish-{number:04}"
        redeemed = (await lin.ask(REDEEM, reward=reward, key=key))["redeemReward"]
        if number != 1:
            posting = redeemed["redemption"]["postingId"]
            documents = [(REFERRALS, {}), (REDEMPTIONS, {}), (PROVENANCE, {"id": posting}), (RECOMMENDED, {})]
            costs.append([await cost(system, lin, document, **given) for document, given in documents])
    assert costs[0] == costs[1]
    referrals, redemptions, provenance, recommended = costs[0]
    assert (referrals, redemptions, provenance) == ((1, 4), (0, 3), (0, 10))
    # Nobody has made a list for this newcomer: that there is none is one trip, what matches anyway is another.
    assert recommended[0] == 2


async def refer_one(system: System, unique: str, number: int, code: str) -> None:
    """A newcomer claims, is verified, and the worker settles it."""
    name = f"wu{number}-{unique}"
    wu = await system.customer(name)
    await wu.ask(CLAIM, code=code, clicks=[])
    source = f"core-{unique}-{number}"
    await alias(system, source, "CIF", name)
    fact = {"key": "kyc", "kind": "IDENTITY_VERIFIED", "customerKey": "CIF", "occurredAt": iso(utc_now())}
    await system.caller("bank", "service", scope="facts:write").ask(FACTS, source=source, facts=[fact])
    await system.work()


async def test_the_cost_of_each_action(system: System, unique: str) -> None:
    """Given fresh things, then each action takes this many round trips to the graph and statements to SQL."""
    owner, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    graph = system.edge.graph
    community = await make_community(graph, owner_id=local_of(f"lin-{unique}"))
    event = await make_event(graph, community, starts_at=soon())
    program = await make_program(system)
    reward = await make_reward(system, price=10)
    await give(system.edge.database, local_of(f"wu-{unique}"), 10)
    code = (await owner.ask(CODE, p=program))["viewer"]["referralCode"]["code"]
    customer = global_id("Customer", local_of(f"wu-{unique}"))
    costs = {
        "claimReferral": await cost(system, wu, CLAIM, code=code, clicks=[]),
        "redeemReward": await cost(system, wu, REDEEM, reward=reward, key="wish-0001"),
        "checkIn (from the list)": await check_in_cost(system, owner, wu, event, customer),
    }
    assert costs == {"claimReferral": (6, 14), "redeemReward": (0, 18), "checkIn (from the list)": (3, 1)}


async def check_in_cost(system: System, owner: Caller, wu: Caller, event: str, customer: str) -> tuple[int, int]:
    await wu.ask(REGISTER, id=global_id("Event", event))
    return await cost(system, owner, CHECK_IN, event=global_id("Event", event), customer=customer)
