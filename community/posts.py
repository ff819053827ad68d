"""Posts and questions of communities: writing, editing with all versions kept, pinning, reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString, cast

from community.content import (
    ABOUT,
    COMMUNITY_PLACE,
    LOCKED_PLACES,
    PLACE_COLUMNS,
    Attachment,
    check_language,
    check_mentions,
    checked_attachments,
    checked_text,
    mention_notices,
    moderates,
    not_deleted,
    seen,
    writable,
)
from community.search_documents import index_effect
from core.audit import ACT_AUDITED, act
from core.clock import iso
from core.errors import NotFound, Refusal
from core.ids import new_id
from core.paging import Page, Place, cut_each, goes_back, page_size, position_at
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects
from graph.ranges import range_query, read_ranges

MOST_PINNED = 3


class PostKind(StrEnum):
    """A question can have an accepted answer."""

    TEXT = "TEXT"
    QUESTION = "QUESTION"


class TooManyPinned(Refusal):
    code = "TOO_MANY_PINNED"
    en = "Three posts are pinned already. Please unpin one first."
    zh = "已置顶三个帖子，请先取消一个。"


@dataclass(frozen=True, slots=True)
class NewPost:
    """A post as its author writes it."""

    community_id: str
    kind: PostKind
    text: str
    language: str
    mentions: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()


# Safe to repeat: a lost answer to the commit makes it run again with the same id.
CREATE_POST = """
MATCH (me:Customer {id: $author_id})
MERGE (x:Post {id: $id})
SET x += $properties
MERGE (me)-[:WROTE]->(x)
"""


async def create_post(graph: GraphClient, post: NewPost, *, author_id: str, now: datetime) -> str:
    """Write a post; returns its id.

    Raises ContentInvalid, NotFound for a community that the author may not read, MembersOnly, CommunityArchived.
    """
    post_id, instant = new_id(), iso(now)
    order = f"{post.community_id}:{instant}:{post_id}"
    check_language(post.language)
    properties: dict[str, Any] = {
        "community_id": post.community_id,
        "author_id": author_id,
        "kind": post.kind,
        "text": checked_text(post.text),
        "language": post.language,
        "mentions": list(dict.fromkeys(post.mentions)),
        "attachments": checked_attachments(post.attachments),
        "created_at": instant,
        "version": 1,
        "order": order,
        "feed_order": order,
    }

    async def work(tx: Transaction) -> None:
        rows = await tx.run(COMMUNITY_PLACE, community_id=post.community_id, customer_id=author_id)
        writable(rows, "communityId")
        await check_mentions(tx, post.mentions, community_id=post.community_id)
        await tx.run(CREATE_POST, id=post_id, author_id=author_id, properties=properties)
        ids = {"post_id": post_id, "community_id": post.community_id}
        notices = mention_notices(post.mentions, post_id, author_id=author_id, **ids)
        await owe_effects(tx, [*notices, index_effect("Post", [post_id])], now=now)

    await graph.transact(work, contended=author_id)
    return post_id


@dataclass(frozen=True, slots=True)
class PostChange:
    """What an author changes; None leaves as it is."""

    text: str | None = None
    language: str | None = None
    mentions: Sequence[str] | None = None
    attachments: Sequence[Attachment] | None = None


CHANGE_POST = """
MATCH (x:Post {id: $post_id})
MERGE (e:Edit {order: $edit_order})
ON CREATE SET e.post_id = $post_id, e.version = x.version, e.text = x.text, e.language = x.language,
  e.attachments = x.attachments, e.written_at = coalesce(x.edited_at, x.created_at), e.replaced_at = $now
SET x += $changes, x.version = x.version + 1, x.edited_at = $now
"""


async def update_post(graph: GraphClient, post_id: str, change: PostChange, *, author_id: str, now: datetime) -> str:
    """Change a post and keep what it was; a change that changes nothing keeps nothing. Returns the community's id.

    Raises ContentInvalid, NotFound for a post that is not the author's own, MembersOnly, CommunityArchived,
    ContentDeleted.
    """
    asked = asked_changes(change)
    instant = iso(now)

    async def work(tx: Transaction) -> str:
        rows = await tx.run(LOCKED_PLACES["Post"], target_id=post_id, customer_id=author_id, now=instant)
        post = not_deleted(owned(writable(rows, "postId"), author_id), "postId")
        community_id = str(post["community_id"])
        await check_mentions(tx, change.mentions or (), community_id=community_id)
        changes = {name: value for name, value in asked.items() if value != post[name]}
        if changes:
            edit_order = f"{post_id}:{post['version']:08}"
            await tx.run(CHANGE_POST, post_id=post_id, edit_order=edit_order, changes=changes, now=instant)
            ids = {"post_id": post_id, "community_id": community_id}
            fresh = [customer for customer in change.mentions or () if customer not in post["mentions"]]
            notices = mention_notices(fresh, post_id, author_id=author_id, **ids)
            await owe_effects(tx, [*notices, index_effect("Post", [post_id])], now=now)
        return community_id

    return await graph.transact(work, contended=post_id)


def asked_changes(change: PostChange) -> dict[str, Any]:
    """The properties that are asked for, checked."""
    found: dict[str, Any] = {}
    if change.text is not None:
        found["text"] = checked_text(change.text)
    if change.language is not None:
        check_language(change.language)
        found["language"] = change.language
    if change.mentions is not None:
        found["mentions"] = list(dict.fromkeys(change.mentions))
    if change.attachments is not None:
        found["attachments"] = checked_attachments(change.attachments)
    return found


def owned(place: Row, author_id: str) -> Row:
    """The same row; raises NotFound for somebody else's post."""
    if place["author_id"] != author_id:
        raise NotFound(path=("postId",))
    return place


# The community's node carries what is pinned, so it is written first: its lock guards the limit. The post's own lock
# keeps its deletion apart.
LOCK_PINS = (
    """
MATCH (x:Post {id: $post_id})
MATCH (k:Community {id: x.community_id})
SET k.touched_at = $now
SET x.touched_at = $now
WITH x
"""
    + PLACE_COLUMNS
)
PIN = """
MATCH (x:Post {id: $post_id}), (c:Community {id: $community_id})
SET x.pinned_at = $pinned_at, c.pinned_post_ids = $pinned
"""


async def pin_post(graph: GraphClient, post_id: str, *, pinned: bool, moderator_id: str, now: datetime) -> str:
    """Pin a post of one's community, the latest first, or unpin it; returns the community's id.

    Raises NotFound for whoever does not moderate it, CommunityArchived, ContentDeleted, TooManyPinned.
    """
    instant = iso(now)

    async def work(tx: Transaction) -> str:
        rows = await tx.run(LOCK_PINS, post_id=post_id, customer_id=moderator_id, now=instant)
        if not rows or not moderates(rows[0]):
            raise NotFound(path=("postId",))
        post = not_deleted(writable(rows, "postId"), "postId")
        community_id, before = str(post["community_id"]), cast(list[str], post["pinned_post_ids"] or [])
        if (post_id in before) == pinned:
            return community_id
        if pinned and len(before) >= MOST_PINNED:
            raise TooManyPinned(path=("postId",))
        after = [post_id, *before] if pinned else [other for other in before if other != post_id]
        pinned_at = instant if pinned else None
        await tx.run(PIN, post_id=post_id, community_id=community_id, pinned=after, pinned_at=pinned_at)
        await owe_effects(tx, [pin_audit(post, moderator_id, pinned=pinned, now=now)], now=now)
        return community_id

    return await graph.transact(work, contended=post_id)


def pin_audit(post: Row, moderator_id: str, *, pinned: bool, now: datetime) -> Effect:
    action = "POST_PINNED" if pinned else "POST_UNPINNED"
    area, subject = f"community:{post['community_id']}", f"post:{post['id']}"
    audited = act(area=area, actor=moderator_id, action=action, subject=subject, at=now)
    return Effect(ACT_AUDITED, f"{action.lower()}:{post['id']}:{iso(now)}", audited)


POST_ITEM: LiteralString = """{id: x.id, community_id: x.community_id, author_id: x.author_id, kind: x.kind,
  version: x.version, language: x.language, created_at: x.created_at, edited_at: x.edited_at, deleted_at: x.deleted_at,
  pinned_at: x.pinned_at, accepted_comment_id: x.accepted_comment_id,
  text: CASE WHEN x.deleted_at IS NULL THEN x.text END,
  mentions: CASE WHEN x.deleted_at IS NULL THEN x.mentions END,
  attachments: CASE WHEN x.deleted_at IS NULL THEN x.attachments END} AS item"""

READ_POSTS: LiteralString = (
    """
UNWIND $ids AS id
MATCH (x:Post {id: id})
RETURN """
    + POST_ITEM
    + ", "
    + ABOUT
)


async def read_posts(graph: GraphClient, ids: Sequence[str], *, viewer_id: str | None) -> dict[str, Row]:
    """The posts among `ids` that the viewer may read, by id; of a deleted one only its place."""
    rows = await graph.read(READ_POSTS, ids=list(ids), viewer_id=viewer_id or "")
    return {row["id"]: row for row in seen(rows)}


POSTS_OF = range_query("Post", POST_ITEM + ", " + ABOUT, parent="community_id", newest_first=True)


async def posts_of(
    graph: GraphClient, community_ids: Sequence[str], *, viewer_id: str | None, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """The posts of each community that the viewer may read, the newest first."""
    size, position = page_size(first), position_at(after, str, str)
    place = f"{position[0]}:{position[1]}" if position else None
    rows = await read_ranges(
        graph,
        POSTS_OF,
        community_ids,
        after=place,
        back=goes_back(after),
        limit=size + 1,
        viewer_id=viewer_id or "",
    )
    return cut_each(community_ids, seen(rows), "parent", size, lambda row: (row["created_at"], row["id"]), after)


PINNED_POSTS: LiteralString = (
    """
UNWIND $community_ids AS community_id
MATCH (k:Community {id: community_id})
UNWIND coalesce(k.pinned_post_ids, []) AS id
MATCH (x:Post {id: id})
RETURN """
    + POST_ITEM
    + ", "
    + ABOUT
    + """
ORDER BY item.pinned_at DESC
"""
)


async def pinned_posts(graph: GraphClient, community_ids: Sequence[str], *, viewer_id: str | None) -> list[Row]:
    """What is pinned in communities that the viewer may read, the latest first; at most three in each."""
    return seen(await graph.read(PINNED_POSTS, community_ids=list(community_ids), viewer_id=viewer_id or ""))


EDITS_OF = range_query(
    "Edit",
    "x.version AS version, x.text AS text, x.written_at AS written_at, x.replaced_at AS replaced_at",
    parent="post_id",
    newest_first=True,
)


async def edits_of(
    graph: GraphClient, post_ids: Sequence[str], *, first: int | None, after: Place
) -> dict[str, Page[Row]]:
    """Earlier versions of posts, the latest first; whether the viewer may read them is decided with the post."""
    size, position = page_size(first), position_at(after, int)
    place = f"{position[0]:08}" if position else None
    rows = await read_ranges(graph, EDITS_OF, post_ids, after=place, back=goes_back(after), limit=size + 1)
    return cut_each(post_ids, rows, "parent", size, lambda row: (row["version"],), after)
