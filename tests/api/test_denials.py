"""Every action refuses those who may not, and then nothing has changed; absent and forbidden look alike."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, func, select

from api.relay import global_id
from community.access import MemberRole
from core.clock import iso, utc_now
from core.ids import derived_id, new_id
from ops.tables import METADATA
from tests.api.conftest import System
from tests.api.test_way_through import (
    CHECK_IN,
    CLAIM,
    FACTS,
    JOIN,
    REDEEM,
    REGISTER,
    local_of,
    make_program,
    make_reward,
)
from tests.community.places import make_community, make_event, soon

pytestmark = pytest.mark.anyio

MISSING = derived_id("missing")

IMPORT = """
mutation($source: String!, $content: String!) {
  importBatch(input: {source: $source, content: $content}) { __typename ... on Refusal { code } }
}
"""
CREATE_REWARD = """
mutation { createReward(input: {nameZh: "券", nameEn: "Voucher", price: 1}) { __typename } }
"""
CREATE_PROGRAM = """
mutation($from: DateTime!, $definition: JSON!) {
  createReferralProgram(input: {nameZh: "计划", nameEn: "Plan", startsAt: $from, definition: $definition}) {
    __typename
  }
}
"""
ACTIVATE = (
    "mutation($id: ID!) { activateReferralProgram(input: {programId: $id}) { __typename ... on Refusal { code } } }"
)
UPDATE_PROGRAM = """
mutation($id: ID!) { updateReferralProgram(input: {programId: $id, nameEn: "X"}) { __typename } }
"""
PAUSE_PROGRAM = "mutation($id: ID!) { pauseReferralProgram(input: {programId: $id}) { __typename } }"
END_PROGRAM = "mutation($id: ID!) { endReferralProgram(input: {programId: $id}) { __typename } }"
SIMULATE = """
mutation($id: ID!, $from: DateTime!, $to: DateTime!) {
  simulateReferralProgram(input: {programId: $id, from: $from, to: $to}) { __typename }
}
"""
UPDATE_REWARD = "mutation($id: ID!) { updateReward(input: {rewardId: $id, price: 1}) { __typename } }"
RETIRE_REWARD = 'mutation($id: ID!) { retireReward(input: {rewardId: $id, reason: "over"}) { __typename } }'
RESTOCK_REWARD = """
mutation($id: ID!) {
  restockReward(input: {rewardId: $id, change: 1, reason: "more", idempotencyKey: "a-key-of-ours"}) { __typename }
}
"""
ADD_CODES = """
mutation($id: ID!) {
  addCouponCodes(input: {rewardId: $id, codes: ["CODE-1"], idempotencyKey: "a-key-of-ours"}) { __typename }
}
"""
FULFILL = 'mutation($id: ID!) { fulfillRedemption(input: {redemptionId: $id, reference: "R"}) { __typename } }'
FAIL = 'mutation($id: ID!) { failRedemption(input: {redemptionId: $id, reason: "none"}) { __typename } }'
USE_VOUCHER = 'mutation { useVoucher(input: {code: "CODE"}) { __typename } }'
CANCEL_REDEMPTION = """
mutation($id: ID!) { cancelRedemption(input: {redemptionId: $id}) { __typename ... on Refusal { code } } }
"""
LEAVE = "mutation($id: ID!) { leaveCommunity(input: {communityId: $id}) { __typename } }"
CANCEL = "mutation($id: ID!) { cancelRegistration(input: {eventId: $id}) { __typename } }"
ROTATE = "mutation($program: ID!) { rotateReferralCode(input: {programId: $program}) { __typename } }"
REVOKE = 'mutation($id: ID!) { revokeReferralCode(input: {codeId: $id, reason: "lost"}) { __typename } }'
CREATE_EVENT = """
mutation($community: ID!, $starts: DateTime!, $ends: DateTime!) {
  createEvent(input: {communityId: $community, titleZh: "外拍", titleEn: "Walk", startsAt: $starts, endsAt: $ends}) {
    __typename ... on Refusal { code path }
  }
}
"""
SERVE = "MATCH (c:Customer {id: $id}) MERGE (e:Employee {id: $rm}) MERGE (c)-[:SERVED_BY]->(e)"
COUNTS = """
MATCH (n) WITH count(n) AS nodes
OPTIONAL MATCH ()-[r]->()
RETURN nodes, count(r) AS relationships
"""


def counted(table: Table) -> list[ColumnElement[bool]]:
    return [table.c.action != "CUSTOMER_DENIED"] if table.name == "audit_entry" else []


async def state(system: System) -> tuple[Any, ...]:
    """How much there is in both stores, but for the notes in the audit that staff were denied a customer."""
    rows = await system.edge.graph.read(COUNTS)
    async with system.edge.database.read() as session:
        connection = await session.connection()
        counts = [
            (await connection.execute(select(func.count()).select_from(table).where(*counted(table)))).scalar_one()
            for table in METADATA.sorted_tables
        ]
    return (rows[0], *counts)


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (IMPORT, {"source": "core", "content": '{"kind": "tag"}'}),
        (CREATE_REWARD, {}),
        (CREATE_PROGRAM, {"from": iso(utc_now()), "definition": {"steps": []}}),
        (ACTIVATE, {"id": global_id("ReferralProgram", MISSING)}),
        (UPDATE_PROGRAM, {"id": global_id("ReferralProgram", MISSING)}),
        (PAUSE_PROGRAM, {"id": global_id("ReferralProgram", MISSING)}),
        (END_PROGRAM, {"id": global_id("ReferralProgram", MISSING)}),
        (SIMULATE, {"id": global_id("ReferralProgram", MISSING), "from": iso(utc_now()), "to": iso(utc_now())}),
        (FACTS, {"source": "core", "facts": []}),
        (UPDATE_REWARD, {"id": global_id("Reward", MISSING)}),
        (RETIRE_REWARD, {"id": global_id("Reward", MISSING)}),
        (RESTOCK_REWARD, {"id": global_id("Reward", MISSING)}),
        (ADD_CODES, {"id": global_id("Reward", MISSING)}),
        (FULFILL, {"id": global_id("Redemption", MISSING)}),
        (FAIL, {"id": global_id("Redemption", MISSING)}),
        (USE_VOUCHER, {}),
        ("{ rewards(statuses: [RETIRED]) { edges { cursor } } }", {}),
        ("{ reservedRedemptions { edges { cursor } } }", {}),
        ("{ trialBalance { holds } }", {}),
    ],
    ids=[
        "importBatch",
        "createReward",
        "createReferralProgram",
        "activateReferralProgram",
        "updateReferralProgram",
        "pauseReferralProgram",
        "endReferralProgram",
        "simulateReferralProgram",
        "recordFacts",
        "updateReward",
        "retireReward",
        "restockReward",
        "addCouponCodes",
        "fulfillRedemption",
        "failRedemption",
        "useVoucher",
        "rewards of all statuses",
        "reservedRedemptions",
        "trialBalance",
    ],
)
async def test_what_is_not_for_customers_is_forbidden_to_them(
    system: System, unique: str, document: str, variables: dict[str, Any]
) -> None:
    """Given nobody, a customer, a manager of relationships and a service without the scope, then all are refused."""
    customer = await system.customer(f"c-{unique}")
    before = await state(system)
    assert (await system.caller(None).fail(document, **variables))["extensions"]["code"] == "UNAUTHENTICATED"
    for caller in (
        customer,
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller(f"co-{unique}", "complaints_officer"),
        system.caller(f"sv-{unique}", "service", scope="other:write"),
    ):
        assert (await caller.fail(document, **variables))["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (JOIN, {"id": global_id("Community", MISSING)}),
        (REGISTER, {"id": global_id("Event", MISSING)}),
        (CHECK_IN, {"event": global_id("Event", MISSING), "customer": global_id("Customer", MISSING)}),
        (CLAIM, {"code": "ABCD", "clicks": []}),
        (REDEEM, {"reward": global_id("Reward", MISSING), "key": "some-key-1"}),
        (
            CREATE_EVENT,
            {"community": global_id("Community", MISSING), "starts": iso(utc_now()), "ends": iso(utc_now())},
        ),
        (LEAVE, {"id": global_id("Community", MISSING)}),
        (CANCEL, {"id": global_id("Event", MISSING)}),
        (ROTATE, {"program": global_id("ReferralProgram", MISSING)}),
        (REVOKE, {"id": global_id("ReferralCode", MISSING)}),
        (CANCEL_REDEMPTION, {"id": global_id("Redemption", MISSING)}),
    ],
)
async def test_a_customers_actions_need_a_sign_in_and_a_profile(
    system: System, unique: str, document: str, variables: dict[str, Any]
) -> None:
    before = await state(system)
    assert (await system.caller(None).fail(document, **variables))["extensions"]["code"] == "UNAUTHENTICATED"
    stranger = await system.caller(f"new-{unique}", "customer").post(document, variables)
    answer = stranger.json()
    refusal = next(iter(answer["data"].values())) if answer.get("data") else answer["errors"][0]["extensions"]
    assert refusal.get("code", refusal.get("__typename")) in ("NOT_SIGNED_UP", "Refusal")
    assert await state(system) == before


async def test_a_private_community_is_absent_for_outsiders_in_every_way(system: System, unique: str) -> None:
    """Given a private community with an event, then outsiders get for each what they get for what does not exist."""
    member = await system.customer(f"m-{unique}")
    outsider = await system.customer(f"o-{unique}")
    community = await make_community(
        system.edge.graph, owner_id=local_of(f"m-{unique}"), role=MemberRole.OWNER, visibility="PRIVATE"
    )
    event = await make_event(system.edge.graph, community)
    before = await state(system)
    for kind, local, action in (("Community", community, JOIN), ("Event", event, REGISTER)):
        there, absent = global_id(kind, local), global_id(kind, new_id())
        look = "query($id: ID!) { node(id: $id) { id } }"
        assert (await member.ask(look, id=there))["node"] == {"id": there}
        assert (await outsider.ask(look, id=there)) == (await outsider.ask(look, id=absent)) == {"node": None}
        assert (await outsider.ask(action, id=there)) == (await outsider.ask(action, id=absent))
    listed = await outsider.ask("{ communities(first: 100) { edges { node { id } } } }")
    assert global_id("Community", community) not in str(listed)
    assert await state(system) == before


async def test_only_managers_of_the_community_check_in_and_make_events(system: System, unique: str) -> None:
    manager, customer = await system.customer(f"m-{unique}"), await system.customer(f"c-{unique}")
    community = await make_community(system.edge.graph, owner_id=local_of(f"m-{unique}"))
    event = await make_event(system.edge.graph, community, starts_at=soon())
    outsider = await system.customer(f"x-{unique}")
    await customer.ask(REGISTER, id=global_id("Event", event))
    before = await state(system)
    mine = {"event": global_id("Event", event), "customer": global_id("Customer", local_of(f"c-{unique}"))}
    start = utc_now() + timedelta(days=1)
    fresh = {
        "community": global_id("Community", community),
        "starts": iso(start),
        "ends": iso(start + timedelta(hours=1)),
    }
    for intruder in (customer, outsider):
        assert (await intruder.ask(CHECK_IN, **mine))["checkIn"]["code"] == "NOT_FOUND"
        assert (await intruder.ask(CREATE_EVENT, **fresh))["createEvent"]["code"] == "NOT_FOUND"
    assert await state(system) == before
    assert (await manager.ask(CHECK_IN, **mine))["checkIn"]["__typename"] == "CheckInSuccess"


async def test_a_profile_is_seen_by_its_owner_their_manager_and_administrators_only(
    system: System, unique: str
) -> None:
    owner, other = await system.customer(f"o-{unique}"), await system.customer(f"x-{unique}")
    local = local_of(f"o-{unique}")
    await system.edge.graph.write(SERVE, id=local, rm=f"rm-{unique}")
    ask = "query($id: ID!) { customer(id: $id) { id profile { fullName } tags { source } } }"
    target = global_id("Customer", local)
    for caller in (
        owner,
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller(f"ad-{unique}", "administrator"),
    ):
        assert (await caller.ask(ask, id=target))["customer"]["profile"] is not None
    for caller in (
        other,
        system.caller(f"rm2-{unique}", "relationship_manager"),
        system.caller(f"rm-{unique}", "customer"),
        system.caller(f"co-{unique}", "complaints_officer"),
    ):
        seen = await caller.ask(ask, id=target)
        assert seen == await caller.ask(ask, id=global_id("Customer", new_id()))
        assert (await caller.ask("query($id: ID!) { node(id: $id) { id } }", id=target)) == {"node": None}


async def test_draft_programmes_and_others_postings_do_not_exist(system: System, unique: str) -> None:
    customer = await system.customer(f"c-{unique}")
    created = await system.caller("admin", "administrator").ask(
        """
        mutation($input: CreateReferralProgramInput!) {
          createReferralProgram(input: $input) { ... on CreateReferralProgramSuccess { program { id } } }
        }
        """,
        input={
            "nameZh": "草稿",
            "nameEn": "Draft",
            "startsAt": iso(utc_now()),
            "definition": {"steps": [{"name": "a", "fact_kind": "SOME_KIND"}]},
        },
    )
    draft = created["createReferralProgram"]["program"]["id"]
    assert (await customer.ask("query($id: ID!) { node(id: $id) { id } }", id=draft)) == {"node": None}
    code = await customer.fail("query($id: ID!) { viewer { referralCode(programId: $id) { code } } }", id=draft)
    assert code["extensions"]["code"] == "NOT_FOUND"
    running = await make_program(system)
    assert running not in (draft,)
    assert await make_reward(system)


@pytest.mark.parametrize("bad", ["", "nonsense", "Q29tbXVuaXR5", "🤖", global_id("Reward", MISSING), "x" * 5000])
async def test_ids_that_are_none_are_bad_input_with_their_path(system: System, unique: str, bad: str) -> None:
    customer = await system.customer(f"c-{unique}")
    before = await state(system)
    answer = (await customer.post(JOIN, {"id": bad})).json()
    if answer.get("data"):
        assert answer["data"]["joinCommunity"]["code"] == "NOT_FOUND"
    else:
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert answer["errors"][0]["extensions"]["inputPath"][-1] == "communityId"
    assert await state(system) == before


@pytest.mark.parametrize("source", ["kinship", "oidc"])
async def test_nobody_sends_facts_in_our_own_name(system: System, unique: str, source: str) -> None:
    """Given the names under which Kinship keeps its own facts and sign-ins, then no sender may use them."""
    await system.customer(f"c-{unique}")
    fact = {"key": unique, "kind": "EVENT_ATTENDED", "customerKey": f"c-{unique}", "occurredAt": iso(utc_now())}
    before = await state(system)
    bank = system.caller("bank", "service", scope="facts:write")
    error = await bank.fail(FACTS, source=source, facts=[fact])
    assert error["extensions"]["reason"] == "FACT_INVALID"
    assert error["extensions"]["inputPath"] == ["source"]
    assert await state(system) == before


async def test_somebody_signs_up_and_acts_in_one_request(system: System, unique: str) -> None:
    """Given somebody without a profile, when one document signs them up and joins, then the second field knows them."""
    owner = await system.customer(f"o-{unique}")
    assert owner
    community = await make_community(system.edge.graph, owner_id=local_of(f"o-{unique}"))
    document = """
      mutation($community: ID!) {
        signUp(input: {displayName: "Wu"}) { __typename }
        joinCommunity(input: {communityId: $community}) { __typename }
      }
    """
    answer = await system.caller(f"w-{unique}", "customer").ask(document, community=global_id("Community", community))
    assert answer["joinCommunity"]["__typename"] == "JoinCommunitySuccess"
