"""Joining and leaving: one membership per customer, and the count is what it counts."""

import asyncio

import pytest

from community.access import MemberRole
from community.communities import read_communities
from community.memberships import (
    Banned,
    CommunityArchived,
    JoinByInvitation,
    LastOwner,
    join_community,
    leave_community,
    members_of,
)
from core.clock import utc_now
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import PageInvalid
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

COUNT = """
MATCH (c:Community {id: $id})
RETURN c.member_count AS counter, COUNT { (c)<-[:MEMBER_OF]-() } AS members
"""


async def count(graph: GraphClient, community_id: str) -> tuple[int, int]:
    row = (await graph.read(COUNT, id=community_id))[0]
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
    await refused(graph, await make_community(graph, join_policy="REQUEST"), outsider, JoinByInvitation)
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


async def test_members_page_without_loss_or_repetition(graph: GraphClient) -> None:
    community = await make_community(graph)
    customers = await make_customers(graph, 7)
    now = utc_now()
    for customer in customers:
        await join_community(graph, community_id=community, customer_id=customer, now=now)
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = (await members_of(graph, [community], first=3, after=cursor))[community]
        seen += [row["id"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
    assert seen == sorted(customers)
    for bad in ("", "!!!", "W10", "WzFd"):
        with pytest.raises(PageInvalid):
            await members_of(graph, [community], first=3, after=bad)
    for size in (0, -1, 101):
        with pytest.raises(PageInvalid):
            await members_of(graph, [community], first=size, after=None)
