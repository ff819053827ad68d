"""The feed: what a plain model says, in one round trip for fifty communities, stable while people post."""

from datetime import datetime, timedelta

import pytest

from community.access import MemberRole
from community.content import delete_content
from community.feed import feed_of
from core.clock import iso, utc_now
from graph.client import GraphClient, Row
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.writings import write_post

pytestmark = pytest.mark.anyio

SHOW_EVENT = "MATCH (e:Event {id: $id}) SET e.feed_order = e.community_id + ':' + $at + ':' + e.id"


async def publish(graph: GraphClient, community: str, at: datetime, *, status: str = "PUBLISHED") -> str:
    event = await make_event(graph, community, status=status)
    await graph.write(SHOW_EVENT, id=event, at=iso(at))
    return event


async def whole_feed(graph: GraphClient, customer: str, *, first: int) -> list[Row]:
    """All pages; each is one round trip."""
    seen: list[Row] = []
    cursor, more = None, True
    while more:
        before = graph.round_trips
        page = await feed_of(graph, customer, first=first, after=cursor)
        assert graph.round_trips == before + 1
        seen += page.rows
        cursor, more = page.cursors[-1] if page.cursors else None, page.has_next
    return seen


async def test_fifty_communities_are_one_round_trip_a_page(graph: GraphClient) -> None:
    """Given 50 communities with posts and events in turn, then pages give them all, the newest first, each once."""
    (me, author) = await make_customers(graph, 2)
    start = utc_now() - timedelta(days=1)
    expected: list[tuple[str, str]] = []
    for number in range(50):
        visibility = ("PUBLIC", "UNLISTED", "PRIVATE")[number % 3]
        community = await make_community(graph, owner_id=author, visibility=visibility)
        await add_member(graph, community, me, list(MemberRole)[number % 5])
        for turn in range(2):
            at = start + timedelta(minutes=turn * 60 + number)
            if (number + turn) % 4 == 0:
                expected.append((iso(at), await publish(graph, community, at)))
            else:
                expected.append((iso(at), await write_post(graph, community, author, now=at)))
    rows = await whole_feed(graph, me, first=13)
    assert [row["key"] for row in rows] == [key for _, key in sorted(expected, reverse=True)]
    first = rows[0]
    shown = first["post"] or first["event"]
    assert shown["id"] == first["key"]
    assert {row["kind"] for row in rows} == {"Post", "Event"}
    assert all((row["post"] is None) != (row["event"] is None) and row["community"]["name_en"] for row in rows)


async def test_only_ones_own_communities_and_nothing_hidden(graph: GraphClient) -> None:
    """Given roles that are none of a member, drafts and deleted posts, then none of them is in the feed."""
    (me, author) = await make_customers(graph, 2)
    for role in (None, MemberRole.PENDING, MemberRole.INVITED, MemberRole.BANNED):
        community = await make_community(graph, owner_id=author)
        if role is not None:
            await add_member(graph, community, me, role)
        await write_post(graph, community, author)
    community = await make_community(graph, owner_id=author)
    await add_member(graph, community, me, MemberRole.MEMBER)
    gone = await write_post(graph, community, author)
    await delete_content(graph, "Post", gone, actor_id=author, reason=None, now=utc_now(), path="postId")
    await make_event(graph, community, status="DRAFT")
    await publish(graph, community, utc_now(), status="DRAFT")
    kept = await write_post(graph, community, author)
    assert [row["key"] for row in await whole_feed(graph, me, first=5)] == [kept]
    assert await whole_feed(graph, "nobody", first=5) == []


async def test_what_is_posted_meanwhile_shifts_nothing(graph: GraphClient) -> None:
    (me,) = await make_customers(graph, 1)
    community, other = [await make_community(graph, owner_id=me) for _ in range(2)]
    at = utc_now()
    # Two posts of one instant are told apart by their ids.
    old = [await write_post(graph, (community, other)[n % 2], me, now=at) for n in range(6)]
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = await feed_of(graph, me, first=2, after=cursor)
        seen += [row["key"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
        await write_post(graph, community, me)
    assert seen == sorted(old, reverse=True)
