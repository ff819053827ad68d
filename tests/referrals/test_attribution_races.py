"""Circles at scale: many writers, single claims and batches, on random graphs; a graph library is the judge."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import networkx as nx
import pytest

from core.clock import utc_now
from core.ids import new_id
from graph.client import GraphClient
from referrals.ancestry import STEP, roots_of
from referrals.attribution import AlreadyReferred, ReferralCycle
from referrals.batches import Wanted, refer_all
from tests.conftest import Addresses
from tests.referrals.programs import make_people
from tests.referrals.test_attribution import draw_all, draw_one, edges_of, random_pair

pytestmark = pytest.mark.anyio

Pair = tuple[str, str]
SETTLE = "MATCH ()-[r:REFERRED {program_id: $program}]->() SET r.settled = true"


def patient(stores: Addresses, count: int) -> list[GraphClient]:
    """Clients that wait for a turn as long as it takes on a busy machine."""
    return [stores.graph(timeout=120) for _ in range(count)]


async def import_all(client: GraphClient, program: str, pairs: Sequence[Pair]) -> int:
    """Draw pairs as one batch of an import does; returns how many were refused."""
    rows = [Wanted(line, referrer, referee, utc_now()) for line, (referrer, referee) in enumerate(pairs)]
    codes = {referrer: "code" for referrer, _ in pairs}
    return len(await refer_all(client, program, 1, rows, codes, utc_now()))


async def draw_chain(client: GraphClient, program: str, chain: Sequence[str]) -> None:
    for start in range(0, len(chain) - 1, 250):
        assert await import_all(client, program, list(pairwise(chain[start : start + 251]))) == 0
    await client.write(SETTLE, program=program)


async def edges_as_they_are(graph: GraphClient, program: str) -> "nx.DiGraph[str]":
    """What was drawn, which must be a forest of trees."""
    edges = await edges_of(graph, program)
    drawing: nx.DiGraph[str] = nx.DiGraph(edges)
    assert len(edges) == len(set(edges))
    assert nx.is_directed_acyclic_graph(drawing)
    assert all(degree <= 1 for _, degree in drawing.in_degree())
    return drawing


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_claims_and_batches_leaves_a_forest(stores: Addresses, graph: GraphClient, seed: int) -> None:
    """Given 60 people, when 120 random claims by 6 clients and 4 batches of 15 run at once, then a forest is left."""
    dice = random.Random(seed)
    program, people = new_id(), await make_people(graph, 60)
    claims: list[Pair] = [random_pair(dice, people) for _ in range(120)]
    batches: list[list[Pair]] = [[random_pair(dice, people) for _ in range(15)] for _ in range(4)]
    clients = patient(stores, 10)
    drawn, refused = await asyncio.gather(
        asyncio.gather(*(draw_one(clients[n % 6], program, *pair) for n, pair in enumerate(claims))),
        asyncio.gather(*(import_all(client, program, rows) for client, rows in zip(clients[6:], batches, strict=True))),
    )
    for client in clients:
        await client.close()
    await graph.write(SETTLE, program=program)
    drawing = await edges_as_they_are(graph, program)
    edges = set(drawing.edges)
    # Each pair is drawn once, by a claim or by a batch; the rows of a batch that were not refused stand in the graph.
    assert set(drawn) <= {"DRAWN", "AGAIN", AlreadyReferred.code, ReferralCycle.code}
    for rows, count in zip(batches, refused, strict=True):
        assert len(rows) - count == sum(row in edges for row in rows)
    accepted = {pair for pair, outcome in zip(claims, drawn, strict=True) if outcome in ("DRAWN", "AGAIN")}
    assert edges == accepted | {row for rows in batches for row in rows if row in edges}
    # What was refused would still be wrong now: the referee has another referrer, or stands above the referrer.
    for pair, outcome in zip(claims, drawn, strict=True):
        if outcome == ReferralCycle.code:
            assert nx.has_path(drawing, pair[1], pair[0])
        if outcome == AlreadyReferred.code:
            assert drawing.in_degree(pair[1]) == 1
            assert pair not in edges


@pytest.mark.parametrize("size", [2, 3, 5])
async def test_a_ring_of_trees_that_grow_together_is_never_closed(
    stores: Addresses, graph: GraphClient, size: int
) -> None:
    """Given deep chains, when each one's first claims the code of another's last at once, then one claim fails."""
    program = new_id()
    chains = [await make_people(graph, 40) for _ in range(size)]
    for chain in chains:
        await draw_chain(graph, program, chain)
    pairs = [(chains[n - 1][-1], chains[n][0]) for n in range(size)]
    drawn = await draw_all(patient(stores, size), program, pairs)
    assert Counter(drawn) == {"DRAWN": size - 1, ReferralCycle.code: 1}
    drawing = await edges_as_they_are(graph, program)
    assert len(drawing.edges) == size * 39 + size - 1


async def test_batches_that_would_close_a_ring_together_refuse_one_row(stores: Addresses, graph: GraphClient) -> None:
    """Given chains of which each batch joins two, when all run at once, then exactly one row of all is refused."""
    program = new_id()
    chains = [await make_people(graph, 20) for _ in range(4)]
    for chain in chains:
        await draw_chain(graph, program, chain)
    clients = patient(stores, 4)
    refused = await asyncio.gather(
        *(import_all(clients[n], program, [(chains[n - 1][-1], chains[n][0])]) for n in range(4))
    )
    for client in clients:
        await client.close()
    assert sorted(refused) == [0, 0, 0, 1]
    assert len((await edges_as_they_are(graph, program)).edges) == 4 * 19 + 3
    await graph.write(SETTLE, program=program)


async def test_a_chain_a_thousand_deep_is_climbed_to_its_root_and_not_closed(
    stores: Addresses, graph: GraphClient
) -> None:
    """Given a chain of 1,000, then the root is found from everywhere, and its first cannot claim its last's code."""
    program, chain = new_id(), await make_people(graph, 1001)
    await draw_chain(graph, program, chain)
    asked = [chain[0], chain[1], chain[STEP - 1], chain[STEP], chain[STEP + 1], chain[2 * STEP], chain[1000]]

    async def climb(tx: object) -> dict[str, str]:
        return await roots_of(tx, program, asked)  # pyright: ignore[reportArgumentType]

    assert await graph.transact(climb, contended="test") == dict.fromkeys(asked, chain[0])
    (outcome,) = await draw_all(patient(stores, 1), program, [(chain[1000], chain[0])])
    assert outcome == ReferralCycle.code
    (fresh,) = await make_people(graph, 1)
    assert await draw_all(patient(stores, 1), program, [(chain[1000], fresh)]) == ["DRAWN"]
    assert await draw_all(patient(stores, 1), program, [(fresh, chain[0])]) == [ReferralCycle.code]
