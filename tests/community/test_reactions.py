"""Reactions: one per customer, kind and target; counts are exact under any number of writers."""

import asyncio

import pytest

from community.access import MemberRole
from community.content import ContentDeleted, MembersOnly, delete_content
from community.reactions import ReactionKind, react, reactions_by
from community.standing import CommunityArchived
from community.tallies import tallies_of
from core.clock import utc_now
from core.errors import NotFound
from core.ids import new_id
from graph.client import GraphClient
from tests.community.places import add_member, make_customers
from tests.community.test_comments import members
from tests.community.test_posts import OUTSIDERS, club
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

STORED = "MATCH (r:Reaction {target_id: $id}) RETURN r.kind AS kind, count(r) AS count"


async def like(graph: GraphClient, target: str, customer: str, *, on: bool = True) -> None:
    await react(graph, "Post", target, ReactionKind.LIKE, on=on, customer_id=customer, now=utc_now())


async def stored(graph: GraphClient, target: str) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in await graph.read(STORED, id=target)}


async def counted(graph: GraphClient, target: str) -> dict[str, int]:
    return (await tallies_of(graph, [target]))[target]


async def test_two_hundred_likes_at_once_are_two_hundred(stores: Addresses) -> None:
    """Given 200 members who each like twice through two processes' worth of clients, then 200 likes are counted."""
    async with stores.graph() as one, stores.graph() as other:
        community, _, author = await club(one)
        post = await write_post(one, community, author)
        likers = await members(one, community, 200)
        await asyncio.gather(*(like((one, other)[n % 2], post, liker) for n, liker in enumerate(likers * 2)))
        assert await counted(one, post) == await stored(one, post) == {"LIKE": 200}
        # Half of them take it back twice while the rest like again.
        await asyncio.gather(
            *(like((one, other)[n % 2], post, liker, on=False) for n, liker in enumerate(likers[:100] * 2)),
            *(like(other, post, liker) for liker in likers[100:]),
        )
        assert await counted(one, post) == await stored(one, post) == {"LIKE": 100}


async def test_one_customer_who_changes_their_mind_at_once_is_counted_right(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community, _, author = await club(one)
        post = await write_post(one, community, author)
        await asyncio.gather(*(like((one, other)[n % 2], post, author, on=n % 3 > 0) for n in range(30)))
        assert await counted(one, post) == await stored(one, post)
        await like(one, post, author)
        assert await counted(one, post) == {"LIKE": 1}


async def test_each_kind_counts_for_itself_on_posts_and_comments(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    comment = await write_comment(graph, post, member)
    now = utc_now()
    for customer, kind in ((member, "LIKE"), (member, "LOVE"), (moderator, "LOVE")):
        await react(graph, "Comment", comment, ReactionKind(kind), on=True, customer_id=customer, now=now)
    await react(graph, "Post", post, ReactionKind.HELPFUL, on=True, customer_id=member, now=now)
    found = await tallies_of(graph, [post, comment])
    assert found == {post: {"HELPFUL": 1, "COMMENT": 1}, comment: {"LIKE": 1, "LOVE": 2}}
    mine = await reactions_by(graph, member, [post, comment])
    assert {key: set(kinds) for key, kinds in mine.items()} == {post: {"HELPFUL"}, comment: {"LIKE", "LOVE"}}
    assert await reactions_by(graph, new_id(), [post]) == {post: []}


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
async def test_who_is_no_member_cannot_react(graph: GraphClient, visibility: str, role: MemberRole | None) -> None:
    community, _, member = await club(graph, visibility=visibility)
    post = await write_post(graph, community, member)
    (outsider,) = await make_customers(graph, 1)
    if role is not None:
        await add_member(graph, community, outsider, role)
    for on in (True, False):
        with pytest.raises(NotFound if visibility == "PRIVATE" else MembersOnly):
            await like(graph, post, outsider, on=on)
    assert await counted(graph, post) == await stored(graph, post) == {}


async def test_what_nobody_reacts_to(graph: GraphClient) -> None:
    community, _, member = await club(graph)
    post, other = [await write_post(graph, community, member) for _ in range(2)]
    await delete_content(graph, "Post", post, actor_id=member, reason=None, now=utc_now(), path="postId")
    with pytest.raises(ContentDeleted):
        await like(graph, post, member)
    with pytest.raises(NotFound):
        await like(graph, new_id(), member)
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'x'", id=community)
    with pytest.raises(CommunityArchived):
        await like(graph, other, member)
    assert await counted(graph, post) == await counted(graph, other) == {}
