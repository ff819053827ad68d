"""Comments: counted exactly, in threads, and one accepted answer that earns once."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from community.access import MemberRole
from community.comments import ANSWER_ACCEPTED, accept_answer, comments_of, read_comments
from community.content import ContentDeleted, ContentInvalid, MembersOnly, delete_content
from community.posts import PostKind, read_posts
from community.standing import CommunityArchived
from community.tallies import tallies_of
from core.clock import iso, utc_now
from core.errors import KinshipError, NotFound
from core.ids import new_id
from core.paging import encode_cursor
from graph.client import GraphClient
from tests.community.places import add_member, make_community, make_customers
from tests.community.test_posts import OUTSIDERS, club
from tests.community.writings import effects_about, notices, write_comment, write_post
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

STORED = "MATCH (x:Comment {post_id: $id}) WHERE x.deleted_at IS NULL RETURN count(x) AS count"


async def counts(graph: GraphClient, post: str) -> tuple[int, int]:
    """What the counters say, and what there is."""
    counted = (await tallies_of(graph, [post]))[post].get("COMMENT", 0)
    return counted, (await graph.read(STORED, id=post))[0]["count"]


async def members(graph: GraphClient, community: str, count: int) -> list[str]:
    ids = await make_customers(graph, count)
    for member in ids:
        await add_member(graph, community, member, MemberRole.MEMBER)
    return ids


async def test_a_hundred_comments_at_once_are_a_hundred(stores: Addresses) -> None:
    async with stores.graph() as one, stores.graph() as other:
        community, _, member = await club(one)
        post = await write_post(one, community, member)
        authors = await members(one, community, 20)
        ids = await asyncio.gather(
            *(write_comment((one, other)[n % 2], post, authors[n % 20], text=str(n)) for n in range(100))
        )
        assert len(set(ids)) == 100
        assert await counts(one, post) == (100, 100)
        # Some are deleted by their authors and by a moderator at once, others written meanwhile.
        gone = ids[:30]
        await asyncio.gather(
            *(
                delete_content(
                    one, "Comment", gone[n], actor_id=authors[n % 20], reason=None, now=utc_now(), path="commentId"
                )
                for n in range(30)
            ),
            *(
                delete_content(
                    other, "Comment", gone[n], actor_id=authors[n % 20], reason=None, now=utc_now(), path="commentId"
                )
                for n in range(30)
            ),
            *(write_comment(other, post, authors[n % 20]) for n in range(10)),
        )
        assert await counts(one, post) == (80, 80)


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
async def test_who_is_no_member_cannot_comment(graph: GraphClient, visibility: str, role: MemberRole | None) -> None:
    community, _, member = await club(graph, visibility=visibility)
    post = await write_post(graph, community, member)
    (outsider,) = await make_customers(graph, 1)
    if role is not None:
        await add_member(graph, community, outsider, role)
    with pytest.raises(NotFound if visibility == "PRIVATE" else MembersOnly):
        await write_comment(graph, post, outsider)
    assert await counts(graph, post) == (0, 0)


async def test_what_cannot_be_commented_on(graph: GraphClient) -> None:
    """Given deleted, foreign, missing and archived things, then nobody comments on them and nothing is counted."""
    community, _, member = await club(graph)
    post, other = [await write_post(graph, community, member) for _ in range(2)]
    gone = await write_comment(graph, post, member)
    await delete_content(graph, "Comment", gone, actor_id=member, reason=None, now=utc_now(), path="commentId")
    elsewhere = await write_comment(graph, other, member)
    with pytest.raises(ContentDeleted) as raised:
        await write_comment(graph, post, member, reply_to=gone)
    assert raised.value.path == ("replyTo",)
    for reply_to in (elsewhere, new_id()):
        with pytest.raises(NotFound):
            await write_comment(graph, post, member, reply_to=reply_to)
    with pytest.raises(NotFound):
        await write_comment(graph, new_id(), member)
    more: dict[str, Any]
    for more, path in (
        ({"text": ""}, ("text",)),
        ({"text": "x" * 10_001}, ("text",)),
        ({"mentions": [new_id()]}, ("mentions", "0")),
    ):
        with pytest.raises(ContentInvalid) as invalid:
            await write_comment(graph, post, member, **more)
        assert invalid.value.path == path
    await delete_content(graph, "Post", post, actor_id=member, reason=None, now=utc_now(), path="postId")
    with pytest.raises(ContentDeleted):
        await write_comment(graph, post, member)
    await graph.write("MATCH (c:Community {id: $id}) SET c.archived_at = 'x'", id=community)
    with pytest.raises(CommunityArchived):
        await write_comment(graph, other, member)
    assert await counts(graph, post) == (0, 0)
    assert await counts(graph, other) == (1, 1)


async def test_replies_follow_their_comment_and_pages_are_stable(graph: GraphClient) -> None:
    """Given two threads, when paged by two with replies to the first arriving meanwhile, then each is seen in order."""
    community, _, member = await club(graph)
    post = await write_post(graph, community, member)
    start = utc_now()
    times = [start + timedelta(seconds=n) for n in range(10)]
    first = await write_comment(graph, post, member, now=times[0])
    second = await write_comment(graph, post, member, now=times[1])
    reply = await write_comment(graph, post, member, reply_to=first, now=times[2])
    # A reply to a reply belongs to the same thread: there is one level only.
    deeper = await write_comment(graph, post, member, reply_to=reply, now=times[3])
    below = await write_comment(graph, post, member, reply_to=second, now=times[4])
    seen: list[tuple[str, str | None]] = []
    cursor, more = None, True
    while more:
        page = (await comments_of(graph, [post], viewer_id=member, first=2, after=cursor))[post]
        seen += [(row["id"], row["parent_id"]) for row in page.rows]
        cursor, more = page.cursors[-1], page.has_next
        if len(seen) == 4:
            await write_comment(graph, post, member, reply_to=first, now=times[5])
    assert seen == [(first, None), (reply, first), (deeper, first), (second, None), (below, second)]
    for forged in ("", "\uffff"):
        page = await comments_of(graph, [post], viewer_id=member, first=50, after=encode_cursor([forged]))
        assert {row["post_id"] for row in page[post].rows} <= {post}


async def test_several_posts_at_once_and_private_comments_stay_private(graph: GraphClient) -> None:
    open_one, _, member = await club(graph)
    closed, _, insider = await club(graph, visibility="PRIVATE")
    shown, hidden = await write_post(graph, open_one, member), await write_post(graph, closed, insider)
    mine, theirs = await write_comment(graph, shown, member), await write_comment(graph, hidden, insider)
    for viewer, expected in ((member, [[mine], []]), (insider, [[mine], [theirs]])):
        pages = await comments_of(graph, [shown, hidden], viewer_id=viewer, first=5, after=None)
        assert [[row["id"] for row in page.rows] for page in pages.values()] == expected
        found = await read_comments(graph, [mine, theirs], viewer_id=viewer)
        assert set(found) == {mine, theirs} & {row for rows in expected for row in rows}


async def test_a_deleted_comment_keeps_its_place_and_its_replies(graph: GraphClient) -> None:
    community, moderator, member = await club(graph)
    post = await write_post(graph, community, member)
    comment = await write_comment(graph, post, member)
    reply = await write_comment(graph, post, moderator, reply_to=comment)
    await delete_content(graph, "Comment", comment, actor_id=moderator, reason="Rude", now=utc_now(), path="commentId")
    rows = (await comments_of(graph, [post], viewer_id=member, first=5, after=None))[post].rows
    assert [(row["id"], row["text"] is None) for row in rows] == [(comment, True), (reply, False)]
    assert await counts(graph, post) == (1, 1)
    effects = await effects_about(graph, comment)
    assert ("CONTENT_REMOVED", member) in notices(effects)
    assert [e.payload["action"] for e in effects if e.topic == "act.audited"] == ["COMMENT_DELETED"]


async def test_each_learns_once_of_what_concerns_them_most(graph: GraphClient) -> None:
    community, asker, helper = await club(graph)
    (third,) = await members(graph, community, 1)
    post = await write_post(graph, community, asker)
    own = await write_comment(graph, post, asker)
    comment = await write_comment(graph, post, helper)
    reply = await write_comment(graph, post, third, reply_to=comment)
    both = await write_comment(graph, post, third, reply_to=comment, mentions=[helper, third])
    told = [notices(await effects_about(graph, f":{written}:")) for written in (own, comment, reply, both)]
    assert told == [
        [],
        [("COMMENTED", asker)],
        sorted([("COMMENTED", asker), ("REPLIED", helper)]),
        sorted([("COMMENTED", asker), ("MENTIONED", helper)]),
    ]


async def accept_outcome(graph: GraphClient, comment: str, actor: str) -> str:
    try:
        await accept_answer(graph, comment, actor_id=actor, now=utc_now())
    except KinshipError as refusal:
        return refusal.code
    return "ACCEPTED"


async def test_of_answers_accepted_at_once_one_is_accepted(stores: Addresses) -> None:
    """Given eight answers, when author and moderator accept all at once, then one is, and it is owed one fact."""
    async with stores.graph() as one, stores.graph() as other:
        community, moderator, asker = await club(one)
        helpers = await members(one, community, 8)
        post = await write_post(one, community, asker, kind=PostKind.QUESTION)
        answers = [await write_comment(one, post, helper) for helper in helpers]
        outcomes = await asyncio.gather(
            *(accept_outcome((one, other)[n % 2], answers[n % 8], (asker, moderator)[n // 8]) for n in range(16))
        )
        assert Counter(outcomes) == {"ACCEPTED": 2, "ANSWER_ALREADY_ACCEPTED": 14}
        accepted = (await read_posts(one, [post], viewer_id=asker))[post]["accepted_comment_id"]
        assert {answers[n % 8] for n in range(16) if outcomes[n] == "ACCEPTED"} == {accepted}
        (fact,) = [e for e in await effects_about(one, post) if e.topic == ANSWER_ACCEPTED]
        assert fact.payload["customer_id"] == helpers[answers.index(accepted)]
        assert len(notices(await effects_about(one, f"ACCEPTED:{accepted}"))) == 1
        rows = await read_comments(one, answers, viewer_id=asker)
        assert [key for key, row in rows.items() if row["accepted_at"]] == [accepted]


async def test_nobody_earns_by_answering_themselves(graph: GraphClient) -> None:
    community, _, asker = await club(graph)
    post = await write_post(graph, community, asker, kind=PostKind.QUESTION)
    answer = await write_comment(graph, post, asker)
    assert await accept_outcome(graph, answer, asker) == "ACCEPTED"
    assert await accept_outcome(graph, answer, asker) == "ACCEPTED"
    assert await effects_about(graph, post, answer) == []


async def test_who_cannot_accept_and_what_cannot_be_accepted(graph: GraphClient) -> None:
    community, moderator, asker = await club(graph)
    helper, outsider = await members(graph, community, 1), await make_customers(graph, 1)
    post = await write_post(graph, community, asker, kind=PostKind.QUESTION)
    plain = await write_post(graph, community, asker)
    answer, remark = await write_comment(graph, post, helper[0]), await write_comment(graph, plain, helper[0])
    assert await accept_outcome(graph, answer, helper[0]) == "NOT_FOUND"
    assert await accept_outcome(graph, answer, outsider[0]) == "NOT_FOUND"
    assert await accept_outcome(graph, new_id(), asker) == "NOT_FOUND"
    assert await accept_outcome(graph, remark, asker) == "NOT_A_QUESTION"
    gone = await write_comment(graph, post, helper[0])
    await delete_content(graph, "Comment", gone, actor_id=helper[0], reason=None, now=utc_now(), path="commentId")
    assert await accept_outcome(graph, gone, asker) == "CONTENT_DELETED"
    assert (await read_posts(graph, [post], viewer_id=asker))[post]["accepted_comment_id"] is None
    assert await accept_outcome(graph, answer, moderator) == "ACCEPTED"
    actions = [e.payload["action"] for e in await effects_about(graph, answer) if e.topic == "act.audited"]
    assert actions == ["ANSWER_ACCEPTED"]


async def test_a_banned_asker_accepts_nothing(graph: GraphClient) -> None:
    community, _, asker = await club(graph)
    (helper,) = await members(graph, community, 1)
    post = await write_post(graph, community, asker, kind=PostKind.QUESTION)
    answer = await write_comment(graph, post, helper)
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() SET m.role = 'BANNED'", id=asker)
    assert await accept_outcome(graph, answer, asker) == "MEMBERS_ONLY"
    assert (await read_posts(graph, [post], viewer_id=helper))[post]["accepted_comment_id"] is None


async def test_when_the_accepted_answer_goes_another_can_be_accepted(graph: GraphClient) -> None:
    community, _, asker = await club(graph)
    (helper,) = await members(graph, community, 1)
    post = await write_post(graph, community, asker, kind=PostKind.QUESTION)
    first, second = await write_comment(graph, post, helper), await write_comment(graph, post, helper)
    assert await accept_outcome(graph, first, asker) == "ACCEPTED"
    await delete_content(graph, "Comment", first, actor_id=helper, reason=None, now=utc_now(), path="commentId")
    assert await accept_outcome(graph, second, asker) == "ACCEPTED"
    assert len([e for e in await effects_about(graph, post) if e.topic == ANSWER_ACCEPTED]) == 1


async def test_a_private_question_is_not_there_for_outsiders(graph: GraphClient) -> None:
    community = await make_community(graph, visibility="PRIVATE")
    asker, outsider = await make_customers(graph, 2)
    await add_member(graph, community, asker, MemberRole.MEMBER)
    post = await write_post(graph, community, asker, kind=PostKind.QUESTION)
    answer = await write_comment(graph, post, asker)
    await graph.write("MATCH (:Customer {id: $id})-[m:MEMBER_OF]->() SET m.role = 'BANNED'", id=asker)
    for actor in (asker, outsider):
        assert await accept_outcome(graph, answer, actor) == "NOT_FOUND"
        with pytest.raises(NotFound):
            await delete_content(graph, "Comment", answer, actor_id=actor, reason="x", now=utc_now(), path="commentId")
    assert await read_comments(graph, [answer], viewer_id=asker) == {}


POST_ANSWERED = "MATCH (x:Post {id: $id}) RETURN x.answered_at AS at"
COMMENT_ANSWERED = "MATCH (x:Comment {id: $id}) RETURN x.answered_at AS at, x.to_self AS to_self"


async def test_what_is_answered_is_marked_once_a_day(graph: GraphClient) -> None:
    """Given comments by others; then the post or comment that they answer says when one last did so, by the day."""
    community, owner, member = await club(graph)
    start = datetime.fromisoformat("2026-03-01T10:00:00+00:00")
    post = await write_post(graph, community, member, now=start)
    own = await write_comment(graph, post, member, now=start)
    assert (await graph.read(POST_ANSWERED, id=post))[0]["at"] is None
    assert (await graph.read(COMMENT_ANSWERED, id=own))[0] == {"at": None, "to_self": True}
    for hours in (1, 2, 23, 24):
        await write_comment(graph, post, owner, now=start + timedelta(hours=hours))
        day = iso(start + timedelta(hours=23 if hours > 20 else 1))
        assert (await graph.read(POST_ANSWERED, id=post))[0]["at"] == day
    reply = await write_comment(graph, post, owner, reply_to=own, now=start)
    assert (await graph.read(COMMENT_ANSWERED, id=own))[0]["at"] == iso(start)
    assert (await graph.read(COMMENT_ANSWERED, id=reply))[0] == {"at": None, "to_self": None}
    assert await counts(graph, post) == (6, 6)
