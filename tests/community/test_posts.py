"""Posts: who may write what, versions, deletion that leaves a place, and no more than three pinned."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from community.access import MemberRole
from community.content import Attachment, ContentDeleted, ContentInvalid, MembersOnly, delete_content, is_https
from community.posts import (
    NewPost,
    PostChange,
    PostKind,
    create_post,
    edits_of,
    pin_post,
    pinned_posts,
    posts_of,
    read_posts,
    update_post,
)
from community.standing import CommunityArchived
from core.clock import iso, utc_now
from core.errors import KinshipError, NotFound
from core.ids import new_id
from core.paging import PageInvalid, encode_cursor
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers
from tests.community.writings import effects_about, notices, write_post
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

POSTS = "MATCH (x:Post {community_id: $id}) RETURN count(x) AS count"
OUTSIDERS = (None, MemberRole.PENDING, MemberRole.INVITED, MemberRole.BANNED)


async def count_posts(graph: GraphClient, community_id: str) -> int:
    return (await graph.read(POSTS, id=community_id))[0]["count"]


async def club(graph: GraphClient, **more: Any) -> tuple[str, str, str]:
    """A community, its moderator and a member."""
    moderator, member = await make_customers(graph, 2)
    community = await make_community(graph, owner_id=moderator, role=MemberRole.MODERATOR, **more)
    await add_member(graph, community, member, MemberRole.MEMBER)
    return community, moderator, member


async def test_a_member_writes_and_readers_read(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    await graph.write("MATCH (c:Customer {id: $id})-[m:MEMBER_OF]->() SET m.role = 'EXPERT'", id=member)
    post = await write_post(graph, community, member, text="  Blue hour  ", kind=PostKind.QUESTION)
    row = (await read_posts(graph, [post], viewer_id=moderator))[post]
    assert (row["text"], row["kind"], row["author_role"], row["author_name"]) == (
        "Blue hour",
        "QUESTION",
        "EXPERT",
        "Test",
    )
    assert post in await read_posts(graph, [post], viewer_id=None)


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
async def test_who_is_no_member_cannot_write(graph: GraphClient, visibility: str, role: MemberRole | None) -> None:
    community = await make_community(graph, visibility=visibility)
    (outsider,) = await make_customers(graph, 1)
    if role is not None:
        await add_member(graph, community, outsider, role)
    with pytest.raises(NotFound if visibility == "PRIVATE" else MembersOnly):
        await write_post(graph, community, outsider)
    assert await count_posts(graph, community) == 0


async def test_nobody_writes_into_an_archive_or_nowhere(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'x'", id=community)
    with pytest.raises(CommunityArchived):
        await write_post(graph, community, member)
    with pytest.raises(CommunityArchived):
        await update_post(graph, post, PostChange(text="New"), author_id=member, now=utc_now())
    with pytest.raises(CommunityArchived):
        await pin_post(graph, post, pinned=True, moderator_id=moderator, now=utc_now())
    with pytest.raises(NotFound):
        await write_post(graph, new_id(), member)
    assert await count_posts(graph, community) == 1


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"text": " "}, ("text",)),
        ({"text": "x" * 10_001}, ("text",)),
        ({"language": "english!"}, ("language",)),
        ({"mentions": ["nobody"]}, ("mentions", "0")),
        ({"mentions": ["nobody"] * 21}, ("mentions",)),
        ({"attachments": [Attachment("https://a.test/1", "image/png", "One")] * 11}, ("attachments",)),
        ({"attachments": [Attachment("http://a.test/1", "image/png", "One")]}, ("attachments", "0", "url")),
        ({"attachments": [Attachment("https://a.test/1", "picture", "One")]}, ("attachments", "0", "mediaType")),
        ({"attachments": [Attachment("https://a.test/1", "image/png", " ")]}, ("attachments", "0", "title")),
    ],
)
async def test_bad_input_is_named(graph: GraphClient, more: dict[str, Any], path: tuple[str, ...]) -> None:
    community, _, member = await club(graph)
    fields: dict[str, Any] = {"text": "Good", "language": "en", **more}
    with pytest.raises(ContentInvalid) as raised:
        await create_post(
            graph, NewPost(community_id=community, kind=PostKind.TEXT, **fields), author_id=member, now=utc_now()
        )
    assert raised.value.path == path
    assert await count_posts(graph, community) == 0


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://a.test/picture.png?size=2#top", True),
        ("https://a.test:8443/", True),
        ("HTTPS://a.test/", True),
        ("http://a.test/", False),
        ("javascript:alert(1)", False),
        ("https:///nowhere", False),
        ("https://user@a.test/", False),
        ("https://a.test\\@b.test/", False),
        ("https://a.test/ x", False),
        ("https://a.test/\n", False),
        ("https://a.test:99999/", False),
        ("https://[::1/", False),
        ("https://a.test/" + "x" * 2_000, False),
    ],
)
def test_attachments_are_https_addresses(url: str, good: bool) -> None:
    assert is_https(url) == good


async def test_those_mentioned_are_told_once_and_nobody_of_themselves(graph: GraphClient) -> None:
    """Given mentions in a private community, then members are told once over edits, and others cannot be mentioned."""
    community, moderator, member = await club(graph, visibility="PRIVATE")
    (outsider,) = await make_customers(graph, 1)
    with pytest.raises(ContentInvalid):
        await write_post(graph, community, member, mentions=[outsider])
    post = await write_post(graph, community, member, mentions=[moderator, member, moderator])
    await update_post(graph, post, PostChange(mentions=[]), author_id=member, now=utc_now())
    await update_post(graph, post, PostChange(mentions=[moderator]), author_id=member, now=utc_now())
    assert notices(await effects_about(graph, post)) == [("MENTIONED", moderator)]
    assert await count_posts(graph, community) == 1


async def test_every_version_is_kept(graph: GraphClient) -> None:
    community, _, member = await club(graph)
    post = await write_post(graph, community, member, text="One")
    for text in ("Two", "Two", "Three", "Four"):
        await update_post(graph, post, PostChange(text=text), author_id=member, now=utc_now())
    seen: list[tuple[int, str]] = []
    cursor, more = None, True
    while more:
        page = (await edits_of(graph, [post], first=2, after=cursor))[post]
        seen += [(row["version"], row["text"]) for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
    assert seen == [(3, "Three"), (2, "Two"), (1, "One")]
    both = await edits_of(graph, [post, await write_post(graph, community, member)], first=2, after=None)
    assert [len(page.rows) for page in both.values()] == [2, 0]


async def test_two_hands_that_edit_at_once_lose_no_version(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community, _, member = await club(one)
        post = await write_post(one, community, member, text="0")
        changes = [PostChange(text=str(number)) for number in range(1, 13)]
        await asyncio.gather(
            *(
                update_post((one, other)[number % 2], post, change, author_id=member, now=utc_now())
                for number, change in enumerate(changes)
            )
        )
        row = (await read_posts(one, [post], viewer_id=member))[post]
        edits = (await edits_of(one, [post], first=100, after=None))[post].rows
        assert [edit["version"] for edit in edits] == list(range(12, 0, -1))
        assert {row["text"], *(edit["text"] for edit in edits)} == {str(number) for number in range(13)}


async def test_only_the_author_edits(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    for other in (moderator, *await make_customers(graph, 1)):
        with pytest.raises((NotFound, MembersOnly)):
            await update_post(graph, post, PostChange(text="Mine"), author_id=other, now=utc_now())
    with pytest.raises(NotFound):
        await update_post(graph, new_id(), PostChange(text="Mine"), author_id=member, now=utc_now())
    row = (await read_posts(graph, [post], viewer_id=member))[post]
    assert (row["text"], row["edited_at"]) == ("Where does the light fall best?", None)


async def test_what_its_author_deletes_keeps_its_place_only(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member, mentions=[moderator])
    await pin_post(graph, post, pinned=True, moderator_id=moderator, now=utc_now())
    for _ in range(2):
        await delete_content(graph, "Post", post, actor_id=member, reason=None, now=utc_now(), path="postId")
    page = (await posts_of(graph, [community], viewer_id=moderator, first=5, after=None))[community]
    (row,) = page.rows
    assert row["deleted_at"] is not None
    assert (row["text"], row["mentions"], row["attachments"], row["pinned_at"]) == (None, None, None, None)
    assert await pinned_posts(graph, [community], viewer_id=moderator) == []
    assert {effect.topic for effect in await effects_about(graph, f"deleted:{post}")} == set()
    for change in (
        update_post(graph, post, PostChange(text="Back"), author_id=member, now=utc_now()),
        pin_post(graph, post, pinned=True, moderator_id=moderator, now=utc_now()),
    ):
        with pytest.raises(ContentDeleted):
            await change


async def test_a_moderator_deletes_with_a_reason_that_is_audited(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    for actor, reason in ((moderator, None), (moderator, " "), (moderator, "x" * 501)):
        with pytest.raises(ContentInvalid):
            await delete_content(graph, "Post", post, actor_id=actor, reason=reason, now=utc_now(), path="postId")
    (stranger,) = await make_customers(graph, 1)
    with pytest.raises(NotFound):
        await delete_content(graph, "Post", post, actor_id=stranger, reason="I say", now=utc_now(), path="postId")
    assert (await read_posts(graph, [post], viewer_id=member))[post]["text"] is not None
    for _ in range(2):
        await delete_content(graph, "Post", post, actor_id=moderator, reason="Spam", now=utc_now(), path="postId")
    effects = await effects_about(graph, post)
    assert Counter(effect.topic for effect in effects) == {"act.audited": 1, "notice.owed": 1, "content.deleted": 1}
    audited = next(effect.payload for effect in effects if effect.topic == "act.audited")
    assert (audited["actor"], audited["reason"], audited["area"]) == (moderator, "Spam", f"community:{community}")
    assert notices(effects) == [("CONTENT_REMOVED", member)]


async def pin_outcome(graph: GraphClient, post: str, moderator: str) -> str:
    try:
        await pin_post(graph, post, pinned=True, moderator_id=moderator, now=utc_now())
    except KinshipError as refusal:
        return refusal.code
    return "PINNED"


async def test_twelve_moderators_pin_at_once_and_three_are_pinned(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community, moderator, member = await club(one)
        posts = [await write_post(one, community, member) for _ in range(12)]
        outcomes = await asyncio.gather(
            *(pin_outcome((one, other)[number % 2], post, moderator) for number, post in enumerate(posts))
        )
        assert Counter(outcomes) == {"PINNED": 3, "TOO_MANY_PINNED": 9}
        pinned = await pinned_posts(one, [community], viewer_id=member)
        assert len(pinned) == 3
        assert {row["id"] for row in pinned} == {p for p, o in zip(posts, outcomes, strict=True) if o == "PINNED"}
        await pin_post(one, pinned[0]["id"], pinned=False, moderator_id=moderator, now=utc_now())
        free = next(p for p, o in zip(posts, outcomes, strict=True) if o != "PINNED")
        assert await pin_outcome(one, free, moderator) == "PINNED"
        now_pinned = [row["id"] for row in await pinned_posts(one, [community], viewer_id=member)]
        assert now_pinned == [free, pinned[1]["id"], pinned[2]["id"]]


async def test_pinning_is_for_moderators(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    assert await pin_outcome(graph, post, member) == "NOT_FOUND"
    assert await pin_outcome(graph, new_id(), moderator) == "NOT_FOUND"
    assert await pinned_posts(graph, [community], viewer_id=member) == []
    assert await pin_outcome(graph, post, moderator) == "PINNED"
    actions = [e.payload["action"] for e in await effects_about(graph, post) if e.topic == "act.audited"]
    assert actions == ["POST_PINNED"]


async def test_posts_page_from_the_newest_and_inserts_shift_nothing(graph: GraphClient) -> None:
    community, _, member = await club(graph)
    start = utc_now()
    posts = [await write_post(graph, community, member, now=start + timedelta(seconds=n)) for n in range(5)]
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page = (await posts_of(graph, [community], viewer_id=member, first=2, after=cursor))[community]
        seen += [row["id"] for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
        await write_post(graph, community, member, now=start + timedelta(minutes=len(seen)))
    assert seen == list(reversed(posts))
    for bad in ("x", encode_cursor(["one"])):
        with pytest.raises(PageInvalid):
            await posts_of(graph, [community], viewer_id=member, first=2, after=bad)


async def test_a_forged_cursor_shows_nothing_of_other_communities(graph: GraphClient) -> None:
    community, _, member = await club(graph)
    await write_post(graph, community, member)
    hidden, _, insider = await club(graph, visibility="PRIVATE")
    await write_post(graph, hidden, insider)
    for place in (["", ""], ["\uffff", ""], [iso(utc_now()), "~"]):
        page = await posts_of(graph, [community], viewer_id=member, first=50, after=encode_cursor(place))
        assert {row["community_id"] for row in page[community].rows} <= {community}


async def test_several_communities_at_once_and_what_is_private_stays_so(graph: GraphClient) -> None:
    open_one, _, member = await club(graph)
    closed, moderator, insider = await club(graph, visibility="PRIVATE")
    mine = await write_post(graph, open_one, member)
    theirs = await write_post(graph, closed, insider)
    await pin_post(graph, theirs, pinned=True, moderator_id=moderator, now=utc_now())
    invited, banned = await make_customers(graph, 2)
    await add_member(graph, closed, invited, MemberRole.INVITED)
    await add_member(graph, closed, banned, MemberRole.BANNED)
    for viewer in (member, invited, banned, None):
        pages = await posts_of(graph, [open_one, closed], viewer_id=viewer, first=5, after=None)
        assert [[row["id"] for row in page.rows] for page in pages.values()] == [[mine], []]
        alone = await posts_of(graph, [closed], viewer_id=viewer, first=5, after=None)
        assert alone[closed].rows == []
        assert set(await read_posts(graph, [mine, theirs], viewer_id=viewer)) == {mine}
        assert await pinned_posts(graph, [closed], viewer_id=viewer) == []
    pages = await posts_of(graph, [open_one, closed], viewer_id=insider, first=5, after=None)
    assert [[row["id"] for row in page.rows] for page in pages.values()] == [[mine], [theirs]]
