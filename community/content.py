"""What posts and comments have in common: who may write, text, mentions, attachments, and deletion."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString
from urllib.parse import urlsplit

import orjson

from community.access import MAY_READ, MODERATORS, is_member, may_read
from community.notices import notice
from community.search_documents import index_effect
from community.standing import CommunityArchived
from community.tallies import COMMENTS, TAKE_TALLY, tally_key
from core.audit import ACT_AUDITED, act
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal
from core.notices import NoticeKind
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects

Target = Literal["Post", "Comment"]

LONGEST_TEXT = 10_000
MOST_MENTIONS = 20
MOST_ATTACHMENTS = 10
LONGEST_URL = 2_000
LONGEST_REASON = 500
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")

# A moderator has deleted something; whoever reported it is to learn of it.
CONTENT_DELETED = "content.deleted"


class ContentInvalid(BadUserInput):
    code = "CONTENT_INVALID"
    en = "The text or what belongs to it is not valid."
    zh = "内容无效。"


class MembersOnly(Refusal):
    code = "MEMBERS_ONLY"
    en = "Only members take part. Please join the community first."
    zh = "仅限成员参与，请先加入社群。"


class ContentDeleted(Refusal):
    code = "CONTENT_DELETED"
    en = "This has been deleted."
    zh = "该内容已被删除。"


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something elsewhere on the web that belongs to a post; Kinship keeps the reference only."""

    url: str
    media_type: str
    title: str


def checked_text(text: str) -> str:
    """The text without white space around it; raises ContentInvalid."""
    stripped = text.strip()
    if not 1 <= len(stripped) <= LONGEST_TEXT:
        raise ContentInvalid(path=("text",), detail=f"1 to {LONGEST_TEXT} characters")
    return stripped


def check_language(language: str) -> None:
    if not LANGUAGE.fullmatch(language):
        raise ContentInvalid(path=("language",), detail="a language tag such as zh, en or zh-Hans")


def checked_reason(reason: str | None, *, needed: bool) -> str | None:
    """The reason without white space around it, None for none; raises ContentInvalid."""
    stripped = (reason or "").strip()
    if len(stripped) > LONGEST_REASON or (needed and not stripped):
        raise ContentInvalid(path=("reason",), detail=f"a moderator gives a reason of 1 to {LONGEST_REASON} characters")
    return stripped or None


def checked_attachments(attachments: Sequence[Attachment]) -> str:
    """The attachments as the graph keeps them: JSON, because a property holds no maps. Raises ContentInvalid."""
    if len(attachments) > MOST_ATTACHMENTS:
        raise ContentInvalid(path=("attachments",), detail=f"at most {MOST_ATTACHMENTS}")
    for place, attachment in enumerate(attachments):
        check_attachment(attachment, ("attachments", str(place)))
    found = [{"url": a.url, "media_type": a.media_type, "title": a.title.strip()} for a in attachments]
    return orjson.dumps(found).decode()


def check_attachment(attachment: Attachment, path: tuple[str, ...]) -> None:
    if not is_https(attachment.url):
        raise ContentInvalid(path=(*path, "url"), detail="an https address")
    if not MEDIA_TYPE.fullmatch(attachment.media_type):
        raise ContentInvalid(path=(*path, "mediaType"), detail="such as image/jpeg")
    if not 1 <= len(attachment.title.strip()) <= 200:
        raise ContentInvalid(path=(*path, "title"), detail="1 to 200 characters")


def is_https(url: str) -> bool:
    """Whether this is an https address with a host, no credentials, and nothing that a browser reads differently."""
    if len(url) > LONGEST_URL or not url.isprintable() or any(c in url for c in ' \\"<>') or not url.isascii():
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc


# Who asks, and where: every action on content begins by reading this row.
COMMUNITY_PLACE = """
MATCH (c:Community {id: $community_id})
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
RETURN c.id AS community_id, c.visibility AS visibility, c.archived_at AS archived_at, m.role AS role
"""
PLACE_COLUMNS: LiteralString = """
MATCH (c:Community {id: x.community_id})
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
RETURN x.id AS id, x.author_id AS author_id, x.deleted_at AS deleted_at, x.post_id AS post_id,
       x.parent_id AS parent_id, x.pinned_at AS pinned_at, x.kind AS kind, x.version AS version, x.text AS text,
       x.language AS language, x.attachments AS attachments, x.mentions AS mentions,
       x.accepted_comment_id AS accepted_comment_id, coalesce(x.edited_at, x.created_at) AS written_at,
       x.answered_at AS answered_at,
       c.id AS community_id, c.visibility AS visibility, c.archived_at AS archived_at,
       c.pinned_post_ids AS pinned_post_ids, m.role AS role
"""
PLACES: dict[Target, LiteralString] = {
    "Post": "MATCH (x:Post {id: $target_id})" + PLACE_COLUMNS,
    "Comment": "MATCH (x:Comment {id: $target_id})" + PLACE_COLUMNS,
}
# The same under the lock of the thing itself, which is written first.
LOCKED_PLACES: dict[Target, LiteralString] = {
    "Post": "MATCH (x:Post {id: $target_id}) SET x.touched_at = $now WITH x" + PLACE_COLUMNS,
    "Comment": "MATCH (x:Comment {id: $target_id}) SET x.touched_at = $now WITH x" + PLACE_COLUMNS,
}


def readable(rows: Sequence[Row], *path: str) -> Row:
    """The row of a place that the customer may read; raises NotFound."""
    if not rows or not may_read(rows[0]["visibility"], rows[0]["role"]):
        raise NotFound(path=path)
    return rows[0]


def writable(rows: Sequence[Row], *path: str) -> Row:
    """The row of a place where the customer may write; raises NotFound, MembersOnly or CommunityArchived."""
    place = readable(rows, *path)
    if not is_member(place["role"]):
        raise MembersOnly(path=path)
    if place["archived_at"] is not None:
        raise CommunityArchived(path=path)
    return place


def not_deleted(place: Row, *path: str) -> Row:
    """The same row; raises ContentDeleted for what is kept as deleted only."""
    if place["deleted_at"] is not None:
        raise ContentDeleted(path=path)
    return place


def moderates(place: Row) -> bool:
    return place["role"] in MODERATORS


READERS_AMONG = (
    """
MATCH (c:Community {id: $community_id})
UNWIND $ids AS id
MATCH (x:Customer {id: id})
OPTIONAL MATCH (x)-[m:MEMBER_OF]->(c)
WITH id, c, m
WHERE """
    + MAY_READ
    + """
RETURN id
"""
)


async def check_mentions(tx: Transaction, mentions: Sequence[str], *, community_id: str) -> None:
    """Raise ContentInvalid unless each of these customers exists and may read the community."""
    if len(mentions) > MOST_MENTIONS:
        raise ContentInvalid(path=("mentions",), detail=f"at most {MOST_MENTIONS}")
    if not mentions:
        return
    readers = {row["id"] for row in await tx.run(READERS_AMONG, community_id=community_id, ids=list(set(mentions)))}
    for place, customer_id in enumerate(mentions):
        if customer_id not in readers:
            raise ContentInvalid(path=("mentions", str(place)), detail="nobody who reads this community")


def mention_notices(mentions: Sequence[str], target_id: str, *, author_id: str, **ids: str) -> list[Effect]:
    """Who is mentioned is told once per post or comment, however often it is edited; nobody is told of themselves."""
    told = [customer for customer in dict.fromkeys(mentions) if customer != author_id]
    return [notice(NoticeKind.MENTIONED, customer, target_id, actor_id=author_id, **ids) for customer in told]


DELETE_POST = """
MATCH (x:Post {id: $target_id})
SET x.deleted_at = $now, x.deleted_by = $deleted_by, x.delete_reason = $reason
REMOVE x.feed_order, x.pinned_at
"""
UNPIN = """
MATCH (c:Community {id: $community_id})
SET c.touched_at = $now
SET c.pinned_post_ids = [id IN coalesce(c.pinned_post_ids, []) WHERE id <> $target_id]
"""
DELETE_COMMENT = (
    TAKE_TALLY
    + """
WITH t
SET t.count = t.count - 1
WITH t
MATCH (x:Comment {id: $comment_id})
SET x.deleted_at = $now, x.deleted_by = $deleted_by, x.delete_reason = $reason
REMOVE x.accepted_at
WITH x
MATCH (p:Post {id: x.post_id, accepted_comment_id: x.id})
REMOVE p.accepted_comment_id
"""
)


async def delete_content(
    graph: GraphClient, kind: Target, target_id: str, *, actor_id: str, reason: str | None, now: datetime, path: str
) -> str:
    """Take a post or comment away and keep its place; returns the community's id. Done twice, it is done once.

    The author may, and a moderator with a reason, which is audited and told to the author. Raises NotFound for
    anybody else, ContentInvalid without the reason.
    """
    instant = iso(now)

    async def work(tx: Transaction) -> str:
        rows = await tx.run(LOCKED_PLACES[kind], target_id=target_id, customer_id=actor_id, now=instant)
        place = readable(rows, path)
        own = place["author_id"] == actor_id
        if not own and not moderates(place):
            raise NotFound(path=(path,))
        given = checked_reason(reason, needed=not own)
        if place["deleted_at"] is not None:
            return str(place["community_id"])
        about = {"deleted_by": "AUTHOR" if own else "MODERATOR", "reason": given, "now": instant}
        await remove(tx, kind, place, about)
        effects = [] if own else removal_effects(kind, place, actor_id, given, now)
        if kind == "Post":
            effects.append(index_effect("Post", [target_id]))
        await owe_effects(tx, effects, now=now)
        return str(place["community_id"])

    return await graph.transact(work, contended=target_id)


async def remove(tx: Transaction, kind: Target, place: Row, about: dict[str, Any]) -> None:
    """Mark as deleted, and take it out of the counts and places where it stands out."""
    if kind == "Post":
        await tx.run(DELETE_POST, target_id=place["id"], **about)
        if place["pinned_at"] is not None:
            await tx.run(UNPIN, community_id=place["community_id"], target_id=place["id"], now=about["now"])
        return
    await tx.run(
        DELETE_COMMENT,
        comment_id=place["id"],
        target_id=place["post_id"],
        kind=COMMENTS,
        tally=tally_key(place["post_id"], COMMENTS, place["author_id"]),
        **about,
    )


def removal_effects(kind: Target, place: Row, actor_id: str, reason: str | None, now: datetime) -> list[Effect]:
    """A moderator's deletion is audited, told to the author, and ends the reports of the thing."""
    name = kind.lower()
    target_id, community_id = place["id"], place["community_id"]
    audited = act(
        area=f"community:{community_id}",
        actor=actor_id,
        action=f"{name.upper()}_DELETED",
        subject=f"{name}:{target_id}",
        concerns=place["author_id"],
        reason=reason,
        at=now,
    )
    told = notice(
        NoticeKind.CONTENT_REMOVED,
        place["author_id"],
        target_id,
        community_id=community_id,
        **{f"{name}_id": target_id},
    )
    closed = {"target_id": target_id, "actor_id": actor_id, "reason": reason}
    return [
        Effect(ACT_AUDITED, f"{name}.deleted:{target_id}", audited),
        told,
        Effect(CONTENT_DELETED, target_id, closed),
    ]


# What is shown beside each post and comment: its author as of now, and who the viewer is to its community.
ABOUT: LiteralString = """COLLECT {
  MATCH (c:Community {id: x.community_id})
  OPTIONAL MATCH (a:Customer {id: x.author_id})
  OPTIONAL MATCH (a)-[am:MEMBER_OF]->(c)
  OPTIONAL MATCH (me:Customer {id: $viewer_id})
  OPTIONAL MATCH (me)-[m:MEMBER_OF]->(c)
  RETURN {author_name: a.display_name, author_role: am.role, visibility: c.visibility, viewer_role: m.role}
}[0] AS about"""


def seen(rows: Sequence[Row]) -> list[Row]:
    """One flat row for each that the viewer may read, from rows with the columns `item` and `about`."""
    return [
        {**row["about"], **row["item"], "place": row.get("place"), "parent": row.get("parent")}
        for row in rows
        if row["about"] and may_read(row["about"]["visibility"], row["about"]["viewer_role"])
    ]
