"""Comments on posts and replies to them, and the accepted answer of a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from community.content import (
    ABOUT,
    PLACE_COLUMNS,
    PLACES,
    Target,
    check_language,
    check_mentions,
    checked_text,
    mention_notices,
    moderates,
    not_deleted,
    readable,
    seen,
    writable,
)
from community.notices import notice
from community.posts import PostKind
from community.tallies import COMMENTS, TAKE_TALLY, tally_key
from core.audit import ACT_AUDITED, act
from core.clock import iso
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.notices import NoticeKind
from core.paging import Page, Place, cut_each, goes_back, page_size, position_at
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects
from graph.ranges import range_query, read_ranges

# An accepted answer earns: the worker records the fact of it.
ANSWER_ACCEPTED = "answer.accepted"


class NotAQuestion(Refusal):
    code = "NOT_A_QUESTION"
    en = "Only a question has an accepted answer."
    zh = "只有提问帖才能采纳回答。"


class AnswerAlreadyAccepted(Refusal):
    code = "ANSWER_ALREADY_ACCEPTED"
    en = "Another answer is accepted already."
    zh = "已采纳其他回答。"


@dataclass(frozen=True, slots=True)
class NewComment:
    """A comment as its author writes it: on a post, or with `reply_to` as a reply to one of its comments."""

    post_id: str
    text: str
    language: str
    reply_to: str | None = None
    mentions: Sequence[str] = ()


# Counted only where the comment is new: a lost answer to the commit makes it run again with the same id.
CREATE_COMMENT: LiteralString = (
    TAKE_TALLY
    + """
WITH t
OPTIONAL MATCH (old:Comment {id: $id})
WITH t WHERE old IS NULL
MATCH (me:Customer {id: $author_id})
CREATE (me)-[:WROTE]->(x:Comment {id: $id})
SET x += $properties, t.count = t.count + 1
"""
)
# When others last answered something says how much goes on between its author and them, for recommendations. It is
# written once a day, because who comments on a hot post is not to wait for its node (community/tallies.py).
CREATE_FIRST_ANSWER: dict[Target, LiteralString] = {
    "Post": CREATE_COMMENT + "WITH x MATCH (a:Post {id: $answered_id}) SET a.answered_at = $now",
    "Comment": CREATE_COMMENT + "WITH x MATCH (a:Comment {id: $answered_id}) SET a.answered_at = $now",
}


async def create_comment(graph: GraphClient, comment: NewComment, *, author_id: str, now: datetime) -> tuple[str, str]:
    """Write a comment; returns its id and the community's.

    Raises ContentInvalid, NotFound for a post that the author may not read or a comment of another post,
    MembersOnly, CommunityArchived, ContentDeleted for what is answered.
    """
    comment_id, instant = new_id(), iso(now)
    check_language(comment.language)
    written: dict[str, Any] = {
        "post_id": comment.post_id,
        "author_id": author_id,
        "text": checked_text(comment.text),
        "language": comment.language,
        "mentions": list(dict.fromkeys(comment.mentions)),
        "created_at": instant,
    }
    tally = tally_key(comment.post_id, COMMENTS, author_id)

    async def work(tx: Transaction) -> str:
        rows = await tx.run(PLACES["Post"], target_id=comment.post_id, customer_id=author_id)
        post = not_deleted(writable(rows, "postId"), "postId")
        answered = await answered_comment(tx, comment, author_id)
        await check_mentions(tx, comment.mentions, community_id=post["community_id"])
        properties = {**written, "community_id": post["community_id"], **thread(comment, answered, instant, comment_id)}
        query, properties["to_self"] = create_query(answered or post, author_id, instant)
        await tx.run(
            query,
            id=comment_id,
            answered_id=comment.reply_to or comment.post_id,
            author_id=author_id,
            properties=properties,
            target_id=comment.post_id,
            kind=COMMENTS,
            tally=tally,
            now=instant,
        )
        await owe_effects(tx, notices_of(post, answered, comment, comment_id, author_id), now=now)
        return str(post["community_id"])

    return comment_id, await graph.transact(work, contended=tally)


def create_query(answered: Row, author_id: str, instant: str) -> tuple[LiteralString, bool | None]:
    """The statement that writes an answer to this, and whether it is one to oneself (else None, which is not kept)."""
    if answered["author_id"] == author_id:
        return CREATE_COMMENT, True
    if (answered["answered_at"] or "")[:10] >= instant[:10]:
        return CREATE_COMMENT, None
    return CREATE_FIRST_ANSWER["Comment" if answered["post_id"] else "Post"], None


ANSWERED = """
MATCH (x:Comment {id: $comment_id, post_id: $post_id})
OPTIONAL MATCH (p:Comment {id: x.parent_id})
RETURN x.id AS id, x.author_id AS author_id, x.deleted_at AS deleted_at, x.parent_id AS parent_id,
       coalesce(p.order, x.order) AS thread, x.post_id AS post_id, x.answered_at AS answered_at
"""


async def answered_comment(tx: Transaction, comment: NewComment, author_id: str) -> Row | None:
    """The comment that is replied to; None for a comment on the post itself."""
    if comment.reply_to is None:
        return None
    rows = await tx.run(ANSWERED, comment_id=comment.reply_to, post_id=comment.post_id)
    if not rows:
        raise NotFound(path=("replyTo",))
    return not_deleted(rows[0], "replyTo")


def thread(comment: NewComment, answered: Row | None, instant: str, comment_id: str) -> dict[str, str | None]:
    """Its place: after what came before, and a reply right below the comment that began its thread."""
    if answered is None:
        return {"parent_id": None, "order": f"{comment.post_id}:{instant}:{comment_id}"}
    parent_id = answered["parent_id"] or answered["id"]
    return {"parent_id": parent_id, "order": f"{answered['thread']}:{instant}:{comment_id}"}


def notices_of(post: Row, answered: Row | None, comment: NewComment, comment_id: str, author_id: str) -> list[Effect]:
    """Who learns of a comment, each once and of what concerns them most; nobody of their own."""
    ids = {"post_id": post["id"], "comment_id": comment_id, "community_id": post["community_id"]}
    found = mention_notices(comment.mentions, comment_id, author_id=author_id, **ids)
    told = {author_id, *comment.mentions}
    if answered is not None and answered["author_id"] not in told:
        found.append(notice(NoticeKind.REPLIED, answered["author_id"], comment_id, actor_id=author_id, **ids))
        told.add(answered["author_id"])
    if post["author_id"] not in told:
        found.append(notice(NoticeKind.COMMENTED, post["author_id"], comment_id, actor_id=author_id, **ids))
    return found


# The question's node carries which answer is accepted, so it is written first.
LOCK_QUESTION = (
    """
MATCH (a:Comment {id: $comment_id})
MATCH (x:Post {id: a.post_id})
SET x.touched_at = $now
WITH x
"""
    + PLACE_COLUMNS
)
# The answer is written too before it is read, so that nobody deletes it meanwhile.
ANSWER = """
MATCH (a:Comment {id: $comment_id})
SET a.touched_at = $now
WITH a
RETURN a.id AS id, a.author_id AS author_id, a.deleted_at AS deleted_at
"""
ACCEPT = """
MATCH (x:Post {id: $post_id}), (a:Comment {id: $comment_id})
SET x.accepted_comment_id = $comment_id, a.accepted_at = $now
"""


async def accept_answer(graph: GraphClient, comment_id: str, *, actor_id: str, now: datetime) -> tuple[str, str]:
    """Accept an answer to one's question, or as a moderator; returns the post's id and the community's.

    The same answer twice is accepted once. The answer's author earns once per question, and never by their own
    question. Raises NotFound for anybody else, MembersOnly, CommunityArchived, NotAQuestion, ContentDeleted,
    AnswerAlreadyAccepted.
    """
    instant = iso(now)

    async def work(tx: Transaction) -> tuple[str, str]:
        rows = await tx.run(LOCK_QUESTION, comment_id=comment_id, customer_id=actor_id, now=instant)
        post = may_accept(rows, actor_id)
        answer = not_deleted((await tx.run(ANSWER, comment_id=comment_id, now=instant))[0], "commentId")
        done = str(post["id"]), str(post["community_id"])
        if post["accepted_comment_id"] == comment_id:
            return done
        if post["accepted_comment_id"] is not None:
            raise AnswerAlreadyAccepted(path=("commentId",))
        await tx.run(ACCEPT, post_id=post["id"], comment_id=comment_id, now=instant)
        await owe_effects(tx, acceptance_effects(post, answer, actor_id, now), now=now)
        return done

    return await graph.transact(work, contended=comment_id)


def may_accept(rows: Sequence[Row], actor_id: str) -> Row:
    """The question, for its author while they are a member, and for the moderators."""
    post = readable(rows, "commentId")
    if post["author_id"] != actor_id and not moderates(post):
        raise NotFound(path=("commentId",))
    writable(rows, "commentId")
    if post["kind"] != PostKind.QUESTION:
        raise NotAQuestion(path=("commentId",))
    return not_deleted(post, "commentId")


def acceptance_effects(post: Row, answer: Row, actor_id: str, now: datetime) -> list[Effect]:
    """What an accepted answer earns, who is told, and the audit where a moderator decided for the author."""
    ids = {"post_id": post["id"], "comment_id": answer["id"], "community_id": post["community_id"]}
    found: list[Effect] = []
    if answer["author_id"] != post["author_id"]:
        fact = {**ids, "customer_id": answer["author_id"], "accepted_at": iso(now)}
        found.append(Effect(ANSWER_ACCEPTED, post["id"], fact))
    if answer["author_id"] != actor_id:
        found.append(notice(NoticeKind.ANSWER_ACCEPTED, answer["author_id"], answer["id"], **ids))
    if post["author_id"] != actor_id:
        area, subject = f"community:{post['community_id']}", f"comment:{answer['id']}"
        audited = act(area=area, actor=actor_id, action="ANSWER_ACCEPTED", subject=subject, at=now)
        found.append(Effect(ACT_AUDITED, f"answer.accepted:{answer['id']}:{iso(now)}", audited))
    return found


COMMENT_ITEM: LiteralString = """{id: x.id, post_id: x.post_id, community_id: x.community_id, author_id: x.author_id,
  parent_id: x.parent_id, language: x.language, created_at: x.created_at, deleted_at: x.deleted_at,
  accepted_at: x.accepted_at,
  text: CASE WHEN x.deleted_at IS NULL THEN x.text END,
  mentions: CASE WHEN x.deleted_at IS NULL THEN x.mentions END} AS item"""

READ_COMMENTS: LiteralString = (
    """
UNWIND $ids AS id
MATCH (x:Comment {id: id})
RETURN """
    + COMMENT_ITEM
    + ", "
    + ABOUT
)


async def read_comments(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The comments among `ids` that the viewer may read, by id; of a deleted one only its place."""
    rows = await graph.read(READ_COMMENTS, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in seen(rows)}


COMMENTS_OF = range_query("Comment", COMMENT_ITEM + ", " + ABOUT, parent="post_id")


async def comments_of(
    graph: GraphClient, post_ids: Sequence[str], *, viewer_id: str | None, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """The comments of each post that the viewer may read: the oldest first, each followed by its replies."""
    size, position = page_size(first), position_at(after, str)
    place, reader = str(position[0]) if position else None, viewer_id or ""
    back = goes_back(after)
    rows = await read_ranges(graph, COMMENTS_OF, post_ids, after=place, back=back, limit=size + 1, viewer_id=reader)
    return cut_each(post_ids, seen(rows), "parent", size, lambda row: (row["place"].partition(":")[2],), after)
