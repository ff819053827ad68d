"""Store round trips of posts, comments, reactions, reports and the feed: counted, however many rows there are."""

from typing import Any

import pytest

from api.relay import global_id
from community.access import MemberRole
from core.clock import utc_now
from tests.api.conftest import Caller, System
from tests.api.test_posts import (
    ACCEPT,
    ADD,
    CREATE_COMMENT,
    CREATE_POST,
    DELETE_COMMENT,
    DELETE_POST,
    PIN_POST,
    QUEUE,
    REMOVE,
    REPORT,
    RESOLVE,
    UPDATE_POST,
    Club,
    make_club,
)
from tests.api.test_round_trips import cost
from tests.api.test_way_through import local_of
from tests.community.places import add_member, make_community
from tests.community.test_feed import publish
from tests.community.writings import write_comment, write_post

pytestmark = pytest.mark.anyio

FEED = """
{ viewer { feed(first: 20) { edges { node { __typename
  ... on Post { text kind author { displayName } authorRole attachments { url } community { name viewerRole } }
  ... on Event { title startsAt venue community { name } } } } pageInfo { hasNextPage endCursor } } } }
"""
COUNTED_FEED = "{ viewer { feed { edges { node { ... on Post { text commentCount reactions { kind count } } } } } } }"
POSTS = """
query($id: ID!) { community(id: $id) {
  pinnedPosts { text author { displayName } }
  posts(first: 20) { edges { node { text author { displayName } authorRole commentCount viewerReactions
    reactions { kind count } mentions { displayName } edits { edges { node { text } } }
    comments(first: 3) { edges { node { text author { displayName } authorRole reactions { count } } } } } } } } }
"""
COMMENTS = """
query($id: ID!) { node(id: $id) { ... on Post { text author { displayName } authorRole
  comments(first: 20) { edges { node { text parentId author { displayName } authorRole } } } } } }
"""


async def fill(system: System, club: Club, count: int) -> None:
    """Posts with two comments each, and a report."""
    graph, author = system.edge.graph, local_of(club.names["author"])
    for _ in range(count):
        post = await write_post(graph, club.local, author, mentions=[author])
        for _ in range(2):
            await write_comment(graph, post, author)
        await club.reader.ask(REPORT, input={"targetId": global_id("Post", post), "reason": "SPAM"})


async def test_the_feed_of_fifty_communities_is_one_round_trip_to_the_graph(system: System, unique: str) -> None:
    name = f"me-{unique}"
    caller, graph = await system.customer(name), system.edge.graph
    for number in range(50):
        community = await make_community(graph, owner_id=local_of(name))
        await write_post(graph, community, local_of(name))
        if number % 5 == 0:
            await publish(graph, community, utc_now())
    assert await cost(system, caller, FEED) == (1, 1)
    # With counts it is one more for all of them.
    assert await cost(system, caller, COUNTED_FEED) == (2, 1)


async def test_lists_cost_the_same_for_two_rows_and_for_six(system: System, unique: str) -> None:
    club = await make_club(system, unique)
    costs: list[dict[str, tuple[int, int]]] = []
    for count in (2, 4):
        await fill(system, club, count)
        post = await club.post()
        for _ in range(count * 2):
            await club.comment(post, club.author)
        costs.append(
            {
                "posts": await cost(system, club.author, POSTS, id=club.id),
                "comments": await cost(system, club.author, COMMENTS, id=post),
                "queue": await cost(system, club.moderator, QUEUE, id=club.id),
            }
        )
    assert costs[0] == costs[1] == {"posts": (9, 1), "comments": (2, 1), "queue": (2, 3)}


# Round trips to the graph and statements to SQL of each.
COSTS = {
    "createPost": (7, 1),
    "updatePost": (5, 1),
    "pinPost": (6, 1),
    "createComment": (5, 1),
    "acceptAnswer": (6, 1),
    "addReaction": (5, 1),
    "removeReaction": (5, 1),
    "createReport": (1, 3),
    "resolveReport": (5, 5),
    "deleteComment": (5, 1),
    "deletePost": (5, 1),
}


async def act(system: System, caller: Caller, document: str, **fields: Any) -> tuple[int, int]:
    return await cost(system, caller, document, input=fields)


async def test_the_cost_of_each_action(system: System, unique: str) -> None:
    """Given fresh things, then each action takes this many round trips to the graph and statements to SQL."""
    club = await make_club(system, unique)
    await add_member(system.edge.graph, club.local, local_of(club.names["reader"]), MemberRole.MEMBER)
    post = await club.post(kind="QUESTION")
    answer = await club.comment(post, club.reader)
    own = await club.comment(post, club.author)
    author, moderator = club.author, club.moderator
    costs = {
        "createPost": await act(system, author, CREATE_POST, communityId=club.id, text="Hi"),
        "updatePost": await act(system, author, UPDATE_POST, postId=post, text="Hi"),
        "pinPost": await act(system, moderator, PIN_POST, postId=post),
        "createComment": await act(system, author, CREATE_COMMENT, postId=post, text="Hi"),
        "acceptAnswer": await act(system, author, ACCEPT, commentId=answer),
        "addReaction": await act(system, author, ADD, targetId=post, kind="LIKE"),
        "removeReaction": await act(system, author, REMOVE, targetId=post, kind="LIKE"),
        "createReport": await act(system, author, REPORT, targetId=answer, reason="SPAM"),
        "resolveReport": await act(system, moderator, RESOLVE, targetId=answer, resolution="DELETE", note="Spam"),
        "deleteComment": await act(system, author, DELETE_COMMENT, commentId=own),
        "deletePost": await act(system, moderator, DELETE_POST, postId=post, reason="Spam"),
    }
    assert costs == COSTS
