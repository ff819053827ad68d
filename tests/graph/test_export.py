"""The export: the same matrices however the pages are cut, with what the graph says and nothing that is newer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import graph.export as export
from community.access import MemberRole
from community.content import delete_content
from core.clock import iso, utc_now
from core.ids import new_id
from graph.client import GraphClient
from graph.evidence import known_of_range
from tests.community.places import add_member, make_community, make_customers
from tests.community.ties import acquaint, add_about, add_tag, refer
from tests.community.writings import write_comment, write_post

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
        known, until = None if confidence == 1.0 else confidence, "2999-01-01T00:00:00.000000Z" if who == 0 else None
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
    everybody = places(ids)
    memberships = await export.export_memberships(graph, ids, town.communities, now=utc_now())

    assert (memberships.customers, memberships.communities) == (ids, town.communities)
    assert entries(memberships.matrix) == ones(town.members) | dict.fromkeys(town.banned, -1.0)
    known = await known_of_range(graph, ids, now=NOW)
    assert entries(known.matrix("tags", export.Numbers(town.tags))) == town.tagged
    both_ways = town.knows | {(b, a) for a, b in town.knows}
    numbers = export.Numbers(ids)
    assert entries(known.matrix("acquaintances", numbers, once=True)) == ones(both_ways)
    assert entries(known.matrix("referees", numbers, once=True)) == ones(town.referred)
    assert entries(known.matrix("referrers", numbers, once=True)) == ones({(b, a) for a, b in town.referred})
    assert entries(await export.export_referrers(graph, ids, everybody)) == ones({(b, a) for a, b in town.referred})


SET_WEIGHT = """
MATCH (:Customer {id: $customer})-[m:MEMBER_OF]->(:Community {id: $community})
SET m.weight = $weight
"""
ATTEND = """
MATCH (c:Customer {id: $customer})
CREATE (e:Event {id: $id, community_id: $community})
CREATE (c)-[:REGISTERED_FOR {key: $id, attended_at: $at}]->(e)
"""


def places(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


@pytest.mark.usefixtures("pages")
async def test_a_part_of_the_customers_against_everybody(graph: GraphClient, town: Town) -> None:
    """Given three of the customers; then their rows alone, with the columns of everybody."""
    ids = town.customers
    matrix = (await known_of_range(graph, ids[4:], now=NOW)).matrix("acquaintances", export.Numbers(ids), once=True)

    assert matrix.shape == (3, 7)
    assert entries(matrix) == ones({(1, 2), (2, 3)})


async def test_what_is_newer_than_the_columns_is_left_out(graph: GraphClient, town: Town) -> None:
    """Given columns and customers from before a membership and a customer; then the matrix is as it was."""
    ids, known = town.customers, town.communities
    newer = await make_community(graph)
    await add_member(graph, newer, ids[0], MemberRole.MEMBER)
    without_one = ids[:3] + ids[4:]
    matrix = (await export.export_memberships(graph, without_one, known, now=utc_now())).matrix

    rows = {who: number for number, who in enumerate([0, 1, 2, 4, 5, 6])}
    kept = {(rows[who], where) for who, where in town.members if who in rows}
    assert entries(matrix) == ones(kept) | {(rows[who], where): -1.0 for who, where in town.banned}


async def test_how_much_is_done_and_since_when_is_told(graph: GraphClient, town: Town) -> None:
    """Given a member who takes no part, one with a weight, and attendance now and half a year ago; then it adds up."""
    who, where = min(town.members)
    member, community = town.customers[who], town.communities[where]
    now = utc_now()

    async def entry_of(weight: float | None) -> float:
        await graph.write(SET_WEIGHT, customer=member, community=community, weight=weight)
        found = await export.export_memberships(graph, town.customers, town.communities, now=now)
        assert 0 <= export.day_number(iso(now)) - found.joined[who, where] <= 1
        return float(found.matrix[who, where])

    assert await entry_of(0.0) == pytest.approx(0.001)
    assert await entry_of(None) == 1.0
    assert await entry_of(7.5) == 7.5
    for days in (0, 180):
        at = iso(now - timedelta(days=days))
        await graph.write(ATTEND, customer=member, community=community, id=new_id(), at=at)
    assert await entry_of(7.5) == pytest.approx(7.5 + 1 + 0.5)


async def test_replies_weigh_on_both_sides_and_fade(graph: GraphClient, town: Town) -> None:
    """Given a post of one member that another answers, and is answered; then both weigh more, and less by half a year.

    What one says to oneself, is deleted, or was said a year ago adds nothing; nor does an answer make a member.
    """
    (first, second), community = (town.customers[0], town.customers[6]), town.communities[0]
    now = utc_now()

    async def weights(days: int = 0) -> list[float]:
        later = now + timedelta(days=days)
        found = await export.export_memberships(graph, town.customers, town.communities, now=later)
        known = await known_of_range(graph, town.customers, now=iso(later))
        numbers = export.Numbers(town.communities)
        assert entries(known.memberships(numbers)) == entries(found.matrix)
        assert entries(known.joined(numbers)) == entries(found.joined)
        return [float(found.matrix[who, 0]) for who in (0, 6, 2)]

    post = await write_post(graph, community, first, now=now)
    await write_comment(graph, post, first, now=now)
    assert await weights() == [1, 1, -1]
    answer = await write_comment(graph, post, second, now=now)
    assert await weights() == pytest.approx([1 + export.REPLY_WORTH, 1 + export.REPLY_WORTH, -1])
    # Twice answered on a day is once answered; who answers twice has answered twice.
    await write_comment(graph, post, second, now=now)
    await write_comment(graph, post, first, reply_to=answer, now=now)
    assert await weights() == pytest.approx([1 + 2 * export.REPLY_WORTH, 1 + 3 * export.REPLY_WORTH, -1])
    assert await weights(180) == pytest.approx([1 + export.REPLY_WORTH, 1 + 1.5 * export.REPLY_WORTH, -1])
    assert await weights(361) == [1, 1, -1]
    await delete_content(graph, "Post", post, actor_id=first, reason=None, now=now, path="postId")
    await delete_content(graph, "Comment", answer, actor_id=second, reason=None, now=now, path="commentId")
    assert await weights() == pytest.approx([1 + export.REPLY_WORTH, 1 + export.REPLY_WORTH, -1])


async def test_no_weight_is_too_large_to_be_added(graph: GraphClient, town: Town) -> None:
    """Given a weight that no sum in single precision can hold; then it is as large as weights get."""
    who, where = min(town.members)
    for weight in (1e300, 1e39):
        await graph.write(SET_WEIGHT, customer=town.customers[who], community=town.communities[where], weight=weight)
        found = await export.export_memberships(graph, town.customers, town.communities, now=utc_now())
        assert found.matrix[who, where] == export.MOST_WEIGHT


async def test_two_that_know_each_other_from_both_sides_know_each_other_once(graph: GraphClient, town: Town) -> None:
    """Given an acquaintance told from both sides and a referral in two programmes; then 1 and no more."""
    ids = town.customers
    await acquaint(graph, ids[1], [ids[0]])
    again = "MATCH (a:Customer {id: $a}), (b:Customer {id: $b}) CREATE (a)-[:REFERRED {key: $key}]->(b)"
    await graph.write(again, a=ids[0], b=ids[3], key=new_id())

    known, numbers = await known_of_range(graph, ids, now=NOW), export.Numbers(ids)
    assert entries(known.matrix("acquaintances", numbers, once=True))[0, 1] == 1.0
    assert entries(known.matrix("referees", numbers, once=True)) == ones(town.referred)
    referrers = ones({(b, a) for a, b in town.referred})
    assert entries(await export.export_referrers(graph, ids, places(ids))) == referrers


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
    found = await export.export_catalogue(graph, now=utc_now())

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
