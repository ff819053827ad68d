"""Figures of referrals over the API: who sees which, and what each costs however much there is."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from api.relay import global_id, local_id
from core.clock import iso, utc_now
from core.facts import NewFact, record_facts
from core.ids import new_id
from customers.profiles import Customer
from referrals.attribution import ReferralStatus
from referrals.influence import rank_influence
from tests.api.conftest import Caller, System
from tests.api.test_denials import SERVE, state
from tests.api.test_every_action import SCHEMA
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of, make_program
from tests.community.places import make_customers
from tests.referrals.forests import Forest, put_referrals, turn

pytestmark = pytest.mark.anyio

TREE = """
query($p: ID!, $c: ID!, $depth: Int, $first: Int, $after: String) {
  referralTree(programId: $p, customerId: $c, maxDepth: $depth, first: $first, after: $after) {
    asOf decay program { name } customer { displayName }
    levels { depth count hasMore credit nodes {
      depth status credit referees referredAt cursor customer { id displayName } parent { id } } }
  }
}
"""
PART = "query($p: ID!, $c: ID!) { referralTree(programId: $p, customerId: $c) { levels { FIELDS } } }"
FUNNEL = """
query($p: ID!, $from: DateTime!, $to: DateTime!) {
  referralFunnel(programId: $p, from: $from, to: $to) {
    startsAt endsAt
    total { stages { kind step count conversion } robotClicks claimsByLink rejected }
    channels { channel stages { kind count } }
  }
}
"""
K_FACTOR = """
query($p: ID!, $from: DateTime!, $to: DateTime!) {
  referralKFactor(programId: $p, cohortFrom: $from, cohortTo: $to, windowDays: 30) {
    windowDays cohortFrom cohortTo total { members invitations conversions kFactor }
    spreads { cohort generation members clicks typedClaims conversions invitationsPerMember conversionRate kFactor }
  }
}
"""
INFLUENCE = """
query($p: ID!) { referralInfluence(programId: $p, first: 20) { edges { node {
  rank influence descendants computedAt customer { displayName } } } } }
"""
BOARD = """
query($p: ID!) { referralLeaderboard(programId: $p, first: 20) { edges { node {
  rank pseudonym qualifiedCount reachedAt isViewer } } } }
"""
JOIN = """
mutation($p: ID!, $name: String!) {
  joinReferralLeaderboard(input: {programId: $p, pseudonym: $name}) {
    __typename ... on JoinReferralLeaderboardSuccess { pseudonym } ... on Refusal { code path }
  }
}
"""
LEAVE = """
mutation($p: ID!) {
  leaveReferralLeaderboard(input: {programId: $p}) { __typename ... on Refusal { code } }
}
"""
PROMPT = "query($p: ID!) { viewer { referralPrompt(programId: $p) { ask reason } } }"

# Round trips to the graph and statements to SQL of each.
COSTS = {
    "referralTree (own)": (1, 5),
    "referralTree (administrator)": (1, 5),
    "referralFunnel": (0, 5),
    "referralKFactor": (0, 2),
    "referralInfluence": (1, 2),
    "referralLeaderboard": (0, 2),
    "viewer.referralPrompt": (0, 3),
    "joinReferralLeaderboard": (0, 7),
    "leaveReferralLeaderboard": (0, 7),
}


async def make_tree(system: System, name: str, width: int) -> tuple[str, Forest]:
    """A programme in which a customer brought so many, each of them one more, and so on to a depth of three."""
    program = await make_program(system)
    forest = Forest(local_id("ReferralProgram", program), [local_of(name)])
    level, at = [local_of(name)], utc_now() - timedelta(hours=1)
    for depth in range(3):
        people = await make_customers(system.edge.graph, width)
        for number, referee in enumerate(people):
            forest.edges[referee], forest.claimed_at[referee] = level[0 if depth == 0 else number], at
        forest.people += people
        level = people
    await put_referrals(system.edge.database, forest)
    async with system.edge.database.write() as session:
        for person in forest.people[1:]:
            session.add(Customer(id=person, display_name="Referee", created_at=at))
    return program, forest


def window() -> dict[str, str]:
    return {"from": iso(utc_now() - timedelta(days=1)), "to": iso(utc_now() + timedelta(days=1))}


async def tree_of(caller: Caller, program: str, customer: str, **more: Any) -> dict[str, Any] | None:
    return (await caller.ask(TREE, p=program, c=global_id("Customer", customer), **more))["referralTree"]


async def test_a_customer_sees_names_only_of_whom_they_brought(system: System, unique: str) -> None:
    """Given a tree three deep, then its owner sees level 1 by name and below it counts, and staff see everybody."""
    lin = await system.customer(f"lin-{unique}")
    program, forest = await make_tree(system, f"lin-{unique}", 2)
    for referee in forest.people[1:]:
        await turn(system.edge.database, forest.program, referee, ReferralStatus.QUALIFIED, at=utc_now())
    own = await tree_of(lin, program, local_of(f"lin-{unique}"))
    assert own is not None
    assert [len(level["nodes"]) for level in own["levels"]] == [2, 0, 0]
    assert [(level["count"], level["credit"]) for level in own["levels"]] == [(2, 2.0), (2, 1.0), (2, 0.5)]
    assert all(node["customer"]["displayName"] for node in own["levels"][0]["nodes"])
    manager = system.caller(f"rm-{unique}", "relationship_manager")
    await system.edge.graph.write(SERVE, id=local_of(f"lin-{unique}"), rm=f"rm-{unique}")
    for staff in (manager, system.caller("admin", "administrator")):
        seen = await tree_of(staff, program, local_of(f"lin-{unique}"))
        assert seen is not None
        assert [len(level["nodes"]) for level in seen["levels"]] == [2, 2, 2]
        ids = {node["customer"]["id"] for node in seen["levels"][1]["nodes"]}
        assert {node["parent"]["id"] for node in seen["levels"][2]["nodes"]} == ids


async def test_what_is_asked_of_a_tree_by_itself_is_as_in_the_whole(system: System, unique: str) -> None:
    """Given a tree, of which each field is asked for alone and in others' company; then it says what the whole says,
    although less is read for it."""
    await system.customer(f"lin-{unique}")
    program, forest = await make_tree(system, f"lin-{unique}", 3)
    await turn(system.edge.database, forest.program, forest.people[2], ReferralStatus.QUALIFIED, at=utc_now())
    await turn(system.edge.database, forest.program, forest.people[3], ReferralStatus.REJECTED, at=utc_now())
    administrator = system.caller("admin", "administrator")
    given = {"p": program, "c": global_id("Customer", local_of(f"lin-{unique}"))}
    fields = fields_of("ReferralTreeNode")
    document = PART.replace("FIELDS", f"nodes {{ {' '.join(fields.values())} }}")
    whole = (await administrator.ask(document, **given))["referralTree"]["levels"]
    for names in (*([name] for name in fields), ["referredAt", "customer"], ["status", "cursor"]):
        document = PART.replace("FIELDS", f"nodes {{ {' '.join(fields[name] for name in names)} }}")
        found = (await administrator.ask(document, **given))["referralTree"]["levels"]
        for level, other in zip(found, whole, strict=True):
            assert level["nodes"] == [{name: node[name] for name in names} for node in other["nodes"]]
    fields = fields_of("ReferralTreeLevel")
    document = PART.replace("FIELDS", " ".join(fields.values()))
    whole = (await administrator.ask(document, **given))["referralTree"]["levels"]
    for name, asked in fields.items():
        found = (await administrator.ask(PART.replace("FIELDS", asked), **given))["referralTree"]["levels"]
        assert found == [{name: level[name]} for level in whole]
    assert [level["credit"] for level in whole] == [1.0, 0.0, 0.0]


def fields_of(name: str) -> dict[str, str]:
    """How each field of a type is asked for."""
    kind = SCHEMA.get_type(name)
    assert isinstance(kind, GraphQLObjectType)
    below = {"ReferralTreeNode": " { depth }", "Customer": " { id displayName }"}
    return {
        field: field + below.get(get_named_type(definition.type).name, "") for field, definition in kind.fields.items()
    }


async def test_a_tree_that_one_may_not_see_is_as_if_it_were_absent(system: System, unique: str) -> None:
    await system.customer(f"lin-{unique}")
    program, forest = await make_tree(system, f"lin-{unique}", 1)
    other = await system.customer(f"sun-{unique}")
    stranger = system.caller(f"new-{unique}", "customer")
    manager = system.caller(f"rm-{unique}", "relationship_manager")
    for caller in (other, stranger, manager):
        for customer in (local_of(f"lin-{unique}"), forest.people[1], new_id()):
            assert await tree_of(caller, program, customer) is None
    administrator = system.caller("admin", "administrator")
    assert await tree_of(administrator, program, new_id()) is None
    assert await tree_of(administrator, global_id("ReferralProgram", new_id()), local_of(f"lin-{unique}")) is None


@pytest.mark.parametrize("document", [FUNNEL, K_FACTOR, INFLUENCE])
async def test_figures_are_for_administrators(system: System, unique: str, document: str) -> None:
    """Given anybody else, then figures are refused alike for a programme that is there and for one that is not."""
    program = await make_program(system)
    before = await state(system)
    callers = [
        await system.customer(f"lin-{unique}"),
        system.caller(f"rm-{unique}", "relationship_manager"),
        system.caller("bank", "service", scope="facts:write"),
    ]
    before = await state(system)
    given = {} if document == INFLUENCE else window()
    for caller in callers:
        for one in (program, global_id("ReferralProgram", new_id())):
            error = await caller.fail(document, p=one, **given)
            assert error["extensions"]["code"] == "FORBIDDEN"
    assert await state(system) == before
    administrator = system.caller("admin", "administrator")
    error = await administrator.fail(document, p=global_id("ReferralProgram", new_id()), **given)
    assert error["extensions"]["code"] == "NOT_FOUND"


async def test_the_leaderboard_shows_only_who_asked_and_marks_oneself(system: System, unique: str) -> None:
    lin, sun = await system.customer(f"lin-{unique}"), await system.customer(f"sun-{unique}")
    program, forest = await make_tree(system, f"lin-{unique}", 2)
    for referee in forest.people[1:5]:
        await turn(system.edge.database, forest.program, referee, ReferralStatus.QUALIFIED, at=utc_now())
    assert (await sun.ask(BOARD, p=program))["referralLeaderboard"]["edges"] == []
    assert (await lin.ask(JOIN, p=program, name=" 小燕子 "))["joinReferralLeaderboard"]["pseudonym"] == "小燕子"
    taken = (await sun.ask(JOIN, p=program, name="小燕子"))["joinReferralLeaderboard"]
    assert (taken["code"], taken["path"]) == ("PSEUDONYM_TAKEN", ["input", "pseudonym"])
    bad = await sun.fail(JOIN, p=program, name="<b>sun</b>")
    assert bad["extensions"]["reason"] == "PSEUDONYM_INVALID"
    for caller, is_viewer in ((lin, True), (sun, False)):
        ((edge),) = (await caller.ask(BOARD, p=program))["referralLeaderboard"]["edges"]
        row = edge["node"]
        assert (row["rank"], row["pseudonym"], row["qualifiedCount"]) == (1, "小燕子", 2)
        assert row["isViewer"] is is_viewer
        assert datetime.fromisoformat(row["reachedAt"])
    await sun.ask(LEAVE, p=program)
    assert len((await sun.ask(BOARD, p=program))["referralLeaderboard"]["edges"]) == 1
    await lin.ask(LEAVE, p=program)
    assert (await sun.ask(BOARD, p=program))["referralLeaderboard"]["edges"] == []


async def test_nobody_joins_the_leaderboard_of_what_is_not_there(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    absent, before = global_id("ReferralProgram", new_id()), await state(system)
    assert (await lin.ask(JOIN, p=absent, name="Swallow"))["joinReferralLeaderboard"]["code"] == "NOT_FOUND"
    assert (await lin.ask(LEAVE, p=absent))["leaveReferralLeaderboard"]["code"] == "NOT_FOUND"
    assert await state(system) == before


async def test_whom_we_disappointed_is_not_asked_to_refer(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    program = await make_program(system)
    assert (await lin.ask(PROMPT, p=program))["viewer"]["referralPrompt"] == {"ask": True, "reason": None}
    fact = NewFact("test", new_id(), "SURVEY_ANSWERED", local_of(f"lin-{unique}"), utc_now(), {"score": 2})
    async with system.edge.database.write() as session:
        await record_facts(session, [fact], now=utc_now())
    assert (await lin.ask(PROMPT, p=program))["viewer"]["referralPrompt"] == {"ask": False, "reason": "BAD_SURVEY"}
    stranger = system.caller(f"new-{unique}", "customer")
    found = (await stranger.ask(PROMPT, p=program))["viewer"]["referralPrompt"]
    assert found == {"ask": False, "reason": "NOT_SIGNED_UP"}


ASKED = {
    "plainly": "levels { nodes { referees } }",
    "by another name": "all: levels { some: nodes { count: referees } }",
    "in fragments": "...Tree",
    "under a condition": "levels { nodes { depth ... @include(if: $yes) { referees } } }",
    "twice": "levels { nodes { depth } } levels { nodes { referees } }",
}


@pytest.mark.parametrize("way", ASKED)
async def test_referees_are_counted_however_one_asks_for_them(system: System, unique: str, way: str) -> None:
    """Given a tree whose deepest nodes shown have brought one each; then their numbers are told in every way of asking,
    by the first run of the document and by later ones."""
    administrator = system.caller("admin", "administrator")
    await system.customer(f"lin-{unique}")
    program, _ = await make_tree(system, f"lin-{unique}", 2)
    document = f"""
query($p: ID!, $c: ID!, $yes: Boolean! = true) {{
  referralTree(programId: $p, customerId: $c, maxDepth: 2) {{ {ASKED[way]} asOf @include(if: $yes) }}
}}
fragment Tree on ReferralTree {{ levels {{ ...Level }} }}
fragment Level on ReferralTreeLevel {{ nodes {{ referees }} }}
"""
    if way != "in fragments":
        document = document.partition("fragment")[0]
    given = {"p": program, "c": global_id("Customer", local_of(f"lin-{unique}"))}
    for _ in range(7):
        tree = (await administrator.ask(document, **given))["referralTree"]
        levels = tree.get("levels") or tree["all"]
        nodes = [level.get("nodes") or level["some"] for level in levels]
        assert [[node.get("referees", node.get("count")) for node in level] for level in nodes] == [[1, 1], [1, 1]]
    if way == "under a condition":
        tree = (await administrator.ask(document, **given, yes=False))["referralTree"]
        assert tree["levels"] == [{"nodes": [{"depth": depth}] * 2} for depth in (1, 2)]


async def test_each_costs_the_same_for_a_small_tree_and_for_a_large_one(system: System, unique: str) -> None:
    """Given trees of 2 and of 15 referees, then each query and action costs the same, as the table says."""
    administrator = system.caller("admin", "administrator")
    seen: list[dict[str, tuple[int, int]]] = []
    for width in (2, 15):
        name = f"lin{width}-{unique}"
        lin = await system.customer(name)
        program, forest = await make_tree(system, name, width)
        for referee in forest.people[1:]:
            await turn(system.edge.database, forest.program, referee, ReferralStatus.QUALIFIED, at=utc_now())
        await rank_influence(system.edge.database, now=utc_now())
        me = {"p": program, "c": global_id("Customer", local_of(name))}
        # From the second run on who asks is looked up first, and once.
        await administrator.ask(TREE, **me)
        seen.append(
            {
                "referralTree (own)": await cost(system, lin, TREE, **me),
                "referralTree (administrator)": await cost(system, administrator, TREE, **me),
                "referralFunnel": await cost(system, administrator, FUNNEL, p=program, **window()),
                "referralKFactor": await cost(system, administrator, K_FACTOR, p=program, **window()),
                "referralInfluence": await cost(system, administrator, INFLUENCE, p=program),
                "joinReferralLeaderboard": await cost(system, lin, JOIN, p=program, name="Swallow"),
                "referralLeaderboard": await cost(system, lin, BOARD, p=program),
                "leaveReferralLeaderboard": await cost(system, lin, LEAVE, p=program),
                "viewer.referralPrompt": await cost(system, lin, PROMPT, p=program),
            }
        )
    assert seen[0] == seen[1]
    # PostgreSQL reads all levels at once.
    levels = 0 if system.edge.database.is_sqlite else 2
    trees = {name: (graph, sql - levels) for name, (graph, sql) in COSTS.items() if name.startswith("referralTree")}
    assert seen[0] == COSTS | trees


def test_every_field_of_the_figures_is_described() -> None:
    for name, kind in SCHEMA.type_map.items():
        if name.startswith("Referral") and isinstance(kind, GraphQLObjectType):
            assert kind.description, name
            assert all(field.description for key, field in kind.fields.items() if key != "id"), name
