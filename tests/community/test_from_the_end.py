"""Lists of the graph that are read from their end: the same rows in the same order, of one parent and of several."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, LiteralString

import pytest
from neo4j import AsyncGraphDatabase

from community.access import MemberRole
from community.comments import comments_of
from community.communities import list_communities, read_communities
from community.content import delete_content
from community.event_series import create_event_series, occurrences_of
from community.feed import feed_of
from community.posts import PostChange, edits_of, posts_of, update_post
from community.registrations import registrations_of
from community.rosters import guests_of, invitations_of
from community.seats import Channel, RegistrationStatus
from community.waitlist_order import registrations_at, waitlists_of
from core.clock import utc_now
from core.ids import new_id
from core.paging import Before, Page, Place
from customers.tags import TagFamily, list_tags
from graph.client import GraphClient, Row
from graph.listed import listed_by
from tests.community.happenings import make_managed, put_registrations, recur
from tests.community.places import add_member, make_community, make_customers, make_event
from tests.community.writings import write_comment, write_post
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
Read = Callable[..., Awaitable[dict[str, Page[Any]]]]


def each(one: Callable[..., Awaitable[Page[Any]]]) -> Read:
    """A list without a parent as one of a single parent."""

    async def read(**place: Any) -> dict[str, Page[Any]]:
        return {"": await one(**place)}

    return read


async def walked(read: Read, parent: str, size: int, *, forwards: bool, pages: int = 50) -> tuple[list[Any], list[str]]:
    """The rows and cursors of one parent in the order of the list, from its beginning or from its end."""
    rows, cursors = list[Any](), list[str]()
    place: Place = None if forwards else Before()
    for _ in range(pages):
        page = (await read(first=size, after=place))[parent]
        rows = rows + page.rows if forwards else page.rows + rows
        cursors = [*cursors, *page.cursors] if forwards else [*page.cursors, *cursors]
        if not (page.has_next if forwards else page.has_previous):
            break
        place = page.cursors[-1] if forwards else Before(page.cursors[0])
    return rows, cursors


async def check(read: Read, *lengths: int) -> None:
    """Both directions tell the same of every parent, in pages of any size; the parents have so many rows."""
    whole = await read(first=100, after=None)
    assert sorted(len(page.rows) for page in whole.values()) == sorted(lengths)
    for parent, page in whole.items():
        for size in (1, 2, 3, 100):
            assert await walked(read, parent, size, forwards=False) == (page.rows, list(page.cursors))
        for number, cursor in enumerate(page.cursors):
            before = (await read(first=2, after=Before(cursor)))[parent]
            assert before.rows == page.rows[max(0, number - 2) : number]
            assert (before.has_next, before.has_previous) == (True, number > 2)


async def test_posts_comments_and_versions(graph: GraphClient) -> None:
    """Given two communities with posts, one with comments and replies; then each list is the same from its end."""
    community, author, member = await make_managed(graph)
    other, owner, _ = await make_managed(graph)
    now = utc_now() - timedelta(days=1)
    posts = [await write_post(graph, community, author, now=now + number * MINUTE) for number in range(5)]
    await write_post(graph, other, owner, now=now)
    await delete_content(graph, "Post", posts[1], actor_id=author, reason=None, now=now, path="postId")
    for communities, lengths in (([community], [5]), ([community, other], [5, 1])):
        await check(partial(posts_of, graph, communities, viewer_id=author), *lengths)
    talk = posts[0]
    first = await write_comment(graph, talk, member, now=now)
    second = await write_comment(graph, talk, author, now=now + MINUTE)
    for number, above in enumerate((first, second, first)):
        await write_comment(graph, talk, member, reply_to=above, now=now + (2 + number) * MINUTE)
    await write_comment(graph, posts[2], member, now=now)
    for asked, lengths in (([talk], [5]), ([talk, posts[2]], [5, 1])):
        await check(partial(comments_of, graph, asked, viewer_id=author), *lengths)
    for number in range(4):
        change = PostChange(text=f"Version {number}")
        await update_post(graph, talk, change, author_id=author, now=now + number * MINUTE)
    for asked, lengths in (([talk], [4]), ([talk, posts[2]], [4, 0])):
        await check(partial(edits_of, graph, asked), *lengths)


async def test_the_feed_and_what_one_registered_for(graph: GraphClient) -> None:
    """Given three communities of which one has no more than a post, and seven registrations for four instants."""
    (me, author) = await make_customers(graph, 2)
    events = list[str]()
    for number, posts in enumerate((4, 2, 1)):
        community = await make_community(graph, owner_id=author)
        await add_member(graph, community, me, MemberRole.MEMBER)
        for turn in range(posts):
            await write_post(graph, community, author, now=NOON + (turn * 3 + number) * MINUTE)
        starts = [utc_now() + timedelta(days=days) for days in (1, 2)]
        events += [await make_event(graph, community, starts_at=start) for start in starts]
    await check(each(partial(feed_of, graph, me)), 13)
    for number, event in enumerate(events):
        await put_registrations(graph, event, [me], at=f"2026-11-0{1 + number // 2}T09:00:00.000000Z")
    await check(each(partial(registrations_of, graph, me)), 6)
    chosen = [RegistrationStatus.CANCELLED]
    await check(each(partial(registrations_of, graph, me, statuses=chosen)), 0)


async def test_lists_of_an_event(graph: GraphClient) -> None:
    """Given who registered and who waits for two events; then positions are the same from the end, too."""
    community, _, _ = await make_managed(graph)
    full, other = [await make_event(graph, community, capacity=3) for _ in range(2)]
    people = await make_customers(graph, 12)
    await put_registrations(graph, full, people[:3])
    await put_registrations(graph, full, people[3:9], status="WAITING", at="2026-11-01T10:00:00.000000Z")
    await put_registrations(graph, full, people[9:], status="CANCELLED", at="2026-11-01T08:00:00.000000Z")
    await put_registrations(graph, other, people[:2], status="WAITING")
    for events, lengths in (([full], [6]), ([full, other], [6, 2])):
        await check(partial(waitlists_of, graph, events, Channel.PLACE), *lengths)
    rows, _ = await walked(partial(waitlists_of, graph, [full], Channel.PLACE), full, 4, forwards=False)
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for events, lengths in (([full], [12]), ([full, other], [12, 2])):
        await check(partial(registrations_at, graph, events, None), *lengths)
    some = [RegistrationStatus.CANCELLED, RegistrationStatus.REGISTERED]
    await check(partial(registrations_at, graph, [full, other], some), 6, 0)


async def test_who_asks_is_invited_or_banned(graph: GraphClient) -> None:
    """Given communities with some of each role; then each list is the same from its end, and that of invitations."""
    (owner, guest) = await make_customers(graph, 2)
    homes = [await make_community(graph, owner_id=owner) for _ in range(3)]
    for number, home in enumerate(homes):
        await add_member(graph, home, guest, MemberRole.INVITED)
        for one in await make_customers(graph, 2 * number):
            await add_member(graph, home, one, MemberRole.BANNED)
    read = await read_communities(graph, homes, viewer_id=owner)
    rows: list[Row] = list(read.values())
    await check(partial(guests_of, graph, rows, MemberRole.BANNED), 0, 2, 4)
    await check(partial(guests_of, graph, rows[:1], MemberRole.INVITED), 1)
    await check(each(partial(invitations_of, graph, guest)), 3)


async def test_occurrences_of_a_series(graph: GraphClient) -> None:
    community, manager, _ = await make_managed(graph)
    now = utc_now()
    start = (now + timedelta(days=7)).replace(hour=19, minute=0, second=0, microsecond=0, tzinfo=None)
    details = recur("FREQ=WEEKLY;COUNT=7", start, now=now)
    series = await create_event_series(
        graph, details, community_id=community, manager_id=manager, publish=True, now=now
    )
    await check(partial(occurrences_of, graph, [series], viewer_id=manager), 7)


PUT_TAG = "UNWIND $keys AS key MERGE (t:Tag {key: key}) SET t.family = 'INTEREST', t.name_zh = key, t.name_en = key"
PUT_ABOUT = """
UNWIND $ids AS id
MATCH (c:Community {id: id}), (t:Tag {key: $tag})
CREATE (c)-[:ABOUT]->(t)
"""


async def test_communities_and_tags(graph: GraphClient) -> None:
    """Given communities about a tag, one of them seen by its member only; others of other tests are left alone."""
    (me, owner) = await make_customers(graph, 2)
    tag = f"end-{new_id()}"
    homes = [await make_community(graph, owner_id=owner) for _ in range(4)]
    homes.append(await make_community(graph, owner_id=me, visibility="PRIVATE"))
    await graph.write(PUT_TAG, keys=[tag, f"{tag}-b", f"{tag}-c"])
    await graph.write(PUT_ABOUT, ids=homes, tag=tag)
    await check(each(partial(list_communities, graph, viewer_id=me, tag=tag)), 5)
    await check(each(partial(list_communities, graph, viewer_id=owner, tag=tag)), 4)
    # There may be more of all communities and tags than a page, but the last ones are the last ones.
    for read in (
        each(partial(list_communities, graph, viewer_id=me, tag=None)),
        each(partial(list_tags, graph, TagFamily.INTEREST)),
    ):
        end, _ = await walked(read, "", 2, forwards=False, pages=2)
        whole, _ = await walked(read, "", 100, forwards=True)
        assert end == whole[-4:]


@pytest.mark.parametrize(
    "query",
    [listed_by("roll", back=True), listed_by("queue", back=True), listed_by("order", back=True)],
    ids=["roll", "queue", "order"],
)
async def test_places_are_read_along_the_index_from_the_end(stores: Addresses, query: LiteralString) -> None:
    """Given either engine, when it explains the text, then nothing is sorted after reading."""
    access = (stores.neo4j_user, stores.neo4j_password) if stores.neo4j_password else None
    async with (
        AsyncGraphDatabase.driver(stores.neo4j_uri, auth=access) as driver,
        driver.session(database=stores.neo4j_database) as session,
    ):
        result = await session.run("EXPLAIN " + query, low="a:", high="a;", limit=20)
        plan = str((await result.consume()).plan)
    if stores.name == "embedded":
        assert "[index order" in plan
        assert "OrderByStep" not in plan
    else:
        assert "NodeIndexSeekByRange" in plan
        assert "Sort@" not in plan and "Top@" not in plan
