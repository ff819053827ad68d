"""Joining and leaving: one membership per customer, and the count is what it counts."""

import asyncio
from collections.abc import Sequence
from typing import LiteralString

import pytest

from community.access import MEMBERS, MemberRole
from community.communities import read_communities
from community.memberships import Banned, JoinByInvitation, join_community, leave_community
from community.standing import CommunityArchived, LastOwner
from core.clock import utc_now
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Before, PageInvalid
from graph.client import GraphClient
from graph.eligibility import NotEligible
from tests.community.happenings import listed_members
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

COUNT = """
MATCH (c:Community {id: $id})
RETURN c.member_count AS counter, COUNT { (c)<-[m:MEMBER_OF]-() WHERE m.role IN $members } AS members
"""


async def count(graph: GraphClient, community_id: str) -> tuple[int, int]:
    row = (await graph.read(COUNT, id=community_id, members=MEMBERS))[0]
    return row["counter"], row["members"]


async def join(graph: GraphClient, community_id: str, customer_id: str) -> None:
    await join_community(graph, community_id=community_id, customer_id=customer_id, now=utc_now())


async def test_many_join_at_once_and_each_is_counted_once(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community = await make_community(one)
        customers = await make_customers(one, 40)
        await asyncio.gather(*(join((one, other)[i % 2], community, c) for i, c in enumerate(customers * 2)))
        assert await count(one, community) == (40, 40)


async def test_joining_and_leaving_in_any_order_keeps_the_count(graph: GraphClient) -> None:
    community = await make_community(graph)
    customers = await make_customers(graph, 10)

    async def come_and_go(customer: str) -> None:
        for _ in range(2):
            await join(graph, community, customer)
            await leave_community(graph, community_id=community, customer_id=customer, now=utc_now())
        await join(graph, community, customer)

    await asyncio.gather(*(come_and_go(customer) for customer in customers))
    assert await count(graph, community) == (10, 10)


async def refused(graph: GraphClient, community_id: str, customer_id: str, refusal: type[Refusal]) -> None:
    before = await count(graph, community_id)
    with pytest.raises(refusal):
        await join(graph, community_id, customer_id)
    assert await count(graph, community_id) == before


async def test_refusals_change_nothing(graph: GraphClient) -> None:
    banned, outsider = await make_customers(graph, 2)
    open_one = await make_community(graph)
    await add_member(graph, open_one, banned, MemberRole.BANNED)
    await refused(graph, open_one, banned, Banned)
    await refused(graph, open_one, new_id(), NotFound)
    conditions: list[LiteralString] = ["c.minimum_tier = 'VIP'", "c.required_tags = ['a', 'b']"]
    for condition in conditions:
        conditional = await make_community(graph)
        query: LiteralString = "MATCH (c:Community {id: $id}) SET " + condition
        await graph.write(query, id=conditional)
        await refused(graph, conditional, outsider, NotEligible)
    await refused(graph, await make_community(graph, join_policy="INVITE"), outsider, JoinByInvitation)
    archived = await make_community(graph)
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'then'", id=archived)
    await refused(graph, archived, outsider, CommunityArchived)
    private = await make_community(graph, visibility="PRIVATE")
    await refused(graph, private, outsider, NotFound)
    with pytest.raises(NotFound) as absent:
        await join(graph, new_id(), outsider)
    with pytest.raises(NotFound) as hidden:
        await join(graph, private, outsider)
    assert absent.value.words("en") == hidden.value.words("en")


async def test_the_last_owner_stays(graph: GraphClient) -> None:
    one, two = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=one)
    with pytest.raises(LastOwner):
        await leave_community(graph, community_id=community, customer_id=one, now=utc_now())
    await add_member(graph, community, two, MemberRole.OWNER)
    outcomes = await asyncio.gather(
        *(leave_community(graph, community_id=community, customer_id=c, now=utc_now()) for c in (one, two)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastOwner", "NoneType"]
    assert await count(graph, community) == (1, 1)


async def test_a_private_community_exists_for_its_members_only(graph: GraphClient) -> None:
    member, outsider, banned = await make_customers(graph, 3)
    community = await make_community(graph, visibility="PRIVATE", owner_id=member)
    await add_member(graph, community, banned, MemberRole.BANNED)
    assert set(await read_communities(graph, [community], viewer_id=member)) == {community}
    for viewer in (outsider, banned, None):
        assert await read_communities(graph, [community], viewer_id=viewer) == {}


async def members_by(
    graph: GraphClient, community_id: str, viewer_id: str | None, first: int, roles: Sequence[MemberRole] = ()
) -> list[str]:
    """The ids of all members, page by page; from the end they are the same."""
    row = (await read_communities(graph, [community_id], viewer_id=viewer_id))[community_id]
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = (await listed_members(graph, [row], first=first, after=cursor, roles=roles))[community_id]
        seen += [row["id"] for row in page.rows]
        cursor, more = (page.cursors or [None])[-1], page.has_next
    backwards: list[str] = []
    cursor, more = None, True
    while more:
        page = (await listed_members(graph, [row], first=first, after=Before(cursor), roles=roles))[community_id]
        backwards = [row["id"] for row in page.rows] + backwards
        cursor, more = (page.cursors or [None])[0], page.has_previous
    assert backwards == seen
    return seen


async def test_members_page_in_the_order_in_which_they_joined(graph: GraphClient) -> None:
    """Given 60 members of whom most of the first have left; then pages of any size show the others, each once."""
    community = await make_community(graph)
    customers = await make_customers(graph, 60)
    now = utc_now()
    for customer in customers:
        await join_community(graph, community_id=community, customer_id=customer, now=now)
    left = set(customers[3:50])
    for customer in left:
        await leave_community(graph, community_id=community, customer_id=customer, now=now)
    expected = [customer for customer in customers if customer not in left]
    for size in (1, 3, 20, 100):
        assert await members_by(graph, community, None, size) == expected
        assert await members_by(graph, community, None, size, (MemberRole.MEMBER,)) == expected
    await join_community(graph, community_id=community, customer_id=customers[3], now=now)
    assert await members_by(graph, community, None, 5) == [*expected, customers[3]]


async def test_members_of_some_roles(graph: GraphClient) -> None:
    community, other = await make_community(graph), await make_community(graph)
    people = await make_customers(graph, 6)
    roles = [MemberRole.OWNER, *[MemberRole.MEMBER] * 2, MemberRole.EXPERT, MemberRole.MODERATOR, MemberRole.BANNED]
    for customer, role in zip(people, roles, strict=True):
        await add_member(graph, community, customer, role)
    await add_member(graph, other, people[5], MemberRole.OWNER)
    rows = list((await read_communities(graph, [community, other], viewer_id=None)).values())

    async def of(*asked: MemberRole) -> list[list[str]]:
        pages = await listed_members(graph, rows, first=10, after=None, roles=asked)
        return [[row["id"] for row in pages[key].rows] for key in (community, other)]

    assert await of(MemberRole.OWNER, MemberRole.EXPERT) == [[people[0], people[3]], [people[5]]]
    assert await of(MemberRole.MEMBER, MemberRole.MODERATOR) == [[people[1], people[2], people[4]], []]
    assert await of(MemberRole.BANNED) == [[], []]
    assert await of() == [people[:5], [people[5]]]
    assert await members_by(graph, community, None, 1, (MemberRole.OWNER, MemberRole.EXPERT)) == [people[0], people[3]]


async def test_pages_that_are_none_are_refused(graph: GraphClient) -> None:
    community = await make_community(graph)
    rows = list((await read_communities(graph, [community], viewer_id=None)).values())
    for bad in ("", "!!!", "W10", "WyJhIl0"):
        for place in (bad, Before(bad)):
            with pytest.raises(PageInvalid):
                await listed_members(graph, rows, first=3, after=place)
    for size in (0, -1, 101):
        with pytest.raises(PageInvalid):
            await listed_members(graph, rows, first=size, after=None)
