"""Programmes over HTTP: versions, budgets, pause and end, and what a definition would have paid."""

from datetime import timedelta
from typing import Any

import pytest

from api.relay import global_id
from core.clock import iso, utc_now
from core.ids import new_id
from tests.api.conftest import Caller, System
from tests.api.test_way_through import CLAIM, CODE, FACTS, STEPS, know, make_program

pytestmark = pytest.mark.anyio

PROGRAM = """
query($id: ID!) { referralProgram(id: $id) {
  name status activeVersion endsAt versions { version definition }
  budget { points reservedPoints money { currency amount amountPerThousandPoints reserved } }
} }
"""
UPDATE = """
mutation($input: UpdateReferralProgramInput!) {
  updateReferralProgram(input: $input) {
    ... on UpdateReferralProgramSuccess { program { name activeVersion versions { version } } }
    ... on Refusal { code path }
  }
}
"""
TURN = """
mutation($id: ID!) { %s(input: {programId: $id}) { __typename ... on Refusal { code path } } }
"""
PAUSE, END, ACTIVATE = (TURN % f"{act}ReferralProgram" for act in ("pause", "end", "activate"))
ACTIVATE_VERSION = """
mutation($id: ID!, $version: Int!) {
  activateReferralProgram(input: {programId: $id, version: $version}) {
    ... on ActivateReferralProgramSuccess { program { activeVersion } } ... on Refusal { code path }
  }
}
"""
SIMULATE = """
mutation($input: SimulateReferralProgramInput!) {
  simulateReferralProgram(input: $input) {
    ... on SimulateReferralProgramSuccess {
      simulated { referrals qualified points steps { step side rewards points limited } }
      actual { referrals points }
    }
    ... on Refusal { code path }
  }
}
"""
REFERRAL = """
query($id: ID!) { referral(id: $id) {
  status programVersion steps { step } rewards { step side status points programVersion }
} }
"""


async def refer(system: System, program: str, referrer: Caller, name: str) -> str:
    """Somebody new whom the referrer brought and whose identity is verified; returns the referral's id."""
    code = (await referrer.ask(CODE, p=program))["viewer"]["referralCode"]["code"]
    newcomer = await system.customer(name)
    claimed = await newcomer.ask(CLAIM, code=code, clicks=[])
    await know(system, "core", name, newcomer)
    fact = {"key": new_id(), "kind": "IDENTITY_VERIFIED", "customerKey": name, "occurredAt": iso(utc_now())}
    await system.caller("bank", "service", scope="facts:write").ask(FACTS, source="core", facts=[fact])
    await system.work()
    return claimed["claimReferral"]["referral"]["id"]


async def test_a_programme_grows_by_versions_and_rewards_keep_theirs(system: System, unique: str) -> None:
    """Given a referral of version 1, when version 2 is activated, then its rewards stay and the next gets the new."""
    administrator = system.caller("admin", "administrator")
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    first = await refer(system, program, lin, f"a-{unique}")

    doubled = {"steps": [{**STEPS[0], "referrer_points": 600}]}
    updated = await administrator.ask(UPDATE, input={"programId": program, "nameEn": "Twice", "definition": doubled})
    assert updated["updateReferralProgram"]["program"] == {
        "name": "Twice",
        "activeVersion": 1,
        "versions": [{"version": 2}, {"version": 1}],
    }
    await administrator.ask(ACTIVATE, id=program)
    second = await refer(system, program, lin, f"b-{unique}")
    seen = [(await lin.ask(REFERRAL, id=id))["referral"] for id in (first, second)]
    assert [(one["programVersion"], one["rewards"][0]["points"]) for one in seen] == [(1, 300), (2, 600)]
    assert [one["steps"] for one in seen] == [[{"step": "verified"}]] * 2
    assert {reward["status"] for one in seen for reward in one["rewards"]} == {"ISSUED"}

    back = await administrator.ask(ACTIVATE_VERSION, id=program, version=1)
    assert back["activateReferralProgram"]["program"]["activeVersion"] == 1
    missing = await administrator.ask(ACTIVATE_VERSION, id=program, version=7)
    assert missing["activateReferralProgram"] == {"code": "NOT_FOUND", "path": ["input", "version"]}


async def test_paused_it_takes_no_claims_and_ended_it_never_does_again(system: System, unique: str) -> None:
    administrator = system.caller("admin", "administrator")
    program = await make_program(system)
    lin, wu = await system.customer(f"lin-{unique}"), await system.customer(f"wu-{unique}")
    code = (await lin.ask(CODE, p=program))["viewer"]["referralCode"]["code"]

    async def claim() -> str:
        return (await wu.ask(CLAIM, code=code, clicks=[]))["claimReferral"].get("code", "ACCEPTED")

    assert (await administrator.ask(PAUSE, id=program))["pauseReferralProgram"]["__typename"].endswith("Success")
    assert await claim() == "PROGRAM_NOT_ACTIVE"
    await administrator.ask(ACTIVATE, id=program)
    assert (await administrator.ask(END, id=program))["endReferralProgram"]["__typename"].endswith("Success")
    assert await claim() == "PROGRAM_NOT_ACTIVE"
    for document, name in ((PAUSE, "pauseReferralProgram"), (ACTIVATE, "activateReferralProgram")):
        refused = (await administrator.ask(document, id=program))[name]
        assert (refused["code"], refused["path"]) == ("PROGRAM_ENDED", ["input", "programId"])


async def test_budget_and_versions_are_for_administrators(system: System, unique: str) -> None:
    administrator, lin = system.caller("admin", "administrator"), await system.customer(f"lin-{unique}")
    program = await make_program(system)
    money = {"amount": 5_000_000_000, "amountPerThousandPoints": 1_000, "currency": "CNY"}
    await administrator.ask(UPDATE, input={"programId": program, "budgetPoints": 10**12, "budgetMoney": money})
    await refer(system, program, lin, f"a-{unique}")
    seen = (await administrator.ask(PROGRAM, id=program))["referralProgram"]
    assert seen["budget"] == {
        "points": 10**12,
        "reservedPoints": 400,
        "money": {**money, "reserved": 400.0},
    }
    hidden = (await lin.ask(PROGRAM, id=program))["referralProgram"]
    assert (hidden["budget"], hidden["versions"]) == (None, [])
    low = await administrator.ask(UPDATE, input={"programId": program, "budgetPoints": 399})
    assert low["updateReferralProgram"] == {"code": "BUDGET_BELOW_RESERVED", "path": ["input", "budgetPoints"]}


@pytest.mark.parametrize(
    ("definition", "path", "words"),
    [
        ({"steps": STEPS, "reward_depth": 3}, ["definition", "rewardDepth"], "pyramid"),
        (
            {"steps": [{"name": "a", "fact_kind": "DEPOSIT_MADE"}]},
            ["definition", "steps", "0", "factKind"],
            "deposit",
        ),
        ([1], ["definition"], ""),
    ],
)
async def test_what_the_law_forbids_is_refused_with_the_reason(
    system: System, definition: Any, path: list[str], words: str
) -> None:
    error = await system.caller("admin", "administrator").fail(
        "mutation($input: CreateReferralProgramInput!) { createReferralProgram(input: $input) { __typename } }",
        input={"nameZh": "计划", "nameEn": "Plan", "startsAt": iso(utc_now()), "definition": definition},
    )
    assert (error["extensions"]["reason"], error["extensions"]["inputPath"]) == ("PROGRAM_INVALID", path)
    assert words in error["message"]


async def test_a_draft_is_not_there_for_customers(system: System, unique: str) -> None:
    created = await system.caller("admin", "administrator").ask(
        """mutation($input: CreateReferralProgramInput!) {
          createReferralProgram(input: $input) { ... on CreateReferralProgramSuccess { program { id } } }
        }""",
        input={"nameZh": "计划", "nameEn": "Plan", "startsAt": iso(utc_now()), "definition": {"steps": STEPS}},
    )
    draft = created["createReferralProgram"]["program"]["id"]
    lin = await system.customer(f"lin-{unique}")
    for id in (draft, global_id("ReferralProgram", new_id())):
        assert (await lin.ask(PROGRAM, id=id))["referralProgram"] is None
    assert (await system.caller("admin", "administrator").ask(PROGRAM, id=draft))["referralProgram"][
        "status"
    ] == "DRAFT"


async def test_a_simulation_shows_the_new_definition_beside_what_happened(system: System, unique: str) -> None:
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    for name in ("a", "b"):
        await refer(system, program, lin, f"{name}-{unique}")
    span = {"from": iso(utc_now() - timedelta(days=1)), "to": iso(utc_now() + timedelta(days=1))}
    tried = {"steps": [{**STEPS[0], "referrer_points": 50}], "caps": [{"scope": "REFERRER", "rewards": 1}]}
    administrator = system.caller("admin", "administrator")
    answer = await administrator.ask(SIMULATE, input={"programId": program, "definition": tried, **span})
    assert answer["simulateReferralProgram"] == {
        "simulated": {
            "referrals": 2,
            "qualified": 2,
            "points": 250,
            "steps": [
                {"step": "verified", "side": "REFEREE", "rewards": 2, "points": 200, "limited": 0},
                {"step": "verified", "side": "REFERRER", "rewards": 1, "points": 50, "limited": 1},
            ],
        },
        "actual": {"referrals": 2, "points": 800},
    }
    same = await administrator.ask(SIMULATE, input={"programId": program, **span})
    outcome = same["simulateReferralProgram"]
    assert outcome["simulated"]["points"] == outcome["actual"]["points"]
    wrong = await administrator.fail(SIMULATE, input={"programId": program, "from": span["to"], "to": span["from"]})
    assert (wrong["extensions"]["reason"], wrong["extensions"]["inputPath"]) == ("PROGRAM_INVALID", ["to"])


async def test_a_referral_is_seen_by_its_two_sides_and_nobody_else(system: System, unique: str) -> None:
    program = await make_program(system)
    lin = await system.customer(f"lin-{unique}")
    referral = await refer(system, program, lin, f"wu-{unique}")
    wu, other = system.caller(f"wu-{unique}", "customer"), await system.customer(f"sun-{unique}")
    for one, sides in ((lin, ["REFERRER"]), (wu, ["REFEREE"])):
        seen = (await one.ask(REFERRAL, id=referral))["referral"]
        assert [reward["side"] for reward in seen["rewards"]] == sides
    for id in (referral, global_id("Referral", new_id())):
        assert (await other.ask(REFERRAL, id=id))["referral"] is None
