"""`python -m bench.comments [--neo4j]`: what a page costs under a small and a large post, and in young and old feeds.

Both sizes are asked in turn in one run, so that a busy machine slows both; what counts is the ratio of the medians.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.stores import fresh_graph
from community.comments import NewComment, comments_of, create_comment
from community.feed import feed_of
from community.posts import NewPost, PostKind, create_post
from community.reactions import ReactionKind, react
from community.tallies import COMMENTS, tallies_of, tally_key
from core.clock import iso, utc_now
from core.ids import new_id
from core.paging import encode_cursor
from graph.client import GraphClient

BATCH = 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)

Work = Callable[[], Awaitable[Any]]

PUT_PEOPLE = """
UNWIND $ids AS id
CREATE (:Customer {id: id, display_name: 'Bench'})
"""
PUT_COMMUNITIES = """
MATCH (me:Customer {id: $customer_id})
UNWIND $ids AS id
CREATE (me)-[:MEMBER_OF {key: id + ':' + me.id, role: 'MEMBER', since: $now}]->
  (:Community {id: id, name_zh: '社群', name_en: 'Club', visibility: 'PUBLIC', join_policy: 'OPEN', created_at: $now,
    member_count: 1})
"""
JOIN = """
MATCH (c:Community {id: $community_id})
UNWIND $ids AS id
MATCH (x:Customer {id: id})
CREATE (x)-[:MEMBER_OF {key: $community_id + ':' + id, role: 'MEMBER', since: $now}]->(c)
"""
PUT_COMMENTS = """
UNWIND $rows AS row
CREATE (x:Comment)
SET x = row
"""
PUT_POSTS = """
UNWIND $rows AS row
CREATE (x:Post)
SET x = row
"""
PUT_TALLY = """
CREATE (:Tally {key: $key, target_id: $target_id, kind: $kind, count: $count})
"""


@dataclass
class Place:
    """A fresh engine with somebody in it."""

    graph: GraphClient
    me: str
    others: list[str]


async def make_place(graph: GraphClient) -> Place:
    me, *others = [new_id() for _ in range(101)]
    await graph.write(PUT_PEOPLE, ids=[me, *others])
    return Place(graph, me, others)


async def make_communities(place: Place, count: int) -> list[str]:
    ids = [new_id() for _ in range(count)]
    await place.graph.write(PUT_COMMUNITIES, customer_id=place.me, ids=ids, now=iso(utc_now()))
    return ids


async def post_with(place: Place, community: str, count: int) -> str:
    """A post with that many comments by a hundred people."""
    new = NewPost(community_id=community, kind=PostKind.TEXT, text="Bench", language="en")
    post = await create_post(place.graph, new, author_id=place.me, now=utc_now())
    rows = [comment_row(place, community, post, number) for number in range(count)]
    for start in range(0, count, BATCH):
        await place.graph.write(PUT_COMMENTS, rows=rows[start : start + BATCH])
    tally = tally_key(post, COMMENTS, new_id())
    await place.graph.write(PUT_TALLY, key=tally, target_id=post, kind=COMMENTS, count=count)
    return post


def comment_row(place: Place, community: str, post: str, number: int) -> dict[str, Any]:
    comment_id, at = new_id(), iso(START + timedelta(seconds=number))
    return {
        "id": comment_id,
        "post_id": post,
        "community_id": community,
        "author_id": place.others[number % len(place.others)],
        "text": f"Comment {number}",
        "language": "en",
        "created_at": at,
        "mentions": [],
        "order": f"{post}:{at}:{comment_id}",
    }


async def fill_feed(place: Place, communities: list[str], each: int) -> None:
    """Posts in turn, so that a page comes from many communities."""
    rows: list[dict[str, Any]] = []
    for number in range(each):
        for offset, community in enumerate(communities):
            rows.append(post_row(place, community, START + timedelta(minutes=number, milliseconds=offset)))
    for start in range(0, len(rows), BATCH):
        await place.graph.write(PUT_POSTS, rows=rows[start : start + BATCH])


def post_row(place: Place, community: str, when: datetime) -> dict[str, Any]:
    post_id, at = new_id(), iso(when)
    order = f"{community}:{at}:{post_id}"
    return {
        "id": post_id,
        "community_id": community,
        "author_id": place.others[0],
        "kind": "TEXT",
        "text": "Bench",
        "language": "en",
        "created_at": at,
        "mentions": [],
        "attachments": "[]",
        "version": 1,
        "order": order,
        "feed_order": order,
    }


async def compare(small: Work, large: Work, *, rounds: int) -> tuple[float, float]:
    """Medians in milliseconds of both, asked in turn after some rounds that do not count."""
    taken: tuple[list[float], list[float]] = ([], [])
    warming = min(rounds, 10)
    for number in range(rounds + warming):
        for times, work in zip(taken, (small, large), strict=True):
            began = time.perf_counter()
            await work()
            if number >= warming:
                times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken[0]), statistics.median(taken[1])


def page(place: Place, post: str, after: str | None = None) -> Work:
    async def work() -> None:
        found = await comments_of(place.graph, [post], viewer_id=place.me, first=20, after=after)
        assert len(found[post].rows) == 20

    return work


def middle(count: int) -> str:
    """A cursor with twenty comments and more behind it, in the middle of a long list."""
    return encode_cursor([iso(START + timedelta(seconds=max(count // 2, 20) - 20))])


def counting(place: Place, post: str) -> Work:
    return lambda: tallies_of(place.graph, [post])


def commenting(place: Place, post: str) -> Work:
    new = NewComment(post_id=post, text="Bench", language="en")
    return lambda: create_comment(place.graph, new, author_id=place.me, now=utc_now())


def liking(place: Place, post: str) -> Work:
    async def work() -> None:
        for on in (True, False):
            await react(place.graph, "Post", post, ReactionKind.LIKE, on=on, customer_id=place.me, now=utc_now())

    return work


def feeding(place: Place, customer: str) -> Work:
    async def work() -> None:
        assert len((await feed_of(place.graph, customer, first=20, after=None)).rows) == 20

    return work


def crowd(place: Place, posts: list[str]) -> Work:
    """A hundred members each like one of the posts and take it back, all at once."""

    async def one(number: int, on: bool) -> None:
        post, member = posts[number % len(posts)], place.others[number]
        await react(place.graph, "Post", post, ReactionKind.LIKE, on=on, customer_id=member, now=utc_now())

    async def work() -> None:
        for on in (True, False):
            await asyncio.gather(*(one(number, on) for number in range(100)))

    return work


async def measure(graph: GraphClient, name: str, rounds: int) -> None:
    table = Table("What", "Small", "Large", "Ratio", title=name, title_justify="left")

    def show(what: str, small: float, large: float) -> None:
        table.add_row(what, f"{small:.1f} ms", f"{large:.1f} ms", f"{large / small:.2f}")

    place = await make_place(graph)
    (community,) = await make_communities(place, 1)
    few, many = await post_with(place, community, 40), await post_with(place, community, 20_000)
    for what, make in (
        ("first page of 40 and of 20,000 comments", page),
        ("count them", counting),
        ("write one more", commenting),
        ("like and take it back", liking),
    ):
        show(what, *await compare(make(place, few), make(place, many), rounds=rounds))
    deep = await compare(page(place, few, middle(40)), page(place, many, middle(20_000)), rounds=rounds)
    show("a page from the middle", *deep)
    await place.graph.write(JOIN, ids=place.others, community_id=community, now=iso(utc_now()))
    cold = [await post_with(place, community, 0) for _ in range(100)]
    show(
        "100 like at once, and take it back: 100 posts and one",
        *await compare(crowd(place, cold), crowd(place, cold[:1]), rounds=max(rounds // 5, 3)),
    )
    feeds: list[Work] = []
    for each in (20, 400):
        reader = Place(graph, place.others[len(feeds)], place.others)
        await fill_feed(place, await make_communities(reader, 50), each)
        feeds.append(feeding(place, reader.me))
    show("feed of 50 communities with 20 and with 400 posts each", *await compare(*feeds, rounds=rounds))
    Console().print(table)


async def run(rounds: int, *, neo4j: bool) -> None:
    async with fresh_graph(neo4j=neo4j) as graph:
        await measure(graph, "Neo4j" if neo4j else "Embedded engine", rounds)


def main(
    neo4j: Annotated[bool, typer.Option("--neo4j", help="On Neo4j instead of the embedded engine.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each is asked.")] = 50,
) -> None:
    """Measure what does not grow with a post or with the age of a feed."""
    asyncio.run(run(rounds, neo4j=neo4j))


if __name__ == "__main__":
    typer.run(main)
