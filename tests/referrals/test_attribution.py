"""Attribution: one referrer each, no circles however many claim at once, and the conversion follows."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import networkx as nx
import pytest
from sqlmodel import select

from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError
from core.ids import new_id
from graph.client import GraphClient
from referrals.attribution import (
    AlreadyQualified,
    AlreadyReferred,
    ExistingCustomer,
    Referral,
    ReferralCycle,
    SelfReferral,
    refer,
    unsettled_referrals,
)
from referrals.codes import CodeRevoked, CodeStatus, CodeUnknown, ReferralCode, resolve_code
from referrals.definition import Attribution
from referrals.links import record_click
from referrals.programs import ProgramNotActive
from tests.conftest import Addresses
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import claim, code_of, make_people, make_program, person, tell

pytestmark = pytest.mark.anyio

EDGES = """
MATCH (a:Customer)-[r:REFERRED {program_id: $program_id}]->(b:Customer)
RETURN a.id AS referrer_id, b.id AS referee_id
"""


async def edges_of(graph: GraphClient, program: str) -> list[tuple[str, str]]:
    return [(row["referrer_id"], row["referee_id"]) for row in await graph.read(EDGES, program_id=program)]


async def referrals_of(database: Database, program: str) -> list[Referral]:
    async with database.read() as session:
        return list((await session.exec(select(Referral).where(Referral.program_id == program))).all())


async def refused(*arguments: object, **more: object) -> str:
    try:
        await claim(*arguments, **more)  # pyright: ignore[reportArgumentType] - passed through
    except KinshipError as error:
        return error.code
    return "ACCEPTED"


async def test_a_claim_draws_the_edge_and_writes_the_conversion_once(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    first = await claim(database, graph, code, wu)
    assert await claim(database, graph, code, wu) == first
    assert await edges_of(graph, program) == [(lin, wu)]
    assert [referral.id for referral in await referrals_of(database, program)] == [first]


async def test_a_second_referrer_is_refused_and_the_first_stays(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, sun, wu = await make_people(graph, 3)
    await claim(database, graph, await code_of(database, program, lin), wu)
    assert await refused(database, graph, await code_of(database, program, sun), wu) == AlreadyReferred.code
    assert await edges_of(graph, program) == [(lin, wu)]


async def test_the_referrer_of_ones_referrer_cannot_be_ones_referee(graph: GraphClient, database: Database) -> None:
    """Given a chain of four, when the first claims the code of the last, then it is a cycle and refused."""
    program = await make_program(database)
    chain = await make_people(graph, 4)
    for one, other in pairwise(chain):
        await claim(database, graph, await code_of(database, program, one), other)
    last = await code_of(database, program, chain[-1])
    assert await refused(database, graph, last, chain[0]) == ReferralCycle.code
    assert len(await edges_of(graph, program)) == 3


@pytest.mark.parametrize("same", ["customer", "identity_hash", "phone_hash", "email_hash"])
async def test_nobody_refers_oneself_even_under_another_profile(
    graph: GraphClient, database: Database, same: str
) -> None:
    program = await make_program(database)
    lin, other = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    if same == "customer":
        referrer, referee = person(lin), person(lin)
    else:
        referrer, referee = person(lin, **{same: "+86 1"}), person(other, **{same: "+86 1"})
    assert await refused(database, graph, code, referee, referrer=referrer) == SelfReferral.code
    assert await edges_of(graph, program) == []
    assert await referrals_of(database, program) == []


async def test_an_existing_customer_is_refused_by_date_and_by_facts(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, old, known = await make_people(graph, 3)
    code = await code_of(database, program, lin)
    since = utc_now() - timedelta(days=400)
    assert await refused(database, graph, code, person(old, customer_since=since)) == ExistingCustomer.code
    await tell(database, known, "IDENTITY_VERIFIED", at=since)
    assert await refused(database, graph, code, known) == ExistingCustomer.code
    assert await edges_of(graph, program) == []


async def test_a_late_claim_counts_recent_facts_but_not_after_everything_is_earned(
    graph: GraphClient, database: Database
) -> None:
    program = await make_program(database)
    lin, half, done = await make_people(graph, 3)
    code = await code_of(database, program, lin)
    for customer in (half, done):
        await tell(database, customer, "IDENTITY_VERIFIED", at=utc_now() - timedelta(days=2))
    await tell(database, done, "EVENT_ATTENDED", at=utc_now() - timedelta(days=1))
    assert await refused(database, graph, code, half) == "ACCEPTED"
    assert await refused(database, graph, code, done) == AlreadyQualified.code


async def test_a_claim_repeated_when_everything_is_earned_gives_the_first_answer(
    graph: GraphClient, database: Database
) -> None:
    """Given a claim whose steps are all reached, when it is sent again, then the answer is the first one."""
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    first = await claim(database, graph, code, wu)
    for kind in ("IDENTITY_VERIFIED", "EVENT_ATTENDED"):
        await tell(database, wu, kind)
    assert await claim(database, graph, code, wu) == first


async def test_codes_that_are_unknown_revoked_or_of_an_ended_programme(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    ended = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code, late = await code_of(database, program, lin), await code_of(database, ended, lin)
    await by_hand(database, "UPDATE referral_program SET status = 'ENDED' WHERE id = :id", id=ended)
    await by_hand(
        database, "UPDATE referral_code SET status = :status WHERE id = :id", status=CodeStatus.REVOKED, id=code.id
    )
    assert await refused(database, graph, code, wu) == CodeRevoked.code
    assert await refused(database, graph, late, wu) == ProgramNotActive.code
    made_up = ReferralCode(code="22222222", program_id=program, customer_id=lin, id="x", status="ACTIVE")
    assert await refused(database, graph, made_up, wu) == CodeUnknown.code


async def test_a_code_is_read_in_any_case_and_with_spaces(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    code = await code_of(database, program, lin)
    typed = f" {code.code[:4].lower()} - {code.code[4:].lower()} "
    async with database.read() as session:
        assert (await resolve_code(session, typed)).id == code.id


async def test_asked_thirty_times_at_once_a_customer_has_one_code(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    pools = [stores.database() for _ in range(3)]
    try:
        codes = await asyncio.gather(*(code_of(pools[n % 3], program, lin) for n in range(30)))
    finally:
        for pool in pools:
            await pool.close()
    assert len({code.id for code in codes}) == 1


@pytest.mark.parametrize(("rule", "winner"), [(Attribution.FIRST_TOUCH, 0), (Attribution.LAST_TOUCH, 1)])
async def test_the_first_or_the_last_click_counts_and_robots_never(
    graph: GraphClient, database: Database, rule: Attribution, winner: int
) -> None:
    """Given clicks of two referrers and a robot's, when the newcomer claims, then the programme's rule decides."""
    program = await make_program(database, attribution=rule)
    *referrers, robot, wu = await make_people(graph, 4)
    codes = [await code_of(database, program, customer) for customer in (*referrers, robot)]
    now = utc_now()
    clicks: list[str] = []
    async with database.write() as session:
        for code, agent, hours in (
            (codes[2], "WhatsApp preview", 30),
            (codes[0], "Phone", 20),
            (codes[1], "Phone", 10),
        ):
            at = now - timedelta(hours=hours)
            click = await record_click(session, code, channel="wechat", user_agent=agent, is_head=False, now=at)
            clicks.append(click.id)
    await claim(database, graph, codes[2], wu, click_ids=clicks)
    assert await edges_of(graph, program) == [(referrers[winner], wu)]


async def test_clicks_past_the_window_do_not_count(graph: GraphClient, database: Database) -> None:
    program = await make_program(database, click_window_days=1)
    lin, sun, wu = await make_people(graph, 3)
    old, typed = await code_of(database, program, lin), await code_of(database, program, sun)
    async with database.write() as session:
        at = utc_now() - timedelta(days=1, minutes=1)
        click = await record_click(session, old, channel=None, user_agent="Phone", is_head=False, now=at)
    await claim(database, graph, typed, wu, click_ids=[click.id, "no-such-click"])
    assert await edges_of(graph, program) == [(sun, wu)]


async def test_one_referee_claimed_by_twenty_at_once_has_one_referrer(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    program = await make_program(database)
    *referrers, wu = await make_people(graph, 21)
    clients = [stores.graph() for _ in range(4)]
    drawn = await draw_all(clients, program, [(referrer, wu) for referrer in referrers])
    assert drawn.count("DRAWN") == 1
    assert drawn.count(AlreadyReferred.code) == 19
    assert len(await edges_of(graph, program)) == 1


@pytest.mark.parametrize("size", [2, 3, 6])
async def test_a_ring_claimed_at_once_is_never_closed(stores: Addresses, graph: GraphClient, size: int) -> None:
    """Given people who all claim the next one's code at once, on four clients, then one claim of the ring fails."""
    for _ in range(3):
        program = new_id()
        ring = await make_people(graph, size)
        pairs = [(ring[n], ring[(n + 1) % size]) for n in range(size)]
        drawn = await draw_all([stores.graph() for _ in range(4)], program, pairs)
        assert sorted(drawn) == sorted(["DRAWN"] * (size - 1) + [ReferralCycle.code])
        assert nx.is_forest(nx.DiGraph(await edges_of(graph, program)))


async def test_a_storm_of_random_claims_leaves_a_forest(stores: Addresses, graph: GraphClient) -> None:
    """Given 25 people and 120 random claims on four clients at once, then what was drawn is a forest of trees."""
    program = new_id()
    people = await make_people(graph, 25)
    dice = random.Random(7)
    pairs = [random_pair(dice, people) for _ in range(120)]
    drawn = await draw_all([stores.graph() for _ in range(4)], program, pairs)
    edges = await edges_of(graph, program)
    drawing = nx.DiGraph(edges)
    assert drawn.count("DRAWN") == len(edges) == len(set(edges))
    assert nx.is_directed_acyclic_graph(drawing)
    assert max(degree for _, degree in drawing.in_degree()) == 1
    assert set(drawn) <= {"DRAWN", "AGAIN", AlreadyReferred.code, ReferralCycle.code}


def random_pair(dice: random.Random, people: Sequence[str]) -> tuple[str, str]:
    one, other = dice.sample(people, 2)
    return one, other


async def draw_one(client: GraphClient, program: str, referrer: str, referee: str) -> str:
    """Draw a pair as a claim does; returns DRAWN, AGAIN, or the code of what was refused."""
    code = ReferralCode(id=new_id(), code="X", program_id=program, customer_id=referrer, status="ACTIVE")
    now = utc_now()
    try:
        done = await refer(
            client, code=code, version=1, referee_id=referee, click_id=None, attributed_from=now, now=now
        )
    except KinshipError as error:
        return error.code
    return "DRAWN" if done else "AGAIN"


async def draw_all(clients: list[GraphClient], program: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Draw all pairs at once over several clients, as several API processes would."""
    try:
        return list(
            await asyncio.gather(*(draw_one(clients[n % len(clients)], program, *pair) for n, pair in enumerate(pairs)))
        )
    finally:
        # What these tests draw has no conversion on purpose; no sweep of another test shall find it.
        await clients[0].write("MATCH ()-[r:REFERRED {program_id: $program}]->() SET r.settled = true", program=program)
        assert all(
            edge["program_id"] != program for edge in await unsettled_referrals(clients[0], after="", limit=1000)
        )
        for client in clients:
            await client.close()
