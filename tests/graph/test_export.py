"""The export: the same matrices however the pages are cut, with what the graph says and nothing that is newer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import graph.export as export
from community.access import MemberRole
from core.ids import new_id
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers
from tests.community.ties import acquaint, add_about, add_tag, refer

pytestmark = pytest.mark.anyio

NOW = "2026-01-01T00:00:00.000000Z"


@dataclass(frozen=True)
class Town:
    """Seven customers in order of id, their communities and tags, and who is tied to whom."""

    customers: list[str]
    communities: list[str]
    tags: list[str]
    members: set[tuple[int, int]]
    banned: set[tuple[int, int]]
    tagged: dict[tuple[int, int], float]
    knows: set[tuple[int, int]]
    referred: set[tuple[int, int]]


@pytest.fixture
async def town(graph: GraphClient, unique: str) -> Town:
    customers = sorted(await make_customers(graph, 7))
    communities = sorted([await make_community(graph) for _ in range(3)])
    made = Town(
        customers=customers,
        communities=communities,
        tags=[f"{unique}-{letter}" for letter in "ab"],
        members={(0, 0), (0, 2), (3, 1), (6, 0), (6, 1)},
        banned={(2, 0), (6, 2)},
        tagged={(0, 0): 0.5, (5, 1): 1.0, (6, 0): 0.25},
        knows={(0, 1), (5, 2), (3, 6)},
        referred={(0, 3), (0, 5), (5, 6)},
    )
    await settle(graph, made)
    return made


async def settle(graph: GraphClient, town: Town) -> None:
    """Put the town's ties into the graph; besides those, somebody has a tag that has ended."""
    for role, pairs in ((MemberRole.MEMBER, town.members), (MemberRole.BANNED, town.banned)):
        for who, where in sorted(pairs):
            await add_member(graph, town.communities[where], town.customers[who], role)
    for (who, tag), confidence in town.tagged.items():
        # No confidence is full confidence, and an end that lies ahead is none yet.
        known, until = None if confidence == 1.0 else confidence, "2999" if who == 0 else None
        await add_tag(graph, town.customers[who], town.tags[tag], confidence=known, until=until)
    await add_tag(graph, town.customers[4], town.tags[0], until="2025-12-31T23:59:59.999999Z")
    for a, b in sorted(town.knows):
        await acquaint(graph, town.customers[a], [town.customers[b]])
    for a, b in sorted(town.referred):
        await refer(graph, town.customers[a], [town.customers[b]])


PAGES = [
    {},
    {"IDS_AT_ONCE": 1, "CUSTOMERS_AT_ONCE": 1, "READS_AT_ONCE": 1},
    {"IDS_AT_ONCE": 2, "CUSTOMERS_AT_ONCE": 3, "READS_AT_ONCE": 2},
    {"IDS_AT_ONCE": 7, "CUSTOMERS_AT_ONCE": 2, "READS_AT_ONCE": 10},
]


@pytest.fixture(params=PAGES)
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    for name, value in request.param.items():
        monkeypatch.setattr(export, name, value)
    return request.param


def entries(matrix: csr_array) -> dict[tuple[int, int], float]:
    """The matrix as places and values; its columns are in order, as scoring relies on."""
    assert matrix.dtype == np.float32
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        assert list(matrix.indices[start:end]) == sorted(set(matrix.indices[start:end].tolist()))
    coordinates = matrix.tocoo()
    places = zip(coordinates.row.tolist(), coordinates.col.tolist(), strict=True)
    return dict(zip(places, coordinates.data.tolist(), strict=True))


def ones(pairs: set[tuple[int, int]]) -> dict[tuple[int, int], float]:
    return dict.fromkeys(pairs, 1.0)


@pytest.mark.usefixtures("pages")
async def test_ids_come_in_order_whatever_the_pages(graph: GraphClient, town: Town) -> None:
    """Given seven customers among others; when a range is asked for; then its ids in order, both ends included."""
    ids = town.customers
    last = ids[-1]

    assert await export.export_customer_ids(graph, first_id=ids[0], last_id=last) == ids
    assert await export.export_customer_ids(graph, first_id=ids[2], last_id=ids[4]) == ids[2:5]
    assert await export.export_customer_ids(graph, first_id=ids[3], last_id=ids[3]) == [ids[3]]
    assert await export.export_customer_ids(graph, first_id=f"{last}-", last_id=f"{last}-x") == []


@pytest.mark.usefixtures("pages")
async def test_matrices_say_what_the_graph_says_whatever_the_pages(graph: GraphClient, town: Town) -> None:
    """Given members, banned, tags and ties; then each matrix has exactly those."""
    ids = town.customers
    everybody, tags = places(ids), places(town.tags)
    memberships = await export.export_memberships(graph, ids, town.communities)

    assert (memberships.customers, memberships.communities) == (ids, town.communities)
    assert entries(memberships.matrix) == ones(town.members) | dict.fromkeys(town.banned, -1.0)
    assert entries(await export.export_customer_tags(graph, ids, tags, now=NOW)) == town.tagged
    both_ways = town.knows | {(b, a) for a, b in town.knows}
    assert entries(await export.export_acquaintances(graph, ids, everybody)) == ones(both_ways)
    assert entries(await export.export_referrals(graph, ids, everybody)) == ones(town.referred)
    assert entries(await export.export_referrers(graph, ids, everybody)) == ones({(b, a) for a, b in town.referred})


def places(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


@pytest.mark.usefixtures("pages")
async def test_a_part_of_the_customers_against_everybody(graph: GraphClient, town: Town) -> None:
    """Given three of the customers; then their rows alone, with the columns of everybody."""
    ids = town.customers
    matrix = await export.export_acquaintances(graph, ids[4:], places(ids))

    assert matrix.shape == (3, 7)
    assert entries(matrix) == ones({(1, 2), (2, 3)})


async def test_what_is_newer_than_the_columns_is_left_out(graph: GraphClient, town: Town) -> None:
    """Given columns and customers from before a membership and a customer; then the matrix is as it was."""
    ids, known = town.customers, town.communities
    newer = await make_community(graph)
    await add_member(graph, newer, ids[0], MemberRole.MEMBER)
    without_one = ids[:3] + ids[4:]
    matrix = (await export.export_memberships(graph, without_one, known)).matrix

    rows = {who: number for number, who in enumerate([0, 1, 2, 4, 5, 6])}
    kept = {(rows[who], where) for who, where in town.members if who in rows}
    assert entries(matrix) == ones(kept) | {(rows[who], where): -1.0 for who, where in town.banned}


async def test_two_that_know_each_other_from_both_sides_know_each_other_once(graph: GraphClient, town: Town) -> None:
    """Given an acquaintance told from both sides and a referral in two programmes; then 1 and no more."""
    ids = town.customers
    await acquaint(graph, ids[1], [ids[0]])
    again = "MATCH (a:Customer {id: $a}), (b:Customer {id: $b}) CREATE (a)-[:REFERRED {key: $key}]->(b)"
    await graph.write(again, a=ids[0], b=ids[3], key=new_id())

    assert entries(await export.export_acquaintances(graph, ids, places(ids)))[0, 1] == 1.0
    assert entries(await export.export_referrals(graph, ids, places(ids))) == ones(town.referred)


@pytest.mark.parametrize("at_once", [1, 7, 2_000])
async def test_the_catalogue_is_whole_whatever_the_pages(
    graph: GraphClient, town: Town, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Given communities of each visibility, archived and with tags; then each is there once, with what it is about."""
    monkeypatch.setattr(export, "COMMUNITIES_AT_ONCE", at_once)
    private, unlisted = [await make_community(graph, visibility=kind) for kind in ("PRIVATE", "UNLISTED")]
    first, second, third = town.communities
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = $now", id=third, now=NOW)
    for community, tag in ((first, 0), (first, 1), (private, 1)):
        await add_about(graph, community, town.tags[tag])
    found = await export.export_catalogue(graph)

    assert found.communities == sorted(set(found.communities))
    assert found.tags == sorted(set(found.tags))
    assert [described(found, key) for key in (first, second, third, private, unlisted)] == [
        {"public": True, "archived": False, "about": town.tags},
        {"public": True, "archived": False, "about": []},
        {"public": True, "archived": True, "about": []},
        {"public": False, "archived": False, "about": town.tags[1:]},
        {"public": False, "archived": False, "about": []},
    ]


def described(catalogue: export.Catalogue, community_id: str) -> dict[str, Any]:
    number = catalogue.communities.index(community_id)
    return {
        "public": bool(catalogue.is_public[number]),
        "archived": bool(catalogue.is_archived[number]),
        "about": [catalogue.tags[tag] for row, tag in entries(catalogue.about) if row == number],
    }
